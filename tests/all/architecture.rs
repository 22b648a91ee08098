//! Who may use whom: the arrows of ARCHITECTURE.md, checked against the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::repository;

/// A module of `src/`, and the modules and crates of ours that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "app",
        &[
            "backends",
            "catalog",
            "cli",
            "clock",
            "config",
            "duration",
            "format",
            "functions",
            "grpc",
            "telemetry",
            "worker",
            "hyperfake_predictor",
        ],
    ),
    (
        "backends",
        &[
            "hyperfake_plugin_host",
            "hyperfake_predictor",
            "hyperfake_predictor_candle",
            "hyperfake_predictor_dense",
            "hyperfake_predictor_json",
            "hyperfake_predictor_ort",
            "hyperfake_predictor_tract",
        ],
    ),
    ("catalog", &["duration", "hyperfake_predictor"]),
    ("cli", &["backends", "catalog", "duration", "worker", "hyperfake_predictor"]),
    (
        "client",
        &[
            "cli",
            "clock",
            "config",
            "format",
            "functions",
            "grpc",
            "hyperfake_predictor",
            "hyperfake_proto",
        ],
    ),
    ("clock", &[]),
    ("config", &["backends", "catalog", "cli", "grpc", "machine", "worker", "hyperfake_predictor"]),
    ("doctor", &["backends", "cli", "clock", "format"]),
    ("duration", &[]),
    ("format", &["hyperfake_predictor"]),
    ("functions", &[]),
    ("grpc", &["clock", "worker", "hyperfake_predictor", "hyperfake_proto"]),
    ("machine", &[]),
    (
        "models",
        &["app", "backends", "catalog", "cli", "clock", "config", "format", "hyperfake_predictor"],
    ),
    ("predict", &["backends", "cli", "config", "format", "hyperfake_predictor"]),
    ("telemetry", &["cli", "clock", "worker", "hyperfake_predictor"]),
    ("worker", &["catalog", "clock", "duration", "functions", "hyperfake_predictor"]),
];

#[test]
fn every_module_uses_only_what_it_may() {
    let mut broken = Vec::new();
    for (module, allowed) in ALLOWED {
        for (file, text) in sources(&repository("src"), module) {
            let used = uses(&text).into_iter().filter(|used| used != module);
            broken.extend(
                used.filter(|used| !allowed.contains(&used.as_str()))
                    .map(|used| format!("{} uses {used}", file.display())),
            );
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_module_has_its_line_above() {
    let lib = fs::read_to_string(repository("src/lib.rs")).unwrap();
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(ALLOWED.iter().any(|(known, _)| *known == module), "{module}");
    }
}

#[test]
fn the_worker_knows_no_transport_and_no_backend() {
    for (file, text) in sources(&repository("src"), "worker") {
        for foreign in
            ["tonic", "prost", "clap", "axum", "reqwest", "libloading", "tract", "candle", " ort"]
        {
            let named = code(&text).any(|line| line.contains(foreign));
            assert!(!named, "{} names {foreign}", file.display());
        }
    }
}

#[test]
fn predictors_use_nothing_of_ours_but_the_framework() {
    for backend in fs::read_dir(repository("predictors")).unwrap() {
        let backend = backend.unwrap().file_name().into_string().unwrap();
        let backend = backend.as_str();
        let manifest =
            fs::read_to_string(repository("predictors").join(backend).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for line in dependencies.lines().filter(|line| line.starts_with("hyperfake-")) {
            let name = line.split(['.', ' ', '=']).next().unwrap();
            let allowed = match backend {
                "core" => &[][..],
                "tract" => &[
                    "hyperfake-predictor",
                    "hyperfake-predictor-dense",
                    "hyperfake-predictor-onnx",
                    "hyperfake-predictor-trees",
                ],
                "ort" => &["hyperfake-predictor", "hyperfake-predictor-onnx"],
                _ => &["hyperfake-predictor"],
            };
            assert!(allowed.contains(&name), "predictors/{backend} depends on {name}");
        }
    }
}

#[test]
fn no_source_file_is_longer_than_it_can_be_read() {
    for folder in ["src", "proto", "predictors", "models"] {
        for file in rust_files(&repository(folder)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 400, "{} has {lines} lines", file.display());
        }
    }
}

fn sources(root: &Path, module: &str) -> Vec<(PathBuf, String)> {
    let mut files = rust_files(&root.join(module));
    files.extend(Some(root.join(format!("{module}.rs"))).filter(|file| file.exists()));
    assert!(!files.is_empty(), "there is no module {module}");
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The lines that are neither comments nor tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The modules and crates of ours that a file names.
fn uses(text: &str) -> Vec<String> {
    let code = code(text).collect::<Vec<_>>().join("\n");
    let word = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found: Vec<String> = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            // The modules are the words at the first level of the braces.
            Some(list) => {
                let mut depth = 0;
                let mut fresh = true;
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => fresh = true,
                        c if fresh && depth == 0 && c.is_alphabetic() => {
                            found.push(word(&list[at..]));
                            fresh = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    for (at, _) in code.match_indices("hyperfake_") {
        found.push(word(&code[at..]));
    }
    found.retain(|name| name != "hyperfake_worker");
    found.sort();
    found.dedup();
    found
}
