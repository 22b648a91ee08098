//! Deadlines of requests.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tonic::Status;

use super::endpoint::ResponseFuture;
use crate::clock::Clock;

pub(super) static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The timeout of a request with these headers (`grpc-timeout`: at most eight digits and a unit).
/// A malformed one is ignored, as tonic does.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let (unit, digits) = headers.get(&GRPC_TIMEOUT)?.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| 10 * number + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(3600 * number),
        b'M' => Duration::from_secs(60 * number),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The response, or `DeadlineExceeded` after this time from now.
pub(super) fn within(timeout: Duration, response: ResponseFuture, clock: &Clock) -> ResponseFuture {
    let response = clock.within(clock.now() + timeout, response);
    Box::pin(async move {
        // At the deadline the response is dropped, with everything that the call holds.
        response.await.unwrap_or_else(|| {
            let message = "the deadline passed before the response was ready";
            Ok(Status::deadline_exceeded(message).into_http())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_has_up_to_eight_digits_and_a_unit() {
        let timeout = |text: &str| {
            let headers = [("grpc-timeout".parse().unwrap(), text.parse().unwrap())];
            timeout(&headers.into_iter().collect())
        };
        for (text, expected) in [
            ("1n", Duration::from_nanos(1)),
            ("20u", Duration::from_micros(20)),
            ("0m", Duration::ZERO),
            ("3S", Duration::from_secs(3)),
            ("2M", Duration::from_secs(120)),
            ("99999999H", Duration::from_secs(359_999_996_400)),
        ] {
            assert_eq!(timeout(text), Some(expected), "{text}");
        }
        for text in ["", "1", "S", "1x", "-1S", "123456789S", "1 S", "+1S", "1.5S"] {
            assert_eq!(timeout(text), None, "{text}");
        }
        assert_eq!(super::timeout(&HeaderMap::new()), None);
    }
}
