//! The properties of every backend, on the networks that dense takes over from tract.

use std::sync::Arc;

use hyperfake_predictor::{Backend, Backends, Features};
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::{Dim, Model},
    reference::{CONSTANT, LINEAR, Network, QuantileNetwork, Scattered},
    samples,
};
use hyperfake_predictor_tract::{DenseBackend, TractBackend};

use crate::file::File;

#[test]
fn every_property_holds() {
    let linear = File::of(&LINEAR.to_onnx());
    let constant = File::of(&CONSTANT.to_onnx());
    let batch = File::of(&LINEAR.to_onnx_with(Dim::Named("batch")));
    Conformance::of(DenseBackend)
        .model(ReferenceModel::new(linear.uri(), |features| LINEAR.predict(features), 1e-6))
        .model(ReferenceModel::new(constant.uri(), |features| CONSTANT.predict(features), 1e-9))
        .model(ReferenceModel::new(batch.uri(), |features| LINEAR.predict(features), 1e-6))
        .run();
}

/// The shape of network that is common in the field, at several sizes.
#[test]
fn a_network_answers_as_worked_out_in_double_precision() {
    for (seed, hidden) in [(1, &[37, 37][..]), (2, &[16]), (3, &[64, 32, 16]), (4, &[])] {
        let network = Network::sample(hidden, seed);
        for batch in [Dim::Fixed(1), Dim::Fixed(8), Dim::Unknown] {
            let file = File::of(&network.to_onnx_with(batch));
            let expected = network.clone();
            let known =
                ReferenceModel::new(file.uri(), move |features| expected.predict(features), 1e-4);
            Conformance::of(DenseBackend).model(known).run();
        }
    }
}

#[test]
fn quantiles_in_any_order_are_sorted() {
    for order in [[0, 1, 2, 3, 4], [3, 0, 4, 2, 1]] {
        let file = File::of(&Scattered.to_onnx(Dim::Fixed(1), order));
        let known = ReferenceModel::new(file.uri(), |features| Scattered.predict(features), 1e-5)
            .drawing(|features, uniforms| Scattered.draw(features, uniforms));
        Conformance::of(DenseBackend).model(known).run();
    }
}

/// A wrong weight of one quantile is found.
#[test]
fn dense_serves_quantiles_when_it_agrees_with_tract_on_each() {
    let file = File::of(&QuantileNetwork::sample(&[16], 1).to_onnx(Dim::Unknown));
    let loaded = both().open(&file.uri()).unwrap();
    let info = loaded.models[0].predictor.info();
    assert_eq!((info.backend, loaded.agrees_with), ("dense", Some("tract")));
    assert!(info.knows_distributions);
    let narrow = file.uri_with("quantiles=0.1,0.5,0.9");
    let error = DenseBackend.open(&narrow).unwrap_err().to_string();
    assert!(error.ends_with("the network gives 15 numbers, expected 9"), "{error}");
}

#[test]
fn a_batch_gives_the_same_bits_as_one_by_one() {
    let file = File::of(&Network::sample(&[37, 37], 1).to_onnx());
    let mut session = DenseBackend.open(&file.uri()).unwrap().session().unwrap();
    let samples: Vec<Features> = samples::ordinary().into_iter().cycle().take(131).collect();
    let mut batch = vec![Default::default(); samples.len()];
    session.predict_batch(&samples, &mut batch).unwrap();
    for (features, answer) in samples.iter().zip(batch) {
        assert_eq!(session.predict(features).unwrap(), answer);
    }
}

fn both() -> Backends {
    let backends: [Arc<dyn Backend>; 2] = [Arc::new(DenseBackend), Arc::new(TractBackend)];
    Backends::new(backends)
}

