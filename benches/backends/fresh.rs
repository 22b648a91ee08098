//! What is only seen in a process that has done nothing else: how long a model takes to open, with
//! all that its runtime loads for it, and how much memory a session takes.
//!
//! Memory is what the system counts as resident, because a library in C does not ask Rust for it.
//! Sessions are made, each is asked once, and all are kept, until they filled some memory: that is
//! what earlier work has freed. What fills the memory after that is counted.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use hyperfake_predictor::{Predictor, Session};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use crate::{
    forms::{all_backends, open},
    measure::median,
    network::INPUTS,
};

pub(crate) const PROCESSES: usize = 5;

/// This much is filled, or with so many sessions, first without being counted.
pub(crate) const FILLED_BYTES: u64 = 32 << 20;
pub(crate) const MOST_SESSIONS: usize = 20_000;

pub(crate) struct Fresh {
    pub(crate) open_ns: f64,
    pub(crate) session_bytes: f64,
}

impl Fresh {
    /// Medians of some processes.
    pub(crate) fn of(uri: &str, ort_library: Option<&Path>) -> Self {
        let runs: Vec<[f64; 2]> = (0..PROCESSES).map(|_| run(uri, ort_library)).collect();
        let [open_ns, session_bytes] =
            [0, 1].map(|index| median(&runs.iter().map(|run| run[index]).collect::<Vec<_>>()));
        Self { open_ns, session_bytes }
    }
}

/// Starts this program anew; what it prints is from [`print`].
fn run(uri: &str, ort_library: Option<&Path>) -> [f64; 2] {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--bench", "--fresh", uri]);
    if let Some(library) = ort_library {
        command.arg("--ort-lib").arg(library);
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{uri} failed in a process of its own");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// The child's part.
pub(crate) fn print(uri: &str, ort_library: Option<PathBuf>) {
    let backends = all_backends(ort_library);
    let start = Instant::now();
    let predictor = open(&backends, uri);
    let open_ns = start.elapsed().as_nanos();
    let mut sessions = Vec::with_capacity(2 * MOST_SESSIONS);
    fill(&mut sessions, &*predictor);
    println!("{open_ns} {}", fill(&mut sessions, &*predictor));
}

/// The bytes that each of the new sessions took.
fn fill(sessions: &mut Vec<Box<dyn Session>>, predictor: &dyn Predictor) -> f64 {
    let (before, first) = (resident_bytes(), sessions.len());
    loop {
        for inputs in &INPUTS[..50] {
            let mut session = predictor.session().unwrap();
            session.predict(inputs).unwrap();
            sessions.push(session);
        }
        let (bytes, count) = (resident_bytes().saturating_sub(before), sessions.len() - first);
        if bytes >= FILLED_BYTES || count >= MOST_SESSIONS {
            return bytes as f64 / count as f64;
        }
    }
}

fn resident_bytes() -> u64 {
    let (mut system, process) = (System::new().unwrap(), sysinfo::get_current_pid().unwrap());
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[process]), false, memory);
    system.process(process).unwrap().memory()
}
