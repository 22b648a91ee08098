use serde::Serialize;

use super::{run::Call, sample::median};

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
    /// The pairs of each function's calls in two runs, which are sorted by their arrival; nothing of a
    /// function for which the runs had different workloads.
    ///
    /// The workload is the same if every function has calls of the same numbers in both, however late they
    /// came in. Otherwise that of a function is if nine of ten pairs came in, since the begin of the runs, at
    /// moments that differ by less than the mean time between two calls (at least 2 ms, at most 100 ms).
    pub(super) fn of_all(functions: &[[&[Call]; 2]]) -> Vec<Option<Self>> {
        let possible: Vec<_> =
            functions.iter().map(|[real, fake]| possible_pairs(real, fake)).collect();
        let first = functions.iter().zip(&possible).filter_map(|(calls, possible)| {
            possible.first().map(|possible| differences(calls, possible))
        });
        let begin = median(first.flatten().collect());
        let has_same =
            |possible: &Vec<Possible>| possible.first().is_some_and(|it| it.same_numbers);
        let is_same = possible.iter().all(has_same);
        let chosen = |(calls, possible): (&[&[Call]; 2], Vec<Possible>)| {
            possible.into_iter().find_map(|possible| possible.judge(calls, begin, is_same))
        };
        functions.iter().zip(possible).map(chosen).collect()
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

/// Whether nine of ten of so many real calls have a pair.
pub(super) fn is_most(pairs: &[Option<Pairs>], calls: u64) -> bool {
    let matched: u64 = pairs.iter().flatten().map(Pairs::len).sum();
    10 * matched >= 9 * calls
}

/// What may be the pairs of a function's calls.
struct Possible {
    by: &'static str,
    pairs: Vec<(usize, usize)>,
    /// Whether both have calls of the same numbers.
    same_numbers: bool,
}

impl Possible {
    /// The pairs, if they are those of one workload: it is known to be the same, or they came in at the same
    /// moments. The second run began so much later than the first one, in nanoseconds.
    fn judge(self, calls: &[&[Call]; 2], begin: f64, is_same: bool) -> Option<Pairs> {
        let [real, _] = calls;
        let length = real.last()?.arrival - real.first()?.arrival;
        let within = (length as f64 / real.len() as f64).clamp(2e6, 100e6);
        let (mut close, mut late) = (0, 0);
        for difference in differences(calls, &self) {
            let offset = (difference - begin).abs();
            close += usize::from(offset <= within);
            late += u64::from(offset > LATE);
        }
        let Self { by, pairs, .. } = self;
        (is_same || 10 * close >= 9 * pairs.len()).then_some(Pairs { by, pairs, late })
    }
}

/// How much later the second call of each pair came in, in nanoseconds.
fn differences(calls: &[&[Call]; 2], possible: &Possible) -> impl Iterator<Item = f64> {
    let [real, fake] = *calls;
    possible.pairs.iter().map(move |(first, second)| {
        (i128::from(fake[*second].arrival) - i128::from(real[*first].arrival)) as f64
    })
}

/// By the numbers of calls, and by their order.
fn possible_pairs(real: &[Call], fake: &[Call]) -> Vec<Possible> {
    let by_number = by_number(real, fake);
    let by_order = (real.len() == fake.len() && !real.is_empty()).then(|| Possible {
        by: "order of arrival",
        pairs: (0..real.len()).map(|index| (index, index)).collect(),
        same_numbers: false,
    });
    by_number.into_iter().chain(by_order).collect()
}

/// Calls that have the same number, if each number is there once, and most are in both.
fn by_number(real: &[Call], fake: &[Call]) -> Option<Possible> {
    let numbered = |calls: &[Call]| {
        let numbers =
            calls.iter().enumerate().filter_map(|(index, call)| Some((call.number?, index)));
        let mut numbers: Vec<(u64, usize)> = numbers.collect();
        numbers.sort_unstable();
        numbers.array_windows().all(|[(a, _), (b, _)]| a < b).then_some(numbers)
    };
    let calls = real.len().max(fake.len());
    let (real, fake) = (numbered(real)?, numbered(fake)?);
    let of_fake = |number: u64| fake.binary_search_by_key(&number, |(number, _)| *number).ok();
    let pair = |(number, index): &(u64, usize)| Some((*index, fake[of_fake(*number)?].1));
    let pairs: Vec<_> = real.iter().filter_map(pair).collect();
    let same_numbers = pairs.len() == calls;
    let most = 10 * pairs.len() >= 9 * real.len().max(fake.len());
    let possible = Possible { by: "call number", pairs, same_numbers };
    (most && !possible.pairs.is_empty()).then_some(possible)
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

    fn pairs(real: &[Call], fake: &[Call]) -> Option<Pairs> {
        Pairs::of_all(&[[real, fake]]).pop()?
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
        let found = pairs(&real, &fake).unwrap().errors(&real, &fake, 10.0).unwrap();
        assert_eq!((found.by, found.calls), ("call number", 30));
        assert!((found.mape - 10.0).abs() < 1e-9 && (found.bias - 10.0).abs() < 1e-9);
        assert!(found.correlation.unwrap() > 0.999);
    }

    #[test]
    fn calls_match_by_order_where_there_are_no_numbers() {
        let real = calls((0..10).map(|call| (call * 50 * MS, None, 10)));
        let fake = calls((0..10).map(|call| (call * 50 * MS + MS, None, 20)));
        let found = pairs(&real, &fake).unwrap();
        assert_eq!(found.late, 0);
        let found = found.errors(&real, &fake, 15.0).unwrap();
        assert_eq!((found.by, found.mape, found.median_ape), ("order of arrival", 1.0, 1.0));
        assert_eq!((found.mape_mean, found.correlation), (0.5, None));
    }

    #[test]
    fn calls_of_another_workload_do_not_match() {
        let real = calls((0..100).map(|call| (call * 50 * MS, Some(call), 10)));
        let slower = calls((0..95).map(|call| (call * 60 * MS, Some(call), 10)));
        assert!(pairs(&real, &slower).is_none());
        let unnumbered = calls((0..100).map(|call| (call * 60 * MS, None, 10)));
        assert!(pairs(&real, &unnumbered).is_none());
        assert!(pairs(&real, &calls((0..50).map(|call| (call * 50 * MS, None, 10)))).is_none());
        assert!(pairs(&[], &[]).is_none());
    }

    /// A client that falls behind its schedule has sent the same calls.
    #[test]
    fn calls_of_the_same_numbers_match_however_late_they_are() {
        let real = calls((0..100).map(|call| (call * 50 * MS, Some(call), 10)));
        let behind = calls((0..100).map(|call| (call * 60 * MS, Some(call), 10)));
        let found = pairs(&real, &behind).unwrap();
        // The call in the middle is taken for punctual, and its neighbours are 10 ms from it.
        assert_eq!((found.by, found.len(), found.late), ("call number", 100, 97));
    }

    /// Each function alone would be in step with itself.
    #[test]
    fn a_function_whose_calls_all_come_later_than_those_of_others_is_late() {
        let at = |by: u64| calls((0..100).map(|call| (call * 50 * MS + by, Some(call), 10)));
        let (real, on_time, late) = (at(0), at(7000 * MS), at(7040 * MS));
        let found = Pairs::of_all(&[[&real, &on_time], [&real, &late], [&real, &on_time]]);
        let late: Vec<_> = found.into_iter().flatten().map(|pairs| pairs.late).collect();
        assert_eq!(late, [0, 100, 0]);
    }

    #[test]
    fn some_calls_that_come_late_are_counted() {
        let real = calls((0..100).map(|call| (call * 50 * MS, None, 10)));
        let late = |call: u64| if call % 20 == 19 { 15 * MS } else { 0 };
        let fake = calls((0..100).map(|call| (call * 50 * MS + late(call), None, 10)));
        assert_eq!(pairs(&real, &fake).unwrap().late, 5);
    }
}
