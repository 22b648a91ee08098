use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Distribution, Draws, End, Pattern, Purpose, StatusCode, draw::hash};

/// Something that goes wrong for some calls or starts.
///
/// Its switch and its counter are the only parts of a scenario that change. A limited number of times is
/// counted over all threads, so that with threads it is not determined which of two calls at the same
/// time is the last one.
#[derive(Debug)]
pub struct Fault {
    name: Arc<str>,
    /// What its random numbers are for.
    hash: u64,
    pub(super) effect: Effect,
    pub(super) whom: Whom,
    pub(super) when: When,
    is_on: AtomicBool,
    fired: AtomicU64,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// The call takes so much longer.
    Delay(Distribution),
    /// The call ends so, after its run time.
    End(End),
    /// The start of an instance goes wrong.
    Start(StartFault),
    /// What the value of this request header asks for.
    Header(Arc<str>),
}

/// How the start of an instance goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum StartFault {
    /// It fails with this code.
    Fail(StatusCode),
    /// It takes so much longer.
    Slow(Distribution),
}

/// Whom it concerns; what is not stated concerns all.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Whom {
    pub(super) functions: Vec<Pattern>,
    /// Numbers of workers of a fleet, from 0.
    pub(super) workers: Vec<usize>,
    /// Every n-th instance of a function.
    pub(super) every_nth: Option<u64>,
    /// Instances that are older than this.
    pub(super) older_than: Option<Duration>,
}

/// When it happens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct When {
    /// To how many of 100.
    pub(super) percent: f64,
    /// From when on, since the worker's begin.
    pub(super) from: Duration,
    /// Until when, since the worker's begin.
    pub(super) to: Option<Duration>,
    /// The time after which `from` and `to` hold again.
    pub(super) every: Option<Duration>,
    /// How many times in all.
    pub(super) at_most: Option<u64>,
}

impl Default for When {
    fn default() -> Self {
        Self { percent: 100.0, from: Duration::ZERO, to: None, every: None, at_most: None }
    }
}

/// A call or a start that a fault may concern.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    /// The number of the call, or of the instance that starts, among those of its function.
    pub(super) number: u64,
    /// The number of the instance.
    pub(super) instance: u64,
    /// The age of the instance.
    pub(super) age: Duration,
    /// The age of the worker.
    pub(super) since_start: Duration,
}

impl Fault {
    pub(super) fn new(name: &str, effect: Effect, whom: Whom, when: When, is_on: bool) -> Self {
        Self {
            name: name.into(),
            hash: hash(name),
            effect,
            whom,
            when,
            is_on: AtomicBool::new(is_on),
            fired: AtomicU64::new(0),
        }
    }

    /// Its name, which no other fault of the scenario has.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// What it does, in one word.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match &self.effect {
            Effect::Delay(_) => "delay",
            Effect::End(end) => match end {
                End::Answer | End::Refused(_) => "answer",
                End::Error(_) => "error",
                End::Status(_) => "status",
                End::Kill(_) => "kill",
                End::Hang => "hang",
                End::DropConnection => "drop",
            },
            Effect::Start(_) => "start",
            Effect::Header(_) => "header",
        }
    }

    /// Whether it can happen.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Lets it happen, or not, from now on.
    pub fn set_on(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// How many times it has happened.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }

    /// The request header by which a caller asks for it, if that is how it happens.
    pub(super) fn header(&self) -> Option<&str> {
        match &self.effect {
            Effect::Header(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn of_start(&self) -> Option<&StartFault> {
        match &self.effect {
            Effect::Start(effect) => Some(effect),
            _ => None,
        }
    }

    /// What the delays are drawn for.
    pub(super) fn delay(&self) -> Purpose {
        Purpose::FaultDelay(self.hash)
    }

    /// Whether it can concern a function on a worker.
    pub(super) fn concerns(&self, worker: usize, function_id: &str, image: &str) -> bool {
        let Whom { functions, workers, .. } = &self.whom;
        (workers.is_empty() || workers.contains(&worker))
            && (functions.is_empty()
                || functions.iter().any(|pattern| pattern.matches(function_id, image)))
    }

    /// Whether it happens to a call or a start of a function that it concerns, and counts it then.
    pub(super) fn fires(&self, draws: Draws, subject: &Subject) -> bool {
        self.is_on()
            && self.when.holds(subject.since_start)
            && self.whom.has(subject)
            && self.is_drawn(draws, subject.number)
            && self.count()
    }

    fn is_drawn(&self, draws: Draws, number: u64) -> bool {
        let percent = self.when.percent;
        percent >= 100.0 || 100.0 * draws.unit(number, Purpose::Fault(self.hash)) < percent
    }

    /// Counts it, unless it has happened as often as it may.
    fn count(&self) -> bool {
        let most = self.when.at_most.unwrap_or(u64::MAX);
        let next = |fired: u64| (fired < most).then(|| fired + 1);
        self.fired.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

impl Whom {
    fn has(&self, subject: &Subject) -> bool {
        self.every_nth.is_none_or(|n| (subject.instance + 1).is_multiple_of(n))
            && self.older_than.is_none_or(|age| subject.age > age)
    }
}

impl When {
    fn holds(&self, since_start: Duration) -> bool {
        let now = match self.every {
            Some(every) if !every.is_zero() => {
                let left = since_start.as_nanos() % every.as_nanos();
                // Less than `every`, which is at most ten years.
                Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
            }
            _ => since_start,
        };
        now >= self.from && self.to.is_none_or(|to| now < to)
    }
}

#[cfg(test)]
mod tests;
