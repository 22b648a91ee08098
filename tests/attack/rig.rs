//! A worker in a process of its own, honest clients of it, and what is judged.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hyperfake_proto::controller::{
    MetricsRequest, common::FunctionId, controller_client::ControllerClient,
};
use hyperfake_worker::functions::http::HttpStore;
use tonic::transport::Channel;

use crate::attacker::pause;

/// The most that the worker's memory may grow.
pub(crate) const MOST_MEMORY: u64 = 256 << 20;
/// What the allocator may keep of memory that was given back: it returns pages of a heap only when
/// nothing is left at their ends, and each call thread has a heap.
pub(crate) const ALLOCATORS_RESERVE: u64 = 128 << 20;
/// An attack goes no further than this.
const ENOUGH: u64 = MOST_MEMORY + (64 << 20);
/// The longest 99th percentile of the honest clients.
const P99: Duration = Duration::from_millis(50);

/// How a case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For a moment, on a machine that does other things as well.
    Short,
    /// For several seconds; times are judged.
    Long,
}

impl Form {
    /// How long an attack takes.
    pub(crate) fn time(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(1),
            Self::Long => Duration::from_secs(6),
        }
    }
}

/// A server under attack, killed when dropped.
pub(crate) struct Rig {
    process: Child,
    /// Of the first and of the last worker.
    pub(crate) address: SocketAddr,
    pub(crate) last: SocketAddr,
    pub(crate) database: String,
    /// A function that takes no time, and one that takes ten minutes, each with an instance of the
    /// first worker.
    pub(crate) zero: String,
    pub(crate) slow: String,
    form: Form,
    until: Instant,
    at_rest: u64,
    descriptors: usize,
    folder: tempfile::TempDir,
}

impl Rig {
    /// A server with these options.
    pub(crate) async fn start(form: Form, options: &str) -> Self {
        Self::start_with(form, options, None).await
    }

