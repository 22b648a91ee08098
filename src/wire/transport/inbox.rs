//! Connections on their way to the call threads.

use std::{collections::VecDeque, fmt};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What waits for each call thread.
pub(super) struct Inboxes<H>(Vec<Inbox<H>>);

struct Inbox<H> {
    waiting: Mutex<VecDeque<H>>,
    came: Notify,
}

impl<H> fmt::Debug for Inboxes<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.0.iter().map(|inbox| inbox.waiting.lock().len());
        formatter.debug_list().entries(waiting).finish()
    }
}

impl<H> Inboxes<H> {
    /// One for each of so many threads.
    pub(super) fn new(threads: usize) -> Self {
        let inbox = || Inbox { waiting: Mutex::default(), came: Notify::new() };
        Self(std::iter::repeat_with(inbox).take(threads).collect())
    }

    pub(super) fn put(&self, thread: usize, handover: H) {
        let inbox = &self.0[thread % self.0.len()];
        inbox.waiting.lock().push_back(handover);
        inbox.came.notify_one();
    }

    /// The next one for a thread.
    pub(super) async fn take(&self, thread: usize) -> H {
        let inbox = &self.0[thread];
        loop {
            if let Some(handover) = inbox.waiting.lock().pop_front() {
                return handover;
            }
            inbox.came.notified().await;
        }
    }

    /// Whether something waits for a thread.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.iter().any(|inbox| !inbox.waiting.lock().is_empty())
    }

    /// Gives what waits for a thread to the next one.
    pub(super) fn pass_on(&self) {
        let all: Vec<_> =
            self.0.iter().map(|inbox| std::mem::take(&mut *inbox.waiting.lock())).collect();
        for (thread, waiting) in all.into_iter().enumerate() {
            waiting.into_iter().for_each(|handover| self.put(thread + 1, handover));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_one_thread_does_not_take_goes_to_the_next_one() {
        let inboxes = Inboxes::new(3);
        inboxes.put(5, "first");
        inboxes.put(2, "second");
        assert!(inboxes.is_waiting());
        inboxes.pass_on();
        assert_eq!([inboxes.take(0).await, inboxes.take(0).await], ["first", "second"]);
        assert!(!inboxes.is_waiting());
    }
}
