//! How wrong a fake is: the record of a real run beside that of a fake one.
//!
//! Each distance stands beside the same distance of real calls from real ones, which is chance, and of
//! baselines, which is ignorance; a [score](Measure::score) is where between the two the fake is.

mod checks;
mod cold;
mod distance;
mod forecast;
mod function;
mod load;
mod matched;
mod measure;
mod noise;
mod page;
mod ranges;
mod regimes;
mod run;
mod sample;
mod series;
mod tables;
mod text;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hyperfake_predictor::{Error, Predictor, Result};
use serde::Serialize;

pub use self::{
    checks::{Check, State},
    cold::Starts,
    distance::Distance,
    forecast::{Coverage, Forecast},
    function::{Calls, Function, RunTime},
    matched::PerCall,
    measure::{Distances, Measure},
    ranges::OutOfRange,
    regimes::{ByLoad, Tercile},
    run::Run,
    series::SeriesError,
};
use self::{function::Sides, matched::Pairs, run::Call, series::Series};

/// The fewest answered calls, of real and fake each, of which a distribution is compared: the percentile
/// 99 of fewer is their longest.
pub const FEWEST: usize = 100;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// As long after the first call of each record, calls are left out.
    pub warm_up: Duration,
    /// What makes calls those of one function.
    pub by: By,
    /// The models that the fakes have, by function.
    pub models: BTreeMap<String, Arc<dyn Predictor>>,
    /// The seed of the block bootstrap.
    pub seed: u64,
}

/// What makes calls those of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// The image; the id where there is none.
    #[default]
    Image,
    /// The id.
    Function,
}

/// The same of the real and of the fake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Both<T> {
    /// Of the real.
    pub real: T,
    /// Of the fake.
    pub fake: T,
}

/// All that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The names of the records.
    pub records: Both<String>,
    /// The name of the second record of the real.
    pub repeat: Option<String>,
    /// Whether the numbers mean something: no check found that they do not.
    pub valid: bool,
    /// What was looked at before anything was compared.
    pub checks: Vec<Check>,
    /// The greatest score of a function; nothing if a function of the real has none.
    pub worst_score: Option<f64>,
    /// The mean of the scores, each weighted by the function's real calls.
    pub mean_score: Option<f64>,
    /// The functions of both records, by name.
    pub functions: BTreeMap<String, Function>,
    /// Calls of the functions that only the real record has.
    pub only_in_real: BTreeMap<String, u64>,
    /// Calls of the functions that only the fake record has.
    pub only_in_fake: BTreeMap<String, u64>,
    /// What all functions did over time.
    pub over_time: OverTime,
}

/// What all functions together did over time.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OverTime {
    /// The length of a window, in seconds.
    pub window_seconds: f64,
    /// Why there is no error over time, if there is none.
    pub not_compared_because: Option<String>,
    /// Calls that were answered, each second.
    pub rate: SeriesError,
    /// The CPU that calls held, in cores.
    pub cpu_cores: SeriesError,
    /// The memory that calls held, in bytes.
    pub ram_bytes: SeriesError,
    /// For the picture.
    #[serde(skip)]
    series: Both<Series>,
}

impl Default for Options {
    fn default() -> Self {
        Self { warm_up: Duration::ZERO, by: By::Image, models: BTreeMap::new(), seed: 1 }
    }
}

impl Options {
    /// By the name of the function in either record; where there is one function and one model, that one.
    fn model_of(
        &self,
        name: &str,
        other_name: Option<&str>,
        only_function: bool,
    ) -> Option<&Arc<dyn Predictor>> {
        let only =
            || self.models.values().next().filter(|_| only_function && self.models.len() == 1);
        let other = || self.models.get(other_name?);
        self.models.get(name).or_else(other).or_else(only)
    }
}

impl Comparison {
    /// As JSON, indented.
    #[must_use]
    pub fn json(&self) -> String {
        crate::report::format::visible(&format!("{:#}", serde_json::json!(self)))
    }

