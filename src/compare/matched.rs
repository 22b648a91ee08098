use serde::Serialize;

use super::run::Call;

/// How far each fake call is from the real call that it repeats.
///
/// Where run times are random, even a perfect fake differs from the real call by call: that of a second run
/// and of the mean stand beside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PerCall {
    /// How calls were matched: by their number, or in the order in which they came in.
    pub by: &'static str,
    /// Pairs of calls that were both answered, and whose real run time is not 0.
    pub calls: u64,
    /// The mean absolute error, over the real run time.
    pub mape: f64,
    /// The median of the same.
    pub median_ape: f64,
    /// By how much all fake run times together are longer than the real ones, as a share of these.
    pub bias: f64,
    /// Pearson's correlation of the logarithms.
    pub correlation: Option<f64>,
    /// `mape` of a fake that answers the mean of the real run times.
    pub mape_mean: f64,
    /// `mape` of the second run of the real, if its calls match too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mape_real: Option<f64>,
}

/// Which calls of two runs are the same call of the workload.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    by: &'static str,
    pairs: Vec<(usize, usize)>,
    /// Of the pairs, how many came in more than [`LATE`] before or after the real one.
    pub(super) late: u64,
}

/// As much later than the schedule a call may come in, in nanoseconds.
pub(super) const LATE: f64 = 10e6;

