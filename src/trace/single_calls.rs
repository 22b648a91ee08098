//! Traces with a row for each call.

use std::time::Duration;

use hyperfake_predictor::{Error, Result};

use super::{
    Calls, Effect, Function, Notes, Reading, Trace,
    arrivals::MOST_FUNCTIONS,
    calls::{self, CallFormat},
    files::{Found, Kind},
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
    let mut moments: Vec<(u64, u32)> = Vec::new();
    let mut least_ns = LEAST_NS;
    for (index, path) in files.iter().enumerate() {
        progress(index, files.len());
        let mut calls = calls::open(path)?;
        let is_own = matches!(calls.format(), CallFormat::Own | CallFormat::HyperFaas);
        least_ns = if calls.format() == CallFormat::Azure2021 { HALF_MS_NS } else { LEAST_NS };
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
                        sample: Sample::new(key),
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
            of.cpu.add(row.cpu_cores);
            of.ram.add(row.ram_bytes.map(|bytes| bytes as f64));
            let is_cold = row.cold == Some(true);
            of.cold_start.add(row.cold_start_ns.filter(|_| is_cold).map(|ns| ns as f64));
            moments.push((row.arrival_unix_ns, place));
        }
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
    let calls = Calls::Single(since_first(moments, reading));
    Ok(Trace { format: found.format, functions, calls, notes })
}

/// The moments since the first one, in their order, up to the last one that is needed.
fn since_first(mut moments: Vec<(u64, u32)>, reading: &Reading) -> Vec<(u64, u32)> {
    moments.sort_unstable();
    let first = moments.first().map_or(0, |(at, _)| *at);
    moments.iter_mut().for_each(|(at, _)| *at -= first);
    let needed = moments.partition_point(|(at, _)| Duration::from_nanos(*at) < reading.until);
    moments.truncate(needed);
    moments
}
