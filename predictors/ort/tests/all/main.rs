//! The backend from outside: real files, opened as the worker opens them. Tests that need an ONNX
//! Runtime, which `ORT_DYLIB_PATH` or `just ort` provides, are ignored where none is found; with
//! `HYPERFAKE_TEST_ALL` they fail.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

mod candle;
// The names and messages of these are those of Linux.
#[cfg(target_os = "linux")]
mod child;
mod file;
#[cfg(target_os = "linux")]
mod formats;
#[cfg(target_os = "linux")]
mod missing;
#[cfg(target_os = "linux")]
mod places;
mod refusals;
mod sklearn;
mod trees;

use std::{env, sync::Arc};

use hyperfake_predictor::Backend;
use hyperfake_predictor_ort::{OrtBackend, find};
use hyperfake_predictor_testkit::suite;
use libtest_mimic::{Arguments, Trial};

macro_rules! tests {
    ($need:expr; $($module:ident::$name:ident),* $(,)?) => {
        [$(test(concat!(stringify!($module), "::", stringify!($name)), &$need, $module::$name)),*]
    };
}

fn main() {
    #[cfg(target_os = "linux")]
    if let Some(task) = env::var_os("TASK") {
        return child::run(task.to_str().unwrap());
    }
    let nothing = Need { what: "", missing: None };
    let search = find(None);
    let missing = search.found.is_none().then(|| search.error().to_string());
    let ort = Need { what: "needs ONNX Runtime", missing: missing.clone() };
    let python = sklearn::python().is_none().then(|| "no Python with scikit-learn".to_owned());
    let python = Need { what: "needs ONNX Runtime and scikit-learn", missing: missing.or(python) };

    let backend: Arc<dyn Backend> = Arc::new(OrtBackend::default());
    let mut trials: Vec<_> = suite::TESTS
        .iter()
        .map(|(name, run)| {
            let backend = Arc::clone(&backend);
            test(&format!("suite::{name}"), &ort, move || run(&backend))
        })
        .collect();
    trials.extend(tests![ort;
        candle::candle_agrees_with_onnx_runtime,
        refusals::an_unknown_operator_is_named,
        trees::trees_agree_with_onnx_runtime,
    ]);
    trials.extend(tests![python;
        sklearn::a_forest_of_scikit_learn_and_boosted_trees_answer_as_in_python,
    ]);
    #[cfg(target_os = "linux")]
    trials.extend(tests![ort;
        formats::every_property_holds_for_ort_files,
        formats::an_ort_file_says_what_the_model_was_trained_on,
        formats::an_ort_file_says_its_settings,
        formats::an_ort_file_of_a_newer_format_is_refused,
        formats::a_damaged_ort_file_is_opened_or_refused,
        formats::ort_serves_a_file_that_tract_declined,
        places::it_is_found_in_every_place,
        places::an_earlier_place_counts_before_a_later_one,
        places::an_option_that_names_no_library_is_not_answered_with_another_one,
        places::a_library_that_is_too_old_or_invalid_is_skipped,
        places::a_model_is_served_with_the_library_that_was_given,
    ]);
    #[cfg(target_os = "linux")]
    trials.extend(tests![nothing;
        missing::without_a_library_the_error_lists_every_place,
        missing::without_a_library_the_other_backends_work_as_before,
        missing::a_text_file_is_no_library,
        missing::a_folder_without_a_library_and_a_file_that_is_not_there,
        missing::a_pipe_is_not_opened,
        missing::a_library_without_the_symbol,
        missing::a_library_that_returns_null,
        missing::a_library_that_is_too_old_or_too_new,
    ]);
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// What a test needs of the machine, and why that is not there.
struct Need {
    what: &'static str,
    missing: Option<String>,
}

fn test(name: &str, need: &Need, run: impl FnOnce() + Send + 'static) -> Trial {
    let missing = need.missing.clone();
    let required = env::var_os("HYPERFAKE_TEST_ALL").is_some();
    let ignored = missing.is_some() && !required;
    let trial = Trial::test(name, move || match missing {
        Some(missing) => Err(missing.into()),
        None => {
            run();
            Ok(())
        }
    });
    trial.with_kind(need.what).with_ignored_flag(ignored)
}
