//! Records: what a worker and a client write of each call, and the picture of it.

use std::{fs, future::pending, path::Path, time::Duration};

use hyperfake_worker::record::{Row, RowReader};
use predicates::prelude::*;
use tonic::Code;

use crate::{
    program::{Served, hyperfake},
    support::{TestWorker, code, constant, eventually},
};

fn rows(path: &Path) -> Vec<Row<'static>> {
    let mut reader = RowReader::open(path).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = reader.read().unwrap() {
        rows.push(row.into_owned());
    }
    rows
}

fn run(line: &str) -> assert_cmd::assert::Assert {
    assert_cmd::Command::from_std(hyperfake()).args(line.split_whitespace()).assert()
}

#[tokio::test]
async fn every_call_is_a_row_with_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["record.csv", "record.jsonl"] {
        let path = folder.path().join(name);
        let options = format!("--record {} --http 127.0.0.1:0", path.display());
        let model = constant(Duration::from_millis(2));
        let (worker, function, instance) = TestWorker::with_instance(&model, &options).await;
        for _ in 0..3 {
            worker.call(&function, b"hello").await.unwrap();
        }
        let unknown = worker.call("nowhere", b"").await;
        assert_eq!(code(unknown), Code::NotFound);
        let metrics = worker.app.http_address().unwrap();
        eventually("the rows are in the file", || rows(&path).len() == 4).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = client.get(format!("http://{metrics}/metrics")).send().await.unwrap();
        let page = page.text().await.unwrap();
        for line in ["hyperfake_record_rows_total 4", "hyperfake_record_dropped_total 0"] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        let address = worker.app.address().to_string();
        worker.app.shut_down(pending()).await;
        let rows = rows(&path);
        for (row, number) in rows[..3].iter().zip(0..) {
            assert_eq!(
                (&*row.worker, &*row.function, &*row.image),
                (&*address, &*function, "image")
            );
            assert_eq!((row.instance.as_deref(), row.call), (Some(&*instance), Some(number)));
            assert_eq!(row.cold, Some(number == 0));
            assert_eq!((row.queue_ns, row.cold_start_ns), (Some(0), Some(0)));
            assert_eq!((row.predicted_ns, row.planned_ns), (Some(2_000_000), Some(2_000_000)));
            assert_eq!(row.run_ns.unwrap() - row.lateness_ns.unwrap(), 2_000_000);
            assert_eq!((row.cpu_cores, row.ram_bytes), (Some(0.5), Some(8_000_000)));
            assert_eq!((row.request_bytes, row.function_instances), (Some(5), Some(1)));
            assert_eq!((row.active_calls, row.worker_ram_bytes), (Some(0), Some(0)));
            assert_eq!((&*row.outcome, &*row.reason), ("OK", ""));
        }
        assert!(rows[..3].is_sorted_by_key(|row| row.arrival_unix_ns));
        let refused = &rows[3];
        assert_eq!((&*refused.function, &*refused.outcome), ("nowhere", "NOT_FOUND"));
        assert_eq!((refused.instance.as_deref(), refused.run_ns), (None, None));
    }
}

#[tokio::test]
async fn a_record_is_continued_and_another_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.csv");
    let options = format!("--record {}", path.display());
    for count in 1..3 {
        let (worker, function, _) =
            TestWorker::with_instance(&constant(Duration::ZERO), &options).await;
        worker.call(&function, b"").await.unwrap();
        worker.app.shut_down(pending()).await;
        assert_eq!(rows(&path).len(), count);
    }
    fs::write(&path, "groceries\n").unwrap();
    run(&format!("server {options} --address 127.0.0.1:0 --etcd-listen off")).failure().stderr(
        predicate::str::starts_with(format!(
            "error: --record: {}: the file is no record that can be continued: found 'groceries'",
            path.display()
        )),
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "groceries\n");
}

/// How `load` ends when the calls were answered: with 1 where the machine was too busy to send them in time. What
/// became of the calls is in the record.
fn answered() -> impl Predicate<i32> {
    predicate::in_iter([0, 1])
}

#[test]
fn sighup_reopens_the_record_and_load_sees_the_same_calls() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (record, old, seen) = (path("record.csv"), path("old.csv"), path("seen.csv"));
    let server = Served::start(&format!("--runtime instant --record {}", record.display()));
    let load = |more: &str| {
        run(&format!(
            "load --rate 200 --duration 500ms --no-warm-up --address {} --database-address {} {more}",
            server.address, server.database
        ))
    };
    load(&format!("--record {}", seen.display())).code(answered());
    fs::rename(&record, &old).unwrap();
    server.signal("-HUP");
    let appeared = (0..3000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        record.exists()
    });
    assert!(appeared, "the record was not reopened within 30 s");
    load("").code(answered());
    server.signal("-TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("reopened the record") && log.contains("the record is complete"), "{log}");
    assert_eq!((rows(&old).len(), rows(&record).len()), (100, 100));

    let (served, seen) = (rows(&old), rows(&seen));
    for (served, seen) in served.iter().zip(&seen) {
        assert_eq!((&served.function, &served.image), (&seen.function, &seen.image));
        assert_eq!((&*seen.outcome, &*served.outcome), ("OK", "OK"));
        assert_eq!((seen.request_bytes, served.request_bytes), (Some(0), Some(0)));
        assert_eq!((seen.instance.clone(), seen.call, seen.active_calls), (None, None, None));
    }
    // They may have come in another order than they were sent.
    let planned = |rows: &[Row<'_>]| {
        let mut all: Vec<_> = rows.iter().map(|row| row.planned_ns).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(planned(&seen), planned(&served));
    let span = |rows: &[Row<'_>]| rows.iter().map(Row::end_unix_ns).max().unwrap();
    assert!(span(&seen) + 10_000_000 > span(&served), "an answer was seen before it was made");
}

#[test]
fn a_record_becomes_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("seen.jsonl");
    let server = Served::start("--runtime instant");
    run(&format!(
        "load --rate 200 --duration 500ms --address {} --database-address {} --record {} \
         --functions hyperfaas-echo,hyperfaas-bfs-json",
        server.address,
        server.database,
        record.display()
    ))
    .code(answered());
    let plot = |more: &str| run(&format!("plot {} {more}", record.display()));
    plot("").success().stdout(predicate::str::contains("seen.svg: 100 calls, of which 0 failed"));
    let svg = fs::read_to_string(folder.path().join("seen.svg")).unwrap();
    assert!(svg.contains("Latency: 100 calls, of which 0 failed"), "{svg}");
    let other = folder.path().join("other.svg");
    plot(&format!("--functions hyperfaas-echo --out {}", other.display()))
        .success()
        .stdout(predicate::str::contains("other.svg: 50 calls"));
    plot("--functions nothing").failure().stderr(predicate::str::contains(
        "no call is of --functions; the record has those of hyperfaas-bfs-json, hyperfaas-echo",
    ));
    plot("--out picture.png").failure().stderr(predicate::str::contains(
        "--out: found 'picture.png', expected a file that ends in",
    ));
    let mut text = fs::read_to_string(&record).unwrap();
    text += "{\"arrival_unix_ns\": -1}\n";
    fs::write(&record, text).unwrap();
    plot("")
        .failure()
        .stderr(predicate::str::contains("seen.jsonl: row 101, column arrival_unix_ns: "));
    run("plot no/where.csv").failure().stderr(predicate::str::contains("there is no such file"));
}
