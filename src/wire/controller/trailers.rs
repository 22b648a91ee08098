//! The trailers of a call: written by the worker, read by clients. All values are decimal text.

use std::{str::FromStr, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Status, metadata::MetadataMap};

use crate::{clock::Clock, worker::Outcome};

/// When the call arrived: nanoseconds of Unix time.
pub static CALL_QUEUED: HeaderName = HeaderName::from_static("callqueuedtimestamp");
/// When its response was ready: nanoseconds of Unix time.
pub static GOT_RESPONSE: HeaderName = HeaderName::from_static("gotresponsetimestamp");
/// How long the function ran, as predicted: nanoseconds.
pub static PROCESSING_TIME: HeaderName = HeaderName::from_static("functionprocessingtime");
/// The CPU that the call held: cores.
pub static CPU: HeaderName = HeaderName::from_static("functioncpucores");
/// The memory that the call held: bytes.
pub static RAM: HeaderName = HeaderName::from_static("functionrambytes");
/// How long the call waited for its instance to be ready: nanoseconds. Not sent if it did not wait.
pub static COLD_START: HeaderName = HeaderName::from_static("coldstarttime");

/// The names of a call's trailers, made once. A call fills its numbers into a copy.
#[derive(Debug, Clone)]
pub(crate) struct Template {
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
        let empty = fields.map(|(name, _)| (name.clone(), HeaderValue::from_static("")));
        let headers: HeaderMap = empty.into_iter().chain(others).collect();
        let field = |name| fields.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
        Self { fields: headers.keys().map(field).collect(), headers }
    }

    /// The trailers of a call that ended.
    pub(crate) fn of(&self, outcome: &Outcome, clock: &Clock) -> HeaderMap {
        let prediction = &outcome.prediction;
        // Both dates come from one reading: the system's date may be set at any time, and must not
        // change the time between them.
        let (ended, took) = (clock.since_epoch(outcome.ended), outcome.ended - outcome.arrived);
        let mut headers = self.headers.clone();
        let mut values = Values::default();
        for (value, field) in headers.values_mut().zip(&self.fields) {
            *value = match field {
                None => continue,
                Some(Field::Queued) => values.timestamp(ended.saturating_sub(took)),
                Some(Field::Responded) => values.timestamp(ended),
                Some(Field::ProcessingTime) => values.number(nanoseconds(prediction.runtime)),
                Some(Field::Cpu) => values.millionths((prediction.cpu_cores * 1e6).round() as u64),
                Some(Field::Ram) => values.number(prediction.ram_bytes),
            };
        }
        if !outcome.cold_start.is_zero() {
            headers.insert(&COLD_START, values.number(nanoseconds(outcome.cold_start)));
        }
        headers
    }
}

/// Writes numbers as the values of trailers, one after the other into the same buffer.
#[derive(Debug)]
pub struct Values(BytesMut);

impl Default for Values {
    fn default() -> Self {
        // Room for all trailers: six values of at most 20 digits.
        Self(BytesMut::with_capacity(6 * 20))
    }
}

impl Values {
    /// A time stamp, in nanoseconds.
    ///
    /// No two calls have the same time stamp, so HPACK must not put it into its table: the table
    /// would be full of time stamps, and every new one would be compared with all of them.
    pub fn timestamp(&mut self, since_epoch: Duration) -> HeaderValue {
        let mut value = self.number(nanoseconds(since_epoch));
        value.set_sensitive(true);
        value
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) -> HeaderValue {
        self.digits(number);
        self.value()
    }

    /// A decimal number, given in millionths.
    pub fn millionths(&mut self, millionths: u64) -> HeaderValue {
        self.digits(millionths / 1_000_000);
        let rest = millionths % 1_000_000;
        if rest > 0 {
            // The added one keeps leading zeros, and the point then replaces it.
            let point = self.0.len();
            self.digits(1_000_000 + rest);
            self.0[point] = b'.';
            let zeros = self.0.iter().rev().take_while(|digit| **digit == b'0').count();
            self.0.truncate(self.0.len() - zeros);
        }
        self.value()
    }

    fn digits(&mut self, number: u64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn value(&mut self) -> HeaderValue {
        // Digits are always a valid value.
        let value = HeaderValue::from_maybe_shared(self.0.split().freeze());
        value.unwrap_or(HeaderValue::from_static("0"))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    // Enough for 584 years.
    duration.as_nanos() as u64
}

/// The trailers of a call, as a client reads them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trailers {
    /// See [`PROCESSING_TIME`].
    pub runtime: Duration,
    /// See [`CPU`]; `None` if the worker is not this program.
    pub cpu_cores: Option<f64>,
    /// See [`RAM`]; `None` if the worker is not this program.
    pub ram_bytes: Option<u64>,
    /// See [`COLD_START`].
    pub cold_start: Duration,
    /// See [`CALL_QUEUED`]; since the Unix epoch.
    pub queued_at: Duration,
    /// See [`GOT_RESPONSE`]; since the Unix epoch.
    pub responded_at: Duration,
}

impl Trailers {
    /// Reads the trailers.
    ///
    /// # Errors
    ///
    /// `Internal` when the run time or a time stamp is missing, or when any of them is not such a
    /// number: nanoseconds and bytes are whole numbers below 2^64, and cores are a decimal number
    /// that is not negative.
    pub fn read(trailers: &MetadataMap) -> Result<Self, Status> {
        let needed = |key: &HeaderName| {
            let message = format!("an answer without the platform's trailer '{key}'");
            nanoseconds_of(trailers, key)?.ok_or_else(|| Status::internal(message))
        };
        Ok(Self {
            runtime: needed(&PROCESSING_TIME)?,
            cpu_cores: number(trailers, &CPU, "cores, a number from 0 on", |cores: &f64| {
                cores.is_finite() && !cores.is_sign_negative()
            })?,
            ram_bytes: number(trailers, &RAM, "bytes, a whole number below 2^64", |_| true)?,
            cold_start: nanoseconds_of(trailers, &COLD_START)?.unwrap_or_default(),
            queued_at: needed(&CALL_QUEUED)?,
            responded_at: needed(&GOT_RESPONSE)?,
        })
    }

