//! What is refused, and how the refusal reads.

use hyperfake_predictor_testkit::onnx::{Dim, Model};

use crate::file::{File, Ort};

pub(crate) fn an_unknown_operator_is_named() {
    let unknown = Model::new()
        .opset_of("org.example", 1)
        .input("input", &[Dim::Fixed(1), Dim::Fixed(3)])
        .node_of("org.example", "Frobnicate", &["input"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)])
        .metadata("features", "request_bytes,active_calls,worker_cpu_cores");
    let refusal = File::of(&unknown).refusal();
    assert!(refusal.contains("Frobnicate"), "{refusal}");
}
