use std::{
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;

/// How a model is fitted.
#[derive(Debug, Clone)]
pub struct Options {
    /// The function, by id or image; needed if the rows have the calls of several.
    pub function: Option<String>,
    /// Which kind of model is made.
    pub kind: Kind,
    /// What becomes of the first calls of instances.
    pub cold: ColdCalls,
    /// How much of the beginning is left out, from the first arrival on.
    pub warm_up: Duration,
    /// The CPU of each call, in cores, if the rows do not know it.
    pub cpu_cores: Option<f64>,
    /// The memory of each call, in bytes, if the rows do not know it.
    pub ram_bytes: Option<u64>,
    /// What the model answers to calls, as the setting `response`.
    pub response: Option<String>,
    /// Where the random numbers of the training start.
    pub seed: u64,
    /// How many steps of gradient descent a network is trained for.
    pub steps: usize,
    /// Set to true, by any thread, it ends the search: the best so far is the result.
    pub stop: Arc<AtomicBool>,
    /// Where the rows came from, for the report.
    pub sources: Vec<Source>,
}

impl Options {
    /// The steps of gradient descent, unless others are asked for.
    pub const STEPS: usize = 4000;

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            function: None,
            kind: Kind::Auto,
            cold: ColdCalls::Leave,
            warm_up: Duration::ZERO,
            cpu_cores: None,
            ram_bytes: None,
            response: None,
            seed: 1,
            steps: Self::STEPS,
            stop: Arc::default(),
            sources: Vec::new(),
        }
    }
}

/// A kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The one with the better score; of two that are as good, the table.
    #[default]
    Auto,
    /// A table of quantiles: a `.json` file.
    Table,
    /// A network with quantiles as outputs: an `.onnx` file.
    Network,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Table, Self::Network];

    /// The name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Table => "table",
            Self::Network => "network",
        }
    }

    /// The extension of its files; nothing for `Auto`.
    #[must_use]
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Table => Some("json"),
            Self::Network => Some("onnx"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("no kind of model is called '{name}'; there are {known}")
        })
    }
}

/// What becomes of the first calls of instances, which often run for longer than later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColdCalls {
    /// They are left out.
    #[default]
    Leave,
    /// They count as all others.
    Keep,
}

/// A file that rows came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// How many calls are in it.
    pub rows: u64,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done, as in `training the network`.
    pub what: &'static str,
    /// How many of `total` parts are done.
    pub done: u64,
    /// How many parts there are.
    pub total: u64,
    /// The best score so far of the candidate: its error as a share of the one without features.
    pub best: Option<f64>,
}
