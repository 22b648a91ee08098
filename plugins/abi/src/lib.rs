//! The contract between HyperFake Worker and its plugins, as Rust types.
//!
//! The contract itself (ownership, threads, errors, versions) is written once, in
//! `include/hyperfake_plugin.h`. Here stand the same types again; the layouts are asserted below,
//! and a test compiles the header with a C compiler and compares both sides member by member.
//!
//! To write a plugin in Rust, use the crate `hyperfake-plugin-sdk` instead.

#![no_std]

use core::{
    ffi::{c_char, c_void},
    mem::{offset_of, size_of},
};

/// The first member of every descriptor: `HFPLUGIN`, read as little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"HFPLUGIN");

/// Another major number is another contract.
pub const ABI_MAJOR: u16 = 1;

/// A higher minor number has more members at the end of a struct.
///
/// | minor | new |
/// |---|---|
/// | 1 | [`Descriptor::draw`] |
pub const ABI_MINOR: u16 = 1;

/// The size of [`Descriptor`] in version 1.0, in bytes: that of the shortest one that is sound.
pub const DESCRIPTOR_SIZE_1_0: usize = offset_of!(Descriptor, draw);

/// The name of the one symbol that a plugin exports, of type [`EntryFn`].
pub const SYMBOL: &str = "hyperfake_plugin";

/// The least size of an error buffer, in bytes.
pub const MIN_ERROR_CAPACITY: usize = 256;

/// The most bytes of a plugin's name and of its version, without the zero byte.
pub const MAX_NAME_BYTES: usize = 64;

/// What a function of a plugin returns: [`OK`], [`ERROR`] or [`PANIC`].
pub type Status = i32;

/// All that was asked for is written.
pub const OK: Status = 0;

/// It could not be done, for the reason in the error buffer.
pub const ERROR: Status = 1;

/// The plugin can no longer trust its own state; none of its functions is called again.
pub const PANIC: Status = 2;

/// Flag: one instance may be used by several threads at once.
pub const RE_ENTRANT: u64 = 1;

/// Flag: the same features may get different answers.
pub const RANDOM: u64 = 2;

/// What is known of a call and of the worker that it arrives at.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// Size of the request's body, in bytes.
    pub request_bytes: f64,
    /// Live instances of the function, starting ones included.
    pub function_instances: f64,
    /// Calls of the function that are running.
    pub active_calls: f64,
    /// CPU that the worker's running calls hold, in cores.
    pub worker_cpu_cores: f64,
    /// Memory that the worker's running calls hold, in bytes.
    pub worker_ram_bytes: f64,
}

/// How the call will behave.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Run time, in nanoseconds.
    pub runtime_ns: f64,
    /// CPU held while it runs, in cores.
    pub cpu_cores: f64,
    /// Memory held while it runs, in bytes.
    pub ram_bytes: f64,
}

/// Where in its distribution each number of a draw lies: from 0 to 1.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniforms {
    /// For the run time.
    pub run_time: f64,
    /// For the CPU.
    pub cpu: f64,
    /// For the memory.
    pub ram: f64,
}

/// Who calls.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// Of this struct as the host knows it, in bytes.
    pub size: u32,
    /// Of the contract that the host was built with.
    pub abi_major: u16,
    /// See [`Host::abi_major`].
    pub abi_minor: u16,
    /// The host's name and version: UTF-8 that ends with a zero byte.
    pub name: *const c_char,
}

/// What a plugin is.
#[repr(C)]
#[derive(Debug)]
pub struct Descriptor {
    /// [`MAGIC`].
    pub magic: u64,
    /// Of this struct as the plugin knows it, in bytes.
    pub size: u32,
    /// [`ABI_MAJOR`].
    pub abi_major: u16,
    /// [`ABI_MINOR`].
    pub abi_minor: u16,
    /// 1 to [`MAX_NAME_BYTES`] bytes of UTF-8, and a zero byte.
    pub name: *const c_char,
    /// Of the plugin; as [`Descriptor::name`].
    pub version: *const c_char,
    /// [`RE_ENTRANT`] and [`RANDOM`], or 0.
    pub flags: u64,
    /// Makes an instance.
    pub create: Option<CreateFn>,
    /// Predicts one call.
    pub predict: Option<PredictFn>,
    /// Destroys an instance.
    pub destroy: Option<DestroyFn>,
    /// Predicts several calls; may be missing.
    pub predict_batch: Option<PredictBatchFn>,
    /// Draws one call, since version 1.1; may be missing. A plugin that has it knows how its numbers
    /// are distributed.
    pub draw: Option<DrawFn>,
}

