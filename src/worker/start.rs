//! How instances begin.

use std::sync::Arc;

use hyperfake_predictor::{Error, ErrorKind, Result};

use super::{
    EventKind, FeatureScope, FunctionInfo, Instance, Lifetime, Worker, function::Function,
    gate::Reason, lifecycle,
};
use crate::{
    clock::{Clock, Moment},
    scenario::{Cause, StartPlan},
};

impl Worker {
    /// Starts an instance of a function. It exists from now on, and [`Worker::ready`] says when its
    /// cold start is over; a call that comes earlier waits for what is left of it.
    ///
    /// # Errors
    ///
    /// `NotFound` when the registry does not know the function or no model has its image,
    /// `Unavailable` when the registry does not answer or the worker shuts down, `Invalid` for
    /// an id that cannot be one.
    pub async fn start(
        self: &Arc<Self>,
        function_id: &str,
        clock: &Clock,
    ) -> Result<Arc<Instance>> {
        let function = match self.function(function_id) {
            Ok(function) if function.is_deleted() => self.look_up(function_id, clock).await?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.look_up(function_id, clock).await?
            }
            found => found?,
        };
        self.launch(&function, Lifetime::UntilIdle, clock)
    }

    /// Starts an instance that has an address of its own and ends only when it is told to. The
    /// function is looked up each time, so that a change of it holds for the next instance.
    ///
    /// # Errors
    ///
    /// Those of [`Worker::start`], and `Exhausted` when no address is free.
    pub async fn start_with_address(
        self: &Arc<Self>,
        function_id: &str,
        clock: &Clock,
    ) -> Result<Arc<Instance>> {
        super::check_id("function", function_id)?;
        let function = self.look_up(function_id, clock).await?;
        self.launch(&function, Lifetime::UntilStopped, clock)
    }

    /// Waits until the cold start of an instance is over and its RUNNING event was sent. When the
    /// wait is cancelled, the instance goes on all the same.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the instance ended before it was ready, and when the worker shuts down; what the
    /// scenario says when the start fails.
    pub async fn ready(&self, instance: &Instance) -> Result<()> {
        let was_ready = instance.ready().await;
        self.check_open()?;
        if was_ready {
            return Ok(());
        }
        if let Some((error, _)) = instance.start_failed().filter(|_| instance.is_dead()) {
            return Err(error);
        }
        let message = format!("the instance '{}' was stopped before it was ready", instance.id);
        Err(Error::unavailable(message))
    }

    /// Looks up every function that was started here again: instances of those that were deleted
    /// end. A store that does not answer changes nothing.
    pub async fn look_up_again(self: &Arc<Self>, clock: &Clock) {
        for id in self.directory.function_ids() {
            // An unknown one is ended there.
            let _ = self.look_up(&id, clock).await;
        }
    }

    fn launch(
        self: &Arc<Self>,
        function: &Arc<Function>,
        lifetime: Lifetime,
        clock: &Clock,
    ) -> Result<Arc<Instance>> {
        self.check_open()?;
        let (_kept, function) = &self.directory.keep(function);
        self.bring_up_to_date(function);
        let now = clock.now();
        let start = |number| self.plan_start(function, number, now);
        let instance = self.directory.add_instance(function, lifetime, now, start)?;
        if lifetime == Lifetime::UntilStopped
            && let Some(addresses) = &self.addresses
        {
            match addresses.assign(instance.id) {
                Ok(address) => instance.set_address(address),
                Err(error) => {
                    instance.close(Reason::Stop);
                    self.directory.retire(&instance, now, true);
                    return Err(error);
                }
            }
        }
        self.changed(EventKind::Start, &instance, || instance.created);
        self.directory.enlist(function, &instance);
        let task = lifecycle::run_instance(Arc::clone(self), Arc::clone(&instance), clock.clone());
        self.instance_tasks.spawn(task);
        // Deleted since it was looked up, and this instance may have come too late to be ended.
        if function.is_deleted() {
            self.leave(&instance, Reason::Timeout, clock);
        }
        Ok(instance)
    }

    /// Plans the start of the instance of this number.
    fn plan_start(&self, function: &Function, number: u64, now: Moment) -> StartPlan {
        let cold_start = self.config.cold_start.or(function.info.model.cold_start);
        let cold_start = cold_start.unwrap_or(self.config.runtime.cold_start());
        let cold_start = self.config.layers.time_scale.apply(cold_start);
        self.starts.begin(now, |others| match function.conduct.behaviour() {
            None => StartPlan { cold_start, fails: None, speed: 1.0, reason: Cause::None },
            Some(behaviour) => {
                let (draws, age) = (function.info.draws, now - self.scenario.since());
                behaviour.start(draws, number, others, cold_start, age)
            }
        })
    }

    async fn look_up(self: &Arc<Self>, id: &str, clock: &Clock) -> Result<Arc<Function>> {
        let found = self.store.lookup(id).await.map_err(|error| {
            Error::unavailable(format!("cannot look up the function '{id}': {}", error.public()))
        })?;
        let Some(spec) = found else {
            self.function_deleted(id, clock);
            let message = format!("the function registry knows no function with the id '{id}'");
            return Err(Error::not_found(message));
        };
        let model = self.catalog.resolve(&spec.image)?;
        let (draws, image) = (self.seed.function(id), spec.image.as_str().into());
        let info = FunctionInfo { id: id.into(), image, spec, model, draws };
        let load = match self.config.feature_scope {
            FeatureScope::Function => Arc::default(),
            FeatureScope::Worker => Arc::clone(&self.load),
        };
        Ok(self.directory.add_function(info, load, clock.now()))
    }
}
