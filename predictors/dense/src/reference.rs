use crate::{Activation, Step};

/// What a network should answer, and how far off single precision may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The answer, from weights and inputs in single precision and sums in double precision.
    pub values: Vec<f64>,
    /// For each value the size of the rounding errors that reach it, in units of the relative
    /// precision of `f32` (2^-24): a sum of numbers that nearly cancel has a small value and
    /// much noise. An estimate, not a bound: errors are taken to be independent of each other.
    pub noise: Vec<f64>,
}

/// A value and its noise, squared.
type Noisy = (f64, f64);

pub(crate) fn run(steps: &[Step], inputs: &[f32]) -> Reference {
    // Where an input came from does not count: both sides are given the same one.
    let mut values: Vec<Noisy> = inputs.iter().map(|input| (f64::from(*input), 0.0)).collect();
    for step in steps {
        let with = |values: &[Noisy], numbers: &[f32], function: fn(Noisy, f64) -> Noisy| {
            let pairs = values.iter().zip(numbers);
            pairs.map(|(value, number)| function(*value, f64::from(*number))).collect()
        };
        values = match step {
            Step::Add(numbers) => {
                with(&values, numbers, |(value, noise), number| rounded(value + number, noise))
            }
            Step::Mul(numbers) => with(&values, numbers, |(value, noise), number| {
                rounded(value * number, noise * number * number)
            }),
            Step::Div(numbers) => with(&values, numbers, |(value, noise), number| {
                rounded(value / number, noise / (number * number))
            }),
            Step::Dense(dense) => {
                let rows = dense.weights.chunks(values.len()).zip(&dense.bias);
                rows.map(|(row, bias)| weighted(row, *bias, &values)).collect()
            }
            Step::Activation(activation) => {
                values.into_iter().map(|value| activated(*activation, value)).collect()
            }
        };
    }
    Reference {
        values: values.iter().map(|(value, _)| *value).collect(),
        noise: values.iter().map(|(_, noise)| noise.sqrt()).collect(),
    }
}

/// One more rounding, of the value itself.
fn rounded(value: f64, noise: f64) -> Noisy {
    (value, noise + value * value)
}

fn weighted(row: &[f32], bias: f32, values: &[Noisy]) -> Noisy {
    let mut sum = rounded(f64::from(bias), 0.0);
    // Every partial sum is rounded, and none is larger than all terms taken together.
    let mut size = 0.0;
    for (weight, (value, noise)) in row.iter().zip(values) {
        let weight = f64::from(*weight);
        let term = weight * value;
        sum.0 += term;
        sum.1 += weight * weight * noise + term * term;
        size += term * term;
    }
    (sum.0, sum.1 + size + sum.0 * sum.0)
}

fn activated(activation: Activation, (x, noise): Noisy) -> Noisy {
    // `1 +` and `- 1` round what they are applied to even where the result is tiny.
    let (value, slope, around) = match activation {
        Activation::Relu => (if x < 0.0 { 0.0 } else { x }, 1.0, 0.0),
        Activation::LeakyRelu { slope } => {
            let slope = f64::from(slope);
            if x > 0.0 { (x, 1.0, 0.0) } else { (slope * x, slope, 0.0) }
        }
        Activation::Elu { scale } => {
            let scale = f64::from(scale);
            if x > 0.0 { (x, 1.0, 0.0) } else { (scale * x.exp_m1(), scale, scale) }
        }
        Activation::Tanh => (x.tanh(), 1.0, 1.0),
        Activation::Sigmoid => (1.0 / (1.0 + (-x).exp()), 0.25, 1.0),
        Activation::Exp => (x.exp(), x.exp(), 0.0),
        Activation::Softplus { linear_above } => {
            if x > f64::from(linear_above) || x > 40.0 {
                (x, 1.0, 0.0)
            } else {
                (x.exp().ln_1p(), 1.0, 1.0)
            }
        }
        Activation::Clip { low, high } => {
            let x = if x < f64::from(low) { f64::from(low) } else { x };
            (if x > f64::from(high) { f64::from(high) } else { x }, 1.0, 0.0)
        }
    };
    rounded(value, slope * slope * noise + around * around)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dense;

    #[test]
    fn numbers_that_cancel_leave_their_noise() {
        let difference = Step::Dense(Dense { weights: vec![1.0, -1.0], bias: vec![0.0] });
        let reference = run(&[Step::Add(vec![1.0, 1.0]), difference], &[1e6, 1e6]);
        assert_eq!(reference.values, [0.0]);
        assert!((1e6..4e6).contains(&reference.noise[0]), "{reference:?}");
    }

    #[test]
    fn an_activation_that_is_flat_keeps_noise_bounded() {
        let steps =
            [Step::Mul(vec![1e6]), Step::Activation(Activation::Clip { low: 0.0, high: 1.0 })];
        let reference = run(&steps, &[2.0]);
        assert_eq!(reference.values, [1.0]);
    }

    #[test]
    fn a_softplus_of_large_values_does_not_overflow() {
        let softplus = |linear_above| Step::Activation(Activation::Softplus { linear_above });
        for (linear_above, input) in [(f32::INFINITY, 87.0), (f32::INFINITY, 1e6), (20.0, 1e6)] {
            let reference = run(&[softplus(linear_above)], &[input]);
            assert_eq!(reference.values[0] as f32, input);
        }
    }
}
