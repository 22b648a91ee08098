use hyperfake_predictor::{Error, ErrorKind};
use tonic::{Code, Status};

/// The one table from the worker's errors to gRPC's codes.
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
