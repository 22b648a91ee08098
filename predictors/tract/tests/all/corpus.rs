//! The fuzzer's corpus of ONNX files, on a stable compiler; see `fuzz/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../../fuzz/checks/onnx.rs"]
mod onnx;
#[path = "../../../../fuzz/checks/corpus.rs"]
mod replay;

#[test]
fn every_onnx_file_of_the_corpus_is_refused_or_its_backends_agree() {
    replay::replay("onnx", onnx::check);
}
