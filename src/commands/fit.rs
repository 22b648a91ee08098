//! `hyperfake fit`: learns a model from calls.

use std::{
    io::{self, Write},
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::{Output, interrupt};
use crate::{
    args::FitArgs,
    fit::{self, ColdCalls, Intake, Kind, Options, Source},
    report::{self, format},
    trace::calls,
};

/// The most calls that are read: each takes some 250 bytes of memory while it is learned from.
const MOST: u64 = 10_000_000;

/// Reads the calls, fits, and writes the model, its sidecar and its report. Once interrupted, it writes the
/// best model so far.
///
/// # Errors
///
/// When a file cannot be read or has a row that is none, nothing can be learned, or a file cannot be
/// written; and when it is interrupted twice, or before all rows were read.
pub async fn run(args: FitArgs) -> Result<Output> {
    let stop = Arc::new(AtomicBool::new(false));
    let (done, mut ended) = oneshot::channel();
    let given = Arc::clone(&stop);
    // The work never waits; this thread is left to signals.
    let work = move || {
        let _ = done.send(work(&args, given));
    };
    let thread = thread::Builder::new().name("fit".to_owned()).spawn(work);
    thread.map_err(|error| Error::internal("cannot start a thread").with_source(error))?;
    let mut is_asked =
        Box::pin(interrupt::asked_to_end()) as Pin<Box<dyn Future<Output = ()> + Send>>;
    loop {
        tokio::select! {
            found = &mut ended => {
                return found.map_err(|error| Error::internal("the work ended early").with_source(error))?;
            }
            () = &mut is_asked => {
                if stop.swap(true, Ordering::Relaxed) {
                    return Err(interrupted());
                }
                let _ = writeln!(io::stderr(), "interrupted: the best model so far is written");
                is_asked = Box::pin(interrupt::asked_again());
            }
        }
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Cancelled, "interrupted: nothing was written")
}

fn work(args: &FitArgs, stop: Arc<AtomicBool>) -> Result<Output> {
    let kind = kind(&args.out, args.kind)?;
    if kind == Kind::Network && args.steps == 0 {
        let message = "found 0, expected 1 or more to train a network";
        return Err(Error::invalid(message).at("--steps"));
    }
    if let Some(cores) = args.cpu_cores.filter(|cores| !(0.0..=1e6).contains(cores)) {
        let message = format!("found {cores}, expected a number of cores from 0 to 1000000");
        return Err(Error::invalid(message).at("--cpu-cores"));
    }
    let (mut rows, mut sources, mut notes) = (Intake::default(), Vec::new(), Vec::new());
    for path in &args.rows {
        let (source, more) = read(path, &mut rows, &stop)?;
        notes.extend(more);
        sources.push(source);
    }
    let options = Options {
        function: args.function.clone(),
        kind,
        cold: if args.keep_cold { ColdCalls::Keep } else { ColdCalls::Leave },
        warm_up: args.warm_up,
        cpu_cores: args.cpu_cores,
        ram_bytes: args.ram.map(|size| size.as_u64()),
        response: args.response.clone(),
        seed: args.seed,
        steps: args.steps,
        stop,
        sources,
    };
    let fitted = fit(rows, &options)?;
    let written = fitted.write(&args.out).map_err(|error| error.at("--out"))?;
    let mut text = fitted.report().markdown();
    for note in notes {
        text += &format!("{note}\n");
    }
    let shown = |path: &Path| format::foreign(&path.display().to_string());
    text += &format!(
        "\n{}: written, with {}, {} and {}",
        shown(&written.model),
        shown(&written.settings),
        shown(&written.report),
        shown(&written.page)
    );
    Ok(Output::success(text))
}

/// The kind that the name of the file or the option says.
fn kind(out: &Path, stated: Kind) -> Result<Kind> {
    let extension = out.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is = |kind: &Kind| kind.extension().is_some_and(|one| one.eq_ignore_ascii_case(extension));
    match (Kind::ALL.into_iter().find(is), stated) {
        (None, stated) => Ok(stated),
        (Some(named), Kind::Auto) => Ok(named),
        (Some(named), stated) if named == stated => Ok(named),
        (Some(_), stated) => {
            let expected = stated.extension().unwrap_or_default();
            let message = format!(
                "found a file that ends in .{extension}, expected .{expected} for a {stated}"
            );
            Err(Error::invalid(message).at("--out"))
        }
    }
}

fn read(path: &Path, rows: &mut Intake, stop: &AtomicBool) -> Result<(Source, Vec<String>)> {
    let mut calls = calls::open(path)?;
    let before = rows.rows();
    let shown = report::Progress::new("reading", 0);
    while let Some(row) = calls.read()? {
        if before + calls.rows() > MOST {
            let message = format!("found more than {MOST} calls, expected at most that many");
            return Err(Error::exhausted(message).at(path.display()));
        }
        let place = |error: Error| error.at(format!("row {}", calls.rows())).at(path.display());
        rows.add(&row).map_err(place)?;
        if calls.rows().is_multiple_of(10_000) {
            shown.set(calls.rows());
            if stop.load(Ordering::Relaxed) {
                return Err(interrupted());
            }
        }
    }
    shown.finish();
    let format = calls.format().name();
    let name = format::foreign(&path.display().to_string());
    let mut notes = vec![format!("{name}: {format}, {} calls", calls.rows())];
    notes.extend(calls.notes().iter().map(|note| format!("{name}: {note}")));
    let source = Source { path: path.to_owned(), sha256: calls.sha256(), rows: calls.rows() };
    Ok((source, notes))
}

/// Fits, and shows how far it is.
fn fit(rows: Intake, options: &Options) -> Result<fit::Fitted> {
    let mut shown: Option<(&'static str, report::Progress)> = None;
    let fitted = fit::fit_intake(rows, options, |progress| {
        if shown.as_ref().is_none_or(|(what, _)| *what != progress.what) {
            if let Some((_, before)) = shown.take() {
                before.finish();
            }
            shown = Some((progress.what, report::Progress::new(progress.what, progress.total)));
        }
        if let Some((_, bar)) = &shown {
            bar.set(progress.done.min(progress.total));
            if let Some(best) = progress.best {
                bar.message(format!("error {best:.3}"));
            }
        }
    })?;
    if let Some((_, bar)) = shown {
        bar.finish();
    }
    Ok(fitted)
}
