use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::Process;

/// The real program in a process of its own, which ends with this.
pub(crate) struct Program {
    process: Child,
    pub(crate) command: String,
    /// Where its workers serve.
    pub(crate) addresses: Vec<String>,
    pub(crate) database: String,
    /// What it writes if it has a scenario.
    pub(crate) record: Option<Record>,
}

/// Where it says what became of the calls.
pub(crate) struct Record {
    /// The file of rows.
    pub(crate) file: PathBuf,
    /// The page of metrics.
    pub(crate) metrics: String,
    _folder: TempDir,
}

/// An instance without calls goes down, and a listener that went away is forgotten, after this.
pub(crate) const FORGET: Duration = Duration::from_millis(500);

impl Program {
    /// With the shipped models, ten times as fast, and forgetting quickly.
    pub(crate) fn start(program: &Path, fleet: u32, scenario: Option<&str>) -> Self {
        let mut options = format!(
            "server --address 127.0.0.1:0 --database-type embedded --database-address \
             http://127.0.0.1:0 --models-dir models --time-scale 0.1 --auto-remove \
             --idle-timeout {FORGET:?} --timeout {FORGET:?} --max-rpcs 0 --max-connections 8192 \
             --log-level warn --fleet {fleet}"
        );
        let record = scenario.map(|scenario| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("record.csv");
            let metrics =
                TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
            options += &format!(
                " --scenario {scenario} --record {} --metrics-address {metrics}",
                file.display()
            );
            Record { file, metrics, _folder: folder }
        });
        let mut process = Command::new(program)
            .args(options.split_whitespace())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut summary = String::new();
        while !summary.contains("functions are") {
            assert_ne!(output.read_line(&mut summary).unwrap(), 0, "the program ended: {summary}");
        }
        let serving = summary.lines().find(|line| line.starts_with("serving ")).unwrap();
        let addresses = serving.split([' ', ',']).filter(|word| word.starts_with("127."));
        let database = summary.trim_end().rsplit(' ').next().unwrap();
        Self {
            command: format!("hyperfake {options}"),
            addresses: addresses.map(str::to_owned).collect(),
            database: database.to_owned(),
            record,
            process,
        }
    }

    /// Lets it end, and with it what it writes.
    pub(crate) fn end(mut self) -> Option<Record> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "the program ended with {status}");
        self.record.take()
    }

    /// What the system says of it.
    pub(crate) fn process(&self) -> Process {
        Process(self.process.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
