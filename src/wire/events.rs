//! The events of a worker, as streams of messages.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use prost_types::Timestamp;
use tonic::Status;

use super::status::status;
use crate::{
    clock::Clock,
    worker::{Event, Subscription, SubscriptionEnd, Worker},
};

/// The events for one listener.
#[derive(Debug)]
pub(crate) struct Events {
    subscription: Subscription,
    clock: Clock,
    ended: bool,
}

impl Events {
    /// Those of this worker, for the node of this name.
    ///
    /// # Errors
    ///
    /// When there are too many listeners.
    pub(crate) fn of(worker: &Arc<Worker>, node: &str, clock: &Clock) -> Result<Self, Status> {
        let subscription = worker.subscribe(node, clock).map_err(|error| status(&error))?;
        tracing::debug!(node, "a listener subscribed");
        Ok(Self { subscription, clock: clock.clone(), ended: false })
    }

    /// The next event as a message.
    pub(crate) fn poll_next<M>(
        &mut self,
        context: &mut Context<'_>,
        convert: impl Fn(&Event, &Clock) -> M,
    ) -> Poll<Option<Result<M, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.subscription.poll_next(context)) {
            Ok(event) => Some(Ok(convert(&event, &self.clock))),
            Err(end) => {
                self.ended = true;
                match end {
                    SubscriptionEnd::Closed => None,
                    SubscriptionEnd::Lagged => {
                        Some(Err(Status::resource_exhausted("too many events were left unread")))
                    }
                }
            }
        })
    }
}

/// A time since the Unix epoch as a message.
pub(crate) fn timestamp(since_epoch: Duration) -> Timestamp {
    Timestamp {
        seconds: since_epoch.as_secs().try_into().unwrap_or(i64::MAX),
        nanos: since_epoch.subsec_nanos() as i32,
    }
}
