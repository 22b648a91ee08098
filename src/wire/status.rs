//! gRPC statuses: one table for the worker's errors, and one for the limits of the transport.

use std::fmt::Display;

use http::Response;
use hyperfake_predictor::{Error, ErrorKind};
use tonic::{Code, Status, body::Body};

/// Converts an error of the worker. This is the only table of its codes.
pub(crate) fn status(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::Unsupported => Code::FailedPrecondition,
        ErrorKind::Conflict => Code::AlreadyExists,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Internal => Code::Internal,
        _ => Code::Unknown,
    };
    Status::new(code, error.to_string())
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
/// implementations of gRPC. No method of ours has that code for another reason.
pub(crate) fn with_common_codes(response: Response<Body>) -> Response<Body> {
    /// `OutOfRange` as a header.
    const OUT_OF_RANGE: &str = "11";
    let headers = response.headers();
    if headers.get(Status::GRPC_STATUS).is_none_or(|code| code != OUT_OF_RANGE) {
        return response;
    }
    let status = Status::from_header_map(headers);
    let text = status.as_ref().map(Status::message).unwrap_or_default();
    // Such as "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes".
    let numbers = text.split_once(": ").map_or(text, |(_, numbers)| numbers);
    message_too_large(numbers).into_http()
}
