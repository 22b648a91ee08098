//! `hyperfake fit`: from a file of calls to a model that a server can draw calls from.

mod laws;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use assert_cmd::assert::Assert;
use flate2::{Compression, write::GzEncoder};
use hyperfake_predictor::{Random, normal};
use hyperfake_worker::record::{Destination, Format, OK, Row, RowFile};
use predicates::prelude::*;

use crate::program::hyperfake;

fn fit(rows: &Path, out: &Path, options: &str) -> Assert {
    let mut command = assert_cmd::Command::from_std(hyperfake());
    command.arg("fit").arg(rows).arg("--out").arg(out).args(options.split_whitespace()).assert()
}

/// A record of calls whose median grows with the body, one in ten of them a first call that takes ten times
/// as long.
fn record(folder: &Path, calls: u64) -> PathBuf {
    let mut random = Random::new(1, 0);
    let rows = (0..calls).map(|call| {
        let body = random.choose(&[1_000.0, 50_000.0]);
        let cold = call % 10 == 0;
        let factor = if cold { 10.0 } else { 1.0 };
        let noise = (0.2 * normal::quantile(random.fraction().max(1e-9))).exp();
        Row {
            arrival_unix_ns: 1_767_225_600_000_000_000 + call * 3_000_000,
            function: "id".into(),
            image: "resize".into(),
            instance: Some((call / 10).to_string().into()),
            cold: Some(cold),
            cold_start_ns: Some(if cold { 250_000_000 } else { 0 }),
            run_ns: Some((1e6 * (1.0 + body / 1e4) * factor * noise) as u64),
            cpu_cores: Some(0.5),
            ram_bytes: Some(8_000_000 + body as u64),
            request_bytes: Some(body as u64),
            outcome: OK.into(),
            ..Row::default()
        }
    });
    let path = folder.join("calls.csv");
    let mut file = RowFile::open(Destination::new(&path, Format::Own).unwrap()).unwrap();
    file.append(rows).unwrap();
    file.close().unwrap();
    path
}

