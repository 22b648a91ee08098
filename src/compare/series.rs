use serde::Serialize;

use super::run::Call;

/// What a run did over time, in windows of equal length since its first call came in.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Series {
    /// Calls that were answered, each second.
    pub(super) rate: Vec<f64>,
    /// The CPU that calls held, in cores.
    pub(super) cpu: Vec<f64>,
    /// The memory that calls held, in bytes.
    pub(super) ram: Vec<f64>,
}

/// How far the fake's numbers over time are from the real's.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SeriesError {
    /// The mean squared error over the variance of the real numbers: 0 is the same, 1 as bad as their mean.
    /// Nothing if the real numbers do not vary, or the two runs had different arrivals.
    pub nmse: Option<f64>,
    /// The same of a second run of the real.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nmse_real: Option<f64>,
    /// The means over time, real and fake.
    pub mean: [f64; 2],
    /// The greatest numbers, real and fake.
    pub peak: [f64; 2],
}

/// The least and most windows.
const WINDOWS: (u64, u64) = (20, 600);
const SECOND: u64 = 1_000_000_000;

/// The length of windows for runs of this length, in nanoseconds: a second, unless those are too few or
/// too many.
pub(super) fn width_of(length: u64) -> u64 {
    SECOND
        .clamp(length.div_ceil(WINDOWS.1), (length / WINDOWS.0).max(length.div_ceil(WINDOWS.1)))
        .max(1)
}

impl Series {
    /// Of these calls, over so long a time.
    pub(super) fn of<'a>(
        calls: impl Iterator<Item = &'a Call>,
        begin: u64,
        length: u64,
        width: u64,
    ) -> Self {
        let count = (length / width + 1) as usize;
        let mut series =
            Self { rate: vec![0.0; count], cpu: vec![0.0; count], ram: vec![0.0; count] };
        for call in calls {
            let place = |moment: u64| moment.saturating_sub(begin) as f64 / width as f64;
            let (from, to) = (place(call.begin()), place(call.end()));
            if call.answered
                && let Some(rate) = series.rate.get_mut(to as usize)
            {
                *rate += SECOND as f64 / width as f64;
            }
            hold(&mut series.cpu, from, to, call.cpu);
            hold(&mut series.ram, from, to, call.ram);
        }
        series
    }
}

/// Adds what was held from one moment to another, in windows, to the windows between.
fn hold(windows: &mut [f64], from: f64, to: f64, amount: f64) {
    if amount.is_nan() {
        return;
    }
    let first = from as usize;
    let last = (to as usize).min(windows.len().saturating_sub(1));
    for (index, window) in windows.iter_mut().enumerate().take(last + 1).skip(first) {
        let (begin, end) = (index as f64, index as f64 + 1.0);
        *window += amount * (to.min(end) - from.max(begin)).max(0.0);
    }
}

/// Compares one series; the repeat is of a second run of the real.
pub(super) fn compare(
    real: &[f64],
    fake: &[f64],
    repeat: Option<&[f64]>,
    same_arrivals: bool,
) -> SeriesError {
    let most = |series: &[f64]| series.iter().copied().fold(0.0, f64::max);
    SeriesError {
        nmse: same_arrivals.then(|| nmse(real, fake)).flatten(),
        nmse_real: repeat.and_then(|repeat| nmse(real, repeat)),
        mean: [mean(real), mean(fake)],
        peak: [most(real), most(fake)],
    }
}

/// The mean squared error over the variance of the real numbers.
fn nmse(real: &[f64], fake: &[f64]) -> Option<f64> {
    let mean = mean(real);
    let variance: f64 = real.iter().map(|number| (number - mean).powi(2)).sum();
    let count = real.len().max(fake.len());
    let at = |series: &[f64], index: usize| series.get(index).copied().unwrap_or(0.0);
    let error = (0..count).map(|index| (at(real, index) - at(fake, index)).powi(2)).sum::<f64>();
    // Rounding is no variance.
    (variance > 1e-12 * mean * mean * real.len() as f64).then(|| error / variance)
}

fn mean(series: &[f64]) -> f64 {
    series.iter().sum::<f64>() / series.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{By, Run},
        record::Row,
    };

    #[test]
    fn windows_are_a_second_unless_there_were_too_few_or_too_many() {
        for (seconds, expected) in [(60, SECOND), (10, SECOND / 2), (6000, 10 * SECOND)] {
            assert_eq!(width_of(seconds * SECOND), expected, "{seconds}");
        }
        assert_eq!(width_of(0), 1);
        assert!(width_of(u64::MAX) > 0 && width_of(3) > 0);
    }

    #[test]
    fn what_calls_hold_is_added_up_while_they_run() {
        let row = |arrival_unix_ns, run, cpu| Row {
            arrival_unix_ns,
            queue_ns: Some(5),
            run_ns: Some(run),
            cpu_cores: Some(cpu),
            ram_bytes: Some(100),
            outcome: "OK".into(),
            ..Row::default()
        };
        let mut run = Run::of("r", &[row(1000, 10, 1.0), row(1005, 25, 0.5)]).unwrap();
        let calls = run.take_functions(By::Image).pop_first().unwrap().1;
        let found = Series::of(calls.iter(), 1000, 39, 10);
        assert_eq!(found.cpu, [0.5, 0.5 + 0.5, 0.5, 0.25]);
        assert_eq!(found.ram, [50.0, 150.0, 100.0, 50.0]);
        assert_eq!(found.rate, [0.0, 1e8, 0.0, 1e8]);
    }

    #[test]
    fn the_error_is_0_of_the_same_and_1_of_the_mean() {
        let real = [1.0, 2.0, 3.0];
        let of = |fake: &[f64]| compare(&real, fake, None, true).nmse;
        assert_eq!(
            (of(&real), of(&[2.0; 3]), of(&[3.0, 2.0, 1.0])),
            (Some(0.0), Some(1.0), Some(4.0))
        );
        assert_eq!(compare(&[2.0; 3], &[1.0; 3], None, true).nmse, None);
        assert_eq!(compare(&real, &real, None, false).nmse, None);
    }
}
