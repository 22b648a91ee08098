//! Traces with a row for each call.

use std::time::Duration;

use hyperfake_predictor::{Error, Result};

use super::{
    Calls, Effect, Function, LONGEST, Notes, Reading, Trace,
    arrivals::MOST_FUNCTIONS,
    calls::{self, CallFormat},
    files::{Content, Distinct, Found, Kind},
    keys::{Keys, Place},
    names::Images,
    run_time::Sample,
};

/// What zero stands for in traces that round to milliseconds, and the least that a model knows.
const HALF_MS_NS: f64 = 5e5;
const LEAST_NS: f64 = 1.0;

/// Numbers of which a mean is made.
#[derive(Debug, Clone, Copy, Default)]
struct Mean(f64, f64);

impl Mean {
    fn add(&mut self, number: Option<f64>) {
        if let Some(number) = number {
            *self = Self(self.0 + number, self.1 + 1.0);
        }
    }

    fn get(self) -> Option<f64> {
        (self.1 > 0.0).then(|| self.0 / self.1)
    }
}

/// What a call may hold.
const CORES: std::ops::RangeInclusive<f64> = 0.0..=1e6;

/// What is learned of a function beside its moments.
struct Learned {
    sample: Sample,
    cpu: Mean,
    ram: Mean,
    cold_start: Mean,
}

/// Reads the files. All rows are read, as they need not be in order, and those of the time that is needed are
/// kept; run times are those of all.
pub(super) fn read(
    found: &Found,
    reading: &Reading,
    progress: &mut impl FnMut(usize, usize),
) -> Result<Trace> {
    let files = found.files.iter().filter(|(kind, _)| matches!(kind, Kind::SingleCalls(_)));
    let files: Vec<_> = files.flat_map(|(_, paths)| paths).collect();
    let (mut keys, mut images, mut notes) = (Keys::default(), Images::default(), Notes::default());
    let mut functions: Vec<Function> = Vec::new();
    let mut learned: Vec<Learned> = Vec::new();
    let mut moments = Moments::new(reading.until);
    let mut distinct = Distinct::default();
    let mut least_ns = LEAST_NS;
    for (index, path) in files.iter().enumerate() {
        progress(index, files.len());
        let mut calls = calls::open(path)?;
        if !calls.has_moments() {
            let message = "the first line lacks the column 'timestamp', which says when calls came";
            return Err(Error::invalid(message).at(path.display()));
        }
        let is_own = matches!(calls.format(), CallFormat::Own | CallFormat::HyperFaas);
        least_ns = if calls.format() == CallFormat::Azure2021 { HALF_MS_NS } else { LEAST_NS };
        let mut content = Content::default();
        while let Some(row) = calls.read()? {
            let here = || format!("{}, row {}", path.display(), calls.rows());
            // A record's images are those that its worker has models of; elsewhere `image` is an application.
            let (app, name) = match (is_own, &*row.image) {
                (true, "") => ("", &*row.function),
                (true, image) => ("", image),
                (false, app) => (app, &*row.function),
            };
            let place = match keys.place(&[app.as_bytes(), name.as_bytes()]) {
                Place::Known(place) => place,
                Place::New(place) => {
                    if functions.len() == MOST_FUNCTIONS {
                        let message = format!("found more than {MOST_FUNCTIONS} functions");
                        return Err(Error::invalid(message).at(path.display()));
                    }
                    let key = keys.key();
                    let short = name.rsplit('/').next().unwrap_or(name);
                    let image = if is_own { name.to_owned() } else { images.image(short) };
                    let (app, name) = (app.to_owned(), name.to_owned());
                    functions.push(Function { image, app, name, key, ..Function::default() });
                    learned.push(Learned {
                        sample: Sample::new(),
                        cpu: Mean::default(),
                        ram: Mean::default(),
                        cold_start: Mean::default(),
                    });
                    place
                }
            };
            let of = &mut learned[place as usize];
            match row.run_ns {
                None => notes.add(Effect::Changed, "calls without a run time", 0, here),
                Some(_) if !row.succeeded() && is_own => {
                    notes.add(
                        Effect::Changed,
                        "failed calls, whose run times do not count",
                        0,
                        here,
                    );
                }
                Some(run_ns) => {
                    if (run_ns as f64) < least_ns {
                        notes.add(Effect::Changed, "run times of zero, raised", 0, here);
                    }
                    of.sample.add((run_ns as f64).max(least_ns), 1.0);
                }
            }
            if let Some(cores) = row.cpu_cores.filter(|cores| !CORES.contains(cores)) {
                let expected = "expected a number of cores from 0 to 1000000";
                let message = format!("cpu_cores: found {cores}, {expected}");
                return Err(Error::invalid(message).at(here()));
            }
            of.cpu.add(row.cpu_cores);
            of.ram.add(row.ram_bytes.map(|bytes| bytes as f64));
            let is_cold = row.cold == Some(true);
            of.cold_start.add(row.cold_start_ns.filter(|_| is_cold).map(|ns| ns as f64));
            content.add((row.arrival_unix_ns, place, row.run_ns));
            if !moments.add(row.arrival_unix_ns, place) {
                let arrival = row.arrival_unix_ns;
                let message =
                    format!("found a call at {arrival} ns, expected all within three years");
                return Err(Error::invalid(message).at(here()));
            }
        }
        distinct.add(&content, path)?;
        for note in calls.notes() {
            notes.add(Effect::Changed, note, 0, || path.display().to_string());
        }
    }
    progress(files.len(), files.len());
    for (function, learned) in functions.iter_mut().zip(learned) {
        function.run_time = learned.sample.run_time(least_ns);
        function.cpu_cores = learned.cpu.get();
        function.memory_bytes = learned.ram.get();
        let cold_start = learned.cold_start.get().filter(|ns| *ns > 0.0);
        function.cold_start = cold_start.map(|ns| Duration::from_nanos(ns as u64));
    }
    let calls = Calls::Single(moments.since_first());
    Ok(Trace { format: found.format, functions, calls, notes })
}

