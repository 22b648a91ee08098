//! No ONNX Runtime, or one that cannot be used: an error that says so, never a hang, never a
//! panic. Every case runs in a process of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hyperfake_predictor_testkit::reference::LINEAR;

use crate::{child::Child, file::File};

pub(crate) fn model() -> File {
    File::of(&LINEAR.to_onnx())
}

/// Compiles a library from C, if there is a compiler.
pub(crate) fn compiled(folder: &Path, source: &str) -> Option<PathBuf> {
    let (code, library) = (folder.join("library.c"), folder.join("library.so"));
    fs::write(&code, source).unwrap();
    let compiler =
        Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).args([&library, &code]).status();
    match compiler {
        Ok(status) if status.success() => Some(library),
        other => {
            println!("skipped: no C compiler makes a library ({other:?})");
            None
        }
    }
}

/// What a process says that opens a model with `ort:`, and cannot.
fn refusal(child: Child) -> String {
    let model = model();
    let said = child.with("MODEL", format!("ort:{}", model.path.display())).run();
    assert_eq!(said.len(), 2);
    assert_eq!(said[0], said[1]);
    if said[0].starts_with("ort ") {
        // Nothing can hide it from a test.
        println!("skipped: the system itself has an ONNX Runtime");
        return String::new();
    }
    let path = model.path.display().to_string();
    let start = format!(
        "{path}: it needs ONNX Runtime 1.17 or newer, which was not found; `just ort` installs \
         it. Tried: --ort-lib"
    );
    assert!(said[0].starts_with(&start), "{}", said[0]);
    said[0].clone()
}

/// As [`refusal`], with a library that is compiled from C as `--ort-lib`.
fn refusal_of(source: &str, expected: &str) {
    let child = Child::new("open");
    let Some(library) = compiled(child.folder(), source) else { return };
    let text = refusal(child.with("OPTION", &library));
    let expected = format!("--ort-lib ({}): {expected}", library.display());
    assert!(text.ends_with(&expected), "{text}");
}

pub(crate) fn without_a_library_the_error_lists_every_place() {
    let child = Child::new("open");
    let folder = child.folder().to_owned();
    let text = refusal(child);
    for expected in [
        "Tried: --ort-lib: not given; ORT_DYLIB_PATH: not set; ".to_owned(),
        format!(
            "; lib beside the executable ({}): there is no such folder; ",
            folder.join("bin/lib").display()
        ),
        format!(
            "; lib one folder up from the executable ({}): there is no such folder; ",
            folder.join("lib").display()
        ),
        "; VIRTUAL_ENV: not set; ".to_owned(),
        "; the system's loader (libonnxruntime.so): ".to_owned(),
    ] {
        assert!(text.is_empty() || text.contains(&expected), "{expected} is not in {text}");
    }
}

pub(crate) fn without_a_library_the_other_backends_work_as_before() {
    let model = model();
    let said = Child::new("open").with("MODEL", &model.path).run();
    assert_eq!(said, ["tract 1530000", "tract 1530000"]);
}

pub(crate) fn a_text_file_is_no_library() {
    let child = Child::new("open");
    let path = child.folder().join("libonnxruntime.so");
    fs::write(&path, "This is no library.\n".repeat(100)).unwrap();
    let text = refusal(child.with("OPTION", &path));
    let expected = format!("--ort-lib ({}): invalid ELF header", path.display());
    assert!(text.ends_with(&expected), "{text}");
}

pub(crate) fn a_folder_without_a_library_and_a_file_that_is_not_there() {
    let child = Child::new("open");
    let folder = child.folder().to_owned();
    let text = refusal(child.with("OPTION", &folder));
    let expected = format!("--ort-lib ({}): no libonnxruntime.so in it", folder.display());
    assert!(text.ends_with(&expected), "{text}");
    let child = Child::new("open");
    let file = child.folder().join("nowhere/library.so");
    let text = refusal(child.with("ORT_DYLIB_PATH", &file));
    let expected = format!("; ORT_DYLIB_PATH ({}): there is no such file; ", file.display());
    assert!(text.is_empty() || text.contains(&expected), "{expected} is not in {text}");
}

pub(crate) fn a_pipe_is_not_opened() {
    let child = Child::new("open");
    let pipe = child.folder().join("libonnxruntime.so");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = refusal(child.with("OPTION", &pipe));
    assert!(text.ends_with(": not a file"), "{text}");
}

pub(crate) fn a_library_without_the_symbol() {
    refusal_of("int answer = 42;", "not an ONNX Runtime: it has no OrtGetApiBase");
}

pub(crate) fn a_library_that_returns_null() {
    refusal_of(
        "void *OrtGetApiBase(void) { return 0; }",
        "not an ONNX Runtime: OrtGetApiBase returns nothing",
    );
    refusal_of(
        "const char *v(void) { return 0; } static void *base[] = {0, v}; \
         void *OrtGetApiBase(void) { return base; }",
        "not an ONNX Runtime: it has no version",
    );
}

pub(crate) fn a_library_that_is_too_old_or_too_new() {
    for (version, expected) in [
        ("1.10.0", "version 1.10.0, expected 1.17 or newer"),
        ("0.99.0", "version 0.99.0, expected 1.17 or newer"),
        ("2.0.0", "version 2.0.0, expected 1.17 or newer"),
        ("1.30.0", "version 1.30.0 does not offer the API of 1.17"),
    ] {
        let source = format!(
            "const char *v(void) {{ return \"{version}\"; }} \
             void *api(unsigned number) {{ return 0; }} static void *base[] = {{api, v}}; \
             void *OrtGetApiBase(void) {{ return base; }}"
        );
        refusal_of(&source, expected);
    }
}
