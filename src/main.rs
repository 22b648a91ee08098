//! The command line of HyperFake Worker.

use std::{
    future::pending,
    io::{self, Write},
    process::ExitCode,
};

use hyperfake_predictor::{Error, Result};
use hyperfake_worker::{
    app::App,
    args::{self, Cli, Command, ModelsCommand, ServerArgs},
    backends, client,
    commands::{doctor, models, predict},
    config::Config,
    telemetry::{self, Log},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    backends::turn_off_telemetry();
    telemetry::panics::to_the_log();
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return show(&error),
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => fail(&cli.environment.name(&error.to_string())),
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("cannot start the runtime"))?;
    match command {
        Command::Server(args) => runtime.block_on(serve(*args))?,
        Command::Call(args) => {
            let report = runtime.block_on(client::call(&args))?;
            print(&if args.json { report.json() } else { report.text() })?;
            return Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Load(args) => {
            let report = runtime.block_on(client::load(&args))?;
            print(&if args.json { report.json() } else { report.text() })?;
            return Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Predict(args) => print(&predict::predict(&args)?)?,
        Command::Models(args) => match &args.command {
            None => print(&models::list(args)?)?,
            Some(ModelsCommand::Check(args)) => {
                let (report, well) = models::check(args);
                print(&report)?;
                return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        },
        Command::Doctor(args) => print(&runtime.block_on(doctor::examine(&args)))?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::parser(), "hyperfake", &mut script);
            write(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: ServerArgs) -> Result<()> {
    let log = telemetry::start(&args.log)?;
    let mut signals = Signals::watch(&log).map_err(failed("cannot watch signals"))?;
    let config = Config::new(args)?;
    let threshold = config.lateness_warn;
    let app = App::start(config).await?;
    // A server that nobody sees serves nevertheless.
    if let Err(error) = print(&app.summary()) {
        tracing::warn!(%error, "the summary of what is served was not shown");
    }
    tracing::info!(address = %app.address(), workers = app.workers().len(), "serving");
    signals.until_stop(&log).await;
    tracing::info!("stopping: no new calls are taken");
    let lateness = app.shut_down(signals.until_stop(&log)).await;
    let (sleeps, median, p99) = (lateness.count(), lateness.quantile(0.5), lateness.quantile(0.99));
    tracing::info!(sleeps, ?median, ?p99, max = ?lateness.max(), "stopped; how late sleeps ended");
    if p99 > threshold {
        tracing::warn!(?p99, ?threshold, "sleeps ended late: calls took longer than predicted");
    }
    Ok(())
}

/// The signals that a server obeys.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Nothing when the server was told to ignore it, as `nohup` does.
    hangup: Option<Signal>,
}

impl Signals {
    fn watch(log: &Log) -> io::Result<Self> {
        let hangup = match log.has_file() || !ignores_hangup() {
            true => Some(signal(SignalKind::hangup())?),
            false => None,
        };
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// Waits for a signal to stop. SIGHUP is one, unless there is a log file to open anew.
    async fn until_stop(&mut self, log: &Log) {
        loop {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => _ = hangup.recv().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                () = hangup => {}
            }
            if !log.has_file() {
                return;
            }
            match log.reopen() {
                Ok(()) => tracing::info!("opened the log file anew"),
                Err(error) => tracing::error!(%error, "the log goes on in the old file"),
            }
        }
    }
}

/// Whether whoever started this process had it ignore SIGHUP.
fn ignores_hangup() -> bool {
    // Only Linux tells without unsafe code.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|signals| u64::from_str_radix(signals.trim(), 16).ok());
    // The lowest bit is signal 1.
    ignored.unwrap_or_default() & 1 == 1
}

fn failed(what: &str) -> impl Fn(io::Error) -> Error {
    move |error| Error::internal(what).with_source(error)
}

/// Shows help, or what is wrong with the command line.
fn show(error: &clap::Error) -> ExitCode {
    if let Err(error) = error.print().and_then(|()| io::stdout().flush()).or_else(closed) {
        return fail(&unwritten(error).to_string());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

fn fail(error: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

fn print(text: &str) -> Result<()> {
    write(format!("{text}\n").as_bytes())
}

fn write(bytes: &[u8]) -> Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(bytes).and_then(|()| output.flush()).or_else(closed).map_err(unwritten)
}

/// A reader that has seen enough, as `head`, is no trouble.
fn closed(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn unwritten(error: io::Error) -> Error {
    Error::unavailable("cannot write to standard output").with_source(error)
}
