#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};
use hyperfake_predictor::ModelUri;

use super::{EngineArgs, named::model_uri};
use crate::duration;

/// The options of `hyperfake compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The record of the real functions: a file that --record wrote, HyperFaaS's training data as CSV, the
    /// Azure Functions trace of 2021 or the requests of the Huawei trace of 2025; .gz is read too
    pub real: PathBuf,

    /// The record of the fake, in any of these formats
    pub fake: PathBuf,

    /// A second record of the real functions under the same workload: how far they are from themselves;
    /// without it, halves of REAL say that
    #[arg(long, value_name = "REAL2")]
    pub repeat: Option<PathBuf>,

    /// The fake's model, whose quantiles are compared with each real call: a file, or one image of a
    /// file as in linear.json#hyperfaas-echo:latest; may be repeated
    #[arg(long, value_name = "FILE",
          value_parser = OsStringValueParser::new().try_map(model_uri))]
    pub model: Vec<ModelUri>,

    /// Leave out the calls that came in during so long a time from the begin of each record
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pub warm_up: Duration,

    /// What makes calls those of one function: the image, or the function's id; where each record has
    /// one function, those two are compared
    #[arg(long, value_name = "COLUMN", default_value = "image")]
    pub by: ComparedBy,

    /// The page with tables and pictures, which is written anew [default: named like FAKE, with .html]
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,

    /// A file for all numbers as JSON, which is written anew; - prints them instead of the table
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,

    /// End with exit code 1 unless the comparison is valid and each function of either record has a
    /// score of at most this: 0.5, or score=0.5
    #[arg(long, value_name = "SCORE", value_parser = score)]
    pub fail_above: Option<f64>,

    /// The seed of the intervals, which are from random samples
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// The backend of --model.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// What makes calls those of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ComparedBy {
    /// The image.
    Image,
    /// The function's id.
    Function,
}

/// A score, with or without its name.
pub(super) fn score(text: &str) -> Result<f64, String> {
    let number = text.strip_prefix("score=").unwrap_or(text);
    let score = number.parse::<f64>().ok().filter(|score| score.is_finite() && *score >= 0.0);
    score.ok_or_else(|| {
        "expected a number that is not negative, such as 0.5 or score=0.5".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_a_number_with_or_without_its_name() {
        assert_eq!((score("0.5"), score("score=1")), (Ok(0.5), Ok(1.0)));
        for bad in ["", "score=", "-1", "NaN", "inf", "ks=0.5", "0.5x"] {
            assert!(score(bad).is_err(), "{bad}");
        }
    }
}
