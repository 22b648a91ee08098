//! Signals that end a command early.

use std::future::pending;

use tokio_util::sync::CancellationToken;

/// The exit code of a program that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Cancelled when the program is asked to end. The command then ends early and shows what it has; asked a second time, the
/// program ends at once.
pub(super) fn stop_by_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        asked_to_end().await;
        cancelled.cancel();
        asked_to_end().await;
        std::process::exit(INTERRUPTED);
    });
    stop
}

/// The same for work that has no runtime with signals: a thread waits for them.
///
/// # Errors
///
/// When there is no thread or no runtime to be had.
pub(super) fn stop_by_signal_on_a_thread() -> std::io::Result<CancellationToken> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = {
        let _inside = runtime.enter();
        stop_by_signal()
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(stop)
}

/// Until the program is asked to end: by Ctrl-C, and on Unix by SIGTERM, which is what `timeout`, service managers and
/// containers send.
pub(super) async fn asked_to_end() {
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { pending().await },
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await
}
