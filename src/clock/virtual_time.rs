//! Time that jumps to the next deadline as soon as nothing else is left to do, so that an hour of
//! a worker's life takes seconds.
//!
//! tokio calls a hook before a thread of its runtime waits for work. When every thread has nothing
//! to do, the hook ends the one sleep whose deadline is the next. What that wakes runs until all
//! threads are without work again, so that at most one sleep's consequences run at a time and a run
//! is the same with any number of threads; only where two sleeps end at the same nanosecond *and*
//! were begun by tasks that ran at the same time is their order the scheduler's.
//!
//! Time passes only in sleeps. What waits for the network, a file or a thread outside the runtime
//! counts as having nothing to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::runtime::Builder;

use super::{Clock, Moment, Timers};

/// A clock whose time jumps when the threads of a runtime have nothing to do.
///
/// ```
/// use std::time::Duration;
/// use hyperfake_worker::clock::virtual_time;
///
/// let hour = Duration::from_secs(3600);
/// let took = virtual_time::run(async move |clock| {
///     let began = clock.now();
///     clock.sleep_until(began + hour).await;
///     clock.now() - began
/// });
/// assert_eq!(took, hour);
/// ```
#[derive(Debug)]
pub struct VirtualTime {
    clock: Clock,
    now: Arc<AtomicU64>,
}

/// Midnight of 2026-01-01 UTC, 20,454 days after the Unix epoch: the date at which virtual time
/// begins, so that a run has the same dates whenever it is made.
pub const BEGINNING: Duration = Duration::from_secs(20_454 * 86_400);

/// Runs a future in virtual time, on this thread, with a clock that begins at zero.
///
/// # Panics
///
/// When the system gives no runtime.
pub fn run<T>(work: impl AsyncFnOnce(Clock) -> T) -> T {
    let time = VirtualTime::new();
    match time.drive(&mut Builder::new_current_thread(), 1).enable_io().build() {
        Ok(runtime) => runtime.block_on(work(time.clock())),
        Err(error) => panic!("cannot start a runtime: {error}"),
    }
}

impl VirtualTime {
    /// Time zero.
    #[must_use]
    pub fn new() -> Self {
        let now = Arc::new(AtomicU64::new(0));
        let (time, date) = (Arc::clone(&now), Arc::clone(&now));
        let clock = Clock::new(
            move || Moment::from_nanos(time.load(Ordering::Acquire)),
            move || BEGINNING + Duration::from_nanos(date.load(Ordering::Acquire)),
            Arc::new(Timers::new(|_| {})),
        );
        Self { clock, now }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Ends the sleep that ends first, and lets time pass until then, if that is not behind `until`; else
    /// lets it pass until `until`. Says whether there was one.
    pub(super) fn end_first_before(&self, until: Moment) -> bool {
        match self.clock.0.timers.take_first_before(until) {
            Some((deadline, waker)) => {
                self.now.fetch_max(deadline.as_nanos(), Ordering::AcqRel);
                waker.wake();
                true
            }
            None => {
                self.now.fetch_max(until.as_nanos(), Ordering::AcqRel);
                false
            }
        }
    }

    pub(super) fn first_deadline(&self) -> Option<Moment> {
        self.clock.0.timers.first_deadline()
    }

    /// Lets a runtime of this many threads drive this time; it can have no hooks of its own for
    /// threads that park. The thread that calls `block_on` is one of them only in a runtime of the
    /// current thread: in any other, everything that runs in virtual time has to be spawned.
    pub fn drive<'a>(&self, builder: &'a mut Builder, threads: usize) -> &'a mut Builder {
        // The threads that have nothing to do. The lock is held while a sleep is ended, so that a
        // thread which is woken by that counts as busy before another one looks.
        let idle = Arc::new(Mutex::new(0));
        let busy = Arc::clone(&idle);
        let (clock, now) = (self.clock(), Arc::clone(&self.now));
        builder
            .on_thread_park(move || {
                let mut idle = idle.lock();
                *idle += 1;
                if *idle == threads
                    && let Some((deadline, waker)) = clock.0.timers.take_first()
                {
                    now.fetch_max(deadline.as_nanos(), Ordering::AcqRel);
                    waker.wake();
                }
            })
            .on_thread_unpark(move || *busy.lock() -= 1)
    }
}

