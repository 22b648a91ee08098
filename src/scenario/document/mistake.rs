use std::fmt;

use serde::de;

/// A line and a column of a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    pub(super) const BEGIN: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Something that is wrong in a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::scenario) struct Mistake {
    at: Option<Position>,
    message: String,
}

impl Mistake {
    pub(in crate::scenario) fn new(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into() }
    }

    /// Where it is, unless that is known more exactly.
    #[must_use]
    pub(in crate::scenario) fn at(mut self, at: Position) -> Self {
        self.at.get_or_insert(at);
        self
    }

    pub(in crate::scenario) fn position(&self) -> Position {
        self.at.unwrap_or(Position::BEGIN)
    }

    pub(in crate::scenario) fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position(), self.message)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match found {
            de::Unexpected::Map => Self::new(format!("found a map, expected {expected}")),
            de::Unexpected::Seq => Self::new(format!("found a list, expected {expected}")),
            de::Unexpected::Unit => Self::new(format!("found nothing, expected {expected}")),
            other => Self::new(format!("found {other}, expected {expected}")),
        }
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("found {found}, expected {expected}"))
    }

    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(unknown("key", found, known))
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(unknown("value", found, known))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(format!("found no '{name}', expected one"))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new(format!("found the key '{name}' twice"))
    }
}

/// What to say of a name that is not known: the nearest one, if there is one, or else all.
pub(in crate::scenario) fn unknown(what: &str, found: &str, known: &[&str]) -> String {
    let shown: String = found.chars().take(60).collect();
    let shown = shown.escape_debug();
    let near = known.iter().map(|name| (strsim::jaro_winkler(found, name), name));
    match near.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((likeness, nearest)) if likeness > 0.8 => {
            format!("found the {what} '{shown}', which is not known; did you mean '{nearest}'?")
        }
        _ => format!(
            "found the {what} '{shown}', which is not known; expected one of {}",
            known.join(", ")
        ),
    }
}
