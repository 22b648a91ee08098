//! The trailers of a call: written by the worker, read by clients. All values are decimal text.

mod template;

use std::{str::FromStr, time::Duration};

use http::HeaderName;
use tonic::{Status, metadata::MetadataMap};

pub(crate) use self::template::Template;
pub use self::template::{millionths, nanoseconds, whole};

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
    use http::{HeaderMap, HeaderValue};

    use super::*;

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
}
