//! The contract without a library: descriptors written by hand, with plain functions behind them.

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    ptr,
    sync::atomic::AtomicBool,
};

use hyperfake_plugin_abi::{
    ABI_MAJOR, ABI_MINOR, DESCRIPTOR_SIZE_1_0, Descriptor, ERROR, Features, Host, MAGIC, OK, PANIC,
    Prediction, Status, Uniforms,
};
use hyperfake_plugin_host::LinkedPlugin;
use hyperfake_predictor::{Backend, ModelUri, RawPrediction};

use crate::busy;

const WELL: Descriptor = Descriptor {
    magic: MAGIC,
    size: size_of::<Descriptor>() as u32,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    name: c"by hand".as_ptr(),
    version: c"9".as_ptr(),
    flags: 0,
    create: Some(create),
    predict: Some(predict),
    destroy: Some(destroy),
    predict_batch: None,
    draw: None,
};

static STATE: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn create(
    host: *const Host,
    config: *const c_char,
    config_length: usize,
    instance: *mut *mut c_void,
    _: *mut c_char,
    error_capacity: usize,
) -> Status {
    // SAFETY: as the header wants it.
    unsafe {
        assert_eq!((*host).size as usize, size_of::<Host>());
        assert_eq!(((*host).abi_major, (*host).abi_minor), (ABI_MAJOR, ABI_MINOR));
        assert_eq!(std::ffi::CStr::from_ptr(config).count_bytes(), config_length);
        assert!((*instance).is_null() && error_capacity >= 256);
        instance.write((&raw const STATE).cast_mut().cast());
    }
    OK
}

unsafe extern "C" fn predict(
    _: *mut c_void,
    features: *const Features,
    out: *mut Prediction,
    error: *mut c_char,
    error_capacity: usize,
) -> Status {
    // SAFETY: as the header wants it.
    unsafe {
        assert!(
            (*out).runtime_ns.is_nan() && (*out).cpu_cores.is_nan() && (*out).ram_bytes.is_nan()
        );
        match (*features).active_calls as i32 {
            0 => out.write(Prediction { runtime_ns: 1.0, cpu_cores: 2.0, ram_bytes: 3.0 }),
            1 => (*out).runtime_ns = f64::NAN,
            2 => {
                error.write_bytes(b'y', error_capacity);
                return ERROR;
            }
            3 => return -1,
            _ => return PANIC,
        }
    }
    OK
}

unsafe extern "C" fn draw(
    _: *mut c_void,
    _: *const Features,
    uniforms: *const Uniforms,
    out: *mut Prediction,
    _: *mut c_char,
    _: usize,
) -> Status {
    // SAFETY: as the header wants it.
    unsafe {
        let Uniforms { run_time, cpu, ram } = *uniforms;
        out.write(Prediction { runtime_ns: run_time, cpu_cores: cpu, ram_bytes: ram });
    }
    OK
}

unsafe extern "C" fn destroy(_: *mut c_void, _: *mut c_char, _: usize) -> Status {
    OK
}

fn open(descriptor: &Descriptor) -> hyperfake_predictor::Result<LinkedPlugin> {
    // SAFETY: the descriptors of this file keep the contract, or break it where it is checked.
    unsafe { LinkedPlugin::new(descriptor) }
}

#[test]
fn every_outcome_of_a_call_is_distinguished() {
    let model = open(&WELL).unwrap().open(&ModelUri::from_path("hand")).unwrap();
    let mut session = model.session().unwrap();
    let mut ask =
        |active_calls| session.predict(&busy(active_calls)).map_err(|error| error.to_string());
    assert_eq!(ask(0.0), Ok(RawPrediction { runtime_ns: 1.0, cpu_cores: 2.0, ram_bytes: 3.0 }));
    let hand = "hand: the plugin 'by hand' 9";
    assert_eq!(ask(1.0), Err(format!("{hand} left cpu_cores, ram_bytes unwritten in predict")));
    let long = "y".repeat(1024);
    assert_eq!(ask(2.0), Err(format!("{hand} failed in predict: {long} (cut)")));
    assert_eq!(
        ask(3.0),
        Err(format!("{hand} returned -1 from predict, expected 0, 1 or 2: it did not say why"))
    );
    assert_eq!(
        ask(4.0),
        Err(format!("{hand} is put in quarantine: predict panicked: it did not say why"))
    );
    assert_eq!(
        ask(0.0),
        Err(format!("{hand} is in quarantine: predict panicked: it did not say why"))
    );
}

