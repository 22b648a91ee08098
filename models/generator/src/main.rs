//! `hyperfake-models [--check] [FOLDER]` writes the sample models into a folder, `models` unless
//! another is named, and prints the tables of `models/README.md`. With `--check` it compares the
//! files with what it would write.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use hyperfake_models::{Function, ModelFile, Sample, report};
use hyperfake_predictor::{Error, Result};

#[allow(clippy::print_stderr, reason = "a program without a log says here why it ends")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut folder = None;
    let mut is_check = false;
    for argument in env::args_os().skip(1) {
        match argument.to_str() {
            Some("--check") => is_check = true,
            Some(flag) if flag.starts_with('-') => return Err(usage()),
            _ if folder.is_some() => return Err(usage()),
            _ => folder = Some(PathBuf::from(argument)),
        }
    }
    let folder = folder.unwrap_or_else(|| "models".into());
    let samples = Sample::all();
    let files: Vec<_> = samples.iter().flat_map(Sample::files).collect();
    let functions = Function::ALL.iter().flat_map(Function::files);
    let all: Vec<_> = files.iter().cloned().chain(functions).collect();
    if is_check {
        all.iter().try_for_each(|file| check(&folder, file))?;
    } else {
        all.iter().try_for_each(|file| write(&folder, file))?;
    }
    print!("{}", report(&samples, &files));
    Ok(())
}

fn usage() -> Error {
    Error::invalid("usage: hyperfake-models [--check] [FOLDER]")
}

fn write(folder: &Path, file: &ModelFile) -> Result<()> {
    let path = folder.join(&file.path);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    written.and_then(|()| fs::write(&path, &file.bytes)).map_err(|error| {
        Error::unavailable(format!("cannot write the file: {error}")).at(path.display())
    })
}

fn check(folder: &Path, file: &ModelFile) -> Result<()> {
    let path = folder.join(&file.path);
    let differs = |message: String| Err(Error::conflict(message).at(path.display()));
    match fs::read(&path) {
        Ok(bytes) if bytes == file.bytes => Ok(()),
        Ok(_) => differs("the file is not what this program makes of the law".to_owned()),
        Err(error) => differs(format!("cannot read the file: {error}")),
    }
}
