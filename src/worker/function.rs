use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Instance, Rotation};
use crate::catalog::Model;

/// A function that was started here.
#[derive(Debug)]
pub struct Function {
    /// Its id.
    pub id: Arc<str>,
    /// What predicts its calls.
    pub model: Arc<Model>,
    /// Its live instances.
    pub rotation: Rotation,
    /// What its model is told of instances and calls.
    pub(super) load: Arc<Load>,
    /// How long its instances may be idle, if it says so itself.
    pub(super) idle_timeout: Option<Duration>,
}

impl Function {
    pub(super) fn add(&self, instance: &Arc<Instance>) {
        self.rotation.add(Arc::clone(instance));
        // A call that named it was faster, and it was not in yet.
        if instance.is_announced() {
            self.rotation.set_ready(instance);
        }
        self.load.instances.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes an instance out of turn; a second time does nothing.
    pub(super) fn remove(&self, instance: &Instance) {
        if self.rotation.remove(instance) {
            self.load.instances.fetch_sub(1, Ordering::Relaxed);
        }
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

/// Live instances and running calls, of one function or of all together.
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
