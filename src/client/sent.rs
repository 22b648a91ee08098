use std::time::Duration;

use tonic::{Code, Status};

use super::{Answer, Arrival};
use crate::clock::Moment;

/// A call that was sent and has ended. Moments are counted from the beginning of the run. A run keeps one
/// of these for each call, so it is small: the text of an error is not kept, because a server decides how
/// long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Which of the functions it called.
    pub function: u32,
    /// When it was to be sent, in nanoseconds.
    pub intended_ns: u64,
    /// When it was sent, in nanoseconds.
    pub sent_ns: u64,
    /// When it ended, in nanoseconds.
    pub ended_ns: u64,
    /// The gRPC code that it ended with.
    pub code: Code,
    /// What the worker says of it, if it says anything and the call succeeded.
    pub timing: Option<Timing>,
}

/// What a worker says of a call. A worker may claim any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The predicted run time, in nanoseconds.
    pub predicted_ns: u64,
    /// How long it waited for its instance's cold start, in nanoseconds: on the worker, and before it was sent
    /// there if this program started the instance.
    pub waited_ns: u64,
    /// How much longer than these two it took on the worker's own clock, in nanoseconds.
    pub late_ns: u64,
}

impl Sent {
    pub(super) fn new(
        intended: Arrival,
        [began, sent, ended]: [Moment; 3],
        outcome: &Result<Answer, Status>,
    ) -> Self {
        let since = |moment: Moment| nanoseconds(moment - began);
        let answer = outcome.as_ref().ok();
        let before = answer.map_or(Duration::ZERO, |answer| answer.waited);
        let trailers = answer.and_then(|answer| answer.trailers);
        Self {
            function: intended.function as u32,
            intended_ns: nanoseconds(intended.at),
            sent_ns: since(sent),
            ended_ns: since(ended),
            code: outcome.as_ref().map_or_else(Status::code, |_| Code::Ok),
            timing: trailers.map(|trailers| {
                let expected = trailers.cold_start + trailers.runtime;
                Timing {
                    predicted_ns: nanoseconds(trailers.runtime),
                    waited_ns: nanoseconds(trailers.cold_start.saturating_add(before)),
                    late_ns: nanoseconds(trailers.took().saturating_sub(expected)),
                }
            }),
        }
    }

    /// How much later than intended it was sent.
    #[must_use]
    pub fn lag_ns(&self) -> u64 {
        self.sent_ns.saturating_sub(self.intended_ns)
    }

    /// From the intended moment until its end.
    #[must_use]
    pub fn latency_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.intended_ns)
    }

    /// From sending until its end, without what it waited for a cold start.
    #[must_use]
    pub fn observed_ns(&self) -> u64 {
        let waited = self.timing.map_or(0, |timing| timing.waited_ns);
        (self.ended_ns - self.sent_ns).saturating_sub(waited)
    }
}

/// A worker may claim to have taken longer than a number holds.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_made_takes_one_line_of_the_cache() {
        assert_eq!(size_of::<Sent>(), 64);
    }
}
