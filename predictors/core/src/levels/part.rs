/// The steepest line beyond the outermost levels, as the sigma of a log-normal distribution.
const STEEPEST: f64 = 2.0;

/// A number that is a smaller share of another one counts as none beside it.
const NEGLIGIBLE: f64 = 1e-6;

/// The part between two levels, with the quantiles there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) levels: [f64; 2],
    pub(super) scores: [f64; 2],
    pub(super) quantiles: [f64; 2],
}

impl Part {
    /// The number at a level between the two, which has this score.
    pub(super) fn at(&self, level: f64, score: f64) -> f64 {
        let [low, high] = self.quantiles;
        if low == high {
            return low;
        }
        let ([from, to], at) = match self.counts_scores() {
            true => (self.scores, score),
            false => (self.levels, level),
        };
        let way = ((at - from) / (to - from)).clamp(0.0, 1.0);
        if !self.is_logarithmic() {
            return low + way * (high - low);
        }
        let number = libm::exp(libm::log(low) + way * self.rise());
        // Rounding must not carry it out of what it is between.
        number.clamp(low, high)
    }

    /// The number before the part, at this score.
    pub(super) fn before(&self, score: f64) -> f64 {
        let ([low, _], [from, _]) = (self.quantiles, self.scores);
        match self.slope_before() {
            0.0 => low,
            slope => libm::exp(libm::log(low) + slope * (score - from)).min(low),
        }
    }

    /// The number behind the part, at this score.
    pub(super) fn behind(&self, score: f64) -> f64 {
        let ([_, high], [_, to]) = (self.quantiles, self.scores);
        match self.slope_behind() {
            0.0 => high,
            slope => libm::exp(libm::log(high) + slope * (score - to)).max(high),
        }
    }

    /// The integral over all levels between the two.
    pub(super) fn sum(&self) -> f64 {
        let ([low, high], [from, to]) = (self.quantiles, self.scores);
        let width = self.levels[1] - self.levels[0];
        if low == high {
            return width * low;
        }
        match (self.is_logarithmic(), self.counts_scores()) {
            (true, true) => {
                let slope = self.rise() / (to - from);
                high * below(slope, to) - low * below(slope, from)
            }
            // (high - low) / ln(high / low)
            (true, false) => match self.rise() {
                0.0 => width * low,
                rise => width * low * (libm::expm1(rise) / rise),
            },
            (false, true) => {
                let slope = (high - low) / (to - from);
                width * low + slope * (density(from) - density(to) - from * width)
            }
            (false, false) => width * (low + high) / 2.0,
        }
    }

    /// The integral over all levels before the part.
    pub(super) fn sum_before(&self) -> f64 {
        match self.slope_before() {
            // Nothing times infinity would be no number.
            0.0 if self.levels[0] == 0.0 => 0.0,
            0.0 => self.levels[0] * self.quantiles[0],
            slope => self.quantiles[0] * below(slope, self.scores[0]),
        }
    }

    /// The integral over all levels behind the part.
    pub(super) fn sum_behind(&self) -> f64 {
        match self.slope_behind() {
            0.0 if self.levels[1] == 1.0 => 0.0,
            0.0 => (1.0 - self.levels[1]) * self.quantiles[1],
            // The same seen from the other side.
            slope => self.quantiles[1] * below(-slope, -self.scores[1]),
        }
    }

    /// Of the logarithm over the score; 0 where there is nothing less.
    fn slope_before(&self) -> f64 {
        match self.counts_scores()
            && self.quantiles[0] != self.quantiles[1]
            && self.is_logarithmic()
        {
            true => (self.rise() / (self.scores[1] - self.scores[0])).min(STEEPEST),
            false => 0.0,
        }
    }

    /// The same behind the part.
    fn slope_behind(&self) -> f64 {
        let [low, high] = self.quantiles;
        if !self.counts_scores() || low == high || high <= 0.0 {
            return 0.0;
        }
        let rise = if self.is_logarithmic() { self.rise() } else { -libm::log(NEGLIGIBLE) };
        (rise / (self.scores[1] - self.scores[0])).min(STEEPEST)
    }

    /// Whether the way between the levels is counted by scores.
    fn counts_scores(&self) -> bool {
        let [from, to] = self.scores;
        from.is_finite() && to.is_finite() && from < to
    }

    /// Whether it is a line in logarithms.
    fn is_logarithmic(&self) -> bool {
        let [low, high] = self.quantiles;
        low > 0.0 && low >= NEGLIGIBLE * high
    }

    /// How much higher the logarithm is at the end.
    fn rise(&self) -> f64 {
        let [low, high] = self.quantiles;
        libm::log(high) - libm::log(low)
    }
}

/// The integral of `exp(slope * (z - score))` over all scores `z` below one, weighed with their density.
fn below(slope: f64, score: f64) -> f64 {
    libm::exp(-score * score / 2.0) / 2.0
        * scaled_erfc((slope - score) * std::f64::consts::FRAC_1_SQRT_2)
}

/// `exp(x^2) erfc(x)`, also where one of the two is far beyond what a number can hold.
fn scaled_erfc(x: f64) -> f64 {
    if x < 25.0 {
        return libm::exp(x * x) * libm::erfc(x);
    }
    // The asymptotic series; the next term is below one part in 10^10.
    let square = 1.0 / (2.0 * x * x);
    let series = 1.0 - square * (1.0 - 3.0 * square * (1.0 - 5.0 * square));
    series / (x * std::f64::consts::PI.sqrt())
}

/// The density of the normal distribution.
pub(super) fn density(score: f64) -> f64 {
    libm::exp(-score * score / 2.0) / (2.0 * std::f64::consts::PI).sqrt()
}
