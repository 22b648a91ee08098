//! What a call's trailers say, on both sides of the wire. All values are decimal text.

use std::{str::FromStr, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;

use crate::{clock::Clock, worker::Outcome};

/// When the call came in: nanoseconds of Unix time.
pub static CALL_QUEUED: HeaderName = HeaderName::from_static("callqueuedtimestamp");
/// When its answer was ready: nanoseconds of Unix time.
pub static GOT_RESPONSE: HeaderName = HeaderName::from_static("gotresponsetimestamp");
/// How long the function ran, as predicted: nanoseconds.
pub static PROCESSING_TIME: HeaderName = HeaderName::from_static("functionprocessingtime");
/// The CPU that it held: cores.
pub static CPU: HeaderName = HeaderName::from_static("functioncpucores");
/// The memory that it held: bytes.
pub static RAM: HeaderName = HeaderName::from_static("functionrambytes");
/// How long the call waited for its instance to be ready: nanoseconds; left out when it did not.
pub static COLD_START: HeaderName = HeaderName::from_static("coldstarttime");

/// How the worker says how the call was predicted to behave, and how it behaved.
pub(crate) fn write(outcome: &Outcome, clock: &Clock) -> MetadataMap {
    let prediction = &outcome.prediction;
    let mut trailers = Writer::default();
    // By one reading of the date: it may be set at any time, and the call took what it took.
    let (ended, took) = (clock.since_epoch(outcome.ended), outcome.ended - outcome.arrived);
    trailers.timestamp(&CALL_QUEUED, ended.saturating_sub(took));
    trailers.timestamp(&GOT_RESPONSE, ended);
    trailers.number(&PROCESSING_TIME, nanoseconds(prediction.runtime));
    trailers.millionths(&CPU, (prediction.cpu_cores * 1e6).round() as u64);
    trailers.number(&RAM, prediction.ram_bytes);
    if !outcome.cold_start.is_zero() {
        trailers.number(&COLD_START, nanoseconds(outcome.cold_start));
    }
    trailers.finish()
}

/// Trailers that are numbers, written one after the other into the same memory.
#[derive(Debug)]
pub struct Writer {
    headers: HeaderMap,
    text: BytesMut,
}

impl Default for Writer {
    fn default() -> Self {
        // As many as there can be, of 20 digits at most.
        Self { headers: HeaderMap::with_capacity(8), text: BytesMut::with_capacity(6 * 20) }
    }
}

impl Writer {
    /// Adds a moment, in nanoseconds.
    ///
    /// No two calls have the same, so HPACK is told not to remember it. Otherwise its table would
    /// hold nothing but moments, and each new one would be compared with all of them.
    pub fn timestamp(&mut self, name: &HeaderName, since_epoch: Duration) {
        self.digits(nanoseconds(since_epoch));
        self.add(name, true);
    }

    /// Adds a whole number.
    pub fn number(&mut self, name: &HeaderName, number: u64) {
        self.digits(number);
        self.add(name, false);
    }

    /// Adds a number that is given in millionths.
    pub fn millionths(&mut self, name: &HeaderName, millionths: u64) {
        self.digits(millionths / 1_000_000);
        let rest = millionths % 1_000_000;
        if rest > 0 {
            // With a one before them, all six digits are written; a point takes its place.
            let point = self.text.len();
            self.digits(1_000_000 + rest);
            self.text[point] = b'.';
            let zeros = self.text.iter().rev().take_while(|digit| **digit == b'0').count();
            self.text.truncate(self.text.len() - zeros);
        }
        self.add(name, false);
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> MetadataMap {
        MetadataMap::from_headers(self.headers)
    }

    fn digits(&mut self, number: u64) {
        self.text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn add(&mut self, name: &HeaderName, unique: bool) {
        // Digits are always a value.
        if let Ok(mut value) = HeaderValue::from_maybe_shared(self.text.split().freeze()) {
            value.set_sensitive(unique);
            self.headers.insert(name, value);
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    // 584 years.
    duration.as_nanos() as u64
}

/// A call's trailers as a client reads them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trailers {
    /// See [`PROCESSING_TIME`].
    pub runtime: Duration,
    /// See [`CPU`]; nothing when another worker answered.
    pub cpu_cores: Option<f64>,
    /// See [`RAM`]; nothing when another worker answered.
    pub ram_bytes: Option<u64>,
    /// See [`COLD_START`].
    pub cold_start: Duration,
    /// From [`CALL_QUEUED`] to [`GOT_RESPONSE`].
    pub took: Duration,
}

impl Trailers {
    /// Reads them; nothing if there is no run time among them.
    #[must_use]
    pub fn read(trailers: &MetadataMap) -> Option<Self> {
        Some(Self {
            runtime: Duration::from_nanos(number(trailers, &PROCESSING_TIME)?),
            cpu_cores: number(trailers, &CPU),
            ram_bytes: number(trailers, &RAM),
            cold_start: Duration::from_nanos(number(trailers, &COLD_START).unwrap_or(0)),
            took: Duration::from_nanos(
                number::<u64>(trailers, &GOT_RESPONSE)?
                    .saturating_sub(number(trailers, &CALL_QUEUED)?),
            ),
        })
    }
}

fn number<T: FromStr>(trailers: &MetadataMap, key: &HeaderName) -> Option<T> {
    trailers.get(key.as_str())?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use hyperfake_predictor::Prediction;

    use super::*;
    use crate::{clock::manual::ManualClock, worker::InstanceId};

    #[test]
    fn a_call_took_what_it_took_although_the_date_was_set_meanwhile() {
        let second = Duration::from_secs(1);
        let hand = ManualClock::new();
        let clock = hand.clock();
        // 2026-01-01 00:00 UTC: 20,454 days of 86,400 s.
        let new_year = Duration::from_secs(1_767_225_600);
        for set in [new_year, new_year + 3600 * second, new_year - 3600 * second] {
            let arrived = clock.now();
            hand.set_date(set);
            hand.advance(2 * second);
            let outcome = Outcome {
                instance: InstanceId::from_bits(0),
                data: bytes::Bytes::new(),
                prediction: Prediction { runtime: second, cpu_cores: 0.0, ram_bytes: 0 },
                arrived,
                ended: clock.now(),
                cold_start: Duration::ZERO,
            };
            let trailers = write(&outcome, &clock);
            let date = |key| Duration::from_nanos(number(&trailers, key).unwrap());
            assert_eq!(date(&GOT_RESPONSE), set + 2 * second);
            assert_eq!(date(&CALL_QUEUED), set);
            assert_eq!(Trailers::read(&trailers).unwrap().took, 2 * second);
        }
    }

    #[test]
    fn millionths_are_written_without_zeros_that_say_nothing() {
        for (millionths, text) in [
            (0, "0"),
            (600_000, "0.6"),
            (1, "0.000001"),
            (13_350_000, "13.35"),
            (2_000_000, "2"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            let mut writer = Writer::default();
            writer.millionths(&CPU, millionths);
            assert_eq!(writer.finish().get("functioncpucores").unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            queued in 0..1u64 << 60,
            took in 0..1u64 << 60,
            runtime in any::<u64>(),
            micro_cores in 0..1u64 << 40,
            ram in any::<u64>(),
        ) {
            let mut writer = Writer::default();
            writer.timestamp(&CALL_QUEUED, Duration::from_nanos(queued));
            writer.timestamp(&GOT_RESPONSE, Duration::from_nanos(queued + took));
            writer.number(&PROCESSING_TIME, runtime);
            writer.millionths(&CPU, micro_cores);
            writer.number(&RAM, ram);
            let read = Trailers::read(&writer.finish()).unwrap();
            prop_assert_eq!(read, Trailers {
                runtime: Duration::from_nanos(runtime),
                cpu_cores: Some(micro_cores as f64 / 1e6),
                ram_bytes: Some(ram),
                cold_start: Duration::ZERO,
                took: Duration::from_nanos(took),
            });
        }
    }
}
