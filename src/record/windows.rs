use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::Row;

/// What calls took and how they ended, by windows of time: made from rows in any order, of which none is
/// kept.
///
/// A call belongs to the window in which it came in. The windows become wider as the rows need it: there
/// are at most [`Windows::MOST`], and each is as long as 2^k / 512 seconds.
#[derive(Debug)]
pub struct Windows {
    /// In nanoseconds.
    width: u64,
    /// By their number: the one of number n begins at n times the width after the Unix epoch.
    windows: BTreeMap<u64, Window>,
    /// The outcomes of calls that were not answered, in the order in which they came.
    failures: Vec<Failure>,
    calls: u64,
}

/// The calls that came in during one window.
#[derive(Debug)]
pub struct Window {
    /// The latencies of those that were answered, in nanoseconds, exact to 1 %.
    latencies: Histogram<u32>,
    /// Those that were not answered, by the number of the outcome.
    failures: Vec<u64>,
}

/// One way in which calls were not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The outcome, such as `UNAVAILABLE`.
    pub outcome: String,
    /// How many calls ended so.
    pub calls: u64,
}

/// The narrowest window: 1/512 s, in nanoseconds.
const NARROWEST: u64 = 1_953_125;
/// The most outcomes that are told apart: a file can have any number.
const MOST_OUTCOMES: usize = 32;
/// What the others are called.
const OTHERS: &str = "others";

impl Default for Windows {
    fn default() -> Self {
        Self { width: NARROWEST, windows: BTreeMap::new(), failures: Vec::new(), calls: 0 }
    }
}

impl Windows {
    /// The most windows from the first to the last.
    pub const MOST: u64 = 240;

    /// Counts a call.
    pub fn add(&mut self, row: &Row<'_>) {
        self.calls += 1;
        let failure = (!row.succeeded()).then(|| self.failure(&row.outcome));
        self.make_room(row.arrival_unix_ns);
        let window = self.windows.entry(row.arrival_unix_ns / self.width).or_default();
        match failure {
            // A histogram that grows by itself takes every number.
            None => _ = window.latencies.record(row.latency_ns()),
            Some(number) => {
                let count = window.failures.len().max(number + 1);
                window.failures.resize(count, 0);
                window.failures[number] += 1;
            }
        }
    }

    /// Calls that were counted.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The outcomes of calls that were not answered.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// How long each window is, in nanoseconds.
    #[must_use]
    pub fn width_ns(&self) -> u64 {
        self.width
    }

    /// The windows in which calls came in, in their order, and when each begins: nanoseconds after the
    /// Unix epoch.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Window)> {
        self.windows.iter().map(|(number, window)| (number.saturating_mul(self.width), window))
    }

    /// The number of an outcome.
    fn failure(&mut self, outcome: &str) -> usize {
        let known = |failures: &[Failure], outcome: &str| {
            failures.iter().position(|known| known.outcome == outcome)
        };
        let number = known(&self.failures, outcome).unwrap_or_else(|| {
            let outcome = if self.failures.len() < MOST_OUTCOMES { outcome } else { OTHERS };
            known(&self.failures, outcome).unwrap_or_else(|| {
                self.failures.push(Failure { outcome: outcome.to_owned(), calls: 0 });
                self.failures.len() - 1
            })
        });
        self.failures[number].calls += 1;
        number
    }

    /// Makes the windows wide enough for a call that came in at this moment.
    fn make_room(&mut self, arrival: u64) {
        loop {
            let number = arrival / self.width;
            let first = self.windows.first_key_value().map_or(number, |(first, _)| *first);
            let last = self.windows.last_key_value().map_or(number, |(last, _)| *last);
            if last.max(number) - first.min(number) < Self::MOST {
                return;
            }
            self.width *= 2;
            for (number, window) in std::mem::take(&mut self.windows) {
                self.windows.entry(number / 2).or_default().merge(window);
            }
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        // Two figures; it grows as it needs.
        let latencies =
            Histogram::new(2).unwrap_or_else(|_| unreachable!("a constant within its bounds"));
        Self { latencies, failures: Vec::new() }
    }
}

