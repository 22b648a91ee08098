//! What h2spec says of the server: <https://github.com/summerwind/h2spec>, with `--strict`.
//!
//! It is a Go program, which is run when it is found:
//! `go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible`. Four of its 146 tests fail, and none
//! of them shows a fault:
//!
//! | section | test | why it fails |
//! |---|---|---|
//! | generic 2 | Sends a WINDOW_UPDATE frame on half-closed (remote) stream | an answer with a DATA frame is expected; a request that is not gRPC is answered with headers alone |
//! | generic 2 | Sends a PRIORITY frame on half-closed (remote) stream | the same |
//! | 3.5 | Sends invalid connection preface | the connection is closed while a part of the preface is unread, and so the system resets it, which is an end as well |
//! | 5.1.2 | Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded | each request is answered with headers alone and ends its stream, so that the limit is never reached |

use std::{collections::BTreeSet, process::Command};

use crate::rig::{Form, Rig};

/// The tests that fail, as in the table.
const EXPLAINED: [&str; 4] = [
    "Sends a WINDOW_UPDATE frame on half-closed (remote) stream",
    "Sends a PRIORITY frame on half-closed (remote) stream",
    "Sends invalid connection preface",
    "Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
];

#[tokio::test(flavor = "multi_thread")]
async fn h2spec_finds_only_what_is_explained() {
    if Command::new("h2spec").arg("--version").output().is_err() {
        assert!(std::env::var_os("HYPERFAKE_TEST_ALL").is_none(), "there is no h2spec");
        println!("skipped: there is no h2spec");
        return;
    }
    let rig = Rig::start(Form::Short, "").await;
    let mut command = Command::new("h2spec");
    command.args(["--strict", "--timeout", "5", "--path", "/controller.Controller/Call"]);
    command.args(["--host", &rig.address.ip().to_string()]);
    command.args(["--port", &rig.address.port().to_string()]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("146 tests"), "{text}");
    let failures = text.split("Failures:").nth(1).unwrap_or_default();
    let failed = failures.lines().filter_map(|line| line.trim().strip_prefix("× "));
    let count = failed.clone().count();
    assert!(text.contains(&format!(", {count} failed")), "{text}");
    let failed: BTreeSet<_> = failed.filter_map(|line| Some(line.split_once(": ")?.1)).collect();
    let not_explained: Vec<_> = failed.iter().filter(|test| !EXPLAINED.contains(test)).collect();
    assert!(not_explained.is_empty(), "{not_explained:?}\n{failures}");
    rig.end();
}
