//! The points at which models are checked.

use hyperfake_predictor::{Feature, Features, ModelInfo, Range};

/// How many random points there are.
const RANDOM: usize = 200;

/// Where a person would look first.
pub(super) fn reference_points(info: &ModelInfo) -> Vec<(&'static str, Features)> {
    let busy = Features {
        request_bytes: 640.0,
        function_instances: 1.0,
        active_calls: 100.0,
        worker_cpu_cores: 50.0,
        worker_ram_bytes: 1e9,
    };
    let mut points = vec![("idle worker", Features::IDLE), ("100 running calls", busy)];
    if info.trained.iter().any(Option::is_some) {
        points.push(("middle of the trained range", interpolate(info, |_| 0.5)));
    }
    points
}

/// Random points; the same as whole numbers, which most features are, so that steps, ties and
/// equalities within a model are met; the corners; and small numbers of each feature.
pub(super) fn samples(info: &ModelInfo) -> Vec<Features> {
    let mut random = fastrand::Rng::with_seed(1);
    let anywhere: Vec<_> = (0..RANDOM).map(|_| interpolate(info, |_| random.f64())).collect();
    let whole = anywhere.iter().map(|features| {
        let [bytes, instances, calls, cores, ram] = features.to_array();
        let half = (2.0 * cores).round() / 2.0;
        Features::from_array([bytes.round(), instances.round(), calls.round(), half, ram.round()])
    });
    let corner = |corner: u32| move |feature| f64::from((corner >> feature as u32) & 1);
    let corners = (0..1 << Feature::ALL.len()).map(|number| interpolate(info, corner(number)));
    let small = (1..=16).map(|power| interpolate(info, |_| 0.5_f64.powi(power)));
    let mut samples: Vec<_> = whole.chain(corners).chain(small).collect();
    samples.extend(anywhere);
    samples
}

/// A point with each feature at this share of its trained range, or of what a worker may see.
fn interpolate(info: &ModelInfo, mut share: impl FnMut(Feature) -> f64) -> Features {
    const USUAL: [f64; 5] = [1e5, 50.0, 500.0, 64.0, 16e9];
    let mut values = Features::IDLE.to_array();
    for feature in Feature::ALL {
        let at = info.inputs.iter().position(|input| *input == feature);
        let trained = at.and_then(|at| info.trained.get(at).copied().flatten());
        let range = trained.or_else(|| Range::new(0.0, USUAL[feature as usize]));
        if let Some(range) = range {
            // Counts and bytes are not negative.
            let low = range.low().max(0.0);
            values[feature as usize] = low + share(feature) * (range.high() - low).max(0.0);
        }
    }
    Features::from_array(values)
}
