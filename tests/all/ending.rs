//! How instances end that have addresses of their own: with notice.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyperfake_predictor::ErrorKind;
use hyperfake_worker::worker::{EventKind, Instance, InstanceState};

use crate::lifecycle::{Bench, in_every_time, next, pass};

const MS: Duration = Duration::from_millis(1);

impl Bench {
    async fn start_with_address(&self) -> Arc<Instance> {
        self.worker.start_with_address(&self.function, &self.clock).await.unwrap()
    }

    /// Calls an instance at its own address.
    async fn call_on(&self, instance: &Arc<Instance>) -> Result<(), ErrorKind> {
        let (method, arrived) = ("test.Test/Ask", self.executor.clock().now());
        let called = self.executor.call_on(instance, method, Bytes::new(), None, arrived).await;
        called.map(drop).map_err(|error| error.kind())
    }
}

#[test]
fn a_stopped_instance_takes_calls_for_a_moment_longer() {
    in_every_time(async |clock, exact| {
        let bench = Bench::new(&clock, Duration::ZERO, "--cold-start 0s");
        let mut events = bench.worker.subscribe("leaf", &clock).unwrap();
        let instance = bench.start_with_address().await;
        bench.worker.stop_soon(&instance.id.text(), &clock);
        bench.worker.stop_soon(&instance.id.text(), &clock);
        bench.call_on(&instance).await.unwrap();
        if exact {
            pass(&clock, 49 * MS).await;
            bench.call_on(&instance).await.unwrap();
        }
        instance.ends().await;
        assert_eq!(bench.call_on(&instance).await, Err(ErrorKind::Unavailable));
        let mut kinds = Vec::new();
        while kinds.last() != Some(&EventKind::Stop) {
            kinds.push(next(&mut events).await);
        }
        assert_eq!(kinds[0], EventKind::Start);
        assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::Stop).count(), 1);
        // One that is gone is asked for again without an error.
        bench.worker.stop_soon(&instance.id.text(), &clock);
        bench.worker.stop_soon("no id at all", &clock);
    });
}

#[test]
fn an_idle_instance_lives_until_it_is_stopped_unless_a_time_was_given() {
    in_every_time(async |clock, exact| {
        if !exact {
            return;
        }
        let bench = Bench::new(&clock, Duration::ZERO, "--cold-start 0s");
        let instance = bench.start_with_address().await;
        pass(&clock, Duration::from_secs(7 * 24 * 3600)).await;
        assert_eq!(instance.state(clock.now()), InstanceState::Idle);

        let bench = Bench::new(&clock, Duration::ZERO, "--cold-start 0s --idle-timeout 10s");
        let mut events = bench.worker.subscribe("leaf", &clock).unwrap();
        let instance = bench.start_with_address().await;
        pass(&clock, Duration::from_secs(9)).await;
        bench.call_on(&instance).await.unwrap();
        pass(&clock, Duration::from_millis(9990)).await;
        while next(&mut events).await != EventKind::Timeout {}
        // The listener knows it, and calls that are on their way still arrive.
        bench.call_on(&instance).await.unwrap();
        assert_eq!(instance.ends().await, EventKind::Timeout);
        assert_eq!(bench.call_on(&instance).await, Err(ErrorKind::Unavailable));
    });
}

#[test]
fn instances_of_a_deleted_function_end_and_the_next_start_looks_it_up() {
    in_every_time(async |clock, _| {
        let bench = Bench::new(&clock, Duration::ZERO, "--cold-start 0s");
        let mut events = bench.worker.subscribe("leaf", &clock).unwrap();
        let instances = [bench.start_with_address().await, bench.start_with_address().await];
        bench.worker.function_deleted("another one", &clock);
        bench.worker.function_deleted(&bench.function, &clock);
        let mut ended = 0;
        while ended < instances.len() {
            ended += usize::from(next(&mut events).await == EventKind::Timeout);
        }
        for instance in &instances {
            assert_eq!(instance.ends().await, EventKind::Timeout);
        }
        // The store of this test has it still.
        let again = bench.start_with_address().await;
        bench.call_on(&again).await.unwrap();
    });
}

#[test]
fn instances_whose_leaf_is_gone_for_long_end() {
    in_every_time(async |clock, exact| {
        if !exact {
            return;
        }
        let options = "--cold-start 0s --orphan-timeout 1h";
        let bench = Bench::new(&clock, Duration::ZERO, options);
        let hour = Duration::from_secs(3600);
        let of_nobody = bench.start_with_address().await;
        pass(&clock, hour).await;
        drop(bench.worker.subscribe("first life", &clock).unwrap());
        let orphan = bench.start_with_address().await;
        let of_2025 = bench.worker.start(&bench.function, &clock).await.unwrap();
        pass(&clock, hour / 2).await;
        let _second = bench.worker.subscribe("second life", &clock).unwrap();
        let owned = bench.start_with_address().await;
        bench.worker.housekeeping(clock.now(), &clock);
        bench.call_on(&orphan).await.unwrap();
        pass(&clock, hour).await;
        bench.worker.housekeeping(clock.now(), &clock);
        assert_eq!(orphan.ends().await, EventKind::Timeout);
        for lives in [&of_nobody, &owned] {
            bench.call_on(lives).await.unwrap();
        }
        assert_eq!(of_2025.ends().await, EventKind::Timeout, "its function's own time");
    });
}

#[test]
fn another_event_follows_stop_for_leaves_that_listen_only_to_that() {
    in_every_time(async |clock, _| {
        for (option, expected) in [("down", EventKind::Killed), ("timeout", EventKind::Timeout)] {
            let options = format!("--cold-start 0s --event-after-stop {option}");
            let bench = Bench::new(&clock, Duration::ZERO, &options);
            let mut events = bench.worker.subscribe("leaf", &clock).unwrap();
            let instance = bench.start_with_address().await;
            bench.worker.ready(&instance).await.unwrap();
            bench.worker.stop_soon(&instance.id.text(), &clock);
            for expected in [EventKind::Start, EventKind::Running, EventKind::Stop, expected] {
                assert_eq!(next(&mut events).await, expected);
            }
        }
    });
}

#[test]
fn a_changed_function_holds_for_the_next_instance_and_none_is_lost() {
    in_every_time(async |clock, _| {
        let options = "--cold-start 0s --feature-scope worker";
        let bench = Bench::new(&clock, Duration::ZERO, options);
        let old = bench.start_with_address().await;
        bench.worker.function_deleted(&bench.function, &clock);
        let new = bench.start_with_address().await;
        assert!(!std::ptr::eq(old.function(), new.function()));
        old.ends().await;
        bench.worker.stop_soon(&new.id.text(), &clock);
        new.ends().await;
        bench.worker.shut_down().await;
        assert_eq!(bench.worker.usage().instances, 0);
    });
}
