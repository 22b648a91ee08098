use std::{fmt, str::FromStr};

/// A status code of gRPC, by number. A scenario names no transport, so this is not the type of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusCode(u8);

/// The names of the codes from 0, as the specification of gRPC has them.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl StatusCode {
    /// A call that ran for as long as it may.
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    /// Too many calls.
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// A start that failed.
    pub const INTERNAL: Self = Self(13);
    /// An instance that is gone.
    pub const UNAVAILABLE: Self = Self(14);

    /// The number, from 1 to 16.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name, such as `UNAVAILABLE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// The names of all errors.
    pub(super) fn names() -> &'static [&'static str] {
        &NAMES[1..]
    }
}

impl FromStr for StatusCode {
    type Err = String;

    /// Reads a name or a number.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text.parse() {
            Ok(number) => Some(number),
            Err(_) => NAMES.iter().position(|name| name.eq_ignore_ascii_case(text)),
        };
        let number = number.filter(|number| (1..NAMES.len()).contains(number));
        let number = number.and_then(|number| u8::try_from(number).ok());
        number.map(Self).ok_or_else(|| {
            "expected a gRPC code that is an error, such as UNAVAILABLE or 14".to_owned()
        })
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_name_or_a_number_of_an_error() {
        for (text, code) in [
            ("UNAVAILABLE", StatusCode::UNAVAILABLE),
            ("unavailable", StatusCode::UNAVAILABLE),
            ("14", StatusCode::UNAVAILABLE),
            ("13", StatusCode::INTERNAL),
            ("RESOURCE_EXHAUSTED", StatusCode::RESOURCE_EXHAUSTED),
            ("DEADLINE_EXCEEDED", StatusCode::DEADLINE_EXCEEDED),
        ] {
            assert_eq!(text.parse(), Ok(code), "{text}");
            assert_eq!(code.name().parse(), Ok(code));
        }
        for bad in ["", "0", "OK", "17", "-1", "1.5", "503", "99999999999999999999", "UNAVAIL"] {
            assert!(bad.parse::<StatusCode>().is_err(), "{bad}");
        }
    }
}
