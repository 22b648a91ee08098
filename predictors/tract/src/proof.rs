//! Evidence that a lowered network is the network in the file.
//!
//! Both runtimes are asked at a few hundred points: idle, within the range that the model was
//! trained on and around it, log-spaced from 1 to 10^18 in each column and in all of them. Each
//! output of dense may differ from tract's by
//!
//! - one part in 10,000 of tract's answer, and
//! - 64 times the rounding noise that single precision has at that point, as
//!   [`Network::reference`] estimates it: where large numbers nearly cancel, the runtimes differ
//!   because they add in another order.
//!
//! Beyond 10^30 two answers of the same sign are the same. tract's softplus overflows at 88. Where
//! it does, or where tract's answer is not a finite number although double precision gives one,
//! dense is compared with double precision; but at a quarter of the points at least, each output
//! must be compared with tract.

use hyperfake_predictor::{Error, ErrorKind, Feature, Features, Output, Result};
use hyperfake_predictor_dense::{Network, Reference, Runner};

use crate::{session::TractSession, source::Source};

/// Of tract's answer.
const RELATIVE: f64 = 1e-4;

/// In units of the estimated rounding noise.
const NOISE: f64 = 64.0;

/// Larger numbers count as infinite.
const ENDLESS: f64 = 1e30;

/// Compares the runner of a network with tract.
///
/// # Errors
///
/// `Unsupported` with the first point at which they differ, and by how much.
pub(crate) fn check(
    source: &Source,
    network: &Network,
    runner: &mut Runner,
    tract: &mut TractSession,
) -> Result<()> {
    let points = points(source);
    let count = points.len();
    let mut compared = [0; 3];
    for features in points {
        let inputs: Vec<f32> =
            source.columns.iter().map(|column| features.value(*column) as f32).collect();
        let mut answer = [0.0; 3];
        runner.run(&inputs, &mut answer);
        let expected = tract.run(&features)?.to_array();
        let Reference { values, noise, overflows } = network.reference(&inputs);
        for (column, output) in Output::ALL.into_iter().enumerate() {
            let found = f64::from(answer[column]);
            let floor = NOISE * f64::from(f32::EPSILON) / 2.0 * noise[column];
            let usable = expected[column].is_finite() || !values[column].is_finite();
            let (who, expected) = if usable && !overflows {
                compared[column] += 1;
                ("tract", expected[column])
            } else {
                ("double precision", values[column])
            };
            let allowed = RELATIVE * expected.abs() + floor;
            if !same(found, expected, allowed) {
                return Err(unproved(format!(
                    "dense answers {output} = {found:e}, {who} {expected:e}, and {allowed:e} may \
                     lie between them, at {}",
                    described(&features, &source.columns),
                )));
            }
        }
    }
    match Output::ALL.into_iter().zip(compared).find(|(_, compared)| 4 * compared < count) {
        None => Ok(()),
        Some((output, compared)) => Err(unproved(format!(
            "dense cannot be compared with tract, which gives a usable {output} at {compared} of \
             {count} points"
        ))),
    }
}

fn same(found: f64, expected: f64, allowed: f64) -> bool {
    let endless = |value: f64| value.abs() >= ENDLESS;
    found == expected
        || (found - expected).abs() <= allowed
        || (found.is_nan() && expected.is_nan())
        || (endless(found) && endless(expected) && found.signum() == expected.signum())
}

/// Where to ask: the same points for the same model.
pub(crate) fn points(source: &Source) -> Vec<Features> {
    let ranges: Vec<(f64, f64)> = Feature::ALL
        .iter()
        .map(|feature| {
            let column = source.columns.iter().position(|column| column == feature);
            let trained = column.and_then(|column| *source.trained.get(column)?);
            trained.map_or((0.0, usual(*feature)), |range| (range.low(), range.high()))
        })
        .collect();
    let each =
        |value: &mut dyn FnMut(usize) -> f64| Features::from_array(std::array::from_fn(value));
    let between = |feature: usize, share: f64| {
        let (low, high) = ranges[feature];
        low + share * (high - low)
    };
    let mut random = Random(1);
    let mut points = vec![Features::IDLE, Features::from_array([0.0; 5])];
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        points.push(each(&mut |feature| between(feature, share)));
    }
    for _ in 0..100 {
        points.push(each(&mut |feature| between(feature, random.unit())));
    }
    for _ in 0..32 {
        points.push(each(&mut |feature| between(feature, 6.0 * random.unit() - 2.5)));
    }
    for _ in 0..48 {
        points.push(each(&mut |_| 10_f64.powf(12.0 * random.unit())));
    }
    for power in 0..=18 {
        let large = 10_f64.powi(power);
        points.push(Features::from_array([large; 5]));
        for column in 0..5 {
            points.push(each(&mut |feature| {
                if feature == column { large } else { between(feature, 0.5) }
            }));
        }
    }
    points
}

