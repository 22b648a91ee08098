//! Files that a command would write to and that it needs otherwise.

use std::{
    fs,
    path::{self, Path, PathBuf},
};

use clap::ArgMatches;
use hyperfake_predictor::ModelUri;

/// An option's name to clap, and to people.
type Named = (&'static str, &'static str);

/// What a command writes, and what it reads.
struct Files {
    command: &'static str,
    written: &'static [Named],
    read: &'static [Named],
}

/// What is read for the calls of a client, by whichever of its commands.
const OF_CALLS: [Named; 6] = [
    ("trace", "the trace"),
    ("data_file", "--data-file"),
    ("proto", "--proto"),
    ("tls_ca", "--tls-ca"),
    ("tls_cert", "--tls-cert"),
    ("tls_key", "--tls-key"),
];

const ALL: [Files; 7] = [
    Files {
        command: "server",
        written: &[
            ("log_file", "--log-file"),
            ("record", "--record"),
            ("state_file", "--state-file"),
            ("functions_file", "--functions-file"),
        ],
        read: &[
            ("scenario", "--scenario"),
            ("tls_cert", "--tls-cert"),
            ("tls_key", "--tls-key"),
            ("tls_client_ca", "--tls-client-ca"),
            ("tls_ca", "--tls-ca"),
            (MODEL, "--model"),
            ("models_dir", "--models-dir"),
        ],
    },
    Files {
        command: "load",
        written: &[("csv", "--csv"), ("record", "--record")],
        read: &OF_CALLS,
    },
    Files { command: "replay", written: &[("record", "--record")], read: &OF_CALLS },
    Files {
        command: "compare",
        written: &[("out", "--out"), ("json", "--json")],
        read: &[("real", "the real record"), ("fake", "the fake one"), ("repeat", "--repeat")],
    },
    Files { command: "fit", written: &[("out", "--out")], read: &[("rows", "the rows")] },
    Files { command: "plot", written: &[("out", "--out")], read: &[("record", "the record")] },
    Files { command: "measure", written: &[("out", "--out")], read: &OF_CALLS },
];

/// Its values are models and images.
const MODEL: &str = "model";
/// What `fit` appends to the name that it is given, unless it is there.
const OF_MODELS: [&str; 2] = ["json", "onnx"];

/// What is wrong with the files of a command, in one line: one that is written is used a second time.
pub(super) fn used_twice(command: &str, matches: &ArgMatches) -> Option<String> {
    let files = ALL.iter().find(|files| files.command == command)?;
    let given = |&(id, name): &Named| {
        let values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        let values = values.filter(|value| *value != "-").map(PathBuf::from);
        let paths = values.filter_map(move |value| match id {
            MODEL => model(&value),
            _ => path::absolute(value).ok(),
        });
        // Streams may be written to from several sides, and lead to one terminal.
        let files = paths.filter(|path| {
            let is_stream = ["/dev/std", "/dev/fd/", "/proc/"]
                .iter()
                .any(|of_streams| path.to_string_lossy().starts_with(of_streams));
            !is_stream && fs::metadata(path).map_or(true, |found| found.is_file() || found.is_dir())
        });
        files.map(move |path| (resolved(path), name))
    };
    let mut written: Vec<_> = files.written.iter().flat_map(given).collect();
    if command == "fit" {
        let with = |(path, name): &(PathBuf, _)| {
            let mut names = Vec::new();
            for extension in OF_MODELS {
                let mut path = path.clone().into_os_string();
                path.push(format!(".{extension}"));
                names.push((PathBuf::from(path), *name));
            }
            names
        };
        let more: Vec<_> = written.iter().flat_map(with).collect();
        written.extend(more);
    }
    let read: Vec<_> = files.read.iter().flat_map(given).collect();
    written.iter().enumerate().find_map(|(place, (path, name))| {
        let others = written[..place].iter().chain(&read);
        // Of a folder that is read, so is each file.
        let is_in = |folder: &Path| folder.is_dir() && path.is_file() && path.starts_with(folder);
        let (_, other) = others.into_iter().find(|(other, _)| other == path || is_in(other))?;
        let path = path.display();
        Some(format!("{name}: found {path}, which is the file of {other}: expected another one"))
    })
}

/// The file of a model, if this is one and not an image.
fn model(value: &Path) -> Option<PathBuf> {
    let uri: ModelUri = value.to_str()?.parse().ok()?;
    path::absolute(uri.path()).ok().filter(|path| path.exists())
}

/// Its one name: without links, and where it is not there yet, in a folder without them.
fn resolved(path: PathBuf) -> PathBuf {
    let in_folder = || {
        let folder = fs::canonicalize(path.parent()?).ok()?;
        Some(folder.join(path.file_name()?))
    };
    fs::canonicalize(&path).ok().or_else(in_folder).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use crate::args::Cli;

    #[test]
    fn a_file_that_is_written_has_one_use() {
        let read = |line: &str| Cli::read(line.split(' ').map(Into::into));
        for (line, flags) in [
            ("server --functions-file a.db --log-file ./a.db", ["--functions-file", "--log-file"]),
            ("server --record a.csv --log-file a.csv", ["--record", "--log-file"]),
            ("server --state-file a --functions-file a", ["--functions-file", "--state-file"]),
            ("load --csv a.csv --record ./a.csv", ["--csv", "--record"]),
            ("replay a.csv --virtual --record a.csv", ["--record", "the trace"]),
            ("compare a.csv b.csv --json b.csv", ["--json", "the fake one"]),
            ("compare a.csv b.csv --out a.html --json a.html", ["--json", "--out"]),
            ("fit a.json --out a.json", ["--out", "the rows"]),
            ("fit a.json --out a", ["--out", "the rows"]),
            ("load --csv src/../a.csv --record a.csv", ["--csv", "--record"]),
            ("load --csv a.pem --tls-cert b.pem --tls-key a.pem", ["--csv", "--tls-key"]),
            ("replay a.csv --record a.pem --tls-ca a.pem", ["--record", "--tls-ca"]),
            (
                "server -m models/hyperfaas-echo.onnx?response=echo --log-file models/hyperfaas-echo.onnx",
                ["--log-file", "--model"],
            ),
            (
                "server --models-dir models --log-file models/hyperfaas-echo.onnx",
                ["--log-file", "--models-dir"],
            ),
            (
                "replay traces/samples/record --record traces/samples/record/calls.csv",
                ["--record", "the trace"],
            ),
        ] {
            let error = read(&format!("hyperfake {line}")).unwrap_err().to_string();
            assert!(flags.iter().all(|flag| error.contains(flag)), "{line}: {error}");
        }
        for line in [
            "server --functions-file a.db --log-file b.db",
            "server -m models/hyperfaas-echo.onnx README --log-file README",
            "server --models-dir models --log-file models/new.log",
            "compare a.csv a.csv --json -",
            "load --csv a.csv --record b.csv",
            "load --csv /dev/null --record /dev/null",
            "server --log-file /dev/stderr --record /dev/stderr",
            "fit /dev/stdin --out /dev/stdout",
            "replay traces/samples/record --record traces/samples/record/new.csv",
        ] {
            read(&format!("hyperfake {line}")).unwrap();
        }
    }
}