    /// The time from the call's arrival to its response, as the worker measured it.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.responded_at.saturating_sub(self.queued_at)
    }
}

fn nanoseconds_of(trailers: &MetadataMap, key: &HeaderName) -> Result<Option<Duration>, Status> {
    let found = number(trailers, key, "nanoseconds, a whole number below 2^64", |_| true)?;
    Ok(found.map(Duration::from_nanos))
}

/// The number in a trailer, if there is one.
fn number<T: FromStr>(
    trailers: &MetadataMap,
    key: &HeaderName,
    expected: &str,
    is_possible: impl FnOnce(&T) -> bool,
) -> Result<Option<T>, Status> {
    /// The most of a trailer that an error shows, in bytes.
    const SHOWN: usize = 40;
    let Some(value) = trailers.get(key.as_str()) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.filter(is_possible).map(Some).ok_or_else(|| {
        let found = value.as_encoded_bytes();
        let found = found[..found.len().min(SHOWN)].escape_ascii();
        Status::internal(format!("the trailer '{key}': found '{found}', expected {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use hyperfake_predictor::Prediction;

    use super::*;
    use crate::{clock::manual::ManualClock, worker::InstanceId};

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
            let outcome = Outcome {
                instance: InstanceId::from_bits(0),
                data: bytes::Bytes::new(),
                prediction: Prediction { runtime: second, cpu_cores: 0.0, ram_bytes: 0 },
                arrived,
                ended: clock.now(),
                cold_start: Duration::ZERO,
                failure: None,
            };
            let written = Template::new([]).of(&outcome, &clock);
            let trailers = Trailers::read(&MetadataMap::from_headers(written)).unwrap();
            assert_eq!(trailers.responded_at, set + 2 * second);
            assert_eq!(trailers.queued_at, set);
            assert_eq!(trailers.took(), 2 * second);
        }
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
            assert_eq!(Values::default().millionths(millionths), text);
        }
    }

    #[test]
    fn a_trailer_that_is_no_such_number_is_an_error_that_names_it() {
        let valid = [
            (&CALL_QUEUED, "1"),
            (&GOT_RESPONSE, "2"),
            (&PROCESSING_TIME, "18446744073709551615"),
            (&CPU, "0.5"),
            (&RAM, "0"),
            (&COLD_START, "3"),
        ];
        let with = |changed: &HeaderName, text: &str| {
            let mut headers: HeaderMap =
                valid.iter().map(|(key, text)| ((*key).clone(), text.parse().unwrap())).collect();
            match text {
                "" => _ = headers.remove(changed),
                text => {
                    _ = headers.insert(changed, HeaderValue::from_bytes(text.as_bytes()).unwrap())
                }
            }
            Trailers::read(&MetadataMap::from_headers(headers))
        };
        with(&CPU, "0.5").unwrap();
        for optional in [&CPU, &RAM, &COLD_START] {
            with(optional, "").unwrap();
        }
        let whole = "a whole number below 2^64";
        for (key, text, expected) in [
            (&PROCESSING_TIME, "", "an answer without the platform's trailer".to_owned()),
            (&PROCESSING_TIME, "-5", format!("found '-5', expected nanoseconds, {whole}")),
            (&CALL_QUEUED, "18446744073709551616", format!("616', expected nanoseconds, {whole}")),
            (&GOT_RESPONSE, "soon", format!("found 'soon', expected nanoseconds, {whole}")),
            (&COLD_START, "1.5", format!("found '1.5', expected nanoseconds, {whole}")),
            (&COLD_START, "é\t", format!(r"found '\xc3\xa9\t', expected nanoseconds, {whole}")),
            (&RAM, "-1", format!("found '-1', expected bytes, {whole}")),
            (&CPU, "NaN", "found 'NaN', expected cores, a number from 0 on".to_owned()),
            (&CPU, "1e999", "found '1e999', expected cores, a number from 0 on".to_owned()),
            (&CPU, "-0.5", "found '-0.5', expected cores, a number from 0 on".to_owned()),
            (&RAM, &"9".repeat(1000), format!("found '{}', expected", "9".repeat(40))),
        ] {
            let status = with(key, text).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Internal);
            let message = status.message();
            assert!(message.contains(&expected) && message.contains(key.as_str()), "{message}");
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
        ) {
            let hand = ManualClock::new();
            let (clock, second) = (hand.clock(), Duration::from_secs(1));
            hand.set_date(Duration::from_nanos(queued));
            hand.advance(second);
            let arrived = clock.now();
            let outcome = Outcome {
                instance: InstanceId::from_bits(0),
                data: bytes::Bytes::new(),
                prediction: Prediction {
                    runtime: Duration::from_nanos(runtime),
                    cpu_cores: micro_cores as f64 / 1e6,
                    ram_bytes: ram,
                },
                arrived,
                ended: arrived + Duration::from_nanos(took),
                cold_start: Duration::from_nanos(cold_start),
                failure: None,
            };
            let beside = [("beside", "1"), ("grpc-status", "0")];
            let beside = beside.map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            let written = Template::new(beside).of(&outcome, &clock);
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
        }
    }
}
