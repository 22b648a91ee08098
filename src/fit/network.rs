//! A small network whose outputs are quantiles.
//!
//! What goes in is brought to 0 to 1 by the range of each feature, and cut off there: outside of what it
//! was trained on it answers as at the edge. Then come steps along each feature, at values between which
//! there are as many calls each, so that features whose values differ by orders of magnitude are told
//! apart everywhere; these are not trained. Dense layers with rectifiers follow, and
//! [`QuantileHeads`], whose quantiles are of logarithms.

use hyperfake_predictor::{Output, Random};
use hyperfake_predictor_trainer::{BATCH, Descent, Layer, QuantileHeads, answer};

use super::{
    Options, Progress,
    samples::{Column, Samples},
    score::{Forecast, LEVELS, MEDIAN, Quantiles, crps, quantile, with_error},
};

/// The fewest calls that a network is trained with.
pub(super) const LEAST: usize = 2000;

/// Steps along each feature.
const STEPS: usize = 12;
/// Width of each hidden layer.
const HIDDEN: [usize; 2] = [24, 24];
/// The largest step of descent.
const RATE: f64 = 0.01;
/// So many steps lie between two looks at how good the network is.
const LOOK: usize = 200;
/// On so many calls.
const LOOKED_AT: usize = 2000;
/// Of the steps, the share that is taken again with those calls too that chose the best network.
const AGAIN: usize = 4;

/// A network that is trained or has been.
#[derive(Debug, Clone)]
pub(super) struct Network {
    /// The first layer, before a hyperbolic tangent: steps along the features.
    pub(super) steps: Layer<f64>,
    /// The other layers.
    pub(super) layers: Vec<Layer<f64>>,
    /// The outputs that are not the same for each call.
    pub(super) heads: Vec<Head>,
    /// What the steps answer to each sample.
    basis: Basis,
}

/// What the network says about an output: logarithms, less a centre and over a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Head {
    pub(super) output: Output,
    pub(super) centre: f64,
    pub(super) scale: f64,
    /// The least and the greatest logarithm of all calls. Where there were few calls, an outer quantile would
    /// lie anywhere beyond; and a fake whose calls take too long has more calls at once, which take even longer.
    pub(super) range: [f64; 2],
}

/// How the training went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trained {
    /// How many steps were taken.
    pub(super) steps: usize,
    /// Whether it was ended before its end.
    pub(super) stopped: bool,
}

impl Network {
    /// A network that says of each call what is true of all these.
    pub(super) fn new(samples: &Samples, rows: &[usize], seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let steps = steps(samples, rows);
        let mut heads = Vec::new();
        let mut bias = Vec::new();
        for output in Output::ALL {
            let Some(logs) = samples.targets[output as usize].logs() else { continue };
            let known = rows.iter().map(|row| logs[*row]).filter(|log| !log.is_nan());
            let mut sorted: Vec<f64> = known.collect();
            sorted.sort_by(f64::total_cmp);
            if sorted.is_empty() {
                sorted.push(0.0);
            }
            let quantiles = LEVELS.map(|level| quantile(&sorted, level));
            let (centre, scale) = (quantiles[MEDIAN], (quantiles[16] - quantiles[4]).max(1e-3));
            let scaled = quantiles.map(|quantile| (quantile - centre) / scale);
            bias.extend(QuantileHeads::new(&LEVELS, 1).numbers(&scaled));
            let known = logs.iter().copied().filter(|log| !log.is_nan());
            let range =
                known.fold([sorted[0]; 2], |[low, high], log| [low.min(log), high.max(log)]);
            heads.push(Head { output, centre, scale, range });
        }
        let mut layers = Vec::new();
        let mut inputs = steps.outputs();
        for outputs in HIDDEN {
            let reach = (2.0 / inputs as f64).sqrt();
            let mut weight = || reach * (2.0 * random.fraction() - 1.0);
            let weights = (0..inputs * outputs).map(|_| weight()).collect();
            let bias = (0..outputs).map(|_| 0.1 * weight()).collect();
            layers.push(Layer { weights, bias });
            inputs = outputs;
        }
        // At first the features say nothing.
        let weights = (0..inputs * bias.len()).map(|_| 0.01 * (random.fraction() - 0.5)).collect();
        layers.push(Layer { weights, bias });
        let basis = Basis::of(samples, &steps);
        Self { steps, layers, heads, basis }
    }

