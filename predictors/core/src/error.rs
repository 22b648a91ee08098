use std::{error::Error as StdError, fmt};

/// The result of anything that can fail in a predictor or around one.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for code that has to decide what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file, function, instance or image that does not exist.
    NotFound,
    /// Input that breaks a rule: a malformed file, a wrong shape, a bad parameter.
    Invalid,
    /// Input that is well formed but that this software cannot handle.
    Unsupported,
    /// Two things that exclude each other, such as two files for one image.
    Conflict,
    /// Something outside, such as a registry, does not answer. Trying again may help.
    Unavailable,
    /// A limit was reached. Trying again later may help.
    Exhausted,
    /// It exceeded its time limit.
    Timeout,
    /// The caller cancelled it.
    Cancelled,
    /// A fault of this software or of a model's runtime.
    Internal,
    /// A scenario says that it ends with this code of gRPC, by its number.
    Injected(u8),
    /// A scenario says that it ends without an answer: the client's connection is closed.
    Dropped,
}

/// The one error of the workspace: a kind, what it is about, a message, and a source.
///
/// `Display` is one line, `Debug` is one line for each layer.
///
/// ```
/// use hyperfake_predictor::Error;
///
/// let error = Error::invalid("found 4 inputs, expected 5").at("models/a.onnx");
/// assert_eq!(error.to_string(), "models/a.onnx: found 4 inputs, expected 5");
/// assert!(!error.is_retryable());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    /// Outermost last: a file, then the flag that named it.
    subjects: Vec<String>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind. The message says what was found, what was expected and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, subjects: Vec::new(), message: message.into(), source: None }))
    }

    /// Something does not exist: [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Input breaks a rule: [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Input that this software cannot handle: [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Two things exclude each other: [`ErrorKind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// Something outside does not answer: [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A limit was reached: [`ErrorKind::Exhausted`].
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Exhausted, message)
    }

    /// A fault of this software or of a model's runtime: [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Names what the error is about: a file, a flag, a field.
    #[must_use]
    pub fn at(mut self, subject: impl fmt::Display) -> Self {
        self.0.subjects.push(subject.to_string());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Whether it says what it is about.
    #[must_use]
    pub(crate) fn has_subject(&self) -> bool {
        !self.0.subjects.is_empty()
    }

    /// The line without what it is about, for where that was said already.
    #[must_use]
    pub fn without_subjects(&self) -> String {
        self.line([])
    }

    /// One line, without the line breaks of a library's or a file's text.
    fn line<'a>(&'a self, subjects: impl IntoIterator<Item = &'a String>) -> String {
        let mut line = String::new();
        for subject in subjects {
            line.push_str(subject);
            line.push_str(": ");
        }
        line.push_str(&self.0.message);
        let mut source = self.0.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many libraries repeat their source in their own text.
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            source = cause.source();
        }
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What went wrong, for code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Exhausted)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(self.0.subjects.iter().rev()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)?;
        for subject in &self.0.subjects {
            write!(f, "\n  at {subject}")?;
        }
        let mut source = self.0.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(cause) = source {
            write!(f, "\n  caused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_with_the_outermost_subject_first() {
        let error = Error::invalid("bad\nnumber")
            .with_source(std::io::Error::other("disk\r\n on fire"))
            .at("a.json")
            .at("--model");
        assert_eq!(error.to_string(), "--model: a.json: bad number: disk on fire");
    }

    #[test]
    fn a_source_that_is_already_in_the_text_is_not_repeated() {
        let error = Error::internal("cannot open: no such thing")
            .with_source(std::io::Error::other("no such thing"));
        assert_eq!(error.to_string(), "cannot open: no such thing");
    }

    #[test]
    fn only_unavailable_and_exhausted_are_retryable() {
        assert!(Error::unavailable("").is_retryable());
        assert!(Error::exhausted("").is_retryable());
        assert!(!Error::not_found("").is_retryable());
    }
}
