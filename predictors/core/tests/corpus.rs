//! The fuzzers' corpora of URIs and settings, on a stable compiler; see `fuzz/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::duplicate_mod, reason = "two checks share what they write files with")]

#[path = "../../../fuzz/checks/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/checks/settings.rs"]
mod settings;
#[path = "../../../fuzz/checks/uri.rs"]
mod uri;

#[test]
fn every_uri_of_the_corpus_is_refused_or_means_the_same_when_printed() {
    corpus::replay("uri", uri::check);
}

#[test]
fn all_settings_of_the_corpus_are_refused_or_obeyed() {
    corpus::replay("settings", settings::check);
}
