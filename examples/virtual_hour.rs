//! One function of a worker for an hour of virtual time, which takes seconds.
//!
//! ```console
//! $ cargo run --release --example virtual_hour
//! $ cargo run --release --example virtual_hour -- --threads 2 --records records.csv
//! ```
//!
//! Calls come in at random, 100 a second on average, and the shipped model of the echo function says
//! what each of them takes. The records are the same in every run, with any number of threads.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use clap::Parser;
use hyperfake_worker::{
    args::{Cli, Command},
    backends,
    catalog::{Catalog, Source},
    clock::{Clock, precise, virtual_time::VirtualTime},
    config::Config,
    functions::embedded::EmbeddedStore,
    machine::Machine,
    record::{CallRecord, InstanceId, Sink},
    scenario::Seed,
    worker::{Call, Executor, Sessions, Worker},
};
use parking_lot::Mutex;
use tokio::{runtime::Builder, task::JoinSet};

/// Runs one function in virtual time.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds of virtual time.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Calls a second, on average.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Instances.
    #[arg(long, default_value_t = 4)]
    instances: usize,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where all random numbers come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A file for the records, as CSV.
    #[arg(long)]
    records: Option<PathBuf>,
}

/// Keeps the records of all calls.
#[derive(Debug, Default)]
struct Records(Mutex<Vec<CallRecord>>);

impl Sink for Records {
    fn call_ended(&self, record: &CallRecord) {
        self.0.lock().push(record.clone());
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let args = Args::parse();
    let time = VirtualTime::new();
    let records = Arc::new(Records::default());
    let (worker, function) = worker(args.seed, Arc::clone(&records))?;
    let mut builder = match args.threads {
        0 | 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let threads = args.threads.max(1);
    let runtime = time.drive(builder.worker_threads(threads), threads).build()?;

    let began = precise::now();
    let (instances, rate, seed) = (args.instances, args.rate, args.seed);
    let until = Duration::from_secs(args.seconds);
    let run = run(Arc::new(worker), function, time.clock(), instances, rate, until, seed);
    let passed = runtime.block_on(runtime.spawn(run))??;
    let took = precise::now() - began;

    let mut records = records.0.lock().clone();
    records.sort_by_key(|record| record.number);
    let mut run_times: Vec<_> = records.iter().map(CallRecord::run_time).collect();
    run_times.sort_unstable();
    let percentile = |share: f64| run_times[((run_times.len() - 1) as f64 * share) as usize];
    println!("{} calls in {:?} of virtual time", records.len(), passed);
    println!(
        "run time: p50 {:?}, p90 {:?}, p99 {:?}, longest {:?}",
        percentile(0.5),
        percentile(0.9),
        percentile(0.99),
        percentile(1.0)
    );
    println!("wall time: {took:.2?}");
    if let Some(path) = args.records {
        fs::write(path, csv(&records)?)?;
    }
    Ok(())
}

/// A worker with the echo model, and the id of a function of its image.
fn worker(seed: u64, records: Arc<Records>) -> Result<(Worker, String)> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/hyperfaas-echo.onnx");
    let mut catalog = Catalog::default();
    let source = Source { uri: model.display().to_string().parse()?, image: None };
    catalog.add(&source, &backends::all(&Default::default()))?;
    let store = EmbeddedStore::default();
    let function = store.register(Bytes::from(r#"{"image_tag": "hyperfaas-echo"}"#))?;
    // The options of `hyperfake server`, for what is not the default.
    let options = ["hyperfake", "server", "--idle-timeout", "1h"];
    let Command::Server(options) = Cli::read(options.map(Into::into))?.command else {
        return Err("the command is 'server'".into());
    };
    let config = Arc::new(Config::new(*options, &Machine::detect())?.worker);
    let seed = Seed::new(seed);
    let worker = Worker::new("virtual", seed, config, Arc::new(catalog), Arc::new(store));
    Ok((worker.with_sink(records), function))
}

/// Starts instances, calls the function at random until that time has passed, and returns how long
/// everything took.
async fn run(
    worker: Arc<Worker>,
    function: String,
    clock: Clock,
    instances: usize,
    rate: f64,
    until: Duration,
    seed: u64,
) -> Result<Duration> {
    let began = clock.now();
    for _ in 0..instances {
        // One after the other, as a leaf waits for the answer.
        let instance = worker.start(&function, &clock).await?;
        worker.ready(&instance).await?;
    }
    let sessions = Sessions::of(worker.catalog());
    let executor = Arc::new(Executor::new(worker, clock.clone(), sessions));
    let function: Arc<str> = function.into();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut calls = JoinSet::new();
    let end = clock.now() + until;
    let mut next = clock.now();
    loop {
        // The gaps of a Poisson process.
        next += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / rate);
        if next >= end {
            break;
        }
        clock.sleep_until(next).await;
        let data = Bytes::from(vec![0; random.usize(..2000)]);
        let (executor, function) = (Arc::clone(&executor), Arc::clone(&function));
        calls.spawn(async move {
            executor.call(Call { function: &function, instance: None, data, fault: None }).await
        });
        while let Some(ended) = calls.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    Ok(clock.now() - began)
}

fn csv(records: &[CallRecord]) -> Result<String> {
    let mut text = String::from(
        "number,instance,arrived_ns,began_ns,ended_ns,request_bytes,active_calls,cpu_cores,ram_bytes\n",
    );
    for record in records {
        let (number, instance) = (record.number.unwrap_or_default(), record.instance);
        let (features, planned) = (record.features, record.planned);
        let (Some(features), Some(planned), Some(began)) = (features, planned, record.began) else {
            return Err(format!("call {number} did not end well").into());
        };
        writeln!(
            text,
            "{},{},{},{},{},{},{},{},{}",
            number,
            instance.map_or(String::new(), InstanceId::text),
            record.arrived.as_nanos(),
            began.as_nanos(),
            record.ended.as_nanos(),
            features.request_bytes,
            features.active_calls,
            planned.cpu_cores,
            planned.ram_bytes
        )?;
    }
    Ok(text)
}
