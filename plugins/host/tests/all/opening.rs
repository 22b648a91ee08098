//! Which libraries are opened, and with which configuration.

use std::{fs, path::Path, sync::Arc};

use hyperfake_plugin_fixtures::{Library, broken, c};
use hyperfake_plugin_host::{MAX_CONFIG_BYTES, PluginBackend, check_strictly};
use hyperfake_predictor::{Backend, Backends, ErrorKind, Feature, ModelUri, Units};

use crate::{busy, open, refusal};

fn queueing() -> Library {
    c(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/queueing/queueing.c"))
}

/// The library with parameters.
fn uri(library: &Library, parameters: &str) -> ModelUri {
    format!("{}{parameters}", library.path().display()).parse().unwrap()
}

fn runtime_ns(uri: &ModelUri) -> f64 {
    PluginBackend.open(uri).unwrap().session().unwrap().predict(&busy(0.0)).unwrap().runtime_ns
}

fn write(library: &Library, name: &str, content: &str) {
    fs::write(library.folder().join(name), content).unwrap();
}

#[test]
fn each_model_of_a_library_has_its_own_configuration() {
    let library = queueing();
    write(&library, "a.json", r#"{"service_ns": 1000}"#);
    write(&library, "b.json", r#"{"service_ns": 2000}"#);
    let a = format!("?config={}/a.json", library.folder().display());
    assert_eq!(runtime_ns(&uri(&library, &a)), 1000.0);
    // Not in the current folder, so the library's.
    assert_eq!(runtime_ns(&uri(&library, "?config=b.json")), 2000.0);
    assert_eq!(runtime_ns(&uri(&library, "")), 1e7);
}

#[test]
fn a_path_in_the_uri_is_looked_for_in_the_current_folder_first() {
    let library = queueing();
    // The tests of a package run in its folder, where this file is.
    let here = "tests/all/service_of_3000.json";
    assert_eq!(runtime_ns(&uri(&library, &format!("?config={here}"))), 3000.0);
}

#[test]
fn a_sidecar_names_a_configuration_beside_it() {
    let library = queueing();
    write(&library, "b.json", r#"{"service_ns": 2000}"#);
    write(&library, "c.json", r#"{"service_ns": 3000}"#);
    write(&library, "libqueueing.so.settings", "config = b.json\ncold_start = 1s\n");
    assert_eq!(runtime_ns(&uri(&library, "")), 2000.0);
    assert_eq!(runtime_ns(&uri(&library, "?config=c.json")), 3000.0);
    let model = open(library.path());
    let info = model.info();
    assert_eq!(
        (info.settings["config"].as_str(), info.settings["cold_start"].as_str()),
        ("b.json", "1s")
    );
    assert_eq!((info.backend, info.path.as_path()), ("plugin", library.path()));
    assert_eq!((&info.inputs[..], info.units), (&Feature::ALL[..], Units::NATIVE));
    assert!(info.deterministic && info.trained.is_empty());
}

#[test]
fn a_configuration_that_cannot_be_used_is_an_error_that_names_both_files() {
    let library = queueing();
    write(&library, "list.json", "[1, 2]");
    write(&library, "latin.json", "");
    fs::write(library.folder().join("latin.json"), b"{\"a\": \"\xe9\"}").unwrap();
    let huge = fs::File::create(library.folder().join("huge.json")).unwrap();
    huge.set_len(MAX_CONFIG_BYTES + 1).unwrap();
    let beside = library.folder().display();
    for (parameters, expected) in [
        ("?config=none.json", format!("config: found neither none.json nor {beside}/none.json")),
        (
            "?config=list.json",
            format!("config: {beside}/list.json: expected a JSON object: invalid type: sequence"),
        ),
        ("?config=latin.json", format!("config: {beside}/latin.json: not UTF-8")),
        ("?config=huge.json", format!("config: {beside}/huge.json: the file has 1048577 bytes")),
        ("?features=active_calls", "features: a plugin sees all five features".to_owned()),
        ("#other", "a plugin is one model without a name, found '#other'".to_owned()),
    ] {
        let (_, text) = refusal(&uri(&library, parameters));
        assert!(text.starts_with(&expected), "{text}");
    }
}

#[test]
fn the_registry_opens_a_plugin_by_extension_and_by_scheme() {
    let library = broken("well");
    let backends = Backends::new([Arc::new(PluginBackend) as Arc<dyn Backend>]);
    for text in
        [library.path().display().to_string(), format!("plugin:{}", library.path().display())]
    {
        let loaded = backends.open(&text.parse().unwrap()).unwrap();
        assert_eq!(loaded.models[0].predictor.info().backend, "plugin");
    }
}

#[test]
fn a_library_that_changed_since_it_was_opened_is_refused() {
    let library = broken("well");
    let mut session = open(library.path()).session().unwrap();
    let newer = broken("newer_minor");
    // A new file in the place of the old one, as a compiler leaves it.
    fs::rename(newer.path(), library.path()).unwrap();
    let (kind, text) = refusal(&ModelUri::from_path(library.path()));
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(text.starts_with("the file has changed since it was opened"), "{text}");
    // Models that are open are still served.
    session.predict(&busy(0.0)).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_is_never_unloaded_and_what_is_no_plugin_is_never_loaded() {
    let (plugin, other) = (broken("wrong_magic"), broken("no_symbol"));
    refusal(&ModelUri::from_path(plugin.path()));
    refusal(&ModelUri::from_path(other.path()));
    let mapped = fs::read_to_string("/proc/self/maps").unwrap();
    for (library, is_mapped) in [(plugin, true), (other, false)] {
        let name = library.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(mapped.contains(&format!("/memfd:{name}")), is_mapped, "{name}");
    }
}

#[test]
fn no_code_of_a_library_without_the_symbol_runs() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("witness");
    let source = |entry: &str| {
        format!(
            "#include <stdio.h>\n#include <hyperfake_plugin.h>\n\
             __attribute__((constructor)) static void began(void) {{\n\
             FILE *file = fopen(\"{}\", \"w\");\nif (file) fclose(file);\n}}\n\
             HYPERFAKE_EXPORT const hyperfake_plugin_descriptor *{entry}(void) {{\n\
             return NULL;\n}}\n",
            witness.display()
        )
    };
    for (entry, runs) in [("hyperfake_plugins", false), ("hyperfake_plugin", true)] {
        let file = folder.path().join(entry).with_extension("c");
        fs::write(&file, source(entry)).unwrap();
        refusal(&ModelUri::from_path(c(&file).path()));
        assert_eq!(witness.exists(), runs, "{entry}");
    }
}

#[test]
fn truncating_the_file_of_a_library_that_serves_changes_nothing() {
    let library = broken("well");
    let model = open(library.path());
    let mut session = model.session().unwrap();
    let before = session.predict(&busy(0.0)).unwrap();
    let file = fs::File::options().write(true).open(library.path()).unwrap();
    file.set_len(0).unwrap();
    assert_eq!(session.predict(&busy(0.0)).unwrap(), before);
    // A page that nothing has touched yet.
    assert_eq!(model.session().unwrap().predict(&busy(0.0)).unwrap(), before);
}

#[test]
#[cfg(unix)]
fn a_library_is_the_same_one_through_a_link() {
    let library = broken("overrun");
    let (soft, hard) = (library.folder().join("soft.so"), library.folder().join("hard.so"));
    std::os::unix::fs::symlink(library.path(), &soft).unwrap();
    fs::hard_link(library.path(), &hard).unwrap();
    let models = [open(&soft), open(&hard)];
    open(library.path()).session().unwrap().predict(&busy(0.0)).unwrap_err();
    for model in models {
        let error = model.session().unwrap().predict(&busy(0.0)).unwrap_err().to_string();
        assert!(error.contains("is in quarantine"), "{error}");
        assert!(error.starts_with(&model.info().path.display().to_string()), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn a_library_that_others_may_write_to_is_refused_with_the_chmod_command() {
    use std::os::unix::fs::PermissionsExt;

    let library = broken("well");
    let canonical = library.path().canonicalize().unwrap();
    let (file, folder) = (canonical.as_path(), canonical.parent().unwrap());
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let file_name = format!("'{}'", file.display());
    let folder_name = format!("'{}'", folder.display());
    let both = format!("{folder_name} {file_name}");
    for (file_mode, folder_mode, exposed) in [
        (0o664, 0o700, &file_name),
        (0o646, 0o700, &file_name),
        (0o644, 0o770, &folder_name),
        (0o644, 0o707, &folder_name),
        (0o777, 0o777, &both),
        // A sticky folder does not help a file that can be written to itself.
        (0o666, 0o1777, &file_name),
    ] {
        chmod(file, file_mode);
        chmod(folder, folder_mode);
        let (kind, text) = refusal(&ModelUri::from_path(library.path()));
        assert_eq!(kind, ErrorKind::Invalid);
        assert_eq!(
            text,
            format!(
                "others than the owner may write to {exposed}, and a plugin runs with the worker's \
                 rights: run chmod go-w {exposed}"
            )
        );
    }
    // As in /tmp, where everybody may write, but not to other people's files.
    chmod(file, 0o755);
    chmod(folder, 0o1777);
    open(library.path());
}

#[test]
#[cfg(unix)]
fn a_place_is_trusted_if_nobody_else_can_write_to_it_or_above_it() {
    use std::os::unix::fs::PermissionsExt;

    // The system's folder for temporary files can be written to by everybody, and is sticky.
    let library = broken("well");
    let text = check_strictly(library.path()).unwrap_err().to_string();
    assert!(text.contains("' has mode 1777, so that others can write to it"), "{text}");

    // Built by the user that runs this test, below folders that only this user or root can write to.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let file = inner.join("library.so");
    fs::copy(library.path(), &file).unwrap();
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    check_strictly(&file).unwrap();
    for (place, mode, safe) in [
        (&file, 0o664, 0o644),
        (&file, 0o646, 0o644),
        (&inner, 0o1777, 0o755),
        (&inner, 0o770, 0o755),
        (&folder.path().to_owned(), 0o1777, 0o755),
    ] {
        chmod(place, mode);
        let text = check_strictly(&file).unwrap_err().to_string();
        let place_of_it = place.canonicalize().unwrap();
        let expected = format!("'{}' has mode {mode:04o}, so that", place_of_it.display());
        assert!(text.starts_with(&expected), "{text}");
        chmod(place, safe);
        check_strictly(&file).unwrap();
    }
}