#[test]
fn a_record_becomes_a_table_that_predict_draws_from() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, out) = (record(folder.path(), 5_000), folder.path().join("resize.json"));
    fit(&rows, &out, "--steps 0 --response echo")
        .success()
        .stdout(predicate::str::contains("left out: 500 first calls of an instance"))
        .stdout(predicate::str::contains(
            "first calls of an instance: 500, whose median run time is",
        ))
        .stdout(predicate::str::contains("resize.json: written, with"));
    let mut predict = hyperfake();
    predict.arg("predict").arg(&out).args(["--json", "--request-bytes", "50000"]);
    let output = predict.output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = found.to_string();
    assert!(output.status.success(), "{text}");
    let model = fs::read_to_string(&out).unwrap();
    assert!(
        model.contains(r#""cold_start": "250000us""#) && model.contains(r#""response": "echo""#)
    );
    let report = fs::read(folder.path().join("resize.json.report")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["calls"], &report["rows"]), (&4500.into(), &5000.into()));
    let bytes = fs::read(&rows).unwrap();
    assert_eq!(report["sources"][0]["sha256"], sha256(&bytes));
    assert!(report["notes"].to_string().contains("worked out from how the calls overlap"));
    // The median for large bodies is 6 ms.
    let model: serde_json::Value = serde_json::from_str(&model).unwrap();
    assert_eq!(model["features"], serde_json::json!(["request_bytes"]));
    let median = model["runtime_ns"][1][10].as_f64().unwrap();
    assert!((median / 6e6 - 1.0).abs() < 0.03, "{median}");
    // The sidecar is one that a server reads.
    let check = hyperfake().args(["models", "check"]).arg(&out).output().unwrap();
    assert!(check.status.success(), "{check:?}");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_compressed_trace_becomes_a_network_that_all_backends_agree_on() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("trace.txt.gz");
    let mut random = Random::new(1, 0);
    let mut text = "app,func,end_timestamp,duration\n".to_owned();
    let mut now = 0.0;
    for _ in 0..3_000 {
        now -= 0.05 * (1.0 - random.fraction()).ln();
        let duration = 0.1 * (0.3 * normal::quantile(random.fraction().max(1e-9))).exp();
        text += &format!("app,func,{:.6},{duration:.6}\n", now + duration);
    }
    let mut encoder = GzEncoder::new(fs::File::create(&rows).unwrap(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let out = folder.path().join("trace.onnx");
    fit(&rows, &out, "--steps 100 --ram 64MB")
        .success()
        .stdout(predicate::str::contains("Azure Functions trace of 2021, 3000 calls"))
        .stdout(predicate::str::contains("request_bytes | | | left out: it is not known"))
        .stdout(predicate::str::contains("the model answers 64000000 for it, as asked for"));
    let check = hyperfake().args(["models", "check", "--json"]).arg(&out).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    assert!(check.status.success(), "{found}");
    let text = found.to_string();
    assert!(text.contains("dense") && text.contains("tract"), "{text}");
}

#[test]
fn what_cannot_be_learned_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let rows = record(folder.path(), 100);
    let out = |name: &str| folder.path().join(name);
    let refused = |rows: &Path, name: &str, options: &str, expected: &str| {
        fit(rows, &out(name), options).failure().stderr(
            predicate::str::contains(expected).and(predicate::str::contains("\n").count(1)),
        );
    };
    refused(&rows, "a.json", "", "found 90 calls to learn from, expected at least 200");
    refused(&rows, "a.json", "--kind network", "--out: found a file that ends in .json");
    refused(
        &rows,
        "a.json",
        "--function b",
        "--function: no call is of it; there are those of resize",
    );
    refused(&rows, "a.json", "--cpu-cores -1", "--cpu-cores: found -1, expected");
    refused(
        &rows,
        "a.onnx",
        "--steps 0",
        "--steps: found 0, expected 1 or more to train a network",
    );
    refused(&rows, "a", "--kind network --steps 0", "--steps: found 0, expected 1 or more");
    refused(&out("none.csv"), "a.json", "", "none.csv: there is no such file");
    let other = out("other.csv");
    fs::write(&other, "HashOwner,HashApp,HashFunction,Trigger,1\n").unwrap();
    refused(&other, "a.json", "", "files of counts a minute have no single calls");
    let bad = out("bad.csv");
    fs::write(&bad, "app,func,end_timestamp,duration\na,f,1,-2\n").unwrap();
    refused(&bad, "a.json", "", "bad.csv: row 1 (line 2), column duration: found '-2'");
    let endless = fs::read_to_string(&rows).unwrap().replacen(",0.5,", ",inf,", 3);
    fs::write(&bad, endless.replacen(",inf,", ",0.5,", 2)).unwrap();
    let many = "--steps 18446744073709551615";
    fit(&rows, &out("a.onnx"), many)
        .failure()
        .stderr(predicate::str::contains("for '--steps <N>'"));
    refused(
        &bad,
        "a.json",
        "",
        "bad.csv: row 3: column cpu_cores: found inf, expected a number that",
    );
    assert!(!out("a.json").exists() && !out("a.onnx").exists());
}

#[test]
#[cfg(unix)]
fn interrupted_it_writes_the_best_model_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, out) = (record(folder.path(), 5_000), folder.path().join("resize.onnx"));
    let mut process = hyperfake()
        .arg("fit")
        .arg(&rows)
        .arg("--out")
        .arg(&out)
        .args(["--steps", "100000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let (mut sent, mut seen) = (false, Vec::new());
    for line in lines {
        let line = line.unwrap();
        // Work that is long is shown, a line every ten seconds.
        if line.contains("training") && !sent {
            let pid = process.id().to_string();
            assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
            sent = true;
        }
        seen.push(line);
    }
    let output = process.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{seen:?} {text}");
    assert!(
        seen.iter().any(|line| line.contains("interrupted: the best model so far")),
        "{seen:?}"
    );
    assert!(text.contains("stopped early") && out.exists(), "{text}");
}