    /// Trains on some calls and keeps the best network on others, `chosen`; without any, the last.
    pub(super) fn train(
        &mut self,
        samples: &Samples,
        [rows, chosen]: [&[usize]; 2],
        [from, to]: [usize; 2],
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Trained {
        let heads = self.quantile_heads();
        let mut descent = Descent::new(self.layers.clone(), Vec::new());
        let mut random = Random::new(options.seed, 1 + from as u64);
        let mut inputs = vec![0.0; self.steps.outputs() * BATCH];
        let mut targets = vec![0.0; self.heads.len() * BATCH];
        let mut best = f64::INFINITY;
        let mut done = from;
        while done < to && !options.is_stopped() {
            for sample in 0..BATCH {
                let row = random.choose(rows);
                self.put(samples, row, sample, &mut inputs, &mut targets);
            }
            descent.step_by(&inputs, rate(done, options.steps), |numbers, slopes| {
                heads.slopes(numbers, &targets, slopes);
            });
            done += 1;
            if done.is_multiple_of(LOOK) || done == to {
                let layers = descent.layers().to_vec();
                let before = std::mem::replace(&mut self.layers, layers);
                let found = if chosen.is_empty() { 0.0 } else { self.error(samples, chosen) };
                if found <= best {
                    best = found;
                } else {
                    self.layers = before;
                }
                let (done, total) = (done as u64, total(options) as u64);
                let best = (!chosen.is_empty()).then_some(best);
                progress(Progress { what: "training the network", done, total, best });
            }
        }
        Trained { steps: done, stopped: done < to }
    }

    /// Trains on, with more of the calls.
    pub(super) fn train_again(
        &mut self,
        samples: &Samples,
        rows: &[usize],
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Trained {
        let steps = [options.steps, total(options)];
        self.train(samples, [rows, &[]], steps, options, progress)
    }

    pub(super) fn quantile_heads(&self) -> QuantileHeads {
        QuantileHeads::new(&LEVELS, self.heads.len())
    }

    /// Writes a sample into a batch.
    fn put(
        &self,
        samples: &Samples,
        row: usize,
        sample: usize,
        inputs: &mut [f64],
        targets: &mut [f64],
    ) {
        self.basis.write(samples, &self.steps, row, |index, value| {
            inputs[index * BATCH + sample] = value;
        });
        for (index, head) in self.heads.iter().enumerate() {
            let logs = samples.targets[head.output as usize].logs().unwrap_or_default();
            targets[index * BATCH + sample] = (logs[row] - head.centre) / head.scale;
        }
    }

    /// The quantiles of the logarithms of all heads.
    fn answer(&self, samples: &Samples, row: usize) -> Vec<Quantiles> {
        let mut inputs = vec![0.0; self.steps.outputs()];
        self.basis.write(samples, &self.steps, row, |index, value| inputs[index] = value);
        let numbers = answer(&self.layers, &inputs);
        let quantiles = self.quantile_heads().quantiles(&numbers);
        let (quantiles, _) = quantiles.as_chunks();
        let heads = self.heads.iter().zip(quantiles);
        heads
            .map(|(head, scaled): (_, &Quantiles)| {
                scaled.map(|q| (head.centre + head.scale * q).clamp(head.range[0], head.range[1]))
            })
            .collect()
    }

    /// The mean error of all heads on some calls, as shares of their scales.
    fn error(&self, samples: &Samples, rows: &[usize]) -> f64 {
        let step = rows.len().div_ceil(LOOKED_AT).max(1);
        let mut errors = Vec::new();
        for row in rows.iter().step_by(step) {
            for (head, quantiles) in self.heads.iter().zip(self.answer(samples, *row)) {
                let logs = samples.targets[head.output as usize].logs().unwrap_or_default();
                errors.push(crps(&quantiles, logs[*row]) / head.scale);
            }
        }
        with_error(errors.iter().copied()).0
    }
}

impl Forecast for Network {
    fn quantiles(&self, samples: &Samples, row: usize, output: Output) -> Quantiles {
        let head = self.heads.iter().position(|head| head.output == output);
        head.map_or([f64::NAN; LEVELS.len()], |head| self.answer(samples, row)[head])
    }
}

/// All steps that are taken, those that are taken again included.
fn total(options: &Options) -> usize {
    options.steps + options.steps / AGAIN
}

/// Careful at first, while the averages settle, and ever smaller towards the end; when they are taken
/// again a tenth of the first rate.
fn rate(done: usize, steps: usize) -> f64 {
    let (rate, done) = match done < steps {
        true => (RATE, done as f64 / steps as f64),
        false => (0.1 * RATE, (done - steps) as f64 / (steps / AGAIN).max(1) as f64),
    };
    rate * (20.0 * done).clamp(0.01, 1.0) * (1.0 - done) * (1.0 - done)
}

/// The first layer. Its numbers are rounded as they are in a file, so that nothing differs there.
fn steps(samples: &Samples, rows: &[usize]) -> Layer<f64> {
    let columns = samples.columns.len();
    let mut layer = Layer { weights: Vec::new(), bias: Vec::new() };
    let mut push = |column: usize, centre: f64, width: f64| {
        let weight = f64::from((1.0 / width) as f32);
        layer.weights.extend((0..columns).map(|index| if index == column { weight } else { 0.0 }));
        layer.bias.push(f64::from((-centre * weight) as f32));
    };
    for (index, column) in samples.columns.iter().enumerate() {
        // One that is nearly a straight line.
        push(index, 0.5, 1.0);
        let knots = knots(column, rows);
        for (place, knot) in knots.iter().enumerate() {
            let before = if place == 0 { 0.0 } else { knots[place - 1] };
            let after = knots.get(place + 1).copied().unwrap_or(1.0);
            // A step reaches to the ones beside it.
            push(index, *knot, ((after - before) / 2.0).max(1e-4));
        }
    }
    layer
}

/// Values of a feature, scaled, between which there are as many calls each.
fn knots(column: &Column, rows: &[usize]) -> Vec<f64> {
    let mut sorted: Vec<f64> = rows.iter().map(|row| scaled(column, *row)).collect();
    sorted.sort_by(f64::total_cmp);
    let level = |step: usize| (step as f64 + 0.5) / STEPS as f64;
    let mut knots: Vec<f64> = (0..STEPS).map(|step| quantile(&sorted, level(step))).collect();
    knots.dedup_by(|next, one| *next - *one < 1e-6);
    knots
}

fn scaled(column: &Column, row: usize) -> f64 {
    let (low, high) = (column.range.low(), column.range.high());
    (column.values[row] - low) / (high - low)
}

/// What the steps answer to each sample, worked out once, if it is not too much to keep.
#[derive(Debug, Clone)]
struct Basis(Option<Vec<f32>>);

impl Basis {
    fn of(samples: &Samples, steps: &Layer<f64>) -> Self {
        /// 256 MiB.
        const MOST: usize = 64 << 20;
        let outputs = steps.outputs();
        if outputs * samples.count() > MOST {
            return Self(None);
        }
        let mut values = vec![0.0; outputs * samples.count()];
        for (row, values) in values.chunks_mut(outputs).enumerate() {
            compute(samples, steps, row, |index, value| values[index] = value as f32);
        }
        Self(Some(values))
    }

    fn write(
        &self,
        samples: &Samples,
        steps: &Layer<f64>,
        row: usize,
        mut write: impl FnMut(usize, f64),
    ) {
        let Some(values) = &self.0 else {
            return compute(samples, steps, row, |index, value| {
                write(index, f64::from(value as f32));
            });
        };
        let outputs = steps.outputs();
        let values = values[row * outputs..(row + 1) * outputs].iter().enumerate();
        values.for_each(|(index, value)| write(index, f64::from(*value)));
    }
}

fn compute(samples: &Samples, steps: &Layer<f64>, row: usize, mut write: impl FnMut(usize, f64)) {
    let inputs: Vec<f64> = samples.columns.iter().map(|column| scaled(column, row)).collect();
    for (index, (weights, bias)) in steps.rows().enumerate() {
        let sum: f64 = weights.iter().zip(&inputs).map(|(weight, input)| weight * input).sum();
        write(index, libm::tanh(sum + bias));
    }
}
