//! What was measured, as a line of a table.

use std::fmt::Write;

use serde::Serialize;

/// One line: a number in each round, and what it is to be.
#[derive(Debug, Serialize)]
pub struct Row {
    what: String,
    unit: &'static str,
    /// The most that the median may be.
    at_most: Option<f64>,
    median: f64,
    min: f64,
    max: f64,
    rounds: Vec<f64>,
    /// Nothing where nothing was asked for.
    ok: Option<bool>,
}

impl Row {
    pub fn new(what: impl Into<String>, unit: &'static str, rounds: Vec<f64>) -> Self {
        let mut ordered = rounds.clone();
        ordered.sort_by(f64::total_cmp);
        let half = ordered.len() / 2;
        let median = (ordered[half] + ordered[(ordered.len() - 1) / 2]) / 2.0;
        let (min, max) = (ordered[0], ordered[ordered.len() - 1]);
        Self { what: what.into(), unit, at_most: None, median, min, max, rounds, ok: None }
    }

    pub fn at_most(mut self, most: f64) -> Self {
        self.at_most = Some(most);
        self.ok = Some(self.median <= most);
        self
    }

    /// What is wrong, if something is.
    pub fn shortfall(&self) -> Option<String> {
        let most = self.at_most.filter(|_| self.ok == Some(false))?;
        let (found, most) = (figures(self.median), figures(most));
        Some(format!("{}: {found} {}, expected at most {most}", self.what, self.unit))
    }

    /// As a line that shows progress.
    pub fn line(&self) -> String {
        format!("{}: {} {}", self.what, figures(self.median), self.unit)
    }
}

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| what | unit | median | min–max | wanted at most | |\n|---|---|---:|---:|---:|---|\n",
    );
    for Row { what, unit, at_most, median, min, max, ok, .. } in rows {
        let [median, min, max] = [median, min, max].map(|number| figures(*number));
        let most = at_most.map_or("–".to_owned(), figures);
        let verdict = match ok {
            Some(true) => "ok",
            Some(false) => "**not met**",
            None => "",
        };
        let line = format!("| {what} | {unit} | {median} | {min}–{max} | {most} | {verdict} |");
        writeln!(table, "{line}").unwrap();
    }
    table
}

/// Three figures, or all before the point.
fn figures(number: f64) -> String {
    let decimals = match number.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{number:.decimals$}");
    match number.fract() == 0.0 {
        true => format!("{number:.0}"),
        false => text,
    }
}
