//! Models whose outputs are quantiles.

use std::sync::Arc;

use hyperfake_predictor::{Backend, Features, RawPrediction, Uniforms};

use super::{FIVE, ONE};
use crate::{
    Conformance, File, ReferenceModel,
    onnx::{Dim, Model},
    reference::{LINEAR, QuantileNetwork, Scattered},
};

const ASCENDING: [usize; 5] = [0, 1, 2, 3, 4];

pub(super) fn a_network_with_heads_for_quantiles_draws_as_worked_out(backend: &Arc<dyn Backend>) {
    for (batch, hidden, seed) in
        [(ONE, &[24, 16][..], 1), (Dim::Unknown, &[7], 2), (Dim::Fixed(8), &[33], 3)]
    {
        let network = QuantileNetwork::sample(hidden, seed);
        let file = File::of(&network.to_onnx(batch));
        let draws = network.clone();
        let model = ReferenceModel::new(file.uri(), move |f| network.predict(f), 1e-4)
            .drawing(move |features, uniforms| draws.draw(features, uniforms));
        Conformance::of_shared(Arc::clone(backend)).model(model).run();
    }
}

/// Those that cross each other are sorted.
pub(super) fn quantiles_may_stand_in_any_order_and_in_three_outputs(backend: &Arc<dyn Backend>) {
    for model in [
        Scattered.to_onnx(ONE, ASCENDING),
        Scattered.to_onnx(Dim::Named("n"), [3, 0, 4, 2, 1]),
        Scattered.to_onnx_in_three(),
    ] {
        let file = File::of(&model);
        let model = ReferenceModel::new(file.uri(), |features| Scattered.predict(features), 1e-5)
            .drawing(|features, uniforms| Scattered.draw(features, uniforms));
        Conformance::of_shared(Arc::clone(backend)).model(model).run();
    }
    let order = "function_ram_usage,function_processing_time_ns,function_cpu_usage";
    let file = File::of(&Scattered.to_onnx(ONE, ASCENDING).metadata("targets", order));
    let mut session = file.open_with(&**backend).session().unwrap();
    let uniforms = Uniforms { run_time: 0.1, cpu: 0.9, ram: 0.5 };
    let drawn = session.draw(&Features::IDLE, &uniforms).unwrap().to_array();
    let law = LINEAR.predict(&Features::IDLE);
    let expected = [0.75 * law.cpu_cores, 2.0 * law.ram_bytes, law.runtime_ns];
    for (found, expected) in drawn.into_iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * expected, "{found}, not {expected}");
    }
}

pub(super) fn levels_that_do_not_fit_the_output_are_refused(backend: &Arc<dyn Backend>) {
    let quantiles = |levels: &str| {
        let file = File::of(&Scattered.to_onnx(ONE, ASCENDING));
        let opened = backend.open(&file.uri_with(&format!("quantiles={levels}")));
        opened.unwrap_err().to_string()
    };
    for (levels, expected) in [
        ("0.5", "quantiles: found 1 levels, expected 2 to 1000"),
        ("0.1,0.9,0.5", "quantiles: found the level 0.5 behind 0.9, expected ascending levels"),
        ("p50,p90", "quantiles: found the level 'p50', expected a number from 0 to 1"),
    ] {
        let refusal = quantiles(levels);
        assert!(refusal.ends_with(expected), "{refusal}");
    }
    let refusal = quantiles("0.1,0.5,0.9");
    assert!(refusal.contains("15") && refusal.contains('9'), "{refusal}");
    // Without levels it gives too many numbers for each row, and with them too few.
    let plain = Model::new()
        .input("input", &[ONE, FIVE])
        .initializer("output", &[1, 3], &[1.0_f32; 3])
        .output("output", &[ONE, Dim::Fixed(3)]);
    assert_eq!(File::of(&plain).predict_with(&**backend, &Features::IDLE), ones());
    let refusal =
        File::of(&plain.metadata("hyperfake.quantiles", "0.1,0.9")).refusal_by(&**backend);
    let expected = "output 'output' is [1,3] of float, expected 6 numbers a row (2 quantiles for each \
                    of runtime_ns, cpu_cores, ram_bytes), such as [1,6]";
    assert!(refusal.starts_with(expected), "{refusal}");
}

fn ones() -> RawPrediction {
    RawPrediction::from_array([1.0; 3])
}
