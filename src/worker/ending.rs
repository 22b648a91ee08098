//! How instances end.

use std::{sync::Arc, time::Duration};

use hyperfake_predictor::{Error, Result};

use super::{
    EventKind, Instance, InstanceId, Lifetime, Observer, Worker, check_id, gate::Reason,
    instance::Death,
};
use crate::clock::{Clock, Moment};

/// Which event follows STOP, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterStop {
    /// None.
    #[default]
    Nothing,
    /// DOWN as of a failure: a container of the platform's own worker dies of the signal that stops
    /// it, which that worker then reports.
    Down,
    /// TIMEOUT.
    Timeout,
}

impl std::str::FromStr for AfterStop {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "none" => Ok(Self::Nothing),
            "down" => Ok(Self::Down),
            "timeout" => Ok(Self::Timeout),
            _ => Err("expected none, down or timeout".into()),
        }
    }
}

impl AfterStop {
    /// The event.
    pub(super) fn kind(self) -> Option<EventKind> {
        match self {
            Self::Nothing => None,
            Self::Down => Some(EventKind::Killed),
            Self::Timeout => Some(EventKind::Timeout),
        }
    }
}

/// An instance that leaves takes calls for this time: until a client that was told of the end has
/// stopped sending calls. A leaf needs less than a millisecond.
const SERVES_ON: Duration = Duration::from_millis(50);

impl Worker {
    /// Ends an instance, once the calls that run on it have ended.
    ///
    /// # Errors
    ///
    /// `NotFound` when no live instance has this id.
    pub async fn stop(&self, instance_id: &str) -> Result<()> {
        check_id("instance", instance_id)?;
        let Some(instance) = self.live_instance(instance_id) else {
            let message = format!("no live instance has the id '{instance_id}'");
            return Err(Error::not_found(message));
        };
        instance.close(Reason::Stop);
        self.directory.delist(&instance);
        instance.stopped().await;
        Ok(())
    }

    /// Ends an instance a moment later: it still takes the calls of a client that hears of its end
    /// by the answer. Does nothing when no live instance has this id.
    pub fn stop_soon(self: &Arc<Self>, instance_id: &str, clock: &Clock) {
        if let Some(instance) = self.live_instance(instance_id) {
            self.leave(&instance, Reason::Stop, clock);
        }
    }

    /// Ends an instance that no client got to know.
    pub fn abandon(&self, instance: &Instance) {
        instance.close(Reason::Stop);
        self.directory.delist(instance);
    }

    /// A function was deleted where it was registered: its instances end, as no client can call them,
    /// and the next start looks it up again.
    pub fn function_deleted(self: &Arc<Self>, function_id: &str, clock: &Clock) {
        if let Some(function) = self.directory.function(function_id) {
            function.delete();
            for instance in function.instances.all() {
                self.leave(&instance, Reason::Timeout, clock);
            }
        }
    }

    /// Tells of the end of every instance that a leaf sends calls to, which takes them for a moment
    /// longer. Returns how long, if there is one.
    pub fn announce_end(&self, now: Moment) -> Option<Duration> {
        let mut announced = None;
        for instance in self.directory.instances() {
            let is_live = instance.lifetime == Lifetime::UntilStopped && !instance.is_stopped();
            if is_live && instance.begins_to_leave() {
                self.tell(&instance, Reason::Down, now);
                announced = Some(SERVES_ON);
            }
        }
        announced
    }

    /// Ends the instances whose nodes are gone for good.
    pub(super) fn end_orphans(self: &Arc<Self>, clock: &Clock) {
        let absence = self.config.orphan_timeout;
        let Some(orphaned) = self.nodes.forget(absence, clock.now()) else { return };
        let mut ended = 0;
        for instance in self.directory.instances() {
            let is_live = instance.lifetime == Lifetime::UntilStopped && !instance.is_stopped();
            if is_live && orphaned.includes(instance.created) {
                self.leave(&instance, Reason::Timeout, clock);
                ended += 1;
            }
        }
        if ended > 0 {
            tracing::info!(ended, ?absence, "ended instances that no listener can belong to");
        }
    }

    /// Ends an instance, which takes calls for a moment longer. Of an end that no client asked for,
    /// listeners are told first.
    pub(super) fn leave(self: &Arc<Self>, instance: &Arc<Instance>, reason: Reason, clock: &Clock) {
        if !instance.begins_to_leave() {
            return;
        }
        self.directory.delist(instance);
        let now = clock.now();
        if reason != Reason::Stop {
            self.tell(instance, reason, now);
        }
        let (instance, clock) = (Arc::clone(instance), clock.clone());
        self.instance_tasks.spawn(async move {
            clock.sleep_until(now + SERVES_ON).await;
            instance.close(reason);
        });
    }

    /// Ends an instance at once. The calls on it that have a behaviour end with it; others go on to what
    /// was planned for them.
    pub(super) fn kill(&self, instance: &Arc<Instance>, death: Death, now: Moment) {
        self.directory.delist(instance);
        self.tell(instance, Reason::Crash, now);
        instance.die(death);
    }

    /// Tells the observers why an instance ends, once.
    pub(super) fn tell(&self, instance: &Instance, reason: Reason, now: Moment) {
        if instance.is_told_of() {
            return;
        }
        self.changed(reason.into(), instance, || now);
        if let (Reason::Stop, Some(kind)) = (reason, self.config.after_stop.kind()) {
            // For leaves alone: others would count a second end.
            self.listeners.instance_changed(kind, instance, now);
        }
    }

    /// Ends an instance as a crash of its program does. Returns whether a live one has this id.
    pub fn kill_instance(&self, id: InstanceId, now: Moment) -> bool {
        let live = self.directory.instance(id).filter(|instance| !instance.is_stopped());
        live.inspect(|instance| self.kill(instance, Death::Crash, now)).is_some()
    }

    fn live_instance(&self, id: &str) -> Option<Arc<Instance>> {
        let found = self.directory.instance(id.parse().ok()?);
        found.filter(|instance| !instance.is_stopped())
    }
}
