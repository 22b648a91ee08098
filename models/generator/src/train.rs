use hyperfake_predictor::{Features, Random, RawPrediction};
use hyperfake_predictor_trainer::{BATCH, Batch, Descent};

use crate::{Domain, Law, Layer, Network, SOFTPLUS_THRESHOLD};

/// How a network is made: its size, and how long it is fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// How many steps of gradient descent are taken.
    pub steps: usize,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Recipe {
    /// The recipe of the model that is shipped for a law.
    #[must_use]
    pub fn of(law: &Law) -> Self {
        let hidden = match law.image {
            "hyperfaas-echo" => vec![40, 40],
            _ => vec![32, 32, 32],
        };
        Self { hidden, steps: 8_000, seed: 1 }
    }
}

/// The largest step, once descent has got going.
const RATE: f64 = 0.03;

/// How the answers change with each feature, all else being equal: only more instances help.
const TREND: [f64; 5] = [1.0, -1.0, 1.0, 1.0, 1.0];

/// Fits a network to a law.
///
/// No answer of the network falls when the body or a load rises, or rises with the number of
/// instances, however far from what it was fitted to: in each hidden layer every other unit rises
/// with the load and the others fall, and a weight keeps the sign that this asks for. So the
/// smallest answer anywhere is the one for an empty body, no load, and the most instances.
///
/// The result is bit for bit the same on every machine: its steps are additions, multiplications,
/// divisions and square roots in a fixed order; the functions beyond that come from `libm`.
#[must_use]
pub fn fit(law: &Law, recipe: &Recipe) -> Network {
    let mut random = Random::new(recipe.seed, 0);
    let scalers = Scalers::of(law, &mut random);
    let mut batch = Batch {
        inputs: vec![0.0; 5 * BATCH],
        targets: vec![0.0; 3 * BATCH],
        weights: vec![0.0; 3 * BATCH],
    };
    let (layers, signs) = start(law, recipe, &scalers, &mut random);
    let mut descent = Descent::new(layers, signs);
    for step in 0..recipe.steps {
        for sample in 0..BATCH {
            scalers.put(law, &draw(&mut random), &mut batch, sample);
        }
        // Careful at first, while the averages settle, and ever smaller towards the end.
        let done = step as f64 / recipe.steps as f64;
        let rate = RATE * (20.0 * done).min(1.0) * (1.0 - done) * (1.0 - done);
        descent.step(&batch, rate);
    }
    scalers.network(&descent.into_layers())
}

/// A call to learn from. One in ten is close to idle, where people look first, and a quarter are
/// from far outside the stated domain.
fn draw(random: &mut Random) -> Features {
    match random.fraction() {
        kind if kind < 0.1 => Domain::STATED.at(std::array::from_fn(|_| {
            let share = random.fraction();
            0.1 * share * share * share
        })),
        kind if kind < 0.35 => Domain::STRETCHED.draw(random),
        _ => Domain::STATED.draw(random),
    }
}

/// The layers to begin with, and the sign that each weight has to keep.
fn start(
    law: &Law,
    recipe: &Recipe,
    scalers: &Scalers,
    random: &mut Random,
) -> (Vec<Layer<f64>>, Vec<Vec<f64>>) {
    let mut layers: Vec<Layer<f64>> = Vec::new();
    let mut signs = Vec::new();
    let mut inputs = TREND.to_vec();
    for &width in &recipe.hidden {
        let outputs: Vec<f64> =
            (0..width).map(|unit| if unit.is_multiple_of(2) { 1.0 } else { -1.0 }).collect();
        let sign = products(&outputs, &inputs);
        let weights = if layers.is_empty() {
            // Most of them small, so that few features matter to a unit.
            let mut weights = weights(&sign, random, |share| share * share * share);
            look_along_kinks(law, scalers, &outputs, &mut weights);
            weights
        } else {
            weights(&sign, random, |share| share * reach(inputs.len()))
        };
        // Each unit bends at a random sample: one that bends where there are none learns nothing.
        let bias = weights
            .chunks(inputs.len())
            .map(|row| {
                let mut values = scalers.scale(&draw(random)).to_vec();
                for layer in &layers {
                    values =
                        layer.rows().map(|(row, b)| (dot(row, &values) + b).max(0.0)).collect();
                }
                -dot(row, &values)
            })
            .collect();
        layers.push(Layer { weights, bias });
        signs.push(sign);
        inputs = outputs;
    }
    let sign = products(&[1.0; 3], &inputs);
    let weights = weights(&sign, random, |share| share * reach(inputs.len()));
    layers.push(Layer { weights, bias: vec![0.0; 3] });
    signs.push(sign);
    (layers, signs)
}

