//! `/metrics`: what monitoring systems read.

use std::time::Duration;

use reqwest::header::ACCEPT;
use tonic::Code;

use crate::support::{LOOKS, TestWorker, call, code, constant, eventually, pause, request};

const HTTP: &str = "--http 127.0.0.1:0";

/// The page in the form that a client accepts, and its type.
pub(crate) async fn page(worker: &TestWorker, accept: &str) -> (String, String) {
    let address = worker.app.http_address().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{address}/metrics")).header(ACCEPT, accept);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, answer.text().await.unwrap())
}

/// Waits until the page, which may be kept for a moment, has all of these lines.
pub(crate) async fn page_with(worker: &TestWorker, lines: &[String]) -> String {
    for _ in 0..LOOKS {
        let (_, page) = page(worker, "").await;
        if lines.iter().all(|line| page.lines().any(|found| found == line)) {
            return page;
        }
        pause().await;
    }
    let (_, page) = page(worker, "").await;
    let missing: Vec<_> =
        lines.iter().filter(|line| !page.lines().any(|found| found == **line)).collect();
    panic!("{missing:?} are not in\n{page}");
}

#[tokio::test]
async fn the_page_shows_calls_instances_and_the_lateness_of_sleeps_of_each_worker() {
    let long = constant(Duration::from_secs(600));
    let models = [("long", long.as_str()), ("short", &constant(Duration::from_millis(2)))];
    let worker = TestWorker::start(&models, &format!("{HTTP} --fleet 2")).await;
    let [first, second] = worker.app.addresses() else { panic!("expected two workers") };
    let (long, short) = (worker.register("long").await, worker.register("short").await);
    worker.start_instance(&long).await.unwrap();
    worker.start_instance(&short).await.unwrap();
    worker.call(&short, b"").await.unwrap();
    let running = tokio::spawn(call(worker.client.clone(), request(&long, &long, b"")));
    eventually("a call runs", || worker.worker().usage().ram_bytes > 0).await;
    let ram = worker.worker().usage().ram_bytes;
    let page = page_with(
        &worker,
        &[
            format!("hyperfake_active_calls{{worker=\"{first}\"}} 1.0"),
            format!("hyperfake_active_calls{{worker=\"{second}\"}} 0.0"),
            format!(
                "hyperfake_calls_total{{worker=\"{first}\",function=\"{short}\",outcome=\"ok\"}} 1"
            ),
            format!("hyperfake_instances{{worker=\"{first}\",state=\"busy\"}} 1.0"),
            format!("hyperfake_instances{{worker=\"{first}\",state=\"idle\"}} 1.0"),
            format!("hyperfake_instance_starts_total{{worker=\"{first}\"}} 2"),
            format!("hyperfake_memory_used_bytes{{worker=\"{first}\"}} {ram}.0"),
            format!("hyperfake_memory_bytes{{worker=\"{second}\"}} 1000000000.0"),
            format!("hyperfake_cpu_cores{{worker=\"{second}\"}} 4.0"),
            format!("hyperfake_call_run_seconds_bucket{{function=\"{short}\",le=\"+Inf\"}} 1"),
            format!("hyperfake_call_predicted_seconds_sum{{function=\"{short}\"}} 0.002"),
            format!("hyperfake_cold_start_seconds_count{{function=\"{long}\"}} 1"),
            format!("hyperfake_function_info{{function=\"{short}\",image=\"short\"}} 1"),
            "hyperfake_clock_lateness_seconds_count 1".into(),
            "hyperfake_clock_lateness_seconds_bucket{le=\"+Inf\"} 1".into(),
        ],
    )
    .await;
    let duration =
        format!("hyperfake_call_duration_seconds_count{{function=\"{short}\",start=\"cold\"}} 1");
    assert!(page.contains(&duration), "{page}");
    running.abort();
}

#[tokio::test]
async fn one_worker_has_no_label_and_how_calls_end_is_counted() {
    let model = constant(Duration::ZERO);
    let (worker, function, instance) = TestWorker::with_instance(&model, HTTP).await;
    worker.call(&function, b"").await.unwrap();
    assert_eq!(code(worker.call("\"><script>", b"").await), Code::NotFound);
    worker.stop_instance(&instance).await.unwrap();
    assert_eq!(code(worker.call(&function, b"").await), Code::NotFound);
    page_with(
        &worker,
        &[
            format!("hyperfake_calls_total{{function=\"{function}\",outcome=\"ok\"}} 1"),
            format!("hyperfake_calls_total{{function=\"{function}\",outcome=\"error\"}} 1"),
            "hyperfake_calls_total{function=\"other\",outcome=\"error\"} 1".into(),
            "hyperfake_instance_stops_total{reason=\"stop\"} 1".into(),
            "hyperfake_active_calls 0.0".into(),
            "hyperfake_slowdown_ratio 1.0".into(),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_form_is_that_which_the_client_accepts() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], HTTP).await;
    let (kind, plain) = page(&worker, "text/plain").await;
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    assert!(plain.contains("# TYPE hyperfake_calls_total counter\n"), "{plain}");
    let (kind, open) = page(&worker, "application/openmetrics-text").await;
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(open.contains("# TYPE hyperfake_calls counter\n"), "{open}");
    assert!(open.ends_with("# EOF\n"), "{open}");
}

#[tokio::test]
async fn names_of_other_systems_are_added_when_they_are_asked_for() {
    let model = constant(Duration::from_millis(2));
    let options = format!("{HTTP} --metrics-names otel,cadvisor");
    let (worker, function, instance) = TestWorker::with_instance(&model, &options).await;
    worker.call(&function, b"").await.unwrap();
    let page = page_with(&worker, &[
        format!("faas_invocations_total{{faas_name=\"{function}\",faas_trigger=\"other\"}} 1"),
        format!("faas_coldstarts_total{{faas_name=\"{function}\",faas_trigger=\"other\"}} 1"),
        format!(
            "faas_invoke_duration_seconds_count{{faas_name=\"{function}\",faas_trigger=\"other\"}} 1"
        ),
    ])
    .await;
    let cpu = page.lines().find(|line| line.starts_with("container_cpu_usage_seconds_total{"));
    let cpu = cpu.unwrap();
    assert!(cpu.contains(&format!("id=\"/docker/{instance}\"")), "{cpu}");
    assert!(cpu.contains("image=\"image\""), "{cpu}");
    // Half a core for 2 ms, and a little later.
    let seconds: f64 = cpu.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((0.001..1.0).contains(&seconds), "{cpu}");
    let memory = "container_memory_working_set_bytes{";
    assert!(page.lines().any(|line| line.starts_with(memory) && line.ends_with(" 8000000.0")));

    let plain = TestWorker::start(&[("image", &model)], HTTP).await;
    let page = page_with(&plain, &[]).await;
    assert!(!page.contains("faas_") && !page.contains("container_"), "{page}");
}

#[tokio::test]
async fn without_the_page_nothing_is_served() {
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], "--http off").await;
    assert_eq!(worker.app.http_address(), None);
    assert!(!worker.app.summary().contains("watch it"));
}
