//! How quantiles do on what was held back, and what has to be added to them so that as many calls lie below
//! each as its level says: conformalised quantile regression (Romano, Patterson and Candès, 2019), for
//! each level on its own.

use hyperfake_predictor::Output;

use super::{
    blocks::Part,
    samples::Samples,
    score::{self, Forecast, LEVELS, NINETY, Quantiles, crps, quantile},
};

/// What is added to the logarithms of the quantiles of each output, in each tercile of the load.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Shifts([[Quantiles; 3]; 3]);

impl Shifts {
    /// The quantiles with what is added, where that is the same at any load.
    pub(super) fn applied(&self, output: Output, quantiles: &Quantiles) -> Quantiles {
        let [shifts, _, _] = &self.0[output as usize];
        std::array::from_fn(|index| quantiles[index] + shifts[index])
    }

    /// What is added at each level, in each tercile of the load.
    pub(super) fn of(&self, output: Output) -> &[Quantiles; 3] {
        &self.0[output as usize]
    }
}

/// What is done with the quantiles of a candidate before they are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calibrate {
    /// Nothing.
    No,
    /// The same is added at any load.
    Levels,
    /// Something else is added in each tercile of the load.
    LevelsByLoad,
}

/// How a candidate did on the blocks that were held back.
#[derive(Debug, Clone)]
pub(super) struct Evaluation {
    /// For each output the mean score of each block, calibrated on other blocks, and NaN for one in which
    /// it is not known; empty for an output that is the same for each call.
    pub(super) scores: [Vec<f64>; 3],
    /// For each output the share of calls in the interval that nine in ten should be in.
    pub(super) coverage: [Option<f64>; 3],
    /// Of the run time, in each tercile of the load.
    pub(super) coverage_by_load: Option<[f64; 3]>,
    /// From all blocks that were held back.
    pub(super) shifts: Shifts,
}

/// Calls of a block that was held back, with what was said about them.
struct Held {
    /// Which of the blocks that were held back.
    block: usize,
    /// Which tercile of the load it is in.
    tercile: usize,
    log: f64,
    quantiles: Quantiles,
}

/// Asks a candidate about what was held back. Each half of it is calibrated on the other one.
pub(super) fn evaluate(
    samples: &Samples,
    forecast: &dyn Forecast,
    calibrate: Calibrate,
) -> Evaluation {
    let terciles = Terciles::of(samples);
    let blocks = samples.blocks.of(Part::Hold).count();
    let mut evaluation = Evaluation {
        scores: Default::default(),
        coverage: [None; 3],
        coverage_by_load: None,
        shifts: Shifts::default(),
    };
    for output in Output::ALL {
        let Some(mut held) = held(samples, terciles.as_ref(), forecast, output) else { continue };
        let of = |half: usize| by_load(held.iter().filter(|one| one.block % 2 == half), calibrate);
        if calibrate != Calibrate::No {
            let halves = [of(1), of(0)];
            evaluation.shifts.0[output as usize] = by_load(held.iter(), calibrate);
            for one in &mut held {
                let shifts = &halves[one.block % 2][one.tercile];
                one.quantiles = std::array::from_fn(|index| one.quantiles[index] + shifts[index]);
                score::ascend(&mut one.quantiles);
            }
        }
        let of_block = |block: usize| {
            let inside = held.iter().filter(move |one| one.block == block);
            score::mean(inside.map(|one| crps(&one.quantiles, one.log)))
        };
        evaluation.scores[output as usize] = (0..blocks).map(of_block).collect();
        evaluation.coverage[output as usize] = Some(coverage(held.iter()));
        if output == Output::RuntimeNs && terciles.is_some() {
            let inside = |tercile| held.iter().filter(move |one| one.tercile == tercile);
            evaluation.coverage_by_load = Some([0, 1, 2].map(|tercile| coverage(inside(tercile))));
        }
    }
    evaluation
}

fn held(
    samples: &Samples,
    terciles: Option<&Terciles>,
    forecast: &dyn Forecast,
    output: Output,
) -> Option<Vec<Held>> {
    /// More calls of a block say no more.
    const ENOUGH: usize = 2000;
    let logs = samples.targets[output as usize].logs()?;
    let mut held = Vec::new();
    for (block, rows) in
        samples.blocks.of(Part::Hold).map(|one| samples.blocks.rows(one)).enumerate()
    {
        let step = rows.len().div_ceil(ENOUGH).max(1);
        for row in rows.step_by(step).filter(|row| !logs[*row].is_nan()) {
            let quantiles = forecast.quantiles(samples, row, output);
            let tercile = terciles.map_or(0, |terciles| terciles.of_row(samples, row));
            held.push(Held { block, tercile, log: logs[row], quantiles });
        }
    }
    Some(held)
}

/// What has to be added in each tercile of the load: what has to be at any, and something for the tercile
/// where that is wanted.
fn by_load<'a>(
    held: impl Iterator<Item = &'a Held> + Clone,
    calibrate: Calibrate,
) -> [Quantiles; 3] {
    let all = shifts(held.clone(), &[0.0; LEVELS.len()]);
    if calibrate != Calibrate::LevelsByLoad {
        return [all; 3];
    }
    [0, 1, 2].map(|tercile| {
        let more = shifts(held.clone().filter(|one| one.tercile == tercile), &all);
        std::array::from_fn(|index| all[index] + more[index])
    })
}