    /// Whether it is valid and every function of either record has a score of at most this.
    #[must_use]
    pub fn is_within(&self, most: f64) -> bool {
        self.valid
            && self.only_in_real.is_empty()
            && self.only_in_fake.is_empty()
            && self.worst_score.is_some_and(|worst| worst <= most)
    }
}

/// A run whose warm-up is cut off.
struct Cut {
    name: String,
    functions: BTreeMap<String, Vec<Call>>,
    begin: u64,
    length: u64,
    /// Calls that were left out.
    left_out: u64,
    run: Run,
}

impl Cut {
    fn of(mut run: Run, options: &Options) -> Result<Self> {
        let mut functions = run.take_functions(options.by);
        let first = functions.values().filter_map(|calls| Some(calls.first()?.arrival)).min();
        let Some(first) = first else {
            return Err(Error::invalid("the record has no calls").at(run.name()));
        };
        let warm_up = crate::record::nanoseconds(options.warm_up);
        let begin = first.saturating_add(warm_up);
        for calls in functions.values_mut() {
            calls.drain(..calls.partition_point(|call| call.arrival < begin));
        }
        functions.retain(|_, calls| !calls.is_empty());
        let kept: usize = functions.values().map(Vec::len).sum();
        let end = functions.values().flatten().map(Call::end).max();
        let Some(end) = end else {
            let message = format!(
                "no call came in after the first {} s; choose a shorter --warm-up",
                options.warm_up.as_secs_f64()
            );
            return Err(Error::invalid(message).at(run.name()));
        };
        Ok(Self {
            name: run.name().to_owned(),
            functions,
            begin,
            length: end - begin,
            left_out: run.rows() - kept as u64,
            run,
        })
    }

    fn series(&self, length: u64, width: u64) -> Series {
        Series::of(self.functions.values().flatten(), self.begin, length, width)
    }
}

