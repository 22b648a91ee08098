//! The page of metrics.

use std::time::Duration;

use crate::support::{TestWorker, call, constant, eventually, request};

async fn page(worker: &TestWorker) -> (String, String) {
    let address = worker.app.metrics_address().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://{address}/metrics")).send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, answer.text().await.unwrap())
}

#[tokio::test]
async fn the_page_shows_the_usage_of_each_worker_and_the_lateness_of_sleeps() {
    let long = constant(Duration::from_secs(600));
    let models = [("long", long.as_str()), ("short", &constant(Duration::from_millis(2)))];
    let options = "--metrics-address 127.0.0.1:0 --fleet 2";
    let worker = TestWorker::start(&models, options).await;
    let [first, second] = worker.app.addresses() else { panic!("expected two workers") };
    let (long, short) = (worker.register("long").await, worker.register("short").await);
    worker.start_instance(&long).await.unwrap();
    worker.start_instance(&short).await.unwrap();
    worker.call(&short, b"").await.unwrap();
    let running = tokio::spawn(call(worker.client.clone(), request(&long, &long, b"")));
    eventually("a call runs", || worker.worker().usage().ram_bytes > 0).await;
    let ram = worker.worker().usage().ram_bytes;

    let (kind, page) = page(&worker).await;
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    for line in [
        format!("hyperfake_calls{{worker=\"{first}\"}} 1.0"),
        format!("hyperfake_calls{{worker=\"{second}\"}} 0.0"),
        format!("hyperfake_instances{{worker=\"{first}\"}} 2.0"),
        format!("hyperfake_ram_bytes{{worker=\"{first}\"}} {ram}.0"),
        "hyperfake_clock_lateness_seconds_count 1".into(),
        "hyperfake_clock_lateness_seconds_bucket{le=\"+Inf\"} 1".into(),
        "# EOF".into(),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    running.abort();
}

#[tokio::test]
async fn without_an_address_there_is_no_page() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], "").await;
    assert_eq!(worker.app.metrics_address(), None);
    assert!(!worker.app.summary().contains("metrics"));
}
