//! Each broken plugin is one clear error that names the file, and this program lives on.

use std::fs;

use hyperfake_plugin_fixtures::{Library, broken, panicking};
use hyperfake_predictor::{ErrorKind, ModelUri, RawPrediction};

use crate::{busy, open, refusal, without_path};

/// What opening it says, without the path.
fn refused(library: &Library) -> String {
    let uri = ModelUri::from_path(library.path());
    let (_, text) = refusal(&uri);
    assert_eq!(refusal(&uri).1, text, "the second time");
    text
}

/// What the first prediction says, without the path.
fn failed(library: &Library) -> String {
    let error = open(library.path()).session().unwrap().predict(&busy(3.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    without_path(library.path(), &error)
}

#[test]
fn a_library_without_the_plugin_symbol_is_refused() {
    assert_eq!(
        refused(&broken("no_symbol")),
        "not a plugin: the library exports no symbol 'hyperfake_plugin'"
    );
    assert_eq!(
        refused(&broken("unresolved")),
        "cannot be opened as a library: undefined symbol: hyperfake_no_such_function"
    );
}

#[test]
fn a_file_that_is_not_a_library_is_refused() {
    let text = Library::new("text");
    fs::write(text.path(), "This is not a library.\n").unwrap();
    assert_eq!(refused(&text), "not a shared library: the file does not begin as ELF");
}

#[test]
fn a_truncated_library_is_refused_at_every_length() {
    let whole = fs::read(broken("well").path()).unwrap();
    for cut in [60, 100, 2000, 5000, whole.len() - 1] {
        let library = Library::new("cut");
        fs::write(library.path(), &whole[..cut]).unwrap();
        let text = refused(&library);
        let expected = format!("the library is cut short: it has {cut} bytes, expected at least ");
        assert!(text.starts_with(&expected), "{text}");
    }
}

#[test]
fn a_descriptor_that_breaks_the_contract_is_refused() {
    for (name, expected) in [
        (
            "wrong_magic",
            "its descriptor begins with 0x0000000000001234, expected 0x4e4947554c504648: not a \
             plugin descriptor",
        ),
        (
            "wrong_major",
            "it was built for version 2.1 of the plugin contract, expected 1.1: build it again \
             with this worker's header or SDK",
        ),
        ("short_descriptor", "its descriptor has 16 bytes, expected at least 72"),
        ("null_descriptor", "its function 'hyperfake_plugin' returned no descriptor"),
        ("null_name", "its name is a null pointer"),
        ("null_version", "its version is a null pointer"),
        ("null_create", "its descriptor has a null pointer for 'create'"),
        ("null_predict", "its descriptor has a null pointer for 'predict'"),
        ("null_destroy", "its descriptor has a null pointer for 'destroy'"),
        ("name_not_utf8", "its name is not UTF-8"),
        ("long_name", "its name is longer than 64 bytes"),
    ] {
        assert_eq!(refused(&broken(name)), expected, "{name}");
    }
}

#[test]
fn a_longer_descriptor_of_a_newer_minor_version_is_served() {
    let newer = broken("newer_minor");
    let answer = open(newer.path()).session().unwrap().predict(&busy(0.0)).unwrap();
    assert_eq!(answer.to_array(), [7e6, 0.5, 8e6]);
}

#[test]
fn an_instance_that_cannot_be_created_is_an_error_when_the_model_is_opened() {
    for (name, expected) in [
        ("refuses", "the plugin 'fixture' 1.2.3 cannot be created: cannot do anything with {}"),
        ("silent", "the plugin 'fixture' 1.2.3 cannot be created: it did not say why"),
        (
            "null_instance",
            "the plugin 'fixture' 1.2.3 created nothing: its instance is a null pointer",
        ),
    ] {
        assert_eq!(refused(&broken(name)), expected, "{name}");
    }
}

#[test]
fn a_failed_prediction_is_an_error_and_the_next_one_is_served() {
    let library = broken("fails_sometimes");
    let mut session = open(library.path()).session().unwrap();
    for _ in 0..2 {
        let error = session.predict(&busy(11.0)).unwrap_err();
        assert_eq!(
            without_path(library.path(), &error),
            "the plugin 'fixture' 1.2.3 failed in predict: 11 calls are too many"
        );
        assert_eq!(session.predict(&busy(10.0)).unwrap().runtime_ns, 10.0);
    }
    let mut out = [RawPrediction::default(); 2];
    session.predict_batch(&[busy(1.0), busy(2.0)], &mut out).unwrap();
    assert_eq!(out.map(|answer| answer.runtime_ns), [1.0, 2.0]);
    assert!(session.predict_batch(&[busy(1.0), busy(99.0)], &mut out).is_err());
}

#[test]
fn an_output_that_was_not_written_is_an_error_that_names_it() {
    assert_eq!(
        failed(&broken("unwritten")),
        "the plugin 'fixture' 1.2.3 left runtime_ns, ram_bytes unwritten in predict"
    );
}

#[test]
fn a_nan_prediction_is_passed_on_to_the_worker() {
    let nan = broken("nan");
    let answer = open(nan.path()).session().unwrap().predict(&busy(0.0)).unwrap();
    assert!(answer.runtime_ns.is_nan() && answer.cpu_cores.is_nan());
    assert_eq!(answer.ram_bytes, f64::INFINITY);
}

#[test]
fn a_malformed_error_text_is_shown_sanitised() {
    let long = failed(&broken("long_message"));
    let expected = "the plugin 'fixture' 1.2.3 failed in predict: ".to_owned();
    assert_eq!(long, expected.clone() + &"x".repeat(1024) + " (cut)");
    assert_eq!(failed(&broken("not_utf8")), expected + "caf\u{fffd} is closed [31m");
    assert_eq!(
        failed(&broken("odd_status")),
        "the plugin 'fixture' 1.2.3 returned 42 from predict, expected 0, 1 or 2: it did not say \
         why"
    );
}

#[test]
fn a_plugin_that_writes_beyond_its_buffer_is_put_in_quarantine() {
    let library = broken("overrun");
    let model = open(library.path());
    let text =
        without_path(library.path(), &model.session().unwrap().predict(&busy(0.0)).unwrap_err());
    assert!(
        text.starts_with(
            "the plugin 'fixture' 1.2.3 is put in quarantine: predict wrote beyond its error \
             buffer: xxx"
        ),
        "{text}"
    );
    let (kind, text) = refusal(&ModelUri::from_path(library.path()));
    assert_eq!(kind, ErrorKind::Internal);
    assert!(text.contains("'fixture' 1.2.3 is in quarantine: predict wrote beyond"), "{text}");
}

#[test]
fn a_panic_in_create_is_an_error_and_the_plugin_is_not_called_again() {
    let library = panicking("panic_in_create");
    let uri = ModelUri::from_path(library.path());
    let (kind, text) = refusal(&uri);
    assert_eq!(kind, ErrorKind::Internal);
    assert_eq!(
        text,
        "the plugin 'hyperfake-plugin-fixtures' 0.1.0 is put in quarantine: create panicked: \
         create has had enough"
    );
    assert_eq!(
        refusal(&uri).1,
        "the plugin 'hyperfake-plugin-fixtures' 0.1.0 is in quarantine: create panicked: create \
         has had enough"
    );
}

#[test]
fn a_panic_in_predict_ends_every_model_of_the_plugin_and_nothing_else() {
    let library = panicking("panic_in_predict");
    let (first, second) = (open(library.path()), open(library.path()));
    let bystander = broken("well");
    let bystander = open(bystander.path());
    let (mut session, mut other) = (first.session().unwrap(), second.session().unwrap());
    assert_eq!(session.predict(&busy(0.0)).unwrap().runtime_ns, 1.0);

    let error = session.predict(&busy(3.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(
        without_path(library.path(), &error),
        "the plugin 'hyperfake-plugin-fixtures' 0.1.0 is put in quarantine: predict panicked: 3 \
         calls are too many"
    );
    let expected = "the plugin 'hyperfake-plugin-fixtures' 0.1.0 is in quarantine: predict \
                    panicked: 3 calls are too many";
    for again in [&mut session, &mut other] {
        let error = again.predict(&busy(0.0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(without_path(library.path(), &error), expected);
    }
    // Its first session took the instance that was made when it was opened; another needs a new one.
    assert_eq!(without_path(library.path(), &second.session().err().unwrap()), expected);
    assert_eq!(bystander.session().unwrap().predict(&busy(3.0)).unwrap().runtime_ns, 7e6);
}

#[test]
fn a_panic_in_destroy_quarantines_the_plugin() {
    let library = panicking("panic_in_destroy");
    let model = open(library.path());
    let mut session = model.session().unwrap();
    session.predict(&busy(0.0)).unwrap();
    drop(model.session().unwrap());
    assert_eq!(
        without_path(library.path(), &session.predict(&busy(0.0)).unwrap_err()),
        "the plugin 'hyperfake-plugin-fixtures' 0.1.0 is in quarantine: destroy panicked: cannot \
         let go"
    );
}

#[test]
fn a_slow_plugin_delays_only_its_own_callers() {
    let library = broken("sleeps");
    let model = open(library.path());
    let mut quick = open(broken("well").path()).session().unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| model.session().unwrap().predict(&busy(0.0)).unwrap());
        for _ in 0..1000 {
            quick.predict(&busy(0.0)).unwrap();
        }
        assert_eq!(slow.join().unwrap().runtime_ns, 1.0);
    });
}
