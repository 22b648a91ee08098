//! An instance's life and a call's time: one body for real, virtual and manual time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyperfake_predictor::{
    Backend, Backends, Error, ErrorKind, Features, Formats, ModelInfo, ModelUri, Predictor,
    RawPrediction, Result, Session, Units,
};
use hyperfake_worker::{
    backends,
    catalog::{Catalog, Source},
    clock::{Clock, manual::ManualClock, precise, virtual_time},
    functions::embedded::EmbeddedStore,
    record::{CallOutcome, CallRecord, Sink},
    scenario::{Cause, Seed},
    worker::{
        Call, EventKind, Executor, InstanceState, Outcome, STOPPED_INSTANCES_STAY, Sessions,
        Subscription, Worker,
    },
};
use parking_lot::Mutex;
use tokio::runtime::Builder;

use crate::support::{config, constant};

const MS: Duration = Duration::from_millis(1);

/// Runs the body in each kind of time; it is told whether that time is exact.
pub(crate) fn in_every_time(body: impl AsyncFn(Clock, bool)) {
    in_real_time(&body);
    virtual_time::run(async |clock| body(clock, true).await);
    let hand = ManualClock::new();
    let clock = hand.clock();
    let next = move || {
        if let Some(deadline) = hand.next_deadline() {
            hand.advance(deadline - hand.clock().now());
        }
    };
    let runtime = Builder::new_current_thread().enable_io().on_thread_park(next).build().unwrap();
    runtime.block_on(body(clock, true));
}

fn in_real_time(body: &impl AsyncFn(Clock, bool)) {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async { body(precise::start(), false).await });
}

pub(crate) async fn pass(clock: &Clock, time: Duration) {
    clock.sleep_until(clock.now() + time).await;
}

pub(crate) const FUNCTION: &str = r#"{"image_tag": "image"}"#;

pub(crate) struct Bench {
    pub(crate) worker: Arc<Worker>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) clock: Clock,
    pub(crate) function: String,
}

impl Bench {
    pub(crate) fn new(clock: &Clock, runtime: Duration, options: &str) -> Self {
        Self::of(clock, runtime, options, FUNCTION, |worker| worker)
    }

    /// With a model of this JSON, and a sink.
    pub(crate) fn with_json(
        clock: &Clock,
        json: &str,
        options: &str,
        function: &'static str,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let backends = backends::all(&Default::default());
        let extend = |worker: Worker| worker.with_sink(sink);
        Self::with_models(clock, json, options, function, &backends, extend)
    }

    fn with_sink(clock: &Clock, runtime: Duration, options: &str, sink: Arc<dyn Sink>) -> Self {
        Self::of(clock, runtime, options, FUNCTION, |worker| worker.with_sink(sink))
    }

    fn of(
        clock: &Clock,
        runtime: Duration,
        options: &str,
        function: &'static str,
        extend: impl FnOnce(Worker) -> Worker,
    ) -> Self {
        let backends = backends::all(&Default::default());
        Self::with_models(clock, &constant(runtime), options, function, &backends, extend)
    }

    fn with_models(
        clock: &Clock,
        json: &str,
        options: &str,
        function: &'static str,
        backends: &Backends,
        extend: impl FnOnce(Worker) -> Worker,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.json");
        std::fs::write(&path, json).unwrap();
        let mut catalog = Catalog::default();
        let source = Source { uri: path.to_str().unwrap().parse().unwrap(), image: None };
        catalog.add(&source, backends).unwrap();
        let registry = EmbeddedStore::default();
        let function = registry.register(Bytes::from(function)).unwrap();
        let config = config(options).worker;
        let catalog = Arc::new(catalog);
        let sessions = Sessions::of(&catalog);
        let worker =
            Worker::new("test", Seed::new(1), Arc::new(config), catalog, Arc::new(registry));
        let (worker, clock) = (Arc::new(extend(worker)), clock.clone());
        let executor = Arc::new(Executor::new(Arc::clone(&worker), clock.clone(), sessions));
        Self { worker, executor, clock, function }
    }

