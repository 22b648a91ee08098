use std::{collections::BTreeMap, sync::Arc};

use hyperfake_predictor::{Predictor, Result};
use serde::Serialize;

use super::{
    Both, FEWEST, Run,
    cold::Starts,
    distance::LEVELS,
    forecast::Forecast,
    load,
    matched::{Pairs, PerCall},
    measure::{Distances, Measure, Samples},
    ranges::OutOfRange,
    regimes::{ByLoad, Loads},
    run::Call,
    sample::Sample,
};

/// What was found of a function.
#[derive(Debug, Clone, Serialize)]
pub struct Function {
    /// The score of the Wasserstein distance of run times against the mean baseline; nothing if there
    /// are too few calls, or the real is about as far from itself as from its mean.
    pub score: Option<f64>,
    /// Where it is in 19 of 20 cases.
    pub score_interval: Option<[f64; 2]>,
    /// What the score means, or why there is none.
    pub verdict: String,
    /// The name of the function in the fake record, if it is another one.
    pub matched_with: Option<String>,
    /// How many calls there are.
    pub calls: Both<Calls>,
    /// How many calls ended with each gRPC code.
    pub codes: BTreeMap<String, Both<u64>>,
    /// The distribution of run times.
    pub run_time: Option<RunTime>,
    /// The same by the load that calls met.
    pub by_load: Option<ByLoad>,
    /// Cold starts.
    pub cold: Starts,
    /// Each fake call beside the real one that it repeats; nothing where the runs had different arrivals.
    pub per_call: Option<PerCall>,
    /// The fake's calls by load, as distributions that say what a real call will take.
    pub forecast: Option<Forecast>,
    /// The model's distributions of real calls.
    pub model: Option<Forecast>,
    /// The mean CPU of a call, in cores; nothing where a record does not have it.
    pub cpu_cores: Both<Option<f64>>,
    /// The mean memory of a call, in bytes.
    pub ram_bytes: Both<Option<f64>>,
    /// Calls that met what the model, or the real function, never had.
    pub out_of_range: OutOfRange,
    /// For the pictures.
    #[serde(skip)]
    pub(super) curves: Curves,
}

/// How many calls there are of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Calls {
    /// All of them.
    pub calls: u64,
    /// Those that were answered, whose run times are compared.
    pub answered: u64,
    /// Those that failed: their codes are compared.
    pub failed: u64,
    /// Those that were answered and whose run time is not known: they are left out.
    pub without_run_time: u64,
    /// Answered calls that ran for no time at all: they are compared.
    pub zero_run_time: u64,
}

/// How long answered calls ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunTime {
    /// The means, in nanoseconds.
    pub mean_ns: Both<f64>,
    /// The percentiles 50, 90 and 99, in nanoseconds.
    pub p50_ns: Both<f64>,
    /// Nine of ten calls take no longer.
    pub p90_ns: Both<f64>,
    /// 99 of 100 calls take no longer.
    pub p99_ns: Both<f64>,
    /// The distances.
    #[serde(flatten)]
    pub distances: Distances,
}

/// What is drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Curves {
    /// The shares of calls at which the numbers below are quantiles.
    pub(super) levels: Vec<f64>,
    pub(super) real: Vec<f64>,
    pub(super) fake: Vec<f64>,
    pub(super) repeat: Vec<f64>,
    /// For the middle of some ranges of load, percentiles 5, 50 and 95 of real and fake.
    pub(super) by_load: Vec<(f64, Both<Option<[f64; 3]>>)>,
}

/// The calls of one function, of each run, in the order in which they came in.
pub(super) struct Sides {
    pub(super) real: Vec<Call>,
    pub(super) fake: Vec<Call>,
    pub(super) repeat: Option<Vec<Call>>,
}

/// The run times of calls that count.
pub(super) fn run_times(calls: &[Call]) -> Vec<f64> {
    calls.iter().filter(|call| call.counts()).map(|call| call.run).collect()
}