    /// A server that may have so many descriptors.
    pub(crate) async fn start_with(form: Form, options: &str, descriptors: Option<usize>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let limit = descriptors.map(|most| format!("ulimit -n {most}; ")).unwrap_or_default();
        command.args([
            "-c",
            &format!("{limit}exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_hyperfake"),
        ]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HYPERFAKE_")) {
            command.env_remove(name);
        }
        command.args(["server", "--address", "127.0.0.1:0", "--runtime", "instant"]);
        if !options.contains("--database-type") {
            command.args(["--database-type", "embedded"]);
            command.args(["--database-address", "http://127.0.0.1:0"]);
        }
        command.args(options.split_whitespace());
        for (image, nanoseconds) in [("fast", "1e6"), ("zero", "0"), ("slow", "6e11")] {
            let path = folder.path().join(format!("{image}.json"));
            let model = format!(
                r#"{{"kind": "constant", "runtime_ns": {nanoseconds}, "cpu_cores": 0.001,
                    "ram_bytes": 1000}}"#
            );
            fs::write(&path, model).unwrap();
            command.arg("-m").arg(path).arg(image);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut summary = String::new();
        while !summary.contains("functions are") {
            let read = output.read_line(&mut summary).unwrap();
            let log = || fs::read_to_string(folder.path().join("log")).unwrap();
            assert!(read > 0, "the server ended: {summary}{}", log());
        }
        let after = |words: &str| {
            let rest = summary.split(words).nth(1)?;
            Some(rest.split([',', '\n', ' ']).next()?.to_owned())
        };
        let serving = after("serving on ").or_else(|| after("workers on ")).unwrap();
        let address = serving.parse().unwrap();
        // Workers of a fleet at port 0 have ports in no order: all are named.
        let line = summary.lines().find(|line| line.starts_with("serving")).unwrap();
        let mut named = line.split([' ', ',']).filter_map(|word| word.parse().ok());
        let last = named.next_back().unwrap_or(address);
        let database = after(" at ").unwrap();
        let mut rig = Self {
            process,
            address,
            last,
            database,
            zero: String::new(),
            slow: String::new(),
            form,
            until: Instant::now(),
            at_rest: 0,
            descriptors: 0,
            folder,
        };
        if !options.contains("--database-type") {
            rig.zero = rig.function("zero").await;
            rig.slow = rig.function("slow").await;
            // So that what is made once is there.
            rig.victim(rig.address, Duration::from_millis(300)).judge();
            rig.victim(rig.last, Duration::from_millis(100)).judge();
        }
        rig.until_idle().await;
        rig.at_rest = rig.memory();
        rig.descriptors = rig.descriptors();
        rig.until = Instant::now() + form.time();
        rig
    }

    /// Registers a function and starts an instance of it on the first worker.
    pub(crate) async fn function(&self, image: &str) -> String {
        let registry = HttpStore::new(self.database.parse().unwrap()).unwrap();
        let id = registry.register(image).await.unwrap();
        self.client().await.start(FunctionId { id: id.clone() }).await.unwrap();
        id
    }

    pub(crate) async fn client(&self) -> ControllerClient<Channel> {
        let address = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        ControllerClient::new(address.connect().await.unwrap())
    }

    /// Honest clients of a worker, 200 calls a second.
    pub(crate) fn victim(&self, address: SocketAddr, time: Duration) -> Victim {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hyperfake"));
        command.args(["load", "--functions", "fast", "--rate", "200", "--deadline", "20s"]);
        command.args(["--json", "--duration", &format!("{}ms", time.as_millis())]);
        command.args(["--address", &address.to_string(), "--database-address", &self.database]);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Victim(output)
    }

    /// Lets an attack go on for its time, and judges.
    pub(crate) async fn attacked<T>(self, attack: impl AsyncFnOnce(&Self) -> T) {
        let address = self.address;
        self.attacked_beside(address, attack).await;
    }

    /// The same, with the honest clients at this worker. What the attack returns is what the attacker
    /// holds: it is dropped at the end.
    pub(crate) async fn attacked_beside<T>(
        mut self,
        address: SocketAddr,
        attack: impl AsyncFnOnce(&Self) -> T,
    ) {
        let victim = self.victim(address, self.form.time() + Duration::from_millis(500));
        // The honest clients are there first.
        pause(Duration::from_millis(300)).await;
        self.until = Instant::now() + self.form.time();
        let held = attack(&self).await;
        let p99 = victim.judge();
        drop(held);
        // Among what the attacker sent may be something that is still to be done.
        self.gives_everything_back().await;
        let grown = self.peak().saturating_sub(self.at_rest);
        println!("{} MiB above rest at most, honest clients' p99 {p99:?}", grown >> 20);
        assert!(grown <= MOST_MEMORY, "the memory grew by {} MiB", grown >> 20);
        let is_judged = self.form == Form::Long;
        self.end();
        assert!(!is_judged || p99 < P99, "the 99th percentile of honest calls is {p99:?}");
    }

    pub(crate) async fn gives_everything_back(&self) {
        self.until_idle().await;
        let (mut kept, mut open) = (0, 0);
        for _ in 0..200 {
            kept = self.memory().saturating_sub(self.at_rest);
            open = self.descriptors().saturating_sub(self.descriptors);
            if kept <= ALLOCATORS_RESERVE && open <= 2 {
                return;
            }
            pause(Duration::from_millis(50)).await;
        }
        panic!("afterwards {} MiB and {open} descriptors are held", kept >> 20);
    }

    /// Waits until no call holds anything.
    async fn until_idle(&self) {
        for _ in 0..400 {
            let metrics = self.client().await.metrics(MetricsRequest::default()).await;
            let metrics = metrics.unwrap().into_inner();
            if metrics.used_ram_percent == 0.0 && metrics.cpu_percent_percpu[0] == 0.0 {
                return;
            }
            pause(Duration::from_millis(25)).await;
        }
        panic!("calls hold something after 10 s: {}", self.log());
    }

    /// Whether the attack has gone on for long enough.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.memory() > self.at_rest + ENOUGH
    }

    /// Lets time pass until then.
    pub(crate) async fn wait(&self) {
        while !self.is_over() {
            pause(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Ends the server, which it survived and logged no panic.
    pub(crate) fn end(mut self) {
        assert!(self.process.try_wait().unwrap().is_none(), "the server ended: {}", self.log());
        self.signal("-TERM");
        let code = self.process.wait().unwrap().code();
        let log = self.log();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        self.at_most_one_warning_a_second(&log);
    }

    /// How long the server takes to end.
    pub(crate) fn time_to_end(&mut self) -> Duration {
        let began = Instant::now();
        self.signal("-TERM");
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "{}", self.log());
        began.elapsed()
    }

    /// Of each kind, by its first words; a few parts of the server count for themselves.
    fn at_most_one_warning_a_second(&self, log: &str) {
        let mut seen = std::collections::HashMap::<_, usize>::new();
        for line in log.lines().filter(|line| line.contains(" WARN ")) {
            let second = line.get(..19).unwrap_or_default();
            let kind = line.split("WARN").nth(1).unwrap_or_default();
            let kind: String = kind.trim().chars().take(60).collect();
            *seen.entry((second.to_owned(), kind)).or_default() += 1;
        }
        let most = seen.iter().max_by_key(|(_, count)| **count);
        if let Some((kind, count)) = most {
            assert!(*count <= 3, "{count} warnings in one second: {kind:?}");
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// A line of the process's state, in bytes.
    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("the server is gone: {}", self.log()));
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `hyperfake load` beside an attack.
pub(crate) struct Victim(Child);

impl Victim {
    /// None of its calls failed. Returns the 99th percentile of their latencies.
    pub(crate) fn judge(self) -> Duration {
        let output = self.0.wait_with_output().unwrap();
        let (text, error) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        let report: serde_json::Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("the honest clients got nothing: {text}{error}"));
        let function = &report["functions"][0];
        let errors = &function["errors"];
        assert!(errors.as_object().unwrap().is_empty(), "honest calls failed: {errors}");
        assert!(function["answered"].as_u64().unwrap() > 0, "no honest call was answered");
        Duration::from_nanos(function["latency_ns"]["p99"].as_u64().unwrap())
    }
}
