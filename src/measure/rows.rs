use std::time::Duration;

use hyperfake_predictor::Error;
use tonic::Code;

use super::{
    Plan,
    share::{Running, Sample, Span, loads, shares},
};
use crate::{record::Row, wire::code_name};

/// What came of a session.
#[derive(Debug, Default)]
pub struct Measured {
    /// The calls, in the order in which they came.
    pub calls: Vec<Measurement>,
    /// When each phase that was begun did so, in nanoseconds since the Unix epoch.
    pub began_unix_ns: Vec<u64>,
    /// From the start of each process until it was ready.
    pub cold_starts: Vec<Duration>,
    /// How many of 100 calls were sent more than 10 ms late: the client could not keep its schedule.
    pub late_percent: f64,
    /// What was not as it was asked for.
    pub notes: Vec<String>,
    /// Why it ended early, if it did.
    pub stopped: Option<Error>,
}

/// A call that was measured.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// It as a row of a record.
    pub row: Row<'static>,
    /// The phase that it belongs to; nothing for the first call of a process.
    pub phase: Option<usize>,
    /// Whether it was made while its phase began, and is no result.
    pub warm_up: bool,
}

impl Measured {
    /// The rows that are results, in the order in which the calls came.
    pub fn rows(&self) -> impl Iterator<Item = &Row<'static>> {
        self.calls.iter().filter(|call| !call.warm_up).map(|call| &call.row)
    }

    /// `labels` and `metered` are of the instances, `samples` of those that are metered.
    pub(super) fn of(
        plan: &Plan,
        epoch_ns: u64,
        labels: &[String],
        metered: &[Option<usize>],
        samples: &[Vec<Sample>],
        calls: &[Call],
    ) -> Self {
        let mut calls: Vec<_> = calls.iter().collect();
        calls.sort_by_key(|call| (call.span.began_ns, call.span.ended_ns));
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let mut found = vec![None; calls.len()];
        for (instance, metered) in metered.iter().enumerate() {
            let Some(samples) = metered.and_then(|number| samples.get(number)) else { continue };
            let is_own = |&place: &usize| calls[place].instance == instance;
            let own: Vec<usize> = (0..calls.len()).filter(is_own).collect();
            let spans: Vec<_> = own.iter().map(|place| calls[*place].span).collect();
            for (place, share) in own.into_iter().zip(shares(samples, &spans, cores)) {
                found[place] = share;
            }
        }
        let running = calls
            .iter()
            .zip(&found)
            .map(|(call, share)| Running { span: call.span, share: share.unwrap_or_default() });
        let loads = loads(&running.collect::<Vec<_>>());
        let is_metered = metered.iter().all(Option::is_some);
        let late = calls.iter().filter(|call| call.lag_ns > LATE_NS).count();
        let late_percent = 100.0 * late as f64 / calls.len().max(1) as f64;
        let mut numbers = 0..;
        let measured =
            calls.iter().zip(found).zip(loads).map(|((call, share), load)| Measurement {
                row: Row {
                    arrival_unix_ns: epoch_ns.saturating_add(call.arrived_ns),
                    worker: WORKER.into(),
                    function: plan.name.clone().into(),
                    image: plan.name.clone().into(),
                    instance: call
                        .said
                        .as_ref()
                        .or(labels.get(call.instance))
                        .cloned()
                        .map(Into::into),
                    call: numbers.next(),
                    cold: is_metered.then_some(call.cold_start_ns.is_some()),
                    queue_ns: Some(call.queue_ns),
                    cold_start_ns: is_metered.then(|| call.cold_start_ns.unwrap_or_default()),
                    run_ns: Some(call.span.ended_ns - call.span.began_ns),
                    cpu_cores: share.map(|share| share.cpu_cores),
                    ram_bytes: share.map(|share| share.ram_bytes as u64),
                    request_bytes: plan.bodies.get(call.body).map(|body| body.len() as u64),
                    function_instances: is_metered.then_some(call.instances),
                    active_calls: Some(load.active_calls),
                    worker_cpu_cores: is_metered.then_some(load.worker_cpu_cores),
                    worker_ram_bytes: is_metered.then_some(load.worker_ram_bytes),
                    outcome: code_name(call.code).into(),
                    ..Row::default()
                },
                phase: call.phase,
                warm_up: call.warm_up,
            });
        Self { calls: measured.collect(), late_percent, ..Self::default() }
    }
}

