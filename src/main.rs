//! The command line of HyperFake Worker.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::CommandFactory;
use hyperfake_predictor::{Error, ErrorKind, Result};
use hyperfake_worker::{
    app::App,
    backends,
    cli::{Cli, Command, ModelsCommand, ServerArgs},
    client,
    config::Config,
    doctor, models, predict, telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    backends::turn_off_telemetry();
    telemetry::panics::to_the_log();
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("cannot start the runtime"))?;
    match cli.command {
        Command::Server(args) => runtime.block_on(serve(*args))?,
        Command::Call(args) => {
            let report = runtime.block_on(client::call(&args))?;
            print(if args.json { report.json() } else { report.text() });
            return Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Load(args) => {
            let report = runtime.block_on(client::load(&args))?;
            print(if args.json { report.json() } else { report.text() });
            return Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Predict(args) => print(predict::predict(&args)?),
        Command::Models(args) => match &args.command {
            None => print(models::list(args)?),
            Some(ModelsCommand::Check(args)) => {
                let (report, well) = models::check(args);
                print(report);
                return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
        },
        Command::Doctor(args) => print(runtime.block_on(doctor::examine(&args))),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "hyperfake", &mut io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: ServerArgs) -> Result<()> {
    let _log = telemetry::start(&args.log)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("cannot watch signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("cannot watch signals"))?;
    let mut stop = async || {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    };
    let config = Config::new(args)?;
    let threshold = config.lateness_warn;
    let app = App::start(config).await?;
    print(app.summary());
    tracing::info!(address = %app.address(), workers = app.workers().len(), "serving");
    stop().await;
    tracing::info!("stopping: no new calls are taken");
    let lateness = app.shut_down(stop()).await;
    let (sleeps, median, p99) = (lateness.count(), lateness.quantile(0.5), lateness.quantile(0.99));
    tracing::info!(sleeps, ?median, ?p99, max = ?lateness.max(), "stopped; how late sleeps ended");
    if p99 > threshold {
        tracing::warn!(?p99, ?threshold, "sleeps ended late: calls took longer than predicted");
    }
    Ok(())
}

fn failed(what: &str) -> impl Fn(io::Error) -> Error {
    move |error| Error::new(ErrorKind::Internal, what).with_source(error)
}

/// Whoever reads this may have gone: that is no reason to stop.
fn print(text: String) {
    let _ = writeln!(io::stdout(), "{text}");
}
