//! Functions that say themselves when they are ready, as those of HyperFaaS do.

use super::*;

const SIGNAL: [&str; 14] = [
    "--ready-by",
    "signal",
    "--name",
    "f",
    "--rates",
    "20",
    "--sizes",
    "1KiB",
    "--phase",
    "1s",
    "--warm-up",
    "0s",
    "--cold-starts",
    "0",
];

#[test]
fn a_process_is_ready_when_it_has_called_signal_ready() {
    // One that serves at once and says nothing; and one that says a second later, for it, that it is ready.
    let functions = functions();
    let exec = format!(
        "env -u CONTROLLER_ADDRESS {functions} echo & sleep 1; test \"$FUNCTION_ID\" = f && PORT=0 {functions} echo"
    );
    let (output, rows) = measure(&[&["--exec", &exec][..], &SIGNAL].concat());
    assert!(rows.len() > 5, "{}", String::from_utf8_lossy(&output.stderr));
    let cold: Vec<_> = rows.iter().filter(|row| row.cold == Some(true)).collect();
    assert_eq!(cold.len(), 1);
    assert!(cold[0].cold_start_ns >= Some(1_000_000_000), "{:?}", cold[0].cold_start_ns);
    assert!(rows.iter().all(|row| row.succeeded()));
}

#[test]
fn each_of_several_processes_says_for_itself_that_it_is_ready() {
    let exec = format!("{} echo", functions());
    let words = [&["--exec", &exec, "--instances", "3"][..], &SIGNAL].concat();
    let (output, rows) = measure(&words);
    let cold = rows.iter().filter(|row| row.cold == Some(true)).count();
    assert_eq!(cold, 3, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_process_that_does_not_call_signal_ready_is_refused_in_one_line() {
    let silent = format!("env -u CONTROLLER_ADDRESS {} echo", functions());
    // It says so, and serves elsewhere.
    let elsewhere = format!("PORT=0 {} echo", functions());
    for (command, expected) in [
        (
            &*silent,
            "the command does not call SignalReady of worker.Worker within 1 s; it has to, at",
        ),
        (&*elsewhere, "the command takes no connection on port"),
    ] {
        let words = ["measure", "--exec", command, "--ready", "1s"];
        let error = error(&run(&[&words[..], &SIGNAL].concat()));
        assert!(error.contains(&format!("--exec: {expected}")), "{error}");
    }
    let words = ["measure", "--target", "localhost:1", "--ready-by", "signal"];
    assert!(String::from_utf8(run(&words).stderr).unwrap().contains("cannot be used with"));
}

/// The function is told of no worker, so that it needs none.
#[test]
fn a_process_that_is_ready_when_it_takes_connections_is_told_of_no_worker() {
    let exec = format!("test -z \"$CONTROLLER_ADDRESS$FUNCTION_ID\" && {} echo", functions());
    let (output, rows) = measure(&[&["--exec", &exec][..], &SIGNAL[2..]].concat());
    assert!(rows.len() > 5, "{}", String::from_utf8_lossy(&output.stderr));
}
