//! An etcd for a test: our own, or a real one.

use std::{
    env,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{TestWorker, constant};

/// One that serves until it is dropped.
pub(super) enum Etcd {
    Own { worker: Box<TestWorker> },
    Real { process: Child, address: String, _folder: TempDir },
}

impl Etcd {
    pub(super) async fn own() -> Self {
        let model = constant(Duration::ZERO);
        let worker = TestWorker::start(&[("image", &model)], "--etcd-listen 127.0.0.1:0").await;
        Self::Own { worker: Box::new(worker) }
    }

    /// A real one, if it is installed.
    pub(super) async fn real() -> Option<Self> {
        let program = program("etcd")?;
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, peer) = (free(), free());
        let [client, peer] = [client, peer].map(|listener| listener.local_addr().unwrap());
        let url = |address| format!("http://{address}");
        let process = Command::new(program)
            .arg("--data-dir")
            .arg(folder.path())
            .args(["--listen-client-urls", &url(client), "--advertise-client-urls", &url(client)])
            .args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)])
            .args(["--initial-cluster", &format!("default={}", url(peer))])
            .args(["--log-level", "error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (address, _folder) = (client.to_string(), folder);
        let etcd = Self::Real { process, address, _folder };
        let store = super::store(etcd.address());
        for _ in 0..3000 {
            if store.answers().await {
                return Some(etcd);
            }
            tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>())
                .await
                .unwrap_err();
        }
        panic!("etcd does not answer");
    }

    /// Our own and, if it is installed, a real one.
    pub(super) async fn every() -> Vec<Self> {
        Some(Self::own().await).into_iter().chain(Self::real().await).collect()
    }

    pub(super) fn address(&self) -> &str {
        match self {
            Self::Own { worker } => worker.app.etcd_address().unwrap(),
            Self::Real { address, .. } => address,
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if let Self::Real { process, .. } = self {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A program of etcd's: beside the one that `HYPERFAKE_TEST_ETCD` names, or in the path. A missing one
/// is an error only when everything has to be tested.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let named =
        env::var_os("HYPERFAKE_TEST_ETCD").map(|etcd| PathBuf::from(etcd).with_file_name(name));
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|folder| folder.join(name));
    let found = named.into_iter().chain(in_path).find(|program| program.is_file());
    if found.is_none() {
        assert!(env::var_os("HYPERFAKE_TEST_ALL").is_none(), "there is no {name}");
        println!("skipped: there is no {name}");
    }
    found
}
