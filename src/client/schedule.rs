use std::{fmt, time::Duration};

/// A call that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When, counted from the beginning of the run.
    pub at: Duration,
    /// Which of the functions it calls.
    pub function: usize,
}

/// When calls are sent, and which.
pub trait Arrivals: fmt::Debug + Send + Sync {
    /// The calls, in the order of their moments: the same ones each time.
    fn arrivals(&self) -> Box<dyn Iterator<Item = Arrival> + Send>;
}

/// Generated arrivals: evenly spaced, or with random gaps around the same mean. They go to the
/// functions in turn.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Calls each second.
    rate: f64,
    /// When it ends, in seconds.
    end: f64,
    /// How many there are, if they are evenly spaced.
    count: usize,
    /// The next moment, if gaps are random.
    next: f64,
    /// Draws the gaps, if they are random.
    random: Option<fastrand::Rng>,
    functions: usize,
    number: usize,
}

impl Schedule {
    /// Arrivals at this rate per second, for this long, for so many functions.
    #[must_use]
    pub fn even(rate: f64, length: Duration, functions: usize) -> Self {
        let end = length.as_secs_f64();
        // What is said in decimals is not exact in binary: 2.2 calls a second for a minute are 132.
        let count = (rate * end * (1.0 - 1e-12)).ceil() as usize;
        Self { rate, end, count, next: 0.0, random: None, functions, number: 0 }
    }

    /// How many calls it has, unless its gaps are random.
    #[must_use]
    pub fn count_if_even(&self) -> Option<usize> {
        self.random.is_none().then_some(self.count)
    }

    /// The same with random gaps, as of many independent users (a Poisson process).
    #[must_use]
    pub fn poisson(rate: f64, length: Duration, functions: usize, seed: u64) -> Self {
        let random = Some(fastrand::Rng::with_seed(seed));
        Self { random, ..Self::even(rate, length, functions) }
    }
}

impl Arrivals for Schedule {
    fn arrivals(&self) -> Box<dyn Iterator<Item = Arrival> + Send> {
        Box::new(self.clone())
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let (now, is_over) = match &mut self.random {
            // Not a sum of gaps, whose rounding would add up.
            None => (self.number as f64 / self.rate, self.number >= self.count),
            Some(random) => {
                let now = self.next;
                // From (0, 1], so that the logarithm is finite.
                self.next += -(1.0 - random.f64()).ln() / self.rate;
                (now, now >= self.end)
            }
        };
        let function = self.number % self.functions.max(1);
        self.number += 1;
        (!is_over).then(|| Arrival { at: Duration::from_secs_f64(now), function })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn even_arrivals_have_equal_gaps_and_go_to_the_functions_in_turn() {
        let schedule = Schedule::even(4.0, Duration::from_secs(1), 2);
        let found: Vec<_> = schedule.map(|arrival| (arrival.at, arrival.function)).collect();
        let expected = [(0, 0), (250, 1), (500, 0), (750, 1)];
        assert_eq!(found, expected.map(|(ms, function)| (Duration::from_millis(ms), function)));
    }

    #[test]
    fn there_are_as_many_arrivals_as_the_rate_and_the_length_say() {
        for (rate, seconds, expected) in [
            (10.0, 1, 10),
            (300.0, 1, 300),
            (200.0, 3, 600),
            (0.1, 60, 6),
            (49.0, 7, 343),
            (1.1, 30, 33),
            (1.1, 50, 55),
            (2.2, 60, 132),
            (2.5, 1, 3),
            (0.3, 1, 1),
        ] {
            let schedule = Schedule::even(rate, Duration::from_secs(seconds), 1);
            assert_eq!(schedule.count_if_even(), Some(expected));
            assert_eq!(schedule.count(), expected, "{rate} for {seconds} s");
        }
    }

    proptest! {
        #[test]
        fn a_rate_in_hundredths_for_whole_seconds_has_exactly_as_many_calls(
            hundredths in 1..100_000u64,
            seconds in 1..500u64,
        ) {
            let schedule =
                Schedule::even(hundredths as f64 / 100.0, Duration::from_secs(seconds), 1);
            let expected = (hundredths * seconds).div_ceil(100);
            prop_assert_eq!(schedule.count_if_even(), Some(expected as usize));
        }
    }

    #[test]
    fn random_gaps_keep_the_rate_and_are_the_same_for_the_same_seed() {
        let times = |seed| {
            let schedule = Schedule::poisson(1000.0, Duration::from_secs(10), 1, seed);
            schedule.map(|arrival| arrival.at).collect::<Vec<_>>()
        };
        assert!((9_500..10_500).contains(&times(7).len()), "{}", times(7).len());
        assert_eq!(times(7), times(7));
        assert_ne!(times(7), times(8));
    }
}