    pub(crate) async fn start(&self) -> Arc<hyperfake_worker::worker::Instance> {
        self.worker.start(&self.function, &self.clock).await.unwrap()
    }

    pub(crate) fn call(&self) -> tokio::task::JoinHandle<hyperfake_predictor::Result<Outcome>> {
        let (executor, function) = (Arc::clone(&self.executor), self.function.clone());
        tokio::spawn(async move {
            let call =
                Call { function: &function, instance: None, data: Bytes::new(), fault: None };
            executor.call(call).await
        })
    }
}

pub(crate) async fn next(events: &mut Subscription) -> EventKind {
    std::future::poll_fn(|context| events.poll_next(context)).await.unwrap().kind
}

#[test]
fn the_first_call_waits_for_what_is_left_of_the_cold_start() {
    in_every_time(async |clock, exact| {
        let bench = Bench::new(&clock, 10 * MS, "--cold-start 60ms");
        let instance = bench.start().await;
        assert_eq!(instance.state(clock.now()), InstanceState::Starting);
        pass(&clock, 20 * MS).await;
        let first = bench.call().await.unwrap().unwrap();
        assert_eq!(first.cold_start, instance.ready_at - first.arrived);
        assert!(first.cold_start <= 40 * MS);
        assert!(first.ended >= instance.ready_at + 10 * MS, "began before it was ready");
        assert_eq!(instance.state(clock.now()), InstanceState::Idle);

        let second = bench.call().await.unwrap().unwrap();
        assert_eq!(second.cold_start, Duration::ZERO);
        assert!(second.ended >= second.arrived + 10 * MS);
        if exact {
            assert_eq!(second.ended, second.arrived + 10 * MS);
            assert_eq!(first.cold_start, 40 * MS);
        }
    });
}

#[test]
fn an_instance_is_ready_when_its_cold_start_is_over_and_that_was_announced() {
    in_every_time(async |clock, exact| {
        let bench = Bench::new(&clock, MS, "--cold-start 60ms");
        let mut events = bench.worker.subscribe("test", &clock).unwrap();
        let instance = bench.start().await;
        assert_eq!(next(&mut events).await, EventKind::Start);
        let ready = {
            let (worker, instance) = (Arc::clone(&bench.worker), Arc::clone(&instance));
            tokio::spawn(async move { worker.ready(&instance).await })
        };
        if exact {
            pass(&clock, 59 * MS).await;
            assert!(!ready.is_finished());
        }
        ready.await.unwrap().unwrap();
        assert!(clock.now() >= instance.ready_at);
        assert_eq!(next(&mut events).await, EventKind::Running);
        // Also for one who asks later, and who asks after it has ended.
        bench.worker.ready(&instance).await.unwrap();
        bench.worker.stop(&instance.id.to_string()).await.unwrap();
        bench.worker.ready(&instance).await.unwrap();
        let unready = bench.start().await;
        bench.worker.stop(&unready.id.to_string()).await.unwrap();
        let error = bench.worker.ready(&unready).await.unwrap_err().to_string();
        assert!(error.contains("was stopped before it was ready"), "{error}");
    });
}

#[test]
fn an_instance_in_its_cold_start_takes_no_turn_while_another_one_is_ready() {
    in_every_time(async |clock, _| {
        let bench = Bench::new(&clock, Duration::ZERO, "--cold-start 60ms");
        // None is ready: a call waits for one.
        let first = bench.start().await;
        let outcome = bench.call().await.unwrap().unwrap();
        assert_eq!(outcome.instance, first.id);
        assert!(outcome.cold_start > Duration::ZERO);
        // One is ready and two start.
        let (second, third) = (bench.start().await, bench.start().await);
        for _ in 0..6 {
            let outcome = bench.call().await.unwrap().unwrap();
            assert_eq!((outcome.instance, outcome.cold_start), (first.id, Duration::ZERO));
        }
        // All are ready and take turns; and so do those that remain.
        for instance in [&second, &third] {
            bench.worker.ready(instance).await.unwrap();
        }
        let mut left = vec![first, second, third];
        while !left.is_empty() {
            let mut served = Vec::new();
            for _ in 0..2 * left.len() {
                served.push(bench.call().await.unwrap().unwrap().instance);
            }
            for instance in &left {
                assert_eq!(served.iter().filter(|id| **id == instance.id).count(), 2);
            }
            let stopped = left.remove(0);
            bench.worker.stop(&stopped.id.to_string()).await.unwrap();
        }
    });
}

