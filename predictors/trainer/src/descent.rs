use crate::Layer;

/// Samples for one step.
pub const BATCH: usize = 256;

/// A sum is taken in this many parts, always the same ones, which a compiler may run side by side
/// without changing a bit of the result.
const LANES: usize = 8;

const _: () = assert!(BATCH.is_multiple_of(LANES));

// Of Adam, with the values that its authors propose.
const MEAN_DECAY: f64 = 0.9;
const SQUARE_DECAY: f64 = 0.999;

/// A batch of samples, each number of all samples side by side.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Shape `[inputs, BATCH]`.
    pub inputs: Vec<f64>,
    /// Shape `[outputs, BATCH]`.
    pub targets: Vec<f64>,
    /// How much an error of each output counts, `[outputs, BATCH]`.
    pub weights: Vec<f64>,
}

/// Gradient descent (Adam) on a loss of what a network answers: the weighted squares of its errors, or
/// any other one. Weights are kept on the side of zero on which they are meant to be.
#[derive(Debug, Clone)]
pub struct Descent {
    layers: Vec<Layer<f64>>,
    /// 1 or -1 for each weight; empty if they may be on either side.
    signs: Vec<Vec<f64>>,
    gradients: Vec<Layer<f64>>,
    means: Vec<Layer<f64>>,
    squares: Vec<Layer<f64>>,
    /// What is left of the zeros with which the means and the squares began.
    mean_start: f64,
    square_start: f64,
    /// What each layer sends on, `[outputs, BATCH]`.
    values: Vec<Vec<f64>>,
    /// How the loss changes with what each layer sums up, `[outputs, BATCH]`.
    slopes: Vec<Vec<f64>>,
}

impl Descent {
    /// Begins at these layers. `signs` are 1 or -1 for each weight of each layer, or there are none.
    #[must_use]
    pub fn new(layers: Vec<Layer<f64>>, signs: Vec<Vec<f64>>) -> Self {
        let zeros: Vec<_> = layers
            .iter()
            .map(|layer| Layer::filled(layer.inputs(), layer.outputs(), 0.0))
            .collect();
        let buffers: Vec<_> =
            layers.iter().map(|layer| vec![0.0; layer.outputs() * BATCH]).collect();
        Self {
            layers,
            signs,
            gradients: zeros.clone(),
            means: zeros.clone(),
            squares: zeros,
            mean_start: 1.0,
            square_start: 1.0,
            values: buffers.clone(),
            slopes: buffers,
        }
    }

    /// The layers as they are now.
    #[must_use]
    pub fn layers(&self) -> &[Layer<f64>] {
        &self.layers
    }

    /// The layers as they are now.
    #[must_use]
    pub fn into_layers(self) -> Vec<Layer<f64>> {
        self.layers
    }

    /// One step down the slope of the weighted squares of the errors at this batch.
    pub fn step(&mut self, batch: &Batch, rate: f64) {
        self.step_by(&batch.inputs, rate, |values, slopes| {
            let errors = values.iter().zip(&batch.targets).zip(&batch.weights);
            for (slope, ((value, target), weight)) in slopes.iter_mut().zip(errors) {
                *slope = (value - target) * weight * weight / BATCH as f64;
            }
        });
    }

    /// One step down the slope of another loss. `inputs` have the shape `[inputs, BATCH]`; `loss` is given
    /// what the network answers, `[outputs, BATCH]`, and writes how the loss changes with each of these
    /// numbers.
    pub fn step_by(&mut self, inputs: &[f64], rate: f64, loss: impl FnOnce(&[f64], &mut [f64])) {
        self.forward(inputs);
        let last = self.layers.len() - 1;
        loss(&self.values[last], &mut self.slopes[last]);
        self.backward(inputs);
        self.descend(rate);
        for (layer, signs) in self.layers.iter_mut().zip(&self.signs) {
            for (weight, sign) in layer.weights.iter_mut().zip(signs) {
                if *weight * sign < 0.0 {
                    *weight = 0.0;
                }
            }
        }
    }

