use std::{cell::OnceCell, sync::Arc};

use crate::{
    clock::Clock,
    worker::{Sessions, Worker},
};

/// What a call thread has for the workers that it serves.
#[derive(Debug)]
pub(crate) struct ThreadContext {
    clock: Clock,
    /// Made when the thread gets its first connection. All workers of a process have the same
    /// catalog, so that one session for each model is enough.
    sessions: OnceCell<Arc<Sessions>>,
}

impl ThreadContext {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, sessions: OnceCell::new() }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The thread's sessions with the models of this worker.
    pub(crate) fn sessions(&self, worker: &Worker) -> Arc<Sessions> {
        Arc::clone(self.sessions.get_or_init(|| Sessions::of(worker.catalog())))
    }
}
