use std::{collections::BTreeMap, error::Error};

use hyperfake_proto::controller::common::CallResponse;
use tonic::{Code, Status, TimeoutExpired};

/// How calls ended, counted by function and kind of end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(BTreeMap<Of, u64>);

/// A worker's address, a function's id, and how calls of it ended there.
type Of = (String, String, Kind);

/// How a call ended, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this code.
    Code(Code),
    /// Without an answer: its connection was closed.
    NoAnswer,
}

/// Ends that a client and a worker can tell apart for certain, by the names that they have in a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It was answered, or the client's deadline passed: at the deadline an answer may be on its way.
    AnsweredOrLate,
    /// The instance died, or the connection was closed.
    Unavailable,
    /// With another code.
    Other(String),
}

impl End {
    pub(crate) fn of(ended: Result<CallResponse, Status>) -> Self {
        let status = match ended {
            // The function's own code failed, which this API answers with OK.
            Ok(CallResponse { error: Some(_), .. }) => return Self::Code(Code::Unknown),
            Ok(_) => return Self::Code(Code::Ok),
            Err(status) => status,
        };
        // What has a source did not come from the worker.
        let mut cause = status.source();
        while let Some(error) = cause {
            if error.is::<TimeoutExpired>() {
                return Self::Code(Code::DeadlineExceeded);
            }
            cause = error.source();
        }
        if status.source().is_some() { Self::NoAnswer } else { Self::Code(status.code()) }
    }
}

impl From<End> for Kind {
    fn from(end: End) -> Self {
        match end {
            End::NoAnswer => Self::Unavailable,
            // A record has the names of the specification: those of the constants in capitals.
            End::Code(code) => Self::of(&capitals(&format!("{code:?}"))),
        }
    }
}

impl Kind {
    /// That of a row with this outcome.
    pub(crate) fn of(outcome: &str) -> Self {
        match outcome {
            "OK" | "CANCELLED" | "DEADLINE_EXCEEDED" => Self::AnsweredOrLate,
            "UNAVAILABLE" => Self::Unavailable,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, worker: &str, function: &str, end: impl Into<Kind>) {
        let of = (worker.to_owned(), function.to_owned(), end.into());
        *self.0.entry(of).or_default() += 1;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (of, count) in &other.0 {
            *self.0.entry(of.clone()).or_default() += count;
        }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.0.values().sum()
    }

    /// Where another tally differs.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut all = self.clone();
        all.add_all(other);
        let count = |tally: &Self, of| tally.0.get(of).copied().unwrap_or(0);
        let counts = all.0.keys().map(|of| (of, count(self, of), count(other, of)));
        let different = counts.filter(|(_, ours, theirs)| ours != theirs);
        different
            .map(|((worker, function, kind), ours, theirs)| {
                format!("{worker}, {function}, {kind:?}: {ours} and {theirs}")
            })
            .collect()
    }
}

/// Such as `NOT_FOUND` for `NotFound`.
fn capitals(name: &str) -> String {
    let mut capitals = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !capitals.is_empty() {
            capitals.push('_');
        }
        capitals.push(character.to_ascii_uppercase());
    }
    capitals
}