impl Default for VirtualTime {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The moments at which ten tasks wake, each five times, in the order in which they woke.
    fn wakes(threads: usize) -> Vec<(u64, u64)> {
        let time = VirtualTime::new();
        let clock = time.clock();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let work = {
            let seen = Arc::clone(&seen);
            async move {
                let tasks: Vec<_> = (1..=10_u64)
                    .map(|task| {
                        let (clock, seen) = (clock.clone(), Arc::clone(&seen));
                        tokio::spawn(async move {
                            for _ in 0..5 {
                                let wait = Duration::from_nanos(1_000_003 * task);
                                clock.sleep_until(clock.now() + wait).await;
                                seen.lock().push((clock.now().as_nanos(), task));
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            }
        };
        let mut builder = match threads {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime = time.drive(builder.worker_threads(threads), threads).build().unwrap();
        runtime.block_on(async { tokio::spawn(work).await.unwrap() });
        Arc::into_inner(seen).map(Mutex::into_inner).unwrap_or_default()
    }

    #[test]
    fn sleeps_end_in_the_order_of_their_deadlines_and_exactly_then() {
        let wakes = wakes(1);
        assert_eq!(wakes.len(), 50);
        assert!(wakes.is_sorted_by_key(|(moment, _)| *moment));
        for (moment, task) in &wakes {
            assert_eq!(moment % (1_000_003 * task), 0);
        }
        assert_eq!(wakes.last(), Some(&(50_000_150, 10)));
    }

    #[test]
    fn the_moments_are_the_same_with_any_number_of_threads() {
        let mut expected = wakes(1);
        expected.sort_unstable();
        for threads in [1, 2, 4] {
            for _ in 0..20 {
                // Where tasks wake at the same nanosecond, the order is the scheduler's.
                let mut wakes = wakes(threads);
                assert!(wakes.is_sorted_by_key(|(moment, _)| *moment));
                wakes.sort_unstable();
                assert_eq!(wakes, expected);
            }
        }
    }

    #[test]
    fn what_is_woken_finishes_before_time_goes_on() {
        let seen = run(async |clock| {
            let notify = Arc::new(tokio::sync::Notify::new());
            let chain: Vec<_> = (0..100)
                .map(|_| {
                    let (notify, clock) = (Arc::clone(&notify), clock.clone());
                    tokio::spawn(async move {
                        notify.notified().await;
                        notify.notify_one();
                        clock.now()
                    })
                })
                .collect();
            clock.sleep_until(clock.now() + SECOND).await;
            notify.notify_one();
            clock.sleep_until(clock.now() + SECOND).await;
            let mut seen = Vec::new();
            for task in chain {
                seen.push(task.await.unwrap());
            }
            seen
        });
        assert!(seen.iter().all(|moment| *moment == Moment::default() + SECOND), "{seen:?}");
    }

    #[test]
    fn the_date_goes_with_the_time() {
        let date = run(async |clock| {
            clock.sleep_until(clock.now() + 90 * SECOND).await;
            clock.since_epoch(clock.now())
        });
        assert_eq!(date, BEGINNING + 90 * SECOND);
    }

    #[test]
    fn a_hundred_thousand_sleeps_end_without_waiting() {
        let now = run(async |clock| {
            for _ in 0..100_000 {
                clock.sleep_until(clock.now() + SECOND).await;
            }
            assert_eq!(clock.lateness().max(), Duration::ZERO);
            clock.now()
        });
        assert_eq!(now, Moment::default() + 100_000 * SECOND);
    }
}
