use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;

use super::{format, json};
use crate::functions::{FunctionSpec, metadata::Metadata};

/// What was done with a function.
#[derive(Debug, Serialize)]
pub(crate) struct FunctionChange {
    pub(crate) did: &'static str,
    pub(crate) function_id: String,
}

impl FunctionChange {
    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        format!("{} the function {}", self.did, self.function_id.escape_debug())
    }
}

/// The functions in a store.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct FunctionList(Vec<Row>);

#[derive(Debug, Serialize)]
struct Row {
    function_id: String,
    image: String,
    memory_bytes: Option<u64>,
    cpu_cores: Option<f64>,
    max_concurrency: Option<u32>,
    timeout_seconds: Option<u64>,
    /// Why it is no function.
    problem: Option<String>,
}

impl FunctionList {
    /// Of these ids, and what is stored under each.
    pub(crate) fn new(found: Vec<(String, Result<Metadata, serde_json::Error>)>) -> Self {
        Self(found.into_iter().map(|(id, stored)| Row::new(id, stored)).collect())
    }

    pub(crate) fn json(&self) -> String {
        json(self)
    }

    pub(crate) fn text(&self) -> String {
        if self.0.is_empty() {
            return "there are no functions".into();
        }
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header(["id", "image", "memory", "CPU", "calls at once", "timeout"]);
        for row in &self.0 {
            let stated = |text: Option<String>| text.unwrap_or_else(|| "-".into());
            let problem = row.problem.as_ref().map(|problem| format!("no function: {problem}"));
            table.add_row([
                row.function_id.escape_debug().to_string(),
                problem.unwrap_or_else(|| row.image.escape_debug().to_string()),
                stated(row.memory_bytes.map(|bytes| format::bytes(bytes as f64))),
                stated(row.cpu_cores.map(|cores| format!("{cores:.2} cores"))),
                stated(row.max_concurrency.map(|most| most.to_string())),
                stated(row.timeout_seconds.map(|seconds| format!("{seconds} s"))),
            ]);
        }
        table.to_string()
    }
}

impl Row {
    fn new(function_id: String, stored: Result<Metadata, serde_json::Error>) -> Self {
        let problem = stored.as_ref().err().map(|error| error.to_string());
        let spec: FunctionSpec = stored.unwrap_or_default().into();
        Self {
            function_id,
            image: spec.image,
            memory_bytes: spec.memory_limit,
            cpu_cores: spec.cpu_limit,
            max_concurrency: spec.max_concurrency,
            timeout_seconds: spec.idle_timeout.map(|timeout| timeout.as_secs()),
            problem,
        }
    }
}
