//! The properties, each a function with a name that says what is stated.

mod answers;
mod draws;
mod files;
mod info;

use crate::case::{BackendCase, ModelCase, Outcome};

macro_rules! properties {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), $module::$name)),*]
    };
}

/// Checks one property of a backend.
pub(crate) type BackendProperty = fn(&BackendCase<'_>) -> Outcome;

/// Checks one property of a model.
pub(crate) type ModelProperty = fn(&ModelCase<'_>) -> Outcome;

/// What must hold for any file.
pub(crate) const BACKEND: &[(&str, BackendProperty)] = properties![
    info::formats_are_well_formed,
    files::a_missing_file_is_an_error_that_names_it,
    files::an_empty_file_is_an_error_that_names_it,
    files::garbage_is_an_error_that_names_the_file,
    files::a_folder_is_an_error_that_names_it,
];

/// What must hold for every model, however it was opened.
pub(crate) const MODEL: &[(&str, ModelProperty)] = properties![
    info::info_describes_the_model,
    info::settings_of_others_change_no_answer_and_are_handed_on,
    answers::answers_match_the_reference,
    answers::the_same_question_has_the_same_answer,
    answers::two_sessions_give_the_same_answers,
    answers::many_threads_get_the_same_answers,
    answers::a_batch_answers_as_one_by_one,
    answers::odd_features_leave_the_session_usable,
    draws::without_distributions_a_draw_is_the_prediction,
    draws::draws_match_the_reference,
    draws::the_same_uniform_numbers_give_the_same_draw,
    draws::a_number_grows_with_its_own_uniform_number_alone,
    draws::quantiles_are_the_draws_at_their_levels,
    draws::a_prediction_is_the_mean_of_all_draws,
    files::a_truncated_file_is_an_error_that_names_it,
    files::the_file_may_vanish_once_it_is_open,
];
