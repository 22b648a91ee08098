//! From words to the types of [`super`].

use std::ffi::OsString;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use hyperfake_predictor::ModelUri;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::{Cli, Command};

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    ///
    /// What clap has to say, `--help` and `--version` included.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(server_first(args.into_iter().collect()))?;
        let mut cli =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        let given = match (&mut cli.command, matches.subcommand()) {
            (Command::Server(args), Some((_, matches))) => Some((&mut args.models, matches)),
            (Command::Models(args), Some((_, matches))) => Some((&mut args.models, matches)),
            _ => None,
        };
        if let Some((args, matches)) = given {
            args.named = models(matches).map_err(|message| {
                command.error(clap::error::ErrorKind::ValueValidation, message)
            })?;
        }
        Ok(cli)
    }
}

/// The options of `server` may stand before the word itself, as in the prototype: this puts the
/// word first.
fn server_first(mut args: Vec<OsString>) -> Vec<OsString> {
    let is_option = |arg: &OsString| arg.to_string_lossy().starts_with('-');
    let asks = ["-h", "--help", "-V", "--version"];
    if args.get(1).is_some_and(|first| is_option(first) && !asks.iter().any(|ask| first == ask)) {
        let command = Cli::command();
        let server = command.find_subcommand("server");
        let takes_value = |arg: &OsString| {
            let arg = arg.to_string_lossy();
            server.is_some_and(|server| {
                server.get_arguments().any(|known| {
                    let long = known.get_long().is_some_and(|long| arg == format!("--{long}"));
                    let short = known.get_short().is_some_and(|short| arg == format!("-{short}"));
                    (long || short) && known.get_action().takes_values()
                })
            })
        };
        let word = (2..args.len()).find(|&at| args[at] == "server" && !takes_value(&args[at - 1]));
        if let Some(word) = word {
            let word = args.remove(word);
            args.insert(1, word);
        }
    }
    args
}

fn models(matches: &ArgMatches) -> Result<Vec<(ModelUri, Option<String>)>, String> {
    let pair = |words: &[&str]| match words {
        [uri] => Ok((uri.parse::<ModelUri>().map_err(|error| error.to_string())?, None)),
        [uri, image] => Ok((
            uri.parse::<ModelUri>().map_err(|error| error.to_string())?,
            Some((*image).to_owned()),
        )),
        _ => Err(format!("expected PATH [IMAGE], found '{}'", words.join(" "))),
    };
    if let Some(given) = matches.get_occurrences::<String>("model") {
        return given
            .map(|words| pair(&words.map(String::as_str).collect::<Vec<_>>()))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("--model: {error}"));
    }
    #[expect(clippy::disallowed_methods, reason = "this module is the one that reads it")]
    let given = std::env::var("HYPERFAKE_MODEL").unwrap_or_default();
    given
        .split(';')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| pair(&entry.split_whitespace().collect::<Vec<_>>()))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("HYPERFAKE_MODEL: {error}"))
}

/// A number of calls each second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (1e-3..=1e7).contains(rate));
    rate.ok_or_else(|| "expected a number between 0.001 and 10000000".into())
}

/// A level, or a list of levels and `target=level`. A word alone would be a target to the parser
/// of the log, and a misspelt level would go unnoticed.
pub(super) fn log_level(text: &str) -> Result<Targets, String> {
    let known = |level: &str| level.trim().parse::<LevelFilter>().is_ok();
    match text.split(',').find(|part| !known(part.rsplit('=').next().unwrap_or(part))) {
        Some(part) => Err(format!("'{part}' is none of error, warn, info, debug, trace and off")),
        None => text.parse().map_err(|error| format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ServerArgs;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(std::iter::once("hyperfake").chain(line.split_whitespace()).map(OsString::from))
    }

    fn server(line: &str) -> ServerArgs {
        match read(line).unwrap().command {
            Command::Server(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clap_finds_no_fault_with_the_options() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_or_after_the_word_server() {
        for line in [
            "--max-rpcs 7 --auto-remove -w 2 server",
            "server --max-rpcs 7 --auto-remove -w 2",
            "--max-rpcs=7 -w 2 server --auto-remove",
        ] {
            let args = server(line);
            assert_eq!(
                (args.max_rpcs, args.auto_remove, args.workers),
                (7, true, Some(2)),
                "{line}"
            );
        }
        assert_eq!(server("--log-file server server").log.log_file, Some("server".into()));
    }

    #[test]
    fn a_model_takes_one_or_two_words_and_may_be_repeated() {
        let models = server("server -m a.onnx img:1 --model ort:b.onnx?x=y -m c.json").models.named;
        let texts: Vec<_> =
            models.iter().map(|(uri, image)| (uri.to_string(), image.as_deref())).collect();
        let expected = [("a.onnx", Some("img:1")), ("ort:b.onnx?x=y", None), ("c.json", None)];
        assert_eq!(texts, expected.map(|(uri, image)| (uri.to_owned(), image)));
        assert_eq!(server("-m a.onnx img server").models.named.len(), 1);
        assert!(read("server -m a b c").is_err());
    }

    #[test]
    fn a_bad_value_is_answered_with_the_flag_and_what_was_expected() {
        for (line, expected) in [
            ("server --runtime podman", "docker, firecracker, instant"),
            ("server --response loud", "expected random:N"),
            ("server --cpus 0", "--cpus"),
            ("server --memory lots", "--memory"),
            ("server --log-level loud", "'loud' is none of error, warn"),
            ("server --log-level info,h2=loud", "'h2=loud' is none of"),
            ("server --database-type sql", "--database-type"),
            ("server --onnx-engine fast", "dense, trees, tract, ort"),
            ("server --extrapolation never", "allow, warn, clamp"),
            ("server --feature-scope node", "function or worker"),
            ("server --cold-start soon", "expected a duration"),
            ("server -m a.onnx?x", "expected key=value"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