/// When calls came, as far as they are needed.
struct Moments {
    /// So much is needed, from the first one on.
    until: Duration,
    /// The first one and the last one so far.
    range: Option<[u64; 2]>,
    kept: Vec<(u64, u32)>,
}

impl Moments {
    fn new(until: Duration) -> Self {
        Self { until, range: None, kept: Vec::new() }
    }

    /// Adds the call of a function; says whether it is as close to the others as calls of a trace are.
    fn add(&mut self, at: u64, function: u32) -> bool {
        let [first, last] = self.range.unwrap_or([at; 2]);
        let [first, last] = [first.min(at), last.max(at)];
        self.range = Some([first, last]);
        // The first one can only come to be earlier.
        if Duration::from_nanos(at - first) < self.until {
            self.kept.push((at, function));
        }
        Duration::from_nanos(last - first) <= LONGEST
    }

    /// Those that are needed, from the first one on and in their order.
    fn since_first(mut self) -> Vec<(u64, u32)> {
        let first = self.range.map_or(0, |[first, _]| first);
        self.kept.iter_mut().for_each(|(at, _)| *at -= first);
        self.kept.retain(|(at, _)| Duration::from_nanos(*at) < self.until);
        self.kept.sort_unstable();
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_that_are_not_needed_are_not_kept() {
        let mut moments = Moments::new(Duration::from_nanos(10));
        for (at, kept) in [(105, 1), (114, 2), (115, 2), (9_000, 2), (100, 3), (109, 4), (110, 4)] {
            assert!(moments.add(at, 7));
            assert_eq!(moments.kept.len(), kept, "{at}");
        }
        // With the call at 100, that at 114 is behind the end.
        assert_eq!(moments.since_first(), [(0, 7), (5, 7), (9, 7)]);
    }

    #[test]
    fn calls_that_are_years_apart_are_none_of_one_trace() {
        let longest = LONGEST.as_nanos() as u64;
        for (moments, expected) in [
            ([5, 5 + longest], true),
            ([5, 6 + longest], false),
            ([0, u64::MAX], false),
            ([u64::MAX, 0], false),
        ] {
            let mut all = Moments::new(Duration::MAX);
            let found = moments.into_iter().all(|at| all.add(at, 0));
            assert_eq!(found, expected, "{moments:?}");
        }
    }
}
