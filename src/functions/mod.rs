//! Which image a function id stands for, and what the function may use.
//!
//! The platform keeps this in a store; a worker asks it when it starts a function that it has not
//! seen. In 2025 that store spoke HTTP, and today it is etcd. [`http`] and [`etcd`] ask a store,
//! [`embedded`] is one, on top of [`kv`], and [`open()`] finds out which of them a worker needs.

pub mod embedded;
pub mod etcd;
pub mod http;
pub mod kv;
mod lookups;
pub mod metadata;
mod open;
mod stored;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::sync::mpsc;

pub use self::{
    lookups::LookUps,
    open::{EtcdListen, OpenError, Opened, Place, Places, StoreKind, StoreTls, open},
};

/// Where functions are looked up.
pub trait FunctionStore: fmt::Debug + Send + Sync + 'static {
    /// The function of this id, or nothing when the store does not know it.
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a>;

    /// Watches for functions that are deleted from now on. It ends at once when the store cannot tell.
    /// Called where tasks can be spawned; the watch ends when what it returns is dropped.
    fn deletions(&self) -> Deletions {
        mpsc::channel(1).1
    }
}

/// The answer of [`FunctionStore::lookup`], to be awaited.
pub type Lookup<'a> =
    Pin<Box<dyn Future<Output = Result<Option<FunctionSpec>, StoreError>> + Send + 'a>>;

/// The answer of [`FunctionStore::deletions`].
pub type Deletions = mpsc::Receiver<Deletion>;

/// What happened to functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// The function of this id was deleted.
    Function(String),
    /// Functions may have been deleted without a word: look those up that matter.
    Missed,
}

impl<S: FunctionStore + ?Sized> FunctionStore for Arc<S> {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        (**self).lookup(id)
    }

    fn deletions(&self) -> Deletions {
        (**self).deletions()
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
    /// The period in which it may use that CPU.
    pub cpu_period: Option<Duration>,
    /// The calls that an instance is meant to run at once.
    pub max_concurrency: Option<u32>,
    /// How long an instance may be idle before it is stopped.
    pub idle_timeout: Option<Duration>,
}

/// A function's limits as both generations of the platform store them; what is not above zero is not
/// stated.
#[derive(Debug, Clone, Copy)]
struct Limits {
    memory: i64,
    period: i64,
    quota: i64,
    timeout: i64,
    max_concurrency: i64,
}

/// An instance that may be idle for longer is as good as one that may be for ever: ten years.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Limits {
    fn spec(self, image: String) -> FunctionSpec {
        let stated = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
        let quota = stated(self.quota).zip(stated(self.period));
        FunctionSpec {
            image,
            memory_limit: stated(self.memory),
            cpu_limit: quota.map(|(quota, period)| quota as f64 / period as f64),
            cpu_period: quota.map(|(_, period)| Duration::from_micros(period)),
            max_concurrency: stated(self.max_concurrency)
                .map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
            idle_timeout: stated(self.timeout)
                .map(|seconds| Duration::from_secs(seconds).min(LONGEST_IDLE)),
        }
    }
}

/// A store that does not answer, or not as the protocol says. Trying again may help.
#[derive(Debug, Clone, thiserror::Error)]
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

/// Waits before a store is asked again.
#[expect(clippy::disallowed_methods, reason = "a whole millisecond is exact enough here")]
async fn back_off(wait: Duration) {
    tokio::time::sleep(wait).await;
}
