//! The fuzzer's corpus of JSON models, on a stable compiler; see `fuzz/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::duplicate_mod, reason = "two checks share what they write files with")]

#[path = "../../../fuzz/checks/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/checks/json.rs"]
mod json;

#[test]
fn every_json_file_of_the_corpus_is_refused_or_answers_what_its_numbers_say() {
    corpus::replay("json", json::check);
}
