//! The parser of the command line.

use std::ffi::{OsStr, OsString};

use clap::{
    ArgAction, ArgMatches, Command as Parser, CommandFactory, FromArgMatches, parser::ValueSource,
};

use super::{Cli, Command, contradictions, environment, environment::Environment, files, named};

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    ///
    /// What clap prints, `--help` and `--version` included.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let models = environment::value(OsStr::new(MODEL));
        Self::read_with(args, environment::without_empty(parser()), models)
    }

    /// Reads the command line alone: the variables are meant for a server that runs.
    ///
    /// # Errors
    ///
    /// What clap prints, `--help` and `--version` included.
    pub fn read_alone(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::read_with(args, environment::without_any(parser()), None)
    }

    fn read_with(
        args: impl IntoIterator<Item = OsString>,
        mut parser: Parser,
        models_variable: Option<OsString>,
    ) -> Result<Self, clap::Error> {
        let args = server_first(with_two_hyphens(args.into_iter().collect()));
        let read = |mut parser: Parser| parser.try_get_matches_from_mut(&args);
        let matches = match read(parser.clone()) {
            Ok(matches) => matches,
            // The help shows every variable, also those that are empty.
            Err(error) if !error.use_stderr() => {
                return Err(read(self::parser()).err().unwrap_or(error));
            }
            Err(error) => return Err(environment::name_variable(error, &parser, read)),
        };
        let mut cli =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut parser))?;
        cli.environment = Environment::of(&parser, &matches);
        let typed = environment::options_from(ValueSource::CommandLine, &parser, &matches);
        cli.typed =
            typed.into_iter().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
        let wrong = matches.subcommand().and_then(|(command, matches)| {
            contradictions::of(command, matches).or_else(|| files::used_twice(command, matches))
        });
        if let Some(line) = wrong {
            let kind = clap::error::ErrorKind::ArgumentConflict;
            return Err(clap::Error::raw(kind, format!("{line}\n")));
        }
        let given = match (&mut cli.command, matches.subcommand()) {
            (Command::Server(args), Some((_, matches))) => Some((&mut args.models, matches)),
            (Command::Models(args), Some((_, matches))) => Some((&mut args.models, matches)),
            _ => None,
        };
        if let Some((args, matches)) = given {
            let (named, from_variable) = models(matches, models_variable).map_err(|message| {
                parser.error(clap::error::ErrorKind::ValueValidation, message)
            })?;
            args.named = named;
            if from_variable {
                cli.environment.add("--model", MODEL);
            }
        }
        Ok(cli)
    }
}

/// The variable of `--model`.
const MODEL: &str = "HYPERFAKE_MODEL";

/// The program's options. A flag that has a variable takes a value as well, as in Go's programs:
/// `--auto-remove=false`.
#[must_use]
pub fn parser() -> Parser {
    fn with_values(parser: Parser) -> Parser {
        parser
            .mut_args(|arg| match arg.get_action() {
                ArgAction::SetTrue if arg.get_env().is_some() => arg
                    .action(ArgAction::Set)
                    .num_args(0..=1)
                    .require_equals(true)
                    .value_name("true|false")
                    .default_value("false")
                    .default_missing_value("true")
                    .hide_default_value(true)
                    .hide_possible_values(true),
                _ => arg,
            })
            .mut_subcommands(with_values)
    }
    with_values(Cli::command())
}

/// The server's options may have one hyphen, as Go's programs take them: `-address=:50051`.
fn with_two_hyphens(mut args: Vec<OsString>) -> Vec<OsString> {
    let begins = args.get(1).map(|first| first.to_string_lossy());
    if !begins.is_some_and(|first| first == "server" || first.starts_with('-')) {
        return args;
    }
    let command = parser();
    let known = |name: &str| {
        let server = command.find_subcommand("server");
        let mut options = server.into_iter().flat_map(Parser::get_arguments);
        options.any(|option| option.get_long() == Some(name))
    };
    for arg in args.iter_mut().skip(1).take_while(|arg| *arg != "--") {
        let text = arg.to_string_lossy().into_owned();
        let name = text.strip_prefix('-').and_then(|text| text.split('=').next());
        if name.is_some_and(known) {
            let mut long = OsString::from("-");
            long.push(&arg);
            *arg = long;
        }
    }
    args
}

