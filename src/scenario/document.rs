//! Scenario files: the types of their sections, of which their JSON Schema is made.

mod compile;
mod distribution;
mod effective;
mod faults;
mod mistake;
mod patterns;
mod reader;
mod spelled;
mod values;
mod yaml;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use self::{
    compile::{Folder, compile},
    distribution::{DistributionKeys, DistributionSection, distribution},
    mistake::{Mistake, unknown},
    patterns::Patterns,
    reader::Located,
};
use self::{
    faults::FaultSection,
    spelled::{Word, WordOr},
    values::{Growth, Never, Size, Span, SpanOrNone},
};
use super::{
    Contention, StatusCode,
    settings::{Depth, Limit},
};

/// How functions, instances and workers behave. See docs/guide/scenarios.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A scenario of HyperFake Worker")]
pub(super) struct Document {
    /// For editors: where the schema of this file is.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    /// The version of this form of files: 1.
    version: Located<u32>,
    /// Where random numbers come from: the same seed gives the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// How each worker behaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worker: Option<WorkerSection>,
    /// How every function behaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    defaults: Option<FunctionSection>,
    /// How functions behave whose image or id matches a pattern, in which * stands for any text and ? for
    /// one character. All that match count, and of two that state a key the later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    functions: Option<Patterns<FunctionSection>>,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<Located<FaultSection>>>,
}

/// How a worker behaves.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct WorkerSection {
    /// The simulated CPUs; --cpus counts before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    cpus: Option<Located<u32>>,
    /// The simulated memory, such as 64GiB; --memory counts before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Word<Size>>,
    /// How calls share the CPUs; --contention counts before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    contention: Option<Contention>,
    /// A call is slower by this share, times the part of the CPUs that is busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    interference: Option<Located<f64>>,
}

/// How a function behaves. What is not stated is as without a scenario.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FunctionSection {
    /// How long an instance takes from its start until it can run a call; --cold-start counts before
    /// this.
    #[serde(skip_serializing_if = "Option::is_none")]
    cold_start: Option<Located<DistributionSection>>,
    /// What else happens to starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<StartsSection>,
    /// How long a call runs, instead of what the model says.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_time: Option<Located<DistributionSection>>,
    /// A factor with a mean of 1 on the run time of each call.
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<Located<SpreadSection>>,
    /// A factor with a mean of 1 on all run times of an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_speed: Option<Located<SpreadSection>>,
    /// The most calls that run in an instance at once: a number, registered or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<Located<Word<Limit<u32>>>>,
    /// The calls that wait for a place in an instance, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueSection>,
    /// The CPU that an instance may use: registered, none, or a quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Located<WordOr<Limit<Never>, QuotaSection>>>,
    /// The memory that an instance may use: registered, none, or a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Located<WordOr<Limit<Never>, MemorySection>>>,
    /// The longest that a call may run. This is not the timeout that a function is registered with,
    /// which is how long an instance may be idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Word<SpanOrNone>>,
    /// The code for calls that find the queue full, or wait in it for too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    overload_status: Option<Word<StatusCode>>,
}

/// What else happens to starts of instances.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StartsSection {
    /// Each other start in progress on the worker makes a start longer by this share of its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    slow_down: Option<Located<f64>>,
    /// How many of 100 starts fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    fail_percent: Option<Located<f64>>,
}

/// How much something varies, by one of two numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct SpreadSection {
    /// The standard deviation of the factor's logarithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    sigma: Option<f64>,
    /// The factor's 99th percentile, divided by its median.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    p99_over_p50: Option<f64>,
}

/// The calls that wait for a place in an instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct QueueSection {
    /// How many: a number, or a multiple of the concurrency such as 10x, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<Word<Depth>>,
    /// For how long; without it there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Word<SpanOrNone>>,
}

/// The CPU that an instance may use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuotaSection {
    /// In cores: CPU time in each period, divided by the period.
    #[schemars(range(min = 0.001, max = 1_000_000))]
    quota: Located<f64>,
    /// The period; 100ms without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    period: Option<Located<Word<Span>>>,
}

/// The memory that an instance may use.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MemorySection {
    /// A size, registered or none; registered without this.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Word<Limit<Size>>>,
    /// How much more an instance holds as it gets older, such as 1MiB/min.
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<Word<Growth>>,
}

/// Reads the sections of a file.
///
/// # Errors
///
/// Says what is wrong, and where.
pub(super) fn read(text: &str) -> Result<Document, Mistake> {
    section(text)
}

/// Reads a file of any type.
pub(super) fn section<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Mistake> {
    let tree = yaml::parse(text)?;
    T::deserialize(&tree).map_err(|mistake| mistake.at(tree.at))
}

/// The JSON Schema of scenario files.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).into()
}

#[cfg(test)]
mod tests;
