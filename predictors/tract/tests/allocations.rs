//! A call to a session of the dense or the trees backend allocates nothing. In a file of its own, because it
//! counts what the allocator does.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use std::path::Path;

use allocation_counter::measure;
use hyperfake_predictor::{Backend, Features, ModelUri, RawPrediction};
use hyperfake_predictor_tract::{DenseBackend, TractBackend, TreesBackend};

const ECHO: &str = "../../models/hyperfaas-echo.onnx";

/// What a call and a batch allocate, in a session that was asked before.
fn allocations(backend: &dyn Backend, file: &str) -> [u64; 2] {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let model = backend.open(&ModelUri::from_path(file)).unwrap();
    let mut session = model.session().unwrap();
    session.predict(&Features::IDLE).unwrap();
    let mut out = [RawPrediction::default(); 100];
    let one = measure(|| {
        session.predict(&Features::IDLE).unwrap();
    });
    let batch = measure(|| session.predict_batch(&[Features::IDLE; 100], &mut out).unwrap());
    [one.count_total, batch.count_total]
}

#[test]
fn a_call_to_the_shipped_network_allocates_nothing_alone_or_in_a_batch() {
    assert_eq!(allocations(&DenseBackend, ECHO), [0, 0]);
}

#[test]
fn a_call_to_trees_allocates_nothing_alone_or_in_a_batch() {
    for file in ["tests/models/forest.onnx", "tests/models/boosting.onnx"] {
        assert_eq!(allocations(&TreesBackend, file), [0, 0]);
    }
}

#[test]
fn what_a_general_runtime_allocates_is_counted() {
    let [one, batch] = allocations(&TractBackend, ECHO);
    assert!(one > 0 && batch >= 100 * one, "{one}, {batch}");
}
