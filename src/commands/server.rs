//! `hyperfake server`: serves until a signal says to stop.

use std::{future::pending, io};

use hyperfake_predictor::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    app::App,
    args::ServerArgs,
    config::{self, Config},
    machine::Machine,
    resident,
    scenario::Source,
    telemetry::{self, Log},
};

/// Serves. `show` is given the summary of what is served where.
///
/// # Errors
///
/// When the worker cannot start.
pub async fn run(args: ServerArgs, show: impl Fn(&str) -> Result<()>) -> Result<()> {
    let log = telemetry::start(&config::log(&args.log));
    let log = log.map_err(|error| error.at("--log-file"))?;
    let reloads = log.has_file()
        || args.tls.tls_cert.is_some()
        || args.record.record.is_some()
        || has_file(&args);
    let signals = Signals::watch(reloads);
    let mut signals =
        signals.map_err(|error| Error::internal("cannot watch signals").with_source(error))?;
    let without_effect = args.containers.without_effect();
    if !without_effect.is_empty() {
        tracing::info!("of no effect, as there are no containers: {}", without_effect.join(", "));
    }
    let config = Config::new(args, &Machine::detect())?;
    let threshold = config.lateness_warn;
    let app = App::start(config).await?;
    resident::drop_code_of_start();
    // A server whose summary cannot be written serves all the same.
    if let Err(error) = show(&app.summary()) {
        tracing::warn!(%error, "the summary of what is served was not shown");
    }
    tracing::info!(address = %app.address(), workers = app.workers().len(), "serving");
    signals.until_stop(|| reload(&log, &app)).await;
    tracing::info!("stopping: no new calls are taken");
    let lateness = app.shut_down(signals.until_stop(|| reload_log(&log))).await;
    let (sleeps, median, p99) = (lateness.count(), lateness.quantile(0.5), lateness.quantile(0.99));
    tracing::info!(sleeps, ?median, ?p99, max = ?lateness.max(), "stopped; how late sleeps ended");
    if p99 > threshold {
        tracing::warn!(?p99, ?threshold, "sleeps ended late: calls took longer than predicted");
    }
    Ok(())
}

/// Whether the scenario is a file.
fn has_file(args: &ServerArgs) -> bool {
    matches!(args.scenario.as_deref().map(Source::from), Some(Source::File(_)))
}

/// Opens the log file and the record, and reads the files of TLS and the scenario again. What cannot be
/// used is logged, and what was there before stays.
fn reload(log: &Log, app: &App) {
    reload_log(log);
    app.reopen_record();
    match app.reload_tls() {
        Ok(false) => {}
        Ok(true) => tracing::info!("reloaded the files of TLS"),
        Err(error) => tracing::error!(%error, "TLS stays as it was"),
    }
    match app.reload_scenario() {
        Ok(false) => {}
        Ok(true) => tracing::info!("reloaded the scenario"),
        Err(error) => tracing::error!(%error, "the scenario stays as it was"),
    }
}

fn reload_log(log: &Log) {
    if !log.has_file() {
        return;
    }
    match log.reopen() {
        Ok(()) => tracing::info!("reopened the log file"),
        Err(error) => tracing::error!(%error, "logging continues in the old file"),
    }
}

/// The signals that a server obeys.
struct Signals {
    /// Whether SIGHUP reloads files instead of stopping.
    reloads: bool,
    interrupt: Signal,
    terminate: Signal,
    /// Nothing when this process was started with SIGHUP ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl Signals {
    fn watch(reloads: bool) -> io::Result<Self> {
        let hangup = match reloads || !ignores_hangup() {
            true => Some(signal(SignalKind::hangup())?),
            false => None,
        };
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { reloads, interrupt, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// Waits for a signal to stop. SIGHUP is one, unless there are files to reload.
    async fn until_stop(&mut self, reload: impl Fn()) {
        loop {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => _ = hangup.recv().await,
                    None => pending().await,
                }
            };
            // In this order: files that are to be reloaded are, also when the process is told to stop right after.
            tokio::select! {
                biased;
                () = hangup => {}
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
            }
            if !self.reloads {
                return;
            }
            reload();
        }
    }
}

/// Whether this process was started with SIGHUP ignored.
fn ignores_hangup() -> bool {
    // Only Linux tells without unsafe code.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|signals| u64::from_str_radix(signals.trim(), 16).ok());
    // The lowest bit is signal 1.
    ignored.unwrap_or_default() & 1 == 1
}
