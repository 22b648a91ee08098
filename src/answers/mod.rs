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
mod schema;
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

/// What one call is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The message.
    pub message: Bytes,
    /// How long the call takes, if the file says so; else the model does.
    pub run_time: Option<Duration>,
    /// How the call ends.
    pub outcome: Outcome,
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
    /// The answer of a method, by its path without the first slash: `package.Service/Method`. Without
    /// a path it is that of the only method that there is. `random` is what the template's random
    /// values are made from.
    ///
    /// # Errors
    ///
    /// When there is no such method, and when there is no answer to this request.
    pub fn answer(
        &self,
        path: Option<&str>,
        request: &Bytes,
        random: u64,
    ) -> Result<Answer, AnswerError> {
        let found = match (path, &self.methods[..]) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(path), methods) => methods.iter().find(|method| method.path == path),
        };
        let unknown = || AnswerError::UnknownMethod(path.unwrap_or_default().to_owned());
        found.ok_or_else(unknown)?.answer(request, random)
    }

    /// The messages and services, as an encoded `google.protobuf.FileDescriptorSet`: what server
    /// reflection serves.
    #[must_use]
    pub fn descriptors(&self) -> &Bytes {
        &self.descriptors
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
