//! Every instruction set of this machine computes the network that was stated.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use hyperfake_predictor::Random;
use hyperfake_predictor_dense::{Activation, Dense, Isa, Network, Step};
use proptest::prelude::*;

const ACTIVATIONS: [Activation; 9] = [
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.02 },
    Activation::Elu { scale: 1.5 },
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Softplus { linear_above: f32::INFINITY },
    Activation::Softplus { linear_above: 20.0 },
    Activation::Clip { low: -0.5, high: 6.0 },
    Activation::Clip { low: f32::NEG_INFINITY, high: 1.0 },
];

/// Numbers from `-scale` to `scale`.
fn many(random: &mut Random, count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|_| scale * (2.0 * random.fraction() - 1.0) as f32).collect()
}

fn dense(random: &mut Random, inputs: usize, outputs: usize) -> Step {
    let weights = many(random, inputs * outputs, 1.0 / (inputs as f32).sqrt());
    Step::Dense(Dense { weights, bias: many(random, outputs, 0.5) })
}

/// A network of these widths with scalers at both ends.
fn network(widths: &[usize], activations: &[Activation], seed: u32) -> Network {
    let random = &mut Random::new(seed.into(), 0);
    let (inputs, outputs) = (widths[0], *widths.last().unwrap());
    let mut steps = vec![Step::Add(many(random, inputs, 100.0)), Step::Div(vec![40.0; inputs])];
    for (pair, activation) in widths.windows(2).zip(activations.iter().cycle()) {
        steps.push(dense(random, pair[0], pair[1]));
        steps.push(Step::Activation(*activation));
    }
    steps.push(dense(random, outputs, outputs));
    steps.push(Step::Mul(many(random, outputs, 1e6)));
    steps.push(Step::Add(vec![1e7; outputs]));
    Network::new(inputs, steps).unwrap()
}

fn rows(network: &Network, count: usize) -> Vec<f32> {
    many(&mut Random::new(7, 0), count * network.inputs(), 200.0)
}

