//! An instance's life and a call's time: one body for the real clock and for one moved by hand.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyperfake_worker::{
    backends,
    catalog::{Catalog, Source},
    clock::{Clock, manual::ManualClock, precise},
    functions::embedded::EmbeddedRegistry,
    worker::{
        Call, EventKind, Executor, InstanceState, Outcome, STOPPED_INSTANCES_STAY, Sessions,
        Subscription, Worker,
    },
};

use crate::support::{config, constant};

const MS: Duration = Duration::from_millis(1);

/// Whoever lets time pass.
enum Hand {
    Real(Clock),
    Manual(ManualClock),
}

impl Hand {
    fn both() -> [Self; 2] {
        [Self::Real(precise::start()), Self::Manual(ManualClock::new())]
    }

    fn clock(&self) -> Clock {
        match self {
            Self::Real(clock) => clock.clone(),
            Self::Manual(hand) => hand.clock(),
        }
    }

    async fn pass(&self, time: Duration) {
        let clock = self.clock();
        let end = clock.now() + time;
        match self {
            Self::Real(_) => clock.sleep_until(end).await,
            Self::Manual(hand) => {
                settle().await;
                // From deadline to deadline, so that everybody wakes at the right moment.
                while let Some(next) = hand.next_deadline().filter(|next| *next <= end) {
                    hand.advance(next - clock.now());
                    settle().await;
                }
                hand.advance(end - clock.now());
            }
        }
        settle().await;
    }
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

struct Bench {
    worker: Arc<Worker>,
    executor: Arc<Executor>,
    clock: Clock,
    function: String,
}

impl Bench {
    fn new(hand: &Hand, runtime: Duration, options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.json");
        std::fs::write(&path, constant(runtime)).unwrap();
        let mut catalog = Catalog::default();
        let source = Source { uri: path.to_str().unwrap().parse().unwrap(), image: None };
        catalog.add(&source, &backends::all(&Default::default())).unwrap();
        let registry = EmbeddedRegistry::default();
        let function = registry.register(Bytes::from(r#"{"image_tag": "image"}"#)).unwrap();
        let config = config(options).worker;
        let catalog = Arc::new(catalog);
        let sessions = Sessions::of(&catalog);
        let worker = Worker::new("test", Arc::new(config), catalog, Arc::new(registry));
        let (worker, clock) = (Arc::new(worker), hand.clock());
        let executor = Arc::new(Executor::new(Arc::clone(&worker), clock.clone(), sessions));
        Self { worker, executor, clock, function }
    }

    async fn start(&self) -> Arc<hyperfake_worker::worker::Instance> {
        self.worker.start(&self.function, &self.clock).await.unwrap()
    }

    fn call(&self) -> tokio::task::JoinHandle<hyperfake_predictor::Result<Outcome>> {
        let (executor, function) = (Arc::clone(&self.executor), self.function.clone());
        tokio::spawn(async move {
            let call = Call { function: &function, instance: None, data: Bytes::new() };
            executor.call(call).await
        })
    }
}

async fn next(events: &mut Subscription) -> EventKind {
    std::future::poll_fn(|context| events.poll_next(context)).await.unwrap().kind
}

#[tokio::test]
async fn the_first_call_waits_for_what_is_left_of_the_cold_start() {
    for hand in Hand::both() {
        let bench = Bench::new(&hand, 10 * MS, "--cold-start 60ms");
        let instance = bench.start().await;
        assert_eq!(instance.state(bench.clock.now()), InstanceState::Starting);
        hand.pass(20 * MS).await;
        let first = bench.call();
        hand.pass(80 * MS).await;
        let first = first.await.unwrap().unwrap();
        assert_eq!(first.cold_start, instance.ready_at - first.arrived);
        assert!(first.cold_start <= 40 * MS);
        assert!(first.ended >= instance.ready_at + 10 * MS, "began before it was ready");
        assert_eq!(instance.state(bench.clock.now()), InstanceState::Idle);

        let second = bench.call();
        hand.pass(30 * MS).await;
        let second = second.await.unwrap().unwrap();
        assert_eq!(second.cold_start, Duration::ZERO);
        assert!(second.ended >= second.arrived + 10 * MS);
        if let Hand::Manual(_) = hand {
            assert_eq!(second.ended, second.arrived + 10 * MS);
            assert_eq!(first.cold_start, 40 * MS);
        }
    }
}

#[tokio::test]
async fn an_instance_is_ready_when_its_cold_start_is_over_and_it_was_said_to_run() {
    let hand = ManualClock::new();
    let bench = Bench::new(&Hand::Manual(hand.clone()), MS, "--cold-start 60ms");
    let mut events = bench.worker.subscribe("test", &bench.clock).unwrap();
    let instance = bench.start().await;
    let ready = {
        let (worker, instance) = (Arc::clone(&bench.worker), Arc::clone(&instance));
        tokio::spawn(async move { worker.ready(&instance).await })
    };
    assert_eq!(next(&mut events).await, EventKind::Start);
    Hand::Manual(hand.clone()).pass(59 * MS).await;
    assert!(!ready.is_finished());
    hand.advance(MS);
    ready.await.unwrap().unwrap();
    assert_eq!(next(&mut events).await, EventKind::Running);
    // Also for one who asks later, and who asks after it has ended.
    bench.worker.ready(&instance).await.unwrap();
    bench.worker.stop(&instance.id.to_string()).await.unwrap();
    bench.worker.ready(&instance).await.unwrap();
    let unready = bench.start().await;
    bench.worker.stop(&unready.id.to_string()).await.unwrap();
    let error = bench.worker.ready(&unready).await.unwrap_err().to_string();
    assert!(error.contains("was stopped before it was ready"), "{error}");
}

#[tokio::test]
async fn an_instance_in_its_cold_start_takes_no_turn_while_another_one_is_ready() {
    let hand = Hand::Manual(ManualClock::new());
    let bench = Bench::new(&hand, Duration::ZERO, "--cold-start 60ms");
    // None is ready: a call waits for one.
    let first = bench.start().await;
    let call = bench.call();
    hand.pass(60 * MS).await;
    let outcome = call.await.unwrap().unwrap();
    assert_eq!((outcome.instance, outcome.cold_start), (first.id, 60 * MS));
    // One is ready and two start.
    let (second, third) = (bench.start().await, bench.start().await);
    for _ in 0..6 {
        let outcome = bench.call().await.unwrap().unwrap();
        assert_eq!((outcome.instance, outcome.cold_start), (first.id, Duration::ZERO));
    }
    // All are ready and take turns; and so do those that remain.
    hand.pass(60 * MS).await;
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
        settle().await;
    }
}

#[tokio::test]
async fn time_can_be_scaled_and_a_call_says_how_long_it_took_then() {
    for hand in Hand::both() {
        let bench = Bench::new(&hand, 400 * MS, "--cold-start 200ms --time-scale 0.1");
        let instance = bench.start().await;
        assert_eq!(instance.ready_at, instance.created + 20 * MS);
        let call = bench.call();
        hand.pass(100 * MS).await;
        let outcome = call.await.unwrap().unwrap();
        assert_eq!(outcome.prediction.runtime, 40 * MS);
        assert!(outcome.ended >= instance.ready_at + 40 * MS);

        // The limit is one of what is predicted.
        let bench = Bench::new(&hand, 400 * MS, "--max-runtime 100ms --time-scale 0.1");
        bench.start().await;
        let call = bench.call();
        hand.pass(100 * MS).await;
        assert_eq!(call.await.unwrap().unwrap().prediction.runtime, 10 * MS);

        let bench = Bench::new(&hand, 3_600_000 * MS, "--time-scale 0");
        let instance = bench.start().await;
        assert_eq!(instance.ready_at, instance.created);
        assert_eq!(bench.call().await.unwrap().unwrap().prediction.runtime, Duration::ZERO);
    }
}

#[tokio::test]
async fn an_instance_without_calls_goes_down_and_a_busy_one_does_not() {
    for hand in Hand::both() {
        let bench = Bench::new(&hand, 800 * MS, "--runtime instant --idle-timeout 100ms");
        let mut events = bench.worker.subscribe("test", &bench.clock).unwrap();
        let instance = bench.start().await;
        let call = bench.call();
        hand.pass(200 * MS).await;
        assert_eq!(instance.state(bench.clock.now()), InstanceState::Busy);
        hand.pass(630 * MS).await;
        call.await.unwrap().unwrap();
        hand.pass(400 * MS).await;
        assert_eq!(instance.state(bench.clock.now()), InstanceState::Stopped);
        let expected = [EventKind::Start, EventKind::Running, EventKind::Call, EventKind::Response];
        for kind in expected.into_iter().chain([EventKind::Timeout]) {
            assert_eq!(next(&mut events).await, kind);
        }
        let refused = bench.call().await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("has no live instance"), "{refused}");
    }
}

#[tokio::test]
async fn a_function_may_state_its_own_idle_timeout_and_the_worker_overrules_it() {
    for (options, alive) in [("", false), ("--idle-timeout 1h", true)] {
        let hand = Hand::Manual(ManualClock::new());
        let bench = Bench::new(&hand, MS, &format!("--runtime instant {options}"));
        let registry = EmbeddedRegistry::default();
        let json = r#"{"image_tag": "image", "config": {"timeout": 10}}"#;
        let function = registry.register(Bytes::from(json)).unwrap();
        let mut catalog = Catalog::default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.json");
        std::fs::write(&path, constant(MS)).unwrap();
        let source = Source { uri: path.to_str().unwrap().parse().unwrap(), image: None };
        catalog.add(&source, &backends::all(&Default::default())).unwrap();
        let config = bench.worker.config().clone();
        let worker = Worker::new("test", Arc::new(config), Arc::new(catalog), Arc::new(registry));
        let worker = Arc::new(worker);
        let instance = worker.start(&function, &bench.clock).await.unwrap();
        hand.pass(Duration::from_secs(9)).await;
        assert_eq!(instance.state(bench.clock.now()), InstanceState::Idle);
        hand.pass(Duration::from_secs(2)).await;
        assert_eq!(instance.state(bench.clock.now()) == InstanceState::Idle, alive);
    }
}

#[tokio::test]
async fn a_stopped_instance_is_listed_for_a_while_unless_it_is_removed_at_once() {
    for (options, stays) in [("", true), ("--auto-remove", false)] {
        let hand = Hand::Manual(ManualClock::new());
        let bench = Bench::new(&hand, MS, &format!("--runtime instant {options}"));
        let instance = bench.start().await;
        assert_eq!(bench.worker.instances(bench.clock.now()).len(), 1);
        bench.worker.stop(&instance.id.to_string()).await.unwrap();
        settle().await;
        assert_eq!(
            bench.worker.instances(bench.clock.now()).len(),
            usize::from(stays),
            "{options}"
        );
        hand.pass(STOPPED_INSTANCES_STAY).await;
        assert!(bench.worker.instances(bench.clock.now()).is_empty(), "{options}");
    }
}

#[tokio::test]
async fn a_stop_that_its_client_gave_up_still_ends_the_instance() {
    let hand = Hand::Manual(ManualClock::new());
    let bench = Bench::new(&hand, 50 * MS, "--runtime instant");
    let mut events = bench.worker.subscribe("test", &bench.clock).unwrap();
    let instance = bench.start().await;
    let call = bench.call();
    settle().await;
    let stop = {
        let (worker, id) = (Arc::clone(&bench.worker), instance.id.to_string());
        tokio::spawn(async move { worker.stop(&id).await })
    };
    settle().await;
    assert_eq!(instance.state(bench.clock.now()), InstanceState::Stopping);
    stop.abort();
    hand.pass(60 * MS).await;
    call.await.unwrap().unwrap();
    assert_eq!(instance.state(bench.clock.now()), InstanceState::Stopped);
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
}

#[tokio::test]
async fn a_call_ends_at_its_arrival_plus_the_predicted_time_whatever_the_machine_does() {
    let hand = ManualClock::new();
    let bench = Bench::new(&Hand::Manual(hand.clone()), 10 * MS, "--runtime instant");
    bench.start().await;
    let call = bench.call();
    settle().await;
    // The machine is busy elsewhere for longer than the call runs.
    hand.advance(35 * MS);
    let outcome = call.await.unwrap().unwrap();
    assert_eq!(outcome.ended - outcome.arrived, 35 * MS);
    assert_eq!(outcome.prediction.runtime, 10 * MS);
    let late = bench.clock.lateness();
    assert_eq!(late.count(), 1);
    let median = late.quantile(0.5).as_secs_f64();
    assert!((median - 0.025).abs() < 0.025 * 0.02, "found a median lateness of {median} s");
    assert_eq!(bench.clock.sleepers(), 1, "only the instance still waits, to grow idle");
}
