//! The program in a process of its own.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use hyperfake_proto::controller::{MetricsRequest, controller_client::ControllerClient};

use crate::support::repository;

pub(crate) const HYPERFAKE: &str = env!("CARGO_BIN_EXE_hyperfake");

pub(crate) fn hyperfake() -> Command {
    command(HYPERFAKE)
}

/// A program, without the options in the environment of the test run.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("HYPERFAKE_")) {
        command.env_remove(name);
    }
    command.current_dir(repository(""));
    command
}

/// A program of others: in this folder, if there is one, or in the path. A missing one is an error only
/// when everything has to be tested.
pub(crate) fn found(name: &str, folder: Option<PathBuf>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = folder.into_iter().chain(env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        assert!(env::var_os("HYPERFAKE_TEST_ALL").is_none(), "there is no {name}");
        println!("skipped: there is no {name}");
    }
    found
}

/// A server in a process of its own, killed when dropped.
pub(crate) struct Served {
    pub(crate) process: Child,
    pub(crate) address: String,
    pub(crate) database: String,
    pub(crate) summary: String,
}

impl Served {
    pub(crate) fn start(options: &str) -> Self {
        Self::start_as(hyperfake(), options)
    }

    pub(crate) fn start_as(mut command: Command, options: &str) -> Self {
        let mut process = command
            .args(["server", "--address", "127.0.0.1:0", "--database-type", "embedded"])
            .args(["--database-address", "http://127.0.0.1:0"])
            .args(options.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut summary = String::new();
        while !summary.contains("functions are") {
            if output.read_line(&mut summary).unwrap() == 0 {
                let mut error = String::new();
                process.stderr.take().unwrap().read_to_string(&mut error).unwrap();
                panic!("the server ended: {summary}{error}");
            }
        }
        let after = |words: &str| {
            let rest = summary.split(words).nth(1).unwrap();
            rest.split([',', '\n']).next().unwrap().to_owned()
        };
        let (address, database) = (after("serving on "), after("registered here, at "));
        Self { process, address, database, summary }
    }

    /// Waits until a call holds memory.
    pub(crate) fn wait_until_busy(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let address = format!("http://{}", self.address);
            let channel = tonic::transport::Channel::from_shared(address).unwrap();
            let mut client = ControllerClient::new(channel.connect().await.unwrap());
            loop {
                let metrics = client.metrics(MetricsRequest::default()).await.unwrap();
                if metrics.into_inner().used_ram_percent > 0.0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for the end and returns the exit code and the log.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.process.wait().unwrap().code(), log)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
