//! What a call's trailers say, on both sides of the wire. All values are decimal text.

use std::{str::FromStr, time::Duration};

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::{clock::Clock, worker::Outcome};

/// When the call came in: nanoseconds of Unix time.
pub const CALL_QUEUED: &str = "callqueuedtimestamp";
/// When its answer was ready: nanoseconds of Unix time.
pub const GOT_RESPONSE: &str = "gotresponsetimestamp";
/// How long the function ran, as predicted: nanoseconds.
pub const PROCESSING_TIME: &str = "functionprocessingtime";
/// The CPU that it held: cores.
pub const CPU: &str = "functioncpucores";
/// The memory that it held: bytes.
pub const RAM: &str = "functionrambytes";
/// How long the call waited for its instance to be ready: nanoseconds; left out when it did not.
pub const COLD_START: &str = "coldstarttime";

pub(super) fn write(outcome: &Outcome, clock: &Clock) -> MetadataMap {
    let unix = |moment| nanoseconds(clock.since_epoch(moment));
    let mut trailers = MetadataMap::with_capacity(8);
    trailers.insert(CALL_QUEUED, unix(outcome.arrived));
    trailers.insert(GOT_RESPONSE, unix(outcome.ended));
    trailers.insert(PROCESSING_TIME, nanoseconds(outcome.prediction.runtime));
    if let Ok(cpu) = outcome.prediction.cpu_cores.to_string().parse() {
        trailers.insert(CPU, cpu);
    }
    trailers.insert(RAM, outcome.prediction.ram_bytes.into());
    if !outcome.cold_start.is_zero() {
        trailers.insert(COLD_START, nanoseconds(outcome.cold_start));
    }
    trailers
}

fn nanoseconds(duration: Duration) -> MetadataValue<Ascii> {
    // 584 years.
    (duration.as_nanos() as u64).into()
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
            runtime: Duration::from_nanos(number(trailers, PROCESSING_TIME)?),
            cpu_cores: number(trailers, CPU),
            ram_bytes: number(trailers, RAM),
            cold_start: Duration::from_nanos(number(trailers, COLD_START).unwrap_or(0)),
            took: Duration::from_nanos(
                number::<u64>(trailers, GOT_RESPONSE)?
                    .saturating_sub(number(trailers, CALL_QUEUED)?),
            ),
        })
    }
}

fn number<T: FromStr>(trailers: &MetadataMap, key: &str) -> Option<T> {
    trailers.get(key)?.to_str().ok()?.parse().ok()
}
