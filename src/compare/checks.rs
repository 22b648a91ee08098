//! Whether the numbers mean something.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Both, Cut, FEWEST, Function, Options,
    function::{Sides, run_times},
    matched::{LATE, Pairs},
    run::Call,
    sample::median,
};
use crate::report::format;

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was found.
    pub state: State,
    /// As a sentence.
    pub text: String,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The numbers mean nothing.
    Invalid,
    /// The numbers may mean something else than it seems.
    Warning,
    /// Something to know.
    Note,
    /// As it should be.
    Fine,
}

/// The share of calls that may come late, and of calls (or of those with a code) by which two records may
/// differ.
const MOST_LATE: f64 = 0.01;
const MOST_DIFFERENT: f64 = 0.1;
/// Medians that differ by this factor have other units, most likely.
const OTHER_UNITS: f64 = 300.0;
/// A first tenth of the calls whose median is this much above or below that of the rest is a warm-up.
const WARM_UP: f64 = 1.25;
/// Where the real is this much as far from itself as from the mean, near and far fakes look the same.
const UNSTEADY: f64 = 0.25;
/// The fewest calls of a warm-up and the rest.
const SOME: usize = 200;
/// The most names in a sentence.
const NAMED: usize = 5;

fn check(state: State, text: impl Into<String>) -> Check {
    Check { state, text: text.into() }
}

/// Of two runs, before their functions are compared.
pub(super) fn of_runs(
    real: &Cut,
    fake: &Cut,
    repeat: Option<&Cut>,
    options: &Options,
) -> Vec<Check> {
    let notes = [real, fake].into_iter().chain(repeat).flat_map(|cut| {
        let about =
            |note: &String| format!("{}: {}", format::foreign(&cut.name), format::foreign(note));
        cut.run.notes().iter().map(about).collect::<Vec<_>>()
    });
    let mut checks: Vec<_> = notes.map(|text| check(State::Note, text)).collect();
    if options.warm_up.is_zero() {
        checks.push(check(State::Note, "no warm-up was cut off (--warm-up)"));
    } else {
        let text = format!(
            "the first {} s were cut off: {} real and {} fake calls",
            options.warm_up.as_secs_f64(),
            real.left_out,
            fake.left_out
        );
        checks.push(check(State::Note, text));
    }
    let count = |cut: &Cut| cut.functions.values().map(Vec::len).sum::<usize>();
    let (of_real, of_fake) = (count(real), count(fake));
    let seconds = |cut: &Cut| cut.length as f64 / 1e9;
    let text = format!(
        "{of_real} real calls in {:.1} s, {of_fake} fake calls in {:.1} s",
        seconds(real),
        seconds(fake)
    );
    let differ = of_fake.abs_diff(of_real) as f64 > MOST_DIFFERENT * of_real as f64;
    checks.push(check(if differ { State::Warning } else { State::Fine }, text));
    checks
}

/// Of the two sides of a function.
pub(super) fn of_function(name: &str, sides: &Sides, pairs: Option<&Pairs>) -> Vec<Check> {
    let name = format::foreign(name);
    let mut checks = Vec::new();
    let [real, fake] = [&sides.real, &sides.fake].map(|calls| median(run_times(calls)));
    if real > 0.0 && fake > 0.0 && (fake / real).max(real / fake) > OTHER_UNITS {
        let text = format!(
            "{name}: the median run time is {} of the real and {} of the fake calls: they look as if \
             their units differ",
            format::nanoseconds(real),
            format::nanoseconds(fake)
        );
        checks.push(check(State::Invalid, text));
    }
    for (side, calls) in [("real", &sides.real), ("fake", &sides.fake)] {
        checks.extend(warm_up(&name, side, calls));
    }
    if let Some(repeat) = &sides.repeat {
        let calls = run_times(repeat).len();
        if calls < FEWEST {
            let text = format!(
                "{name}: of the second record of the real, {calls} calls ran and were answered, and {FEWEST} are \
                 needed: real / real is of halves of the first one instead"
            );
            checks.push(check(State::Warning, text));
        }
    }
    let late = |call: &&Call| call.lateness > 0.1 * call.run;
    let late = sides.fake.iter().filter(|call| call.counts()).filter(late).count();
    if late as f64 > MOST_LATE * sides.fake.len() as f64 {
        let text = format!(
            "{name}: {} of the fake calls ran more than a tenth longer than they were planned to (lateness_ns): \
             by contention, or because the machine of the fake was busy",
            percent(late as f64 / sides.fake.len() as f64)
        );
        checks.push(check(State::Warning, text));
    }
    if pairs.is_none() {
        let text = format!(
            "{name}: the two records have different arrivals, so that calls are not compared one by one"
        );
        checks.push(check(State::Note, text));
    }
    checks
}

