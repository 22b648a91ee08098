//! Time: what it is, and how to wait for it.
//!
//! A prediction is a number of nanoseconds and tokio's timer works in whole milliseconds, so the
//! worker has a timer of its own. A [`Clock`] tells the time and sleeps until a deadline:
//!
//! - never early: a sleep ends at its deadline or after it;
//! - a deadline in the past costs no sleep;
//! - a dropped [`Sleep`] leaves nothing behind;
//! - how late sleeps ended is kept as a histogram ([`Clock::lateness`]);
//! - it is monotonic: when the system's date is set, sleeps and run times do not notice, and the
//!   dates of its moments ([`Clock::since_epoch`]) follow within a second.
//!
//! [`precise`] drives real time, [`manual`] is moved by hand in tests, and [`virtual_time`] jumps to
//! the next deadline. All run the same queue of sleeps, and nothing outside this module reads the
//! system's time.

mod date;
mod lateness;
pub mod manual;
mod moment;
pub mod precise;
mod steps;
mod throttle;
mod timers;
pub mod virtual_time;

use std::{
    fmt,
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use self::{date::Date, timers::Timers};
pub use self::{
    lateness::{Lateness, LatenessMonitor},
    moment::Moment,
    steps::Steps,
    throttle::Throttle,
};

/// A source of time, and of sleeps that end when they should. Cloning it is cheap, and a clone
/// is the same clock.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

struct Shared {
    now: Box<dyn Fn() -> Moment + Send + Sync>,
    timers: Arc<Timers>,
    date: Date,
}

impl Clock {
    /// Of a monotonic time, and of the system's date as the time since the Unix epoch.
    fn new(
        now: impl Fn() -> Moment + Send + Sync + 'static,
        date: impl Fn() -> Duration + Send + Sync + 'static,
        timers: Arc<Timers>,
    ) -> Self {
        let date = Date::new(date, &now);
        Self(Arc::new(Shared { now: Box::new(now), timers, date }))
    }

    /// The time that all deadlines are counted in.
    #[must_use]
    pub fn now(&self) -> Moment {
        (self.0.now)()
    }

    /// A moment of this clock as the time since the Unix epoch, by the system's date: one that was
    /// set up to a second before the moment may not be known yet. Two moments that are converted
    /// one after the other may be apart by what the date was set by meanwhile, so add a duration
    /// to the date of one of them instead.
    #[must_use]
    pub fn since_epoch(&self, moment: Moment) -> Duration {
        self.0.date.at(moment, &self.0.now)
    }

    /// Sleeps until the deadline; ends at once if it has passed.
    pub fn sleep_until(&self, deadline: Moment) -> Sleep {
        Sleep { clock: self.clone(), deadline, number: None }
    }

    /// Waits for the future until the deadline; `None` if it has not ended by then.
    pub fn within<F: Future>(&self, deadline: Moment, future: F) -> Within<F> {
        Within { future, deadline: self.sleep_until(deadline) }
    }

    /// How late this clock's sleeps have ended so far.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        self.0.timers.lateness()
    }

    /// Sleeps that have not ended.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.0.timers.len()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("sleepers", &self.sleepers()).finish_non_exhaustive()
    }
}

/// Ends at its deadline. Made by [`Clock::sleep_until`].
#[derive(Debug)]
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep {
    clock: Clock,
    deadline: Moment,
    /// Its number in the queue, once it waits there.
    number: Option<NonZeroU64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { clock, deadline, number } = &mut *self;
        let timers = &clock.0.timers;
        let now = clock.now();
        if now >= *deadline {
            if let Some(number) = number.take() {
                timers.end((*deadline, number), now - *deadline);
            }
            return Poll::Ready(());
        }
        match *number {
            Some(number) => timers.renew((*deadline, number), context.waker()),
            None => *number = Some(timers.add(*deadline, context.waker())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.clock.0.timers.remove((self.deadline, number));
        }
    }
}

pin_project! {
    /// A future that is waited for until a deadline. Made by [`Clock::within`].
    #[derive(Debug)]
    #[must_use = "a future does nothing unless awaited"]
    pub struct Within<F> {
        #[pin]
        future: F,
        deadline: Sleep,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Pin::new(this.deadline).poll(context).map(|()| None),
        }
    }
}