#[test]
fn time_can_be_scaled_and_a_call_says_how_long_it_took_then() {
    in_every_time(async |clock, _| {
        let bench = Bench::new(&clock, 400 * MS, "--cold-start 200ms --time-scale 0.1");
        let instance = bench.start().await;
        assert_eq!(instance.ready_at, instance.created + 20 * MS);
        let outcome = bench.call().await.unwrap().unwrap();
        assert_eq!(outcome.prediction.runtime, 40 * MS);
        assert!(outcome.ended >= instance.ready_at + 40 * MS);

        // The limit is one of what is predicted.
        let bench = Bench::new(&clock, 400 * MS, "--max-runtime 100ms --time-scale 0.1");
        bench.start().await;
        assert_eq!(bench.call().await.unwrap().unwrap().prediction.runtime, 10 * MS);

        let bench = Bench::new(&clock, 3_600_000 * MS, "--time-scale 0");
        let instance = bench.start().await;
        assert_eq!(instance.ready_at, instance.created);
        assert_eq!(bench.call().await.unwrap().unwrap().prediction.runtime, Duration::ZERO);
    });
}

#[test]
fn an_instance_without_calls_goes_down_and_a_busy_one_does_not() {
    in_every_time(async |clock, _| {
        let bench = Bench::new(&clock, 800 * MS, "--runtime instant --idle-timeout 100ms");
        let mut events = bench.worker.subscribe("test", &clock).unwrap();
        let instance = bench.start().await;
        let call = bench.call();
        pass(&clock, 200 * MS).await;
        assert_eq!(instance.state(clock.now()), InstanceState::Busy);
        call.await.unwrap().unwrap();
        pass(&clock, 400 * MS).await;
        assert_eq!(instance.state(clock.now()), InstanceState::Stopped);
        let expected = [EventKind::Start, EventKind::Running, EventKind::Call, EventKind::Response];
        for kind in expected.into_iter().chain([EventKind::Timeout]) {
            assert_eq!(next(&mut events).await, kind);
        }
        let refused = bench.call().await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("has no live instance"), "{refused}");
    });
}

#[test]
fn a_function_may_state_its_own_idle_timeout_and_the_worker_overrules_it() {
    for (options, alive) in [("", false), ("--idle-timeout 1h", true)] {
        virtual_time::run(async |clock| {
            let options = format!("--runtime instant {options}");
            let json = r#"{"image_tag": "image", "config": {"timeout": 10}}"#;
            let instance = Bench::of(&clock, MS, &options, json, |worker| worker).start().await;
            pass(&clock, Duration::from_secs(9)).await;
            assert_eq!(instance.state(clock.now()), InstanceState::Idle);
            pass(&clock, Duration::from_secs(2)).await;
            assert_eq!(instance.state(clock.now()) == InstanceState::Idle, alive);
        });
    }
}

#[test]
fn a_stopped_instance_is_listed_for_a_while_unless_it_is_removed_at_once() {
    for (options, stays) in [("", true), ("--auto-remove", false)] {
        virtual_time::run(async |clock| {
            let bench = Bench::new(&clock, MS, &format!("--runtime instant {options}"));
            let instance = bench.start().await;
            assert_eq!(bench.worker.instances(clock.now()).len(), 1);
            bench.worker.stop(&instance.id.to_string()).await.unwrap();
            pass(&clock, MS).await;
            assert_eq!(bench.worker.instances(clock.now()).len(), usize::from(stays), "{options}");
            pass(&clock, STOPPED_INSTANCES_STAY).await;
            assert!(bench.worker.instances(clock.now()).is_empty(), "{options}");
        });
    }
}

