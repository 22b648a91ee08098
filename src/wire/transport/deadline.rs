//! Deadlines of requests.
//!
//! tonic ends a request at its deadline too, with `Cancelled`: a client would take that for its own
//! doing. It looks at the future of the answer first whenever its timer has woken the request, so
//! that what is here needs no timer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderName, Response};
use tonic::{Status, body::Body};

use crate::{
    clock::{Clock, Moment},
    wire::controller::fast_path::Answering,
};

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long a request with these headers may take (`grpc-timeout`: at most eight digits and a
/// unit). One that is malformed is left out, as tonic does.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
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

/// The answer, or `DeadlineExceeded` after this time from now.
pub(crate) fn within(timeout: Duration, answering: Answering, clock: &Clock) -> Answering {
    let deadline = clock.now() + timeout;
    Box::pin(Within { answering: Some(answering), deadline, clock: clock.clone() })
}

struct Within {
    /// Until it ends; what it holds is given back at the deadline.
    answering: Option<Answering>,
    deadline: Moment,
    clock: Clock,
}

impl Future for Within {
    type Output = <Answering as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(answering) = &mut self.answering
            && let Poll::Ready(answer) = answering.as_mut().poll(context)
        {
            return Poll::Ready(answer);
        }
        if self.clock.now() < self.deadline {
            return Poll::Pending;
        }
        self.answering = None;
        Poll::Ready(Ok(missed()))
    }
}

fn missed() -> Response<Body> {
    Status::deadline_exceeded("the deadline passed before the answer was there").into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_up_to_eight_digits_and_a_unit() {
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
