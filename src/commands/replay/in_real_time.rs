//! A replay in real time: on a worker, with instances that are started when a call finds none, or through a
//! leaf, which does that itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hyperfake_predictor::{Error, ErrorKind, Result};
use tokio::task::JoinSet;
use tonic::Code;

use super::limits;
use crate::{
    args::ReplayArgs,
    client::{
        Arrival, Arrivals, FunctionNames, Load, LoadRecord, Loaded, Method, Request, Run, Sent,
        Starts, Target,
    },
    clock::precise,
    commands::{body::Body, function, interrupt, sender::Sender, target, through},
    config,
    functions::{etcd::EtcdStore, http::HttpStore, metadata::Metadata},
    report::{Percentiles, Progress, Replayed, Verdict},
    trace::{Workload, models::Defaults},
};

/// A call that was made later than this was not made in its time.
const ISSUED_NS: u64 = 1_000_000_000;
/// Functions that are registered at the same time.
const AT_ONCE: usize = 32;

/// Registers the functions, and makes the calls.
pub(super) async fn replay(
    args: &ReplayArgs,
    work: &Arc<Workload>,
    defaults: &Defaults,
    requested: u64,
) -> Result<Replayed> {
    let clock = precise::start();
    let sender = Sender::open(&args.sender, args.connections, args.deadline, &clock).await?;
    let Sender { body, target, connection, threads } = sender;
    let record = args.record.as_deref().map(LoadRecord::open).transpose();
    let record = record.map_err(|error| error.at("--record"))?;
    let ids = register(args, work, defaults).await?;
    let starts = Arc::new(Starts::new(ids.len(), clock.now() + through::PATIENCE));
    let load = Load {
        requests: requests(args, &target, &ids, &body)?,
        connections: args.connections as usize,
        threads,
        deadline: args.deadline,
        schedule: Arc::new(Replay(Arc::clone(work))),
        warm_up: false,
        starts: Some(Arc::clone(&starts)),
        stop: interrupt::stop_by_signal(),
        target: target.clone(),
    };
    let progress = Progress::new("replay", requested);
    let show = |now: crate::client::Progress| {
        progress.set(now.sent as u64);
        progress.message(format!("{} ended", now.ended));
    };
    let loaded = load.run(&clock, show).await;
    progress.finish();
    let (started, _) = starts.take();
    connection.stop_all(&started, args.deadline).await;
    let loaded = loaded?;
    if let Some(record) = record {
        write(record, &loaded, work, &ids, &target.address, &body)?;
    }
    let instances = args.sender.leaf.through.is_none().then_some(started.len() as u64);
    Ok(Replayed { stopped: loaded.stopped, instances, ..replayed(&loaded, requested) })
}

/// The calls of a workload, as a load sends them.
#[derive(Debug)]
struct Replay(Arc<Workload>);

impl Arrivals for Replay {
    fn arrivals(&self) -> Box<dyn Iterator<Item = Arrival> + Send> {
        let arrival = |call: crate::trace::Call| Arrival {
            at: Duration::from_nanos(call.at_ns),
            function: call.function as usize,
        };
        Box::new(self.0.arrivals().map(arrival))
    }
}

fn requests(
    args: &ReplayArgs,
    target: &Target,
    ids: &[String],
    body: &Body,
) -> Result<Vec<Request>> {
    let is_leaf = args.sender.leaf.through.is_some();
    let method = args.sender.leaf.method.as_deref().unwrap_or_default();
    let request = |id: &String| match is_leaf {
        false => Ok(Request::Call { function: id.clone(), data: body.bytes.clone() }),
        true => {
            let made = Method::new(method, id, target.tls.is_some(), body.bytes.clone());
            made.map(Request::Method)
        }
    };
    ids.iter().map(request).collect()
}

/// Where functions are registered.
#[derive(Clone)]
enum Store {
    Http(Arc<HttpStore>),
    Etcd(Arc<EtcdStore>),
}

