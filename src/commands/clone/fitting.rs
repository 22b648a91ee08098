use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::precise,
    fit::{self, Fitted, Options},
    record::Row,
    report::Progress,
};

/// Looks for a model for this long at most, on a thread of its own, as this one is left to signals.
pub(super) async fn fit(
    rows: Vec<Row<'static>>,
    limit: Duration,
    seed: u64,
    stop: &CancellationToken,
) -> Result<Fitted> {
    let ends = Arc::new(AtomicBool::new(false));
    let options = Options { seed, stop: Arc::clone(&ends), ..Options::default() };
    let (done, mut fitted) = oneshot::channel();
    let work = move || {
        // Of several parts, each counts its own.
        let mut shown: Option<(&'static str, Progress)> = None;
        let found = fit::fit(rows, &options, |progress| {
            if shown.as_ref().is_none_or(|(what, _)| *what != progress.what) {
                let bar = Progress::new(&format!("fitting: {}", progress.what), progress.total);
                shown = Some((progress.what, bar));
            }
            if let Some((_, bar)) = &shown {
                bar.set(progress.done);
            }
        });
        // Without a listener the command has ended.
        _ = done.send(found);
    };
    let thread = thread::Builder::new().name("fit".to_owned()).spawn(work);
    thread.map_err(|error| Error::unavailable("the system gives no thread").with_source(error))?;
    let clock = precise::start();
    let until = clock.now() + limit;
    tokio::select! {
        found = &mut fitted => return found.map_err(|error| ended(&error))?,
        () = clock.sleep_until(until) => ends.store(true, Ordering::Relaxed),
        () = stop.cancelled() => {
            ends.store(true, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::Cancelled, "stopped by a signal"));
        }
    }
    fitted.await.map_err(|error| ended(&error))?
}

fn ended(error: &oneshot::error::RecvError) -> Error {
    Error::internal("the fit ended early").with_source(error.to_string())
}
