//! How numbers are distributed, as a picture in text.

use std::{
    fmt::Write,
    io::{IsTerminal, stdout},
};

use ratatui::crossterm::terminal::size;
use serde::Serialize;

use super::format;

/// How many calls took how long: bins between the shortest and the longest, each as many times as wide
/// as the one before, so that a few slow calls do not hide how the others differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Histogram(Vec<Bin>);

/// The calls that took at least `from_ns` and less than `to_ns`; in the last bin also those that took
/// exactly `to_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Bin {
    from_ns: f64,
    to_ns: f64,
    calls: u64,
}

/// The most bins: they are seen at once in a terminal of the usual height.
const MAX_BINS: f64 = 20.0;
/// The width where there is no terminal, and the least and the most of one that are used.
const WIDTH: usize = 80;
const WIDTHS: [usize; 2] = [50, 160];

impl Histogram {
    /// Of durations in nanoseconds; nothing without any.
    #[must_use]
    pub(crate) fn of(durations: &[f64]) -> Option<Self> {
        let durations = || durations.iter().copied().filter(|ns| ns.is_finite());
        let least = durations().reduce(f64::min)?;
        let most = durations().reduce(f64::max)?;
        // A logarithm needs something; no clock tells less than a nanosecond.
        let low = least.max(1.0);
        let high = most.max(low);
        // No bin is narrower than a nanosecond.
        let bins = (high - low + 1.0).floor().min(MAX_BINS);
        let edge = |bin: usize| match bin as f64 {
            0.0 => low,
            last if last == bins => high,
            inner => low * (high / low).powf(inner / bins),
        };
        let mut found = Vec::new();
        for bin in 0..bins as usize {
            found.push(Bin { from_ns: edge(bin), to_ns: edge(bin + 1), calls: 0 });
        }
        for ns in durations() {
            // The first bin has what is below its edge: zeros.
            let bin = found.partition_point(|bin| bin.from_ns <= ns).saturating_sub(1);
            found[bin].calls += 1;
        }
        Some(Self(found))
    }

    /// As wide as the terminal.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        self.lines(width())
    }

    /// A line for each bin, of this many characters at most.
    fn lines(&self, width: usize) -> String {
        let total: u64 = self.0.iter().map(|bin| bin.calls).sum();
        let most = self.0.iter().map(|bin| bin.calls).max().unwrap_or_default().max(1);
        let digits = most.to_string().len();
        let mut text = String::new();
        for Bin { from_ns, to_ns, calls } in &self.0 {
            let [from, to] = [from_ns, to_ns].map(|ns| format::nanoseconds(*ns));
            let share = 100.0 * *calls as f64 / total.max(1) as f64;
            let line = format!("  {from:>9} - {to:>9} {calls:>digits$} {share:>5.1} % ");
            let room = width.saturating_sub(line.chars().count());
            let _ = writeln!(text, "{}", (line + &bar(*calls, most, room)).trim_end());
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// A bar that is as long as `room` for the most calls. What is not nothing is seen.
fn bar(calls: u64, most: u64, room: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (calls as f64 / most as f64 * room as f64 * 8.0).round() as usize;
    let eighths = eighths.max(usize::from(calls > 0));
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

fn width() -> usize {
    let [least, most] = WIDTHS;
    // Without a terminal, a program would be asked.
    match stdout().is_terminal().then(size).and_then(Result::ok) {
        Some((columns @ 1.., _)) => usize::from(columns).clamp(least, most),
        _ => WIDTH,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slow_calls_do_not_hide_how_the_others_differ() {
        let durations: Vec<_> = (0..90).map(|_| 1e6).chain([1e7; 9]).chain([1e9]).collect();
        let text = Histogram::of(&durations).unwrap().lines(60);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 20);
        assert_eq!(lines[0], "       1 ms -  1.413 ms 90  90.0 % █████████████████████████");
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{text}");
        assert!(lines[6].ends_with(" 9   9.0 % ██▌"), "{text}");
        assert_eq!(lines[19], "   707.9 ms -       1 s  1   1.0 % ▎");
        assert_eq!(lines[10], "   31.62 ms -  44.67 ms  0   0.0 %");
    }

    #[test]
    fn equal_durations_are_one_bin_and_none_are_no_histogram() {
        let text = Histogram::of(&[7e6; 3]).unwrap().lines(40);
        assert_eq!(text, "       7 ms -      7 ms 3 100.0 % ██████");
        assert_eq!(Histogram::of(&[]), None);
        assert_eq!(Histogram::of(&[f64::NAN]), None);
        // Nanoseconds are not divided.
        assert_eq!(Histogram::of(&[5.0, 7.0]).unwrap().0.len(), 3);
        let zeros = Histogram::of(&[0.0, 0.0]).unwrap();
        assert_eq!(zeros.0, [Bin { from_ns: 1.0, to_ns: 1.0, calls: 2 }]);
    }

    #[test]
    fn a_narrow_terminal_has_no_bars_and_the_numbers_stay_whole() {
        let text = Histogram::of(&[1e3, 1e6]).unwrap().lines(10);
        assert!(text.lines().all(|line| line.trim_end().chars().count() >= 33), "{text}");
    }

    proptest! {
        #[test]
        fn every_call_is_in_the_bin_with_its_duration(
            durations in proptest::collection::vec(0.0..1e13_f64, 1..200)
        ) {
            let Histogram(bins) = Histogram::of(&durations).unwrap();
            prop_assert!(bins.len() <= MAX_BINS as usize);
            prop_assert!(bins.windows(2).all(|pair| pair[0].to_ns == pair[1].from_ns));
            let last = bins.len() - 1;
            for (index, bin) in bins.iter().enumerate() {
                let expected = durations.iter().map(|ns| ns.max(1.0)).filter(|ns| {
                    bin.from_ns <= *ns && (*ns < bin.to_ns || index == last)
                });
                prop_assert_eq!(bin.calls, expected.count() as u64);
            }
        }
    }
}
