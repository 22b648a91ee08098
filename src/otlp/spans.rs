use std::{
    hash::BuildHasher,
    time::{Duration, SystemTime},
};

use foldhash::quality::FixedState;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::{
    clock::Clock,
    record::{CallOutcome, CallRecord, CodeName},
};

/// Gives calls their hashes, on which it depends whether they are sampled, and their ids.
#[derive(Debug, Clone)]
pub(super) struct Hashes {
    /// Of the call: the same in each run.
    call: FixedState,
    /// Of the trace: another one in each process, so that two runs are not one trace.
    trace: FixedState,
}

impl Hashes {
    /// For a process with this random number.
    pub(super) fn new(process: u64) -> Self {
        Self { call: FixedState::with_seed(0), trace: FixedState::with_seed(process) }
    }

    /// That of a call.
    pub(super) fn of(&self, record: &CallRecord) -> u64 {
        self.call.hash_one(call(record))
    }

    /// One of the ids of a call's trace, none of which is zero.
    fn id(&self, record: &CallRecord, number: u8) -> u64 {
        self.trace.hash_one((call(record), number)).max(1)
    }
}

/// What names a call. One that was refused has no number, but its moment.
fn call(record: &CallRecord) -> (&str, &str, Result<u64, u64>) {
    (&record.worker, &record.function, record.number.ok_or(record.arrived.as_nanos()))
}

/// Makes spans of calls.
#[derive(Debug)]
pub(super) struct Spans {
    hashes: Hashes,
    clock: Clock,
    code: CodeName,
    scope: InstrumentationScope,
}

/// The ids of a call's trace: two halves of its own, and one of each span.
const TRACE: [u8; 2] = [0, 1];
const CALL: u8 = 2;
const COLD_START: u8 = 3;
const QUEUE: u8 = 4;
const RUN: u8 = 5;

impl Spans {
    pub(super) fn new(hashes: Hashes, clock: Clock, code: CodeName) -> Self {
        let scope = InstrumentationScope::builder("hyperfake").build();
        Self { hashes, clock, code, scope }
    }

    /// The span of a call and, within it, one of each wait that there was and one of the run.
    pub(super) fn of(&self, record: &CallRecord) -> impl Iterator<Item = SpanData> + use<> {
        let began = SystemTime::UNIX_EPOCH + self.clock.since_epoch(record.arrived);
        let from = |moment| began + (moment - record.arrived);
        let mut call = self.span(record, CALL, [began, from(record.ended)]);
        let image = Some(&*record.image).filter(|image| !image.is_empty());
        call.name = image.unwrap_or(&record.function).to_owned().into();
        call.span_kind = SpanKind::Server;
        call.status = status(record);
        call.attributes = self.attributes(record);
        let queued = began + record.cold_start;
        let waits = [
            (COLD_START, "cold start", record.cold_start, began),
            (QUEUE, "queue", record.queued, queued),
        ];
        let waits = waits.into_iter().filter(|(.., took, _)| *took > Duration::ZERO);
        let run = record.began.map(|began| (RUN, "run", record.run_time(), from(began)));
        let mut spans = vec![call];
        for (id, name, took, began) in waits.chain(run) {
            let mut span = self.span(record, id, [began, began + took]);
            span.parent_span_id = spans[0].span_context.span_id();
            span.name = name.into();
            spans.push(span);
        }
        spans.into_iter()
    }

