use std::{
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// A moment of a [`Clock`](super::Clock): nanoseconds since the clock's origin, which is the same
/// for all precise clocks of a process. It lasts for 584 years; sums and differences stop at the
/// ends of that range.
///
/// ```
/// use std::time::Duration;
/// use hyperfake_worker::clock::Moment;
///
/// let moment = Moment::from_nanos(5) + Duration::from_nanos(7);
/// assert_eq!(moment - Moment::from_nanos(2), Duration::from_nanos(10));
/// assert_eq!(Moment::from_nanos(2) - moment, Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The moment so many nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// The nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(duration)))
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// Zero when the other moment is the later one.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The nanoseconds of a duration, at most 584 years of them.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos().into())
}
