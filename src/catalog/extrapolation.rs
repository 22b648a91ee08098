//! Inputs far from what a model was trained on.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hyperfake_predictor::{
    Feature, Features, ModelInfo, Predictor, Range, RawPrediction, Result, Session,
};

/// What is done about an input outside the range that its model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extrapolation {
    /// Nothing.
    Allow,
    /// It is counted for each feature, and the counts are reported.
    #[default]
    Warn,
    /// It is counted, and the model is asked with the nearest value within the range.
    Clamp,
}

impl Extrapolation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Warn, Self::Clamp];

    /// The name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Clamp => "clamp",
        }
    }
}

impl fmt::Display for Extrapolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Extrapolation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == name)
            .ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Watches what a model is asked, if it says what it was trained on.
pub(super) fn watch(
    inner: Arc<dyn Predictor>,
    policy: Extrapolation,
) -> (Arc<dyn Predictor>, Option<Arc<Outside>>) {
    let info = inner.info();
    let ranges: Vec<_> = info
        .inputs
        .iter()
        .zip(&info.trained)
        .filter_map(|(feature, range)| Some((*feature, (*range)?)))
        .collect();
    if policy == Extrapolation::Allow || ranges.is_empty() {
        return (inner, None);
    }
    let outside = Arc::new(Outside { ranges, counts: Default::default() });
    let clamp = policy == Extrapolation::Clamp;
    (Arc::new(Watched { inner, outside: Arc::clone(&outside), clamp }), Some(outside))
}

/// How often each feature was outside its trained range.
#[derive(Debug)]
pub(super) struct Outside {
    ranges: Vec<(Feature, Range)>,
    counts: [AtomicU64; Feature::ALL.len()],
}

impl Outside {
    /// The features that were outside at least once, with their range and how often.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Feature, Range, u64)> {
        self.ranges.iter().filter_map(|&(feature, range)| {
            let count = self.counts[feature as usize].load(Ordering::Relaxed);
            (count > 0).then_some((feature, range, count))
        })
    }

    fn check(&self, features: &Features, clamp: bool) -> Features {
        let mut values = features.to_array();
        for &(feature, range) in &self.ranges {
            let value = &mut values[feature as usize];
            if !range.contains(*value) {
                self.counts[feature as usize].fetch_add(1, Ordering::Relaxed);
                if clamp {
                    *value = range.clamp(*value);
                }
            }
        }
        Features::from_array(values)
    }
}

#[derive(Debug)]
struct Watched {
    inner: Arc<dyn Predictor>,
    outside: Arc<Outside>,
    clamp: bool,
}

impl Predictor for Watched {
    fn info(&self) -> &ModelInfo {
        self.inner.info()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let (inner, outside) = (self.inner.session()?, Arc::clone(&self.outside));
        Ok(Box::new(WatchedSession { inner, outside, clamp: self.clamp }))
    }
}

struct WatchedSession {
    inner: Box<dyn Session>,
    outside: Arc<Outside>,
    clamp: bool,
}

impl Session for WatchedSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        self.inner.predict(&self.outside.check(features, self.clamp))
    }

    fn predict_batch(&mut self, features: &[Features], out: &mut [RawPrediction]) -> Result<()> {
        let checked: Vec<_> =
            features.iter().map(|features| self.outside.check(features, self.clamp)).collect();
        self.inner.predict_batch(&checked, out)
    }
}
