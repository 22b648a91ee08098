//! The program `hyperfake`: parses the command line, runs the command, and ends with an exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use hyperfake_predictor::{Error, Result};
use hyperfake_worker::{
    args::{Cli, Command},
    backends,
    commands::{
        Output, call, clone, compare, completions, doctor, fit, function, health, load, measure,
        models, plot, predict, replay, scenario, server, top,
    },
    telemetry,
};
use tokio::runtime::Runtime;

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
    let runtime =
        runtime.map_err(|error| Error::internal("cannot start the runtime").with_source(error))?;
    let ended = dispatch(command, &runtime);
    // A name that the system still looks up must not hold up the end.
    runtime.shutdown_background();
    ended
}

fn dispatch(command: Command, runtime: &Runtime) -> Result<ExitCode> {
    let Output { text, succeeded } = match command {
        Command::Server(args) => {
            return runtime.block_on(server::run(*args, print)).map(|()| ExitCode::SUCCESS);
        }
        Command::Call(args) => runtime.block_on(call::run(*args))?,
        Command::Load(args) => runtime.block_on(load::run(*args))?,
        Command::Measure(args) => runtime.block_on(measure::run(*args))?,
        Command::Clone(args) => runtime.block_on(clone::run(*args))?,
        Command::Fit(args) => runtime.block_on(fit::run(*args))?,
        Command::Compare(args) => compare::run(&args)?,
        Command::Replay(args) => replay::run(*args, runtime)?,
        Command::Health(args) => runtime.block_on(health::run(args))?,
        Command::Top(args) => runtime.block_on(top::run(args))?,
        Command::Plot(args) => plot::run(&args)?,
        Command::Function(args) => runtime.block_on(function::run(args))?,
        Command::Predict(args) => predict::run(&args)?,
        Command::Models(args) => models::run(args)?,
        Command::Scenario(args) => scenario::run(args)?,
        Command::Doctor(args) => runtime.block_on(doctor::run(&args)),
        Command::Completions { shell } => completions::run(shell),
    };
    // Nothing is left to say where a terminal was drawn on.
    if !text.is_empty() {
        print(&text)?;
    }
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{text}").and_then(|()| output.flush());
    written.or_else(closed).map_err(unwritten)
}

/// A reader that has closed the pipe, as `head` does, is not an error.
fn closed(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn unwritten(error: io::Error) -> Error {
    Error::unavailable("cannot write to standard output").with_source(error)
}
