use std::{future::poll_fn, sync::Arc, task::Poll, task::Waker};

use parking_lot::Mutex;
use tokio::runtime::Builder;

use super::{Clock, Moment, virtual_time::VirtualTime};

/// Virtual time that one task moves on, sleep by sleep, in a runtime of the current thread.
///
/// It is for a task that polls most of what sleeps by itself and so has no need of the runtime for each of
/// them. Everything else that sleeps by this clock may be tasks of the runtime: after the end of a sleep
/// that was none of its own, and after anything that may have woken one of them, the task lets them run with
/// [`Steps::settle`].
#[derive(Debug)]
pub struct Steps {
    time: VirtualTime,
    /// The task that waits until all others have nothing to do.
    waiting: Arc<Mutex<Option<Waker>>>,
}

impl Steps {
    /// Time zero, for a runtime that is built with this builder: it can have no hooks of its own for
    /// threads that park, and the task has to be spawned.
    pub fn new(builder: &mut Builder) -> Self {
        let waiting = Arc::new(Mutex::new(None::<Waker>));
        let idle = Arc::clone(&waiting);
        builder.on_thread_park(move || {
            let waker = idle.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        Self { time: VirtualTime::new(), waiting }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.time.clock()
    }

    /// Lets time pass until the first sleep ends, and ends it, if that is before `until`; else until then.
    /// Says whether a sleep was ended: its waker was woken before this returns.
    #[must_use]
    pub fn step(&self, until: Moment) -> bool {
        self.time.end_first_before(until)
    }

    /// When the next sleep ends.
    #[must_use]
    pub fn next(&self) -> Option<Moment> {
        self.time.first_deadline()
    }

    /// Lets all other tasks of the runtime run until they have nothing to do.
    pub async fn settle(&self) {
        let mut has_waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            *self.waiting.lock() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_moves_by_sleeps_and_other_tasks_run_when_it_is_their_turn() {
        let mut builder = Builder::new_current_thread();
        let steps = Steps::new(&mut builder);
        let runtime = builder.build().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = async move {
            let clock = steps.clock();
            for number in [3_u64, 1, 2] {
                let (clock, seen) = (clock.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    for round in 1..=2 {
                        let wait = Duration::from_secs(number);
                        clock.sleep_until(clock.now() + wait).await;
                        seen.lock().push((clock.now().as_nanos() / 1_000_000_000, number, round));
                    }
                });
            }
            steps.settle().await;
            assert_eq!(clock.sleepers(), 3);
            let until = Moment::from_nanos(3_500_000_000);
            while steps.step(until) {
                steps.settle().await;
            }
            assert_eq!(clock.now(), until);
            let found = seen.lock().clone();
            (found, clock.sleepers(), steps.next())
        };
        let (mut found, sleepers, next) = runtime.block_on(runtime.spawn(task)).unwrap();
        found.sort_unstable();
        assert_eq!(found, [(1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 3, 1)]);
        assert_eq!((sleepers, next), (2, Some(Moment::from_nanos(4_000_000_000))));
    }
}
