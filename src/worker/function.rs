use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{conduct::Conduct, placement::RoundRobin};
use crate::{catalog::Model, functions::FunctionSpec, scenario::Draws};

/// What a function is, for its instances.
#[derive(Debug)]
pub struct FunctionInfo {
    /// Its id.
    pub id: Arc<str>,
    /// Its image, for records.
    pub image: Arc<str>,
    /// As it was registered.
    pub spec: FunctionSpec,
    /// What predicts its calls.
    pub model: Arc<Model>,
    /// Its random numbers.
    pub(super) draws: Draws,
}

/// A function that was started here.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) info: Arc<FunctionInfo>,
    /// Its live instances.
    pub(super) instances: RoundRobin,
    /// What its model is told of instances and calls.
    pub(super) load: Arc<Load>,
    /// How it behaves, if the scenario says.
    pub(super) conduct: Conduct,
    /// Set when it was deleted where it was registered, by any thread.
    deleted: AtomicBool,
    /// The number of the next instance; starts on any thread take one.
    next_instance: AtomicU64,
    /// The number of the next call; calls on any thread take one.
    next_call: AtomicU64,
    /// Whether it is among those that are looked at to be forgotten, which changes with their list.
    pub(super) waits: AtomicBool,
}

/// The numbers of the next instance and of the next call of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    instance: u64,
    call: u64,
}

impl Numbers {
    #[cfg(test)]
    pub(super) fn new(instance: u64, call: u64) -> Self {
        Self { instance, call }
    }
}

impl Function {
    /// A function whose next instance and call have these numbers.
    pub(super) fn new(info: FunctionInfo, load: Arc<Load>, numbers: Numbers) -> Self {
        let Numbers { instance, call } = numbers;
        let (next_instance, next_call) = (AtomicU64::new(instance), AtomicU64::new(call));
        let (instances, conduct) = (RoundRobin::default(), Conduct::default());
        let (deleted, waits) = (AtomicBool::new(false), AtomicBool::new(false));
        let info = Arc::new(info);
        Self { info, instances, load, conduct, deleted, next_instance, next_call, waits }
    }

    pub(super) fn delete(&self) {
        self.deleted.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::SeqCst)
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            instance: self.next_instance.load(Ordering::Relaxed),
            call: self.next_call.load(Ordering::Relaxed),
        }
    }

    pub(super) fn number_instance(&self) -> u64 {
        self.next_instance.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn number_call(&self) -> u64 {
        self.next_call.fetch_add(1, Ordering::Relaxed)
    }
}

/// Whose instances and calls a model is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeatureScope {
    /// Those of the function.
    #[default]
    Function,
    /// Those of the whole worker.
    Worker,
}

impl FromStr for FeatureScope {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "function" => Ok(Self::Function),
            "worker" => Ok(Self::Worker),
            _ => Err("expected function or worker".into()),
        }
    }
}

/// Live instances and running calls, of one function or of all together. Calls on any thread
/// change it.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) instances: AtomicUsize,
    active: AtomicUsize,
}

/// A call among the active ones.
pub(super) struct Active<'a> {
    load: &'a Load,
    /// How many others were active when it came.
    pub(super) others: usize,
}

impl Load {
    pub(super) fn enter(&self) -> Active<'_> {
        Active { load: self, others: self.active.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.load.active.fetch_sub(1, Ordering::Relaxed);
    }
}