#[test]
fn dense_and_tract_report_the_same_info() {
    let model = Network::sample(&[8], 1).to_onnx().metadata("hyperfake.response", "echo");
    let file = File::of(&model);
    let parameters = "cold_start=1s&features=request_bytes,function_instances,active_calls,\
                      worker_ram_bytes,worker_cpu_cores";
    let uri = file.uri_with(parameters);
    let (dense, tract) = (DenseBackend.open(&uri).unwrap(), TractBackend.open(&uri).unwrap());
    let mut info = dense.info().clone();
    assert_eq!(info.backend, "dense");
    assert_eq!(info.trained.len(), 5);
    info.backend = "tract";
    assert_eq!(&info, tract.info());
}

#[test]
fn what_dense_declines_is_served_by_tract_and_the_reason_is_kept() {
    let file = File::of(&Network::sample(&[8], 1).to_onnx().node("Sin", &["output"], &["x"], &[]));
    let loaded = both().open(&file.uri()).unwrap();
    assert_eq!(loaded.models[0].predictor.info().backend, "dense");
    assert!(loaded.declined.is_empty());

    let model = hyperfake_predictor_testkit::onnx::Model::new()
        .input("x", &[Dim::Fixed(1), Dim::Fixed(5)])
        .initializer("weights", &[5, 3], &[1.0_f32; 15])
        .node("Sin", &["x"], &["waves"], &[])
        .node("MatMul", &["waves", "weights"], &["y"], &[])
        .output("y", &[Dim::Fixed(1), Dim::Fixed(3)]);
    let file = File::of(&model);
    let loaded = both().open(&file.uri()).unwrap();
    assert_eq!(loaded.models[0].predictor.info().backend, "tract");
    let reason = loaded.declined[0].error.to_string();
    let expected = format!("{}: dense cannot lower node 'node_waves' (Sin)", file.path.display());
    assert_eq!((loaded.declined[0].backend, reason), ("dense", expected));
}

/// Not a number stays so in dense, where tract's rectifier turns it into 0.
#[test]
fn odd_features_get_an_answer_of_the_same_kind_or_nan() {
    let file = File::of(&Network::sample(&[16, 16], 3).to_onnx());
    let open = |backend: &dyn Backend| backend.open(&file.uri()).unwrap().session().unwrap();
    let (mut dense, mut tract) = (open(&DenseBackend), open(&TractBackend));
    for odd in samples::odd() {
        let (found, expected) = (dense.predict(&odd).unwrap(), tract.predict(&odd).unwrap());
        let unsure = odd.to_array().iter().any(|value| !(*value as f32).is_finite());
        for (found, expected) in found.to_array().into_iter().zip(expected.to_array()) {
            let close = (found - expected).abs() <= 1e-3 * expected.abs();
            let both_endless = found == expected || (found.is_nan() && expected.is_nan());
            assert!(
                close || both_endless || (unsure && !found.is_finite()),
                "{odd:?}: {found} {expected}"
            );
        }
    }
}

/// Right: ln(1 + e^x) of x = bytes + 0.5413248546: 1 ns when idle (0.5413 is ln(e - 1)), and
/// 500.54 ns, which is 501, at 500 bytes, where e^x is beyond single precision.
#[test]
fn a_network_that_ends_in_a_softplus_at_the_scale_of_nanoseconds_is_right_far_from_idle() {
    let mut weights = [0.0_f32; 15];
    weights[0] = 1.0;
    let model = Model::new()
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .initializer("weights", &[5, 3], &weights)
        .initializer("bias", &[3], &[0.541_324_85_f32, -1.0, 1e6])
        .node("Gemm", &["input", "weights", "bias"], &["sums"], &[])
        .node("Softplus", &["sums"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)]);
    let file = File::of(&model);
    for backend in [&DenseBackend as &dyn Backend, &TractBackend] {
        let mut session = backend.open(&file.uri()).unwrap().session().unwrap();
        for (bytes, expected) in [(0.0, 1.0), (500.0, 501.0), (4e6, 4_000_001.0)] {
            let features = Features { request_bytes: bytes, ..Features::IDLE };
            let answer = session.predict(&features).unwrap();
            assert_eq!(answer.runtime_ns.round(), expected, "{backend:?} at {bytes} bytes");
            assert_eq!(answer.ram_bytes, 1e6);
        }
    }
}
