//! The library itself, opened as the worker opens it.

use hyperfake_plugin_fixtures::package;
use hyperfake_plugin_sdk::Prediction;
use hyperfake_plugin_testkit::library_conforms;

#[test]
fn the_library_has_the_properties_of_a_predictor() {
    let config = r#"{"runtime_ns": 7e6, "cpu_cores": 0.5, "ram_bytes": 8e6}"#;
    library_conforms(package("noisy").path(), config, |_| Prediction {
        runtime_ns: 7e6,
        cpu_cores: 0.5,
        ram_bytes: 8e6,
    });
}
