//! `hyperfake plot`: draws how long the calls of a record took over time, and what failed.

use std::{collections::BTreeSet, path::Path};

use hyperfake_predictor::{Error, Result};

use super::Output;
use crate::{
    args::PlotArgs,
    record::{Row, RowReader, Windows},
    report::{format, picture},
    whole_file,
};

/// Reads the record, row by row, and writes the picture.
///
/// # Errors
///
/// When the record cannot be read, has a row that is none or no call to draw, and when the picture cannot
/// be written.
pub fn run(args: &PlotArgs) -> Result<Output> {
    let out = args.out.clone().unwrap_or_else(|| args.record.with_extension("svg"));
    if out.extension().is_none_or(|extension| extension != "svg") {
        let message = format!("found '{}', expected a file that ends in .svg", out.display());
        return Err(Error::invalid(message).at("--out"));
    }
    let windows = read(&args.record, &args.functions)?;
    let picture = picture(&windows)?;
    whole_file::write_bytes(&out, picture.as_bytes())?;
    let failed: u64 = windows.failures().iter().map(|failure| failure.calls).sum();
    let width = format::nanoseconds(windows.width_ns() as f64);
    let text = format!(
        "{}: {} calls, of which {failed} failed, in windows of {width}",
        out.display(),
        windows.calls()
    );
    Ok(Output::success(text))
}

/// The calls of these functions; without any, all.
fn read(record: &Path, functions: &[String]) -> Result<Windows> {
    /// The most functions that an error names.
    const NAMED: usize = 10;
    let mut windows = Windows::default();
    let mut others = BTreeSet::new();
    let mut reader = RowReader::open(record)?;
    while let Some(row) = reader.read()? {
        if functions.is_empty() || functions.iter().any(|name| is_of(&row, name)) {
            windows.add(&row);
        } else if others.len() < NAMED && !others.contains(&*row.image) {
            others.insert(row.image.into_owned());
        }
    }
    if windows.calls() > 0 {
        return Ok(windows);
    }
    let message = match others.is_empty() {
        true => "the record has no calls".to_owned(),
        false => {
            let others: Vec<_> = others.iter().map(|image| format::foreign(image)).collect();
            format!("no call is of --functions; the record has those of {}", others.join(", "))
        }
    };
    Err(Error::invalid(message).at(record.display()))
}

fn is_of(row: &Row<'_>, function: &str) -> bool {
    row.function == function || row.image == function
}
