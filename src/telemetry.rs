//! The log.

pub mod panics;

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// What is logged, how, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// Levels, for all and for single targets.
    pub level: Targets,
    /// The form of a line.
    pub format: Format,
    /// A file that the log is appended to, instead of standard error.
    pub file: Option<PathBuf>,
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Error::invalid(format!("found '{name}', expected text or json"))),
        }
    }
}

/// The log. Keep it: what is logged last is written when it is dropped.
#[derive(Debug)]
pub struct Log {
    file: Option<LogFile>,
    _guard: WorkerGuard,
}

/// Starts the log.
///
/// # Errors
///
/// When the log's file cannot be opened.
pub fn start(config: &Config) -> Result<Log> {
    let file = config.file.clone().map(LogFile::open).transpose()?;
    let (writer, guard) = match file.clone() {
        None => non_blocking(io::stderr()),
        Some(file) => non_blocking(file),
    };
    let colours = file.is_none() && io::IsTerminal::is_terminal(&io::stderr());
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match config.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second log in one process, as in tests, is the first one.
    let lines = lines.with_filter(levels(config.level.clone()));
    let _ = tracing_subscriber::registry().with(lines).try_init();
    Ok(Log { file, _guard: guard })
}

/// The levels, and that of the HTTP/2 library where none is stated for it: it warns of each fault of a
/// client, which could fill the log.
fn levels(stated: Targets) -> Targets {
    let names_it = stated.iter().any(|(target, _)| target.starts_with("h2"));
    match stated.default_level() {
        Some(level) if !names_it && level <= LevelFilter::INFO => {
            stated.with_target("h2", level.min(LevelFilter::ERROR))
        }
        _ => stated,
    }
}

impl Log {
    /// Whether it goes to a file.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Opens the file again by its path: the one that had this name may have been moved.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened; the log goes on in the old one.
    pub fn reopen(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let opened = append(&file.path)?;
        *file.file.lock() = opened;
        Ok(())
    }
}

/// The file of the log. A clone writes to the same one.
#[derive(Debug, Clone)]
struct LogFile {
    path: PathBuf,
    /// The log's own thread writes, and a signal changes the file.
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: PathBuf) -> Result<Self> {
        let file = append(&path)?;
        Ok(Self { path, file: Arc::new(Mutex::new(file)) })
    }
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
        Error::unavailable("cannot open the log file").with_source(error).at(path.display())
    })
}

impl io::Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().flush()
    }
}

/// The lines that wait to be written, at most. The queue is as large from the start: of its usual
/// length it would be a fifth of an idle worker's memory.
const LINES: usize = 4096;

/// A slow reader of the log does not stop the worker: lines are left out.
fn non_blocking(writer: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).finish(writer)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn warnings_of_the_http_library_are_logged_only_when_asked_for() {
        for (stated, expected) in [
            ("info", [false, true]),
            ("warn,hyperfake=debug", [false, true]),
            ("off", [false, false]),
            ("debug", [true, true]),
            ("info,h2=warn", [true, true]),
        ] {
            let levels = levels(stated.parse().unwrap());
            let enabled = |level| levels.would_enable("h2::proto::streams", &level);
            assert_eq!([enabled(Level::WARN), enabled(Level::ERROR)], expected, "{stated}");
        }
    }
}
