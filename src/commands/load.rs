//! `hyperfake load`: sends calls on a schedule, whether or not earlier ones were answered.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};

use super::{Output, target};
use crate::{
    args::LoadArgs,
    client::{Connection, Driver, Instance, Progress, Schedule, Sent},
    clock::precise,
    report::{FunctionLoad, LoadReport, Percentiles, format},
};

/// A run is not a result when more than this share of its calls was sent later than `LATE` after
/// the intended moment: then the client was the limit, not the worker.
const LATE_SHARE: f64 = 0.01;
const LATE: Duration = Duration::from_millis(10);

/// Sends the calls. Calls that fail are a part of what is shown.
///
/// # Errors
///
/// When the store or the worker cannot be reached or refuses, or the CSV file cannot be written.
pub async fn run(args: LoadArgs) -> Result<Output> {
    let clock = precise::start();
    let target = target::of(&args.target, args.deadline)?;
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(target::connect(&target, &clock).await?);
    }
    let instances = start_all(&args, &connections[0]).await?;
    let csv = args.csv.as_deref().map(|path| Ok((path, create(path)?))).transpose()?;
    let driver = Driver {
        connections,
        instances,
        data: Bytes::from(vec![b'x'; args.data_bytes]),
        deadline: args.deadline,
    };
    let mut waited = vec![Duration::ZERO; args.functions.len()];
    if !args.no_warm_up {
        waited = driver.warm_up().await?;
    }
    let (rate, length, functions) = (args.rate, args.duration, args.functions.len());
    let schedule = match args.poisson {
        true => Schedule::poisson(rate, length, functions, args.seed),
        false => Schedule::even(rate, length, functions),
    };
    let (calls, took) = driver.run(schedule, show).await;
    driver.stop().await;
    if let Some((path, file)) = csv {
        write(&calls, &args.functions, file).map_err(|error| unwritable(path, error))?;
    }
    for ((waited, instance), index) in waited.iter_mut().zip(&driver.instances).zip(0..) {
        *waited += instance.start + longest_wait(&calls, index);
    }
    let report = report(&args, took, &waited, &calls);
    let text = if args.json { report.json() } else { report.text() };
    Ok(Output { text, succeeded: report.succeeded() })
}

fn show(progress: Progress) {
    let Progress { elapsed, sent, ended } = progress;
    let _ = writeln!(io::stderr(), "{} s: {sent} sent, {ended} ended", elapsed.as_secs());
}

/// Starts an instance of each function, all at once: each takes as long as its cold start.
async fn start_all(args: &LoadArgs, connection: &Connection) -> Result<Vec<Instance>> {
    let starting: Vec<_> = args
        .functions
        .iter()
        .map(|image| {
            let (target, connection, image) =
                (args.target.clone(), connection.clone(), image.clone());
            let deadline = args.deadline;
            tokio::spawn(async move { target::start(&target, &connection, &image, deadline).await })
        })
        .collect();
    let mut instances = Vec::new();
    for one in starting {
        let ended = |error| Error::internal("a start ended early").with_source(error);
        instances.push(one.await.map_err(ended)??);
    }
    Ok(instances)
}

/// The longest that a call of this function waited for its instance.
fn longest_wait(calls: &[Sent], function: usize) -> Duration {
    let calls = calls.iter().filter(|call| call.intended.function == function);
    let samples = calls.filter_map(|call| call.outcome.as_ref().ok());
    samples.map(|sample| sample.waited).max().unwrap_or_default()
}

fn report(args: &LoadArgs, took: Duration, cold_starts: &[Duration], calls: &[Sent]) -> LoadReport {
    let lags = calls.iter().map(|call| call.at.saturating_sub(call.intended.at));
    let late = lags.clone().filter(|lag| *lag > LATE).count();
    let late = late as f64 / calls.len().max(1) as f64;
    let invalid_because = (late > LATE_SHARE).then(|| {
        format!(
            "{:.1} % of the calls were sent more than {} late: the client could not keep its \
             schedule",
            100.0 * late,
            format::duration(LATE)
        )
    });
    let functions = args.functions.iter().zip(cold_starts).enumerate();
    let functions = functions.map(|(index, (image, cold_start))| FunctionLoad {
        image: image.clone(),
        cold_start_ns: nanoseconds(*cold_start),
        ..function(calls.iter().filter(|call| call.intended.function == index), took)
    });
    LoadReport {
        rate: args.rate,
        seconds: took.as_secs_f64(),
        valid: invalid_because.is_none(),
        invalid_because,
        send_lag_ns: percentiles(lags),
        functions: functions.collect(),
    }
}

/// The numbers of one function's calls.
fn function<'a>(calls: impl Iterator<Item = &'a Sent>, took: Duration) -> FunctionLoad {
    let (mut latencies, mut samples, mut errors) = (Vec::new(), Vec::new(), BTreeMap::new());
    for call in calls {
        match &call.outcome {
            Ok(sample) => {
                latencies.push(call.ended.saturating_sub(call.intended.at));
                samples.push(*sample);
            }
            Err(code) => *errors.entry(format!("{code:?}")).or_default() += 1,
        }
    }
    let early = samples.iter().filter(|sample| sample.observed < sample.predicted).count();
    FunctionLoad {
        answered: samples.len() as u64,
        calls_per_second: samples.len() as f64 / took.as_secs_f64(),
        early: early as u64,
        errors,
        latency_ns: percentiles(latencies),
        timing_error_ns: percentiles(
            samples.iter().map(|sample| sample.observed.saturating_sub(sample.predicted)),
        ),
        worker_timing_error_ns: percentiles(samples.iter().map(|sample| sample.late)),
        ..FunctionLoad::default()
    }
}

/// In nanoseconds; zeros without durations.
fn percentiles(durations: impl IntoIterator<Item = Duration>) -> Percentiles<u64> {
    let numbers = durations.into_iter().map(nanoseconds);
    Percentiles::of(numbers).unwrap_or_default()
}

/// A worker may claim to have taken longer than a number holds.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::unavailable("cannot write the file")
        .with_source(error)
        .at(format!("--csv {}", path.display()))
}

/// One line for each call.
fn write(calls: &[Sent], images: &[String], mut file: impl Write) -> io::Result<()> {
    writeln!(file, "function,intended_ns,sent_ns,ended_ns,predicted_ns,cold_start_ns,status")?;
    for call in calls {
        let (predicted, cold_start) = match &call.outcome {
            Ok(sample) => {
                (sample.predicted.as_nanos().to_string(), sample.waited.as_nanos().to_string())
            }
            Err(_) => Default::default(),
        };
        writeln!(
            file,
            "{},{},{},{},{predicted},{cold_start},{:?}",
            images[call.intended.function],
            call.intended.at.as_nanos(),
            call.at.as_nanos(),
            call.ended.as_nanos(),
            call.code(),
        )?;
    }
    file.flush()
}
