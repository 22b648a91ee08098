//! What the host sees of a predictor: the functions of its descriptor, called as the host calls
//! them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    cell::Cell,
    ffi::{CStr, c_char, c_void},
    fmt,
    panic::panic_any,
    ptr,
};

use hyperfake_plugin_abi::{
    ABI_MAJOR, ABI_MINOR, Descriptor, ERROR, MAGIC, OK, PANIC, RANDOM, RE_ENTRANT, Status,
};
use hyperfake_plugin_sdk::{
    Exported, Features, Prediction, Predictor, Result, Uniforms, export_predictor,
};

/// Does what its configuration says.
struct Scripted {
    script: String,
    calls: Cell<f64>,
}

impl Predictor for Scripted {
    const RANDOM: bool = true;
    const DRAWS: bool = true;

    fn create(config: &str) -> Result<Self> {
        match config {
            "refuse" => Err("sigma is negative".into()),
            "panic in create" => panic!("no {}", "luck"),
            _ => Ok(Self { script: config.to_owned(), calls: Cell::new(0.0) }),
        }
    }

    fn predict(&self, features: &Features) -> Result<Prediction> {
        self.calls.set(self.calls.get() + 1.0);
        match &*self.script {
            "fail" => Err("a table is empty".into()),
            "fail at length" => Err("x".repeat(5000).into()),
            "fail with a panicking text" => Err(Box::new(Grudge)),
            "panic" => panic!("index out of bounds"),
            "panic with a number" => panic_any(7),
            "panic with a grudge" => panic_any(Grudge),
            _ => Ok(Prediction {
                runtime_ns: self.calls.get(),
                cpu_cores: features.active_calls,
                ram_bytes: features.request_bytes,
            }),
        }
    }

    fn draw(&self, features: &Features, uniforms: &Uniforms) -> Result<Prediction> {
        let Uniforms { run_time, cpu, ram } = *uniforms;
        self.predict(features)?;
        Ok(Prediction { runtime_ns: run_time, cpu_cores: cpu, ram_bytes: ram })
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        assert!(self.script != "panic in drop", "cannot let go");
    }
}

export_predictor!(Scripted);

/// Panics whenever it is printed or dropped.
#[derive(Debug)]
struct Grudge;

impl fmt::Display for Grudge {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("not telling")
    }
}

impl std::error::Error for Grudge {}

impl Drop for Grudge {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("not going")
        }
    }
}

const FEATURES: Features = Features {
    request_bytes: 10.0,
    function_instances: 1.0,
    active_calls: 3.0,
    worker_cpu_cores: 0.0,
    worker_ram_bytes: 0.0,
};

const NOTHING: Prediction =
    Prediction { runtime_ns: f64::NAN, cpu_cores: f64::NAN, ram_bytes: f64::NAN };

/// The plugin as the host holds it.
struct Caller {
    descriptor: &'static Descriptor,
    error: [c_char; 256],
}

impl Caller {
    fn new() -> Self {
        Self { descriptor: Scripted::descriptor(), error: [0; 256] }
    }

    fn create(&mut self, config: &str) -> (Status, *mut c_void) {
        let (create, mut instance) = (self.descriptor.create.unwrap(), ptr::null_mut());
        let config = (config.as_ptr().cast(), config.len());
        // SAFETY: as the header wants it.
        let status = unsafe {
            let error = self.error.as_mut_ptr();
            create(ptr::null(), config.0, config.1, &mut instance, error, self.error.len())
        };
        (status, instance)
    }

    fn predict(&mut self, instance: *mut c_void, out: &mut Prediction) -> Status {
        let predict = self.descriptor.predict.unwrap();
        // SAFETY: as the header wants it.
        unsafe { predict(instance, &FEATURES, out, self.error.as_mut_ptr(), self.error.len()) }
    }

    fn draw(&mut self, instance: *mut c_void, out: &mut Prediction) -> Status {
        let (draw, error) = (self.descriptor.draw.unwrap(), self.error.as_mut_ptr());
        let uniforms = Uniforms { run_time: 0.1, cpu: 0.2, ram: 0.3 };
        // SAFETY: as the header wants it.
        unsafe { draw(instance, &FEATURES, &uniforms, out, error, self.error.len()) }
    }

    fn destroy(&mut self, instance: *mut c_void) -> Status {
        // SAFETY: as the header wants it.
        unsafe {
            self.descriptor.destroy.unwrap()(instance, self.error.as_mut_ptr(), self.error.len())
        }
    }

    fn error(&self) -> &str {
        // SAFETY: the buffer holds a zero byte from the start.
        unsafe { CStr::from_ptr(self.error.as_ptr()) }.to_str().unwrap()
    }

    /// Makes a predictor, asks it once and destroys it.
    fn outcome(config: &str) -> (Status, String) {
        let mut caller = Self::new();
        let (created, instance) = caller.create(config);
        assert_eq!(created, OK, "{}", caller.error());
        let status = caller.predict(instance, &mut { NOTHING });
        let text = caller.error().to_owned();
        // A draw fails in the same way.
        assert_eq!((caller.draw(instance, &mut { NOTHING }), caller.error()), (status, &*text));
        assert_eq!(caller.destroy(instance), OK);
        (status, text)
    }
}

