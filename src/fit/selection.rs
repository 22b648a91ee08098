//! Which calls are learned from.

use hyperfake_predictor::{Error, Result};
use sha2::{Digest, Sha256};

use super::{
    ColdCalls, Intake, LeftOut, Options,
    intake::Call,
    overlaps::{self, Added},
};

/// The fewest calls that anything is learned from.
pub(super) const LEAST: usize = 200;

/// The calls of the function, in the order in which they began, and what became of the others.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) function: String,
    pub(super) calls: Vec<Call>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) notes: Vec<String>,
    /// The median time that the first call of an instance waited for it, in nanoseconds.
    pub(super) cold_start_ns: Option<u64>,
    /// The SHA-256 of all numbers of the calls, in hexadecimal.
    pub(super) sha256: String,
    pub(super) rows: u64,
}

/// Chooses the calls to learn from.
pub(super) fn select(intake: Intake, options: &Options) -> Result<Chosen> {
    let total = intake.rows();
    let function = intake.named(options.function.as_deref())?;
    let is_of: Vec<bool> = intake.functions.iter().map(|one| one.is(&function)).collect();
    let mut left_out = Leaving::default();
    for (one, is_of) in intake.functions.iter().zip(&is_of) {
        match is_of {
            true => {
                left_out.add("calls that did not run, or whose run time is not stated", one.idle)
            }
            false => left_out.add("calls of other functions", one.rows),
        }
    }
    let mut calls = intake.calls;
    let added = overlaps::fill(&mut calls);
    let first = calls.iter().map(|call| call.arrived).min().unwrap_or(0);
    let warm = first.saturating_add(crate::record::nanoseconds(options.warm_up));
    let mut cold = Cold::default();
    calls.retain(|call| {
        if !is_of[call.function as usize] {
            return false;
        }
        let why = if !call.succeeded {
            "calls that were not answered with OK"
        } else if call.arrived < warm {
            "calls of the warm-up"
        } else {
            if call.cold {
                cold.add(call);
            }
            if !call.cold || options.cold == ColdCalls::Keep {
                return true;
            }
            "first calls of an instance"
        };
        left_out.add(why, 1);
        false
    });
    calls.sort_by_key(|call| call.began);
    if calls.len() < LEAST {
        return Err(too_few(calls.len(), &left_out, options));
    }
    let mut notes = notes(&added);
    notes.extend(cold.note(&calls));
    notes.extend(drift(&calls));
    Ok(Chosen {
        sha256: hash(&calls),
        function,
        calls,
        left_out: left_out.0,
        notes,
        cold_start_ns: cold.median_start(),
        rows: total,
    })
}

fn too_few(found: usize, left_out: &Leaving, options: &Options) -> Error {
    let mut message = format!("found {found} calls to learn from, expected at least {LEAST}");
    if !left_out.0.is_empty() {
        let listed: Vec<_> =
            left_out.0.iter().map(|one| format!("{} {}", one.calls, one.what)).collect();
        message += &format!("; left out were {}", listed.join(", "));
    }
    if options.cold == ColdCalls::Leave && left_out.0.iter().any(|one| one.what.contains("first")) {
        message += "; 'hyperfake fit --keep-cold' learns from the first calls of instances too";
    }
    Error::invalid(message)
}

/// Counts what is left out, in the order in which it was first met.
#[derive(Debug, Default)]
struct Leaving(Vec<LeftOut>);

impl Leaving {
    fn add(&mut self, what: &'static str, calls: u64) {
        match self.0.iter_mut().find(|one| one.what == what) {
            Some(one) => one.calls += calls,
            None if calls == 0 => {}
            None => self.0.push(LeftOut { what: what.to_owned(), calls }),
        }
    }
}

/// The first calls of instances.
#[derive(Debug, Default)]
struct Cold {
    run_times: Vec<f64>,
    starts: Vec<u64>,
}

impl Cold {
    fn add(&mut self, call: &Call) {
        self.run_times.push(call.targets[0]);
        self.starts.extend(Some(call.cold_start).filter(|start| *start > 0));
    }

    /// Of five or more: fewer say little.
    fn median_start(&mut self) -> Option<u64> {
        self.starts.sort_unstable();
        (self.starts.len() >= 5).then(|| self.starts[self.starts.len() / 2])
    }

    fn note(&self, kept: &[Call]) -> Option<String> {
        if self.run_times.is_empty() {
            return None;
        }
        let (cold, all) = (median(&self.run_times), median_run_time(kept));
        Some(format!(
            "first calls of an instance: {}, whose median run time is {:.2} times that of the others",
            self.run_times.len(),
            cold / all.max(1.0)
        ))
    }
}

fn notes(added: &Added) -> Vec<String> {
    let mut notes = Vec::new();
    let names = hyperfake_predictor::Feature::ALL.iter().zip(added.features);
    let added_to: Vec<_> =
        names.filter(|(_, count)| *count > 0).map(|(name, _)| name.name()).collect();
    if !added_to.is_empty() {
        let names = added_to.join(", ");
        notes.push(format!("worked out from how the calls overlap: {names}"));
    }
    if added.assumed > 0 {
        notes.push(format!(
            "of {} calls CPU or memory is not known; to others that run beside them they count with \
             their function's mean",
            added.assumed
        ));
    }
    notes
}

/// Whether the beginning is slower than the rest, as it is when caches are cold.
fn drift(kept: &[Call]) -> Option<String> {
    /// The median of this many calls is known to some per cent.
    const ENOUGH: usize = 50;
    let count = kept.len() / 20;
    if count < ENOUGH {
        return None;
    }
    let ratio = median_run_time(&kept[..count]) / median_run_time(&kept[count..]).max(1.0);
    (ratio > 1.25).then(|| {
        format!(
            "the median run time of the first {count} calls is {ratio:.2} times that of the others; \
             --warm-up leaves a beginning out"
        )
    })
}

fn median_run_time(calls: &[Call]) -> f64 {
    median(&calls.iter().map(|call| call.targets[0]).collect::<Vec<_>>())
}

fn median(numbers: &[f64]) -> f64 {
    let mut numbers = numbers.to_vec();
    let middle = numbers.len() / 2;
    *numbers.select_nth_unstable_by(middle, f64::total_cmp).1
}

fn hash(calls: &[Call]) -> String {
    let mut hash = Sha256::new();
    for call in calls {
        hash.update(call.began.to_le_bytes());
        for number in call.features.iter().chain(&call.targets) {
            // All NaN alike.
            let number = if number.is_nan() { f64::NAN } else { *number };
            hash.update(number.to_le_bytes());
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
