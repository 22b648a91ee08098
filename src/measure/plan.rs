use std::time::Duration;

use bytes::Bytes;

use crate::client;

/// What is measured, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The function's name: its id and its image in the rows.
    pub name: String,
    /// What runs it.
    pub subject: Subject,
    /// How it is called.
    pub protocol: Protocol,
    /// The bodies that phases choose from.
    pub bodies: Vec<Bytes>,
    /// What is cut off the beginning of each phase: its calls are made and are in no row.
    pub warm_up: Duration,
    /// The most calls at once on each instance; others wait for a place.
    pub concurrency: Option<u32>,
    /// The longest that a call may take.
    pub deadline: Duration,
    /// How many processes are started, called once and ended before the others.
    pub cold_starts: u32,
}

/// What runs a function.
#[derive(Debug, Clone)]
pub enum Subject {
    /// Processes that are started for it.
    Processes(Processes),
    /// What runs already.
    Running(client::Target),
}

/// Processes that are started.
#[derive(Debug, Clone)]
pub struct Processes {
    /// The command, as a shell takes it. `{port}` in it is the port on which the process is to serve, as
    /// is the variable `PORT`.
    pub command: String,
    /// How many.
    pub instances: u32,
    /// What each may use.
    pub limits: Limits,
    /// How it is known that a process is ready.
    pub ready_by: ReadyBy,
    /// The longest from the start of a process until it is ready.
    pub ready: Duration,
}

/// How it is known that a process is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadyBy {
    /// It takes connections.
    #[default]
    Connection,
    /// It has called `SignalReady` of `worker.Worker` at the address in the variable `CONTROLLER_ADDRESS`, as
    /// functions of HyperFaaS do, and takes connections. `FUNCTION_ID` is the plan's name.
    Signal,
}

/// What a process may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// CPU time a second, in cores.
    pub cpus: Option<f64>,
    /// Memory, in bytes.
    pub memory: Option<u64>,
}

impl Limits {
    /// Whether there is one.
    #[must_use]
    pub fn any(&self) -> bool {
        self.cpus.is_some() || self.memory.is_some()
    }
}

/// How a function is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// By gRPC: this method, with this `:authority`, or the address.
    Grpc {
        /// As `package.Service/Method`.
        method: String,
        /// A function's id, to a leaf.
        authority: Option<String>,
    },
    /// By HTTP POST at this path.
    Http {
        /// It begins with a slash.
        path: String,
    },
    /// By `Call` of a worker's API of 2025, with this function's id.
    Worker {
        /// It is registered there, and has instances.
        function: String,
    },
}

/// Calls at one rate and of one size, whether or not earlier ones were answered; the gaps between them are
/// random, as of many independent users.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// Calls a second.
    pub rate: f64,
    /// Which of the plan's bodies.
    pub body: usize,
    /// For how long calls are sent.
    pub length: Duration,
    /// The seed of the gaps.
    pub seed: u64,
}

/// Each rate with each body, in a random order; as often as there are rounds, each round in an order of
/// its own, so that a machine that becomes slower does not look like a load that becomes higher.
#[must_use]
pub fn phases(rates: &[Vec<f64>], length: Duration, rounds: u32, seed: u64) -> Vec<Phase> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut phases = Vec::new();
    for _ in 0..rounds {
        let mut round = Vec::new();
        for (body, rates) in rates.iter().enumerate() {
            round.extend(rates.iter().map(|rate| (*rate, body)));
        }
        random.shuffle(&mut round);
        phases.extend(round.into_iter().map(|(rate, body)| Phase {
            rate,
            body,
            length,
            seed: random.u64(..),
        }));
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_each_rate_with_each_body_once_in_an_order_of_its_own() {
        let rates = [vec![1.0, 2.0, 3.0], vec![4.0, 5.0]];
        let length = Duration::from_secs(1);
        let made = phases(&rates, length, 3, 7);
        assert_eq!(made.len(), 15);
        let order = |round: &[Phase]| {
            round.iter().map(|phase| (phase.rate as u64, phase.body)).collect::<Vec<_>>()
        };
        let rounds: Vec<_> = made.chunks(5).map(order).collect();
        for round in &rounds {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1)]);
        }
        assert!(rounds[0] != rounds[1] || rounds[1] != rounds[2]);
        assert_eq!(made, phases(&rates, length, 3, 7));
        assert_ne!(made, phases(&rates, length, 3, 8));
    }
}
