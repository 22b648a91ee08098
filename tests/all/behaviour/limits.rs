//! Limits of a function, and what else happens to a call on its way, in virtual time.

use std::{sync::Arc, time::Duration};

use hyperfake_predictor::ErrorKind;
use hyperfake_worker::{
    clock::virtual_time,
    record::{CallOutcome, CallRecord},
    scenario::Cause,
    worker::{Call, EventKind},
};

use super::{Lab, MS, scenario};
use crate::lifecycle::{next, pass};

fn failed(record: &CallRecord) -> (CallOutcome, &Cause) {
    (record.outcome, &record.reason)
}

#[test]
fn calls_beyond_the_concurrency_wait_in_order_and_those_beyond_the_queue_are_refused() {
    let text = "version: 1\ndefaults: {concurrency: 2, queue: {depth: 3}}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", text);
        lab.bench.start().await;
        let mut calls = Vec::new();
        for _ in 0..7 {
            calls.push(lab.bench.call());
            pass(&clock, MS).await;
        }
        for call in calls {
            drop(call.await.unwrap());
        }
        let records = lab.records();
        let queued: Vec<_> = records.iter().map(|record| record.queued.as_millis()).collect();
        // They came at 0 to 6 ms, two at a time run for 10 ms.
        assert_eq!(queued, [0, 0, 8, 8, 16, 0, 0]);
        for refused in &records[5..] {
            let exhausted = CallOutcome::Failed(ErrorKind::Exhausted);
            assert_eq!(failed(refused), (exhausted, &Cause::Overload));
            assert_eq!((refused.began, refused.planned), (None, None));
        }
        assert!(records[..5].iter().all(|record| record.outcome == CallOutcome::Succeeded));
    });
}

#[test]
fn a_call_that_waits_for_too_long_is_refused_with_the_code_that_is_stated() {
    let text = "version: 1\ndefaults: {concurrency: 1, queue: {depth: 3, timeout: 5ms}, \
                overload_status: UNAVAILABLE}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", text);
        lab.bench.start().await;
        let first = lab.bench.call();
        pass(&clock, MS).await;
        let second = lab.bench.call().await.unwrap().unwrap_err();
        assert_eq!(second.kind(), ErrorKind::Injected(14));
        first.await.unwrap().unwrap();
        let records = lab.records();
        assert_eq!((&records[1].reason, records[1].queued), (&Cause::QueueTimeout, 5 * MS));
        // One that leaves the queue leaves its place there.
        let text = "version: 1\ndefaults: {concurrency: 1, queue: {depth: 1, timeout: 5ms}}";
        lab.bench.worker.set_scenario(scenario(text), clock.now());
        let first = lab.bench.call();
        pass(&clock, MS).await;
        let second = lab.bench.call();
        pass(&clock, MS).await;
        second.abort();
        pass(&clock, 4 * MS).await;
        let third = lab.bench.call();
        third.await.unwrap().unwrap();
        first.await.unwrap().unwrap();
    });
}

#[test]
fn a_call_takes_a_free_place_of_another_instance_before_it_waits() {
    let text = "version: 1\ndefaults: {concurrency: 1, queue: {depth: 1}}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", text);
        for _ in 0..3 {
            lab.bench.start().await;
        }
        pass(&clock, MS).await;
        let mut calls = Vec::new();
        for _ in 0..7 {
            calls.push(lab.bench.call());
            pass(&clock, MS / 10).await;
        }
        for call in calls {
            drop(call.await.unwrap());
        }
        let records = lab.records();
        let waited = records.iter().filter(|record| !record.queued.is_zero()).count();
        let refused = records.iter().filter(|record| record.reason == Cause::Overload).count();
        assert_eq!((waited, refused), (3, 1));
        assert!(records[..3].iter().all(|record| record.queued.is_zero() && record.cold));
    });
}

#[test]
fn what_is_registered_limits_an_instance_if_the_scenario_says_so() {
    let function = r#"{"image_tag": "image", "config": {"mem_limit": 2000000, "cpu_quota": 50000,
        "cpu_period": 100000, "max_concurrency": 1}}"#;
    let text = "version: 1\ndefaults: {concurrency: registered, cpu: registered, \
                memory: registered, run_time: 120ms}";
    virtual_time::run(async |clock| {
        let lab = Lab::of(&clock, "", function, text);
        lab.bench.start().await;
        let calls = [lab.bench.call(), lab.bench.call()];
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let records = lab.records();
        // 0.12 CPU-seconds with half a core: two periods, and what is left.
        assert_eq!(records[0].run_time(), 220 * MS);
        assert_eq!(records[1].queued, 220 * MS);
    });
}