impl Function {
    /// All but the codes, whose names the runs have; `pairs` are of the second run of the real and of the
    /// fake.
    ///
    /// # Errors
    ///
    /// When the model fails.
    pub(super) fn of(
        sides: &Sides,
        pairs: Both<Option<&Pairs>>,
        model: Option<&Arc<dyn Predictor>>,
        seed: u64,
    ) -> Result<Self> {
        let Sides { real, fake, repeat } = sides;
        let calls = Both { real: Calls::of(real), fake: Calls::of(fake) };
        let sample = |calls: &[Call]| Sample::new(&run_times(calls));
        let (real_times, fake_times) = (sample(real), sample(fake));
        let repeat_times = repeat.as_deref().map(sample);
        let enough = [&real_times, &fake_times].iter().all(|sample| sample.len() >= FEWEST);
        let repeat_times = repeat_times.filter(|sample| sample.len() >= FEWEST);
        let samples = Samples {
            real: &real_times,
            fake: &fake_times,
            repeat: repeat_times.as_ref(),
            whole: &real_times,
        };
        let distances = if enough { samples.measured(seed) } else { None };
        let loads = Loads::of(sides);
        let by_load = if enough { Some(ByLoad::of(sides, &loads, &samples)) } else { None };
        let (by_load, forecast) = by_load.unzip();
        let forecast = forecast.and_then(|tally| {
            tally.forecast("the fake's calls that met the same load", &real_times)
        });
        let mut by_load = by_load;
        let model_forecast = match (model, &mut by_load) {
            (Some(model), Some(by_load)) => by_load.ask(model, real, &loads, &real_times)?,
            _ => None,
        };
        let errors = |pairs: Option<&Pairs>, of: &[Call]| {
            pairs.and_then(|pairs| pairs.errors(real, of, real_times.mean()))
        };
        let per_call = errors(pairs.fake, fake).map(|found| {
            let of_repeat = errors(pairs.real, repeat.as_deref().unwrap_or_default());
            PerCall { mape_real: of_repeat.map(|errors| errors.mape), ..found }
        });
        let score = distances.and_then(|distances| distances.wasserstein.score);
        let mean =
            |of: fn(&Call) -> f64| Both { real: known_mean(real, of), fake: known_mean(fake, of) };
        Ok(Self {
            score,
            score_interval: distances.and_then(|distances| distances.wasserstein.score_interval),
            verdict: verdict(distances.map(|distances| distances.wasserstein), calls),
            matched_with: None,
            calls,
            codes: BTreeMap::new(),
            run_time: distances.map(|distances| RunTime::of(&real_times, &fake_times, distances)),
            cold: Starts::of(sides, &real_times),
            per_call,
            forecast,
            model: model_forecast,
            cpu_cores: mean(|call| call.cpu),
            ram_bytes: mean(|call| call.ram),
            out_of_range: OutOfRange::of(sides, model),
            curves: Curves::of(&samples, &loads, sides),
            by_load,
        })
    }
}

/// How many calls ended with each code.
pub(super) fn codes(sides: &Sides, real: &Run, fake: &Run) -> BTreeMap<String, Both<u64>> {
    let mut codes: BTreeMap<String, Both<u64>> = BTreeMap::new();
    for call in &sides.real {
        match codes.get_mut(real.code(call)) {
            Some(count) => count.real += 1,
            None => _ = codes.insert(real.code(call).to_owned(), Both { real: 1, fake: 0 }),
        }
    }
    for call in &sides.fake {
        match codes.get_mut(fake.code(call)) {
            Some(count) => count.fake += 1,
            None => _ = codes.insert(fake.code(call).to_owned(), Both { real: 0, fake: 1 }),
        }
    }
    codes
}

impl Calls {
    fn of(calls: &[Call]) -> Self {
        let count = |is: fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count() as u64;
        Self {
            calls: calls.len() as u64,
            answered: count(|call| call.answered),
            failed: count(|call| !call.answered),
            without_run_time: count(|call| call.answered && call.run.is_nan()),
            zero_run_time: count(|call| call.counts() && call.run == 0.0),
        }
    }
}

