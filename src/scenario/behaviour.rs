use std::{sync::Arc, time::Duration};

use super::{
    Cause, Distribution, Draws, Fault, Purpose, Quota, StatusCode, TimeScale,
    distribution::{duration, factor, nanoseconds},
    fault::{StartFault, Subject},
};
use crate::duration::MAX;

/// How a function behaves on a worker. What is not stated is as without a scenario.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Starts of instances.
    pub(crate) cold_start: Option<ColdStart>,
    /// Run times, instead of those of the model.
    pub(crate) run_time: Option<Distribution>,
    /// The sigma of a log-normal factor with a mean of 1 on every run time; 0 for none.
    pub(crate) noise_sigma: f64,
    /// The sigma of a log-normal factor with a mean of 1 on all run times of an instance; 0 for none.
    pub(crate) instance_speed_sigma: f64,
    /// The most calls that run in an instance at once.
    pub(crate) concurrency: Option<u32>,
    /// Calls that wait for others of their instance to end.
    pub(crate) queue: Queue,
    /// The CPU that an instance may use.
    pub(crate) quota: Option<Quota>,
    /// The memory that an instance may use.
    pub(crate) memory: Option<Memory>,
    /// The longest that a call may run.
    pub(crate) timeout: Option<Duration>,
    /// The code for calls that find the queue full, or wait in it for too long.
    pub(crate) overload: StatusCode,
    /// The faults that can concern it.
    pub(crate) faults: Arc<[Arc<Fault>]>,
    /// The factor for run times and cold starts that the scenario states.
    pub(crate) time_scale: TimeScale,
}

/// How instances start.
#[derive(Debug, Clone)]
pub(crate) struct ColdStart {
    /// How long it takes, instead of what the worker or the model says.
    pub(crate) time: Option<Distribution>,
    /// Each other start in progress adds this share of the time.
    pub(crate) slow_down: f64,
    /// How many of 100 starts fail.
    pub(crate) fail_percent: f64,
}

/// The calls that may wait for a place in an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queue {
    /// How many.
    pub(crate) depth: u32,
    /// For how long.
    pub(crate) timeout: Option<Duration>,
}

/// The memory that an instance may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// In bytes.
    pub(crate) limit: u64,
    /// What an instance holds without calls grows by so many bytes in a second.
    pub(crate) growth_per_second: f64,
}

/// What the start of an instance will be like, decided when it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct StartPlan {
    /// How long it takes, also if it fails then.
    pub cold_start: Duration,
    /// The code with which it fails, if it does.
    pub fails: Option<StatusCode>,
    /// How fast the instance is, as a divisor of run times; 1 is the speed without a scenario.
    pub speed: f64,
    /// Why it fails or is slow.
    pub reason: Cause,
}

impl Behaviour {
    /// Plans the start of an instance. `draws` are the function's random numbers and `number` is the
    /// instance's number, `starts` are the worker's other starts in progress, `default` is the time
    /// without a scenario, and `since_start` is the worker's age.
    ///
    /// The same input gives the same plan, but for faults that happen a limited number of times.
    #[must_use]
    pub fn start(
        &self,
        draws: Draws,
        number: u64,
        starts: usize,
        default: Duration,
        since_start: Duration,
    ) -> StartPlan {
        let mut plan =
            StartPlan { cold_start: default, fails: None, speed: 1.0, reason: Cause::None };
        if let Some(cold_start) = &self.cold_start {
            if let Some(time) = &cold_start.time {
                let time = time.draw(draws, number, Purpose::ColdStart);
                plan.cold_start = self.time_scale.apply(time);
            }
            let slower = 1.0 + cold_start.slow_down * starts as f64;
            plan.cold_start = stretch(plan.cold_start, slower);
            if 100.0 * draws.unit(number, Purpose::ColdStartFailure) < cold_start.fail_percent {
                (plan.fails, plan.reason) = (Some(StatusCode::INTERNAL), Cause::StartFailed);
            }
        }
        if self.instance_speed_sigma > 0.0 {
            let u = draws.unit(number, Purpose::InstanceSpeed);
            plan.speed = 1.0 / factor(self.instance_speed_sigma, u);
        }
        let subject = Subject { number, instance: number, age: Duration::ZERO, since_start };
        for fault in &*self.faults {
            let Some(effect) = fault.of_start() else { continue };
            if plan.fails.is_some() || !fault.fires(draws, &subject) {
                continue;
            }
            match effect {
                StartFault::Fail(code) => plan.fails = Some(*code),
                StartFault::Slow(time) => {
                    let more = time.draw(draws, number, fault.delay());
                    plan.cold_start = plan.cold_start.saturating_add(more).min(MAX);
                }
            }
            plan.reason = Cause::Fault(fault.shared_name());
        }
        plan
    }

    /// The request header by which a caller may ask for a fault, if one may.
    #[must_use]
    pub fn fault_header(&self) -> Option<&str> {
        self.faults.iter().find_map(|fault| fault.header())
    }
}

/// A duration times a factor, at most the longest one.
pub(super) fn stretch(time: Duration, factor: f64) -> Duration {
    if factor == 1.0 { time.min(MAX) } else { duration(nanoseconds(time) * factor) }
}
