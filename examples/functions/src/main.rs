//! `functions echo|compress|thumbnail|sleep`: a function that runs, as a container of HyperFaaS would run
//! it. It serves at the port that the variable `PORT` names, 50052 by default. It answers any gRPC method,
//! and any HTTP POST, and takes the bytes of a message as they are. If the variable `CONTROLLER_ADDRESS`
//! names a worker, it tells it that it is ready.
//!
//! These are the subjects of `hyperfake measure` and `hyperfake clone` in the guide: one that only
//! answers, one that needs the CPU, one that needs memory, and one that waits.
#![allow(
    clippy::disallowed_methods,
    reason = "a function is no part of the worker: it reads the environment, waits by tokio's \
              timer and computes on threads of its own"
)]

mod serve;
mod signal;
mod work;

use std::{io, process::ExitCode};

use tokio::net::TcpListener;

use self::work::Function;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = io::Write::write_all(&mut io::stderr(), format!("error: {error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name] = &arguments[..] else {
        return Err(format!(
            "found {} arguments, expected one: {}",
            arguments.len(),
            Function::NAMES
        ));
    };
    let function = name.parse::<Function>()?;
    let port = match std::env::var("PORT") {
        Err(_) => 50052,
        Ok(text) => {
            text.parse::<u16>().map_err(|_| format!("PORT: found '{text}', expected a port"))?
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("0.0.0.0", port)).await;
        let listener = listener.map_err(|error| format!("cannot serve on port {port}: {error}"))?;
        // Connections wait until they are accepted.
        if let Ok(worker) = std::env::var("CONTROLLER_ADDRESS") {
            let signalled = signal::ready(&worker).await;
            signalled.map_err(|error| format!("CONTROLLER_ADDRESS: {worker}: {error}"))?;
        }
        serve::serve(&listener, function).await;
        Ok(())
    })
}