#[test]
fn a_cancelled_stop_request_still_stops_the_instance() {
    in_every_time(async |clock, _| {
        let bench = Bench::new(&clock, 200 * MS, "--runtime instant");
        let mut events = bench.worker.subscribe("test", &clock).unwrap();
        let instance = bench.start().await;
        let call = bench.call();
        pass(&clock, MS).await;
        let stop = {
            let (worker, id) = (Arc::clone(&bench.worker), instance.id.to_string());
            tokio::spawn(async move { worker.stop(&id).await })
        };
        pass(&clock, MS).await;
        assert_eq!(instance.state(clock.now()), InstanceState::Stopping);
        stop.abort();
        call.await.unwrap().unwrap();
        assert_eq!(instance.state(clock.now()), InstanceState::Stopped);
        let expected = [
            EventKind::Start,
            EventKind::Running,
            EventKind::Call,
            EventKind::Response,
            EventKind::Stop,
        ];
        for kind in expected {
            assert_eq!(next(&mut events).await, kind);
        }
    });
}

/// Keeps the records of all calls.
#[derive(Debug, Default)]
pub(crate) struct Records(pub(crate) Mutex<Vec<CallRecord>>);

impl Sink for Records {
    fn call_ended(&self, record: &CallRecord) {
        self.0.lock().push(record.clone());
    }
}

#[test]
fn a_sink_is_told_of_every_call_however_it_ends() {
    in_every_time(async |clock, exact| {
        let records = Arc::new(Records::default());
        let options = "--cold-start 50ms --time-scale 0.5";
        let bench = Bench::with_sink(&clock, 100 * MS, options, Arc::clone(&records) as _);
        let instance = bench.start().await;
        bench.call().await.unwrap().unwrap();
        let cancelled = bench.call();
        pass(&clock, 20 * MS).await;
        cancelled.abort();
        cancelled.await.unwrap_err();
        let starting = bench.start().await;
        bench.worker.stop(&instance.id.to_string()).await.unwrap();
        let unready = bench.call();
        pass(&clock, MS).await;
        unready.abort();
        unready.await.unwrap_err();

        let records = records.0.lock();
        let [first, second, third] = &**records else { panic!("{records:?}") };
        assert_eq!([first.number, second.number, third.number], [0, 1, 2].map(Some));
        assert_eq!([first.instance, second.instance], [Some(instance.id); 2]);
        assert_eq!(third.instance, Some(starting.id));
        assert_eq!([first.cold, second.cold, third.cold], [true, false, false]);
        assert_eq!([&first.reason, &third.reason], [&Cause::None, &Cause::Client]);
        let outcomes = [first.outcome, second.outcome, third.outcome];
        let cancelled = CallOutcome::Cancelled;
        assert_eq!(outcomes, [CallOutcome::Succeeded, cancelled, cancelled]);
        // The model says 100 ms; half of that is planned.
        assert_eq!(first.predicted.unwrap().runtime_ns, 1e8);
        assert_eq!(first.planned.unwrap().runtime, 50 * MS);
        assert_eq!(first.features.unwrap().function_instances, 1.0);
        assert_eq!(first.began, Some(instance.ready_at));
        assert_eq!(third.began, None, "its instance was never ready");
        if exact {
            // Half of 50 ms.
            assert_eq!((first.cold_start, first.run_time()), (25 * MS, 50 * MS));
            assert_eq!((second.cold_start, second.run_time()), (Duration::ZERO, 20 * MS));
            assert_eq!((third.cold_start, third.run_time()), (MS, Duration::ZERO));
            assert_eq!(first.lateness(), Duration::ZERO);
        }
    });
}

