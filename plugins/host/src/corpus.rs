//! The fuzzer's corpus of what is read before a plugin runs, on a stable compiler; see `fuzz/`.

#[path = "../../../fuzz/checks/plugin.rs"]
mod plugin;
#[path = "../../../fuzz/checks/corpus.rs"]
mod replay;

#[test]
fn every_library_descriptor_and_configuration_of_the_corpus_is_refused_or_keeps_the_contract() {
    replay::replay("plugin", plugin::check);
}
