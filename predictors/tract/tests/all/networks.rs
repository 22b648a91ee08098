//! Networks thrown at random: dense answers as tract does.

use hyperfake_predictor::{Backend, Random};
use hyperfake_predictor_testkit::{
    onnx::{Attribute, Dim, Model},
    samples,
};
use hyperfake_predictor_tract::{DenseBackend, TractBackend};
use proptest::prelude::*;

use crate::file::File;

/// How an activation is written.
type Wire = fn(Model, &str, &str) -> Model;

const ACTIVATIONS: [Wire; 9] = [
    |model, x, y| model.node("Relu", &[x], &[y], &[]),
    |model, x, y| model.node("LeakyRelu", &[x], &[y], &[("alpha", Attribute::Float(0.1))]),
    |model, x, y| model.node("Elu", &[x], &[y], &[]),
    |model, x, y| model.node("Tanh", &[x], &[y], &[]),
    |model, x, y| model.node("Sigmoid", &[x], &[y], &[]),
    |model, x, y| model.node("Softplus", &[x], &[y], &[]),
    |model, x, y| model.node("Clip", &[x, "low", "high"], &[y], &[]),
    |model, x, y| model.node("Identity", &[x], &[y], &[]),
    |model, x, y| {
        let (large, positive) = (format!("{y}_large"), format!("{y}_positive"));
        model
            .node("Softplus", &[x], &[&positive], &[])
            .node("Greater", &[x, "threshold"], &[&large], &[])
            .node("Where", &[&large, x, &positive], &[y], &[])
    },
];

/// Numbers from `-scale` to `scale`.
fn many(random: &mut Random, count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|_| scale * (2.0 * random.fraction() - 1.0) as f32).collect()
}

fn network(hidden: &[(usize, usize)], transposed: bool, seed: u32) -> Model {
    let random = &mut Random::new(seed.into(), 0);
    let mut model = Model::new()
        .input("input", &[Dim::Named("batch"), Dim::Fixed(5)])
        .initializer("low", &[], &[-0.75_f32])
        .initializer("high", &[], &[1.5_f32])
        .initializer("threshold", &[], &[20.0_f32])
        .initializer("input_mean", &[5], &[5e5_f32, 20.0, 50.0, 16.0, 8e9])
        .initializer("input_scale", &[5], &[3e5_f32, 12.0, 30.0, 9.0, 5e9])
        .node("Sub", &["input", "input_mean"], &["centred"], &[])
        .node("Div", &["centred", "input_scale"], &["value_0"], &[]);
    let mut inputs = 5;
    let last = [(3, ACTIVATIONS.len() - 2)];
    let layers = hidden.iter().chain(&last);
    for (index, (outputs, activation)) in layers.enumerate() {
        let name = |what: &str| format!("{what}_{index}");
        let (weights, bias, sums) = (name("weights"), name("bias"), name("sums"));
        let values = many(random, inputs * outputs, 1.0 / (inputs as f32).sqrt());
        let (rows, columns) = if transposed { (*outputs, inputs) } else { (inputs, *outputs) };
        model = model.initializer(&weights, &[rows as i64, columns as i64], &values).initializer(
            &bias,
            &[*outputs as i64],
            &many(random, *outputs, 0.5),
        );
        let value = name("value");
        model = if transposed {
            let transposed = [("transB", 1.into())];
            model.node("Gemm", &[&value, &weights, &bias], &[&sums], &transposed)
        } else {
            let product = name("product");
            model.node("MatMul", &[&value, &weights], &[&product], &[]).node(
                "Add",
                &[&product, &bias],
                &[&sums],
                &[],
            )
        };
        model = ACTIVATIONS[*activation](model, &sums, &format!("value_{}", index + 1));
        inputs = *outputs;
    }
    model
        .initializer("output_scale", &[3], &many(random, 3, 1e6))
        .initializer("output_mean", &[3], &[1e8_f32, 1e8, 1e8])
        .node("Mul", &[&format!("value_{}", hidden.len() + 1), "output_scale"], &["unscaled"], &[])
        .node("Add", &["unscaled", "output_mean"], &["output"], &[])
        .output("output", &[Dim::Named("batch"), Dim::Fixed(3)])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_feed_forward_network_is_lowered_and_answers_as_in_tract(
        hidden in prop::collection::vec((1..=256_usize, 0..ACTIVATIONS.len()), 0..=5),
        transposed in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let file = File::of(&network(&hidden, transposed, seed));
        let dense = DenseBackend.open(&file.uri());
        prop_assert!(dense.is_ok(), "{:?}", dense.unwrap_err());
        let mut dense = dense.unwrap().session().unwrap();
        let mut tract = TractBackend.open(&file.uri()).unwrap().session().unwrap();
        for features in samples::ordinary() {
            let found = dense.predict(&features).unwrap().to_array();
            let expected = tract.predict(&features).unwrap().to_array();
            for (found, expected) in found.into_iter().zip(expected) {
                // The answers are around 1e8, and what varies in them is up to some 1e6.
                prop_assert!((found - expected).abs() < 300.0, "{} {}", found, expected);
            }
        }
    }
}