#[test]
fn the_descriptor_names_the_package_and_its_flags() {
    let descriptor = Scripted::descriptor();
    assert_eq!(descriptor.magic, MAGIC);
    assert_eq!(descriptor.size as usize, size_of::<Descriptor>());
    assert_eq!((descriptor.abi_major, descriptor.abi_minor), (ABI_MAJOR, ABI_MINOR));
    assert_eq!(descriptor.flags, RANDOM);
    // SAFETY: the names are C strings.
    let texts = unsafe { [CStr::from_ptr(descriptor.name), CStr::from_ptr(descriptor.version)] };
    assert_eq!(texts, [c"hyperfake-plugin-sdk", c"0.1.0"]);
}

#[test]
fn a_shared_predictor_says_that_it_is_re_entrant() {
    struct Shared;
    impl Predictor for Shared {
        fn create(_: &str) -> Result<Self> {
            Ok(Self)
        }
        fn predict(&self, _: &Features) -> Result<Prediction> {
            Ok(NOTHING)
        }
    }
    // Not through the macro: this program has its symbol already.
    let descriptor = hyperfake_plugin_sdk::descriptor::<Shared>("a\0", "1\0", RE_ENTRANT);
    assert_eq!(descriptor.flags, RE_ENTRANT);
    assert!(descriptor.draw.is_none(), "it does not say that it draws");
}

#[test]
fn an_instance_lives_from_create_to_destroy() {
    let mut caller = Caller::new();
    let (status, instance) = caller.create("{}");
    assert_eq!((status, instance.is_null()), (OK, false));
    for calls in [1.0, 2.0] {
        let mut out = NOTHING;
        assert_eq!(caller.predict(instance, &mut out), OK);
        assert_eq!(out, Prediction { runtime_ns: calls, cpu_cores: 3.0, ram_bytes: 10.0 });
    }
    let mut out = [NOTHING; 3];
    // SAFETY: as the header wants it.
    let status = unsafe {
        let batch = caller.descriptor.predict_batch.unwrap();
        let error = caller.error.as_mut_ptr();
        batch(instance, [FEATURES; 3].as_ptr(), out.as_mut_ptr(), 3, error, 256)
    };
    assert_eq!(status, OK);
    assert_eq!(out.map(|prediction| prediction.runtime_ns), [3.0, 4.0, 5.0]);
    let mut out = NOTHING;
    assert_eq!(caller.draw(instance, &mut out), OK);
    assert_eq!(out, Prediction { runtime_ns: 0.1, cpu_cores: 0.2, ram_bytes: 0.3 });
    assert_eq!(caller.destroy(instance), OK);
    assert_eq!(caller.error(), "");
}

#[test]
fn an_error_is_a_status_and_a_text() {
    let mut caller = Caller::new();
    assert_eq!(caller.create("refuse"), (ERROR, ptr::null_mut()));
    assert_eq!(caller.error(), "sigma is negative");
    assert_eq!(Caller::outcome("fail"), (ERROR, "a table is empty".to_owned()));
    assert_eq!(Caller::outcome("fail at length"), (ERROR, "x".repeat(255)));
}

#[test]
fn a_panic_in_every_function_is_a_status_and_a_text() {
    let mut caller = Caller::new();
    assert_eq!(caller.create("panic in create"), (PANIC, ptr::null_mut()));
    assert_eq!(caller.error(), "no luck");
    for (config, expected) in [
        ("panic", "index out of bounds"),
        ("panic with a number", "it did not say why"),
        ("panic with a grudge", "it did not say why"),
        ("fail with a panicking text", "not telling"),
    ] {
        if cfg!(miri) && config.ends_with("grudge") {
            // What its destructor's panic carries is forgotten on purpose, and Miri counts it.
            continue;
        }
        assert_eq!(Caller::outcome(config), (PANIC, expected.to_owned()), "{config}");
    }
    let (_, instance) = caller.create("panic in drop");
    assert_eq!((caller.destroy(instance), caller.error()), (PANIC, "cannot let go"));
}

#[test]
fn a_null_pointer_is_an_error() {
    let mut caller = Caller::new();
    let null = ptr::null_mut();
    assert_eq!(caller.predict(null, &mut { NOTHING }), ERROR);
    assert_eq!(caller.error(), "the host passed a null pointer");
    assert_eq!(caller.destroy(null), ERROR);
    // SAFETY: null is what is tried.
    unsafe {
        let descriptor = caller.descriptor;
        let error = caller.error.as_mut_ptr();
        let config = c"{}".as_ptr();
        assert_eq!(
            descriptor.create.unwrap()(ptr::null(), config, 2, ptr::null_mut(), error, 256),
            ERROR
        );
        let batch = descriptor.predict_batch.unwrap();
        assert_eq!(batch(null, &FEATURES, &mut { NOTHING }, 1, ptr::null_mut(), 0), ERROR);
        let mut instance = [0_u64; 8];
        let instance = instance.as_mut_ptr().cast();
        let draw = descriptor.draw.unwrap();
        let out = &mut { NOTHING };
        assert_eq!(draw(instance, &FEATURES, ptr::null(), out, ptr::null_mut(), 0), ERROR);
    }
}