impl Pairs {
    /// The pairs of two runs' calls, which are sorted by their arrival; nothing if the runs had different
    /// workloads: the moments at which nine of ten pairs came in, since the begin, differ by less than
    /// the mean time between two calls (at least 2 ms, at most 100 ms).
    pub(super) fn of(real: &[Call], fake: &[Call]) -> Option<Self> {
        let by_number = by_number(real, fake).map(|pairs| ("call number", pairs));
        let by_order = (real.len() == fake.len())
            .then(|| ("order of arrival", (0..real.len()).map(|index| (index, index)).collect()));
        let length = real.last()?.arrival - real.first()?.arrival;
        let within = (length as f64 / real.len() as f64).clamp(2e6, 100e6);
        by_number.into_iter().chain(by_order).find_map(|(by, pairs)| {
            let offsets = offsets(real, fake, &pairs);
            let close = offsets.iter().filter(|offset| **offset <= within).count();
            let late = offsets.iter().filter(|offset| **offset > LATE).count() as u64;
            (10 * close >= 9 * pairs.len()).then_some(Self { by, pairs, late })
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.pairs.len() as u64
    }

    /// The errors of the pairs that were both answered; nothing without any.
    pub(super) fn errors(&self, real: &[Call], fake: &[Call], mean: f64) -> Option<PerCall> {
        let pairs: Vec<(f64, f64)> = self
            .pairs
            .iter()
            .map(|(first, second)| (&real[*first], &fake[*second]))
            .filter(|(real, fake)| real.counts() && fake.counts() && real.run > 0.0)
            .map(|(real, fake)| (real.run, fake.run))
            .collect();
        let count = pairs.len() as f64;
        let mut errors: Vec<f64> =
            pairs.iter().map(|(real, fake)| (fake - real).abs() / real).collect();
        errors.sort_by(f64::total_cmp);
        let sums = pairs.iter().fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
        Some(PerCall {
            by: self.by,
            calls: pairs.len() as u64,
            mape: errors.iter().sum::<f64>() / count,
            median_ape: *errors.get(errors.len().checked_sub(1)? / 2)?,
            bias: sums.1 / sums.0 - 1.0,
            correlation: correlation(&pairs),
            mape_mean: pairs.iter().map(|(real, _)| (mean - real).abs() / real).sum::<f64>()
                / count,
            mape_real: None,
        })
    }
}

/// Calls that have the same number, if each number is there once, and most are in both.
fn by_number(real: &[Call], fake: &[Call]) -> Option<Vec<(usize, usize)>> {
    let numbered = |calls: &[Call]| {
        let numbers =
            calls.iter().enumerate().filter_map(|(index, call)| Some((call.number?, index)));
        let mut numbers: Vec<(u64, usize)> = numbers.collect();
        numbers.sort_unstable();
        numbers.array_windows().all(|[(a, _), (b, _)]| a < b).then_some(numbers)
    };
    let (real, fake) = (numbered(real)?, numbered(fake)?);
    let of_fake = |number: u64| fake.binary_search_by_key(&number, |(number, _)| *number).ok();
    let pair = |(number, index): &(u64, usize)| Some((*index, fake[of_fake(*number)?].1));
    let pairs: Vec<_> = real.iter().filter_map(pair).collect();
    (!pairs.is_empty() && 10 * pairs.len() >= 9 * real.len().max(fake.len())).then_some(pairs)
}

/// How far the moments of the pairs are apart, once the runs' begins are taken for the same.
fn offsets(real: &[Call], fake: &[Call], pairs: &[(usize, usize)]) -> Vec<f64> {
    let differences = pairs.iter().map(|(first, second)| {
        (i128::from(fake[*second].arrival) - i128::from(real[*first].arrival)) as f64
    });
    let mut differences: Vec<f64> = differences.collect();
    differences.sort_by(f64::total_cmp);
    let begin = differences.get(differences.len() / 2).copied().unwrap_or(0.0);
    differences.into_iter().map(|difference| (difference - begin).abs()).collect()
}

fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let logarithms =
        || pairs.iter().filter(|(_, fake)| *fake > 0.0).map(|(real, fake)| (real.ln(), fake.ln()));
    let count = logarithms().count() as f64;
    let (x, y) = logarithms().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x, sum.1 + y));
    let (x, y) = (x / count, y / count);
    let (xx, xy, yy) = logarithms().fold((0.0, 0.0, 0.0), |sum, (a, b)| {
        let (a, b) = (a - x, b - y);
        (sum.0 + a * a, sum.1 + a * b, sum.2 + b * b)
    });
    let found = xy / (xx * yy).sqrt();
    found.is_finite().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{By, Run},
        record::Row,
    };

    const MS: u64 = 1_000_000;

    fn calls(calls: impl IntoIterator<Item = (u64, Option<u64>, u64)>) -> Vec<Call> {
        let rows = calls.into_iter().map(|(arrival_unix_ns, call, run)| Row {
            arrival_unix_ns,
            call,
            run_ns: Some(run),
            outcome: "OK".into(),
            ..Row::default()
        });
        let mut run = Run::of("r", &rows.collect::<Vec<_>>()).unwrap();
        run.take_functions(By::Image).pop_first().unwrap().1
    }

    #[test]
    fn calls_match_by_number_although_they_overtake_each_other() {
        let real = calls((0..30).map(|call| (call * 50 * MS, Some(call), 10 + call)));
        let swapped = |call: u64| if call < 2 { 1 - call } else { call };
        // A minute later, and each call eleven times as long.
        let fake = calls((0..30).map(|call| {
            let number = swapped(call);
            (60_000 * MS + call * 50 * MS + number, Some(number), 11 * (10 + number))
        }));
        let found = Pairs::of(&real, &fake).unwrap().errors(&real, &fake, 10.0).unwrap();
        assert_eq!((found.by, found.calls), ("call number", 30));
        assert!((found.mape - 10.0).abs() < 1e-9 && (found.bias - 10.0).abs() < 1e-9);
        assert!(found.correlation.unwrap() > 0.999);
    }

    #[test]
    fn calls_match_by_order_where_there_are_no_numbers() {
        let real = calls((0..10).map(|call| (call * 50 * MS, None, 10)));
        let fake = calls((0..10).map(|call| (call * 50 * MS + MS, None, 20)));
        let pairs = Pairs::of(&real, &fake).unwrap();
        let found = pairs.errors(&real, &fake, 15.0).unwrap();
        assert_eq!((found.by, found.mape, found.median_ape), ("order of arrival", 1.0, 1.0));
        assert_eq!((found.mape_mean, found.correlation, pairs.late), (0.5, None, 0));
    }

    #[test]
    fn calls_of_another_workload_do_not_match() {
        let real = calls((0..100).map(|call| (call * 50 * MS, Some(call), 10)));
        let slower = calls((0..100).map(|call| (call * 60 * MS, Some(call), 10)));
        assert!(Pairs::of(&real, &slower).is_none());
        assert!(Pairs::of(&real, &calls((0..50).map(|call| (call * 50 * MS, None, 10)))).is_none());
        assert!(Pairs::of(&[], &[]).is_none());
    }

    #[test]
    fn some_calls_that_come_late_are_counted() {
        let real = calls((0..100).map(|call| (call * 50 * MS, None, 10)));
        let late = |call: u64| if call % 20 == 19 { 15 * MS } else { 0 };
        let fake = calls((0..100).map(|call| (call * 50 * MS + late(call), None, 10)));
        assert_eq!(Pairs::of(&real, &fake).unwrap().late, 5);
    }
}
