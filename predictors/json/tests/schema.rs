//! The README, the JSON Schema and the parser say the same about the format.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;

use hyperfake_predictor::{Backend, ModelUri};
use hyperfake_predictor_json::JsonBackend;
use serde_json::Value;
use tempfile::NamedTempFile;

const README: &str = include_str!("../README.md");
const SCHEMA: &str = include_str!("../schema/model.schema.json");

const CONSTANT: &str = r#""runtime_ns": 7e6, "cpu_cores": 0.5, "ram_bytes": 8e6"#;
const LINEAR: &str =
    r#""runtime_ns": {"intercept": -1}, "cpu_cores": {}, "ram_bytes": {"active_calls": 1}"#;
const QUANTILES: &str = r#""levels": [0.1, 0.9], "runtime_ns": [[1, 2]]"#;
const COEFFICIENTS: &str = r#""cpu_coeffs": [1, 2, 3, 4, 5, 6], "ram_coeffs": [1, 2, 3, 4, 5, 6]"#;

fn parser_takes(content: &str) -> bool {
    let mut file = NamedTempFile::with_suffix(".json").unwrap();
    file.write_all(content.as_bytes()).unwrap();
    JsonBackend.open_all(&ModelUri::from_path(file.path())).is_ok()
}

fn schema_takes(content: &str) -> bool {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let content: Value = serde_json::from_str(content).unwrap();
    jsonschema::draft202012::new(&schema).unwrap().is_valid(&content)
}

#[test]
fn the_schema_is_a_valid_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
}

#[test]
fn every_example_of_the_readme_is_a_model_file() {
    let examples: Vec<_> = README
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(examples.len(), 9);
    for example in examples {
        assert!(parser_takes(example), "{example}");
        assert!(schema_takes(example), "{example}");
    }
}

