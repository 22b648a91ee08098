//! The properties of every backend, on the models that this one serves.

use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::Dim,
    reference::{CONSTANT, LINEAR, Network},
};

use crate::file::{File, runtime};

#[test]
fn every_property_holds() {
    if runtime("every_property_holds").is_none() {
        return;
    }
    let linear = File::of(&LINEAR.to_onnx());
    let constant = File::of(&CONSTANT.to_onnx());
    let batch = File::of(&LINEAR.to_onnx_with(Dim::Named("batch")));
    Conformance::of(OrtBackend::default())
        .model(ReferenceModel::new(linear.uri(), |features| LINEAR.predict(features), 1e-6))
        .model(ReferenceModel::new(constant.uri(), |features| CONSTANT.predict(features), 1e-9))
        .model(ReferenceModel::new(batch.uri(), |features| LINEAR.predict(features), 1e-6))
        .run();
}

/// The shape of network that is common in the field, at several sizes.
#[test]
fn a_network_answers_as_worked_out_in_double_precision() {
    if runtime("a_network_answers_as_worked_out_in_double_precision").is_none() {
        return;
    }
    for (seed, hidden) in [(1, &[37, 37][..]), (2, &[16]), (3, &[64, 32, 16]), (4, &[])] {
        let network = Network::sample(hidden, seed);
        let file = File::of(&network.to_onnx());
        let known =
            ReferenceModel::new(file.uri(), move |features| network.predict(features), 1e-4);
        Conformance::of(OrtBackend::default()).model(known).run();
    }
}
