//! What queueing theory says of a worker, which serves random calls in virtual time.

use std::{sync::Arc, time::Duration};

use hyperfake_worker::{
    clock::virtual_time,
    record::{CallOutcome, CallRecord},
};
use parking_lot::Mutex;

use super::{Lab, MS};

/// What is measured differs from what is expected by less than this share.
const TOLERANCE: f64 = 0.02;

/// What happened in a run.
struct Run {
    records: Vec<CallRecord>,
    /// Arrivals in a nanosecond.
    rate: f64,
    /// The calls inside, on average over time: looked at again and again.
    inside: f64,
}

impl Run {
    fn mean(&self, value: impl Fn(&CallRecord) -> f64) -> f64 {
        self.records.iter().map(value).sum::<f64>() / self.records.len() as f64
    }

    /// The mean run time on an empty worker, in nanoseconds.
    fn work(&self) -> f64 {
        self.mean(|record| nanoseconds(record.planned.unwrap().runtime))
    }
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

fn assert_close(what: &str, found: f64, expected: f64) {
    let off = (found / expected - 1.0).abs();
    assert!(off < TOLERANCE, "{what}: found {found}, expected {expected}, off by {off:.4}");
}

/// Sends calls, one in `gap` on average, to one instance; Little's law holds for each such run.
fn run(text: &str, options: &str, gap: Duration, calls: usize, seed: u64) -> Run {
    virtual_time::run(async move |clock| {
        let lab = Lab::new(&clock, options, text);
        lab.bench.start().await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sampler = {
            let (worker, seen) = (Arc::clone(&lab.bench.worker), Arc::clone(&seen));
            let clock = clock.clone();
            tokio::spawn(async move {
                loop {
                    clock.sleep_until(clock.now() + gap.mul_f64(0.77)).await;
                    seen.lock().push(worker.usage().calls as f64);
                }
            })
        };
        let began = clock.now();
        lab.offer(calls, gap, seed).await;
        let took = nanoseconds(clock.now() - began);
        sampler.abort();
        let records = lab.records();
        assert_eq!(records.len(), calls);
        assert!(records.iter().all(|record| record.outcome == CallOutcome::Succeeded));
        let seen = seen.lock();
        let inside = seen.iter().sum::<f64>() / seen.len() as f64;
        let run = Run { rate: calls as f64 / took, records, inside };
        let sojourn = run.mean(|record| nanoseconds(record.ended - record.arrived));
        assert_close("Little's law", run.inside, run.rate * sojourn);
        run
    })
}

/// A distribution that is exponential but for its farthest ends.
fn exponential(mean: Duration) -> String {
    let knots = (1..1000).map(|at| {
        let share = f64::from(at) / 1000.0;
        let value = -(1.0 - share).ln() * nanoseconds(mean);
        format!("p{:.1}: {}ns", 100.0 * share, value.round())
    });
    let knots = knots.collect::<Vec<_>>().join(", ");
    format!("{{quantiles: {{{knots}}}, mean: {}ns}}", mean.as_nanos())
}

#[test]
fn shared_cpus_take_what_m_g_1_ps_takes_whatever_the_distribution() {
    let distributions = [
        "10ms",
        "{p50: 5ms, p99: 50ms}",
        "{mix: [{weight: 9, fixed: 4ms}, {weight: 1, fixed: 64ms}]}",
    ];
    for (seed, run_time) in (1..).zip(distributions) {
        let text = format!(
            "version: 1\nworker: {{contention: absolute}}\ndefaults: {{run_time: {run_time}}}"
        );
        let run = run(&text, "--cpus 1", 16 * MS, 150_000, seed);
        let busy = run.rate * run.work();
        assert!((0.5..0.7).contains(&busy), "{busy}");
        let found = run.mean(|record| nanoseconds(record.run_time()));
        assert_close(run_time, found, run.work() / (1.0 - busy));
    }
}

/// The share of calls that wait in M/M/c with this offered load: Erlang's C.
fn erlang_c(servers: u32, load: f64) -> f64 {
    let term = |k: u32| (1..=k).map(|k| load / f64::from(k)).product::<f64>();
    let waits = term(servers) / (1.0 - load / f64::from(servers));
    waits / ((0..servers).map(term).sum::<f64>() + waits)
}

#[test]
fn a_limit_of_concurrency_with_a_queue_is_m_m_c() {
    const SERVERS: u32 = 3;
    let text = format!(
        "version: 1\ndefaults: {{run_time: {}, concurrency: {SERVERS}, queue: {{depth: 100000}}}}",
        exponential(30 * MS)
    );
    let run = run(&text, "", 16 * MS, 300_000, 1);
    let load = run.rate * run.work();
    let waits = erlang_c(SERVERS, load);
    let waited = run.mean(|record| f64::from(u8::from(!record.queued.is_zero())));
    assert_close("the calls that wait", waited, waits);
    let expected = waits * run.work() / (f64::from(SERVERS) - load);
    assert_close("the wait", run.mean(|record| nanoseconds(record.queued)), expected);
}

#[test]
fn without_limits_the_calls_inside_are_those_of_m_g_infinity() {
    let text = "version: 1\ndefaults: {run_time: {p50: 100ms, p99: 1s}}";
    let run = run(text, "", 10 * MS, 150_000, 1);
    // A call that comes at random sees what there is on average.
    let seen = run.mean(|record| record.features.unwrap().active_calls);
    assert_close("the calls inside", seen, run.rate * run.work());
    // A Poisson distribution has a variance like its mean.
    let variance = run.mean(|record| (record.features.unwrap().active_calls - seen).powi(2));
    assert!((variance / seen - 1.0).abs() < 0.1, "{variance} {seen}");
}
