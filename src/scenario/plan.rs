use std::{sync::Arc, time::Duration};

use hyperfake_predictor::{Features, Prediction};

use super::{
    Behaviour, Cause, Draws, Purpose, StatusCode,
    behaviour::stretch,
    distribution::factor,
    fault::{Effect, Subject},
    request::{self, Asked},
};
use crate::{duration::MAX, functions::FunctionSpec};

/// What is known of a call when it begins.
#[derive(Debug, Clone, Copy)]
pub struct CallInput<'a> {
    /// How the function behaves; nothing is as predicted.
    pub behaviour: Option<&'a Behaviour>,
    /// The function as it was registered.
    pub function: &'a FunctionSpec,
    /// What the model was told.
    pub features: &'a Features,
    /// What the model answered.
    pub prediction: &'a Prediction,
    /// The function's random numbers.
    pub draws: Draws,
    /// The call's number among those of its function.
    pub number: u64,
    /// The instance that runs it.
    pub instance: InstanceView,
    /// The time since the worker began.
    pub since_start: Duration,
    /// The value of the request header by which faults may be asked for.
    pub fault_header: Option<&'a str>,
}

/// An instance when a call begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceView {
    /// Its number among those of its function.
    pub number: u64,
    /// How fast it is: see [`super::StartPlan::speed`].
    pub speed: f64,
    /// The time since it was ready.
    pub age: Duration,
    /// The memory that its other calls hold, in bytes.
    pub ram_in_use: u64,
    /// Its other calls that run.
    pub running: u32,
}

/// What a call will do, decided before it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How long it runs, however it ends.
    pub run_time: Duration,
    /// The CPU that it holds meanwhile on average, in cores.
    pub cpu_cores: f64,
    /// The memory that it holds meanwhile, in bytes.
    pub ram_bytes: u64,
    /// How it ends.
    pub end: End,
    /// Why it does not just do what was predicted.
    pub reason: Cause,
}

/// How a call ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// It is answered.
    Answer,
    /// It is answered with this error of the function's own code.
    Error(Arc<str>),
    /// It fails with this code.
    Status(StatusCode),
    /// Its instance ends, and with it all calls there.
    Kill(Kill),
    /// It does not end on its own.
    Hang,
    /// The connection of its client is closed.
    DropConnection,
    /// What its caller asked for cannot be read; this says why.
    Refused(Arc<str>),
}

/// How an instance ends that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// Its process crashed.
    Crash,
    /// It needed more memory than it may.
    OutOfMemory,
}

impl Plan {
    /// Exactly what was predicted.
    fn of(prediction: &Prediction) -> Self {
        Self {
            run_time: prediction.runtime,
            cpu_cores: prediction.cpu_cores,
            ram_bytes: prediction.ram_bytes,
            end: End::Answer,
            reason: Cause::None,
        }
    }

    fn ends(&mut self, run_time: Duration, end: End, reason: Cause) {
        (self.run_time, self.end, self.reason) = (run_time, end, reason);
    }
}

/// Plans a call.
///
/// The same input gives the same plan, but for faults that happen a limited number of times. In this
/// order: the run time is drawn, or it is the predicted one; the instance's speed and the noise change it;
/// the CPU quota stretches it; faults delay it; and it ends at the time limit, when memory is short, or as
/// a fault says.
#[must_use]
#[inline]
pub fn plan(input: &CallInput<'_>) -> Plan {
    match input.behaviour {
        None => Plan::of(input.prediction),
        Some(behaviour) => with_behaviour(behaviour, input),
    }
}

fn with_behaviour(behaviour: &Behaviour, input: &CallInput<'_>) -> Plan {
    let CallInput { draws, number, instance, .. } = *input;
    let mut plan = Plan::of(input.prediction);
    if let Some(run_time) = &behaviour.run_time {
        let drawn = run_time.draw(draws, number, Purpose::RunTime);
        plan.run_time = behaviour.time_scale.apply(drawn);
    }
    let mut slower = 1.0 / instance.speed;
    if behaviour.noise_sigma > 0.0 {
        slower *= factor(behaviour.noise_sigma, draws.unit(number, Purpose::Noise));
    }
    plan.run_time = stretch(plan.run_time, slower);
    let needed = plan.run_time;
    if let Some(quota) = &behaviour.quota {
        let share = 1.0 / (f64::from(instance.running) + 1.0);
        plan.run_time = quota.run_time(needed, plan.cpu_cores, share);
    }
    let fault_end = faults(behaviour, input, &mut plan);
    if plan.run_time > needed {
        plan.cpu_cores *= needed.as_secs_f64() / plan.run_time.as_secs_f64();
    }
    if let End::Refused(_) = fault_end {
        plan.ends(Duration::ZERO, fault_end, Cause::Client);
        return plan;
    }
    plan.end = fault_end;
    let hangs = plan.end == End::Hang;
    if let Some(limit) = behaviour.timeout
        && (hangs || plan.run_time > limit)
    {
        let end = End::Status(StatusCode::DEADLINE_EXCEEDED);
        plan.ends(limit, end, Cause::TimeLimit);
    }
    // One that hangs holds its memory until its client gives it up: the instance may run out of it.
    let longest = if plan.end == End::Hang { MAX } else { plan.run_time };
    if let Some(short) = memory_is_short(behaviour, input, plan.ram_bytes)
        && short < longest
    {
        plan.ends(short, End::Kill(Kill::OutOfMemory), Cause::OutOfMemory);
    }
    plan
}

/// Applies the delays of faults, and says how the call ends because of them.
fn faults(behaviour: &Behaviour, input: &CallInput<'_>, plan: &mut Plan) -> End {
    let CallInput { draws, number, instance, since_start, .. } = *input;
    let subject = Subject { number, instance: instance.number, age: instance.age, since_start };
    let mut end = End::Answer;
    for fault in &*behaviour.faults {
        let asked = match (&fault.effect, input.fault_header) {
            (Effect::Start(_), _) | (Effect::Header(_), None) => continue,
            (Effect::Header(name), Some(value)) => Some(request::read(name, value)),
            _ => None,
        };
        if !fault.fires(draws, &subject) {
            continue;
        }
        if plan.reason == Cause::None {
            plan.reason = Cause::Fault(fault.shared_name());
        }
        let (delay, ends) = match (&fault.effect, asked) {
            (Effect::Delay(delay), _) => (delay.draw(draws, number, fault.delay()), End::Answer),
            (Effect::End(end), _) => (Duration::ZERO, end.clone()),
            (_, Some(Ok(Asked { delay, end }))) => (delay, end),
            (_, Some(Err(reason))) => return End::Refused(reason.into()),
            (Effect::Start(_) | Effect::Header(_), None) => continue,
        };
        plan.run_time = plan.run_time.saturating_add(delay).min(MAX);
        if end == End::Answer && ends != End::Answer {
            end = ends;
            plan.reason = Cause::Fault(fault.shared_name());
        }
    }
    end
}

/// The time after which the instance needs more memory than it may, if that comes.
fn memory_is_short(behaviour: &Behaviour, input: &CallInput<'_>, ram: u64) -> Option<Duration> {
    let memory = behaviour.memory.as_ref()?;
    let grown = memory.growth_per_second * input.instance.age.as_secs_f64();
    let needed = input.instance.ram_in_use.saturating_add(ram) as f64 + grown;
    let left = memory.limit as f64 - needed;
    if left < 0.0 {
        return Some(Duration::ZERO);
    }
    if memory.growth_per_second <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(left / memory.growth_per_second).ok().filter(|short| *short < MAX)
}

#[cfg(test)]
mod tests;