/// What a feature reaches on a busy worker, for a model that does not say.
fn usual(feature: Feature) -> f64 {
    match feature {
        Feature::RequestBytes => 1e6,
        Feature::FunctionInstances => 100.0,
        Feature::ActiveCalls => 500.0,
        Feature::WorkerCpuCores => 128.0,
        Feature::WorkerRamBytes => 128e9,
    }
}

/// A small generator of numbers that look random (xorshift).
struct Random(u64);

impl Random {
    /// From 0 up to, but without, 1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub(crate) fn described(features: &Features, columns: &[Feature]) -> String {
    let values = columns.iter().map(|column| format!("{column} = {:e}", features.value(*column)));
    values.collect::<Vec<_>>().join(", ")
}

fn unproved(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyperfake_predictor::ModelUri;
    use hyperfake_predictor_dense::{Isa, Step};
    use hyperfake_predictor_testkit::laws;

    use super::*;
    use crate::{lower, plan::Plan};

    /// What the proof says of a network that was lowered and then changed.
    fn outcome(change: impl FnOnce(&mut Vec<Step>)) -> Result<()> {
        let uri = ModelUri::from_path("a.onnx");
        let bytes = laws::Network::sample(&[24, 16], 2).to_onnx().to_bytes();
        let source = Source::read(&uri, &bytes)?;
        let plan = Plan::load(&source)?;
        let mut steps = lower::steps(&source)?;
        change(&mut steps);
        let network = Network::new(source.columns.len(), steps)?;
        let mut tract = TractSession::new(Arc::clone(&plan))?;
        Isa::all()
            .into_iter()
            .try_for_each(|isa| check(&source, &network, &mut network.runner(isa), &mut tract))
    }

    fn weights(steps: &mut [Step], layer: usize) -> &mut Vec<f32> {
        let mut layers = steps.iter_mut().filter_map(|step| match step {
            Step::Dense(dense) => Some(&mut dense.weights),
            _ => None,
        });
        layers.nth(layer).unwrap()
    }

    #[test]
    fn an_honest_lowering_is_proved_on_every_instruction_set() {
        outcome(|_| {}).unwrap();
        outcome(|steps| {
            // Less than single precision notices.
            weights(steps, 1)[7] *= 1.0 + f32::EPSILON;
        })
        .unwrap();
    }

    #[test]
    fn a_wrong_lowering_is_caught_with_the_point_and_the_difference() {
        let error = outcome(|steps| weights(steps, 0)[3] *= 1.1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let error = error.to_string();
        assert!(error.starts_with("dense answers runtime_ns = "), "{error}");
        assert!(error.contains(" may lie between them, at request_bytes = "), "{error}");
        outcome(|steps| weights(steps, 1).swap(5, 6)).unwrap_err();
        outcome(|steps| weights(steps, 2)[40] += 0.01).unwrap_err();
        outcome(|steps| {
            steps.pop();
        })
        .unwrap_err();
        outcome(|steps| steps.swap(0, 1)).unwrap_err();
        outcome(|steps| {
            let last = steps.len() - 2;
            let Step::Add(shift) = &mut steps[last] else { panic!("{:?}", steps[last]) };
            shift[1] += 0.001;
        })
        .unwrap_err();
    }

    #[test]
    fn points_lie_within_the_trained_range_and_far_out() {
        let bytes = laws::Network::sample(&[4], 2).to_onnx().to_bytes();
        let source = Source::read(&ModelUri::from_path("a.onnx"), &bytes).unwrap();
        let points = points(&source);
        let within = |features: &&Features| {
            let pairs = source.columns.iter().zip(&source.trained);
            pairs
                .into_iter()
                .all(|(column, range)| range.unwrap().contains(features.value(*column)))
        };
        assert!(points.iter().filter(within).count() >= 100);
        assert!(points.contains(&Features::from_array([0.0; 5])));
        assert!(points.iter().any(|features| features.request_bytes == 1e18));
        assert!((300..400).contains(&points.len()), "{}", points.len());
    }
}