impl Store {
    fn of(args: &ReplayArgs) -> Result<Self> {
        if args.sender.leaf.through.is_some() {
            let store = EtcdStore::new(&config::etcd(&args.sender.leaf.etcd, false)?);
            return store.map(|store| Self::Etcd(Arc::new(store))).map_err(function::failed);
        }
        target::registry(&args.sender.target).map(|store| Self::Http(Arc::new(store)))
    }

    async fn register(&self, metadata: &Metadata) -> Result<String> {
        match self {
            Self::Http(store) => store.create(metadata.clone()).await.map_err(function::refused),
            Self::Etcd(store) => function::put(store, metadata).await,
        }
    }
}

/// Registers all functions, some at a time, and returns their ids.
async fn register(args: &ReplayArgs, work: &Workload, defaults: &Defaults) -> Result<Vec<String>> {
    let store = Store::of(args)?;
    let progress = Progress::new("register", work.functions.len() as u64);
    let registering = async {
        let mut ids = vec![String::new(); work.functions.len()];
        let mut tasks = JoinSet::new();
        let mut done = 0;
        for (place, function) in work.functions.iter().enumerate() {
            if tasks.len() == AT_ONCE {
                done += keep(tasks.join_next().await, &mut ids)?;
                progress.set(done);
            }
            let limits = limits(args, function, defaults);
            let metadata = function::new_function(function.image.clone(), &limits)?;
            let store = store.clone();
            tasks.spawn(async move { (place, store.register(&metadata).await) });
        }
        while !tasks.is_empty() {
            done += keep(tasks.join_next().await, &mut ids)?;
            progress.set(done);
        }
        Ok(ids)
    };
    let registered = tokio::time::timeout(args.deadline, registering).await;
    let registered = registered.unwrap_or_else(|_| {
        let message = format!("the functions were not registered in {:?}", args.deadline);
        Err(Error::new(ErrorKind::Timeout, message).at("--deadline"))
    });
    progress.finish();
    registered
}

type Registered = (usize, Result<String>);

fn keep(
    joined: Option<Result<Registered, tokio::task::JoinError>>,
    ids: &mut [String],
) -> Result<u64> {
    let Some(joined) = joined else { return Ok(0) };
    let ended = |error| Error::internal("registering ended early").with_source(error);
    let (place, id) = joined.map_err(ended)?;
    ids[place] = id?;
    Ok(1)
}

fn write(
    record: LoadRecord,
    loaded: &Loaded,
    work: &Workload,
    ids: &[String],
    worker: &str,
    body: &Body,
) -> Result<()> {
    let names = work.functions.iter().zip(ids);
    let names = names.map(|(function, id)| FunctionNames { id, image: &function.image });
    let names: Vec<_> = names.collect();
    let request_bytes = body.bytes.len() as u64;
    let run = Run { worker, functions: &names, request_bytes, began: loaded.began };
    record.write(&loaded.calls, &run).map_err(|error| error.at("--record"))
}

fn replayed(loaded: &Loaded, requested: u64) -> Replayed {
    let mut errors = BTreeMap::<_, u64>::new();
    let (mut answered, mut issued, mut cold) = (0, 0, 0);
    let (mut run_ns, mut timed) = (0.0, 0_u64);
    for call in &loaded.calls {
        issued += u64::from(call.lag_ns() <= ISSUED_NS);
        if call.code != Code::Ok {
            *errors.entry(format!("{:?}", call.code)).or_default() += 1;
            continue;
        }
        answered += 1;
        if let Some(timing) = call.timing {
            run_ns += timing.predicted_ns as f64;
            timed += 1;
            cold += u64::from(timing.waited_ns > 0);
        }
    }
    let made = loaded.calls.len() as u64;
    let percentiles = |of: fn(&Sent) -> u64| Percentiles::of(loaded.calls.iter().map(of));
    Replayed {
        issued,
        answered,
        errors,
        mean_run_time_ns: (timed > 0).then(|| run_ns / timed as f64),
        cold_calls: (timed > 0).then_some(cold),
        send_lag_ns: percentiles(Sent::lag_ns),
        latency_ns: percentiles(Sent::latency_ns),
        took_s: loaded.took.as_secs_f64(),
        verdict: Verdict::of(issued, requested).and(Verdict::of(answered, made)),
        ..Replayed::default()
    }
}
