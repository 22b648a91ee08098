use std::fmt::Write as _;

use hyperfake_predictor::{Error, Result};
use serde::Serialize;

use super::{Kind, Source};

/// How a model came to be, and how good it is.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this program.
    pub version: &'static str,
    /// The kind of the model.
    pub kind: Kind,
    /// The function, by its id or image.
    pub function: String,
    /// How many rows were read, of any function.
    pub rows: u64,
    /// How many calls were learned from or held back.
    pub calls: u64,
    /// What became of the others.
    pub left_out: Vec<LeftOut>,
    /// The features that vary, with the values that the calls have.
    pub features: Vec<FeatureRange>,
    /// The features that were left out.
    pub without: Vec<Without>,
    /// How many calls were held back to score and calibrate the candidates.
    pub held_back: u64,
    /// Into how many blocks of time the calls were divided; one in five was held back.
    pub blocks: u64,
    /// The candidates and the baselines.
    pub candidates: Vec<Candidate>,
    /// What else there is to know, a line each.
    pub notes: Vec<String>,
    /// Whether it was ended early.
    pub stopped: bool,
    /// Where the random numbers started.
    pub seed: u64,
    /// The steps of gradient descent that were asked for.
    pub steps: u64,
    /// The SHA-256 of all numbers that were learned from, in hexadecimal.
    pub sha256: String,
    /// The files that the rows came from.
    pub sources: Vec<Source>,
}

/// Calls that were not learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Which calls, and so why.
    pub what: String,
    /// How many.
    pub calls: u64,
}

/// A feature and its values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureRange {
    /// Its name.
    pub feature: &'static str,
    /// The least value.
    pub least: f64,
    /// The greatest value.
    pub greatest: f64,
    /// Whether the model depends on it.
    pub used: bool,
}

/// A feature that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Without {
    /// Its name.
    pub feature: &'static str,
    /// Why.
    pub why: String,
}

/// A candidate, or a baseline, and how it did on the calls that were held back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// Its name: `mean`, `no features`, `linear`, `table` or `network`.
    pub name: &'static str,
    /// Whether it is the result.
    pub chosen: bool,
    /// Its error over that of the quantiles without features: below 1 is better. The run time counts twice
    /// as much as CPU and memory each.
    pub score: f64,
    /// How far off the score may be: one standard error over the blocks.
    pub error: f64,
    /// Of the run time.
    pub run_time: Option<Scores>,
    /// Of the CPU; nothing if it is the same for each call.
    pub cpu: Option<Scores>,
    /// Of the memory.
    pub ram: Option<Scores>,
}

/// How well one number of calls was said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// The continuous ranked probability score of the logarithms: 0.01 is about one per cent.
    pub crps: f64,
    /// One standard error of it.
    pub error: f64,
    /// The share of calls in the interval that nine in ten should be in.
    pub coverage_90: Option<f64>,
    /// The same at low, middle and high load.
    pub coverage_90_by_load: Option<[f64; 3]>,
}

impl Report {
    /// As JSON.
    ///
    /// # Errors
    ///
    /// Never in practice: there is nothing in it that JSON has no word for.
    pub fn json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::internal("the report is no JSON").with_source(error))?;
        Ok(text + "\n")
    }

    /// As a page for people, in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = format!("# {}: a {}\n\n", line(&self.function), self.kind);
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "{} of {} rows are calls to learn from, in {} blocks of time; {} of them were held back to \
             score and calibrate.\n",
            self.calls, self.rows, self.blocks, self.held_back
        );
        page += "| candidate | score | run time | CPU | RAM | 90 % interval | at low, middle, high load |\n";
        page += "|---|---|---|---|---|---|---|\n";
        for candidate in &self.candidates {
            page += &candidate.row();
        }
        page += "\nThe score is the error over that of quantiles without features, with one standard error; \
                 the error of run time, CPU and RAM is the continuous ranked probability score of their \
                 logarithms, so that 0.01 is about one per cent. The interval should have 90 % of the run \
                 times.\n\n| feature | least | greatest | |\n|---|---|---|---|\n";
        for feature in &self.features {
            let used = if feature.used { "used" } else { "varies, not used" };
            let (least, greatest) = (feature.least, feature.greatest);
            let _ = writeln!(page, "| {} | {least} | {greatest} | {used} |", feature.feature);
        }
        for Without { feature, why } in &self.without {
            let _ = writeln!(page, "| {feature} | | | left out: {why} |");
        }
        let mut items: Vec<String> = self
            .left_out
            .iter()
            .map(|one| format!("left out: {} {}", one.calls, one.what))
            .chain(self.notes.iter().map(|note| line(note)))
            .collect();
        if self.stopped {
            items.push("stopped early: this is the best so far".to_owned());
        }
        if !items.is_empty() {
            page += "\n";
        }
        for item in items {
            let _ = writeln!(page, "- {item}");
        }
        let _ = writeln!(page, "\nSeed {}. SHA-256 of the calls: `{}`.", self.seed, self.sha256);
        for source in &self.sources {
            let path = line(&source.path.display().to_string());
            let _ = writeln!(page, "{path}: {} rows, SHA-256 `{}`.", source.rows, source.sha256);
        }
        page
    }
}

impl Candidate {
    fn row(&self) -> String {
        let crps = |scores: Option<Scores>| {
            scores.map_or_else(|| "the same".to_owned(), |scores| format!("{:.4}", scores.crps))
        };
        let coverage = |share: f64| match share.is_nan() {
            true => "none".to_owned(),
            false => format!("{:.1} %", 100.0 * share),
        };
        let run_time = self.run_time.filter(|_| self.name != "mean");
        let all = run_time.and_then(|scores| scores.coverage_90).map_or_else(String::new, coverage);
        let by_load = run_time.and_then(|scores| scores.coverage_90_by_load);
        let by_load = by_load.map_or_else(String::new, |by_load| by_load.map(coverage).join(", "));
        let mark = if self.chosen { "**" } else { "" };
        format!(
            "| {mark}{}{mark} | {:.3} ± {:.3} | {} | {} | {} | {all} | {by_load} |\n",
            self.name,
            self.score,
            self.error,
            crps(self.run_time),
            crps(self.cpu),
            crps(self.ram),
        )
    }
}

/// A text from outside on one line.
fn line(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}