/// Of the exported symbol: returns the descriptor.
pub type EntryFn = unsafe extern "C" fn() -> *const Descriptor;

/// Arguments: the host, the configuration and its length, where the instance goes, the error
/// buffer and its capacity.
pub type CreateFn = unsafe extern "C" fn(
    *const Host,
    *const c_char,
    usize,
    *mut *mut c_void,
    *mut c_char,
    usize,
) -> Status;

/// Arguments: the instance, the features, where the prediction goes, the error buffer and its
/// capacity.
pub type PredictFn = unsafe extern "C" fn(
    *mut c_void,
    *const Features,
    *mut Prediction,
    *mut c_char,
    usize,
) -> Status;

/// Arguments: the instance, the error buffer and its capacity.
pub type DestroyFn = unsafe extern "C" fn(*mut c_void, *mut c_char, usize) -> Status;

/// Arguments: the instance, the features, where the predictions go, how many there are of both, the
/// error buffer and its capacity.
pub type PredictBatchFn = unsafe extern "C" fn(
    *mut c_void,
    *const Features,
    *mut Prediction,
    usize,
    *mut c_char,
    usize,
) -> Status;

/// Arguments: the instance, the features, the uniform numbers, where the draw goes, the error buffer and
/// its capacity.
pub type DrawFn = unsafe extern "C" fn(
    *mut c_void,
    *const Features,
    *const Uniforms,
    *mut Prediction,
    *mut c_char,
    usize,
) -> Status;

// SAFETY: by the contract neither the struct nor what its pointers point to ever changes.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}
// SAFETY: as above.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

// The layout, as numbers: a change that keeps both sides alike but breaks older plugins fails here.
const POINTER: usize = size_of::<*const c_void>();
const _: () = {
    assert!(MAGIC == 0x4e49_4755_4c50_4648);

    assert!(size_of::<Features>() == 40);
    assert!(offset_of!(Features, request_bytes) == 0);
    assert!(offset_of!(Features, function_instances) == 8);
    assert!(offset_of!(Features, active_calls) == 16);
    assert!(offset_of!(Features, worker_cpu_cores) == 24);
    assert!(offset_of!(Features, worker_ram_bytes) == 32);

    assert!(size_of::<Prediction>() == 24);
    assert!(offset_of!(Prediction, runtime_ns) == 0);
    assert!(offset_of!(Prediction, cpu_cores) == 8);
    assert!(offset_of!(Prediction, ram_bytes) == 16);

    assert!(size_of::<Uniforms>() == 24);
    assert!(offset_of!(Uniforms, run_time) == 0);
    assert!(offset_of!(Uniforms, cpu) == 8);
    assert!(offset_of!(Uniforms, ram) == 16);

    assert!(size_of::<Host>() == 8 + POINTER);
    assert!(offset_of!(Host, size) == 0);
    assert!(offset_of!(Host, abi_major) == 4);
    assert!(offset_of!(Host, abi_minor) == 6);
    assert!(offset_of!(Host, name) == 8);

    let functions = 24 + 2 * POINTER;
    assert!(DESCRIPTOR_SIZE_1_0 == functions + 4 * POINTER);
    assert!(size_of::<Descriptor>() == functions + 5 * POINTER);
    assert!(offset_of!(Descriptor, magic) == 0);
    assert!(offset_of!(Descriptor, size) == 8);
    assert!(offset_of!(Descriptor, abi_major) == 12);
    assert!(offset_of!(Descriptor, abi_minor) == 14);
    assert!(offset_of!(Descriptor, name) == 16);
    assert!(offset_of!(Descriptor, version) == 16 + POINTER);
    assert!(offset_of!(Descriptor, flags) == 16 + 2 * POINTER);
    assert!(offset_of!(Descriptor, create) == functions);
    assert!(offset_of!(Descriptor, predict) == functions + POINTER);
    assert!(offset_of!(Descriptor, destroy) == functions + 2 * POINTER);
    assert!(offset_of!(Descriptor, predict_batch) == functions + 3 * POINTER);
    assert!(offset_of!(Descriptor, draw) == functions + 4 * POINTER);
};
