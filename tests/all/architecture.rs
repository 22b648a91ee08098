//! The dependency table of ARCHITECTURE.md, checked against the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::repository;

#[test]
fn every_module_uses_only_what_its_row_allows() {
    let mut broken = Vec::new();
    for (module, allowed) in table() {
        let Some(name) = module.strip_prefix("src/") else { continue };
        for (file, text) in sources(&repository("src"), name) {
            let used = uses(&text).into_iter().filter(|used| *used != module);
            let used = used.filter(|used| !allowed.contains(used));
            broken.extend(used.map(|used| format!("{} uses {used}", file.display())));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_predictor_depends_only_on_what_its_row_allows() {
    for (module, allowed) in table() {
        let Some(name) = module.strip_prefix("predictors/") else { continue };
        let manifest = repository("predictors").join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for line in dependencies.lines().filter(|line| line.starts_with("hyperfake-")) {
            let used = folder(&line.split(['.', ' ', '=']).next().unwrap().replace('-', "_"));
            assert!(allowed.contains(&used), "{module} depends on {used}");
        }
    }
}

#[test]
fn every_module_has_a_row() {
    let rows = table();
    let lib = fs::read_to_string(repository("src/lib.rs")).unwrap();
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let modules = modules.map(|module| format!("src/{module}"));
    let predictors = fs::read_dir(repository("predictors")).unwrap();
    let predictors = predictors
        .map(|entry| format!("predictors/{}", entry.unwrap().file_name().into_string().unwrap()));
    let modules: Vec<_> = modules.chain(predictors).collect();
    for module in &modules {
        assert!(rows.iter().any(|(known, _)| known == module), "{module} has no row");
    }
    for (row, _) in &rows {
        assert!(modules.contains(row), "{row} does not exist");
    }
}

#[test]
fn the_domain_names_no_transport_and_no_backend() {
    for module in ["worker", "scenario", "record"] {
        for (file, text) in sources(&repository("src"), module) {
            for foreign in [
                "tonic",
                "prost",
                "clap",
                "axum",
                "reqwest",
                "libloading",
                "tract",
                "candle",
                " ort",
            ] {
                let named = code(&text).any(|line| line.contains(foreign));
                assert!(!named, "{} names {foreign}", file.display());
            }
        }
    }
}

#[test]
fn the_transport_knows_no_api() {
    for file in rust_files(&repository("src/wire/transport")) {
        let text = fs::read_to_string(&file).unwrap();
        let names_one = code(&text).any(|line| line.contains("controller"));
        assert!(!names_one, "{} names an API", file.display());
    }
}

/// The rows of ARCHITECTURE.md's table: a module, and the modules that it may use.
fn table() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(repository("ARCHITECTURE.md")).unwrap();
    let (_, page) = page.split_once("<!-- dependencies:begin -->").unwrap();
    let (table, _) = page.split_once("<!-- dependencies:end -->").unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1);
        let [module]: [String; 1] = Vec::try_into(names(cells.next().unwrap())).unwrap();
        (module, names(cells.next().unwrap()))
    })
    .collect()
}

/// The folder of one of our crates.
fn folder(name: &str) -> String {
    match name.split_once("hyperfake_").unwrap().1 {
        "predictor" => "predictors/core".to_owned(),
        name => name.replacen("predictor_", "predictors/", 1).replacen("plugin_", "plugins/", 1),
    }
}

#[test]
fn no_source_file_exceeds_400_lines() {
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
            None => found.push(format!("src/{}", word(rest))),
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
                            found.push(format!("src/{}", word(&list[at..])));
                            fresh = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    for (at, _) in code.match_indices("hyperfake_") {
        found.push(folder(&word(&code[at..])));
    }
    found.sort();
    found.dedup();
    found
}
