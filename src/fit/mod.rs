//! Learns a model from calls: how run time, CPU and memory are distributed, given the five features.
//!
//! [`fit`] takes the rows of a record, computes the features that they lack from how the calls overlap,
//! holds blocks of time back, fits candidates to the rest, scores them on what was held back, and answers
//! with the best one: a table of quantiles ([`QuantileTable`]) or a small network with quantiles as
//! outputs. What it left out and how well each candidate did is in the [`Report`].

mod bins;
mod blocks;
mod calibration;
mod candidates;
mod fitted;
mod intake;
mod linear;
mod network;
mod onnx;
mod options;
mod overlaps;
mod report;
mod samples;
mod score;
mod search;
mod selection;
mod table;

use hyperfake_predictor::Result;

pub use self::{
    fitted::{Fitted, Written},
    intake::Intake,
    options::{ColdCalls, Kind, Options, Progress, Source},
    report::{Candidate, FeatureRange, LeftOut, Report, Scores, Without},
    table::{QuantileTable, Spread},
};
use crate::record::Row;

/// Fits a model to the calls of one function.
///
/// `rows` may have the calls of other functions too: they count in the worker's CPU and memory. The same
/// rows, options and version of the program give the same bytes on every machine. `progress` is called
/// some times a second at most. When [`Options::stop`] is set, the best that was found so far is answered
/// with.
///
/// # Errors
///
/// `Invalid` when there is nothing to learn from: calls of several functions and none is named, too few
/// calls that can be used; the error says how many are needed. And as [`Intake::add`]; the error names the row.
pub fn fit(
    rows: Vec<Row<'_>>,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<Fitted> {
    let mut intake = Intake::default();
    for (row, number) in rows.iter().zip(1..) {
        intake.add(row).map_err(|error| error.at(format!("row {number}")))?;
    }
    drop(rows);
    fit_intake(intake, options, &mut progress)
}

/// The same as [`fit`], with rows that were taken in one by one.
///
/// # Errors
///
/// As [`fit`].
pub fn fit_intake(
    intake: Intake,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<Fitted> {
    let chosen = selection::select(intake, options)?;
    candidates::choose(chosen, options, &mut progress)
}