/// For each level the quantile of how far the numbers are above it, with what is added already. Few calls
/// say little of the outer levels, where they count for less.
fn shifts<'a>(held: impl Iterator<Item = &'a Held> + Clone, added: &Quantiles) -> Quantiles {
    /// So many calls beyond a level weigh as much as that nothing has to be added.
    const SHRINK: f64 = 5.0;
    std::array::from_fn(|index| {
        let above = held.clone().map(|one| one.log - one.quantiles[index] - added[index]);
        let mut above: Vec<f64> = above.collect();
        if above.is_empty() {
            return 0.0;
        }
        above.sort_by(f64::total_cmp);
        let level = LEVELS[index];
        let beyond = above.len() as f64 * level.min(1.0 - level);
        quantile(&above, level) * beyond / (beyond + SHRINK)
    })
}

fn coverage<'a>(held: impl Iterator<Item = &'a Held>) -> f64 {
    let [low, high] = NINETY;
    let is_inside = |one: &Held| (one.quantiles[low]..=one.quantiles[high]).contains(&one.log);
    score::mean(held.map(|one| f64::from(u8::from(is_inside(one)))))
}

/// Three ranges of the load with as many calls each, as far as calls with the same load allow.
pub(super) struct Terciles {
    /// The feature among those that are learned from.
    pub(super) column: usize,
    /// The greatest loads of the first and of the second one.
    pub(super) bounds: [f64; 2],
}

impl Terciles {
    pub(super) fn of(samples: &Samples) -> Option<Self> {
        let load = samples.load()?;
        let column = samples.columns.iter().position(|one| one.feature == load.feature)?;
        let mut sorted = load.values.clone();
        sorted.sort_by(f64::total_cmp);
        let bounds = [sorted[sorted.len() / 3], sorted[2 * sorted.len() / 3]];
        Some(Self { column, bounds })
    }

    fn of_row(&self, samples: &Samples, row: usize) -> usize {
        let load = samples.columns[self.column].values[row];
        self.bounds.iter().filter(|bound| load > **bound).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::{
        blocks::Blocks,
        samples::Target,
        score::MEDIAN,
        search::{base, combined},
    };

    /// Says 0 of all numbers.
    struct Zero;

    impl Forecast for Zero {
        fn quantiles(&self, _: &Samples, _: usize, _: Output) -> Quantiles {
            [0.0; LEVELS.len()]
        }
    }

    /// A third of 3000 calls is 1 above what is said of it, a third 2 and a third 3. At the median, 500 calls of
    /// a third are beyond, of 505 with those that nothing has to be added for.
    #[test]
    fn each_tercile_of_the_load_has_what_it_needs() {
        let held: Vec<Held> = (0..3000)
            .map(|call| Held {
                block: 0,
                tercile: call % 3,
                log: (call % 3 + 1) as f64,
                quantiles: [0.0; LEVELS.len()],
            })
            .collect();
        let median = |calibrate| by_load(held.iter(), calibrate).map(|shifts| shifts[MEDIAN]);
        let all = 2.0 * 1500.0 / 1505.0;
        assert_eq!(median(Calibrate::Levels), [all; 3]);
        let needed = [1.0, 2.0, 3.0].map(|log| all + (log - all) * 500.0 / 505.0);
        for (found, needed) in median(Calibrate::LevelsByLoad).into_iter().zip(needed) {
            assert!((found - needed).abs() < 1e-9, "{found}, not {needed}");
        }
    }

    /// Of 1000 calls in 40 blocks the blocks 2, 7, … 37 are held back. The CPU is known of the first 300 calls,
    /// so of two of these. The error of a point is its distance: that of the run time is 1 in the first half
    /// and 4 in the second, and that of the CPU is 3.
    #[test]
    fn an_output_that_is_not_known_of_the_last_blocks_leaves_the_others_as_they_are() {
        let run_times = (0..1000).map(|row| if row < 500 { 1.0 } else { 4.0 });
        let cpu = (0..1000).map(|row| if row < 300 { 3.0 } else { f64::NAN });
        let samples = Samples {
            columns: Vec::new(),
            targets: [
                Target::Logs(run_times.collect()),
                Target::Logs(cpu.collect()),
                Target::Same(1.0),
            ],
            blocks: Blocks::new(1000),
            without: Vec::new(),
        };
        let Evaluation { scores: [run_time, cpu, ram], .. } =
            evaluate(&samples, &Zero, Calibrate::No);
        let near = |found: &[f64], expected: &[f64]| {
            let is_near = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-9;
            found.len() == expected.len() && found.iter().zip(expected).all(is_near)
        };
        assert!(near(&run_time, &[1.0, 1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0]), "{run_time:?}");
        assert!(near(&cpu[..2], &[3.0, 3.0]) && cpu.len() == 8, "{cpu:?}");
        assert!(cpu[2..].iter().all(|score| score.is_nan()) && ram.is_empty());
        // Over its mean, 2.5, the run time is 0.4 and 1.6, and counts twice. The CPU is as without features.
        let of_base = base(&samples, &Zero, Part::Hold);
        let scores = [run_time, cpu, ram];
        let all =
            combined(&samples, Part::Hold, &of_base, |output| scores[output as usize].clone());
        let [first, second] = [(2.0 * 0.4 + 1.0) / 3.0, (2.0 * 1.6 + 1.0) / 3.0];
        assert!(near(&all, &[[first; 4], [second; 4]].concat()), "{all:?}");
    }
}
