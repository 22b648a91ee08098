use std::{fmt, sync::Arc};

use super::{Instance, InstanceId, gate::Reason};
use crate::clock::Moment;

/// What can happen to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It exists, and its cold start begins.
    Start,
    /// Its cold start is over.
    Running,
    /// A call began.
    Call,
    /// A call ended.
    Response,
    /// It ended because it was told to.
    Stop,
    /// It ended because no call came.
    Timeout,
    /// It ended with the worker.
    Down,
    /// It crashed, or its container would have died of the signal to stop it: a DOWN that went wrong.
    Killed,
}

impl From<Reason> for EventKind {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Stop => Self::Stop,
            Reason::Timeout => Self::Timeout,
            Reason::Down => Self::Down,
            Reason::Crash => Self::Killed,
        }
    }
}

impl EventKind {
    /// Whether a slow listener may lose events of this kind: those of a call, but not those of an
    /// instance.
    pub(super) fn is_lossy(self) -> bool {
        matches!(self, Self::Call | Self::Response)
    }
}

/// Something that happened to an instance.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Whether it went wrong: a call that was cancelled or that could not be predicted, or an
    /// instance that was killed.
    pub failed: bool,
    /// The instance.
    pub instance: InstanceId,
    /// Its function.
    pub function: Arc<str>,
    /// When.
    pub at: Moment,
}

/// Is told of every change of an instance but the end of a call, of which a
/// [`Sink`](crate::record::Sink) is told.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Whether it wants to be told of changes of this kind. While no observer does, nothing is
    /// computed, not even the time.
    fn watches(&self, _kind: EventKind) -> bool {
        true
    }

    /// An instance changed at this moment. This runs on a thread that runs calls: it must neither
    /// wait nor fail.
    fn instance_changed(&self, kind: EventKind, instance: &Instance, at: Moment);
}
