use std::{collections::BTreeMap, sync::Arc};

use hyperfake_predictor::{Feature, Predictor, Range};
use serde::Serialize;

use super::{Both, function::Sides, run::Call};

/// Calls whose features are outside of what is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OutOfRange {
    /// What is known: the ranges that the model was trained on, or those of the real calls.
    pub of: &'static str,
    /// By feature, the share of calls outside; features that a record lacks are not there.
    pub features: BTreeMap<&'static str, Both<Option<f64>>>,
}

impl OutOfRange {
    pub(super) fn of(sides: &Sides, model: Option<&Arc<dyn Predictor>>) -> Self {
        let trained = model.map(|model| {
            let info = model.info();
            let ranges = info.inputs.iter().copied().zip(info.trained.iter().copied());
            ranges.filter_map(|(feature, range)| Some((feature, range?))).collect::<Vec<_>>()
        });
        let trained = trained.filter(|ranges| !ranges.is_empty());
        let is_trained = trained.is_some();
        let ranges = trained.unwrap_or_else(|| of_calls(&sides.real));
        let of = if is_trained { "the model's trained ranges" } else { "the real calls' ranges" };
        let outside = |calls: &[Call], feature: Feature, range: Range| {
            let known = || {
                let numbers = calls.iter().map(move |call| call.features[feature as usize]);
                numbers.filter(|number| !number.is_nan())
            };
            let count = known().filter(|number| !range.contains(*number)).count();
            let all = known().count();
            (all > 0).then(|| count as f64 / all as f64)
        };
        let shares = ranges.into_iter().map(|(feature, range)| {
            let of = |calls| outside(calls, feature, range);
            (feature.name(), Both { real: of(&sides.real), fake: of(&sides.fake) })
        });
        Self { of, features: shares.collect() }
    }
}

/// From the least to the greatest number of each feature.
fn of_calls(calls: &[Call]) -> Vec<(Feature, Range)> {
    let range = |feature: Feature| {
        let numbers = calls.iter().map(|call| call.features[feature as usize]);
        let (low, high) = numbers
            .filter(|number| !number.is_nan())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
                (low.min(number), high.max(number))
            });
        Some((feature, Range::new(low, high)?))
    };
    Feature::ALL.into_iter().filter_map(range).collect()
}
