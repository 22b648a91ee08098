//! The properties of every backend, for each kind of model.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

use hyperfake_predictor::{Feature, Features, ModelUri, Output, RawPrediction, Uniforms};
use hyperfake_predictor_json::JsonBackend;
use hyperfake_predictor_testkit::{
    Conformance, ReferenceModel,
    reference::{CONSTANT, LINEAR},
};
use tempfile::TempDir;

#[test]
fn every_kind_has_the_properties_of_a_backend() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: String| uri(folder.path(), name, content);
    Conformance::of(JsonBackend)
        .model(ReferenceModel::new(
            file("constant.json", constant()),
            |f| CONSTANT.predict(f),
            1e-12,
        ))
        .model(ReferenceModel::new(file("linear.json", linear()), |f| LINEAR.predict(f), 1e-12))
        .model(ReferenceModel::new(
            file("hyperfaas.json#b", hyperfaas()),
            |f| LINEAR.predict(f),
            1e-9,
        ))
        .model(ReferenceModel::new(file("grid.json", grid()), |f| LINEAR.predict(f), 1e-9))
        .model(ReferenceModel::new(file("nearest.json", ends("nearest")), nearest, 1e-12))
        .model(ReferenceModel::new(file("mean.json", ends("inverse-distance")), mean, 1e-9))
        .model(
            ReferenceModel::new(file("quantiles.json", quantiles()), expected, 1e-12).drawing(draw),
        )
        .run();
}

fn uri(folder: &Path, name: &str, content: String) -> ModelUri {
    let (file, _) = name.split_once('#').unwrap_or((name, ""));
    fs::write(folder.join(file), content).unwrap();
    format!("{}/{name}", folder.display()).parse().unwrap()
}

fn constant() -> String {
    let [runtime, cpu, ram] = CONSTANT.intercepts;
    format!(
        r#"{{"kind": "constant", "runtime_ns": {runtime}, "cpu_cores": {cpu}, "ram_bytes": {ram}}}"#
    )
}

fn linear() -> String {
    let mut fields = vec![r#""kind": "linear""#.to_owned()];
    for (output, (weights, intercept)) in
        Output::ALL.into_iter().zip(LINEAR.weights.iter().zip(LINEAR.intercepts))
    {
        let mut coefficients = vec![format!(r#""intercept": {intercept}"#)];
        for (feature, weight) in Feature::ALL.into_iter().zip(weights) {
            coefficients.push(format!(r#""{feature}": {weight}"#));
        }
        fields.push(format!(r#""{output}": {{{}}}"#, coefficients.join(", ")));
    }
    format!("{{{}}}", fields.join(",\n"))
}

/// The second of two images.
fn hyperfaas() -> String {
    let coefficients = |output: usize, unit: f64| {
        let mut all = LINEAR.weights[output].to_vec();
        all.push(LINEAR.intercepts[output]);
        format!("{:?}", all.iter().map(|coefficient| coefficient / unit).collect::<Vec<_>>())
    };
    let zeros = "[0, 0, 0, 0, 0, 0]";
    format!(
        r#"{{"a": {{"runtime_coeffs": {zeros}, "cpu_coeffs": {zeros}, "ram_coeffs": {zeros}}},
             "b": {{"runtime_coeffs": {}, "cpu_coeffs": {}, "ram_coeffs": {}}}}}"#,
        coefficients(0, 1e6),
        coefficients(1, 1.0),
        coefficients(2, 1.0),
    )
}

/// The linear reference function at the corners of a box around the questions that are asked.
fn grid() -> String {
    const LOW: [f64; 5] = [0.0, 1.0, 0.0, 0.0, 0.0];
    const HIGH: [f64; 5] = [1e6, 40.0, 100.0, 32.0, 16e9];
    let corner =
        |bits: usize| std::array::from_fn(|column| [LOW, HIGH][bits >> column & 1][column]);
    let rows: Vec<_> = (0..32)
        .map(|bits| {
            let point: [f64; 5] = corner(bits);
            let result = LINEAR.predict(&Features::from_array(point)).to_array();
            [&point[..], &result].concat()
        })
        .collect();
    format!(r#"{{"kind": "table", "interpolation": "linear", "rows": {rows:?}}}"#)
}

const FEW_CALLS: [f64; 3] = [1e6, 0.5, 1e7];
const MANY_CALLS: [f64; 3] = [9e6, 0.25, 3e7];

/// Two rows, for no and for 100 active calls.
fn ends(interpolation: &str) -> String {
    let rows = [[&[0.0][..], &FEW_CALLS].concat(), [&[100.0][..], &MANY_CALLS].concat()];
    format!(
        r#"{{"kind": "table", "features": ["active_calls"],
             "interpolation": "{interpolation}", "rows": {rows:?}}}"#
    )
}

fn nearest(features: &Features) -> RawPrediction {
    let few = features.active_calls <= 50.0;
    RawPrediction::from_array(if few { FEW_CALLS } else { MANY_CALLS })
}

fn mean(features: &Features) -> RawPrediction {
    let (few, many) = (features.active_calls, 100.0 - features.active_calls);
    // Each weighs as much as the square of the way to the other.
    let share = few * few / (few * few + many * many);
    RawPrediction::from_array(std::array::from_fn(|output| {
        FEW_CALLS[output] + share * (MANY_CALLS[output] - FEW_CALLS[output])
    }))
}

/// The least, the middle and the greatest run time for fewer than 50 active calls and for others.
const RUN_TIMES: [[f64; 3]; 2] = [[1e6, 2e6, 8e6], [3e6, 3e6, 9e7]];
const MEMORIES: [[f64; 3]; 2] = [[1e7, 2e7, 2e7], [2e7, 3e7, 9e7]];

fn quantiles() -> String {
    format!(
        r#"{{"kind": "quantiles", "features": ["active_calls"], "bins": [[0, 50, 100]],
             "levels": [0, 0.5, 1], "runtime_ns": {RUN_TIMES:?}, "cpu_cores": 0.5,
             "ram_bytes": {MEMORIES:?}}}"#
    )
}

fn bin(features: &Features) -> usize {
    usize::from(features.active_calls >= 50.0)
}

fn draw(features: &Features, uniforms: &Uniforms) -> RawPrediction {
    let at = |[least, middle, greatest]: [f64; 3], level: f64| match level < 0.5 {
        true => least * (middle / least).powf(2.0 * level),
        false => middle * (greatest / middle).powf(2.0 * level - 1.0),
    };
    RawPrediction {
        runtime_ns: at(RUN_TIMES[bin(features)], uniforms.run_time),
        cpu_cores: 0.5,
        ram_bytes: at(MEMORIES[bin(features)], uniforms.ram),
    }
}

fn expected(features: &Features) -> RawPrediction {
    let mean = |low: f64, high: f64| match high == low {
        true => low,
        false => (high - low) / (high / low).ln(),
    };
    let mean =
        |[least, middle, greatest]: [f64; 3]| (mean(least, middle) + mean(middle, greatest)) / 2.0;
    RawPrediction {
        runtime_ns: mean(RUN_TIMES[bin(features)]),
        cpu_cores: 0.5,
        ram_bytes: mean(MEMORIES[bin(features)]),
    }
}
