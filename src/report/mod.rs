//! What the commands show: numbers, tables and JSON. Each report is a plain struct whose fields are
//! the JSON, with the text for people beside it.

mod call;
mod check;
mod doctor;
pub mod format;
mod function;
mod histogram;
mod load;
mod measure;
mod models;
mod percentiles;
mod picture;
mod prediction;
mod progress;
mod replay;
mod scenario;
mod server;

use serde::Serialize;

pub(crate) use self::{
    call::{Answer, CallReport},
    check::{BackendRun, CheckedFile, CheckedModel, Input, Sample, check_json, check_text},
    doctor::{DoctorReport, OnnxRuntime},
    function::{FunctionChange, FunctionList},
    histogram::Histogram,
    load::{FunctionLoad, LoadReport},
    measure::{Level, MeasureReport},
    models::ModelList,
    percentiles::Percentiles,
    picture::{Axis, picture},
    prediction::PredictionReport,
    progress::Progress,
    replay::{ReplayReport, Replayed, Verdict},
    scenario::{PresetList, ScenarioReport},
    server::ServerSummary,
};

/// Indented JSON, with the keys in alphabetical order.
fn json(report: &impl Serialize) -> String {
    // Through a value, which sorts the keys. Reports have nothing that JSON has not.
    format::visible(&format!("{:#}", serde_json::json!(report)))
}
