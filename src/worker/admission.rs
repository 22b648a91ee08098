//! How calls come in, and the record of those that are refused.

use std::{sync::Arc, time::Duration};

use hyperfake_predictor::{Error, ErrorKind, Result};

use super::{
    MAX_ID, Worker,
    executor::Target,
    gate::{Gate, Refusal},
    shutting_down,
};
use crate::{
    clock::{Clock, Moment},
    record::{CallOutcome, CallRecord},
    scenario::Cause,
};

/// A call's place in the worker, given back when it is dropped.
pub(super) struct AdmissionPermit<'a>(&'a Gate);

impl Drop for AdmissionPermit<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Worker {
    /// Lets a call in, unless there are too many or the worker is closed.
    pub(super) fn admit(&self) -> Result<AdmissionPermit<'_>> {
        match self.gate.enter() {
            Ok(()) => Ok(AdmissionPermit(&self.gate)),
            Err(Refusal::Full(inside)) => {
                let message = format!("{inside} calls are running, the limit of calls at once");
                Err(Error::exhausted(message))
            }
            Err(Refusal::Closed) => Err(shutting_down()),
        }
    }

    /// Tells the sinks of a call that is refused before it was given to an instance, and returns why.
    #[cold]
    pub(super) fn refused(
        &self,
        target: &Target<'_>,
        arrived: Moment,
        clock: &Clock,
        error: Error,
    ) -> Error {
        self.ended(|| {
            let (function, image) = self.asked_for(target);
            CallRecord {
                worker: Arc::clone(&self.name),
                function,
                image,
                instance: None,
                number: None,
                cold: false,
                features: None,
                predicted: None,
                planned: None,
                arrived,
                queued: Duration::ZERO,
                cold_start: Duration::ZERO,
                began: None,
                ended: clock.now(),
                outcome: CallOutcome::Failed(error.kind()),
                reason: match error.kind() {
                    ErrorKind::Exhausted => Cause::Overload,
                    _ if self.gate.state().closed().is_some() => Cause::ShuttingDown,
                    _ => Cause::NoInstance,
                },
            }
        });
        error
    }

    /// The id of the function that a call is for, and its image if it is known.
    fn asked_for(&self, target: &Target<'_>) -> (Arc<str>, Arc<str>) {
        match target {
            Target::Instance(instance, _) => {
                (Arc::clone(&instance.function().id), Arc::clone(&instance.function().image))
            }
            Target::Function(id, _) => match self.directory.function(id) {
                Some(function) => (Arc::clone(&function.info.id), Arc::clone(&function.info.image)),
                // No more of it than an id may have.
                None => (id[..id.floor_char_boundary(MAX_ID)].into(), Arc::default()),
            },
        }
    }
}
