//! `hyperfake compare`: says how wrong a fake is, from a record of it and one of the real functions.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyperfake_predictor::{Error, ModelUri, Predictor, Result};

use super::Output;
use crate::{
    args::{CompareArgs, ComparedBy},
    backends,
    compare::{self, By, Options, Run},
    config, trace, whole_file,
};

/// Reads the records, compares them, and writes the page and the JSON.
///
/// # Errors
///
/// When a record cannot be read or has a row that is none, when the records have no function in common,
/// when a model cannot be opened, and when a file cannot be written.
pub fn run(args: &CompareArgs) -> Result<Output> {
    let page = args.out.clone().unwrap_or_else(|| args.fake.with_extension("html"));
    if page.extension().is_none_or(|extension| extension != "html") {
        let message = format!("found '{}', expected a file that ends in .html", page.display());
        return Err(Error::invalid(message).at("--out"));
    }
    let options = Options {
        warm_up: args.warm_up,
        by: match args.by {
            ComparedBy::Image => By::Image,
            ComparedBy::Function => By::Function,
        },
        models: models(args)?,
        seed: args.seed,
    };
    let real = read(&args.real)?;
    let fake = read(&args.fake)?;
    let repeat = args.repeat.as_deref().map(read).transpose();
    let repeat = repeat.map_err(|error| error.at("--repeat"))?;
    let comparison = compare::compare(real, fake, repeat, &options)?;
    write(&page, &comparison.page()?, "--out")?;
    let json = args.json.as_deref();
    if let Some(path) = json.filter(|path| !is_output(path)) {
        write(path, &(comparison.json() + "\n"), "--json")?;
    }
    let succeeded = args.fail_above.is_none_or(|most| comparison.is_within(most));
    let mut text = if json.is_some_and(is_output) {
        comparison.json()
    } else {
        format!("{}\n{}", comparison.text(), page.display())
    };
    if !json.is_some_and(is_output)
        && let Some(most) = args.fail_above
    {
        let verdict = if succeeded { "within" } else { "NOT within" };
        text += &format!("\n{verdict} --fail-above {most}");
    }
    Ok(Output { text, succeeded })
}

fn is_output(path: &Path) -> bool {
    path == Path::new("-")
}

fn read(path: &Path) -> Result<Run> {
    let mut run = Run::new(path.display().to_string());
    let mut calls = trace::calls::open(path)?;
    while let Some(row) = calls.read()? {
        let number = run.rows() + 1;
        run.add(&row).map_err(|error| error.at(format!("row {number}")).at(path.display()))?;
    }
    calls.notes().into_iter().for_each(|note| run.note(note));
    Ok(run)
}

/// The models by the image that they stand for: as the file says, or named like the file.
fn models(args: &CompareArgs) -> Result<BTreeMap<String, Arc<dyn Predictor>>> {
    let backends = backends::all(&config::choice(&args.engine));
    let mut models = BTreeMap::new();
    for uri in &args.model {
        let opened = backends.open(uri).map_err(|error| error.at("--model"))?;
        for model in opened.models {
            let image = model.image.unwrap_or_else(|| stem(uri));
            if models.insert(image.clone(), model.predictor).is_some() {
                let message = format!("a second model of the image '{image}'; name one");
                return Err(Error::conflict(message).at(uri).at("--model"));
            }
        }
    }
    Ok(models)
}

fn stem(uri: &ModelUri) -> String {
    let path = PathBuf::from(uri.path());
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn write(path: &Path, text: &str, option: &str) -> Result<()> {
    whole_file::write_bytes(path, text.as_bytes()).map_err(|error| error.at(option))
}
