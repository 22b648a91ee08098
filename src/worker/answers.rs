use std::time::Duration;

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};

use super::Worker;
use crate::{
    answers::{AnswerError, Answers, Outcome},
    catalog::{Model, ResponseBody},
};

/// What is called, and so what the answer becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method<'a> {
    /// `Call` of the API of 2025, whose answer is a field of the platform's own message: any bytes.
    Call,
    /// A method of the function's own, `package.Service/Method`. The answer is its message.
    OfFunction(&'a str),
}

/// What answers the calls of a method of a function.
#[derive(Clone, Copy)]
pub(super) enum Answering<'a> {
    /// What the function's file of answers states.
    Stated(Stated<'a>),
    /// Bytes.
    Bytes(&'a ResponseBody),
    /// A message.
    Message(&'a ResponseBody),
}

/// What a file of answers states of a method.
#[derive(Clone, Copy)]
pub(super) struct Stated<'a> {
    answers: &'a Answers,
    path: &'a str,
}

impl Worker {
    pub(super) fn answering<'a>(&'a self, method: Method<'a>, model: &'a Model) -> Answering<'a> {
        let of_model = model.response.as_ref();
        match (method, &model.answers) {
            (Method::Call, _) => Answering::Bytes(of_model.unwrap_or(&self.config.response)),
            (Method::OfFunction(path), Some(answers)) => {
                Answering::Stated(Stated { answers, path })
            }
            (Method::OfFunction(_), None) => {
                Answering::Message(of_model.unwrap_or(&self.config.instance_response))
            }
        }
    }
}

impl Answering<'_> {
    /// Whether an answer is made of its request.
    pub(super) fn needs_request(&self) -> bool {
        match self {
            Self::Stated(_) => true,
            Self::Bytes(response) | Self::Message(response) => response.needs_request(),
        }
    }
}

impl Stated<'_> {
    /// How long the call takes, if that is stated.
    ///
    /// # Errors
    ///
    /// `Internal`, as a gRPC server says it, when the request is not a message of the method.
    pub(super) fn run_time(&self, request: &Bytes, random: u64) -> Result<Option<Duration>> {
        self.answers.run_time(self.path, request, random).map_err(no_answer)
    }

    /// Whether the call ends its instance.
    pub(super) fn crashes(&self) -> bool {
        self.answers.outcome(self.path) == Outcome::Crash
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// `Internal` when there is none to this request.
    pub(super) fn answer(&self, request: &Bytes, random: u64) -> Result<Bytes> {
        self.answers.answer(self.path, request, random).map_err(no_answer)
    }
}

fn no_answer(error: AnswerError) -> Error {
    Error::internal(error.to_string())
}