impl RunTime {
    fn of(real: &Sample, fake: &Sample, distances: Distances) -> Self {
        let [p50_ns, p90_ns, p99_ns] =
            LEVELS.map(|level| Both { real: real.quantile(level), fake: fake.quantile(level) });
        let mean_ns = Both { real: real.mean(), fake: fake.mean() };
        Self { mean_ns, p50_ns, p90_ns, p99_ns, distances }
    }
}

impl Curves {
    fn of(samples: &Samples<'_>, loads: &Loads, sides: &Sides) -> Self {
        /// Quantiles of a curve, and the ranges of load.
        const POINTS: usize = 100;
        const RANGES: usize = 10;
        /// The fewest calls in a range whose percentiles are drawn.
        const SOME: usize = 20;
        let inner = (1..POINTS).map(|point| point as f64 / POINTS as f64);
        let tail = [0.995, 0.998, 0.999, 0.9998, 1.0];
        let levels: Vec<f64> = [0.0].into_iter().chain(inner).chain(tail).collect();
        let at = |sample: &Sample| -> Vec<f64> {
            if sample.is_empty() {
                return Vec::new();
            }
            levels.iter().map(|level| sample.quantile(*level)).collect()
        };
        let regimes = load::Regimes::of(&loads.of_counted(&sides.real, &loads.real), RANGES);
        let percentiles = |calls: &[Call], loads: &[f64]| -> Vec<Option<[f64; 3]>> {
            let mut times = vec![Vec::new(); regimes.count()];
            for (call, load) in calls.iter().zip(loads).filter(|(call, _)| call.counts()) {
                times[regimes.index(*load)].push(call.run);
            }
            let of = |times: Vec<f64>| {
                let sample = Sample::new(&times);
                (times.len() >= SOME).then(|| [0.05, 0.5, 0.95].map(|share| sample.quantile(share)))
            };
            times.into_iter().map(of).collect()
        };
        let mut sums = vec![(0.0, 0.0_f64); regimes.count()];
        for load in loads.of_counted(&sides.real, &loads.real) {
            let (sum, count) = &mut sums[regimes.index(load)];
            (*sum, *count) = (*sum + load, *count + 1.0);
        }
        let middles = sums.into_iter().map(|(sum, count)| sum / count.max(1.0));
        let real = percentiles(&sides.real, &loads.real);
        let fake = percentiles(&sides.fake, &loads.fake);
        let sides = real.into_iter().zip(fake).map(|(real, fake)| Both { real, fake });
        Self {
            real: at(samples.real),
            fake: at(samples.fake),
            repeat: samples.repeat.map(at).unwrap_or_default(),
            by_load: middles.zip(sides).collect(),
            levels,
        }
    }
}

/// The mean of what is known of answered calls.
fn known_mean(calls: &[Call], of: impl Fn(&Call) -> f64) -> Option<f64> {
    let known = calls.iter().filter(|call| call.answered).map(of).filter(|number| !number.is_nan());
    let (sum, count) = known.fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// What a score means, or why there is none.
fn verdict(distance: Option<Measure>, calls: Both<Calls>) -> String {
    let counted = |calls: Calls| calls.answered - calls.without_run_time;
    let Some(distance) = distance else {
        return format!(
            "too few calls: {} real and {} fake ones ran and were answered, {FEWEST} each are needed",
            counted(calls.real),
            counted(calls.fake)
        );
    };
    match distance.score {
        None => "no score: the real is about as far from itself as from its mean".to_owned(),
        Some(..0.1) => "as near as the real is to itself".to_owned(),
        Some(..0.5) => "near".to_owned(),
        Some(..1.0) => "nearer than the mean".to_owned(),
        Some(..2.0) => "no nearer than the mean".to_owned(),
        Some(_) => "wrong".to_owned(),
    }
}
