//! The suite of all engines for ONNX files.

use hyperfake_predictor_testkit::suite;
use hyperfake_predictor_tract::{DenseBackend, TractBackend};

#[test]
fn tract_passes_the_suite() {
    suite::run(TractBackend, |_| true);
}

/// Its own tests cover the rest, with graphs that it takes.
#[test]
fn dense_reads_settings_as_tract_does() {
    suite::run(DenseBackend, |name| {
        name.starts_with("the_features_setting")
            || name.starts_with("the_scaler_in_a_file")
            || name.starts_with("a_network_with_heads_for_quantiles")
    });
}
