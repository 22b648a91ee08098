//! An etcd for a test: our own, or a real one.

use std::{
    env,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    program::found,
    support::{TestWorker, constant},
};

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

/// A program of etcd's: beside the one that `HYPERFAKE_TEST_ETCD` names, or in the path.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let etcd = env::var_os("HYPERFAKE_TEST_ETCD").map(PathBuf::from);
    found(name, etcd.and_then(|etcd| Some(etcd.parent()?.to_owned())))
}
