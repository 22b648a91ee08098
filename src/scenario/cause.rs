use std::{fmt, sync::Arc};

/// Why a call ended as it did.
///
/// Its `Display` is the column `reason` of a record: nothing for [`Cause::None`], and `fault:NAME` for a
/// fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cause {
    /// Nothing out of the ordinary happened.
    #[default]
    None,
    /// The worker or the instance's queue was full.
    Overload,
    /// It waited for longer than the queue's time limit.
    QueueTimeout,
    /// It ran for as long as a call of the function may.
    TimeLimit,
    /// Its instance needed more memory than it may.
    OutOfMemory,
    /// Its instance crashed, for another reason than a fault's.
    Crash,
    /// The fault of this name.
    Fault(Arc<str>),
    /// Its instance failed to start.
    StartFailed,
    /// There was no instance to run it.
    NoInstance,
    /// The worker shuts down.
    ShuttingDown,
    /// The model failed.
    Model,
    /// Its answer could not be made, or its request not be read.
    Answer,
    /// Its client gave it up.
    Client,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Overload => "overload",
            Self::QueueTimeout => "queue_timeout",
            Self::TimeLimit => "time_limit",
            Self::OutOfMemory => "out_of_memory",
            Self::Crash => "crash",
            Self::Fault(name) => return write!(f, "fault:{name}"),
            Self::StartFailed => "start_failed",
            Self::NoInstance => "no_instance",
            Self::ShuttingDown => "shutting_down",
            Self::Model => "model",
            Self::Answer => "answer",
            Self::Client => "client",
        })
    }
}