fn warm_up(name: &str, side: &str, calls: &[Call]) -> Option<Check> {
    let times = run_times(calls);
    if times.len() < SOME {
        return None;
    }
    let (first, rest) = times.split_at(times.len() / 10);
    let (first, rest) = (median(first.to_vec()), median(rest.to_vec()));
    (first > WARM_UP * rest || rest > WARM_UP * first).then(|| {
        let text = format!(
            "{name}: the first tenth of the {side} calls has a median run time of {}, the rest of {}: cut a \
             warm-up off with --warm-up",
            format::nanoseconds(first),
            format::nanoseconds(rest)
        );
        check(State::Warning, text)
    })
}

/// Of all functions.
pub(super) fn of_functions(
    only_in_real: &BTreeMap<String, u64>,
    only_in_fake: &BTreeMap<String, u64>,
    functions: &BTreeMap<String, Function>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    for (side, only) in [("real", only_in_real), ("fake", only_in_fake)] {
        if !only.is_empty() {
            let text = format!(
                "{} only in the {side} record, with {} calls: {}",
                format::count(only.len(), "function"),
                only.values().sum::<u64>(),
                names(only.keys())
            );
            checks.push(check(State::Warning, text));
        }
    }
    let sum = |of: fn(&Function) -> u64| functions.values().map(of).sum::<u64>();
    for (calls, what) in [
        (
            sum(|function| function.calls.real.failed + function.calls.fake.failed),
            "calls failed: their codes are compared, and not their run times",
        ),
        (
            sum(|function| {
                function.calls.real.without_run_time + function.calls.fake.without_run_time
            }),
            "answered calls have no run_ns: they are left out of all run times",
        ),
        (
            sum(|function| function.calls.real.zero_run_time + function.calls.fake.zero_run_time),
            "answered calls ran for 0 ns: they count",
        ),
    ] {
        if calls > 0 {
            checks.push(check(State::Note, format!("{calls} {what}")));
        }
    }
    for (name, function) in functions {
        checks.extend(codes(name, function));
        let Some(run_time) = &function.run_time else { continue };
        let distance = run_time.distances.wasserstein;
        if distance.real > UNSTEADY * distance.mean {
            let tells = if distance.score.is_some() { "hardly tells" } else { "does not tell" };
            let text = format!(
                "{}: the real run times are {} as far from themselves as from their mean, so that this \
                 record {tells} a near fake from a far one: record more calls, at a steadier load",
                format::foreign(name),
                percent(distance.real / distance.mean.max(f64::MIN_POSITIVE))
            );
            checks.push(check(State::Warning, text));
        }
    }
    let too_few: Vec<_> = functions
        .iter()
        .filter(|(_, function)| function.run_time.is_none())
        .map(|(name, _)| name)
        .collect();
    if !too_few.is_empty() {
        let text = format!(
            "{} with too few calls for a score: {}",
            format::count(too_few.len(), "function"),
            names(too_few.into_iter())
        );
        checks.push(check(State::Warning, text));
    }
    checks
}

/// Whether about as many calls ended with each code: of other calls, other run times are compared.
fn codes(name: &str, function: &Function) -> Option<Check> {
    let Both { real, fake } = function.calls;
    if real.calls.min(fake.calls) < FEWEST as u64 {
        return None;
    }
    let share = |calls: u64, all: u64| calls as f64 / all as f64;
    let shares = function
        .codes
        .iter()
        .map(|(code, calls)| (code, share(calls.real, real.calls), share(calls.fake, fake.calls)));
    let by = |(_, real, fake): &(&String, f64, f64)| (real - fake).abs();
    let (code, real, fake) = shares.max_by(|a, b| by(a).total_cmp(&by(b)))?;
    ((real - fake).abs() > MOST_DIFFERENT).then(|| {
        let text = format!(
            "{}: {} of the real and {} of the fake calls ended with {}, so that the run times that are \
             compared are of other calls",
            format::foreign(name),
            percent(real),
            percent(fake),
            format::foreign(code)
        );
        check(State::Invalid, text)
    })
}

/// Whether the fake's calls came in when the real ones did.
pub(super) fn of_schedule(pairs: &[Option<Pairs>], calls: u64) -> Option<Check> {
    let matched: u64 = pairs.iter().flatten().map(Pairs::len).sum();
    let late: u64 = pairs.iter().flatten().map(|pairs| pairs.late).sum();
    (matched > 0).then(|| {
        let text = format!(
            "{matched} of {calls} real calls have a fake call of the same workload; {} of these came in more \
             than {} before or after it",
            percent(late as f64 / matched as f64),
            format::nanoseconds(LATE)
        );
        let kept = late as f64 <= MOST_LATE * matched as f64;
        check(if kept { State::Fine } else { State::Invalid }, text)
    })
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The first of some names.
pub(super) fn names<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut named: Vec<String> = names.take(NAMED).map(|name| format::foreign(name)).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}
