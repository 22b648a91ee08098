use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyperfake_predictor::{Error, Result};
use tokio::sync::Notify;

/// The door: how many calls are inside, and whether more may come in.
#[derive(Debug)]
pub(super) struct Admission {
    limit: usize,
    calls: AtomicUsize,
    closed: AtomicBool,
    /// Signalled when the last call has left a closed door.
    emptied: Notify,
}

impl Admission {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self {
            limit: limit.unwrap_or(usize::MAX),
            calls: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            emptied: Notify::new(),
        }
    }

    /// How many calls are inside.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self) -> Result<Admitted<'_>> {
        let entered = self.calls.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |inside| {
            (inside < self.limit).then_some(inside + 1)
        });
        let admitted = entered.map(|_| Admitted(self)).map_err(|inside| {
            let message = format!("{inside} calls are running, and no more are taken at once");
            Error::exhausted(message).at("--max-rpcs")
        })?;
        self.check_open()?;
        Ok(admitted)
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the worker is shutting down"));
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Waits until nobody is inside.
    pub(super) async fn empty(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.calls.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// A call inside. Dropping it is leaving.
pub(super) struct Admitted<'a>(&'a Admission);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let last = self.0.calls.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.0.closed.load(Ordering::SeqCst) {
            self.0.emptied.notify_waiters();
        }
    }
}
