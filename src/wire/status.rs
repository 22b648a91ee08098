//! gRPC statuses: one table for the worker's errors, and one for the limits of the transport.

use std::{error::Error as StdError, fmt::Display, sync::Arc};

use http::Response;
use hyperfake_predictor::{Error, ErrorKind};
use tonic::{Code, Status, body::Body};

/// Converts an error of the worker.
pub(crate) fn status(error: &Error) -> Status {
    let mut status = Status::new(code(error.kind()), error.to_string());
    if error.kind() == ErrorKind::Dropped {
        status.set_source(Arc::new(Dropped));
    }
    status
}

/// The name of the code that an error of this kind has.
pub(crate) fn kind_name(kind: ErrorKind) -> &'static str {
    code_name(code(kind))
}

/// The name of a code, as the specification of gRPC has it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// This is the only table of the worker's codes.
fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::Unsupported => Code::FailedPrecondition,
        ErrorKind::Conflict => Code::AlreadyExists,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Internal => Code::Internal,
        ErrorKind::Injected(code) => Code::from(i32::from(code)),
        ErrorKind::Dropped => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// Instead of a status that has this source, the client gets none: its connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the scenario closes the connection")]
struct Dropped;

/// Whether the connection is to be closed without an answer.
pub(crate) fn drops_connection(status: &Status) -> bool {
    status.source().is_some_and(|source| source.is::<Dropped>())
}

/// A limit of the transport that a client can exceed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// The size of one message.
    MessageBytes,
    /// What clients hold of requests that have not arrived completely and of answers that are not
    /// sent.
    InflightBytes,
    /// Open connections of one endpoint.
    Connections,
    /// Open connections of the process.
    Descriptors,
}

impl Limit {
    /// The option, or the limit of the system, that sets the limit. Only this table names options: the code that checks a limit
    /// does not know how it was set.
    const fn flag(self) -> &'static str {
        match self {
            Self::MessageBytes => "--max-message-size",
            Self::InflightBytes => "--max-partial-size",
            Self::Connections => "--max-connections",
            Self::Descriptors => "the number of connections by the limit on open files (ulimit -n)",
        }
    }

    /// The refusal of a request that exceeds the limit.
    pub(crate) fn exceeded(self, what: impl Display) -> Status {
        Status::resource_exhausted(format!("{}: {what}", self.flag()))
    }

    /// For the log, when there is no room for more.
    pub(crate) fn reached(self, limit: usize) -> String {
        format!("{} is {limit}", self.flag())
    }

    /// For the log, when there is no room for more from a peer.
    pub(crate) fn reached_by(self, peer: impl Display, share: usize) -> String {
        format!("{} has a share of {share} for {peer}", self.flag())
    }
}

/// The refusal of a message above the limit.
pub(crate) fn message_too_large(what: impl Display) -> Status {
    Limit::MessageBytes.exceeded(what)
}

/// Replaces tonic's code for a message that is too large, `OutOfRange`, by the one of the other
/// implementations of gRPC. Nothing else has that code but what a scenario says.
pub(crate) fn with_common_codes(response: Response<Body>) -> Response<Body> {
    /// `OutOfRange` as a header.
    const OUT_OF_RANGE: &str = "11";
    /// What tonic says then.
    const TOO_LARGE: &str = "message length too large";
    let headers = response.headers();
    if headers.get(Status::GRPC_STATUS).is_none_or(|code| code != OUT_OF_RANGE) {
        return response;
    }
    let status = Status::from_header_map(headers);
    let text = status.as_ref().map(Status::message).unwrap_or_default();
    if !text.contains(TOO_LARGE) {
        return response;
    }
    // Such as "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes".
    let numbers = text.split_once(": ").map_or(text, |(_, numbers)| numbers);
    message_too_large(numbers).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_ends_calls_with_any_code_or_without_an_answer() {
        for number in 1..=16 {
            let injected = status(&Error::new(ErrorKind::Injected(number), "as it says"));
            assert_eq!(injected.code() as i32, i32::from(number));
            assert!(!drops_connection(&injected));
        }
        assert!(drops_connection(&status(&Error::new(ErrorKind::Dropped, "closed"))));
    }
}
