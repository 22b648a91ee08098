//! The features that models are asked with, and their trained ranges.

use std::time::Duration;

use crate::support::{TestWorker, request};

/// Three numbers that tell which features the model was asked with.
const TELLTALE: &str = r#"{"kind": "linear", "runtime_ns": {"intercept": 1000000000},
    "cpu_cores": {"active_calls": 1}, "ram_bytes": {"function_instances": 1}}"#;

#[tokio::test]
async fn feature_scope_counts_the_function_or_the_whole_worker() {
    for (scope, expected) in [("function", (0.0, 1)), ("worker", (1.0, 3))] {
        let models = [("a", TELLTALE), ("b", TELLTALE)];
        let worker = TestWorker::start(&models, &format!("--feature-scope {scope}")).await;
        let (a, b) = (worker.register("a").await, worker.register("b").await);
        worker.start_instance(&a).await.unwrap();
        worker.start_instance(&a).await.unwrap();
        worker.start_instance(&b).await.unwrap();
        let busy = tokio::spawn(crate::support::call(worker.client.clone(), request(&a, &a, b"")));
        crate::support::eventually("a call runs", || worker.worker().usage().ram_bytes > 0).await;
        let trailers = worker.call(&b, b"").await.unwrap().trailers;
        assert_eq!((trailers.cpu_cores.unwrap(), trailers.ram_bytes.unwrap()), expected, "{scope}");
        busy.await.unwrap().unwrap();
        worker.is_idle().await;
    }
}

/// Knows requests of 10 to 20 bytes; the run time in ns is the size.
const TABLE: &str = r#"{"kind": "table", "interpolation": "linear", "features": ["request_bytes"],
    "rows": [[10, 10, 1, 1], [20, 20, 1, 1]]}"#;

#[tokio::test]
async fn inputs_outside_the_trained_range_are_counted_unless_allowed() {
    for (policy, counted) in [("allow", 0), ("warn", 2), ("clamp", 2)] {
        let options = format!("--extrapolation {policy}");
        let (worker, function, _) = TestWorker::with_instance(TABLE, &options).await;
        for size in [15, 5, 25] {
            worker.call(&function, &vec![0; size]).await.unwrap();
        }
        let outside = worker.worker().catalog().models()[0].outside();
        assert_eq!(outside.iter().map(|(_, count)| count).sum::<u64>(), counted, "{policy}");
    }
}

#[tokio::test]
async fn clamp_moves_inputs_into_the_trained_range() {
    let linear = r#"{"kind": "linear", "runtime_ns": {"request_bytes": 1000},
        "cpu_cores": {}, "ram_bytes": {}}"#;
    for (policy, expected) in [("clamp", 4), ("warn", 9)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linear.json");
        std::fs::write(&path, linear).unwrap();
        // The range stands in a sidecar.
        let sidecar = "trained_min = 2,0,0,0,0\ntrained_max = 4,99,99,99,1e12\n";
        std::fs::write(folder.path().join("linear.json.settings"), sidecar).unwrap();
        let options = format!("--extrapolation {policy} -m {} linear", path.display());
        let worker = TestWorker::start(&[("image", TABLE)], &options).await;
        let function = worker.register("linear").await;
        worker.start_instance(&function).await.unwrap();
        let trailers = worker.call(&function, &[0; 9]).await.unwrap().trailers;
        assert_eq!(trailers.runtime, Duration::from_micros(expected), "{policy}");
    }
}