    fn forward(&mut self, inputs: &[f64]) {
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = self.values.split_at_mut(index);
            let inputs = before.last().map_or(inputs, Vec::as_slice);
            for ((row, bias), outputs) in layer.rows().zip(after[0].chunks_mut(BATCH)) {
                outputs.fill(*bias);
                for (weight, input) in row.iter().zip(inputs.chunks(BATCH)) {
                    add_scaled(outputs, *weight, input);
                }
                if index < last {
                    outputs.iter_mut().for_each(|value| *value = value.max(0.0));
                }
            }
        }
    }

    /// From the slopes of the last layer to the gradients of all.
    fn backward(&mut self, inputs: &[f64]) {
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let inputs = if index == 0 { inputs } else { &self.values[index - 1] };
            let (before, after) = self.slopes.split_at_mut(index);
            let gradient = &mut self.gradients[index];
            let rows = gradient.weights.chunks_mut(layer.inputs()).zip(&mut gradient.bias);
            for ((row, bias), slopes) in rows.zip(after[0].chunks(BATCH)) {
                *bias = sum(slopes);
                for (weight, input) in row.iter_mut().zip(inputs.chunks(BATCH)) {
                    *weight = dot(slopes, input);
                }
            }
            let Some(before) = before.last_mut() else { return };
            before.fill(0.0);
            for ((row, _), slopes) in layer.rows().zip(after[0].chunks(BATCH)) {
                for (weight, before) in row.iter().zip(before.chunks_mut(BATCH)) {
                    add_scaled(before, *weight, slopes);
                }
            }
            for (slope, value) in before.iter_mut().zip(inputs) {
                if *value <= 0.0 {
                    *slope = 0.0;
                }
            }
        }
    }

    fn descend(&mut self, rate: f64) {
        self.mean_start *= MEAN_DECAY;
        self.square_start *= SQUARE_DECAY;
        let rate = rate / (1.0 - self.mean_start);
        let square_share = 1.0 - self.square_start;
        let update =
            |values: &mut [f64], slopes: &[f64], means: &mut [f64], squares: &mut [f64]| {
                let memory = means.iter_mut().zip(squares);
                for ((value, slope), (mean, square)) in values.iter_mut().zip(slopes).zip(memory) {
                    *mean = MEAN_DECAY * *mean + (1.0 - MEAN_DECAY) * slope;
                    *square = SQUARE_DECAY * *square + (1.0 - SQUARE_DECAY) * slope * slope;
                    *value -= rate * *mean / ((*square / square_share).sqrt() + 1e-9);
                }
            };
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let slopes = &self.gradients[index];
            let (means, squares) = (&mut self.means[index], &mut self.squares[index]);
            update(&mut layer.weights, &slopes.weights, &mut means.weights, &mut squares.weights);
            update(&mut layer.bias, &slopes.bias, &mut means.bias, &mut squares.bias);
        }
    }
}

fn add_scaled(sums: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for (left, right) in left.chunks_exact(LANES).zip(right.chunks_exact(LANES)) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    sums.iter().sum()
}

fn sum(values: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for values in values.chunks_exact(LANES) {
        for lane in 0..LANES {
            sums[lane] += values[lane];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::Random;

    use super::*;

    fn squares(descent: &mut Descent, batch: &Batch) {
        let pairs = descent.values[2].iter().zip(&batch.targets);
        for (slope, (value, target)) in descent.slopes[2].iter_mut().zip(pairs) {
            *slope = (value - target) / BATCH as f64;
        }
    }

    fn small(random: &mut Random) -> (Descent, Batch) {
        let mut numbers =
            |count: usize| (0..count).map(|_| random.fraction() - 0.5).collect::<Vec<f64>>();
        let layers: Vec<_> = [(2, 6), (6, 4), (4, 1)]
            .map(|(inputs, outputs)| Layer {
                weights: numbers(inputs * outputs),
                bias: numbers(outputs),
            })
            .into();
        let signs = layers
            .iter()
            .map(|layer| layer.weights.iter().map(|weight| weight.signum()).collect())
            .collect();
        let batch = Batch {
            inputs: numbers(2 * BATCH),
            targets: numbers(BATCH),
            weights: vec![1.0; BATCH],
        };
        (Descent::new(layers, signs), batch)
    }

    fn loss(descent: &mut Descent, batch: &Batch) -> f64 {
        descent.forward(&batch.inputs);
        let errors = descent.values[2].iter().zip(&batch.targets);
        errors.map(|(value, target)| (value - target) * (value - target)).sum::<f64>()
            / (2.0 * BATCH as f64)
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (mut descent, batch) = small(&mut Random::new(1, 0));
        descent.forward(&batch.inputs);
        squares(&mut descent, &batch);
        descent.backward(&batch.inputs);
        let slopes = descent.gradients.clone();
        for (layer, slopes) in slopes.iter().enumerate() {
            for (weight, slope) in slopes.weights.iter().enumerate() {
                let [below, above] = [-1e-6, 1e-6].map(|nudge| {
                    descent.layers[layer].weights[weight] += nudge;
                    let loss = loss(&mut descent, &batch);
                    descent.layers[layer].weights[weight] -= nudge;
                    loss
                });
                assert!((slope - (above - below) / 2e-6).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn steps_reduce_the_loss_and_keep_the_signs_of_the_weights() {
        let (mut descent, mut batch) = small(&mut Random::new(2, 0));
        // Within reach of the signs: the last layer has to double.
        descent.forward(&batch.inputs);
        batch.targets = descent.values[2].iter().map(|value| 2.0 * value).collect();
        let before = loss(&mut descent, &batch);
        for _ in 0..200 {
            descent.step(&batch, 1e-2);
        }
        assert!(loss(&mut descent, &batch) < 0.01 * before);
        for (layer, signs) in descent.layers.iter().zip(&descent.signs) {
            assert!(layer.weights.iter().zip(signs).all(|(weight, sign)| weight * sign >= 0.0));
        }
    }
}
