//! The values of a file that have a spelling of their own.

use std::{fmt, str::FromStr, time::Duration};

use bytesize::ByteSize;
use schemars::{Schema, json_schema};

use super::spelled::Spelled;
use crate::{
    duration,
    scenario::{
        StatusCode,
        settings::{Depth, Limit},
    },
};

/// A duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scenario) struct Span(pub(in crate::scenario) Duration);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) struct Size(pub(in crate::scenario) u64);

/// Bytes in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::scenario) struct Growth(pub(in crate::scenario) f64);

/// A duration, or the word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) struct SpanOrNone(pub(in crate::scenario) Option<Span>);

/// A share of the values, such as `p99.9`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(in crate::scenario) struct Percentile(pub(in crate::scenario) f64);

impl Spelled for Span {
    const NAME: &'static str = "Duration";
    const EXPECTED: &'static str = "a duration such as 250ms, 20s or 1m 30s";

    fn schema() -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "description": "A duration such as 250ms, 20s or 1m 30s; a plain number is seconds",
        })
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration::parse(text).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")];
        match units.iter().find(|(unit, _)| nanoseconds.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", nanoseconds / unit),
            None => write!(f, "{nanoseconds}ns"),
        }
    }
}

impl Spelled for Size {
    const NAME: &'static str = "Size";
    const EXPECTED: &'static str = "a size such as 512KiB, 128MiB or 16GB";

    fn schema() -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A size such as 512KiB, 128MiB or 16GB; a plain number is bytes",
        })
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.trim().parse().ok().map(|size: ByteSize| size.as_u64());
        let size = size.filter(|size| (1..u64::MAX).contains(size));
        size.map(Self).ok_or_else(|| format!("expected {}, above 0", <Self as Spelled>::EXPECTED))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.iter().find(|(unit, _)| self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Spelled for Growth {
    const NAME: &'static str = "Growth";
    const EXPECTED: &'static str = "a size in a time, such as 1MiB/min";

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "description": "A size in a time, such as 1MiB/min or 64KiB/s",
        })
    }
}

impl FromStr for Growth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (size, time) = text.split_once('/')?;
            let size: Size = size.parse().ok()?;
            let unit = time.trim();
            let time = match unit.starts_with(|first: char| first.is_ascii_digit()) {
                true => duration::parse(unit).ok()?,
                false => duration::parse(&format!("1{unit}")).ok()?,
            };
            (!time.is_zero()).then(|| Self(size.0 as f64 / time.as_secs_f64()))
        };
        read().ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In a whole number of bytes, so that it is read as the same growth.
        let bytes = (self.0 * 3600.0).round();
        write!(f, "{bytes}/h")
    }
}

impl Spelled for SpanOrNone {
    const NAME: &'static str = "DurationOrNone";
    const EXPECTED: &'static str = "none or a duration such as 250ms, 20s or 1m 30s";

    fn schema() -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "description": "A duration such as 250ms, 20s or 1m 30s, or the word none",
        })
    }
}

impl FromStr for SpanOrNone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            _ => text.parse().map(|span| Self(Some(span))),
        }
    }
}

impl fmt::Display for SpanOrNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("none"),
            Some(span) => span.fmt(f),
        }
    }
}

/// What a limit may be, beside the words `registered` and `none`.
pub(in crate::scenario) trait Limited: FromStr + fmt::Display {
    const NAME: &'static str;
    const EXPECTED: &'static str;
    fn schema() -> Option<Schema>;
}

impl Limited for u32 {
    const NAME: &'static str = "Concurrency";
    const EXPECTED: &'static str = "registered, none or a number of calls from 1";

    fn schema() -> Option<Schema> {
        Some(json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }))
    }
}

impl Limited for Size {
    const NAME: &'static str = "SizeLimit";
    const EXPECTED: &'static str = "registered, none or a size such as 128MiB";

    fn schema() -> Option<Schema> {
        Some(<Self as Spelled>::schema())
    }
}

/// Keys state it.
impl Limited for Never {
    const NAME: &'static str = "Limit";
    const EXPECTED: &'static str = "registered or none";

    fn schema() -> Option<Schema> {
        None
    }
}

/// A value that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Never {}

impl FromStr for Never {
    type Err = String;

    fn from_str(_text: &str) -> Result<Self, String> {
        Err(String::new())
    }
}

impl fmt::Display for Never {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl<T: Limited> Spelled for Limit<T> {
    const NAME: &'static str = T::NAME;
    const EXPECTED: &'static str = T::EXPECTED;

    fn schema() -> Schema {
        let words = json_schema!({ "enum": ["registered", "none"] });
        match T::schema() {
            None => words,
            Some(value) => json_schema!({ "anyOf": [words, value] }),
        }
    }
}

impl<T: Limited> FromStr for Limit<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "registered" => Ok(Self::Registered),
            _ => text.parse().map(Self::Is).map_err(|_| format!("expected {}", T::EXPECTED)),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Registered => f.write_str("registered"),
            Self::Is(limit) => limit.fmt(f),
        }
    }
}

impl Spelled for Depth {
    const NAME: &'static str = "Depth";
    const EXPECTED: &'static str =
        "a number of calls, or a multiple of the concurrency such as 10x";

    fn schema() -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+x?$",
            "minimum": 0,
            "description": "A number of calls, or a multiple of the concurrency such as 10x",
        })
    }
}

impl FromStr for Depth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let depth = match text.strip_suffix('x') {
            Some(times) => times.parse().map(Self::Times),
            None => text.parse().map(Self::Calls),
        };
        depth.map_err(|_| format!("expected {}", Self::EXPECTED))
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls(calls) => calls.fmt(f),
            Self::Times(times) => write!(f, "{times}x"),
        }
    }
}

impl Spelled for Percentile {
    const NAME: &'static str = "Percentile";
    const EXPECTED: &'static str = "a percentile such as p50, p99 or p99.9, from p0 to p100";

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^p[0-9]+([.][0-9]+)?$" })
    }
}

impl FromStr for Percentile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text
            .strip_prefix('p')
            .filter(|digits| digits.starts_with(|first: char| first.is_ascii_digit()));
        let percent = digits.and_then(|digits| digits.parse().ok());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        percent.map(Self).ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl Spelled for StatusCode {
    const NAME: &'static str = "StatusCode";
    const EXPECTED: &'static str = "a gRPC code that is an error, such as UNAVAILABLE or 14";

    fn schema() -> Schema {
        json_schema!({ "anyOf": [
            { "enum": StatusCode::names() },
            { "type": "integer", "minimum": 1, "maximum": 16 },
        ] })
    }
}
