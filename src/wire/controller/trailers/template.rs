use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use hyperfake_predictor::Prediction;

use super::{CALL_QUEUED, COLD_START, CPU, GOT_RESPONSE, PROCESSING_TIME, RAM};
use crate::{clock::Clock, worker::Outcome};

/// Makes the trailers of the calls of one connection.
///
/// A connection keeps a table of headers that were sent (HPACK, RFC 7541), and what is in it takes a byte or
/// two. The trailers of the first call are put in. In those of later calls what is the same is found there;
/// what differs is marked as sensitive, which is how h2 is told to send it with a name of the table, if that
/// is still there, and not to put it in, or the table would be full of time stamps.
#[derive(Debug)]
pub(crate) struct Template {
    names: Arc<Names>,
    first: OnceLock<First>,
}

/// The names, made once.
#[derive(Debug)]
struct Names {
    /// With the values that are the same for every call.
    headers: HeaderMap,
    /// What each of the headers says of a call, in their order, which a copy keeps.
    fields: Box<[Option<Field>]>,
}

/// What a trailer says of every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Queued,
    Responded,
    ProcessingTime,
    Cpu,
    Ram,
}

/// What was predicted for the first call, and its trailers without the times.
#[derive(Debug)]
struct First {
    prediction: Prediction,
    headers: HeaderMap,
}

impl Template {
    /// The trailers of a call, and these others, which are the same for every call.
    pub(crate) fn new(others: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        let fields = [
            (&CALL_QUEUED, Field::Queued),
            (&GOT_RESPONSE, Field::Responded),
            (&PROCESSING_TIME, Field::ProcessingTime),
            (&CPU, Field::Cpu),
            (&RAM, Field::Ram),
        ];
        let empty = fields.map(|(name, _)| (name.clone(), EMPTY));
        let headers: HeaderMap = empty.into_iter().chain(others).collect();
        let field = |name| fields.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
        let names = Names { fields: headers.keys().map(field).collect(), headers };
        Self { names: Arc::new(names), first: OnceLock::new() }
    }

    /// The same for another connection.
    pub(crate) fn of_new_connection(&self) -> Self {
        Self { names: Arc::clone(&self.names), first: OnceLock::new() }
    }

    /// The trailers of a call that ended.
    pub(crate) fn of(&self, outcome: &Outcome, clock: &Clock) -> HeaderMap {
        // Both dates come from one reading: the system's date may be set at any time, and must not
        // change the time between them.
        let (ended, took) = (clock.since_epoch(outcome.ended), outcome.ended - outcome.arrived);
        let first = self.first.get();
        let (new, known) = (&outcome.prediction, first.map(|first| &first.prediction));
        let mut headers = first.map_or(&self.names.headers, |first| &first.headers).clone();
        for (value, field) in headers.values_mut().zip(&self.names.fields) {
            let is_known = |same: fn(&Prediction, &Prediction) -> bool| {
                known.is_some_and(|known| same(known, new))
            };
            *value = match field {
                None => continue,
                Some(Field::Queued) => nanoseconds(ended.saturating_sub(took)),
                Some(Field::Responded) => nanoseconds(ended),
                Some(Field::ProcessingTime) if is_known(|a, b| a.runtime == b.runtime) => continue,
                Some(Field::ProcessingTime) => nanoseconds(new.runtime),
                Some(Field::Cpu) if is_known(|a, b| a.cpu_cores == b.cpu_cores) => continue,
                Some(Field::Cpu) => millionths((new.cpu_cores * 1e6).round() as u64),
                Some(Field::Ram) if is_known(|a, b| a.ram_bytes == b.ram_bytes) => continue,
                Some(Field::Ram) => whole(new.ram_bytes),
            };
            value.set_sensitive(first.is_some());
        }
        if first.is_none() {
            self.keep(new, &headers);
        }
        if !outcome.cold_start.is_zero() {
            let mut waited = nanoseconds(outcome.cold_start);
            waited.set_sensitive(first.is_some());
            headers.insert(&COLD_START, waited);
        }
        headers
    }

    /// Keeps the trailers of the first call.
    fn keep(&self, prediction: &Prediction, headers: &HeaderMap) {
        let mut headers = headers.clone();
        for (value, field) in headers.values_mut().zip(&self.names.fields) {
            if let Some(Field::Queued | Field::Responded) = field {
                *value = EMPTY;
            }
        }
        // It was not set: the calls of a connection are answered on one thread.
        let _ = self.first.set(First { prediction: *prediction, headers });
    }
}

const EMPTY: HeaderValue = HeaderValue::from_static("");

/// A duration in nanoseconds.
pub fn nanoseconds(duration: Duration) -> HeaderValue {
    // Enough for 584 years.
    whole(duration.as_nanos() as u64)
}

/// A decimal number, given in millionths.
pub fn millionths(millionths: u64) -> HeaderValue {
    match (millionths / 1_000_000, millionths % 1_000_000) {
        (number, 0) => whole(number),
        (number, rest) => text(format!("{number}.{rest:06}").trim_end_matches('0')),
    }
}

/// A whole number.
pub fn whole(number: u64) -> HeaderValue {
    text(itoa::Buffer::new().format(number))
}

