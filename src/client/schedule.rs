use std::time::Duration;

use crate::args::LoadArgs;

/// The intended moments of the calls: evenly spaced, or with random gaps around the same mean.
pub(super) struct Schedule {
    gap: f64,
    poisson: bool,
    end: f64,
    next: f64,
    random: fastrand::Rng,
}

impl Schedule {
    pub(super) fn new(args: &LoadArgs) -> Self {
        let random = fastrand::Rng::with_seed(args.seed);
        let end = args.duration.as_secs_f64();
        Self { gap: 1.0 / args.rate, poisson: args.poisson, end, next: 0.0, random }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.next;
        // From (0, 1], so that the logarithm is finite.
        let factor = if self.poisson { -(1.0 - self.random.f64()).ln() } else { 1.0 };
        self.next += self.gap * factor;
        (now < self.end).then(|| Duration::from_secs_f64(now))
    }
}
