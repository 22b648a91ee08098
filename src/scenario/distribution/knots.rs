use hyperfake_predictor::normal;

/// A quantile function that is known at some points.
///
/// Between two of them its logarithm is a straight line over the normal score of `u`, so that two knots
/// are a log-normal distribution; beyond the outermost ones the line goes on. Towards `p0` and `p100`,
/// whose scores are infinite, it is a straight line over `u` itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Knots {
    /// From u = 0 to u = 1, without gaps.
    segments: Box<[Segment]>,
}

/// The part between two knots, or beyond the outermost one. Values are natural logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Segment {
    from: f64,
    to: f64,
    /// The value where the way along it is 0.
    low: f64,
    /// How much higher it is where the way is 1.
    rise: f64,
    along: Along,
    /// The exponent of the way: above 1, the values between the knots are lower.
    bend: f64,
}

/// What the way along a segment is counted by.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Along {
    /// The normal score: where it begins, and how wide the part is.
    Score(f64, f64),
    /// The share of the values.
    Share,
}

/// The sharpest bend, as an exponent; the other way it is its inverse.
const SHARPEST: f64 = 16.0;

impl Knots {
    /// From pairs of a share of the values, from 0 to 1, and the value below which they are, both
    /// ascending, and perhaps the mean that all values are to have.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the pairs, and between which limits the mean has to be.
    pub(super) fn new(knots: &[(f64, f64)], mean: Option<f64>) -> Result<Self, String> {
        if knots.len() < 2 {
            return Err(format!("found {} quantiles, expected at least two", knots.len()));
        }
        if !knots.iter().all(|(u, value)| (0.0..=1.0).contains(u) && value.is_finite()) {
            return Err("expected quantiles from p0 to p100".to_owned());
        }
        // A logarithm needs more than nothing: 1 ns is nothing.
        let knots: Vec<_> = knots.iter().map(|(u, value)| (*u, value.max(1.0))).collect();
        for pair in knots.windows(2) {
            let [(u, value), (next, larger)] = [pair[0], pair[1]];
            if next <= u {
                return Err(format!("found p{} twice or out of order", 100.0 * next));
            }
            if larger < value {
                let (u, next) = (100.0 * u, 100.0 * next);
                return Err(format!("found p{next} below p{u}, expected it not to be smaller"));
            }
        }
        let straight = Self { segments: segments(&knots).into() };
        match mean {
            None => Ok(straight),
            Some(mean) => straight.bent(mean),
        }
    }

    /// The value below which this share of the values is. `u` is above 0 and below 1.
    pub(super) fn quantile(&self, u: f64) -> f64 {
        let at = self.segments.partition_point(|segment| segment.to <= u);
        self.segments[at.min(self.segments.len() - 1)].quantile(u)
    }

    /// The share of the values that are not above this one.
    pub(super) fn cdf(&self, value: f64) -> f64 {
        let log = libm::log(value.max(0.0));
        let at = self.segments.partition_point(|segment| segment.end() <= log);
        self.segments.get(at).map_or(1.0, |segment| segment.cdf(log))
    }

    pub(super) fn mean(&self) -> f64 {
        self.segments.iter().map(Segment::sum).sum()
    }

    /// The same knots with another mean: every part above the median is bent alike.
    fn bent(self, mean: f64) -> Result<Self, String> {
        let with = |log_bend: f64| {
            let mut bent = self.clone();
            let inner = bent.segments.iter_mut().filter(|segment| segment.is_bendable());
            inner.for_each(|segment| segment.bend = libm::exp(log_bend));
            bent
        };
        let sharpest = libm::log(SHARPEST);
        let (mut high, mut low) = (-sharpest, sharpest);
        let (largest, smallest) = (with(high).mean(), with(low).mean());
        if !(smallest..=largest).contains(&mean) {
            let [mean, smallest, largest] = [mean, smallest, largest].map(super::duration);
            return Err(format!(
                "found a mean of {mean:?}, expected one from {smallest:?} to {largest:?}: others do \
                 not go with these quantiles"
            ));
        }
        // A sharper bend gives a smaller mean.
        for _ in 0..48 {
            let middle = f64::midpoint(low, high);
            if with(middle).mean() > mean { high = middle } else { low = middle }
        }
        Ok(with(f64::midpoint(low, high)))
    }
}

