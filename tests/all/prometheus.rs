//! The board and the alert rules in `deploy/`: each expression names what is exported, and a real
//! Prometheus, where it is installed, finds data for it.

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    metrics::page,
    program::found,
    support::{LOOKS, TestWorker, constant, pause, repository},
};

const BOARD: &str = "deploy/grafana/hyperfake-worker.json";
const RULES: &str = "deploy/prometheus/alerts.yaml";
/// A fault, inputs that no model knows, and two workers: so that every family has series.
const OPTIONS: &str = "--http 127.0.0.1:0 --admin --fleet 2 --metrics-names otel,cadvisor";
const SCENARIO: &str = "version: 1\nfaults:\n  - {name: delayed, delay: 1ms}\n";

/// A worker of whose calls every family tells.
async fn busy() -> (TestWorker, String) {
    let model = constant(Duration::from_millis(1));
    let worker = TestWorker::start(&[("image", &model)], OPTIONS).await;
    let http = worker.app.http_address().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{http}/api/v1/scenario")).body(SCENARIO);
    let request = request.header("content-type", "application/yaml");
    let answer = request.header("hyperfake-change", "1").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let function = worker.register("image").await;
    worker.start_instance(&function).await.unwrap();
    (worker, function)
}

/// The expressions of the board, for all workers and functions, and of the rules.
fn expressions() -> Vec<String> {
    let board: Value =
        serde_json::from_str(&fs::read_to_string(repository(BOARD)).unwrap()).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let of_board = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let of_board = of_board.map(|text| {
        let text = text.replace("$__rate_interval", "1m");
        text.replace("$worker", ".*").replace("$function", ".*")
    });
    let rules = fs::read_to_string(repository(RULES)).unwrap();
    let rules = rules.split("      - alert: ").skip(1).map(|rule| {
        let (_, text) = rule.split_once("expr:").unwrap();
        // Up to the next key.
        let text = text.split("\n        for:").next().unwrap();
        let text = text.split("\n        labels:").next().unwrap();
        text.trim_start_matches([' ', '|']).trim().to_owned()
    });
    of_board.chain(rules).collect()
}

/// The names of our families that an expression has.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("hyperfake_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_expression_of_the_board_and_the_rules_names_what_is_exported() {
    let (worker, function) = busy().await;
    worker.call(&function, b"").await.unwrap();
    let (_, page) = page(&worker, "").await;
    let families: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .flat_map(|(name, kind)| match kind {
            "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
            _ => vec![name.to_owned()],
        })
        .collect();
    let expressions = expressions();
    assert!(expressions.len() > 30, "{expressions:?}");
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let names = names(expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            assert!(families.contains(&name), "{name} of {expression} is not exported:\n{page}");
            used.insert(name.trim_end_matches("_bucket").trim_end_matches("_count").to_owned());
        }
    }
    for shown in
        ["hyperfake_calls_total", "hyperfake_call_duration_seconds", "hyperfake_queue_calls"]
    {
        assert!(used.contains(shown), "{shown} is not in {used:?}");
    }
}

#[tokio::test]
async fn promtool_finds_no_fault_in_the_metrics_and_the_rules() {
    let Some(promtool) = program("promtool") else { return };
    let checked = Command::new(&promtool).args(["check", "rules"]).arg(repository(RULES)).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let (worker, function) = busy().await;
    worker.call(&function, b"").await.unwrap();
    let (_, page) = page(&worker, "text/plain").await;
    // The names of others are as others chose them.
    let ours: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("hyperfake_") || line.contains(" hyperfake_"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut check = check.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = check.stdin.take().unwrap();
    input.write_all(ours.concat().as_bytes()).unwrap();
    drop(input);
    let checked = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && said.is_empty(), "{said}\n{page}");
}

#[tokio::test]
async fn a_real_prometheus_scrapes_answers_the_board_and_fires_an_alert() {
    let Some(program) = program("prometheus") else { return };
    let (worker, function) = busy().await;
    let prometheus = Prometheus::start(program, &worker);
    let calls = worker.client.clone();
    let calls = tokio::spawn(async move {
        loop {
            let request = crate::support::request(&function, &function, b"");
            crate::support::call(calls.clone(), request).await.unwrap();
            pause().await;
        }
    });
    let alerts = "ALERTS{alertname=\"HyperFakeFault\",alertstate=\"firing\",fault=\"delayed\"}";
    prometheus.until(alerts).await;
    for expression in expressions() {
        // A rule says what is wrong, and so finds nothing when all is well; and some things do not
        // happen here.
        let never = ["queue_seconds", "extrapolated_calls"];
        let is_quiet = never.iter().any(|name| expression.contains(name));
        if is_quiet || expression.contains(" > ") {
            assert!(prometheus.query(&expression).await.is_some(), "{expression} is not taken");
        } else {
            prometheus.until(&expression).await;
        }
    }
    calls.abort();
}

/// A Prometheus that scrapes a worker each second, until it is dropped.
struct Prometheus {
    process: Child,
    address: String,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Prometheus {
    fn start(program: PathBuf, worker: &TestWorker) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let target = worker.app.http_address().unwrap();
        let rules = repository(RULES);
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{}]\n\
             scrape_configs:\n  - job_name: hyperfake\n    static_configs: [{{targets: ['{target}']}}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--log.level=error"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, address, client, _folder: folder }
    }

    /// What an expression comes to; nothing when it is not taken, or there is no answer yet.
    async fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", expression)
            .finish();
        let url = format!("http://{}/api/v1/query?{query}", self.address);
        let answer = self.client.get(url).send().await.ok()?;
        let answer: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
        Some(answer["data"]["result"].as_array()?.clone())
    }

    /// Waits until there is data for an expression.
    async fn until(&self, expression: &str) {
        for _ in 0..2 * LOOKS {
            if !self.query(expression).await.unwrap_or_default().is_empty() {
                return;
            }
            pause().await;
        }
        panic!("there is no data for {expression}: {:?}", self.query(expression).await);
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program of Prometheus, in the folder that `HYPERFAKE_TEST_PROMETHEUS` names or in the path.
fn program(name: &str) -> Option<PathBuf> {
    found(name, env::var_os("HYPERFAKE_TEST_PROMETHEUS").map(PathBuf::from))
}
