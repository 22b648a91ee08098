//! The kind `linear`, and the linear models of HyperFaaS.

use hyperfake_predictor::{Feature, Output};
use serde::Deserialize;

use crate::{
    document::{Amount, Fields, List, Problem, given, short},
    model::Image,
};

/// Each result is an intercept plus a weighted sum of the features.
#[derive(Debug)]
pub(crate) struct Linear {
    /// In the order of [`Output::ALL`].
    intercepts: [f64; 3],
    /// One row for each result, in the order of [`Feature::ALL`].
    weights: [[f64; 5]; 3],
}

/// The coefficients of one result, by name.
pub(crate) type Coefficients = Fields<Coefficient>;

/// A linear model as HyperFaaS writes it. The numbers of a list are for the five features, then
/// the intercept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HyperFaas {
    #[serde(default, deserialize_with = "given")]
    pub(crate) image_tag: Option<Image>,
    runtime_coeffs: List<Coefficient>,
    cpu_coeffs: List<Coefficient>,
    ram_coeffs: List<Coefficient>,
    #[serde(rename = "sample_count", default, deserialize_with = "given")]
    _sample_count: Option<Amount>,
    #[serde(rename = "runtime_r2", default, deserialize_with = "given")]
    _runtime_r2: Option<f64>,
    #[serde(rename = "cpu_r2", default, deserialize_with = "given")]
    _cpu_r2: Option<f64>,
    #[serde(rename = "ram_r2", default, deserialize_with = "given")]
    _ram_r2: Option<f64>,
}

/// A larger coefficient is a mistake, and two of them could give infinity minus infinity, which is
/// NaN. With this one the answer is finite for every feature up to 1e200.
const MAX_COEFFICIENT: f64 = 1e100;

#[derive(Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Coefficient(f64);

impl TryFrom<f64> for Coefficient {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if number.abs() <= MAX_COEFFICIENT {
            return Ok(Self(number));
        }
        Err(format!(
            "the coefficient {number:e} is too large, expected at most {MAX_COEFFICIENT:e}"
        ))
    }
}

impl Linear {
    /// From the coefficients of each result; those that are left out are 0.
    pub(crate) fn new(outputs: [Coefficients; 3], inputs: &[Feature]) -> Result<Self, Problem> {
        let mut linear = Self { intercepts: [0.0; 3], weights: [[0.0; 5]; 3] };
        for (index, (output, Fields(fields))) in Output::ALL.into_iter().zip(outputs).enumerate() {
            let mut weighed = Vec::new();
            for (name, Coefficient(number)) in fields {
                let refused =
                    |message| Err(Problem::new(format!("{output}.{}", short(&name)), message));
                match Feature::named(&name).filter(|feature| inputs.contains(feature)) {
                    _ if name == "intercept" => linear.intercepts[index] = number,
                    Some(feature) if weighed.contains(&feature) => {
                        return refused(format!("the feature '{feature}' has two coefficients"));
                    }
                    Some(feature) => {
                        weighed.push(feature);
                        linear.weights[index][feature as usize] = number;
                    }
                    None => {
                        let known: Vec<_> = inputs.iter().map(|input| input.name()).collect();
                        return refused(format!(
                            "unknown field '{}', expected one of intercept, {}",
                            short(&name),
                            known.join(", ")
                        ));
                    }
                }
            }
        }
        Ok(linear)
    }

    pub(crate) fn predict(&self, features: &[f64; 5]) -> [f64; 3] {
        let mut results = self.intercepts;
        for (result, weights) in results.iter_mut().zip(&self.weights) {
            for (weight, feature) in weights.iter().zip(features) {
                *result += weight * feature;
            }
        }
        results
    }
}

