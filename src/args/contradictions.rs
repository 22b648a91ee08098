//! Options that cannot be together, or that have no use without another one.

use clap::{ArgMatches, parser::ValueSource};

/// An option's name to clap, and to people.
type Named = (&'static str, &'static str);

const BODIES: [Named; 4] = [
    ("data", "--data"),
    ("data_file", "--data-file"),
    ("data_bytes", "--data-bytes"),
    ("json_body", "--json-body"),
];
const IMAGES: [Named; 3] =
    [("image", "an image"), ("trace", "a trace"), ("functions", "--functions")];
const OF_2025: [Named; 2] = [("address", "--address"), ("database_address", "--database-address")];
const OF_ETCD: [Named; 3] = [
    ("etcd_endpoints", "--etcd-endpoint"),
    ("metadata_prefix", "--metadata-prefix"),
    ("metadata_dial_timeout", "--metadata-dial-timeout"),
];
const OF_TODAY: [Named; 5] = [
    ("function", "--function"),
    ("method", "--method"),
    ("json_body", "--json-body"),
    ("proto", "--proto"),
    ("proto_path", "--proto-path"),
];

/// Beside those above, options that say where and how calls are sent.
const OF_SENDER: [Named; 9] = [
    ("through", "--through"),
    ("max_message_size", "--max-message-size"),
    ("tls_ca", "--tls-ca"),
    ("tls_cert", "--tls-cert"),
    ("tls_key", "--tls-key"),
    ("tls_server_name", "--tls-server-name"),
    ("connections", "--connections"),
    ("threads", "--threads"),
    ("deadline", "--deadline"),
];

/// Options of the server that have no use unless one of these others is given, and how a message names those.
const OF_OTHERS: [(Named, &[&str], &str); 3] = [
    (("record_format", "--record-format"), &["record"], "--record FILE"),
    (("otlp_sample", "--otlp-sample"), &["otlp"], "--otlp URL"),
    (
        ("fleet_stagger", "--fleet-stagger"),
        &["fleet", "fleet_addresses"],
        "--fleet N or --fleet-addresses RANGE",
    ),
];

/// What is wrong with what was typed for a command, in one line. Variables of the environment may be
/// meant for other commands, so they contradict nothing.
pub(super) fn of(command: &str, matches: &ArgMatches) -> Option<String> {
    match command {
        "call" | "load" | "replay" => of_calls(matches),
        "server" => of_server(matches),
        _ => None,
    }
}

fn of_server(matches: &ArgMatches) -> Option<String> {
    let mut others = OF_OTHERS.iter().filter(|((id, _), needed, _)| {
        let is_set = |id: &&str| {
            let source = matches.value_source(id);
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        matches.value_source(id) == Some(ValueSource::CommandLine) && !needed.iter().any(is_set)
    });
    let ((_, flag), _, needed) = others.next()?;
    Some(format!("{flag}: it has no use without {needed}"))
}

fn of_calls(matches: &ArgMatches) -> Option<String> {
    let is_given = |id: &str| {
        matches.try_contains_id(id).unwrap_or(false)
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    let given = |options: &[Named]| -> Vec<&'static str> {
        let given = options.iter().filter(|(id, _)| is_given(id));
        given.map(|(_, flag)| *flag).collect()
    };
    if is_given("is_virtual") {
        let all: [&[Named]; 5] = [&OF_SENDER, &OF_2025, &OF_TODAY, &OF_ETCD, &BODIES];
        let flag = all.into_iter().flat_map(given).next()?;
        return Some(format!("{flag}: it has no use with --virtual, which sends nothing"));
    }
    if let [first, second, ..] = given(&BODIES)[..] {
        return Some(format!("{second}: found with {first}, but a call has one body"));
    }
    let images = given(&IMAGES);
    if !is_given("through") {
        let useless = [given(&OF_TODAY), given(&OF_ETCD)].concat();
        let flag = useless.first()?;
        return Some(format!("{flag}: it has no use without --through HOST:PORT"));
    }
    if let Some(flag) = given(&OF_2025).first() {
        return Some(format!("{flag}: it has no use with --through, which says where calls go"));
    }
    if !is_given("method") {
        let expected = "expected with --through, such as --method package.Service/Method";
        return Some(format!("--method: {expected}"));
    }
    match (images.first(), is_given("function"), given(&OF_ETCD).first()) {
        (Some(image), true, _) => {
            return Some(format!("--function: found with {image}, expected one of the two"));
        }
        (None, _, Some(flag)) => {
            let reason = "it has no use without an image, which is registered there";
            return Some(format!("{flag}: {reason}"));
        }
        _ => {}
    }
    if is_given("proto") {
        return None;
    }
    let needing = given(&[("json_body", "--json-body"), ("proto_path", "--proto-path")]);
    let flag = needing.first()?;
    Some(format!("{flag}: expected with --proto FILE, which says what messages are"))
}

#[cfg(test)]
mod tests {
    use crate::args::Cli;

    #[test]
    fn a_server_takes_no_option_that_does_nothing_without_another_one() {
        let read = |options: &str| {
            let words = ["hyperfake", "server"].into_iter().chain(options.split_whitespace());
            Cli::read(words.map(Into::into))
        };
        for (options, needed) in [
            ("--record-format invitro", "--record FILE"),
            ("--otlp-sample 0.5", "--otlp URL"),
            ("--fleet-stagger 1s", "--fleet N or --fleet-addresses RANGE"),
        ] {
            let flag = options.split(' ').next().unwrap();
            let error = read(options).unwrap_err().to_string();
            assert_eq!(error.trim_end(), format!("error: {flag}: it has no use without {needed}"));
        }
        read("--record-format invitro --record a.csv --otlp-sample 1 --otlp http://a").unwrap();
        read("--fleet-stagger 1s --fleet-addresses 127.1.0.0/22").unwrap();
    }

    #[test]
    fn a_replay_in_virtual_time_takes_no_options_of_what_is_sent() {
        let read = |options: &str| {
            let words = ["hyperfake", "replay", "trace", "--virtual"].into_iter();
            Cli::read(words.chain(options.split_whitespace()).map(Into::into))
        };
        for options in [
            "--address a:1",
            "--database-address http://a",
            "--max-message-size 1MB",
            "--tls-ca a.pem",
            "--tls-cert a.pem --tls-key b.pem",
            "--tls-server-name a",
            "--through a:1",
            "--method a.B/C",
            "--etcd-endpoint a:1",
            "--connections 4",
            "--threads 1",
            "--deadline 1s",
            "--data a",
            "--data-bytes 1",
        ] {
            let flag = options.split(' ').next().unwrap();
            let error = read(options).unwrap_err().to_string();
            let expected =
                format!("error: {flag}: it has no use with --virtual, which sends nothing");
            assert_eq!(error.trim_end(), expected);
        }
        read("--seed 2 --max-concurrency 1 --record a.csv --server --cpus=4").unwrap();
    }
}
