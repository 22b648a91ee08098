//! Inputs far from what a model was trained on.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use hyperfake_predictor::{Feature, Features, ModelInfo, Range};

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

/// Counts the inputs outside the trained range of a model and, if that was asked for, brings them
/// inside.
#[derive(Debug)]
pub(super) struct RangeGuard {
    ranges: Vec<(Feature, Range)>,
    clamp: bool,
    /// By feature; any thread that runs calls counts.
    counts: [AtomicU64; Feature::ALL.len()],
}

impl RangeGuard {
    /// Of a model, if it states what it was trained on and the policy is not to allow everything.
    pub(super) fn new(info: &ModelInfo, policy: Extrapolation) -> Option<Self> {
        let trained = info.inputs.iter().zip(&info.trained);
        let ranges: Vec<_> =
            trained.filter_map(|(feature, range)| Some((*feature, (*range)?))).collect();
        let clamp = policy == Extrapolation::Clamp;
        let is_watched = policy != Extrapolation::Allow && !ranges.is_empty();
        is_watched.then(|| Self { ranges, clamp, counts: Default::default() })
    }

    /// The features that were outside at least once, with their range and how often.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Feature, Range, u64)> {
        self.ranges.iter().filter_map(|&(feature, range)| {
            let count = self.counts[feature as usize].load(Ordering::Relaxed);
            (count > 0).then_some((feature, range, count))
        })
    }

    /// What the model is asked with instead, if that is something else.
    pub(super) fn check(&self, features: &Features) -> Option<Features> {
        let mut values = features.to_array();
        let mut is_outside = false;
        for (feature, range) in &self.ranges {
            let value = &mut values[*feature as usize];
            if !range.contains(*value) {
                is_outside = true;
                self.counts[*feature as usize].fetch_add(1, Ordering::Relaxed);
                *value = range.clamp(*value);
            }
        }
        (is_outside && self.clamp).then(|| Features::from_array(values))
    }
}
