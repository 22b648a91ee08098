//! Which features choose a bin, and how many bins there are.

use hyperfake_predictor::Output;

use super::{
    Options, Progress,
    bins::{Bins, Structure},
    blocks::Part,
    samples::Samples,
    score::{self, with_error},
};

/// How many bins are tried.
const BINS: [usize; 6] = [2, 4, 8, 16, 32, 64];
/// How many are tried of each of two features.
const BINS_OF_TWO: [usize; 4] = [3, 6, 12, 24];
/// Pairs are made of so many features: those that are best alone.
const IN_PAIRS: usize = 3;
/// How much bins may lean on each other.
const SHRINKS: [f64; 3] = [5.0, 50.0, 500.0];
/// Fewer calls than these in a bin on average are not tried.
const PER_BIN: usize = 20;
/// Choices are made on so many calls: more would choose the same.
const ENOUGH: usize = 60_000;
/// An improvement below this is none, as a share of the error without features.
const NEGLIGIBLE: f64 = 1e-3;

/// The result of the search.
pub(super) struct Found {
    pub(super) structure: Structure,
    /// Whether it was ended before its end.
    pub(super) stopped: bool,
}

/// Searches the best structure: learned from a part of the calls, chosen on others.
pub(super) fn structure(
    samples: &Samples,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Found {
    let mut search = Search::new(samples, options, progress);
    let alone = search.alone();
    search.pairs(&alone);
    for shrink in SHRINKS {
        let structure = Structure { shrink, ..search.best.0.clone() };
        search.consider(structure);
    }
    Found { structure: search.best.0, stopped: search.stopped }
}

struct Search<'a> {
    samples: &'a Samples,
    options: &'a Options,
    progress: &'a mut dyn FnMut(Progress),
    learn: Vec<usize>,
    /// The mean score of each output without features.
    base: [f64; 3],
    /// The best one, with its score in each block.
    best: (Structure, Vec<f64>),
    done: u64,
    stopped: bool,
}

impl<'a> Search<'a> {
    fn new(
        samples: &'a Samples,
        options: &'a Options,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let learn = samples.blocks.rows_of(&[Part::Learn]);
        let step = learn.len().div_ceil(ENOUGH).max(1);
        let learn: Vec<_> = learn.into_iter().step_by(step).collect();
        let none = Structure { axes: Vec::new(), shrink: SHRINKS[1] };
        let bins = Bins::fit(samples, &learn, &none);
        let base = base(samples, &bins, Part::Choose);
        let mut search = Self {
            samples,
            options,
            progress,
            learn,
            base,
            best: (none, Vec::new()),
            done: 0,
            stopped: false,
        };
        search.best.1 = search.score(&search.best.0);
        search
    }

    /// Of each block the mean error of all outputs, as a share of that without features.
    fn score(&self, structure: &Structure) -> Vec<f64> {
        let bins = Bins::fit(self.samples, &self.learn, structure);
        combined(self.samples, Part::Choose, &self.base, |output| {
            score::by_block(self.samples, &bins, Part::Choose, output)
        })
    }

    /// Tries a structure; its mean score, unless the search is ended.
    fn consider(&mut self, structure: Structure) -> Option<f64> {
        self.stopped |= self.options.is_stopped();
        if self.stopped {
            return None;
        }
        let score = self.score(&structure);
        self.done += 1;
        let mean = with_error(score.iter().copied()).0;
        if is_better(&score, &self.best.1) {
            self.best = (structure, score);
        }
        let best = with_error(self.best.1.iter().copied()).0;
        let (done, total) = (self.done, self.total());
        (self.progress)(Progress { what: "choosing bins", done, total, best: Some(best) });
        Some(mean)
    }

    fn total(&self) -> u64 {
        let columns = self.samples.columns.len();
        let in_pairs = columns.min(IN_PAIRS);
        let pairs = in_pairs * in_pairs.saturating_sub(1) / 2;
        let all =
            columns * BINS.len() + pairs * BINS_OF_TWO.len() * BINS_OF_TWO.len() + SHRINKS.len();
        (all as u64).max(self.done)
    }

    /// Each feature alone; the features from the best to the worst.
    fn alone(&mut self) -> Vec<usize> {
        let mut scores = Vec::new();
        for column in 0..self.samples.columns.len() {
            let mut best = f64::INFINITY;
            let count = self.learn.len();
            for bins in BINS.into_iter().filter(|bins| bins * PER_BIN <= count) {
                let structure = Structure { axes: vec![(column, bins)], shrink: SHRINKS[1] };
                best = best.min(self.consider(structure).unwrap_or(f64::INFINITY));
            }
            scores.push((best, column));
        }
        scores.sort_by(|left, right| left.0.total_cmp(&right.0));
        scores.into_iter().map(|(_, column)| column).collect()
    }

    fn pairs(&mut self, alone: &[usize]) {
        let best = &alone[..alone.len().min(IN_PAIRS)];
        for (index, first) in best.iter().enumerate() {
            for second in &best[index + 1..] {
                for bins in BINS_OF_TWO {
                    for others in BINS_OF_TWO {
                        if bins * others * PER_BIN <= self.learn.len() {
                            let axes = vec![(*first, bins), (*second, others)];
                            self.consider(Structure { axes, shrink: SHRINKS[1] });
                        }
                    }
                }
            }
        }
    }
}

/// The mean score of each output; 1 where there is nothing to score.
pub(super) fn base(samples: &Samples, forecast: &dyn score::Forecast, part: Part) -> [f64; 3] {
    Output::ALL.map(|output| {
        let blocks = score::by_block(samples, forecast, part, output);
        let mean = with_error(blocks.into_iter()).0;
        if mean > 0.0 { mean } else { 1.0 }
    })
}

/// One number for each block of a part from the scores of the outputs in all of these blocks, each as a share
/// of its score without features. The run time counts twice as much as CPU and memory each.
pub(super) fn combined(
    samples: &Samples,
    part: Part,
    base: &[f64; 3],
    scores: impl Fn(Output) -> Vec<f64>,
) -> Vec<f64> {
    let mut sums = vec![0.0; samples.blocks.of(part).count()];
    let mut weights = 0.0;
    for output in Output::ALL {
        if samples.targets[output as usize].logs().is_none() {
            continue;
        }
        let weight = if output == Output::RuntimeNs { 2.0 } else { 1.0 };
        for (sum, score) in sums.iter_mut().zip(scores(output)) {
            // A block that knows nothing of an output says nothing of it.
            let score = if score.is_nan() { 1.0 } else { score / base[output as usize] };
            *sum += weight * score;
        }
        weights += weight;
    }
    sums.iter().map(|sum| sum / weights).collect()
}

/// Whether one is better than the other by more than one standard error of the difference.
pub(super) fn is_better(score: &[f64], than: &[f64]) -> bool {
    let gains = than.iter().zip(score).map(|(than, score)| than - score);
    let (gain, error) = with_error(gains);
    gain > error.max(NEGLIGIBLE)
}
