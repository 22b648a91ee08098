use std::{sync::Arc, time::Duration};

use hyperfake_predictor::{Error, Random, Result};

use super::{Arrivals, Calls, Effect, Format, Function, Notes, RunTime, Trace, calls::CallFormat};

/// What of a trace is replayed.
#[derive(Debug, Clone)]
pub struct Selection {
    /// From here, counted from the beginning of the trace.
    pub from: Duration,
    /// For so long; to its end if nothing is said.
    pub length: Option<Duration>,
    /// So many functions, drawn at random.
    pub functions: Option<usize>,
    /// Only these, by image, name in the trace or application.
    pub only: Vec<String>,
    /// How many calls are made of one.
    pub rate: f64,
    /// Where all random numbers come from.
    pub seed: u64,
    /// The run time of functions whose run time the trace does not say; they are left out without it.
    pub run_time: Option<Duration>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            from: Duration::ZERO,
            length: None,
            functions: None,
            only: Vec::new(),
            rate: 1.0,
            seed: 1,
            run_time: None,
        }
    }
}

/// The calls that are replayed, and their functions.
#[derive(Debug)]
pub struct Workload {
    /// The trace's format.
    pub format: Format,
    /// The functions, each of which has calls.
    pub functions: Vec<Function>,
    /// What was left out or changed.
    pub notes: Notes,
    pub(super) calls: Calls,
    /// The part of the trace that is replayed, in nanoseconds since its beginning.
    pub(super) from_ns: u64,
    pub(super) until_ns: u64,
    pub(super) rate: f64,
    pub(super) seed: u64,
}

/// A function that is not replayed.
const NONE: u32 = u32::MAX;

impl Workload {
    /// Chooses the part of a trace.
    ///
    /// # Errors
    ///
    /// `Invalid` when nothing is left.
    pub fn new(trace: Trace, selection: &Selection) -> Result<Self> {
        let Trace { format, mut functions, mut calls, mut notes } = trace;
        let end_ns = calls.end_ns();
        if end_ns == 0 {
            let message = format!(
                "found no calls: of {format} the files with the calls of functions are needed"
            );
            return Err(Error::invalid(message));
        }
        let from_ns = nanoseconds(selection.from);
        if from_ns >= end_ns {
            let (from, end) = (selection.from, Duration::from_nanos(end_ns));
            let message = match selection.length {
                None => format!("found {from:?}, but the trace ends at {end:?}"),
                // What comes later was not read.
                Some(length) => {
                    format!("found {from:?}, but no call comes in until {:?}", from + length)
                }
            };
            return Err(Error::invalid(message).at("--from"));
        }
        let has_parts = format == Format::SingleCalls(CallFormat::Azure2021.name());
        let is_called = |function: &Function, asked: &str| is_called(function, asked, has_parts);
        let is_unknown =
            |asked: &&String| !functions.iter().any(|function| is_called(function, asked));
        let unknown: Vec<_> = selection.only.iter().filter(is_unknown).collect();
        if let Some(asked) = unknown.first().filter(|_| unknown.len() == selection.only.len()) {
            let message = format!("found '{asked}', but nothing of what was read has this name");
            return Err(Error::invalid(message).at("--only"));
        }
        for asked in unknown {
            let what = "names of --only that nothing of what was read has";
            notes.add(Effect::LeftOut, what, 0, || asked.clone());
        }
        let length = selection.length.map_or(u64::MAX, nanoseconds);
        let until_ns = from_ns.saturating_add(length).min(end_ns);
        let counts = calls.counts(functions.len(), from_ns, until_ns);
        let mut chosen: Vec<u32> = Vec::new();
        for (place, function) in functions.iter_mut().enumerate() {
            let calls = counts[place];
            let only = &selection.only;
            let is_asked_for =
                only.is_empty() || only.iter().any(|asked| is_called(function, asked));
            if calls == 0 || !is_asked_for {
                continue;
            }
            if function.run_time.is_none() {
                let name = || function.name.clone();
                match selection.run_time {
                    None => {
                        notes.add(Effect::LeftOut, "functions without a run time", calls, name);
                        continue;
                    }
                    Some(run_time) => {
                        notes.add(
                            Effect::Changed,
                            "functions with the run time of --run-time",
                            calls,
                            name,
                        );
                        function.run_time = Some(RunTime::constant(run_time.as_nanos() as f64));
                    }
                }
            }
            chosen.push(place as u32);
        }
        if let Some(most) = selection.functions {
            // Those with the smallest random numbers: with another `most`, some are added or go.
            let number =
                |place: &u32| Random::new(selection.seed, functions[*place as usize].key).bits();
            chosen.sort_by_cached_key(number);
            chosen.truncate(most);
            chosen.sort_unstable();
        }
        if chosen.is_empty() {
            let message = "nothing of the trace is left to replay: no function that was asked for has both \
                           calls in this time and a run time (see --only, --from, --for and --run-time)";
            return Err(Error::invalid(message));
        }
        let mut places = vec![NONE; functions.len()];
        for (place, old) in chosen.iter().enumerate() {
            places[*old as usize] = place as u32;
        }
        calls.keep(&places);
        let mut old = 0;
        functions.retain(|_| {
            old += 1;
            places[old - 1] != NONE
        });
        let Selection { rate, seed, .. } = *selection;
        let most = calls.most_at_once(from_ns, until_ns) as f64 * rate;
        if most > MOST_AT_ONCE {
            let message = format!(
                "found {most:.0} calls in one minute or column of the trace, expected at most {MOST_AT_ONCE}: \
                 choose some functions (--functions, --only), fewer of their calls (--rate), or another time \
                 (--from, --for)"
            );
            return Err(Error::invalid(message));
        }
        Ok(Self { format, functions, notes, calls, from_ns, until_ns, rate, seed })
    }

    /// The calls, in the order of their moments. Each time the same ones.
    #[must_use]
    pub fn arrivals(self: &Arc<Self>) -> Arrivals {
        Arrivals::new(Arc::clone(self))
    }

    /// From the first moment to the last one.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_nanos(self.until_ns - self.from_ns)
    }

    /// How many calls each function has, as they are replayed.
    #[must_use]
    pub fn requested(self: &Arc<Self>) -> Vec<u64> {
        if self.rate == 1.0 && self.calls.ends_at(self.from_ns) && self.calls.ends_at(self.until_ns)
        {
            return self.calls.counts(self.functions.len(), self.from_ns, self.until_ns);
        }
        let mut counts = vec![0; self.functions.len()];
        self.arrivals().for_each(|call| counts[call.function as usize] += 1);
        counts
    }
}

/// The most calls whose moments are drawn at once: they take 8 bytes each.
const MOST_AT_ONCE: f64 = 5e7;

/// Whether this is its image, its name or its application. A name with parts is `APP/FUNCTION`, as in
/// Azure 2021.
fn is_called(function: &Function, asked: &str, has_parts: bool) -> bool {
    let Function { image, name, app, .. } = function;
    let parts = name.split_once('/').filter(|_| has_parts);
    [image, name, app].into_iter().any(|own| own == asked)
        || parts.is_some_and(|(app, own)| app == asked || own == asked)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
