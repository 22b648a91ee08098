//! The promises, each a function with a name that says what is promised.

mod answers;
mod files;
mod info;

use crate::conformance::{BackendCase, ModelCase, Outcome};

macro_rules! promises {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), $module::$name)),*]
    };
}

/// Checks one promise of a backend.
pub(crate) type BackendPromise = fn(&BackendCase<'_>) -> Outcome;

/// Checks one promise of a model.
pub(crate) type ModelPromise = fn(&ModelCase<'_>) -> Outcome;

/// What must hold for any file.
pub(crate) const OF_A_BACKEND: &[(&str, BackendPromise)] = promises![
    info::formats_are_well_formed,
    files::a_missing_file_is_an_error_that_names_it,
    files::an_empty_file_is_an_error_that_names_it,
    files::garbage_is_an_error_that_names_the_file,
    files::a_folder_is_an_error_that_names_it,
];

/// What must hold for every model, however it was opened.
pub(crate) const OF_A_MODEL: &[(&str, ModelPromise)] = promises![
    info::info_describes_the_model,
    info::settings_of_others_change_no_answer_and_are_handed_on,
    answers::answers_follow_the_law,
    answers::the_same_question_has_the_same_answer,
    answers::two_sessions_give_the_same_answers,
    answers::many_threads_get_the_same_answers,
    answers::a_batch_answers_as_one_by_one,
    answers::odd_features_leave_the_session_usable,
    files::a_truncated_file_is_an_error_that_names_it,
    files::the_file_may_vanish_once_it_is_open,
];
