//! Which image a function id stands for, and what the function may use.
//!
//! The platform keeps this in a key-value store that speaks HTTP; a worker asks it when it is
//! told to start a function that it has not seen. [`http`] asks such a store, [`embedded`] is
//! one.

pub mod embedded;
pub mod http;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use serde::Deserialize;

/// Where functions are looked up.
pub trait FunctionRegistry: fmt::Debug + Send + Sync + 'static {
    /// The function of this id, or nothing when the registry does not know it.
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a>;
}

/// The answer of [`FunctionRegistry::lookup`], to be awaited.
pub type Lookup<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Function>, RegistryError>> + Send + 'a>>;

impl<R: FunctionRegistry + ?Sized> FunctionRegistry for Arc<R> {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        (**self).lookup(id)
    }
}

/// A function as it was registered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Function {
    /// The container image, such as `hyperfaas-echo:latest`.
    pub image_tag: String,
    /// What it may use.
    #[serde(default)]
    pub config: FunctionConfig,
}

/// An instance that may be idle for longer is as good as one that may be for ever: ten years.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a function may use; zero is "not stated".
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FunctionConfig {
    /// Memory, in bytes.
    pub mem_limit: i64,
    /// CPU time in each period: `cpu_quota / cpu_period` is a number of cores.
    pub cpu_quota: i64,
    /// See `cpu_quota`.
    pub cpu_period: i64,
    /// Seconds without a call after which an instance goes down.
    pub timeout: i64,
    /// Calls that an instance is meant to run at once.
    pub max_concurrency: i64,
}

impl FunctionConfig {
    /// `timeout` as a duration, if one is stated.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.timeout).ok().filter(|seconds| *seconds > 0)?;
        Some(Duration::from_secs(seconds).min(LONGEST_IDLE))
    }
}

/// A registry that does not answer, or not as the protocol says. Trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("the function registry at {address} {reason}")]
pub struct RegistryError {
    /// Where it was asked.
    pub address: String,
    /// What it did instead of answering.
    pub reason: String,
}
