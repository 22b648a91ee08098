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
//! Beyond 10^30 two answers of the same sign are the same. Where tract's answer is not a finite
//! number although double precision gives one (its softplus overflows at 88), dense is compared
//! with double precision, but no output may consist of nothing else: at a quarter of the points
//! at least tract must have an answer.

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
    let mut compared = [0; 3];
    for features in &points {
        let inputs: Vec<f32> =
            source.columns.iter().map(|column| features.value(*column) as f32).collect();
        let mut answer = [0.0; 3];
        runner.run(&inputs, &mut answer);
        let expected = tract.run(features)?.to_array();
        let Reference { values, noise } = network.reference(&inputs);
        for (column, output) in Output::ALL.into_iter().enumerate() {
            let found = f64::from(answer[column]);
            let floor = NOISE * f64::from(f32::EPSILON) / 2.0 * noise[column];
            let judged = if expected[column].is_finite() || !values[column].is_finite() {
                compared[column] += 1;
                expected[column]
            } else {
                values[column]
            };
            if !same(found, judged, RELATIVE * judged.abs() + floor) {
                return Err(unproved(format!(
                    "dense answers {output} = {found:e}, tract {:e}, and {:e} may lie between \
                     them, at {}",
                    expected[column],
                    RELATIVE * judged.abs() + floor,
                    described(features, &source.columns),
                )));
            }
        }
    }
    match Output::ALL.into_iter().zip(compared).find(|(_, count)| 4 * count < points.len()) {
        None => Ok(()),
        Some((output, count)) => Err(unproved(format!(
            "dense cannot be compared with tract: its {output} is a finite number at {count} of \
             {} points",
            points.len()
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
fn points(source: &Source) -> Vec<Features> {
    let ranges: Vec<(f64, f64)> = Feature::ALL
        .iter()
        .map(|feature| {
            let column = source.columns.iter().position(|column| column == feature);
            let trained = column.and_then(|column| *source.trained.get(column)?);
            trained.map_or((0.0, usual(*feature)), |range| (range.low(), range.high()))
        })
        .collect();
    let each = |value: &mut dyn FnMut(usize) -> f64| {
        Features::from_array(std::array::from_fn(|feature| value(feature)))
    };
    let between = |feature: usize, share: f64| {
        let (low, high) = ranges[feature];
        low + share * (high - low)
    };
    let mut random = Random(1);
    let mut points = vec![Features::IDLE, Features::from_array([0.0; 5])];
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        points.push(each(&mut |feature| between(feature, share)));
    }
    for _ in 0..96 {
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

fn described(features: &Features, columns: &[Feature]) -> String {
    let values = columns.iter().map(|column| format!("{column} = {:e}", features.value(*column)));
    values.collect::<Vec<_>>().join(", ")
}

fn unproved(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}
