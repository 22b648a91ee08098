//! Signals that end a command early.

use std::{future::pending, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::precise;

/// The exit code of a program that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;
/// One request to end may come twice, as a program that ends another one may signal it and then its group.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// Cancelled when the program is asked to end. The command then ends early and shows what it has; asked a second time, the
/// program ends at once.
pub(super) fn stop_by_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        asked_to_end().await;
        cancelled.cancel();
        asked_again().await;
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

/// Until the program is asked to end: by Ctrl-C, and by SIGTERM, which is what `timeout`, service managers and
/// containers send.
pub(super) async fn asked_to_end() {
    tokio::select! {
        () = interrupted() => {}
        () = terminated() => {}
    }
}

/// The same a second time.
pub(super) async fn asked_again() {
    let clock = precise::start();
    clock.sleep_until(clock.now() + SAME_REQUEST).await;
    asked_to_end().await;
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending().await
    }
}

async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => pending().await,
    }
}
