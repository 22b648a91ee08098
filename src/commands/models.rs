//! `hyperfake models`: the models that a server would load, and whether they are sound.

mod check;
mod points;

use std::time::Duration;

use hyperfake_predictor::{Limits, Result};

use super::Output;
use crate::{
    app,
    args::{ModelsArgs, ModelsCommand},
    backends::{self, Choice},
    config::Models,
    report::{self, ModelList, Progress},
};

/// Only what no model should predict: a day.
const LIMITS: Limits = Limits { max_runtime: Duration::from_secs(24 * 3600) };

/// Lists the models that a server would load with these options, or checks model files.
///
/// # Errors
///
/// When a server would not start because of the models. What is wrong with files that are checked
/// is a part of what is shown.
pub fn run(args: ModelsArgs) -> Result<Output> {
    if let Some(ModelsCommand::Check(args)) = args.command {
        let choice = Choice { ort_library: args.ort_lib, ..Choice::default() };
        let backends = backends::all(&choice);
        let progress = Progress::new("checking", args.files.len() as u64);
        let files = args.files.iter().zip(0..).map(|(uri, number)| {
            progress.set(number);
            progress.message(uri.to_string());
            check::check(uri, &backends)
        });
        let files: Vec<_> = files.collect();
        progress.finish();
        let succeeded = files.iter().all(|file| file.problems.is_empty());
        let text = match args.json {
            true => report::check_json(&files),
            false => report::check_text(&files, &LIMITS),
        };
        return Ok(Output { text, succeeded });
    }
    let catalog = app::open_models(&Models::new(args.models)?, Default::default())?;
    let models = catalog.models().iter();
    let models = models.map(|model| (model.image.to_string(), model.predictor.as_ref()));
    let list = ModelList::new(models, &LIMITS);
    Ok(Output::success(if args.json { list.json() } else { list.table().to_string() }))
}
