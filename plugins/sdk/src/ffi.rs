//! The functions that the host calls. Each checks what it was given, then runs safe code behind the
//! [`ffi_guard`], which is the one place that turns an error or a panic into a number.

use std::{
    any::Any,
    ffi::{c_char, c_void},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    slice, str,
};

use hyperfake_plugin_abi::{ERROR, Features, Host, OK, PANIC, Prediction, Status, Uniforms};

use crate::{Predictor, Result, message::Message};

/// # Safety
///
/// As the header says for `hyperfake_create_fn`.
pub(crate) unsafe extern "C" fn create<P: Predictor>(
    _host: *const Host,
    config: *const c_char,
    config_length: usize,
    instance: *mut *mut c_void,
    error: *mut c_char,
    error_capacity: usize,
) -> Status {
    // SAFETY: the buffer is the host's, for the length of this call ours alone.
    let message = unsafe { Message::new(error, error_capacity) };
    ffi_guard(message, || {
        if config.is_null() || instance.is_null() {
            return Err(NULL.into());
        }
        // SAFETY: not null, and the host says that there are that many bytes.
        let config = unsafe { slice::from_raw_parts(config.cast::<u8>(), config_length) };
        let made = Box::new(P::create(str::from_utf8(config)?)?);
        // SAFETY: not null, and the host has a pointer's room there.
        unsafe { instance.write(Box::into_raw(made).cast()) };
        Ok(())
    })
}

/// # Safety
///
/// As the header says for `hyperfake_predict_fn`.
pub(crate) unsafe extern "C" fn predict<P: Predictor>(
    instance: *mut c_void,
    features: *const Features,
    out: *mut Prediction,
    error: *mut c_char,
    error_capacity: usize,
) -> Status {
    // SAFETY: the buffer is the host's, for the length of this call ours alone.
    let message = unsafe { Message::new(error, error_capacity) };
    ffi_guard(message, || {
        if instance.is_null() || features.is_null() || out.is_null() {
            return Err(NULL.into());
        }
        // SAFETY: not null; the instance was made by `create`, and the host neither destroys it
        // meanwhile nor uses it on two threads, unless `P` is `Sync`.
        let (predictor, features) = unsafe { (&*instance.cast::<P>(), &*features) };
        let prediction = predictor.predict(features)?;
        // SAFETY: not null, and the host has room for a prediction there.
        unsafe { out.write(prediction) };
        Ok(())
    })
}

/// # Safety
///
/// As the header says for `hyperfake_destroy_fn`.
pub(crate) unsafe extern "C" fn destroy<P: Predictor>(
    instance: *mut c_void,
    error: *mut c_char,
    error_capacity: usize,
) -> Status {
    // SAFETY: the buffer is the host's, for the length of this call ours alone.
    let message = unsafe { Message::new(error, error_capacity) };
    ffi_guard(message, || {
        if instance.is_null() {
            return Err(NULL.into());
        }
        // SAFETY: `create` made it from a box, and the host does not use it again.
        drop(unsafe { Box::from_raw(instance.cast::<P>()) });
        Ok(())
    })
}

/// # Safety
///
/// As the header says for `hyperfake_predict_batch_fn`.
pub(crate) unsafe extern "C" fn predict_batch<P: Predictor>(
    instance: *mut c_void,
    features: *const Features,
    out: *mut Prediction,
    count: usize,
    error: *mut c_char,
    error_capacity: usize,
) -> Status {
    // SAFETY: the buffer is the host's, for the length of this call ours alone.
    let message = unsafe { Message::new(error, error_capacity) };
    ffi_guard(message, || {
        if instance.is_null() || features.is_null() || out.is_null() {
            return Err(NULL.into());
        }
        // SAFETY: as in `predict`; there are `count` features and `count` predictions, which the
        // host has filled with numbers of its own, and they do not overlap.
        let (predictor, features, out) = unsafe {
            (
                &*instance.cast::<P>(),
                slice::from_raw_parts(features, count),
                slice::from_raw_parts_mut(out, count),
            )
        };
        predictor.predict_batch(features, out)
    })
}

/// # Safety
///
/// As the header says for `hyperfake_draw_fn`.
pub(crate) unsafe extern "C" fn draw<P: Predictor>(
    instance: *mut c_void,
    features: *const Features,
    uniforms: *const Uniforms,
    out: *mut Prediction,
    error: *mut c_char,
    error_capacity: usize,
) -> Status {
    // SAFETY: the buffer is the host's, for the length of this call ours alone.
    let message = unsafe { Message::new(error, error_capacity) };
    ffi_guard(message, || {
        if instance.is_null() || features.is_null() || uniforms.is_null() || out.is_null() {
            return Err(NULL.into());
        }
        // SAFETY: as in `predict`.
        let (predictor, features, uniforms) =
            unsafe { (&*instance.cast::<P>(), &*features, &*uniforms) };
        let drawn = predictor.draw(features, uniforms)?;
        // SAFETY: not null, and the host has room for a prediction there.
        unsafe { out.write(drawn) };
        Ok(())
    })
}

const NULL: &str = "the host passed a null pointer";

/// Nothing but a status leaves it: an error is written down and dropped in here, because its text
/// and its destructor are the author's code as well, and can panic too.
fn ffi_guard(mut message: Message<'_>, work: impl FnOnce() -> Result<()>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(|| match work() {
        Ok(()) => OK,
        Err(error) => {
            message.set(format_args!("{error}"));
            ERROR
        }
    }));
    outcome.unwrap_or_else(|panic| {
        message.set(format_args!("{}", text_of(&*panic)));
        drop_quietly(panic);
        PANIC
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why")
}

/// A panic carries a value of any type, and its destructor can panic. What that one carries is not
/// looked at any more.
fn drop_quietly(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(another);
    }
}
