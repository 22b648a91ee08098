use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyperfake_predictor::{Error, ErrorKind, Features, Prediction, RawPrediction, Result};

use super::{
    EventKind, FunctionInfo, Instance, Sessions, Worker,
    answers::Answering,
    behaved::Behaved,
    instance::{Death, InstancePermit},
};
use crate::{
    catalog::Answer,
    clock::{Clock, Moment},
    record::{CallOutcome, CallRecord},
    scenario::{Cause, Draws, Purpose},
};

/// A call that was given to an instance. However it ends, its place is given back and the sinks
/// are told when this is dropped.
pub(super) struct InFlightCall<'a> {
    pub(super) worker: &'a Worker,
    pub(super) clock: &'a Clock,
    pub(super) instance: InstancePermit<'a>,
    pub(super) number: u64,
    pub(super) arrived: Moment,
    pub(super) began: Option<Moment>,
    /// What the model is told, for the record.
    pub(super) features: Option<Features>,
    /// What the model answered and what was planned, for the record.
    planned: Option<(RawPrediction, Prediction)>,
    outcome: CallOutcome,
    is_cold: bool,
    /// Why it fails. Rarely there, and large.
    reason: Option<Box<Cause>>,
    /// What it has beside if its function has a behaviour.
    pub(super) behaved: Option<Box<Behaved>>,
}

impl<'a> InFlightCall<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        clock: &'a Clock,
        instance: InstancePermit<'a>,
        arrived: Moment,
        number: u64,
    ) -> Self {
        Self {
            worker,
            clock,
            instance,
            number,
            arrived,
            began: None,
            features: None,
            planned: None,
            outcome: CallOutcome::Cancelled,
            is_cold: false,
            reason: None,
            behaved: None,
        }
    }

    /// Its instance is ready to run it; returns since when.
    pub(super) fn begin(&mut self) -> Moment {
        self.worker.changed(EventKind::Call, &self.instance, || self.clock.now());
        self.is_cold = self.instance.is_first_called();
        let ready = self.arrived.max(self.instance.ready_at);
        let began = self.behaved.as_ref().map_or(ready, |behaved| ready.max(behaved.placed_at()));
        self.began = Some(began);
        began
    }

    /// Asks the model, and decides what the call will take: what was predicted, unless what answers it or
    /// its function's behaviour says otherwise.
    ///
    /// # Errors
    ///
    /// What the model fails with, and what answers it.
    pub(super) fn predict(
        &mut self,
        info: &FunctionInfo,
        sessions: &Sessions,
        features: Features,
        answering: Answering<'_>,
        request: &Bytes,
    ) -> Result<Prediction> {
        self.features = Some(features);
        let (layers, draws, number) = (&self.worker.config.layers, info.draws, self.number);
        let asked = sessions.ask(&info.model, &features, layers, draws, number);
        let Answer { raw, mut prediction } = asked.map_err(|error| {
            self.fail(error.kind(), Cause::Model);
            info.model.failed(&error, self.clock.now())
        })?;
        if let Answering::Stated(stated) = answering {
            let stated = stated.run_time(request, draws.bits(number, Purpose::Response));
            let stated = stated.inspect_err(|error| self.fail(error.kind(), Cause::Answer))?;
            if let Some(run_time) = stated {
                prediction.runtime = layers.run_time(run_time);
            }
        }
        let planned = match self.behaved {
            None => prediction,
            Some(_) => self.plan_behaviour(&prediction),
        };
        self.planned = Some((raw, planned));
        Ok(planned)
    }

    /// The answer of a call that does not fail; it ends now.
    ///
    /// # Errors
    ///
    /// When there is none to this request, and when the call crashes its instance.
    pub(super) fn answer(
        &mut self,
        draws: Draws,
        answering: Answering<'_>,
        request: Bytes,
        ended: Moment,
    ) -> Result<Bytes> {
        let random = || draws.bits(self.number, Purpose::Response);
        match answering {
            Answering::Bytes(response) => Ok(response.body(request, random)),
            Answering::Message(response) => Ok(response.message(request, random)),
            Answering::Stated(stated) if stated.crashes() => {
                self.fail(ErrorKind::Unavailable, Cause::Crash);
                self.worker.kill(&self.instance, Death::Crash, ended);
                Err(Error::unavailable("the instance crashed"))
            }
            Answering::Stated(stated) => {
                let answer = stated.answer(&request, random());
                answer.inspect_err(|error| self.fail(error.kind(), Cause::Answer))
            }
        }
    }

    /// It fails for this kind of reason.
    pub(super) fn fail(&mut self, kind: ErrorKind, reason: Cause) {
        self.outcome = CallOutcome::Failed(kind);
        self.reason = Some(Box::new(reason));
    }

    /// It ends with an answer at this moment, well unless it failed.
    pub(super) fn answered(&mut self, at: Moment) {
        if self.outcome == CallOutcome::Cancelled {
            self.outcome = CallOutcome::Succeeded;
        }
        self.instance.ended_at(at);
    }

    /// How much of the time up to a moment at which it did not run yet was its instance's cold start.
    pub(super) fn cold_start(&self, until: Moment) -> Duration {
        until.min(self.instance.ready_at) - self.arrived
    }

    fn record(&self) -> CallRecord {
        let instance: &Instance = &self.instance;
        let function = instance.function();
        let ended = self.instance.left().unwrap_or_else(|| self.clock.now());
        let waited = self.began.unwrap_or(ended);
        CallRecord {
            worker: Arc::clone(&self.worker.name),
            function: Arc::clone(&function.id),
            image: Arc::clone(&function.image),
            instance: Some(instance.id),
            number: Some(self.number),
            cold: self.is_cold,
            features: self.features,
            predicted: self.planned.map(|(raw, _)| raw),
            planned: self.planned.map(|(_, planned)| planned),
            arrived: self.arrived,
            queued: waited - self.arrived.max(instance.ready_at),
            cold_start: self.cold_start(waited),
            began: self.began,
            ended,
            outcome: self.outcome,
            reason: self.reason(),
        }
    }

    fn reason(&self) -> Cause {
        match (&self.reason, self.outcome) {
            (Some(reason), _) => Cause::clone(reason),
            (None, CallOutcome::Cancelled) => Cause::Client,
            (None, _) => self.behaved.as_ref().map_or(Cause::None, |behaved| behaved.reason()),
        }
    }
}

impl Drop for InFlightCall<'_> {
    fn drop(&mut self) {
        self.worker.ended(|| self.record());
    }
}
