//! Reads a descriptor without trusting it.

use std::{ffi::c_char, mem::MaybeUninit, ptr};

use hyperfake_plugin_abi::{
    ABI_MAJOR, ABI_MINOR, CreateFn, DESCRIPTOR_SIZE_1_0, Descriptor, DestroyFn, DrawFn, MAGIC,
    MAX_NAME_BYTES, PredictBatchFn, PredictFn,
};
use hyperfake_predictor::{Error, Result};

/// What a descriptor says, once it was found to be sound.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) flags: u64,
    pub(crate) create: CreateFn,
    pub(crate) predict: PredictFn,
    pub(crate) destroy: DestroyFn,
    pub(crate) predict_batch: Option<PredictBatchFn>,
    pub(crate) draw: Option<DrawFn>,
}

/// Checks the magic number, the version, the size, then the pointers, and reads nothing before the checks
/// that make the read valid.
///
/// # Safety
///
/// The pointer is null, or points to a descriptor of some version of the contract, or at least to a
/// number that is not the magic one.
pub(crate) unsafe fn check(descriptor: *const Descriptor) -> Result<Checked> {
    if descriptor.is_null() || !descriptor.is_aligned() {
        return Err(Error::invalid("its function 'hyperfake_plugin' returned no descriptor"));
    }
    // SAFETY: not null and aligned; every descriptor has a magic number.
    let magic = unsafe { (&raw const (*descriptor).magic).read() };
    if magic != MAGIC {
        return Err(Error::invalid(format!(
            "its descriptor begins with {magic:#018x}, expected {MAGIC:#018x}: not a plugin descriptor"
        )));
    }
    // SAFETY: these three stand at the same place in every version.
    let (size, major, minor) = unsafe {
        (
            (&raw const (*descriptor).size).read(),
            (&raw const (*descriptor).abi_major).read(),
            (&raw const (*descriptor).abi_minor).read(),
        )
    };
    if major != ABI_MAJOR {
        return Err(Error::unsupported(format!(
            "it was built for version {major}.{minor} of the plugin contract, expected \
                 {ABI_MAJOR}.{ABI_MINOR}: build it again with this worker's header or SDK"
        )));
    }
    let size = size as usize;
    if size < DESCRIPTOR_SIZE_1_0 {
        return Err(Error::invalid(format!(
            "its descriptor has {size} bytes, expected at least {DESCRIPTOR_SIZE_1_0}"
        )));
    }
    // SAFETY: of this major version, and at least as long as what is read.
    let descriptor = unsafe { completed(descriptor, size) };
    let missing =
        |member: &str| Error::invalid(format!("its descriptor has a null pointer for '{member}'"));
    Ok(Checked {
        // SAFETY: null or a C string, says the contract.
        name: unsafe { text("name", descriptor.name) }?,
        // SAFETY: as above.
        version: unsafe { text("version", descriptor.version) }?,
        flags: descriptor.flags,
        create: descriptor.create.ok_or_else(|| missing("create"))?,
        predict: descriptor.predict.ok_or_else(|| missing("predict"))?,
        destroy: descriptor.destroy.ok_or_else(|| missing("destroy"))?,
        predict_batch: descriptor.predict_batch,
        draw: descriptor.draw,
    })
}

/// A copy of a descriptor of any minor version: the members that an older one does not have are null,
/// and what a newer one has more is left alone.
///
/// # Safety
///
/// The descriptor is of this major version and has `size` bytes, [`DESCRIPTOR_SIZE_1_0`] or more.
unsafe fn completed(descriptor: *const Descriptor, size: usize) -> Descriptor {
    let mut copy = MaybeUninit::<Descriptor>::zeroed();
    // A member that is there in part is not there.
    let known =
        if size < size_of::<Descriptor>() { DESCRIPTOR_SIZE_1_0 } else { size_of::<Descriptor>() };
    // SAFETY: both have that many bytes, and the copy is new.
    unsafe {
        ptr::copy_nonoverlapping(
            descriptor.cast::<MaybeUninit<u8>>(),
            copy.as_mut_ptr().cast::<MaybeUninit<u8>>(),
            known,
        );
        // SAFETY: what was not copied is a function that may be null, and null is all zeros.
        copy.assume_init()
    }
}

/// # Safety
///
/// The pointer is null, or bytes can be read from it up to a zero byte or to the length that is
/// allowed.
unsafe fn text(member: &str, start: *const c_char) -> Result<String> {
    let invalid = |message: &str| Err(Error::invalid(format!("its {member} {message}")));
    if start.is_null() {
        return invalid("is a null pointer");
    }
    let mut bytes = Vec::new();
    loop {
        // SAFETY: neither the end nor the allowed length was reached before this byte.
        match unsafe { start.add(bytes.len()).read() } as u8 {
            0 => break,
            _ if bytes.len() == MAX_NAME_BYTES => return invalid("is longer than 64 bytes"),
            byte => bytes.push(byte),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => invalid("is empty"),
        Ok(text) if text.contains(char::is_control) => invalid("has control characters"),
        Ok(text) => Ok(text),
        Err(_) => invalid("is not UTF-8"),
    }
}