/// Every answer is within rounding of the one in double precision, on every instruction set, and
/// a batch gives the same bits.
fn agrees(network: &Network) -> Result<(), TestCaseError> {
    let (inputs, outputs) = (network.inputs(), network.outputs());
    for isa in Isa::all() {
        let mut runner = network.runner(isa);
        for count in [0, 1, 2, 5] {
            let rows = rows(network, count);
            let mut batch = vec![f32::NAN; count * outputs];
            runner.run_batch(&rows, &mut batch);
            for (row, batch) in rows.chunks(inputs).zip(batch.chunks(outputs)) {
                let mut single = vec![f32::NAN; outputs];
                runner.run(row, &mut single);
                prop_assert_eq!(&single, batch, "{}", isa);
                let reference = network.reference(row);
                for (column, found) in single.into_iter().enumerate() {
                    let expected = reference.values[column];
                    let allowed = 1e-6 * expected.abs() + 1e-6 * reference.noise[column];
                    let off = (f64::from(found) - expected).abs();
                    prop_assert!(off <= allowed, "{isa}: {found} is not {expected}: {off:e}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn all_detected_isas_are_tested() {
    let names: Vec<_> = Isa::all().into_iter().map(Isa::name).collect();
    println!("tested: {}", names.join(", "));
    assert_eq!(names[0], "portable");
    assert_eq!(Isa::detect(), *Isa::all().last().unwrap());
}

#[test]
fn every_activation_is_computed_on_every_instruction_set() {
    for activation in ACTIVATIONS {
        agrees(&network(&[5, 40, 40, 3], &[activation], 3)).unwrap();
    }
}

#[test]
fn an_exponential_function_at_the_end_is_computed_on_every_instruction_set() {
    agrees(&network(&[5, 40, 3], &[Activation::Tanh, Activation::Exp], 6)).unwrap();
}

/// Around the borders of lines, blocks, groups of inputs and narrow layers.
#[test]
fn every_width_is_padded_correctly() {
    for width in (1..=18).chain([31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 97, 200]) {
        agrees(&network(&[5, width, 17, 3], &[Activation::Relu], 4)).unwrap();
        agrees(&network(&[width, 20, width, width], &[Activation::Tanh], 5)).unwrap();
    }
}

#[test]
fn a_network_without_layers_is_valid() {
    let steps = vec![Step::Add(vec![1.0, 2.0]), Step::Activation(Activation::Relu)];
    agrees(&Network::new(2, steps).unwrap()).unwrap();
    agrees(&Network::new(20, vec![]).unwrap()).unwrap();
}

#[test]
fn nan_propagates_and_does_not_leak_into_the_next_prediction() {
    let random = &mut Random::new(9, 0);
    let mut steps = vec![dense(random, 5, 37), Step::Activation(Activation::Relu)];
    steps.extend([dense(random, 37, 30), dense(random, 30, 3)]);
    let network = Network::new(5, steps).unwrap();
    let usual = [1.0, 2.0, 3.0, 4.0, 5.0];
    for isa in Isa::all() {
        let mut runner = network.runner(isa);
        let mut before = [0.0; 3];
        runner.run(&usual, &mut before);
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            for column in 0..5 {
                let mut inputs = usual;
                inputs[column] = odd;
                let mut answer = [0.0; 3];
                runner.run(&inputs, &mut answer);
                assert!(!odd.is_nan() || answer.iter().all(|value| value.is_nan()), "{answer:?}");
                assert!(odd.is_finite() || answer.iter().all(|value| !value.is_finite()));
                let mut after = [0.0; 3];
                runner.run(&usual, &mut after);
                assert_eq!(before, after, "{isa}");
            }
        }
    }
}

/// In the lanes that pad a layer of 17, infinity times a weight of zero is NaN; the next layer must
/// not read them.
#[test]
fn infinity_does_not_leak_through_padding_lanes() {
    let ones = |inputs: usize, outputs: usize| {
        let weights = vec![1.0; inputs * outputs];
        Step::Dense(Dense { weights, bias: vec![0.0; outputs] })
    };
    let network = Network::new(2, vec![ones(2, 17), ones(17, 17), ones(17, 3)]).unwrap();
    for isa in Isa::all() {
        let mut answer = [0.0; 3];
        network.runner(isa).run(&[f32::INFINITY, 1.0], &mut answer);
        assert_eq!(answer, [f32::INFINITY; 3], "{isa}");
    }
}

/// Left behind by training with weight decay; see the crate's documentation.
#[test]
fn subnormal_weights_count_as_zero() {
    let tiny = Dense { weights: vec![1e-40; 20], bias: vec![1e-39; 20] };
    let network = Network::new(1, vec![Step::Dense(tiny), Step::Mul(vec![1e3; 20])]).unwrap();
    for isa in Isa::all() {
        let mut answer = [1.0; 20];
        network.runner(isa).run(&[1e6], &mut answer);
        assert_eq!(answer, [0.0; 20], "{isa}");
    }
}

#[test]
#[should_panic(expected = "the network takes another number of inputs")]
fn a_row_of_the_wrong_length_panics() {
    network(&[5, 3], &ACTIVATIONS, 1).runner(Isa::detect()).run(&[0.0; 4], &mut [0.0; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_network_agrees_on_every_instruction_set(
        inputs in 1..=5_usize,
        hidden in prop::collection::vec(1..=256_usize, 0..=6),
        outputs in 1..=6_usize,
        activations in prop::collection::vec(prop::sample::select(ACTIVATIONS.to_vec()), 1..=6),
        seed in any::<u32>(),
    ) {
        let widths: Vec<_> = [inputs].into_iter().chain(hidden).chain([outputs]).collect();
        agrees(&network(&widths, &activations, seed))?;
    }
}
