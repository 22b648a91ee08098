//! Where ONNX Runtime is found. Each test puts a link to the real one in one place.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::{child::Child, file::library, missing::compiled};

/// Puts the real library into a folder, under a name of its version.
fn put(real: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    symlink(real, folder.join("libonnxruntime.so.1.17.0")).unwrap();
}

pub(crate) fn it_is_found_in_every_place() {
    let real = library();
    let capi = "venv/lib/python3.12/site-packages/onnxruntime/capi";
    for (place, folder, variable) in [
        ("Option", "a folder", Some("OPTION")),
        ("Variable", "a folder", Some("ORT_DYLIB_PATH")),
        ("BesideExecutable", "bin/lib", None),
        ("OneFolderUp", "lib", None),
        ("VirtualEnvironment", capi, Some("VIRTUAL_ENV")),
        ("System", "system", Some("LD_LIBRARY_PATH")),
    ] {
        let child = Child::new("find");
        let mut folder = child.folder().join(folder);
        put(&real, &folder);
        symlink(&real, folder.join("libonnxruntime.so.1")).unwrap();
        let mut expected = folder.join("libonnxruntime.so.1.17.0");
        if place == "System" {
            expected = fs::canonicalize(&real).unwrap();
        }
        if place == "VirtualEnvironment" {
            folder = child.folder().join("venv");
        }
        let said = match variable {
            Some(variable) => child.with(variable, folder),
            None => child,
        }
        .run();
        assert_eq!(said[0], format!("Some({place})"), "{said:?}");
        assert_eq!(said[1], format!("Some({expected:?})"));
    }
}

pub(crate) fn an_earlier_place_counts_before_a_later_one() {
    let real = library();
    let child = Child::new("find");
    let folder = child.folder().to_owned();
    for name in ["option", "variable", "lib"] {
        put(&real, &folder.join(name));
    }
    let said = child
        .with("OPTION", folder.join("option"))
        .with("ORT_DYLIB_PATH", folder.join("variable"))
        .run();
    assert_eq!(said[0], "Some(Option)");
}

pub(crate) fn an_option_that_names_no_library_is_not_answered_with_another_one() {
    let child = Child::new("find");
    let file = child.folder().join("mistyped.so");
    let said = child.with("OPTION", &file).with("ORT_DYLIB_PATH", library()).run();
    assert_eq!(said[0], "None", "{said:?}");
    assert_eq!(said[2..], [format!("--ort-lib ({}): there is no such file", file.display())]);
}

pub(crate) fn a_library_that_is_too_old_or_invalid_is_skipped() {
    let real = library();
    let child = Child::new("find");
    let option = child.folder().join("option");
    put(&real, &option);
    fs::write(option.join("libonnxruntime.so.1.99.0"), "no library").unwrap();
    let old = "const char *v(void) { return \"1.10.0\"; } void *api(unsigned n) { return 0; } \
               static void *base[] = {api, v}; void *OrtGetApiBase(void) { return base; }";
    let Some(old) = compiled(child.folder(), old) else { return };
    fs::rename(old, option.join("libonnxruntime.so.1.98.0")).unwrap();
    let said = child.with("OPTION", &option).run();
    assert_eq!(said[0], "Some(Option)");
    assert_eq!(said[1], format!("Some({:?})", option.join("libonnxruntime.so.1.17.0")));
    assert!(said[2].starts_with("--ort-lib (") && said[2].contains("1.99.0"), "{said:?}");
    assert!(said[3].ends_with("version 1.10.0, expected 1.17 or newer"), "{said:?}");
}

pub(crate) fn a_model_is_served_with_the_library_that_was_given() {
    let real = library();
    let model = crate::missing::model();
    let uri = format!("ort:{}", model.path.display());
    let said = Child::new("open").with("MODEL", uri).with("OPTION", real).run();
    assert_eq!(said, ["ort 1530000", "ort 1530000"]);
}
