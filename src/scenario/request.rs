//! Faults that a caller asks for, by the value of a request header.

use std::time::Duration;

use super::{End, Kill};
use crate::duration;

/// What a caller asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) delay: Duration,
    pub(super) end: End,
}

/// The longest value that is repeated in an error.
const SHOWN: usize = 60;

/// Reads a value such as `status=14`, or `delay=200ms,kill=crash`.
///
/// # Errors
///
/// Says what was found in the header of this name and what was expected.
pub(super) fn read(header: &str, value: &str) -> Result<Asked, String> {
    let mut asked = Asked { delay: Duration::ZERO, end: End::Answer };
    for part in value.split(',').map(str::trim) {
        let refused = |expected: &str| {
            let part: String = part.chars().take(SHOWN).collect();
            format!("{header}: found '{}', {expected}", part.escape_debug())
        };
        let Some((key, value)) = part.split_once('=') else {
            return Err(refused(
                "expected status=CODE, delay=DURATION, kill=crash, kill=oom, kill=hang, \
                                drop=connection or error=TEXT, several separated by commas",
            ));
        };
        let end = match (key.trim(), value.trim()) {
            ("delay", delay) => {
                let delay = duration::parse(delay).map_err(|expected| refused(&expected))?;
                asked.delay = asked.delay.saturating_add(delay);
                continue;
            }
            ("status", code) => End::Status(code.parse().map_err(|error: String| refused(&error))?),
            ("error", text) => End::Error(text.into()),
            ("kill", "crash") => End::Kill(Kill::Crash),
            ("kill", "oom") => End::Kill(Kill::OutOfMemory),
            ("kill", "hang") => End::Hang,
            ("drop", "connection") => End::DropConnection,
            ("kill", _) => return Err(refused("expected kill=crash, kill=oom or kill=hang")),
            ("drop", _) => return Err(refused("expected drop=connection")),
            _ => {
                return Err(refused(
                    "expected one of status, delay, kill, drop and error before '='",
                ));
            }
        };
        if asked.end != End::Answer {
            return Err(refused("expected one end: the call has another one already"));
        }
        asked.end = end;
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::StatusCode;

    #[test]
    fn a_caller_asks_for_a_delay_and_one_end() {
        let ms = Duration::from_millis;
        for (value, delay, end) in [
            ("status=14", ms(0), End::Status(StatusCode::UNAVAILABLE)),
            ("status=UNAVAILABLE", ms(0), End::Status(StatusCode::UNAVAILABLE)),
            ("delay=200ms", ms(200), End::Answer),
            (" delay = 200ms , kill=crash", ms(200), End::Kill(Kill::Crash)),
            ("kill=oom", ms(0), End::Kill(Kill::OutOfMemory)),
            ("kill=hang", ms(0), End::Hang),
            ("drop=connection", ms(0), End::DropConnection),
            ("error=out of cheese", ms(0), End::Error("out of cheese".into())),
            ("delay=1s,delay=1s", ms(2000), End::Answer),
        ] {
            assert_eq!(read("x-fault", value), Ok(Asked { delay, end }), "{value}");
        }
    }

    #[test]
    fn what_a_caller_cannot_ask_for_is_refused_with_what_can_be() {
        for (value, expected) in [
            ("", "x-fault: found '', expected status=CODE"),
            ("crash", "found 'crash', expected status=CODE, delay=DURATION"),
            ("status=0", "found 'status=0', expected a gRPC code that is an error"),
            ("status=14,status=13", "expected one end"),
            ("delay=soon", "found 'delay=soon', expected a duration"),
            ("kill=9", "expected kill=crash"),
            ("drop=it", "expected drop=connection"),
            ("slow=1s", "expected one of status, delay"),
        ] {
            let error = read("x-fault", value).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\n'), "{value}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_in_one_line(value in ".*") {
            if let Err(error) = read("x-fault", &value) {
                prop_assert!(!error.contains('\n') && error.len() < 600, "{error}");
            }
        }
    }
}
