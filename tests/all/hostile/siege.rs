//! A worker in a process of its own, and an honest client that must not notice attacks.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyperfake_proto::controller::{
    MetricsRequest, common::FunctionId, controller_client::ControllerClient,
};
use hyperfake_worker::functions::http::HttpStore;
use tonic::transport::Channel;

use crate::{
    program::{Served, hyperfake},
    support::{call, channel_to, eventually, request},
};

/// A call takes a millisecond, and a second for each of its bytes. The RAM in use is the number of
/// running calls, and the CPU of a call is the number of other calls when it arrived.
const MODEL: &str = r#"{
    "kind": "linear",
    "runtime_ns": {"intercept": 1e6, "request_bytes": 1e9},
    "cpu_cores": {"active_calls": 1},
    "ram_bytes": {"intercept": 1048576}
}"#;
/// The worker's memory, of which each call holds one.
const MEBIBYTES: usize = 1 << 20;

/// The most that a worker's memory may grow during an attack: 10,000 concurrent streams hold up to
/// 10 KiB each, while without limits the attacks would use more than half a gigabyte.
const MAX_GROWTH: u64 = 256 << 20;

pub(crate) struct Siege {
    server: Served,
    pub(crate) client: ControllerClient<Channel>,
    pub(crate) function: String,
    answers: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    honest: tokio::task::JoinHandle<()>,
    peak: u64,
    _folder: tempfile::TempDir,
}

impl Siege {
    /// Starts a worker with one call thread, so that all clients share it.
    pub(crate) async fn begin(options: &str) -> Self {
        Self::begin_as(hyperfake(), options).await
    }

    pub(crate) async fn begin_as(command: Command, options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.json");
        std::fs::write(&path, MODEL).unwrap();
        let server = Served::start_as(
            command,
            &format!(
                "--runtime instant --workers 1 --memory {MEBIBYTES}MiB {options} -m {} image",
                path.display()
            ),
        );
        let registry = HttpStore::new(server.database.parse().unwrap()).unwrap();
        let function = registry.register("image").await.unwrap();
        let mut client = ControllerClient::new(channel_to(server.address.parse().unwrap()).await);
        client.start(FunctionId { id: function.clone() }).await.unwrap();
        let (answers, enough) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let honest = {
            let (client, function) = (client.clone(), function.clone());
            let (answers, enough) = (Arc::clone(&answers), Arc::clone(&enough));
            tokio::spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    let answer = call(client.clone(), request(&function, &function, b""));
                    let answer = tokio::time::timeout(Duration::from_secs(60), answer).await;
                    answer.expect("an honest call hangs").expect("an honest call failed");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let mut siege =
            Self { server, client, function, answers, enough, honest, peak: 0, _folder: folder };
        siege.honest_answers(200).await;
        siege.peak = siege.peak_memory();
        siege
    }

    pub(crate) fn address(&self) -> &str {
        &self.server.address
    }

    /// Where functions are registered.
    pub(crate) fn database(&self) -> &str {
        &self.server.database
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.process.id()
    }

    /// Waits until the honest client got this many more answers.
    pub(crate) async fn honest_answers(&self, more: usize) {
        let enough = self.answers.load(Ordering::Relaxed) + more;
        let answered =
            || self.answers.load(Ordering::Relaxed) >= enough || self.honest.is_finished();
        eventually("the honest client is served", answered).await;
        assert!(!self.honest.is_finished(), "the honest client failed");
    }

    /// The number of running calls, from the worker's metrics.
    pub(crate) async fn running(&self) -> usize {
        let metrics = self.client.clone().metrics(MetricsRequest::default()).await.unwrap();
        (metrics.into_inner().used_ram_percent / 100.0 * MEBIBYTES as f64).round() as usize
    }

    /// Waits until this many calls run, of which one may be the honest client's.
    pub(crate) async fn until_running(&self, enough: impl Fn(usize) -> bool) {
        let running = async {
            while !enough(self.running().await) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), running).await;
        assert!(waited.is_ok(), "{} calls run after a minute", self.running().await);
    }

    /// Ends the attack, and checks that the honest client was served all the time, that the memory
    /// stayed within its bound, that nothing is held any more and that the worker exits at once on
    /// SIGTERM. Returns the worker's log.
    pub(crate) async fn end(self) -> String {
        self.honest_answers(200).await;
        self.enough.store(true, Ordering::Relaxed);
        self.honest.await.unwrap();
        let grown = peak_memory(self.server.process.id()) - self.peak;
        println!("the memory grew by {} KiB", grown >> 10);
        assert!(grown < MAX_GROWTH, "the memory grew by {grown} bytes");

        let (mut used, mut others) = (f64::NAN, f64::NAN);
        for _ in 0..3000 {
            let metrics = self.client.clone().metrics(MetricsRequest::default()).await.unwrap();
            let metrics = metrics.into_inner();
            used = metrics.used_ram_percent + metrics.cpu_percent_percpu[0];
            let answer = call(self.client.clone(), request(&self.function, &self.function, b""));
            others = answer.await.unwrap().trailers.cpu_cores.unwrap();
            if (used, others) == (0.0, 0.0) {
                break;
            }
        }
        assert_eq!((used, others), (0.0, 0.0), "resources are held without a call");

        drop(self.client);
        self.server.signal("-TERM");
        let (code, log) = self.server.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("aborted in-flight calls"), "a call was still counted: {log}");
        log
    }

    fn peak_memory(&self) -> u64 {
        peak_memory(self.pid())
    }
}

/// The peak memory of a process, in bytes.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
