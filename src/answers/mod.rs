//! Answers that a function's own clients can parse.
//!
//! A file states, for each method of a service, what it answers: the answer as JSON, with the fields
//! of the request where they are needed. The messages are those of `.proto` files, which are compiled
//! when the file is opened, without protoc, or of a descriptor set.
//!
//! ```json
//! {
//!   "proto": "greeter.proto",
//!   "methods": {
//!     "examples.greeter.v1.Greeter/SayHello": {
//!       "answer": { "message": "Hello, {{ request.name or 'world' }}!" }
//!     }
//!   }
//! }
//! ```

mod file;
mod functions;
mod method;
mod template;

use std::{fmt, time::Duration};

use bytes::Bytes;
use serde::Deserialize;

use self::method::Method;

/// The answers of a service, by method.
pub struct Answers {
    methods: Vec<Method>,
    descriptors: Bytes,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With its answer.
    #[default]
    Answer,
    /// With the end of its instance: nothing is answered.
    Crash,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerError {
    /// The file has no such method.
    UnknownMethod(String),
    /// The request is no message of the method's.
    Request(String),
    /// The template gives no answer for this request.
    Template(String),
}

/// The longest answer, in bytes: more than a client takes.
const MAX_ANSWER: usize = 4 << 20;

impl Answers {
    /// How long a call takes, if the file says so; else the model does. A method is named by its path
    /// without the first slash: `package.Service/Method`. `random` is what the template's random
    /// values are made from.
    ///
    /// # Errors
    ///
    /// When there is no such method, when the request is not a message of it, and when the template
    /// gives no duration for it.
    pub fn run_time(
        &self,
        path: &str,
        request: &Bytes,
        random: u64,
    ) -> Result<Option<Duration>, AnswerError> {
        self.method(path)?.run_time(request, random)
    }

    /// How a call ends.
    #[must_use]
    pub fn outcome(&self, path: &str) -> Outcome {
        self.method(path).map(|method| method.outcome).unwrap_or_default()
    }

    /// The message that a call is answered.
    ///
    /// # Errors
    ///
    /// When there is no such method, and when there is no answer to this request.
    pub fn answer(&self, path: &str, request: &Bytes, random: u64) -> Result<Bytes, AnswerError> {
        self.method(path)?.answer(request, random)
    }

    fn method(&self, path: &str) -> Result<&Method, AnswerError> {
        let found = self.methods.iter().find(|method| method.path == path);
        found.ok_or_else(|| AnswerError::UnknownMethod(path.to_owned()))
    }

    /// The messages and services, as an encoded `google.protobuf.FileDescriptorSet`: what server
    /// reflection serves.
    #[must_use]
    pub fn descriptors(&self) -> &Bytes {
        &self.descriptors
    }

    /// Whether there is a method of this path.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.paths().any(|known| known == path)
    }

    /// The paths of the methods that have an answer.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|method| method.path.as_str())
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMethod(path) => write!(f, "there is no answer for the method '{path}'"),
            Self::Request(message) => {
                write!(f, "the request is not a message of the method: {message}")
            }
            Self::Template(message) => write!(f, "the answer cannot be made: {message}"),
        }
    }
}

impl std::error::Error for AnswerError {}
