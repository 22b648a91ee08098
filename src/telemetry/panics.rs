//! A panic is one line in the log, or on standard error without a log, and never names a path of the
//! machine on which the program was built.

use std::{
    panic::{self, PanicHookInfo},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use hyperfake_predictor::{is_guarded, panic_text};

/// An engine that panics does so at every call.
const INTERVAL: Duration = Duration::from_secs(1);

/// Replaces what the standard library prints. An engine's panic becomes an error of the call; the log
/// has it at most once a second.
pub fn to_the_log() {
    let last: Mutex<Option<Instant>> = Mutex::new(None);
    panic::set_hook(Box::new(move |info| {
        if !is_guarded() {
            unexpected(&described(info));
            return;
        }
        let mut last = last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        #[allow(clippy::disallowed_methods, reason = "a panic knows no clock")]
        let now = Instant::now();
        if last.is_none_or(|last| now - last >= INTERVAL) {
            *last = Some(now);
            tracing::warn!("an engine panicked: {}", described(info));
        }
    }));
}

fn unexpected(text: &str) {
    if tracing::event_enabled!(tracing::Level::ERROR) {
        tracing::error!("panicked: {text}");
    } else {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "error: panicked: {text}; please report this");
    }
}

fn described(info: &PanicHookInfo<'_>) -> String {
    let text = panic_text(info.payload()).unwrap_or("no message");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match info.location() {
        Some(place) => format!("{text} ({}:{})", file_name(place.file()), place.line()),
        None => text,
    }
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
