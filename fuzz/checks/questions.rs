//! What models are asked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use hyperfake_predictor::Features;

/// An idle worker, an ordinary one, a busy one, a very busy one, fractions, and one of every feature.
pub(crate) const QUESTIONS: [Features; 6] = [
    Features::IDLE,
    features([640.0, 2.0, 3.0, 1.5, 3e8]),
    features([1e6, 40.0, 500.0, 128.0, 1.28e11]),
    features([1e9, 1e4, 1e6, 1e6, 1.7592186044416e13]),
    features([0.5, 1.25, 0.1, 0.3, 0.7]),
    features([1.0, 1.0, 1.0, 1.0, 1.0]),
];

/// Numbers that no worker gives to a model.
pub(crate) const ODD: [Features; 4] = [
    features([f64::NAN; 5]),
    features([f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::MAX, f64::MIN_POSITIVE]),
    features([-0.0, f64::MIN, f64::NAN, f64::INFINITY, 5e-324]),
    features([f64::MAX; 5]),
];

const fn features(values: [f64; 5]) -> Features {
    let [request_bytes, function_instances, active_calls, worker_cpu_cores, worker_ram_bytes] =
        values;
    Features { request_bytes, function_instances, active_calls, worker_cpu_cores, worker_ram_bytes }
}
