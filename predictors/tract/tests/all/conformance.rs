//! The properties of every backend, on the models that this one serves.

use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    onnx::Dim,
    reference::{CONSTANT, LINEAR, Network},
};
use hyperfake_predictor_tract::TractBackend;

use crate::file::File;

#[test]
fn every_property_holds() {
    let linear = File::of(&LINEAR.to_onnx());
    let constant = File::of(&CONSTANT.to_onnx());
    let batch = File::of(&LINEAR.to_onnx_with(Dim::Named("batch")));
    Conformance::of(TractBackend)
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
        let file = File::of(&network.to_onnx());
        let known =
            ReferenceModel::new(file.uri(), move |features| network.predict(features), 1e-4);
        Conformance::of(TractBackend).model(known).run();
    }
}