#[test]
fn an_instance_that_needs_too_much_memory_dies_with_all_its_calls() {
    // Two calls of 1 MiB fit, and three do not.
    let text = "version: 1\ndefaults: {memory: {limit: 2500KiB}}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", text);
        let mut events = lab.bench.worker.subscribe("leaf", &clock).unwrap();
        lab.bench.start().await;
        let calls = [lab.bench.call(), lab.bench.call()];
        pass(&clock, MS).await;
        let third = lab.bench.call().await.unwrap().unwrap_err();
        assert_eq!(third.kind(), ErrorKind::Unavailable);
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            assert!(error.to_string().contains("ran out of memory"), "{error}");
        }
        for record in lab.records() {
            let died = CallOutcome::Failed(ErrorKind::Unavailable);
            assert_eq!(failed(&record), (died, &Cause::OutOfMemory));
            assert_eq!(record.ended, clock.now());
        }
        let mut kinds = Vec::new();
        while kinds.last() != Some(&EventKind::Killed) {
            kinds.push(next(&mut events).await);
        }
        assert_eq!(lab.bench.worker.usage().ram_bytes, 0);
        assert_eq!(lab.bench.call().await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
        let refused = lab.records().pop().unwrap();
        assert_eq!(
            (refused.instance, refused.number, &refused.reason),
            (None, None, &Cause::NoInstance)
        );
        assert_eq!(&*refused.image, "image");
        lab.bench.start().await;
        lab.bench.call().await.unwrap().unwrap();
    });
}

#[test]
fn a_call_ends_at_its_time_limit_also_when_others_slow_it_down() {
    let text = "version: 1\nworker: {contention: absolute}\ndefaults: {timeout: 15ms}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "--cpus 1", text);
        lab.bench.start().await;
        lab.bench.call().await.unwrap().unwrap();
        let calls = [lab.bench.call(), lab.bench.call()];
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
        }
        for record in &lab.records()[1..] {
            let timeout = CallOutcome::Failed(ErrorKind::Timeout);
            assert_eq!(failed(record), (timeout, &Cause::TimeLimit));
            assert_eq!(record.run_time(), 15 * MS);
        }
    });
}

#[test]
fn the_load_counts_once_for_a_model_that_knew_it() {
    for (contention, expected) in
        [("none", [10, 10]), ("relative", [15, 10]), ("absolute", [15, 15])]
    {
        let text = format!("version: 1\nworker: {{contention: {contention}}}");
        virtual_time::run(async |clock| {
            let lab = Lab::new(&clock, "--cpus 1", &text);
            lab.bench.start().await;
            let first = lab.bench.call();
            pass(&clock, 5 * MS).await;
            let second = lab.bench.call();
            first.await.unwrap().unwrap();
            second.await.unwrap().unwrap();
            let times = lab
                .records()
                .iter()
                .map(|record| record.run_time().as_millis())
                .collect::<Vec<_>>();
            assert_eq!(times, expected, "{contention}");
        });
    }
}

#[test]
fn starts_slow_each_other_down_and_fail_as_the_scenario_says() {
    let text = "version: 1\ndefaults: {cold_start: 100ms, starts: {slow_down: 0.5}}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", text);
        let mut times = Vec::new();
        for _ in 0..3 {
            let instance = lab.bench.start().await;
            times.push((instance.ready_at - instance.created).as_millis());
        }
        assert_eq!(times, [100, 150, 200]);
        pass(&clock, 200 * MS).await;
        let instance = lab.bench.start().await;
        assert_eq!(instance.ready_at - instance.created, 100 * MS);
    });
    let text = "version: 1\ndefaults: {cold_start: 100ms}\n\
                faults: [{name: bad start, start: {fail: ABORTED}, at_most: 1}]";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", text);
        let mut events = lab.bench.worker.subscribe("leaf", &clock).unwrap();
        let instance = lab.bench.start().await;
        let call = lab.bench.call();
        let failed_start = lab.bench.worker.ready(&instance).await.unwrap_err();
        assert_eq!(failed_start.kind(), ErrorKind::Injected(10));
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Injected(10));
        assert_eq!(next(&mut events).await, EventKind::Start);
        assert_eq!(next(&mut events).await, EventKind::Killed);
        let record = &lab.records()[0];
        assert_eq!((record.cold_start, record.began), (100 * MS, None));
        assert_eq!(record.reason, Cause::Fault("bad start".into()));
        // The next one runs.
        let instance = lab.bench.start().await;
        lab.bench.worker.ready(&instance).await.unwrap();
        lab.bench.call().await.unwrap().unwrap();
    });
}

