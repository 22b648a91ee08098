use serde::Serialize;

use super::{
    Both, FEWEST,
    function::Sides,
    measure::{Measure, Samples},
    run::Call,
    sample::Sample,
};

/// Cold starts, and what they change.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Starts {
    /// The share of calls that were the first of their instance; nothing where a record does not say it.
    pub share: Both<Option<f64>>,
    /// How many those were.
    pub calls: Both<u64>,
    /// The median of how long they waited for their instance, in nanoseconds.
    pub p50_ns: Both<Option<f64>>,
    /// The percentile 90 of it.
    pub p90_ns: Both<Option<f64>>,
    /// The Wasserstein distance of how long they waited, over the median; nothing where there are too
    /// few.
    pub duration: Option<Measure>,
    /// That of the run times of cold calls, over the median of all calls.
    pub cold_run_time: Option<Measure>,
    /// That of the run times of the other calls.
    pub warm_run_time: Option<Measure>,
}

impl Starts {
    /// Of the calls of one function; `whole` are all real run times.
    pub(super) fn of(sides: &Sides, whole: &Sample) -> Self {
        let Sides { real, fake, repeat } = sides;
        let repeat = repeat.as_deref().unwrap_or_default();
        let all = [real.as_slice(), fake, repeat];
        let run_time = |cold: bool| {
            all.map(|calls| {
                sample(calls, |call| call.counts() && call.cold == Some(cold), |call| call.run)
            })
        };
        let waits = all.map(|calls| {
            let counts = |call: &Call| call.cold == Some(true) && call.answered;
            sample(calls, |call| counts(call) && !call.cold_start.is_nan(), |call| call.cold_start)
        });
        let [real_waits, fake_waits, _] = &waits;
        let at = |share: f64| {
            let of = |sample: &Sample| (!sample.is_empty()).then(|| sample.quantile(share));
            Both { real: of(real_waits), fake: of(fake_waits) }
        };
        Self {
            share: Both { real: share(real), fake: share(fake) },
            calls: Both { real: count(real), fake: count(fake) },
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            duration: measure(&waits, &waits[0]),
            cold_run_time: measure(&run_time(true), whole),
            warm_run_time: measure(&run_time(false), whole),
        }
    }
}

fn count(calls: &[Call]) -> u64 {
    calls.iter().filter(|call| call.cold == Some(true)).count() as u64
}

/// Of the calls of which it is known.
fn share(calls: &[Call]) -> Option<f64> {
    let known = calls.iter().filter(|call| call.cold.is_some()).count();
    (known > 0).then(|| count(calls) as f64 / known as f64)
}

fn sample(calls: &[Call], counts: impl Fn(&Call) -> bool, of: impl Fn(&Call) -> f64) -> Sample {
    Sample::new(&calls.iter().filter(|call| counts(call)).map(of).collect::<Vec<_>>())
}

fn measure([real, fake, repeat]: &[Sample; 3], whole: &Sample) -> Option<Measure> {
    if real.len() < FEWEST || fake.len() < FEWEST {
        return None;
    }
    let repeat = Some(repeat).filter(|repeat| repeat.len() >= FEWEST);
    let four = Samples { real, fake, repeat, whole }.distances()?;
    let of = |distance: super::Distance| distance.wasserstein;
    Some(Measure::new(of(four.fake), of(four.real), of(four.mean)))
}
