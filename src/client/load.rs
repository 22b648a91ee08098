use std::{collections::BTreeMap, io::Write, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use hdrhistogram::Histogram;
use hyperfake_predictor::{Error, Result};
use hyperfake_proto::controller::{
    common::{CallRequest, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use parking_lot::Mutex;
use serde_json::json;
use tonic::{Status, transport::Channel};

use super::{Sample, Started, connect, one_call, refused, schedule::Schedule, start};
use crate::{
    args::LoadArgs,
    clock::{Clock, Moment, precise},
    report::format,
};

/// A run is no result when more than this share of its calls was sent later than `LATE` after
/// the intended moment: then the client was the limit, not the worker.
const LATE_SHARE: f64 = 0.01;
const LATE: Duration = Duration::from_millis(10);

/// What came of a load run.
#[derive(Debug)]
pub struct LoadReport {
    rate: f64,
    took: Duration,
    /// How much later than intended calls were sent.
    lag: Histogram<u64>,
    functions: Vec<FunctionReport>,
    /// Why the run is no result, if it is none.
    invalid: Option<String>,
}

#[derive(Debug)]
struct FunctionReport {
    image: String,
    /// From asking for the instance until it could run a call.
    cold_start: Duration,
    answered: u64,
    /// Calls that ended before their predicted time, which a worker must never do.
    early: u64,
    errors: BTreeMap<String, u64>,
    /// From the intended moment to the last byte of the answer.
    latency: Histogram<u64>,
    /// From sending to the last byte, less the predicted run time and the wait for a cold start.
    timing_error: Histogram<u64>,
    /// The part of it that the worker's own clock saw.
    worker_error: Histogram<u64>,
}

/// One call, as a line of the CSV file.
struct Row {
    function: usize,
    intended: Duration,
    sent: Duration,
    ended: Duration,
    outcome: Result<Sample, Status>,
}

/// Sends calls on a schedule, whatever the worker makes of them, and reports how it did.
///
/// # Errors
///
/// When the registry or the worker cannot be reached or refuses, or the CSV file cannot be
/// written. Calls that fail are no error here but a part of the report.
pub async fn load(args: &LoadArgs) -> Result<LoadReport> {
    let clock = precise::start();
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        clients.push(connect(&args.target.address).await?);
    }
    let mut started = start_all(args, &clients[0], &clock).await?;
    let functions: Vec<_> = started.iter().map(|started| started.function.clone()).collect();
    let csv = args.csv.as_ref().map(create).transpose()?;
    let data = Bytes::from(vec![b'x'; args.data_bytes]);
    let rows = Arc::new(Mutex::new(Vec::new()));
    if !args.no_warm_up {
        warm_up(&clients, &mut started, &data, args.deadline, &clock).await?;
    }

    let began = clock.now();
    let mut calls = tokio::task::JoinSet::new();
    let mut said = began;
    for (sent, intended) in Schedule::new(args).enumerate() {
        clock.sleep_until(began + intended).await;
        if clock.now() >= said + Duration::from_secs(1) {
            said = clock.now();
            let answered = rows.lock().len();
            let seconds = (said - began).as_secs();
            let _ = writeln!(std::io::stderr(), "{seconds} s: {sent} sent, {answered} ended");
        }
        let function = sent % functions.len();
        let client = clients[sent % clients.len()].clone();
        let request = request(&functions[function], sent, &data);
        let (rows, clock, deadline) = (Arc::clone(&rows), clock.clone(), args.deadline);
        calls.spawn(async move {
            let row = timed(client, request, function, (began, intended), deadline, &clock).await;
            rows.lock().push(row);
        });
        // What has ended must not pile up.
        while calls.try_join_next().is_some() {}
    }
    while calls.join_next().await.is_some() {}
    let took = clock.now() - began;
    for started in &started {
        // What was asked for is done; an instance that is left over grows idle and goes.
        let _ = clients[0].stop(started.instance.clone()).await;
    }
    let rows = std::mem::take(&mut *rows.lock());
    if let Some((path, file)) = csv {
        write(&rows, args, file).map_err(|error| unwritable(&path, error))?;
    }
    Ok(LoadReport::new(args, took, &started, &rows))
}

/// Starts an instance of each function, all at once: each takes as long as its cold start.
async fn start_all(
    args: &LoadArgs,
    client: &ControllerClient<Channel>,
    clock: &Clock,
) -> Result<Vec<Started>> {
    let starting: Vec<_> = args
        .functions
        .iter()
        .map(|image| {
            let (mut client, clock, image) = (client.clone(), clock.clone(), image.clone());
            let (database, deadline) = (args.target.database_address.clone(), args.deadline);
            tokio::spawn(
                async move { start(&mut client, &database, &image, deadline, &clock).await },
            )
        })
        .collect();
    let mut started = Vec::new();
    for one in starting {
        started.push(
            one.await
                .map_err(|error| Error::internal("a start ended early").with_source(error))??,
        );
    }
    Ok(started)
}

/// One call to each function on each connection, so that cold starts and connecting are over. What
/// the calls wait is a part of the cold starts.
async fn warm_up(
    clients: &[ControllerClient<Channel>],
    functions: &mut [Started],
    data: &Bytes,
    deadline: Duration,
    clock: &Clock,
) -> Result<()> {
    for client in clients {
        for started in &mut *functions {
            let request = request(&started.function, 0, data);
            let warmed = one_call(&mut client.clone(), request, deadline, clock).await;
            let sample = warmed.map_err(|status| refused("a first call", &status))?;
            started.cold_start += sample.waited;
        }
    }
    Ok(())
}

fn request(function: &str, number: usize, data: &Bytes) -> CallRequest {
    CallRequest {
        request_id: number as i64,
        instance_id: Some(InstanceId { id: function.to_owned() }),
        data: data.clone(),
        function_id: Some(FunctionId { id: function.to_owned() }),
    }
}

async fn timed(
    mut client: ControllerClient<Channel>,
    request: CallRequest,
    function: usize,
    (began, intended): (Moment, Duration),
    deadline: Duration,
    clock: &Clock,
) -> Row {
    let sent = clock.now() - began;
    let outcome = one_call(&mut client, request, deadline, clock).await;
    Row { function, intended, sent, ended: clock.now() - began, outcome }
}

type Csv = (PathBuf, std::io::BufWriter<std::fs::File>);

fn create(path: &PathBuf) -> Result<Csv> {
    let file = std::fs::File::create(path).map_err(|error| unwritable(path, error))?;
    Ok((path.clone(), std::io::BufWriter::new(file)))
}

fn unwritable(path: &std::path::Path, error: std::io::Error) -> Error {
    Error::unavailable("cannot write the file")
        .with_source(error)
        .at(format!("--csv {}", path.display()))
}

fn write(rows: &[Row], args: &LoadArgs, mut file: impl Write) -> std::io::Result<()> {
    writeln!(file, "function,intended_ns,sent_ns,ended_ns,predicted_ns,cold_start_ns,status")?;
    for row in rows {
        let (predicted, cold_start, status) = match &row.outcome {
            Ok(sample) => (
                sample.predicted.as_nanos().to_string(),
                sample.waited.as_nanos().to_string(),
                "Ok".to_owned(),
            ),
            Err(status) => (String::new(), String::new(), format!("{:?}", status.code())),
        };
        writeln!(
            file,
            "{},{},{},{},{predicted},{cold_start},{status}",
            args.functions[row.function],
            row.intended.as_nanos(),
            row.sent.as_nanos(),
            row.ended.as_nanos(),
        )?;
    }
    file.flush()
}

impl LoadReport {
    fn new(args: &LoadArgs, took: Duration, started: &[Started], rows: &[Row]) -> Self {
        let mut lag = histogram();
        let mut late = 0;
        let mut functions: Vec<_> = args
            .functions
            .iter()
            .zip(started)
            .enumerate()
            .map(|(index, (image, started))| FunctionReport {
                image: image.clone(),
                cold_start: started.cold_start + waited(rows, index),
                answered: 0,
                early: 0,
                errors: BTreeMap::new(),
                latency: histogram(),
                timing_error: histogram(),
                worker_error: histogram(),
            })
            .collect();
        for row in rows {
            let behind = row.sent.saturating_sub(row.intended);
            late += u64::from(behind > LATE);
            record(&mut lag, behind);
            let function = &mut functions[row.function];
            match &row.outcome {
                Ok(sample) => {
                    function.answered += 1;
                    record(&mut function.latency, row.ended.saturating_sub(row.intended));
                    function.early += u64::from(sample.observed < sample.predicted);
                    let error = sample.observed.saturating_sub(sample.predicted);
                    record(&mut function.timing_error, error);
                    record(&mut function.worker_error, sample.late);
                }
                Err(status) => {
                    let code = format!("{:?}", status.code());
                    *function.errors.entry(code).or_default() += 1;
                }
            }
        }
        let share = late as f64 / rows.len().max(1) as f64;
        let invalid = (share > LATE_SHARE).then(|| {
            format!(
                "{:.1} % of the calls were sent more than {} late: the client could not keep its \
                 schedule",
                100.0 * share,
                format::duration(LATE)
            )
        });
        Self { rate: args.rate, took, lag, functions, invalid }
    }

    /// Whether the run is a result, and every call succeeded.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.invalid.is_none()
            && self
                .functions
                .iter()
                .all(|function| function.errors.is_empty() && function.early == 0)
    }

    /// For a program.
    #[must_use]
    pub fn json(&self) -> String {
        let quantiles = |histogram: &Histogram<u64>| {
            json!({
                "p50": histogram.value_at_quantile(0.5),
                "p90": histogram.value_at_quantile(0.9),
                "p99": histogram.value_at_quantile(0.99),
                "p999": histogram.value_at_quantile(0.999),
                "max": histogram.max(),
            })
        };
        let functions: Vec<_> = self
            .functions
            .iter()
            .map(|function| {
                json!({
                    "image": function.image,
                    "answered": function.answered,
                    "cold_start_ns": function.cold_start.as_nanos() as u64,
                    "calls_per_second": function.answered as f64 / self.took.as_secs_f64(),
                    "early": function.early,
                    "errors": function.errors,
                    "latency_ns": quantiles(&function.latency),
                    "timing_error_ns": quantiles(&function.timing_error),
                    "worker_timing_error_ns": quantiles(&function.worker_error),
                })
            })
            .collect();
        let report = json!({
            "rate": self.rate,
            "seconds": self.took.as_secs_f64(),
            "valid": self.invalid.is_none(),
            "invalid_because": self.invalid,
            "send_lag_ns": quantiles(&self.lag),
            "functions": functions,
        });
        format!("{report:#}")
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<28} {:>10} {:>10} {:>10} {:>10}\n{}",
            "",
            "p50",
            "p99",
            "p99.9",
            "max",
            line("sent after the schedule", &self.lag)
        );
        for function in &self.functions {
            let rate = function.answered as f64 / self.took.as_secs_f64();
            let cold_start = format::duration(function.cold_start);
            let image = &function.image;
            text += &format!("\n{image} ({rate:.0} calls each second, cold start {cold_start})");
            text += &format!("\n{}", line("  latency", &function.latency));
            text += &format!("\n{}", line("  timing error", &function.timing_error));
            text += &format!("\n{}", line("  of it on the worker", &function.worker_error));
            if function.early > 0 {
                text += &format!("\n  {} ended EARLY", function.early);
            }
            for (code, count) in &function.errors {
                text += &format!("\n  {count} x {code}");
            }
        }
        if let Some(reason) = &self.invalid {
            text += &format!("\nINVALID: {reason}");
        }
        text
    }
}

/// The longest that a call of this function waited for its instance.
fn waited(rows: &[Row], function: usize) -> Duration {
    let samples = rows.iter().filter(|row| row.function == function);
    let samples = samples.filter_map(|row| row.outcome.as_ref().ok());
    samples.map(|sample| sample.waited).max().unwrap_or_default()
}

fn line(name: &str, histogram: &Histogram<u64>) -> String {
    let at = |share| format::nanoseconds(histogram.value_at_quantile(share) as f64);
    let max = format::nanoseconds(histogram.max() as f64);
    format!("{name:<28} {:>10} {:>10} {:>10} {max:>10}", at(0.5), at(0.99), at(0.999))
}

fn histogram() -> Histogram<u64> {
    // Three significant figures are between 1 and 5 for `new`, so there is no error to see.
    Histogram::new(3).unwrap_or_else(|_| unreachable!("a constant within its bounds"))
}

fn record(histogram: &mut Histogram<u64>, value: Duration) {
    let recorded = histogram.record(value.as_nanos() as u64);
    debug_assert!(recorded.is_ok(), "the histogram grows as it needs");
}