#[test]
fn a_descriptor_is_read_only_as_far_as_it_was_checked() {
    #[repr(C, align(8))]
    struct Short([u8; 16]);
    let mut short = Short([0; 16]);
    short.0[..8].copy_from_slice(&MAGIC.to_ne_bytes());
    short.0[8..12].copy_from_slice(&16u32.to_ne_bytes());
    short.0[12..14].copy_from_slice(&ABI_MAJOR.to_ne_bytes());
    let only_magic = 7u64;
    for (descriptor, expected) in [
        (ptr::null(), "returned no descriptor"),
        ((&raw const only_magic).cast(), "begins with 0x0000000000000007"),
        ((&raw const short).cast(), "has 16 bytes, expected at least"),
        // Not aligned.
        ((&raw const short).cast::<Descriptor>().wrapping_byte_add(4), "returned no descriptor"),
    ] {
        // SAFETY: the descriptors break the contract where it is checked.
        let error = unsafe { LinkedPlugin::new(descriptor) }.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Of each length from that of version 1.0 on, with nothing behind it.
#[test]
fn a_descriptor_has_the_functions_that_are_within_its_size() {
    let uri = ModelUri::from_path("hand");
    for size in [DESCRIPTOR_SIZE_1_0, DESCRIPTOR_SIZE_1_0 + 4, size_of::<Descriptor>()] {
        let descriptor = Descriptor { size: size as u32, draw: Some(draw), ..WELL };
        let words = size.div_ceil(8);
        let mut cut: Vec<MaybeUninit<u64>> = vec![MaybeUninit::uninit(); words];
        // SAFETY: both have that many bytes.
        let plugin = unsafe {
            let from = (&raw const descriptor).cast::<MaybeUninit<u8>>();
            ptr::copy_nonoverlapping(from, cut.as_mut_ptr().cast(), size);
            LinkedPlugin::new(cut.as_ptr().cast())
        };
        let model = plugin.unwrap().open(&uri).unwrap();
        let knows = size == size_of::<Descriptor>();
        assert_eq!(model.info().knows_distributions, knows, "{size} bytes");
        let uniforms = hyperfake_predictor::Uniforms { run_time: 0.5, cpu: 0.25, ram: 0.125 };
        let drawn = model.session().unwrap().draw(&busy(0.0), &uniforms).unwrap().to_array();
        assert_eq!(drawn, if knows { [0.5, 0.25, 0.125] } else { [1.0, 2.0, 3.0] });
    }
}

#[test]
fn a_descriptor_without_a_name_or_a_function_is_refused() {
    for (descriptor, expected) in [
        (Descriptor { name: ptr::null(), ..WELL }, "its name is a null pointer"),
        (Descriptor { name: c"".as_ptr(), ..WELL }, "its name is empty"),
        (Descriptor { name: c"a\x1b[31m".as_ptr(), ..WELL }, "its name has control characters"),
        (Descriptor { version: c"\xff".as_ptr(), ..WELL }, "its version is not UTF-8"),
        (Descriptor { create: None, ..WELL }, "a null pointer for 'create'"),
        (Descriptor { predict: None, ..WELL }, "a null pointer for 'predict'"),
        (Descriptor { destroy: None, ..WELL }, "a null pointer for 'destroy'"),
        (Descriptor { abi_major: 0, ..WELL }, "built for version 0.1 of the plugin contract"),
    ] {
        let error = open(&descriptor).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(open(&Descriptor { abi_minor: 9, flags: !0, ..WELL }).is_ok());
}