/// Does not want to be told of calls.
#[derive(Debug, Default)]
struct Uninterested(Records);

impl Sink for Uninterested {
    fn is_active(&self) -> bool {
        false
    }

    fn call_ended(&self, record: &CallRecord) {
        self.0.call_ended(record);
    }
}

#[test]
fn a_sink_that_does_not_want_to_be_told_is_not_also_when_others_are() {
    in_every_time(async |clock, _| {
        let sink = Arc::new(Uninterested::default());
        let bench = Bench::with_sink(&clock, MS, "--runtime instant", Arc::clone(&sink) as _);
        // A listener is told of the ends of calls.
        let mut events = bench.worker.subscribe("test", &clock).unwrap();
        bench.start().await;
        bench.call().await.unwrap().unwrap();
        for kind in [EventKind::Start, EventKind::Running, EventKind::Call, EventKind::Response] {
            assert_eq!(next(&mut events).await, kind);
        }
        assert!(sink.0.0.lock().is_empty());
    });
}

/// A model that fails whenever it is asked.
#[derive(Debug)]
struct Failing(ModelInfo);

impl Backend for Failing {
    fn formats(&self) -> &'static Formats {
        &Formats { name: "failing", schemes: &["failing"], extensions: &["json"] }
    }

    fn open(&self, _: &ModelUri) -> Result<Arc<dyn Predictor>> {
        Ok(Arc::new(Self(self.0.clone())))
    }
}

impl Predictor for Failing {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

impl Session for Failing {
    fn predict(&mut self, _: &Features) -> Result<RawPrediction> {
        Err(Error::unsupported("it always fails"))
    }
}

#[test]
fn the_record_of_a_call_whose_model_fails_has_its_features_and_the_reason() {
    in_every_time(async |clock, _| {
        let records = Arc::new(Records::default());
        let info = ModelInfo {
            path: "image.json".into(),
            backend: "failing",
            inputs: Vec::new(),
            units: Units::NATIVE,
            trained: Vec::new(),
            deterministic: true,
            knows_distributions: false,
            settings: Default::default(),
        };
        let backends = Backends::new([Arc::new(Failing(info)) as Arc<dyn Backend>]);
        let sink = Arc::clone(&records) as _;
        let extend = |worker: Worker| worker.with_sink(sink);
        let json = constant(MS);
        let bench = Bench::with_models(&clock, &json, "", FUNCTION, &backends, extend);
        bench.start().await;
        bench.call().await.unwrap().unwrap_err();
        let records = records.0.lock();
        let [record] = &**records else { panic!("{records:?}") };
        assert_eq!(record.outcome, CallOutcome::Failed(ErrorKind::Unsupported));
        assert_eq!(record.reason, Cause::Model);
        assert_eq!(record.features.map(|features| features.function_instances), Some(1.0));
        assert_eq!((record.predicted, record.planned), (None, None));
        assert!(record.began.is_some());
    });
}

#[test]
fn a_call_ends_at_its_arrival_plus_the_predicted_time_however_busy_the_machine_is() {
    let hand = ManualClock::new();
    let clock = hand.clock();
    // The machine is busy elsewhere until 35 ms after the call has come, longer than the call runs.
    let busy = move || {
        if hand.next_deadline().is_some() {
            hand.advance(35 * MS);
        }
    };
    let runtime = Builder::new_current_thread().on_thread_park(busy).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new(&clock, 10 * MS, "--runtime instant");
        bench.start().await;
        let outcome = bench.call().await.unwrap().unwrap();
        assert_eq!(outcome.ended - outcome.arrived, 35 * MS);
        assert_eq!(outcome.prediction.runtime, 10 * MS);
        let late = clock.lateness();
        assert_eq!(late.count(), 1);
        let median = late.quantile(0.5).as_secs_f64();
        assert!((median - 0.025).abs() < 0.025 * 0.02, "found a median lateness of {median} s");
        assert_eq!(clock.sleepers(), 1, "only the instance still waits until it is idle");
    });
}