/// The sign of each weight, from those of a layer's outputs and inputs, row by row.
fn products(outputs: &[f64], inputs: &[f64]) -> Vec<f64> {
    outputs.iter().flat_map(|output| inputs.iter().map(move |input| output * input)).collect()
}

/// Weights with these signs, whose sizes come from random numbers up to 1.
fn weights(signs: &[f64], random: &mut Random, size: impl Fn(f64) -> f64) -> Vec<f64> {
    signs.iter().map(|sign| sign * size(random.fraction())).collect()
}

/// The largest weight to begin with of a unit with `inputs` inputs, so that its sum stays small.
fn reach(inputs: usize) -> f64 {
    0.3 / (inputs as f64).sqrt()
}

/// Turns three in five units of the first layer, a rising and a falling one each time, to the
/// lines on which the law has its kinks.
fn look_along_kinks(law: &Law, scalers: &Scalers, outputs: &[f64], weights: &mut [f64]) {
    let waiting = [0.0, -law.calls_per_instance, 1.0, 0.0, 0.0];
    let body = [1.0, 0.0, 0.0, 0.0, 0.0];
    let busy = [0.0, 0.0, 0.0, 1.0, 0.0];
    let lines = [waiting, body, busy].map(|line| scalers.scale_line(line));
    for (unit, (row, output)) in weights.chunks_mut(5).zip(outputs).enumerate() {
        if let Some(line) = lines.get(unit / 2 % 5) {
            row.iter_mut().zip(line).for_each(|(weight, part)| *weight = output * part);
        }
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// What turns features and answers into numbers around 0, which are easy to learn from.
struct Scalers {
    input_mean: [f32; 5],
    input_scale: [f32; 5],
    output_mean: [f32; 3],
    output_scale: [f32; 3],
}

impl Scalers {
    fn of(law: &Law, random: &mut Random) -> Self {
        let samples: Vec<_> = (0..20_000).map(|_| Domain::STATED.draw(random)).collect();
        let answers: Vec<_> =
            samples.iter().map(|features| before_softplus(&law.predict(features))).collect();
        let inputs = |index: usize| samples.iter().map(move |sample| sample.to_array()[index]);
        let outputs = |index: usize| answers.iter().map(move |answer| answer[index]);
        Self {
            input_mean: std::array::from_fn(|index| mean(inputs(index)) as f32),
            input_scale: std::array::from_fn(|index| deviation(inputs(index)) as f32),
            output_mean: std::array::from_fn(|index| mean(outputs(index)) as f32),
            output_scale: std::array::from_fn(|index| deviation(outputs(index)) as f32),
        }
    }

    fn scale(&self, features: &Features) -> [f64; 5] {
        let features = features.to_array();
        std::array::from_fn(|index| {
            (features[index] - f64::from(self.input_mean[index]))
                / f64::from(self.input_scale[index])
        })
    }

    /// A direction among features as one among scaled features, its largest part being 1.
    fn scale_line(&self, line: [f64; 5]) -> [f64; 5] {
        let scaled: [f64; 5] =
            std::array::from_fn(|index| line[index] * f64::from(self.input_scale[index]));
        let largest = scaled.iter().fold(0.0, |largest: f64, part| largest.max(part.abs()));
        scaled.map(|part| part / largest)
    }

    /// Writes a sample into a batch.
    fn put(&self, law: &Law, features: &Features, batch: &mut Batch, sample: usize) {
        for (index, value) in self.scale(features).into_iter().enumerate() {
            batch.inputs[index * BATCH + sample] = value;
        }
        let answer = law.predict(features);
        let before = before_softplus(&answer);
        for (index, value) in answer.to_array().into_iter().enumerate() {
            let scale = f64::from(self.output_scale[index]);
            let mean = f64::from(self.output_mean[index]);
            batch.targets[index * BATCH + sample] = (before[index] - mean) / scale;
            // What counts is the error as a share of the answer. The second factor is the slope
            // of the softplus.
            batch.weights[index * BATCH + sample] = scale / value * -libm::expm1(-value);
        }
    }

    fn network(&self, layers: &[Layer<f64>]) -> Network {
        let round = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
        Network {
            input_mean: self.input_mean,
            input_scale: self.input_scale,
            layers: layers
                .iter()
                .map(|layer| Layer { weights: round(&layer.weights), bias: round(&layer.bias) })
                .collect(),
            output_scale: self.output_scale,
            output_mean: self.output_mean,
        }
    }
}

/// The inverse of the softplus: its argument for this answer.
fn before_softplus(answer: &RawPrediction) -> [f64; 3] {
    answer.to_array().map(|value| {
        if value > f64::from(SOFTPLUS_THRESHOLD) { value } else { libm::log(libm::expm1(value)) }
    })
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let mean = mean(values.clone());
    self::mean(values.map(|value| (value - mean) * (value - mean))).sqrt()
}