/// Moves the word `server` to the front: its options may precede it, as in the prototype.
fn server_first(mut args: Vec<OsString>) -> Vec<OsString> {
    let is_option = |arg: &OsString| arg.to_string_lossy().starts_with('-');
    let asks = ["-h", "--help", "-V", "--version"];
    if args.get(1).is_some_and(|first| is_option(first) && !asks.iter().any(|ask| first == ask)) {
        let command = parser();
        let server = command.find_subcommand("server");
        let takes_value = |arg: &OsString| {
            let arg = arg.to_string_lossy();
            server.is_some_and(|server| {
                server.get_arguments().any(|known| {
                    let long = known.get_long().is_some_and(|long| arg == format!("--{long}"));
                    let short = known.get_short().is_some_and(|short| arg == format!("-{short}"));
                    (long || short)
                        && known.get_action().takes_values()
                        && !known.is_require_equals_set()
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

/// The models that were named, and whether the variable, of which this is the value, named them.
fn models(
    matches: &ArgMatches,
    variable: Option<OsString>,
) -> Result<(Vec<named::Named>, bool), String> {
    if let Some(given) = matches.get_occurrences::<OsString>("model") {
        let named: Result<Vec<_>, _> =
            given.map(|words| named::models(words.map(OsString::as_os_str))).collect();
        let named = named.map_err(|error| format!("--model: {error}"))?;
        return Ok((named.into_iter().flatten().collect(), false));
    }
    let given = variable.unwrap_or_default().into_string().map_err(|given| {
        let given = given.display();
        format!("{MODEL}: found '{given}', expected UTF-8; name the model with -m")
    })?;
    let named = named::entries(&given).map_err(|error| format!("{MODEL}: {error}"))?;
    Ok((named, true))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::Targets;

    use super::*;
    use crate::args::ServerArgs;

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
    fn clap_accepts_the_definition_of_the_options() {
        parser().debug_assert();
    }

    #[test]
    fn options_may_precede_or_follow_the_word_server() {
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
    fn options_of_the_server_may_have_one_hyphen() {
        let line = "-address=0.0.0.0:50051 -runtime=docker -timeout=20 -auto-remove=true \
                    -update-buffer-size=10000 -log-level info -containerized -w 2";
        for line in [format!("server {line}"), format!("{line} server")] {
            let args = server(&line);
            assert_eq!(args.address, "0.0.0.0:50051", "{line}");
            assert_eq!(args.timeout, std::time::Duration::from_secs(20));
            assert_eq!((args.auto_remove, args.containerized), (true, true));
            assert_eq!((args.update_buffer_size, args.workers), (10_000, Some(2)));
        }
        assert!(read("server -adress=:1").is_err());
        assert!(read("load -timeout=1").is_err(), "another command's options are as they were");
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
        let many = server("server -m a.onnx b.onnx c.json --fleet 2").models.named;
        assert_eq!(many.len(), 3);
        assert!(many.iter().all(|(_, image)| image.is_none()));
    }

    #[test]
    fn a_flag_takes_true_or_false() {
        for (line, expected) in [
            ("server", (false, false)),
            ("server --containerized --auto-remove", (true, true)),
            ("server --containerized=true --auto-remove=false", (true, false)),
            ("--containerized=FALSE --auto-remove=1 server", (false, true)),
            ("--auto-remove server", (false, true)),
        ] {
            let args = server(line);
            assert_eq!((args.containerized, args.auto_remove), expected, "{line}");
        }
        assert!(read("server --auto-remove=maybe").is_err());
        assert!(read("server --auto-remove maybe").is_err());
    }

    #[test]
    fn python_and_go_spellings_of_values_are_accepted() {
        let buffer = |line| server(line).update_buffer_size;
        assert_eq!(buffer("server --update-buffer-size -1"), usize::MAX);
        assert_eq!(buffer("server --update-buffer-size=-1"), usize::MAX);
        assert_eq!(buffer("server --update-buffer-size 7"), 7);
        for (level, expected) in [
            ("warning", "warn"),
            ("WARNING", "warn"),
            ("critical", "error"),
            ("info,h2=Warning", "h2=warn,info"),
            ("debug", "debug"),
        ] {
            let args = server(&format!("server --log-level {level}"));
            let expected: Targets = expected.parse().unwrap();
            assert_eq!(args.log.log_level, expected, "{level}");
        }
        let size =
            |text: &str| server(&format!("server --max-message-size {text}")).max_message_size;
        for (text, expected) in
            [("1000", 1000), ("4MiB", 4 << 20), ("1.5kB", 1500), ("2G", 2_000_000_000)]
        {
            assert_eq!(size(text).as_u64(), expected, "{text}");
        }
    }

    #[test]
    fn an_error_names_the_flag_and_what_was_expected() {
        for (line, expected) in [
            ("server --runtime podman", "docker, firecracker, instant"),
            ("server --response loud", "expected random:N"),
            ("server --cpus 0", "--cpus"),
            ("server --service-name a:1", "--service-name <NAME>': expected a name or an address"),
            ("server --advertise-host a:1", "--advertise-host <HOST>': expected a name or an"),
            ("server --memory lots", "--memory"),
            ("server --log-level loud", "'loud' is not one of error, warn"),
            ("server --log-level info,h2=loud", "'h2=loud' is not one of"),
            ("server --database-type sql", "--database-type"),
            ("server --onnx-engine fast", "dense, trees, tract, ort"),
            ("server --extrapolation never", "allow, warn, clamp"),
            ("server --feature-scope node", "function or worker"),
            ("server --cold-start soon", "expected a duration"),
            ("server -m a.onnx?x", "expected key=value"),
            ("server --update-buffer-size -2", "or -1 for no limit"),
            ("server --update-buffer-size many", "or -1 for no limit"),
            ("server --log-level info,", "'' is not one of"),
            ("server --max-message-size 1e3", "expected a size such as"),
            ("server --max-message-size=-1", "expected a size such as"),
            ("server --max-message-size 1.2.3MB", "expected a size such as"),
            ("server --max-message-size 99999999EiB", "expected a size such as"),
            ("server --max-message-size \u{663}MB", "expected a size such as"),
            ("server --max-partial-size 5XB", "expected a size such as"),
            ("load --threads 0", "--threads"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused_in_one_line() {
        let through = "call --through a:1 --method a.B/C";
        for (line, expected) in [
            ("call x --data a --data-file b".to_owned(), "--data-file: found with --data, but"),
            ("load --data a --data-bytes 5".into(), "--data-bytes: found with --data, but"),
            (
                format!("{through} --json-body {{}} --data a --proto x.proto"),
                "--json-body: found with --data, but a call has one body",
            ),
            ("call x --method a.B/C".into(), "--method: it has no use without --through HOST:PORT"),
            ("load --function id".into(), "--function: it has no use without --through"),
            ("call x --proto a.proto".into(), "--proto: it has no use without --through"),
            ("load --etcd-endpoint a:1".into(), "--etcd-endpoint: it has no use without --through"),
            (format!("{through} --address b:1"), "--address: it has no use with --through, which"),
            (
                "load --through a:1 --method a.B/C --database-address http://a".into(),
                "--database-address: it has no use with --through",
            ),
            ("call x --through a:1".into(), "--method: expected with --through"),
            (format!("{through} x --function id"), "--function: found with an image, expected one"),
            (
                "load --functions x --function y --through a:1 --method a.B/C".into(),
                "--function: found with --functions, expected one of the two",
            ),
            (
                format!("{through} --function id --metadata-prefix a"),
                "--metadata-prefix: it has no use without an image, which is registered there",
            ),
            (format!("{through} --json-body {{}}"), "--json-body: expected with --proto FILE"),
            (format!("{through} --proto-path ."), "--proto-path: expected with --proto FILE"),
        ] {
            let error = read(&line).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(&format!("error: {expected}")), "{line}: {text}");
            assert_eq!((text.trim_end().lines().count(), error.exit_code()), (1, 2), "{text}");
        }
        for line in [
            "call x --data a",
            "load --data-bytes 7 --threads 2",
            "call --through 127.64.0.1:50052 --method a.B/C",
            "call x --through a:1 --method a.B/C --etcd-endpoint b:1 --json-body {} --proto a.proto",
            "load --through a:1 --method a.B/C --function x,y --data-file z --proto a.proto",
        ] {
            read(line).unwrap();
        }
        assert!(read("call").is_err(), "an image or --through");
    }
}