fn segments(knots: &[(f64, f64)]) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(knots.len() + 1);
    for pair in knots.windows(2) {
        let [(from, value), (to, larger)] = [pair[0], pair[1]];
        let [low, high] = [value, larger].map(libm::log);
        let (begin, end) = (normal::quantile(from), normal::quantile(to));
        let along = match begin.is_finite() && end.is_finite() {
            true => Along::Score(begin, end - begin),
            false => Along::Share,
        };
        segments.push(Segment { from, to, low, rise: high - low, along, bend: 1.0 });
    }
    // The lines of the outermost parts go on. Where they are not straight ones, that is p0 or p100 next
    // to a single knot, values end at the knot.
    let beyond = |segment: &Segment, from, to, value: f64| match segment.along {
        Along::Score(..) => Segment { from, to, ..*segment },
        Along::Share => {
            Segment { from, to, low: libm::log(value), rise: 0.0, along: Along::Share, bend: 1.0 }
        }
    };
    let (first, last) = (knots[0], knots[knots.len() - 1]);
    if first.0 > 0.0 {
        segments.insert(0, beyond(&segments[0], 0.0, first.0, first.1));
    }
    if last.0 < 1.0 {
        segments.push(beyond(&segments[segments.len() - 1], last.0, 1.0, last.1));
    }
    segments
}

impl Segment {
    /// How far along it this is: from 0 to 1 between two knots, and beyond the outermost ones less or
    /// more.
    fn way(&self, u: f64) -> f64 {
        match self.along {
            Along::Score(begin, width) => (normal::quantile(u) - begin) / width,
            Along::Share => (u - self.from) / (self.to - self.from),
        }
    }

    fn value(&self, way: f64) -> f64 {
        // A way beyond the outermost knot may be infinite or negative.
        let bent = if self.bend == 1.0 { way } else { libm::pow(way.clamp(0.0, 1.0), self.bend) };
        libm::exp(if self.rise == 0.0 { self.low } else { self.low + self.rise * bent })
    }

    fn quantile(&self, u: f64) -> f64 {
        self.value(self.way(u))
    }

    /// The logarithm of its largest value.
    fn end(&self) -> f64 {
        match self.along {
            Along::Score(..) if self.to >= 1.0 && self.rise > 0.0 => f64::INFINITY,
            Along::Score(begin, width) if self.rise > 0.0 && self.bend == 1.0 => {
                self.low + self.rise * (normal::quantile(self.to) - begin) / width
            }
            _ => self.low + self.rise,
        }
    }

    /// The share of all values up to this logarithm, which is not above its end.
    fn cdf(&self, log: f64) -> f64 {
        if self.rise == 0.0 {
            return self.from;
        }
        let bent = (log - self.low) / self.rise;
        let way = if self.bend == 1.0 { bent } else { libm::pow(bent.max(0.0), 1.0 / self.bend) };
        let u = match self.along {
            Along::Score(begin, width) => normal::cdf(begin + way * width),
            Along::Share => self.from + way * (self.to - self.from),
        };
        u.clamp(self.from, self.to)
    }

    /// Whether a mean may bend it: it lies between two knots and above the median.
    fn is_bendable(&self) -> bool {
        let is_inner = match self.along {
            Along::Score(begin, width) => {
                let end = normal::quantile(self.to);
                self.to < 1.0 && (end - begin - width).abs() < 1e-9
            }
            Along::Share => true,
        };
        is_inner && self.to > 0.5 && self.from > 0.0
    }

    /// The sum of its values, as a part of the mean.
    fn sum(&self) -> f64 {
        match self.along {
            Along::Score(begin, width) if self.bend == 1.0 => {
                let slope = self.rise / width;
                let chance = |u| normal::cdf(normal::quantile(u) - slope);
                let middle = libm::exp(self.low - slope * begin + slope * slope / 2.0);
                middle * (chance(self.to) - chance(self.from))
            }
            _ => self.integral(),
        }
    }

    /// Simpson's rule, in steps that are small where a bent part rises fast.
    fn integral(&self) -> f64 {
        const STEPS: u32 = 256;
        let (begin, width) = match self.along {
            Along::Score(begin, width) => (begin, width),
            Along::Share => (0.0, self.to - self.from),
        };
        let term = |step: u32| {
            let t = f64::from(step) / f64::from(STEPS);
            let way = t * t * t;
            let density = match self.along {
                Along::Score(..) => density(begin + way * width),
                Along::Share => 1.0,
            };
            let weight = match step {
                0 | STEPS => 1.0,
                _ if step % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * self.value(way) * density * width * 3.0 * t * t
        };
        (0..=STEPS).map(term).sum::<f64>() / (3.0 * f64::from(STEPS))
    }
}

/// The density of the standard normal distribution.
fn density(z: f64) -> f64 {
    libm::exp(-z * z / 2.0) / (2.0 * std::f64::consts::PI).sqrt()
}
