//! How many of the real calls lie within a model's intervals.

use super::*;

#[test]
fn a_models_intervals_cover_as_many_real_calls_as_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let real = path("real.csv");
    let law = || Law { spread: 0.3, by_load: 0.0, ..Law::default() };
    write(real.as_ref(), law().rows().into_iter().map(|row| Row { cold: None, ..row }));
    // The slow part has a deviation of 0.02 / sqrt(1 - 0.9^2); a ninth of the calls is cold.
    let deviation = (0.3_f64.powi(2) + 0.02_f64.powi(2) / 0.19).sqrt();
    let levels: Vec<f64> = (1..200).map(|level| f64::from(level) / 200.0).collect();
    let share = |time: f64| {
        let of = |median: f64| normal::cdf((time / median).ln() / deviation);
        (8.0 * of(20.0 * MS) + of(30.0 * MS)) / 9.0
    };
    let quantile = |level: &f64| {
        let (mut low, mut high) = (0.0, 1e9);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if share(middle) < *level { low = middle } else { high = middle }
        }
        low
    };
    let times: Vec<f64> = levels.iter().map(quantile).collect();
    let model = |name: &str, factor: f64| {
        let times: Vec<f64> = times.iter().map(|time| time * factor).collect();
        let json = serde_json::json!({
            "kind": "quantiles", "levels": levels, "runtime_ns": [times], "cpu_cores": 0.5,
        });
        fs::write(path(name), json.to_string()).unwrap();
        path(name)
    };
    let of = |model: &str| -> Value {
        let output = run(&format!(
            "compare {real} {real} --model {model} --json - --out {}",
            path("p.html")
        ));
        let json: Value = serde_json::from_slice(&output.success().get_output().stdout).unwrap();
        json["functions"]["image"].clone()
    };
    let right = of(&model("right.json", 1.0));
    // Two models for one function: neither is its own by its name.
    let other = model("other.json", 1.0);
    run(&format!("compare {real} {real} --model {other} --model {}", path("right.json")))
        .failure()
        .stderr(predicate::str::contains("--model: found a model of 'other', expected one of"));
    for (interval, expected) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let found = right["model"]["coverage"][interval].as_f64().unwrap();
        assert!((found - expected).abs() < 0.03, "{interval}: {found}");
    }
    let error = right["model"]["crps_over_quantiles"].as_f64().unwrap();
    assert!((0.95..1.05).contains(&error), "{error}");
    for tercile in right["by_load"]["terciles"].as_array().unwrap() {
        let found = tercile["model_coverage"]["p90"].as_f64().unwrap();
        assert!((0.86..0.94).contains(&found), "{tercile}");
    }
    let wrong = of(&model("wrong.json", 2.0));
    assert!(wrong["model"]["coverage"]["p90"].as_f64().unwrap() < 0.7, "{wrong}");
    assert!(wrong["model"]["crps_over_quantiles"].as_f64().unwrap() > 2.0);
    // One number knows no intervals, and calls that it was not made for are counted.
    let point = path("point.json");
    fs::write(
        &point,
        r#"{"kind": "constant", "runtime_ns": 2e7, "cpu_cores": 0.5, "ram_bytes": 1}"#,
    )
    .unwrap();
    let point = of(&point);
    assert!(point["model"]["coverage"].is_null() && point["model"]["crps_ns"].is_f64(), "{point}");
}
