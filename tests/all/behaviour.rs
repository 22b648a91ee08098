//! Functions that behave as a scenario says.

use std::{sync::Arc, time::Duration};

use hyperfake_worker::{
    clock::Clock,
    record::{CallRecord, Sink},
    scenario::Scenario,
};
use tokio::task::JoinSet;

use crate::lifecycle::{Bench, FUNCTION, Records};

mod codes;
mod giving_up;
mod limits;
mod oracles;
mod same_record;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A model that says this run time, one core and 1 MiB.
pub(crate) fn one_core(run_time: Duration) -> String {
    let ns = run_time.as_nanos();
    format!(r#"{{"kind": "constant", "runtime_ns": {ns}, "cpu_cores": 1, "ram_bytes": 1048576}}"#)
}

pub(crate) fn scenario(text: &str) -> Arc<Scenario> {
    Arc::new(Scenario::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// A worker whose calls are recorded.
pub(crate) struct Lab {
    pub(crate) bench: Bench,
    pub(crate) records: Arc<Records>,
}

impl Lab {
    /// Whose functions take one core for 10 ms and behave so.
    pub(crate) fn new(clock: &Clock, options: &str, text: &str) -> Self {
        Self::of(clock, options, FUNCTION, text)
    }

    /// The same of a function that was registered so.
    pub(crate) fn of(clock: &Clock, options: &str, function: &'static str, text: &str) -> Self {
        let records = Arc::new(Records::default());
        let sink = Arc::clone(&records) as Arc<dyn Sink>;
        let json = one_core(10 * MS);
        let options = format!("--runtime instant --idle-timeout 1000h {options}");
        let bench = Bench::with_json(clock, &json, &options, function, sink);
        bench.worker.set_scenario(scenario(text), clock.now());
        Self { bench, records }
    }

    /// Sends so many calls, at random with this mean time between them, and waits for their ends.
    pub(crate) async fn offer(&self, count: usize, gap: Duration, seed: u64) {
        let clock = &self.bench.clock;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut calls = JoinSet::new();
        let mut next = clock.now();
        for _ in 0..count {
            // The gaps of a Poisson process.
            next += gap.mul_f64(-(1.0 - random.f64()).ln());
            clock.sleep_until(next).await;
            let call = self.bench.call();
            calls.spawn(async move { drop(call.await.unwrap()) });
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
    }

    /// The records so far, in the order of arrival.
    pub(crate) fn records(&self) -> Vec<CallRecord> {
        let mut records = self.records.0.lock().clone();
        records.sort_by_key(|record| record.arrived);
        records
    }
}
