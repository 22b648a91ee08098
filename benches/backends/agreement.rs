//! All forms are the same network, or what is compared is not the same work.

use hyperfake_predictor::RawPrediction;
use hyperfake_predictor_testkit::reference::Network;

use crate::{network::INPUTS, work::Contestant};

/// How far an answer may be from the network's in double precision, as a share of it.
pub(crate) const NETWORK: f64 = 1e-4;

/// The table holds the law that the network was fitted to. It is asked about an idle worker, where
/// it is exact, and this is what the network is off there.
pub(crate) const TABLE: f64 = 0.02;

/// # Panics
///
/// When a contestant answers something else.
pub(crate) fn check(network: &Network, contestants: &[Contestant]) {
    for contestant in contestants {
        let (inputs, tolerance) = match contestant.backend {
            "json" => (&INPUTS[..1], TABLE),
            _ => (&INPUTS[..], NETWORK),
        };
        let name = contestant.name();
        for features in inputs {
            let (answer, expected) = (contestant.answer(features), network.predict(features));
            let difference = difference(&answer, &expected);
            assert!(
                difference <= tolerance,
                "{name} answers {answer:?} to {features:?}, expected {expected:?}"
            );
        }
    }
}

/// Of the three numbers the farthest.
fn difference(answer: &RawPrediction, expected: &RawPrediction) -> f64 {
    let pairs = answer.to_array().into_iter().zip(expected.to_array());
    pairs.map(|(answer, expected)| (answer / expected - 1.0).abs()).fold(0.0, f64::max)
}