/// Digits, which are always a valid value, as a point is.
fn text(digits: &str) -> HeaderValue {
    HeaderValue::from_str(digits).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::{Status, metadata::MetadataMap};

    use super::{super::Trailers, *};
    use crate::{clock::manual::ManualClock, worker::InstanceId};

    fn outcome(runtime: Duration, cpu_cores: f64, clock: &Clock) -> Outcome {
        Outcome {
            instance: InstanceId::from_bits(0),
            data: bytes::Bytes::new(),
            prediction: Prediction { runtime, cpu_cores, ram_bytes: 8 },
            arrived: clock.now(),
            ended: clock.now(),
            cold_start: Duration::ZERO,
            failure: None,
        }
    }

    #[test]
    fn what_differs_from_the_first_call_of_a_connection_is_not_put_into_its_table() {
        let (hand, second) = (ManualClock::new(), Duration::from_secs(1));
        let clock = hand.clock();
        let of_thread = Template::new([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
        let not_put_in = |trailers: HeaderMap| {
            let names = trailers.iter().filter(|(_, value)| value.is_sensitive());
            names.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let cold = Outcome { cold_start: second, ..outcome(second, 0.25, &clock) };
        assert!(not_put_in(of_thread.of(&cold, &clock)).is_empty());
        assert!(not_put_in(of_thread.of(&cold, &clock)).contains(&COLD_START));
        let template = of_thread.of_new_connection();
        let not_put_in = |runtime: Duration, cpu_cores: f64| {
            let trailers = template.of(&outcome(runtime, cpu_cores, &clock), &clock);
            assert_eq!(trailers[&PROCESSING_TIME], runtime.as_nanos().to_string());
            assert_eq!(trailers[&CPU], cpu_cores.to_string());
            assert_eq!((trailers[&RAM].as_bytes(), trailers.len()), (&b"8"[..], 6));
            not_put_in(trailers)
        };
        assert!(not_put_in(second, 0.25).is_empty());
        let times = [&CALL_QUEUED, &GOT_RESPONSE].map(Clone::clone);
        assert_eq!(not_put_in(second, 0.25), times);
        let [queued, responded] = times.clone();
        assert_eq!(not_put_in(second, 0.5), [queued.clone(), responded.clone(), CPU.clone()]);
        let all = [queued, responded, PROCESSING_TIME.clone(), CPU.clone()];
        assert_eq!(not_put_in(2 * second, 0.5), all);
        assert_eq!(not_put_in(second, 0.25), times);
    }

    #[test]
    fn millionths_are_written_without_trailing_zeros() {
        for (millionths, text) in [
            (0, "0"),
            (600_000, "0.6"),
            (1, "0.000001"),
            (13_350_000, "13.35"),
            (2_000_000, "2"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(super::millionths(millionths), text);
        }
    }

    #[test]
    fn change_of_the_date_does_not_change_the_duration_of_a_call() {
        let second = Duration::from_secs(1);
        let hand = ManualClock::new();
        let clock = hand.clock();
        // 2026-01-01 00:00 UTC: 20,454 days of 86,400 s.
        let new_year = Duration::from_secs(1_767_225_600);
        for set in [new_year, new_year + 3600 * second, new_year - 3600 * second] {
            let arrived = clock.now();
            hand.set_date(set);
            hand.advance(2 * second);
            let outcome = Outcome { arrived, ..outcome(second, 0.0, &clock) };
            let written = Template::new([]).of(&outcome, &clock);
            let trailers = Trailers::read(&MetadataMap::from_headers(written)).unwrap();
            assert_eq!(trailers.responded_at, set + 2 * second);
            assert_eq!(trailers.queued_at, set);
            assert_eq!(trailers.took(), 2 * second);
        }
    }

    proptest! {
        #[test]
        fn written_trailers_are_read_back(
            queued in 0..1u64 << 60,
            took in 0..1u64 << 60,
            runtime in any::<u64>(),
            micro_cores in 0..1u64 << 40,
            ram in any::<u64>(),
            cold_start in 0..1u64 << 60,
            before in prop::collection::vec(any::<bool>(), 0..3),
        ) {
            let hand = ManualClock::new();
            let (clock, second) = (hand.clock(), Duration::from_secs(1));
            hand.set_date(Duration::from_nanos(queued));
            hand.advance(second);
            let arrived = clock.now();
            let first = outcome(second, 0.25, &clock);
            let outcome = Outcome {
                prediction: Prediction {
                    runtime: Duration::from_nanos(runtime),
                    cpu_cores: micro_cores as f64 / 1e6,
                    ram_bytes: ram,
                },
                arrived,
                ended: arrived + Duration::from_nanos(took),
                cold_start: Duration::from_nanos(cold_start),
                ..first.clone()
            };
            let beside = [("beside", "1"), ("grpc-status", "0")];
            let beside = beside.map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            let template = Template::new(beside);
            for before in before {
                template.of(if before { &first } else { &outcome }, &clock);
            }
            let written = template.of(&outcome, &clock);
            prop_assert_eq!(&written["beside"], "1");
            prop_assert_eq!(&written["grpc-status"], "0");
            let read = Trailers::read(&MetadataMap::from_headers(written)).unwrap();
            prop_assert_eq!(read, Trailers {
                runtime: Duration::from_nanos(runtime),
                cpu_cores: Some(micro_cores as f64 / 1e6),
                ram_bytes: Some(ram),
                cold_start: Duration::from_nanos(cold_start),
                queued_at: second + Duration::from_nanos(queued),
                responded_at: second + Duration::from_nanos(queued + took),
            });
            // Nothing of one call is left in the trailers of the next.
            let warm = template.of(&first, &clock);
            let warm = Trailers::read(&MetadataMap::from_headers(warm)).unwrap();
            prop_assert_eq!((warm.runtime, warm.cpu_cores), (second, Some(0.25)));
            prop_assert_eq!((warm.took(), warm.cold_start), (Duration::ZERO, Duration::ZERO));
        }
    }
}