impl Window {
    /// The latency that this share of the calls that were answered did not exceed, in nanoseconds;
    /// nothing if none was.
    #[must_use]
    pub fn latency_ns(&self, share: f64) -> Option<u64> {
        (!self.latencies.is_empty()).then(|| self.latencies.value_at_quantile(share))
    }

    /// How many calls had the outcome of this number.
    #[must_use]
    pub fn failures(&self, outcome: usize) -> u64 {
        self.failures.get(outcome).copied().unwrap_or(0)
    }

    fn merge(&mut self, other: Self) {
        // A histogram that grows by itself takes every other one.
        let _ = self.latencies.add(other.latencies);
        let count = self.failures.len().max(other.failures.len());
        self.failures.resize(count, 0);
        for (count, more) in self.failures.iter_mut().zip(other.failures) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(arrival_unix_ns: u64, run_ns: u64, outcome: &'static str) -> Row<'static> {
        Row { arrival_unix_ns, run_ns: Some(run_ns), outcome: outcome.into(), ..Row::default() }
    }

    proptest! {
        #[test]
        fn every_call_is_in_one_window_whatever_the_order(
            calls in prop::collection::vec(
                (
                    prop_oneof![0..10_000_000_000_u64, any::<u64>()],
                    prop_oneof![0..1_000_000_u64, any::<u64>()],
                    prop::sample::select(vec!["OK", "UNAVAILABLE", "CANCELLED"]),
                ),
                0..200,
            ),
        ) {
            let mut windows = Windows::default();
            for (arrival, run, outcome) in &calls {
                windows.add(&row(*arrival, *run, outcome));
            }
            prop_assert_eq!(windows.calls(), calls.len() as u64);
            let of = |wanted: &str| calls.iter().filter(|call| call.2 == wanted).count() as u64;
            let answered = windows.iter().map(|(_, window)| window.latencies.len()).sum::<u64>();
            prop_assert_eq!(answered, of("OK"));
            for (number, failure) in windows.failures().iter().enumerate() {
                let count = windows.iter().map(|(_, window)| window.failures(number)).sum::<u64>();
                prop_assert_eq!(count, of(&failure.outcome));
                prop_assert_eq!(count, failure.calls);
            }
            let begins: Vec<_> = windows.iter().map(|(begin, _)| begin).collect();
            prop_assert!(begins.is_sorted());
            for (arrival, ..) in &calls {
                let begin = arrival - arrival % windows.width_ns();
                prop_assert!(begins.contains(&begin));
            }
            if let [first, .., last] = *begins {
                prop_assert!((last - first) / windows.width_ns() < Windows::MOST);
            }
        }
    }

    #[test]
    fn windows_are_as_narrow_as_their_number_allows() {
        let mut windows = Windows::default();
        let second = 1_000_000_000;
        let begin = 1_767_225_600 * second;
        for at in 0..120 {
            windows.add(&row(begin + at * second, 1000 * (at + 1), "OK"));
        }
        assert_eq!(windows.width_ns(), second / 2);
        let found: Vec<_> =
            windows.iter().map(|(begin, window)| (begin, window.latency_ns(0.99))).collect();
        assert_eq!(found.len(), 120);
        for ((at, found), expected) in found.into_iter().zip(1_u64..) {
            assert_eq!(at, begin + (expected - 1) * second);
            assert!(found.unwrap().abs_diff(1000 * expected) <= 10 * expected, "{found:?}");
        }
    }

    #[test]
    fn outcomes_that_a_file_invents_are_counted_together_at_some_point() {
        let mut windows = Windows::default();
        for number in 0..1000 {
            let outcome = format!("outcome {number}");
            windows.add(&Row { outcome: outcome.into(), ..row(0, 0, "") });
        }
        let failures = windows.failures();
        assert_eq!(failures.len(), MOST_OUTCOMES + 1);
        let others = &failures[MOST_OUTCOMES];
        assert_eq!((&*others.outcome, others.calls), (OTHERS, 1000 - MOST_OUTCOMES as u64));
    }
}