impl HyperFaas {
    pub(crate) fn model(&self) -> Result<Linear, Problem> {
        let mut linear = Linear { intercepts: [0.0; 3], weights: [[0.0; 5]; 3] };
        let lists = [
            ("runtime_coeffs", &self.runtime_coeffs),
            ("cpu_coeffs", &self.cpu_coeffs),
            ("ram_coeffs", &self.ram_coeffs),
        ];
        for (index, (name, List(numbers))) in lists.into_iter().enumerate() {
            let numbers: Vec<_> = numbers.iter().map(|Coefficient(number)| *number).collect();
            let [weights @ .., intercept] = <[f64; 6]>::try_from(&*numbers).map_err(|_| {
                let message = format!(
                    "found {} coefficients, expected 6: five features, then the intercept",
                    numbers.len()
                );
                Problem::new(name, message)
            })?;
            linear.weights[index] = weights;
            linear.intercepts[index] = intercept;
        }
        Ok(linear)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{array::uniform5, prelude::*};

    use super::*;
    use crate::model::{Model, read};

    fn linear(fields: &str) -> Result<Linear, Problem> {
        let source = format!(r#"{{"kind": "linear", {fields}}}"#);
        match read(&source)?.remove(0).point() {
            Model::Linear(linear) => Ok(linear),
            other => panic!("{other:?}"),
        }
    }

    fn hyperfaas(runtime: &str) -> Result<Linear, Problem> {
        let source = format!(
            r#"{{"runtime_coeffs": {runtime},
                 "cpu_coeffs": [0, 0, 0, 0, 0, 0.5], "ram_coeffs": [1, 0, 0, 0, 0, 8e6]}}"#
        );
        match read(&source)?.remove(0).point() {
            Model::Linear(linear) => Ok(linear),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_coefficient_that_is_left_out_is_zero() {
        let linear = linear(
            r#""runtime_ns": {"intercept": 7e6, "active_calls": 1e5}, "cpu_cores": {},
                "ram_bytes": {"request_bytes": 2}"#,
        )
        .unwrap();
        assert_eq!(linear.predict(&[10.0, 20.0, 30.0, 40.0, 50.0]), [1e7, 0.0, 20.0]);
    }

    #[test]
    fn a_coefficient_may_be_named_like_a_column_of_hyperfaas_training_data() {
        let source = r#""runtime_ns": {"request_size_bytes": 3}, "cpu_cores": {}, "ram_bytes":
                         {"active_function_calls_count": 2}"#;
        let results = linear(source).unwrap().predict(&[10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(results, [30.0, 0.0, 60.0]);
        let twice = r#""runtime_ns": {"request_size_bytes": 3, "request_bytes": 3},
                        "cpu_cores": {}, "ram_bytes": {}"#;
        let problem = linear(twice).unwrap_err();
        assert_eq!(problem.message, "the feature 'request_bytes' has two coefficients");
        assert_eq!(problem.place, "runtime_ns.request_bytes");
    }

    #[test]
    fn numbers_of_hyperfaas_stay_in_milliseconds_and_the_last_one_is_the_intercept() {
        let linear = hyperfaas("[0.5, 0, 0, 0, 0, 2]").unwrap();
        assert_eq!(linear.predict(&[3.0, 0.0, 0.0, 0.0, 0.0]), [3.5, 0.5, 8_000_003.0]);
    }

    #[test]
    fn coefficients_of_a_wrong_number_or_size_are_refused() {
        let refusal = |runtime| hyperfaas(runtime).unwrap_err();
        for (runtime, place, expected) in [
            ("[1, 2]", "runtime_coeffs", "found 2 coefficients, expected 6"),
            ("[1, 2, 3, 4, 5, 6, 7]", "runtime_coeffs", "found 7 coefficients, expected 6"),
            ("[1, 2, 3, 4, 5, 1e305]", "runtime_coeffs[5]", "the coefficient 1e305 is too large"),
        ] {
            let Problem { place: found, message } = refusal(runtime);
            assert_eq!(found, place);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    /// 1e308 times 10 less 1e308 times 10 would be infinity less infinity.
    #[test]
    fn coefficients_that_could_give_an_answer_that_is_not_a_number_are_refused() {
        let refused = linear(
            r#""runtime_ns": {"request_bytes": 1e308,
                "active_calls": -1e308}, "cpu_cores": {}, "ram_bytes": {}"#,
        );
        let expected = Problem::new(
            "runtime_ns.request_bytes",
            "the coefficient 1e308 is too large, expected at most 1e100",
        );
        assert_eq!(refused.unwrap_err(), expected);
        let refused = linear(r#""runtime_ns": {"intercept": -2e100}"#).unwrap_err().message;
        assert!(refused.starts_with("the coefficient -2e100 is too large"), "{refused}");
        let most = r#""runtime_ns": {"intercept": 1e100, "request_bytes": -1e100},
                       "cpu_cores": {}, "ram_bytes": {}"#;
        assert_eq!(linear(most).unwrap().predict(&[2.0, 0.0, 0.0, 0.0, 0.0])[0], -1e100);
    }

    proptest! {
        #[test]
        fn a_result_is_the_dot_product_plus_the_intercept(
            weights in uniform5(-1e6..1e6f64), intercept in -1e9..1e9f64,
            features in uniform5(0.0..1e9f64),
        ) {
            let [a, b, c, d, e] = weights;
            let source = format!(
                r#""runtime_ns": {{"request_bytes": {a}, "function_instances": {b},
                     "active_calls": {c}, "worker_cpu_cores": {d}, "worker_ram_bytes": {e},
                     "intercept": {intercept}}}, "cpu_cores": {{}}, "ram_bytes": {{}}"#
            );
            let expected: f64 = weights.iter().zip(features).map(|(w, x)| w * x).sum();
            let [found, ..]: [f64; 3] = linear(&source).unwrap().predict(&features);
            prop_assert!((found - expected - intercept).abs() < 1.0, "{found} {expected}");
        }
    }
}