    fn span(
        &self,
        record: &CallRecord,
        id: u8,
        [start_time, end_time]: [SystemTime; 2],
    ) -> SpanData {
        let [high, low] = TRACE.map(|half| self.hashes.id(record, half));
        let trace = TraceId::from(u128::from(high) << 64 | u128::from(low));
        let id = SpanId::from(self.hashes.id(record, id));
        let flags = TraceFlags::SAMPLED;
        SpanData {
            span_context: SpanContext::new(trace, id, flags, false, TraceState::default()),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "".into(),
            start_time,
            end_time,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// By OpenTelemetry's conventions for functions, and what only a fake worker knows.
    fn attributes(&self, record: &CallRecord) -> Vec<KeyValue> {
        let seconds = |time: Duration| time.as_secs_f64();
        let code = match record.outcome {
            CallOutcome::Succeeded => crate::record::OK,
            CallOutcome::Failed(kind) => (self.code)(kind),
            CallOutcome::Cancelled => crate::record::CANCELLED,
        };
        let id = match record.instance.zip(record.number) {
            Some((instance, number)) => format!("{instance}-{number}"),
            None => format!("{:016x}", self.hashes.id(record, CALL)),
        };
        let mut found = vec![
            KeyValue::new("faas.trigger", "other"),
            KeyValue::new("faas.name", record.function.to_string()),
            KeyValue::new("faas.coldstart", record.cold),
            KeyValue::new("faas.invocation_id", id),
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.response.status_code", code),
            KeyValue::new("hyperfake.worker", record.worker.to_string()),
        ];
        let mut add = |attribute: Option<KeyValue>| found.extend(attribute);
        let text = |name, text: String| (!text.is_empty()).then(|| KeyValue::new(name, text));
        add(text("container.image.name", record.image.to_string()));
        add(record.instance.map(|instance| KeyValue::new("faas.instance", instance.text())));
        let reason = record.reason.to_string();
        if matches!(record.outcome, CallOutcome::Failed(_)) {
            let kind = if reason.is_empty() { code.to_owned() } else { reason.clone() };
            add(text("error.type", kind));
        }
        add(text("hyperfake.reason", reason));
        add(record.number.map(|number| KeyValue::new("hyperfake.call", number.cast_signed())));
        add(record
            .predicted
            .map(|predicted| KeyValue::new("hyperfake.predicted_s", predicted.runtime_ns / 1e9)));
        if let Some(planned) = record.planned {
            add(Some(KeyValue::new("hyperfake.planned_s", seconds(planned.runtime))));
            add(Some(KeyValue::new("hyperfake.cpu_cores", planned.cpu_cores)));
            add(Some(KeyValue::new("hyperfake.ram_bytes", planned.ram_bytes.cast_signed())));
            let lateness = seconds(record.lateness());
            add(record.began.map(|_| KeyValue::new("hyperfake.lateness_s", lateness)));
        }
        found
    }
}

/// A call that its client gave up is no error of the function.
fn status(record: &CallRecord) -> Status {
    match record.outcome {
        CallOutcome::Succeeded | CallOutcome::Cancelled => Status::Unset,
        CallOutcome::Failed(_) => Status::error(record.reason.to_string()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use hyperfake_predictor::{ErrorKind, Prediction, RawPrediction};

    use super::*;
    use crate::{
        clock::{Moment, manual::ManualClock},
        record::InstanceId,
        scenario::Cause,
    };

    /// A call with this number.
    pub(in crate::otlp) fn record(number: Option<u64>) -> CallRecord {
        let moment = |ms: u64| Moment::default() + Duration::from_millis(ms);
        CallRecord {
            worker: "127.0.0.1:1".into(),
            function: "f-1".into(),
            image: "echo".into(),
            instance: Some(InstanceId::from_bits(0x14c4_c7bb_b18d << 16)),
            number,
            cold: true,
            features: None,
            predicted: Some(RawPrediction::from_array([7e6, 0.5, 8e6])),
            planned: Some(Prediction {
                runtime: Duration::from_millis(7),
                cpu_cores: 0.5,
                ram_bytes: 8_000_000,
            }),
            arrived: moment(100),
            queued: Duration::from_millis(20),
            cold_start: Duration::from_millis(300),
            began: Some(moment(420)),
            ended: moment(428),
            outcome: CallOutcome::Succeeded,
            reason: Cause::None,
        }
    }

    fn spans(record: &CallRecord) -> Vec<SpanData> {
        let code = |_| "UNAVAILABLE";
        Spans::new(Hashes::new(7), ManualClock::new().clock(), code).of(record).collect()
    }

    fn value(span: &SpanData, name: &str) -> Option<String> {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        found.map(|attribute| attribute.value.to_string())
    }

    #[test]
    fn a_call_is_a_span_with_its_waits_and_its_run_inside() {
        let spans = spans(&record(Some(3)));
        let shown: Vec<_> = spans
            .iter()
            .map(|span| {
                let since = |time: SystemTime| time.duration_since(spans[0].start_time).unwrap();
                let (from, to) = (since(span.start_time), since(span.end_time));
                (&*span.name, from.as_millis(), to.as_millis())
            })
            .collect();
        let expected =
            [("echo", 0, 328), ("cold start", 0, 300), ("queue", 300, 320), ("run", 320, 328)];
        assert_eq!(shown, expected);
        let parent = spans[0].span_context.span_id();
        for span in &spans[1..] {
            assert_eq!(span.parent_span_id, parent);
            assert_eq!(span.span_context.trace_id(), spans[0].span_context.trace_id());
            assert!(span.span_context.is_valid() && span.span_context.span_id() != parent);
        }
        for (name, expected) in [
            ("faas.trigger", "other"),
            ("faas.name", "f-1"),
            ("faas.coldstart", "true"),
            ("faas.instance", "14c4c7bbb18d"),
            ("faas.invocation_id", "14c4c7bbb18d-3"),
            ("container.image.name", "echo"),
            ("rpc.response.status_code", "OK"),
            ("hyperfake.predicted_s", "0.007"),
            ("hyperfake.lateness_s", "0.001"),
        ] {
            assert_eq!(value(&spans[0], name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!((&spans[0].status, value(&spans[0], "error.type")), (&Status::Unset, None));
    }

    #[test]
    fn a_refused_call_is_one_span_with_its_reason() {
        let refused = CallRecord {
            instance: None,
            began: None,
            planned: None,
            predicted: None,
            queued: Duration::ZERO,
            cold_start: Duration::ZERO,
            image: "".into(),
            outcome: CallOutcome::Failed(ErrorKind::Exhausted),
            reason: Cause::Overload,
            ..record(None)
        };
        let spans = spans(&refused);
        assert_eq!((spans.len(), &*spans[0].name), (1, "f-1"));
        assert_eq!(spans[0].status, Status::error("overload"));
        assert_eq!(value(&spans[0], "error.type").as_deref(), Some("overload"));
        assert_eq!(value(&spans[0], "faas.instance"), None);
        let outcome = CallOutcome::Cancelled;
        let cancelled = CallRecord { outcome, reason: Cause::Client, ..record(Some(0)) };
        assert_eq!(super::status(&cancelled), Status::Unset);
    }

    #[test]
    fn the_same_calls_are_sampled_in_each_run_and_traces_differ() {
        let (one, two) = (Hashes::new(1), Hashes::new(2));
        let (first, second) = (record(Some(0)), record(Some(1)));
        assert_eq!(one.of(&first), two.of(&first));
        assert_ne!(one.of(&first), one.of(&second));
        assert_ne!(one.id(&first, CALL), two.id(&first, CALL));
        let elsewhere = CallRecord { worker: "127.0.0.1:2".into(), ..record(Some(0)) };
        assert_ne!(one.of(&first), one.of(&elsewhere));
    }
}
