use std::sync::Arc;

use hyperfake_predictor::{Predictor, Result};
use serde::Serialize;

use super::{
    Both, FEWEST,
    distance::Distance,
    forecast::{self, Coverage, Forecast, Tally},
    function::Sides,
    load::{self, Regimes},
    measure::{Four, Measure, Samples},
    run::Call,
    sample::Sample,
};

/// Run times by the load that calls met: the number of the function's running calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByLoad {
    /// How the load is known: as the records say it, or from overlaps of their calls.
    pub load: &'static str,
    /// Thirds of the real calls, from the lowest load; fewer if many calls met the same load.
    pub terciles: Vec<Tercile>,
    /// The mean Wasserstein distance within the terciles, weighted by their real calls, over the median
    /// of all. `quantiles` is the baseline that knows the distribution of all real calls and not the
    /// load.
    pub wasserstein: Option<Measure>,
    /// The share of the real calls that is in terciles with enough calls.
    pub share: f64,
}

/// The calls that met a range of loads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tercile {
    /// More running calls than this; nothing of the first.
    pub above: Option<f64>,
    /// At most this many running calls; nothing of the last.
    pub up_to: Option<f64>,
    /// Answered calls.
    pub calls: Both<u64>,
    /// Whether there are too few of them to compare their distributions.
    pub too_few: bool,
    /// The medians of run times, in nanoseconds.
    pub p50_ns: Both<f64>,
    /// The Wasserstein distance within, over the median of all real calls.
    pub wasserstein: Option<Measure>,
    /// The Kolmogorov-Smirnov distance within.
    pub ks: Option<Measure>,
    /// The greatest relative error of the percentiles 50, 90 and 99.
    pub worst_quantile: Option<Measure>,
    /// The share of real calls within the intervals of the fake calls.
    pub coverage: Option<Coverage>,
    /// The share of real calls within the intervals of the model; nothing where there are too few.
    pub model_coverage: Option<Coverage>,
}

/// The load that each call met.
pub(super) struct Loads {
    pub(super) real: Vec<f64>,
    pub(super) fake: Vec<f64>,
    repeat: Vec<f64>,
    as_recorded: bool,
}

impl Loads {
    pub(super) fn of(sides: &Sides) -> Self {
        let repeat = sides.repeat.as_deref().unwrap_or_default();
        let as_recorded = [&sides.real, &sides.fake, repeat].into_iter().all(load::is_recorded);
        let of = |calls| load::loads(calls, as_recorded);
        Self { real: of(&sides.real), fake: of(&sides.fake), repeat: of(repeat), as_recorded }
    }

    /// Those of calls that count.
    pub(super) fn of_counted(&self, calls: &[Call], loads: &[f64]) -> Vec<f64> {
        let counted = calls.iter().zip(loads).filter(|(call, _)| call.counts());
        counted.map(|(_, load)| *load).collect()
    }

    /// The ranges that have thirds of the real calls that count.
    fn terciles(&self, real: &[Call]) -> Regimes {
        Regimes::of(&self.of_counted(real, &self.real), 3)
    }
}

impl ByLoad {
    /// And how well the fake calls forecast the real ones that met the same load.
    pub(super) fn of(sides: &Sides, loads: &Loads, samples: &Samples<'_>) -> (Self, Tally) {
        let regimes = loads.terciles(&sides.real);
        let split = |calls: &[Call], loads: &[f64]| -> Vec<Sample> {
            let mut times = vec![Vec::new(); regimes.count()];
            for (call, load) in calls.iter().zip(loads).filter(|(call, _)| call.counts()) {
                times[regimes.index(*load)].push(call.run);
            }
            times.iter().map(|times| Sample::new(times)).collect()
        };
        let (real, fake) = (split(&sides.real, &loads.real), split(&sides.fake, &loads.fake));
        let repeat = split(sides.repeat.as_deref().unwrap_or_default(), &loads.repeat);
        let mut terciles = Vec::new();
        let (mut tally, mut sum, mut calls) = (Tally::default(), [0.0; 4], 0.0);
        for (index, ((real, fake), repeat)) in real.iter().zip(&fake).zip(&repeat).enumerate() {
            let parts = Samples {
                real,
                fake,
                repeat: Some(repeat).filter(|repeat| repeat.len() >= FEWEST),
                whole: samples.whole,
            };
            let too_few = real.len() < FEWEST || fake.len() < FEWEST;
            let four = if too_few { None } else { parts.distances() };
            let measure = |of: fn(&Distance) -> f64| four.as_ref().map(|four| of_four(four, of));
            let wasserstein = measure(|distance| distance.wasserstein);
            if let Some(Measure { fake, real: chance, mean, quantiles: Some(quantiles), .. }) =
                wasserstein
            {
                let count = real.len() as f64;
                calls += count;
                for (sum, more) in sum.iter_mut().zip([fake, chance, mean, quantiles]) {
                    *sum += more * count;
                }
            }
            let of_calls = forecast::by_calls(real, fake);
            let (above, up_to) = regimes.bounds(index);
            terciles.push(Tercile {
                above,
                up_to,
                calls: Both { real: real.len() as u64, fake: fake.len() as u64 },
                too_few,
                p50_ns: Both { real: real.quantile(0.5), fake: fake.quantile(0.5) },
                wasserstein,
                ks: measure(|distance| distance.ks),
                worst_quantile: measure(|distance| distance.worst_quantile),
                coverage: of_calls.coverage().filter(|_| !too_few),
                model_coverage: None,
            });
            tally.merge(&of_calls);
        }
        let [fake, real, mean, quantiles] = sum.map(|sum| sum / calls);
        let load = match loads.as_recorded {
            true => "active_calls of the records",
            false => "calls that had come in and not ended, because a record lacks active_calls",
        };
        let whole = Measure::new(fake, real, mean).with_quantiles(quantiles);
        let wasserstein = (calls > 0.0).then_some(whole);
        let share = calls / samples.whole.len() as f64;
        (Self { load, terciles, wasserstein, share }, tally)
    }

    /// Asks a model about the real calls.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub(super) fn ask(
        &mut self,
        model: &Arc<dyn Predictor>,
        real: &[Call],
        loads: &Loads,
        whole: &Sample,
    ) -> Result<Option<Forecast>> {
        let regimes = loads.terciles(real);
        let counted = real.iter().zip(&loads.real).filter(|(call, _)| call.counts());
        let calls: Vec<_> = counted.map(|(call, load)| (*call, regimes.index(*load))).collect();
        let tallies = forecast::by_model(model, &calls, regimes.count())?;
        let mut all = Tally::default();
        for (tally, tercile) in tallies.iter().zip(&mut self.terciles) {
            tercile.model_coverage = tally.coverage().filter(|_| !tercile.too_few);
            all.merge(tally);
        }
        Ok(all.forecast("the model", whole))
    }
}

fn of_four(four: &Four, of: fn(&Distance) -> f64) -> Measure {
    let measure = Measure::new(of(&four.fake), of(&four.real), of(&four.mean));
    measure.with_quantiles(of(&four.quantiles))
}
