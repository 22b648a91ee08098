//! The calls that an instance runs at once, and those that wait for that.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of an instance: one for each call that it runs at once, and a queue in front of them,
/// which is served in the order of arrival.
#[derive(Debug)]
pub(super) struct Places {
    limits: PlaceLimits,
    /// Serves in the order in which it was asked.
    free: Arc<Semaphore>,
    /// The calls in the queue; those of any thread change it.
    waiting: AtomicU32,
}

/// How many calls an instance runs at once, and how many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlaceLimits {
    pub(super) concurrency: u32,
    pub(super) depth: u32,
}

/// A place among the running calls, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A place in the queue, given back when it is dropped.
#[derive(Debug)]
pub(super) struct QueuePlace(Arc<Places>);

impl Places {
    pub(super) fn new(limits: PlaceLimits) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(limits.concurrency as usize));
        Arc::new(Self { limits, free, waiting: AtomicU32::new(0) })
    }

    pub(super) fn limits(&self) -> PlaceLimits {
        self.limits
    }

    /// The calls in the queue.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place to run, unless all are taken. While calls wait, none is free.
    pub(super) fn take(&self) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Place { _permit: Some(permit) })
    }

    /// A place in the queue, unless that is full.
    pub(super) fn queue(self: &Arc<Self>) -> Option<QueuePlace> {
        let depth = self.limits.depth;
        let entered = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < depth).then_some(waiting + 1)
        });
        entered.ok().map(|_| QueuePlace(Arc::clone(self)))
    }
}

impl QueuePlace {
    /// Waits until those before it have had their places.
    pub(super) async fn place(self) -> Place {
        // The semaphore is never closed.
        Place { _permit: Arc::clone(&self.0.free).acquire_owned().await.ok() }
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_served_in_order_and_has_an_end() {
        let places = Places::new(PlaceLimits { concurrency: 1, depth: 2 });
        let first = places.take().unwrap();
        assert!(places.take().is_none());
        let mut second = Box::pin(places.queue().unwrap().place());
        let mut third = Box::pin(places.queue().unwrap().place());
        for waiting in [&mut second, &mut third] {
            assert!(futures_poll(waiting).await.is_none());
        }
        assert!(places.queue().is_none(), "two wait already");
        drop(first);
        assert!(places.take().is_none(), "those that wait come first");
        assert!(futures_poll(&mut third).await.is_none());
        let second = futures_poll(&mut second).await.unwrap();
        drop(third);
        drop(second);
        assert_eq!(places.waiting.load(Ordering::Relaxed), 0);
        assert_eq!(places.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn one_that_gives_up_when_it_was_its_turn_lets_the_next_one_in() {
        let places = Places::new(PlaceLimits { concurrency: 1, depth: 2 });
        let first = places.take().unwrap();
        let mut second = Box::pin(places.queue().unwrap().place());
        let mut third = Box::pin(places.queue().unwrap().place());
        assert!(futures_poll(&mut second).await.is_none());
        assert!(futures_poll(&mut third).await.is_none());
        drop(first);
        drop(second);
        assert!(futures_poll(&mut third).await.is_some());
    }

    /// What a future gives if it is polled now.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
