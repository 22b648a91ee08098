//! Real time, to a fraction of a millisecond.
//!
//! On Linux a clock has one `timerfd`, which the runtime's own poller watches: the thread that
//! runs the calls is woken by the kernel at the deadline, without a second thread and without
//! the slack that the kernel gives to ordinary sleeps. Elsewhere, or when the system has no more
//! file descriptors, a thread of the clock's own does the waiting.

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};

use super::{Clock, Moment, Timers, date};

/// A clock of real time whose sleeps are ended by the calling tokio runtime.
///
/// Give each runtime thread a clock of its own: sleeps then end on the thread that runs them.
///
/// # Panics
///
/// Outside a tokio runtime.
#[must_use]
pub fn start() -> Clock {
    #[cfg(target_os = "linux")]
    match timerfd::start() {
        Ok(clock) => return clock,
        Err(error) => tracing::warn!(%error, "no timerfd: a thread keeps the time"),
    }
    start_with_thread()
}

/// A clock of real time that has a thread of its own for the waiting, on any platform.
///
/// The thread ends with the clock.
#[must_use]
pub fn start_with_thread() -> Clock {
    let alarm = Arc::new(Alarm::default());
    let arm = Arc::clone(&alarm);
    let timers = Arc::new(Timers::new(move |deadline| arm.set(deadline)));
    let weak = Arc::downgrade(&timers);
    std::thread::Builder::new()
        .name("clock".into())
        .spawn(move || {
            while let Some(timers) = weak.upgrade() {
                timers.fire(now());
                drop(timers);
                alarm.wait();
            }
        })
        .map(drop)
        .unwrap_or_else(|error| tracing::error!(%error, "cannot start the clock's thread"));
    Clock::new(now, date::system, timers)
}

/// What the thread waits on.
#[derive(Default)]
struct Alarm {
    deadline: Mutex<Option<Moment>>,
    changed: Condvar,
}

impl Alarm {
    /// So that the thread notices, at leisure, that its clock is gone.
    const LONGEST: Duration = Duration::from_secs(1);

    fn set(&self, deadline: Moment) {
        *self.deadline.lock() = Some(deadline);
        self.changed.notify_one();
    }

    /// Returns at the deadline, or when there is a new look to take.
    fn wait(&self) {
        let mut deadline = self.deadline.lock();
        let until = deadline.unwrap_or_else(|| now() + Self::LONGEST).min(now() + Self::LONGEST);
        let wait = until - now();
        if !wait.is_zero() {
            self.changed.wait_for(&mut deadline, wait);
        }
        if deadline.is_some_and(|deadline| deadline <= now()) {
            *deadline = None;
        }
    }
}

/// The moment that every precise clock of this process shows: the system's monotonic clock, whose
/// origin is the machine's start.
#[must_use]
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Monotonic);
    Moment::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(target_os = "linux")]
mod timerfd {
    use std::{
        io,
        os::fd::{AsFd, OwnedFd},
    };

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    use super::*;

    pub(super) fn start() -> io::Result<Clock> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = Arc::new(timerfd_create(TimerfdClockId::Monotonic, flags)?);
        let armed = Arc::clone(&fd);
        let timers = Arc::new(Timers::new(move |deadline| arm(&armed, deadline)));
        let poller = watch(fd)?;
        let weak = Arc::downgrade(&timers);
        // Ends with its runtime, or at the first alarm after the clock is gone.
        tokio::spawn(async move {
            while let Ok(mut ready) = poller.readable().await {
                let Some(timers) = weak.upgrade() else { return };
                // Before firing, which arms the timer anew: a new alarm must not be cleared.
                ready.clear_ready();
                timers.fire(now());
            }
        });
        Ok(Clock::new(now, date::system, timers))
    }

    /// Setting a timer also takes back an alarm that was not read, so it never has to be read.
    fn arm(fd: &OwnedFd, deadline: Moment) {
        let moment = Duration::from_nanos(deadline.as_nanos());
        let value = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: moment.as_secs() as i64,
                tv_nsec: moment.subsec_nanos().into(),
            },
        };
        if let Err(error) = timerfd_settime(fd.as_fd(), TimerfdTimerFlags::ABSTIME, &value) {
            tracing::error!(%error, "cannot set a timer");
        }
    }

    #[expect(deprecated, reason = "its successor is unsafe; what it asks for, `Watched` keeps")]
    fn watch(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Watched>> {
        AsyncFd::with_interest(Watched(fd), Interest::READABLE)
    }

    /// A shared descriptor that the poller can watch: open, and the same, for as long as it is.
    struct Watched(Arc<OwnedFd>);

    impl std::os::fd::AsRawFd for Watched {
        fn as_raw_fd(&self) -> std::os::fd::RawFd {
            self.0.as_raw_fd()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a user relies on, on both ways of waiting.
    async fn sleeps_end_in_order_and_never_early(clock: Clock) {
        let start = clock.now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let sleeps: Vec<_> = [30, 10, 20, 0]
            .map(|ms| {
                let (clock, order) = (clock.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    let deadline = start + Duration::from_millis(ms);
                    clock.sleep_until(deadline).await;
                    assert!(clock.now() >= deadline, "ended early");
                    order.lock().push(ms);
                })
            })
            .into();
        for sleep in sleeps {
            sleep.await.unwrap();
        }
        assert_eq!(*order.lock(), [0, 10, 20, 30]);
        assert_eq!(clock.sleepers(), 0);
        assert!(clock.lateness().count() <= 4);
    }

    async fn a_dropped_sleep_leaves_nothing_behind(clock: Clock) {
        let far = clock.now() + Duration::from_secs(3600);
        let sleeps: Vec<_> = (0..100).map(|_| clock.sleep_until(far)).collect();
        let mut together = Box::pin(async move {
            for sleep in sleeps {
                sleep.await;
            }
        });
        let soon = clock.sleep_until(clock.now() + Duration::from_millis(50));
        tokio::select! {
            biased;
            () = &mut together => panic!("an hour has not passed"),
            () = soon => {}
        }
        assert_eq!(clock.sleepers(), 1);
        drop(together);
        assert_eq!(clock.sleepers(), 0);
        assert_eq!(clock.lateness().count(), 1);
    }

    #[tokio::test]
    async fn sleeps_of_the_runtime_end_in_order_and_never_early() {
        sleeps_end_in_order_and_never_early(start()).await;
    }

    #[tokio::test]
    async fn sleeps_of_the_thread_end_in_order_and_never_early() {
        sleeps_end_in_order_and_never_early(start_with_thread()).await;
    }

    #[tokio::test]
    async fn a_dropped_sleep_of_the_runtime_leaves_nothing_behind() {
        a_dropped_sleep_leaves_nothing_behind(start()).await;
    }

    #[tokio::test]
    async fn a_dropped_sleep_of_the_thread_leaves_nothing_behind() {
        a_dropped_sleep_leaves_nothing_behind(start_with_thread()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn thousands_of_sleeps_end_from_any_thread() {
        let clock = start();
        let start = clock.now();
        let sleeps: Vec<_> = (0..5000u64)
            .map(|n| {
                let clock = clock.clone();
                tokio::spawn(async move {
                    let deadline = start + Duration::from_micros(n * 7 % 20_000);
                    clock.sleep_until(deadline).await;
                    assert!(clock.now() >= deadline);
                })
            })
            .collect();
        for sleep in sleeps {
            sleep.await.unwrap();
        }
        assert_eq!(clock.sleepers(), 0);
    }
}
