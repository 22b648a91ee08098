//! Which image a function id stands for, and what the function may use.
//!
//! The platform keeps this in a store; a worker asks it when it starts a function that it has not
//! seen. [`http`] asks a store over HTTP, [`embedded`] is such a store, and [`open()`] finds out
//! which of the two a worker needs.

pub mod embedded;
pub mod http;
mod open;
mod stored;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

pub use self::open::{Place, StoreKind, StoreTls, open};

/// Where functions are looked up.
pub trait FunctionStore: fmt::Debug + Send + Sync + 'static {
    /// The function of this id, or nothing when the store does not know it.
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a>;
}

/// The answer of [`FunctionStore::lookup`], to be awaited.
pub type Lookup<'a> =
    Pin<Box<dyn Future<Output = Result<Option<FunctionSpec>, StoreError>> + Send + 'a>>;

impl<S: FunctionStore + ?Sized> FunctionStore for Arc<S> {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        (**self).lookup(id)
    }
}

/// A function as it was registered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FunctionSpec {
    /// The container image, such as `hyperfaas-echo:latest`.
    pub image: String,
    /// The memory that an instance may use, in bytes.
    pub memory_limit: Option<u64>,
    /// The CPU that an instance may use, in cores: quota divided by period.
    pub cpu_limit: Option<f64>,
    /// The calls that an instance is meant to run at once.
    pub max_concurrency: Option<u32>,
    /// How long an instance may be idle before it is stopped.
    pub idle_timeout: Option<Duration>,
}

/// A store that does not answer, or not as the protocol says. Trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("the function registry at {address} {reason}")]
pub struct StoreError {
    /// Where it was asked.
    pub address: String,
    /// What it did instead of answering.
    pub reason: String,
}

impl StoreError {
    /// What a client of the worker may know of it: not where the store is.
    #[must_use]
    pub fn public(&self) -> &'static str {
        "the function registry does not answer as expected; the worker's log says more"
    }
}
