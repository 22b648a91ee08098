//! The columns of others, for programs that read their files.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::Row;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_US: u64 = 1000;
const BYTES_PER_MB: f64 = 1e6;
const BYTES_PER_MIB: u64 = 1 << 20;

/// A call as in the Azure Functions trace of 2021: times in seconds.
///
/// The columns are those of the trace's description
/// (`Azure/AzurePublicDataset:AzureFunctionsInvocationTrace2021.md`).
#[derive(Debug, Serialize)]
pub(super) struct Azure2021<'a> {
    app: &'a str,
    func: &'a str,
    end_timestamp: Seconds,
    duration: Seconds,
}

impl<'a> Azure2021<'a> {
    /// Nothing for a call that did not run.
    pub(super) fn of(row: &'a Row<'_>) -> Option<Self> {
        Some(Self {
            app: &row.image,
            func: &row.function,
            end_timestamp: Seconds(row.end_unix_ns()),
            duration: Seconds(row.run_ns?),
        })
    }
}

/// A call as InVitro's load generator logs it: times in microseconds, memory in MiB.
///
/// The columns are those of `ExecutionRecord` (`vhive-serverless/invitro:pkg/metric/record.go` at
/// a1df6294); those of parts that a worker does not have are 0.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InVitro<'a> {
    phase: u8,
    instance: Cow<'a, str>,
    #[serde(rename = "invocationID")]
    invocation_id: String,
    start_time: u64,
    requested_duration: u64,
    grpc_conn_establish: u64,
    response_time: u64,
    actual_duration: u64,
    connection_timeout: bool,
    function_timeout: bool,
    actual_memory_usage: u64,
    memory_allocation_timeout: bool,
    time_to_submit_ms: u64,
    user_code_execution_ms: u64,
    time_to_get_response_ms: u64,
}

impl<'a> InVitro<'a> {
    /// InVitro's number for calls that count, which are not warming anything up.
    const EXECUTION: u8 = 2;

    pub(super) fn of(row: &'a Row<'_>) -> Self {
        let microseconds = |ns: Option<u64>| ns.unwrap_or(0) / NS_PER_US;
        Self {
            phase: Self::EXECUTION,
            // As the names of pods, it begins with that of the function.
            instance: match &row.instance {
                Some(instance) => format!("{}-{instance}", row.function).into(),
                None => (&*row.function).into(),
            },
            invocation_id: row.call.map_or_else(String::new, |call| format!("inv{call}")),
            start_time: row.arrival_unix_ns / NS_PER_US,
            requested_duration: microseconds(row.planned_ns),
            grpc_conn_establish: 0,
            response_time: row.latency_ns() / NS_PER_US,
            actual_duration: microseconds(row.run_ns),
            connection_timeout: false,
            // InVitro's word for every call that was not answered.
            function_timeout: !row.succeeded(),
            actual_memory_usage: row.ram_bytes.unwrap_or(0) / BYTES_PER_MIB,
            memory_allocation_timeout: false,
            time_to_submit_ms: 0,
            user_code_execution_ms: 0,
            time_to_get_response_ms: 0,
        }
    }
}

/// A call as in the tables of requests of the Huawei trace of 2025: times in seconds, memory in MB.
///
/// The columns are those of the trace's description (`sir-lab/data-release:README_data_release_2025.md`);
/// those of its frontend are empty, as they are in many rows of the trace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Huawei2025<'a> {
    #[serde(rename = "time_worker")]
    time_worker: Seconds,
    #[serde(rename = "time_frontend")]
    time_frontend: Empty,
    #[serde(rename = "requestID")]
    request_id: String,
    cluster_name: &'a str,
    func_name: &'a str,
    #[serde(rename = "podID")]
    pod_id: Option<&'a str>,
    #[serde(rename = "userID")]
    user_id: Empty,
    #[serde(rename = "totalCost_worker")]
    total_cost_worker: Seconds,
    worker_cost: Seconds,
    runtime_cost: Option<Seconds>,
    #[serde(rename = "totalCost_frontend")]
    total_cost_frontend: Empty,
    frontend_cost: Empty,
    bus_cost: Empty,
    read_body_cost: Empty,
    write_rsp_cost: Empty,
    #[serde(rename = "cpu_usage")]
    cpu_usage: Option<f64>,
    #[serde(rename = "memory_usage")]
    memory_usage: Option<f64>,
    request_body_size: Option<u64>,
}

/// A field that has nothing.
type Empty = Option<u64>;

impl<'a> Huawei2025<'a> {
    pub(super) fn of(row: &'a Row<'_>) -> Self {
        let (latency, run_time) = (row.latency_ns(), row.run_ns.unwrap_or(0));
        Self {
            time_worker: Seconds(row.arrival_unix_ns),
            time_frontend: None,
            request_id: match row.call {
                Some(call) => format!("{}-{}-{call}", row.worker, row.function),
                None => format!("{}-{}", row.worker, row.arrival_unix_ns),
            },
            cluster_name: &row.worker,
            func_name: &row.function,
            pod_id: row.instance.as_deref(),
            user_id: None,
            total_cost_worker: Seconds(latency),
            worker_cost: Seconds(latency - run_time.min(latency)),
            runtime_cost: row.run_ns.map(Seconds),
            total_cost_frontend: None,
            frontend_cost: None,
            bus_cost: None,
            read_body_cost: None,
            write_rsp_cost: None,
            cpu_usage: row.cpu_cores,
            memory_usage: row.ram_bytes.map(|bytes| bytes as f64 / BYTES_PER_MB),
            request_body_size: row.request_bytes,
        }
    }
}

/// Nanoseconds that are written as seconds, all nine decimals of them: a floating-point number of seconds since
/// the Unix epoch has no room for nanoseconds.
#[derive(Debug)]
struct Seconds(u64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (seconds, ns) = (self.0 / NS_PER_S, self.0 % NS_PER_S);
        serializer.collect_str(&format_args!("{seconds}.{ns:09}"))
    }
}