/// A call that was sent later than this after its moment is late.
const LATE_NS: u64 = 10_000_000;
/// The worker of the rows.
const WORKER: &str = "measure";

/// A call that has ended; its times are counted from the session's beginning.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The number of its instance.
    pub(super) instance: usize,
    /// How many instances there were.
    pub(super) instances: u64,
    /// From the start of the process until it was ready, for its first call.
    pub(super) cold_start_ns: Option<u64>,
    pub(super) arrived_ns: u64,
    /// How long it waited for a place.
    pub(super) queue_ns: u64,
    pub(super) span: Span,
    pub(super) phase: Option<usize>,
    pub(super) warm_up: bool,
    /// Which of the plan's bodies it had.
    pub(super) body: usize,
    pub(super) code: Code,
    /// The instance that its answer names.
    pub(super) said: Option<String>,
    /// How much later than intended it was sent.
    pub(super) lag_ns: u64,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        client::{Peer, Target},
        measure::{Protocol, Subject},
    };

    const MS: u64 = 1_000_000;

    fn plan() -> Plan {
        let target = Target {
            peer: Peer::Leaf,
            address: "localhost:1".into(),
            tls: None,
            max_message_bytes: 1,
            deadline: Duration::from_secs(1),
        };
        Plan {
            name: "f".into(),
            subject: Subject::Running(target),
            protocol: Protocol::Http { path: "/".into() },
            bodies: vec![Bytes::from_static(b"abc")],
            warm_up: Duration::ZERO,
            concurrency: None,
            deadline: Duration::from_secs(1),
            cold_starts: 0,
        }
    }

    fn call(instance: usize, began: u64, ended: u64) -> Call {
        Call {
            instance,
            instances: 2,
            cold_start_ns: None,
            arrived_ns: (began - 1) * MS,
            queue_ns: MS,
            span: Span { began_ns: began * MS, ended_ns: ended * MS },
            phase: Some(0),
            warm_up: false,
            body: 0,
            code: Code::Ok,
            said: None,
            lag_ns: 0,
        }
    }

    #[test]
    fn a_row_has_the_part_of_the_call_and_what_it_met() {
        let sample =
            |at: u64, cpu: u64| Sample { at_ns: at * MS, cpu_ns: cpu * MS, ram_bytes: 600 };
        let samples = [vec![sample(0, 0), sample(100, 100)], vec![sample(0, 0), sample(100, 50)]];
        let labels = ["a".to_owned(), "b".to_owned()];
        let mut calls = [call(1, 50, 100), call(0, 1, 100), call(0, 2, 100), call(0, 3, 4)];
        calls[3].warm_up = true;
        let measured = Measured::of(&plan(), 1000, &labels, &[Some(0), Some(1)], &samples, &calls);
        let rows: Vec<_> = measured.rows().collect();
        assert_eq!(rows.len(), 3);
        let (first, last) = (rows[0], rows[2]);
        assert_eq!(first.arrival_unix_ns, 1000);
        assert_eq!((first.queue_ns, first.run_ns), (Some(MS), Some(99 * MS)));
        assert_eq!((&*first.function, first.instance.as_deref()), ("f", Some("a")));
        assert_eq!((first.active_calls, first.worker_ram_bytes), (Some(0), Some(0)));
        assert_eq!((last.instance.as_deref(), last.active_calls), (Some("b"), Some(2)));
        assert_eq!((last.cpu_cores, last.ram_bytes), (Some(1.0), Some(600)));
        // Together the two of the other instance hold what it uses.
        let held = rows[0].cpu_cores.unwrap() + rows[1].cpu_cores.unwrap();
        assert!((last.worker_cpu_cores.unwrap() - held).abs() < 1e-5);
        assert!((0.98..1.02).contains(&held), "{held}");
        assert_eq!(last.function_instances, Some(2));
    }

    #[test]
    fn what_is_not_known_of_a_running_target_is_not_there() {
        let labels = ["localhost:1".to_owned()];
        let measured = Measured::of(&plan(), 0, &labels, &[None], &[], &[call(0, 1, 2)]);
        let row = measured.rows().next().unwrap();
        assert_eq!((row.cpu_cores, row.cold, row.function_instances), (None, None, None));
        assert_eq!((row.active_calls, row.request_bytes), (Some(0), Some(3)));
    }
}
