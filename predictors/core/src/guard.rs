//! Backends run code of others on files of others: their panics are errors.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{Error, ErrorKind, Result};

thread_local! {
    /// Whether a panic of this thread becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does what an engine's code may panic at. A panic becomes an error of this kind that says which
/// engine it was and what it said.
///
/// # Errors
///
/// Those of `work`, and its panic.
///
/// ```
/// use hyperfake_predictor::{ErrorKind, guarded};
///
/// let error = guarded(ErrorKind::Internal, "tract", || -> hyperfake_predictor::Result<()> {
///     panic!("index out of bounds")
/// });
/// assert_eq!(error.unwrap_err().to_string(), "tract panicked: index out of bounds");
/// ```
pub fn guarded<T>(kind: ErrorKind, engine: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.unwrap_or_else(|panic| {
        let text = panic_text(&*panic).unwrap_or("it did not say why");
        Err(Error::new(kind, format!("{engine} panicked: {text}")))
    })
}

/// Whether a panic of this thread becomes an error, for a panic hook.
#[must_use]
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// What a panic said.
#[must_use]
pub fn panic_text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
}
