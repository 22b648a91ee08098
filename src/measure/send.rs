use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyperfake_predictor::{Error, ErrorKind};
use tokio::task::JoinSet;

use super::{Phase, Session, rows::Call, session::Instance, share::Span};
use crate::{client::Schedule, clock::Moment, record::nanoseconds};

/// How far a session is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The number of the phase, from 0.
    pub phase: usize,
    /// How many there are.
    pub phases: usize,
    /// What the phases until now took, as planned.
    pub done: Duration,
    /// What all of them take.
    pub total: Duration,
    /// Calls that have ended.
    pub calls: u64,
    /// Those of them that were not answered with success.
    pub failed: u64,
}

/// From the beginning of a phase until its first moment.
const HEAD_START: Duration = Duration::from_millis(10);
/// How often it is looked whether the session goes on, and shown how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// After so many calls in a row that found nothing that answers, the session ends.
const UNANSWERED: u32 = 20;
/// A phase ends when so many calls are under way.
const MOST_AT_ONCE: usize = 10_000;

impl Session {
    /// Sends the calls of these phases, one phase after the other, and waits until they have ended. What
    /// goes wrong ends it early, and [`finish`](Session::finish) says so.
    pub async fn run(&mut self, phases: &[Phase], mut progress: impl FnMut(&Progress)) {
        let total = phases.iter().map(|phase| phase.length).sum();
        let mut done = Duration::ZERO;
        for (number, phase) in phases.iter().enumerate() {
            let mut show = |session: &Self, elapsed: Duration| {
                progress(&Progress {
                    phase: number,
                    phases: phases.len(),
                    done: done + elapsed.min(phase.length),
                    total,
                    calls: session.shared.made.load(Ordering::Relaxed),
                    failed: session.shared.failed.load(Ordering::Relaxed),
                });
            };
            let mut calls = JoinSet::new();
            let sent = self.phase(number, phase, &mut calls, &mut show).await;
            // Those that are still under way.
            calls.shutdown().await;
            if let Err(error) = sent {
                let place = format!("in phase {} of {}", number + 1, phases.len());
                self.stopped = Some(error.at(place));
                return;
            }
            done += phase.length;
        }
    }

    async fn phase(
        &mut self,
        number: usize,
        phase: &Phase,
        calls: &mut JoinSet<()>,
        show: &mut impl FnMut(&Self, Duration),
    ) -> Result<(), Error> {
        let began = self.clock.now() + HEAD_START;
        self.began.push(began);
        let schedule = Schedule::poisson(phase.rate, phase.length, 1, phase.seed);
        let mut look = began;
        for (count, arrival) in schedule.enumerate() {
            let at = began + arrival.at;
            while look < at {
                self.wait_until(look).await?;
                show(self, look - began);
                look += LOOK;
            }
            self.wait_until(at).await?;
            while calls.try_join_next().is_some() {}
            if calls.len() >= MOST_AT_ONCE {
                self.notes.push(format!(
                    "phase {} ended early: {MOST_AT_ONCE} calls were under way at once at {} calls a second",
                    number + 1,
                    phase.rate
                ));
                break;
            }
            let instance = &self.instances[count % self.instances.len()];
            let warm_up = arrival.at < self.plan.warm_up;
            let sending = self.send(instance, number, phase.body, warm_up, at);
            calls.spawn(sending);
        }
        while !calls.is_empty() {
            let wait = self.clock.sleep_until(self.clock.now() + LOOK);
            tokio::select! {
                _ = calls.join_next() => {}
                () = wait => {
                    self.check()?;
                    show(self, phase.length);
                }
            }
        }
        self.check()
    }

    /// A call that is sent now, and was to be sent at `intended`.
    fn send(
        &self,
        instance: &Instance,
        phase: usize,
        body: usize,
        warm_up: bool,
        intended: Moment,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (instance, plan, shared) =
            (instance.clone(), Arc::clone(&self.plan), Arc::clone(&self.shared));
        let (clock, origin) = (self.clock.clone(), self.origin);
        let instances = self.instances.len() as u64;
        async move {
            let arrived = clock.now();
            let place = match &instance.places {
                Some(places) => places.acquire().await.ok(),
                None => None,
            };
            let began = if place.is_some() { clock.now() } else { arrived };
            let ended = instance.caller.call(body, 0, plan.deadline).await;
            let end = clock.now();
            drop(place);
            shared.count(&ended);
            let since = |moment: Moment| nanoseconds(moment - origin);
            let call = Call {
                instance: instance.number,
                instances,
                cold_start_ns: None,
                arrived_ns: since(arrived),
                queue_ns: nanoseconds(began - arrived),
                span: Span { began_ns: since(began), ended_ns: since(end) },
                phase: Some(phase),
                warm_up,
                body,
                code: ended.code,
                said: ended.instance,
                lag_ns: nanoseconds(arrived - intended),
            };
            shared.calls.lock().push(call);
        }
    }

    /// Waits, looking now and then whether the session goes on.
    async fn wait_until(&mut self, moment: Moment) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = self.clock.sleep_until(moment) => {}
        }
        if self.stop.is_cancelled() || self.shared.unanswered.load(Ordering::Relaxed) >= UNANSWERED
        {
            return self.check();
        }
        Ok(())
    }

    /// Whether the session goes on.
    fn check(&mut self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "stopped by a signal"));
        }
        for instance in &self.instances {
            if let Some(how) = instance.how_it_ended() {
                let message = format!("the process of instance {} {how}", instance.number);
                return Err(Error::unavailable(message).at("--exec"));
            }
        }
        let unanswered = self.shared.unanswered.load(Ordering::Relaxed);
        if unanswered >= UNANSWERED {
            let last = self.shared.last_failure.lock().clone();
            let message =
                format!("{unanswered} calls in a row were not answered, the last one with {last}");
            return Err(Error::unavailable(message));
        }
        Ok(())
    }
}
