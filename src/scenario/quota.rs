use std::time::Duration;

use crate::duration::MAX;

/// The CPU that an instance may use, as the kernel's CFS bandwidth control gives it: so much CPU time in
/// each period, and nothing more until the next one begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// CPU time in each period, divided by the period.
    pub cores: f64,
    /// The period. The kernel's default is 100 ms.
    pub period: Duration,
}

impl Quota {
    /// The kernel's own period.
    pub const DEFAULT_PERIOD: Duration = Duration::from_millis(100);

    /// How long a call takes that would run for `run_time` on `cores` of its own. Its period begins
    /// with it, and it has this share, from 0 to 1, of the instance's CPU time.
    ///
    /// A call that needs no more than its share is not slowed down. One that does uses up its share of
    /// each period at the begin of the period and waits for the next one.
    #[must_use]
    pub fn run_time(&self, run_time: Duration, cores: f64, share: f64) -> Duration {
        let allowed = self.cores * share;
        if run_time.is_zero() || cores <= allowed {
            return run_time;
        }
        // In picoseconds: rounded to nanoseconds, a small part of a period would be wrong by a ten-thousandth,
        // and a long call by as many periods.
        let picoseconds = |time: Duration| time.min(MAX).as_nanos() * 1000;
        let (run_time, period) = (picoseconds(run_time), picoseconds(self.period).max(1));
        // The time in each period for which the call runs, and for which it waits.
        let runs = (period as f64 * allowed / cores).round();
        let runs = (runs as u128).clamp(1, period);
        let waits = (period - runs).saturating_mul((run_time - 1) / runs);
        let nanoseconds = run_time.saturating_add(waits) / 1000;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)).min(MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const HALF: Quota = Quota { cores: 0.5, period: Duration::from_millis(100) };

    /// 50 ms of CPU in each period of 100 ms: two periods are used up, and 20 ms are left.
    #[test]
    fn a_call_above_the_quota_ends_after_full_periods_and_the_rest() {
        assert_eq!(HALF.run_time(120 * MS, 1.0, 1.0), 220 * MS);
        for (run_time, cores, share, expected) in [
            (50, 1.0, 1.0, 50),
            (51, 1.0, 1.0, 101),
            (100, 1.0, 1.0, 150),
            (101, 1.0, 1.0, 201),
            (120, 0.5, 1.0, 120),
            // 25 ms of each period at two cores.
            (30, 2.0, 1.0, 105),
            // Another call has the other half.
            (30, 1.0, 0.5, 105),
            (0, 1.0, 1.0, 0),
            (120, 0.0, 1.0, 120),
        ] {
            let found = HALF.run_time(run_time * MS, cores, share);
            assert_eq!(found, expected * MS, "{run_time} ms on {cores} cores");
        }
    }

    #[test]
    fn the_smallest_quota_gives_the_longest_time_and_no_more() {
        let tiny = Quota { cores: 1e-300, period: Duration::from_nanos(1) };
        assert!(tiny.run_time(crate::duration::MAX, 1e9, 1e-9) <= crate::duration::MAX);
        let long = Quota { cores: 0.001, period: crate::duration::MAX };
        assert_eq!(long.run_time(crate::duration::MAX, 8.0, 1.0), crate::duration::MAX);
    }

    /// 48,567 full periods of 1.002292 ms; with a period's run time rounded to nanoseconds one more.
    #[test]
    fn a_small_part_of_a_short_period_is_not_rounded_up() {
        let small = Quota { cores: 0.05, period: Duration::from_nanos(1_002_292) };
        let found = small.run_time(Duration::from_nanos(316_663_401), 7.686_285_323_348_389, 1.0);
        let off = found.abs_diff(Duration::from_nanos(48_678_322_001));
        assert!(off <= Duration::from_micros(4), "{found:?}");
    }

    proptest! {
        /// The formula of the kernel, with numbers that are not exact.
        #[test]
        fn it_is_the_kernels_formula(
            run_time in 1_u64..10_000_000_000,
            cores in 0.1..8.0,
            quota in 0.05..4.0,
            period in 1_000_000_u64..200_000_000,
        ) {
            let limit = Quota { cores: quota, period: Duration::from_nanos(period) };
            let found = limit.run_time(Duration::from_nanos(run_time), cores, 1.0);
            let work = run_time as f64 * cores;
            let each = quota * period as f64;
            let expected = match cores <= quota {
                true => run_time as f64,
                false => {
                    let full = (work / each).ceil() - 1.0;
                    full * period as f64 + (work - full * each) / cores
                }
            };
            let off = (found.as_nanos() as f64 - expected).abs();
            // The time in a period is exact to half a picosecond, and the number of full periods as it is. A
            // period more or less where the work is a multiple of a period's, within that.
            let error = 0.0005 / (each / cores);
            let full = work / each;
            let slack = full * error + 1e-6;
            let is_edge = !(slack..=1.0 - slack).contains(&full.fract());
            let period = if is_edge { period as f64 } else { 0.0 };
            prop_assert!(off <= (error + 1e-12) * expected + 2.0 + period, "{found:?}, {expected}");
        }
    }
}