/// Compares the record of a fake with that of the real; `repeat` is a second record of the real.
///
/// # Errors
///
/// `Invalid` when a record has no calls or the records have no function in common, and when a model
/// fails.
pub fn compare(real: Run, fake: Run, repeat: Option<Run>, options: &Options) -> Result<Comparison> {
    let (mut real, mut fake) = (Cut::of(real, options)?, Cut::of(fake, options)?);
    let mut repeat = repeat.map(|repeat| Cut::of(repeat, options)).transpose()?;
    let renamed = same_name(&real, &mut fake, repeat.as_mut());
    let (length, width) = {
        let length = real.length.max(fake.length);
        (length, series::width_of(length))
    };
    let series = Both { real: real.series(length, width), fake: fake.series(length, width) };
    let of_repeat = repeat.as_ref().map(|repeat| repeat.series(length, width));
    let mut checks = checks::of_runs(&real, &fake, repeat.as_ref(), options);
    let only_function = real.functions.len() == 1;
    let (mut sides, mut only_in_real, mut calls) = (Vec::new(), BTreeMap::new(), 0_u64);
    for (name, of_real) in std::mem::take(&mut real.functions) {
        calls += of_real.len() as u64;
        let Some(of_fake) = fake.functions.remove(&name) else {
            only_in_real.insert(name, of_real.len() as u64);
            continue;
        };
        let of_repeat = |repeat: &mut Cut| repeat.functions.remove(&name).unwrap_or_default();
        let of_repeat = repeat.as_mut().map(of_repeat);
        sides.push((name, Sides { real: of_real, fake: of_fake, repeat: of_repeat }));
    }
    let pairs = Both {
        real: pairs(&sides, |sides| sides.repeat.as_deref().unwrap_or_default()),
        fake: pairs(&sides, |sides| &sides.fake),
    };
    let mut functions = BTreeMap::new();
    let mut unused = options.models.clone();
    for (number, (name, sides)) in sides.into_iter().enumerate() {
        let of_function =
            Both { real: pairs.real[number].as_ref(), fake: pairs.fake[number].as_ref() };
        checks.extend(checks::of_function(&name, &sides, of_function.fake));
        let model = options.model_of(&name, renamed.as_deref(), only_function);
        if let Some(model) = model {
            unused.retain(|_, other| !Arc::ptr_eq(other, model));
        }
        let function = Function::of(&sides, of_function, model, options.seed)
            .map_err(|error| error.at(&name))?;
        let codes = function::codes(&sides, &real.run, &fake.run);
        functions.insert(name, Function { codes, matched_with: renamed.clone(), ..function });
    }
    let count = |(name, calls): (String, Vec<Call>)| (name, calls.len() as u64);
    let only_in_fake: BTreeMap<_, _> = fake.functions.into_iter().map(count).collect();
    if functions.is_empty() {
        let names = |functions: &BTreeMap<String, u64>| checks::names(functions.keys());
        let message = format!(
            "the records have no function in common: {} has {}, {} has {}; see --by",
            real.name,
            names(&only_in_real),
            fake.name,
            names(&only_in_fake)
        );
        return Err(Error::invalid(message));
    }
    if let Some(image) = unused.keys().next() {
        let names = checks::names(functions.keys());
        let message = format!(
            "found a model of '{image}', expected one of the functions that are compared: {names}"
        );
        return Err(Error::invalid(message).at("--model"));
    }
    checks.extend(checks::of_functions(&only_in_real, &only_in_fake, &functions));
    checks.extend(checks::of_schedule(&pairs.fake, calls));
    let same = Both {
        real: matched::is_most(&pairs.real, calls),
        fake: matched::is_most(&pairs.fake, calls),
    };
    let error = |of: fn(&Series) -> &[f64]| {
        let repeat = of_repeat.as_ref().filter(|_| same.real).map(of);
        series::compare(of(&series.real), of(&series.fake), repeat, same.fake)
    };
    let over_time = OverTime {
        window_seconds: width as f64 / 1e9,
        not_compared_because: (!same.fake)
            .then(|| "the two runs had different arrivals".to_owned()),
        rate: error(|series| &series.rate),
        cpu_cores: error(|series| &series.cpu),
        ram_bytes: error(|series| &series.ram),
        series,
    };
    let scores: Option<Vec<_>> = functions
        .values()
        .map(|function| Some((function.score?, function.calls.real.calls as f64)))
        .collect();
    let worst =
        |scores: &Vec<(f64, f64)>| scores.iter().map(|(score, _)| *score).fold(0.0, f64::max);
    let mean = |scores: &Vec<(f64, f64)>| {
        let sum: f64 = scores.iter().map(|(score, calls)| score * calls).sum();
        sum / scores.iter().map(|(_, calls)| calls).sum::<f64>()
    };
    checks.sort_by_key(|check| check.state);
    Ok(Comparison {
        records: Both { real: real.name, fake: fake.name },
        repeat: repeat.map(|repeat| repeat.name),
        valid: checks.iter().all(|check| check.state != State::Invalid),
        checks,
        worst_score: scores.as_ref().map(worst).filter(|_| only_in_real.is_empty()),
        mean_score: scores.as_ref().map(mean),
        functions,
        only_in_real,
        only_in_fake,
        over_time,
    })
}

/// Of each function, the calls of the real that are also in another run.
fn pairs(sides: &[(String, Sides)], other: impl Fn(&Sides) -> &[Call]) -> Vec<Option<Pairs>> {
    let calls: Vec<_> = sides.iter().map(|(_, sides)| [&*sides.real, other(sides)]).collect();
    Pairs::of_all(&calls)
}

/// Where each record has one function, they are meant, whatever their names: the others' take the name of
/// the real one. Returns the name that the fake's had, if it was another one.
fn same_name(real: &Cut, fake: &mut Cut, repeat: Option<&mut Cut>) -> Option<String> {
    fn only(cut: &Cut) -> Option<String> {
        let mut names = cut.functions.keys();
        names.next().filter(|_| cut.functions.len() == 1).cloned()
    }
    fn rename(cut: &mut Cut, to: &str) -> Option<String> {
        let name = only(cut).filter(|name| name != to)?;
        let calls = cut.functions.remove(&name)?;
        cut.functions.insert(to.to_owned(), calls);
        Some(name)
    }
    let name = only(real)?;
    if let Some(repeat) = repeat {
        rename(repeat, &name);
    }
    rename(fake, &name)
}
