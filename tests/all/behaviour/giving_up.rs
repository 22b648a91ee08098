//! A call's client may give it up at any moment, and everything that it holds is given back.

use std::time::Duration;

use hyperfake_worker::{clock::virtual_time, record::CallOutcome, scenario::Cause};
use proptest::prelude::*;

use super::{Lab, MS};
use crate::lifecycle::pass;

/// When a call comes, and how long its client waits.
fn calls() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((0..40u32, 0..60u32), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_call_that_is_given_up_gives_everything_back(
        calls in calls(),
        concurrency in 1..4u32,
        depth in 0..6u32,
        contention in prop::sample::select(vec!["none", "relative", "absolute"]),
        cold_start in 0..30u32,
        hangs in 0..60u32,
        limited in any::<bool>(),
    ) {
        let limit = if limited { "timeout: 35ms, " } else { "" };
        let text = format!(
            "version: 1\nworker: {{contention: {contention}}}\n\
             defaults: {{{limit}concurrency: {concurrency}, queue: {{depth: {depth}, timeout: 25ms}}}}\n\
             faults: [{{name: stuck, percent: {hangs}, kill: hang}}]"
        );
        virtual_time::run(async |clock| {
            let options = format!("--cpus 1 --cold-start {cold_start}ms");
            let lab = Lab::new(&clock, &options, &text);
            let instance = lab.bench.start().await;
            let count = calls.len();
            let mut given_up = Vec::new();
            for (comes, waits) in calls {
                let (clock, executor) = (clock.clone(), std::sync::Arc::clone(&lab.bench.executor));
                let function = lab.bench.function.clone();
                given_up.push(tokio::spawn(async move {
                    pass(&clock, MS * comes).await;
                    let data = bytes::Bytes::new();
                    let call = hyperfake_worker::worker::Call {
                        function: &function, instance: None, data, fault: None,
                    };
                    tokio::select! {
                        biased;
                        ended = executor.call(call) => drop(ended),
                        () = pass(&clock, MS * waits) => {}
                    }
                }));
            }
            for call in given_up {
                call.await.unwrap();
            }
            let usage = lab.bench.worker.usage();
            assert_eq!((usage.calls, usage.cpu_cores, usage.ram_bytes), (0, 0.0, 0));
            assert_eq!(lab.records().len(), count);
            for record in lab.records() {
                let is_given_up = record.outcome == CallOutcome::Cancelled;
                assert_eq!(is_given_up, record.reason == Cause::Client, "{record:?}");
            }
            // All places are free, and the CPU is a call's own.
            lab.bench.worker.scenario().faults()[0].set_on(false);
            lab.bench.worker.ready(&instance).await.unwrap();
            let before = lab.records().len();
            let mut last = Vec::new();
            for _ in 0..concurrency {
                let call = lab.bench.call();
                pass(&clock, 20 * MS * u32::from(contention != "none")).await;
                last.push(call);
            }
            for call in last {
                call.await.unwrap().unwrap();
            }
            for record in &lab.records()[before..] {
                assert_eq!((record.queued, record.run_time()), (Duration::ZERO, 10 * MS));
            }
            assert_eq!(clock.sleepers(), 1, "only the instance waits until it is idle");
        });
    }
}