#[test]
fn schema_and_parser_take_the_same_files() {
    for content in [
        format!(r#"{{"kind": "constant", {CONSTANT}}}"#),
        format!(
            r#"{{"kind": "constant", {CONSTANT}, "$schema": "x", "description": "", "image": "a"}}"#
        ),
        format!(r#"{{"kind": "constant", {CONSTANT}, "response": "", "cold_start": "1s"}}"#),
        format!(r#"{{"kind": "linear", {LINEAR}}}"#),
        format!(
            r#"{{"kind": "linear", {LINEAR}, "features": ["worker_cpu_cores", "active_calls"]}}"#
        ),
        r#"{"kind": "table", "rows": [[1, 2, 3, 4, 5, 6, 7, 8]]}"#.to_owned(),
        format!(r#"{{"kind": "quantiles", {QUANTILES}}}"#),
        format!(r#"{{"kind": "quantiles", {QUANTILES}, "cpu_cores": 0, "ram_bytes": [[1, 1]]}}"#),
        format!(
            r#"{{"kind": "quantiles", {QUANTILES}, "features": ["active_calls"], "bins": [[0, 1]]}}"#
        ),
        r#"{"kind": "table", "features": ["active_calls"], "rows": [[1, 2, 3, 4]]}"#.to_owned(),
        r#"{"kind": "table", "interpolation": "linear", "rows": [[0, 0, 0, 0, 0, 0, 0, 0]]}"#
            .to_owned(),
        format!(
            r#"{{"a": {{"kind": "linear", {LINEAR}}}, "b": {{"kind": "constant", {CONSTANT}}}}}"#
        ),
        format!(r#"{{"description": "x", "a": {{"kind": "constant", {CONSTANT}}}}}"#),
        format!(r#"{{"a": {{"runtime_coeffs": [1, 2, 3, 4, 5, -6], {COEFFICIENTS}}}}}"#),
        format!(r#"{{"runtime_coeffs": [1, 2, 3, 4, 5, -6], "image_tag": "a", {COEFFICIENTS}}}"#),
    ] {
        assert!(parser_takes(&content), "{content}");
        assert!(schema_takes(&content), "{content}");
    }
}

#[test]
fn schema_and_parser_refuse_the_same_files() {
    for content in [
        "{}".to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
        r#"{"$schema": "x", "description": "y"}"#.to_owned(),
        format!("{{{CONSTANT}}}"),
        format!(r#"{{"kind": "tabel", {CONSTANT}}}"#),
        format!(r#"{{"kind": 1, {CONSTANT}}}"#),
        format!(r#"{{"kind": {{}}, {CONSTANT}}}"#),
        r#"{"kind": "constant", "runtime_ns": 1, "cpu_cores": 1}"#.to_owned(),
        r#"{"kind": "constant", "runtime_ns": 1, "cpu_cores": -1, "ram_bytes": 1}"#.to_owned(),
        r#"{"kind": "constant", "runtime_ns": "1", "cpu_cores": 1, "ram_bytes": 1}"#.to_owned(),
        format!(r#"{{"kind": "constant", {CONSTANT}, "runtime": 1}}"#),
        format!(r#"{{"kind": "constant", {CONSTANT}, "features": ["active_calls"]}}"#),
        format!(r#"{{"kind": "constant", {CONSTANT}, "runtime_coeffs": [1, 2, 3, 4, 5, 6]}}"#),
        format!(r#"{{"kind": "constant", {CONSTANT}, "image": ""}}"#),
        format!(r#"{{"kind": "constant", {CONSTANT}, "response": 5}}"#),
        format!(r#"{{"kind": "constant", {CONSTANT}, "cold_start": null}}"#),
        format!(r#"{{"kind": "constant", {CONSTANT}, "description": 5}}"#),
        format!(r#"{{"kind": "linear", {CONSTANT}}}"#),
        format!(r#"{{"kind": "linear", {LINEAR}, "rows": []}}"#),
        format!(r#"{{"kind": "linear", {LINEAR}, "features": []}}"#),
        format!(r#"{{"kind": "linear", {LINEAR}, "features": ["cpu"]}}"#),
        format!(r#"{{"kind": "linear", {LINEAR}, "features": ["active_calls", "active_calls"]}}"#),
        r#"{"kind": "linear", "runtime_ns": {"x": 1}, "cpu_cores": {}, "ram_bytes": {}}"#
            .to_owned(),
        r#"{"kind": "linear", "runtime_ns": {"intercept": "1"}, "cpu_cores": {}, "ram_bytes": {}}"#
            .to_owned(),
        r#"{"kind": "table"}"#.to_owned(),
        r#"{"kind": "table", "rows": []}"#.to_owned(),
        r#"{"kind": "table", "rows": [7]}"#.to_owned(),
        r#"{"kind": "table", "rows": [[1, 2, 3]]}"#.to_owned(),
        r#"{"kind": "table", "rows": [[1, 2, 3, 4, 5, 6, 7, 8, 9]]}"#.to_owned(),
        r#"{"kind": "table", "rows": [[-1, 2, 3, 4, 5, 6, 7, 8]]}"#.to_owned(),
        r#"{"kind": "table", "rows": [[1, 2, 3, 4, 5, 6, 7, null]]}"#.to_owned(),
        r#"{"kind": "table", "rows": [[1, 2, 3, 4, 5, 6, 7, 8]], "interpolation": "cubic"}"#
            .to_owned(),
        r#"{"kind": "table", "rows": [[1, 2, 3, 4, 5, 6, 7, 8]], "runtime_ns": 1}"#.to_owned(),
        format!(r#"{{"kind": "quantiles", {QUANTILES}, "rows": []}}"#),
        format!(r#"{{"kind": "quantiles", {QUANTILES}, "features": ["active_calls"]}}"#),
        format!(r#"{{"kind": "quantiles", {QUANTILES}, "bins": [[0, 1]]}}"#),
        format!(
            r#"{{"kind": "quantiles", {QUANTILES}, "features": ["active_calls"], "bins": [[1]]}}"#
        ),
        format!(
            r#"{{"kind": "quantiles", {QUANTILES}, "features": ["active_calls", "request_bytes",
                "worker_cpu_cores"], "bins": [[0, 1], [0, 1], [0, 1]]}}"#
        ),
        format!(r#"{{"kind": "quantiles", {QUANTILES}, "cpu_cores": -1}}"#),
        format!(r#"{{"kind": "quantiles", {QUANTILES}, "cpu_cores": [1, 2]}}"#),
        format!(r#"{{"kind": "quantiles", {QUANTILES}, "cpu_cores": [[0, 2]]}}"#),
        r#"{"kind": "quantiles", "levels": [0.1, 0.9]}"#.to_owned(),
        r#"{"kind": "quantiles", "levels": [0.5], "runtime_ns": [[1]]}"#.to_owned(),
        r#"{"kind": "quantiles", "levels": [0.5, 1.5], "runtime_ns": [[1, 2]]}"#.to_owned(),
        r#"{"kind": "quantiles", "levels": [0.5, 0.9], "runtime_ns": [1, 2]}"#.to_owned(),
        r#"{"kind": "quantiles", "levels": [0.5, 0.9], "runtime_ns": []}"#.to_owned(),
        r#"{"kind": "quantiles", "levels": [0.5, 0.9], "runtime_ns": [[1, 1e101]]}"#.to_owned(),
        r#"{"a": 5}"#.to_owned(),
        r#"{"a": {}}"#.to_owned(),
        format!(r#"{{"": {{"kind": "constant", {CONSTANT}}}}}"#),
        format!(r#"{{"rows": {{"kind": "constant", {CONSTANT}}}}}"#),
        format!(r#"{{"a": {{"kind": "constant", {CONSTANT}}}, "b": {{}}}}"#),
        format!(r#"{{"a": {{{COEFFICIENTS}}}}}"#),
        format!("{{{COEFFICIENTS}}}"),
        format!(r#"{{"a": {{"runtime_coeffs": [1, 2, 3, 4, 5], {COEFFICIENTS}}}}}"#),
        format!(r#"{{"a": {{"runtime_coeffs": [1, 2, 3, 4, 5, "6"], {COEFFICIENTS}}}}}"#),
        format!(r#"{{"a": {{"runtime_coeffs": [1, 2, 3, 4, 5, 6], {COEFFICIENTS}, "x": 1}}}}"#),
        format!(
            r#"{{"a": {{"runtime_coeffs": [1, 2, 3, 4, 5, 6], {COEFFICIENTS}, "cpu_r2": null}}}}"#
        ),
        format!(
            r#"{{"a": {{"runtime_coeffs": [1, 2, 3, 4, 5, 6], {COEFFICIENTS}, "sample_count": -1}}}}"#
        ),
    ] {
        assert!(!parser_takes(&content), "{content}");
        assert!(!schema_takes(&content), "{content}");
    }
}

/// What no JSON Schema can say; its description says it in words.
#[test]
fn the_parser_alone_refuses_what_depends_on_other_values() {
    for content in [
        r#"{"kind": "table", "rows": [[1, 2, 3, 4]]}"#,
        r#"{"kind": "table", "features": ["active_calls"], "rows": [[1, 2, 3, 4], [1, 2, 3, 4]]}"#,
        r#"{"kind": "table", "interpolation": "linear", "features": ["active_calls", "request_bytes"],
            "rows": [[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]}"#,
        r#"{"kind": "linear", "features": ["active_calls"],
            "runtime_ns": {"request_bytes": 1}, "cpu_cores": {}, "ram_bytes": {}}"#,
        r#"{"kind": "quantiles", "levels": [0.9, 0.1], "runtime_ns": [[1, 2]]}"#,
        r#"{"kind": "quantiles", "levels": [0.1, 0.9], "runtime_ns": [[2, 1]]}"#,
        r#"{"kind": "quantiles", "levels": [0.1, 0.9], "runtime_ns": [[1, 2], [1, 2]]}"#,
        r#"{"kind": "quantiles", "levels": [0.1, 0.9], "runtime_ns": [[1, 2, 3]]}"#,
        r#"{"kind": "quantiles", "features": ["active_calls"], "bins": [[1, 0]],
            "levels": [0.1, 0.9], "runtime_ns": [[1, 2]]}"#,
        r#"{"kind": "quantiles", "features": ["active_calls"], "bins": [[0, 1], [0, 1]],
            "levels": [0.1, 0.9], "runtime_ns": [[1, 2]]}"#,
        r#"{"a": {"kind": "constant", "image": "b", "runtime_ns": 1, "cpu_cores": 1, "ram_bytes": 1}}"#,
    ] {
        assert!(!parser_takes(content), "{content}");
        assert!(schema_takes(content), "{content}");
    }
}

#[test]
fn the_schema_reserves_the_names_of_all_fields() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let definitions = &schema["$defs"];
    let reserved = &definitions["images"]["propertyNames"]["not"]["enum"];
    for kind in ["common", "constant", "linear", "table", "quantiles", "hyperfaas"] {
        for field in definitions[kind]["properties"].as_object().unwrap().keys() {
            let noted = field == "$schema" || field == "description";
            let listed = reserved.as_array().unwrap().iter().any(|name| name == field);
            assert!(listed != noted, "{field}");
        }
    }
}