#[test]
fn instances_differ_in_speed_and_each_keeps_its_own() {
    let text = "version: 1\ndefaults: {instance_speed: {sigma: 0.3}}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", text);
        for _ in 0..4 {
            lab.bench.start().await;
        }
        pass(&clock, MS).await;
        for _ in 0..16 {
            lab.bench.call().await.unwrap().unwrap();
        }
        let records = lab.records();
        let mut times: Vec<_> =
            records.iter().map(|record| (record.instance, record.run_time())).collect();
        times.sort();
        times.dedup();
        assert_eq!(times.len(), 4, "{times:?}");
    });
}

#[test]
fn a_hanging_call_ends_with_its_client_its_time_limit_its_instance_or_the_worker() {
    let hang = "version: 1\nfaults: [{name: stuck, kill: hang}]";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", hang);
        let instance = lab.bench.start().await;
        let given_up = lab.bench.call();
        let stopped = lab.bench.call();
        pass(&clock, Duration::from_secs(3600)).await;
        assert!(!given_up.is_finished() && !stopped.is_finished());
        given_up.abort();
        pass(&clock, MS).await;
        assert_eq!(lab.bench.worker.usage().calls, 1);
        lab.bench.worker.stop(&instance.id.text()).await.unwrap();
        assert_eq!(stopped.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
        lab.bench.start().await;
        let drained = lab.bench.call();
        pass(&clock, MS).await;
        lab.bench.worker.drain().await;
        assert_eq!(drained.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
        let reasons: Vec<_> = lab.records().into_iter().map(|record| record.reason).collect();
        let stuck = Cause::Fault("stuck".into());
        assert_eq!(reasons, [Cause::Client, stuck.clone(), stuck]);
        let refused = lab.bench.call().await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert_eq!(lab.records().pop().unwrap().reason, Cause::ShuttingDown);
    });
    let limited = "version: 1\ndefaults: {timeout: 1s}\nfaults: [{name: stuck, kill: hang}]";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", limited);
        lab.bench.start().await;
        let error = lab.bench.call().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(lab.records()[0].run_time(), Duration::from_secs(1));
    });
}

#[test]
fn a_scenario_is_changed_while_calls_run_and_calls_from_then_on_follow_it() {
    let limited = "version: 1\ndefaults: {run_time: 100ms, concurrency: 1, queue: {depth: 5}}";
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "", limited);
        lab.bench.start().await;
        let old = [lab.bench.call(), lab.bench.call()];
        pass(&clock, 10 * MS).await;
        lab.bench.worker.set_scenario(scenario("version: 1"), clock.now());
        lab.bench.call().await.unwrap().unwrap();
        assert_eq!(clock.now().as_nanos(), 20_000_000, "it did not wait");
        for call in old {
            call.await.unwrap().unwrap();
        }
        assert_eq!(clock.now().as_nanos(), 200_000_000, "they kept to their plans");
        lab.bench.worker.set_scenario(scenario(limited), clock.now());
        let new = [lab.bench.call(), lab.bench.call()];
        for call in new {
            call.await.unwrap().unwrap();
        }
        assert_eq!(clock.now().as_nanos(), 400_000_000);
        // A fault's switch needs no other scenario.
        let faulty = scenario("version: 1\nfaults: [{name: flaky, status: ABORTED}]");
        lab.bench.worker.set_scenario(Arc::clone(&faulty), clock.now());
        assert_eq!(lab.bench.call().await.unwrap().unwrap_err().kind(), ErrorKind::Injected(10));
        faulty.faults()[0].set_on(false);
        lab.bench.call().await.unwrap().unwrap();
    });
}

#[test]
fn every_call_has_one_record_also_if_it_is_refused() {
    virtual_time::run(async |clock| {
        let lab = Lab::new(&clock, "--max-rpcs 1", "version: 1");
        let ask = async |function: &str| {
            let data = bytes::Bytes::new();
            let call = Call { function, instance: None, data, fault: None };
            lab.bench.executor.call(call).await.unwrap_err().kind()
        };
        assert_eq!(ask("unknown").await, ErrorKind::NotFound);
        let long = "ä".repeat(1000);
        assert_eq!(ask(&long).await, ErrorKind::Invalid);
        lab.bench.start().await;
        let first = lab.bench.call();
        pass(&clock, MS).await;
        assert_eq!(ask(&lab.bench.function).await, ErrorKind::Exhausted);
        first.await.unwrap().unwrap();
        let records = lab.records();
        let reasons: Vec<_> = records.iter().map(|record| record.reason.clone()).collect();
        assert_eq!(reasons, [Cause::NoInstance, Cause::NoInstance, Cause::None, Cause::Overload]);
        assert_eq!((&*records[0].function, &*records[0].image), ("unknown", ""));
        assert!(records[1].function.len() <= 256);
        assert_eq!((&*records[3].function, &*records[3].image), (&*lab.bench.function, "image"));
        assert_eq!(&*records[3].worker, "test");
    });
}
