//! The program itself, in a process of its own, so that its memory is its alone.

use std::{
    collections::HashSet,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::process::Process;

/// A worker, or a fleet of them, until it is dropped.
pub struct Worker {
    /// Of the first one; the others have the ports after it.
    pub address: SocketAddr,
    /// Where functions are registered.
    pub registry: String,
    /// When it was started.
    pub executed: Instant,
    process: Child,
    /// The models that were made for it.
    _models: TempDir,
}

/// A model for the image `constant`, which predicts this for every call.
pub struct Constant {
    pub runtime: Duration,
    pub ram_bytes: u64,
}

/// What is in memory, in bytes.
pub struct Memory {
    pub resident: f64,
    /// Of it, what is no part of a file: heap and stacks.
    pub anonymous: f64,
    /// The most that ever was resident.
    pub peak: f64,
}

impl Worker {
    /// With the three sample models.
    pub fn with_sample_models(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let models = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
        Self::start(&["--models-dir", models], options, folder)
    }

    /// With one model.
    pub fn with(model: &Constant, options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("constant.json");
        let (runtime, ram) = (model.runtime.as_nanos(), model.ram_bytes);
        let json = format!(
            r#"{{"kind": "constant", "runtime_ns": {runtime}, "cpu_cores": 0.01, "ram_bytes": {ram}}}"#
        );
        fs::write(&path, json).unwrap();
        Self::start(&["-m", path.to_str().unwrap(), "constant"], options, folder)
    }

    fn start(models: &[&str], options: &str, folder: TempDir) -> Self {
        let options: Vec<_> = options.split_whitespace().collect();
        let fleet = options.iter().position(|option| *option == "--fleet");
        let workers = fleet.map_or(1, |option| options[option + 1].parse().unwrap());
        let port = free_ports(workers + 1);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let registry = format!("http://127.0.0.1:{}", port + workers);
        let mut command = Command::new(env!("CARGO_BIN_EXE_hyperfake"));
        // What is set around here is not what is measured.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("HYPERFAKE_") || text.starts_with("RUST_") {
                command.env_remove(name);
            }
        }
        command.args(["server", "--address", &address.to_string(), "--log-level", "warn"]);
        command.args(["--database-type", "embedded", "--database-address", &registry]);
        command.args(models).args(options).stdin(Stdio::null()).stdout(Stdio::null());
        let executed = Instant::now();
        let process = command.spawn().unwrap();
        Self { address, registry, executed, process, _models: folder }
    }

    /// Fails when it has ended.
    pub fn check(&mut self) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("the worker ended: {status}");
        }
    }

    pub fn memory(&self) -> Memory {
        let [resident, anonymous, peak] =
            ["VmRSS", "RssAnon", "VmHWM"].map(|name| self.seen().bytes(name) as f64);
        Memory { resident, anonymous, peak }
    }

    /// How many file descriptors it has.
    pub fn descriptors(&self) -> usize {
        self.seen().count("fd")
    }

    fn seen(&self) -> Process {
        Process(self.process.id())
    }

    /// The clients' ports of the connections that are open.
    pub fn connections(&self) -> HashSet<u16> {
        const ESTABLISHED: &str = "01";
        let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let lines = table.lines().filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote) = (port(fields.next()?)?, port(fields.next()?)?);
            (local == self.address.port() && fields.next()? == ESTABLISHED).then_some(remote)
        });
        lines.collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first of so many ports, one after the other, that are free and that the system gives only
/// to those who ask for them.
fn free_ports(count: u16) -> u16 {
    const RANGE: std::ops::Range<u16> = 12_000..32_000;
    let somewhere = RANGE.start + (std::process::id() % 100) as u16 * 100;
    let starts = (somewhere..RANGE.end - count).chain(RANGE.start..somewhere);
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    starts.step_by(count.into()).find(|&start| (start..start + count).all(free)).unwrap()
}
