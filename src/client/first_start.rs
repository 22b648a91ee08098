use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hyperfake_predictor::Result;
use parking_lot::Mutex;
use tokio::sync;
use tonic::{Code, Status};

use super::{Answer, Connection, Instance, Request, first_call::until_known};
use crate::clock::Moment;

/// Lets calls of functions that were registered a moment ago succeed. Where there is no leaf, an instance is
/// started when a call finds none, as a leaf does it: one at a time, and the calls that come meanwhile wait
/// for it. A leaf is given a moment to learn of the functions.
#[derive(Debug)]
pub struct Starts {
    /// By function.
    functions: Box<[Function]>,
    /// Until then a leaf may not know them.
    patience: Moment,
    started: Mutex<Started>,
}

#[derive(Debug, Default)]
struct Function {
    /// How many instances were started; threads read it before each call.
    started: AtomicU64,
    /// Held while one starts.
    turn: sync::Mutex<()>,
}

/// What was started.
#[derive(Debug, Default)]
struct Started {
    instances: Vec<Instance>,
    failed: u64,
}

/// How often a call is made at most: an instance may end just before it comes.
const ATTEMPTS: usize = 3;

impl Starts {
    /// For so many functions, which a leaf may not know until `patience`.
    #[must_use]
    pub fn new(functions: usize, patience: Moment) -> Self {
        let functions = (0..functions).map(|_| Function::default()).collect();
        Self { functions, patience, started: Mutex::default() }
    }

    /// The instances that were started, and how many starts failed.
    #[must_use]
    pub fn take(&self) -> (Vec<Instance>, u64) {
        let started = std::mem::take(&mut *self.started.lock());
        (started.instances, started.failed)
    }

    /// Calls a function by its place.
    pub(super) async fn call(
        &self,
        connection: &Connection,
        (place, request, number): (usize, &Request, i64),
        deadline: Duration,
    ) -> Result<Answer, Status> {
        let (Request::Call { function: id, .. }, Some(function)) =
            (request, self.functions.get(place))
        else {
            let called = until_known(connection, request, number, deadline, self.patience).await;
            return called.map(|(answer, _)| answer);
        };
        let clock = connection.clock();
        let (began, mut attempt) = (clock.now(), 1);
        let mut waited = Duration::ZERO;
        loop {
            let before = function.started.load(Ordering::Acquire);
            let ended = connection.call(request, number, deadline).await;
            let has_none = |status: &Status| status.code() == Code::NotFound;
            if attempt == ATTEMPTS || !ended.as_ref().is_err_and(has_none) {
                return ended.map(|answer| Answer { waited, ..answer });
            }
            attempt += 1;
            let _turn = function.turn.lock().await;
            // Of the calls that found no instance, only the first starts one.
            if function.started.load(Ordering::Acquire) == before {
                match connection.start(id.clone(), deadline).await {
                    Ok(instance) => self.started.lock().instances.push(instance),
                    Err(error) => {
                        self.started.lock().failed += 1;
                        tracing::debug!(%error, "an instance was not started");
                        return ended;
                    }
                }
                function.started.fetch_add(1, Ordering::Release);
            }
            waited = clock.now() - began;
        }
    }
}
