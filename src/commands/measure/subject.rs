use std::path::Path;

use hyperfake_predictor::{Error, Result};

use crate::{
    args::{self, InstanceArgs, MeasureArgs, MeasuredCallArgs},
    client::Method,
    measure::{Limits, Processes, Protocol, ReadyBy},
};

/// The processes that are started.
pub(in crate::commands) fn processes(command: &str, args: &InstanceArgs) -> Processes {
    Processes {
        command: command.to_owned(),
        instances: args.instances,
        limits: Limits { cpus: args.cpus, memory: args.memory.map(|memory| memory.as_u64()) },
        ready_by: match args.ready_by {
            args::ReadyBy::Connect => ReadyBy::Connection,
            args::ReadyBy::Signal => ReadyBy::Signal,
        },
        ready: args.ready,
    }
}

/// What the function is called in rows: what was typed, or the program in the command.
pub(in crate::commands) fn name(typed: Option<&str>, command: Option<&str>) -> String {
    let program = command.and_then(|command| {
        // Variables may be set before it.
        let word = command.split_whitespace().find(|word| !word.contains('='))?;
        Path::new(word).file_name()?.to_str()
    });
    typed.or(program).unwrap_or("target").to_owned()
}

/// How calls are sent to what the options name.
pub(super) fn protocol(args: &MeasureArgs) -> Result<Protocol> {
    let address = args.target.as_deref().unwrap_or_default();
    match address.strip_prefix("http://") {
        None => of_calls(&args.calls, args.function.clone()),
        Some(_) if args.function.is_some() => {
            let message = format!("found '{address}', expected HOST:PORT with --function");
            Err(Error::invalid(message).at("--target"))
        }
        Some(rest) => {
            let path = rest.find('/').map_or("/", |at| &rest[at..]);
            let path = args.calls.http.as_deref().unwrap_or(path);
            http(path)
        }
    }
}

/// How calls are sent to processes.
pub(in crate::commands) fn of_calls(
    args: &MeasuredCallArgs,
    authority: Option<String>,
) -> Result<Protocol> {
    match &args.http {
        Some(path) => http(path),
        None => {
            Method::path(&args.method)?;
            Ok(Protocol::Grpc { method: args.method.clone(), authority })
        }
    }
}

fn http(path: &str) -> Result<Protocol> {
    if !path.starts_with('/') {
        let message = format!("found '{path}', expected a path that begins with a slash");
        return Err(Error::invalid(message).at("--http"));
    }
    Ok(Protocol::Http { path: path.to_owned() })
}

/// The part of an address that names the host, for what has a path behind it.
pub(super) fn authority(address: &str) -> &str {
    match address.strip_prefix("http://") {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_called_what_was_typed_or_what_its_program_is_called() {
        assert_eq!(name(Some("f"), Some("./g")), "f");
        assert_eq!(name(None, Some("A=1 target/functions compress {port}")), "functions");
        assert_eq!(name(None, Some("")), "target");
        assert_eq!(name(None, None), "target");
    }

    #[test]
    fn the_host_of_an_address_is_what_stands_before_its_path() {
        assert_eq!(authority("http://localhost:80/a/b"), "localhost:80");
        assert_eq!(authority("http://localhost:80"), "localhost:80");
        assert_eq!(authority("https://localhost:80"), "https://localhost:80");
        assert_eq!(authority("localhost:80"), "localhost:80");
    }
}
