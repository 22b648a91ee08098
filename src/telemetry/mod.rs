//! The log, and the page of metrics.

pub mod metrics;
pub mod panics;

use std::{fs::OpenOptions, io};

use hyperfake_predictor::{Error, ErrorKind, Result};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::cli::{LogArgs, LogFormat};

/// Starts the log. Keep the guard: what is logged last is written when it is dropped.
///
/// # Errors
///
/// When the log's file cannot be opened.
pub fn start(args: &LogArgs) -> Result<WorkerGuard> {
    let (writer, guard) = match &args.log_file {
        None => non_blocking(io::stderr()),
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            non_blocking(opened.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot open the log file")
                    .with_source(error)
                    .at(format!("--log-file {}", path.display()))
            })?)
        }
    };
    let colours = args.log_file.is_none() && io::IsTerminal::is_terminal(&io::stderr());
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match args.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second log in one process, as in tests, is the first one.
    let _ =
        tracing_subscriber::registry().with(lines.with_filter(args.log_level.clone())).try_init();
    Ok(guard)
}

/// The lines that wait to be written, at most. The queue is as large from the start: of its usual
/// length it would be a fifth of an idle worker's memory.
const LINES: usize = 4096;

/// Whoever reads the log slowly, or not at all, does not stop the worker: lines are left out.
fn non_blocking(writer: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).finish(writer)
}
