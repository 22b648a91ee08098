//! The kind `linear`, and the linear models of HyperFaaS.

use hyperfake_predictor::{Feature, Output};

use crate::document::{Node, Object, Problem};

/// Each result is an intercept plus a weighted sum of the features.
#[derive(Debug)]
pub(crate) struct Linear {
    /// In the order of [`Output::ALL`].
    intercepts: [f64; 3],
    /// One row for each result, in the order of [`Feature::ALL`].
    weights: [[f64; 5]; 3],
}

/// The fields of a model in HyperFaaS's own file.
pub(crate) const HYPERFAAS_FIELDS: [&str; 8] = [
    "image_tag",
    "runtime_coeffs",
    "cpu_coeffs",
    "ram_coeffs",
    "sample_count",
    "runtime_r2",
    "cpu_r2",
    "ram_r2",
];

/// HyperFaaS's coefficients, in the order of [`Output::ALL`].
const HYPERFAAS_COEFFICIENTS: [&str; 3] = ["runtime_coeffs", "cpu_coeffs", "ram_coeffs"];

/// A larger coefficient is a mistake, and two of them could give infinity less infinity, which is no
/// number. With this one the answer is finite for every feature up to 1e200.
const MAX_COEFFICIENT: f64 = 1e100;

impl Linear {
    /// Reads an object of named coefficients for each result.
    pub(crate) fn read(model: &Object<'_>, inputs: &[Feature]) -> Result<Self, Problem> {
        let mut linear = Self { intercepts: [0.0; 3], weights: [[0.0; 5]; 3] };
        for (index, output) in Output::ALL.into_iter().enumerate() {
            let coefficients = model.required(output.name())?.object()?;
            let names = coefficients.fields.iter().map(|field| &*field.name);
            let named: Vec<_> = names.filter(|name| weighs(name, inputs).is_some()).collect();
            let ours: Vec<_> = inputs.iter().map(|feature| feature.name()).collect();
            coefficients.only(&[&["intercept"], &ours, &named])?;
            if let Some(intercept) = coefficients.find("intercept") {
                linear.intercepts[index] = coefficient(intercept)?;
            }
            let mut weighed = Vec::new();
            for field in &coefficients.fields {
                let Some(feature) = weighs(&field.name, inputs) else { continue };
                if weighed.contains(&feature) {
                    let message = format!("the feature '{feature}' has two coefficients");
                    return Err(field.value.problem(message));
                }
                weighed.push(feature);
                linear.weights[index][feature as usize] =
                    coefficient(field.value.named(feature.name()))?;
            }
        }
        Ok(linear)
    }

    /// Reads lists of six coefficients: for the five features, then the intercept.
    pub(crate) fn read_hyperfaas(model: &Object<'_>) -> Result<Self, Problem> {
        let mut linear = Self { intercepts: [0.0; 3], weights: [[0.0; 5]; 3] };
        for (index, name) in HYPERFAAS_COEFFICIENTS.into_iter().enumerate() {
            let [weights @ .., intercept] = six_numbers(model.required(name)?)?;
            linear.weights[index] = weights;
            linear.intercepts[index] = intercept;
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

fn coefficient(node: Node<'_>) -> Result<f64, Problem> {
    match node.number()? {
        number if number.abs() <= MAX_COEFFICIENT => Ok(number),
        number => Err(node.problem(format!(
            "the coefficient {number:e} is too large, expected at most {MAX_COEFFICIENT:e}"
        ))),
    }
}

/// The feature that a coefficient is named after.
fn weighs(name: &str, inputs: &[Feature]) -> Option<Feature> {
    Feature::named(name).filter(|feature| inputs.contains(feature))
}

fn six_numbers(node: Node<'_>) -> Result<[f64; 6], Problem> {
    let items = node.list()?;
    if items.len() != 6 {
        return Err(node.problem(format!(
            "found {} coefficients, expected 6: five features, then the intercept",
            items.len()
        )));
    }
    let mut numbers = [0.0; 6];
    for (number, item) in numbers.iter_mut().zip(items) {
        *number = coefficient(item)?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::{array::uniform5, prelude::*};

    use super::*;

    fn linear(source: &str) -> Result<Linear, Problem> {
        Linear::read(&Node::parse(source)?.object()?, &Feature::ALL)
    }

    fn hyperfaas(runtime: &str) -> Result<Linear, Problem> {
        let source = format!(
            r#"{{"runtime_coeffs": {runtime},
                 "cpu_coeffs": [0, 0, 0, 0, 0, 0.5], "ram_coeffs": [1, 0, 0, 0, 0, 8e6]}}"#
        );
        Linear::read_hyperfaas(&Node::parse(&source)?.object()?)
    }

    #[test]
    fn a_coefficient_that_is_left_out_is_zero() {
        let linear = linear(
            r#"{"runtime_ns": {"intercept": 7e6, "active_calls": 1e5}, "cpu_cores": {},
                "ram_bytes": {"request_bytes": 2}}"#,
        )
        .unwrap();
        assert_eq!(linear.predict(&[10.0, 20.0, 30.0, 40.0, 50.0]), [1e7, 0.0, 20.0]);
    }

    #[test]
    fn a_coefficient_may_be_named_like_a_column_of_hyperfaas_training_data() {
        let source = r#"{"runtime_ns": {"request_size_bytes": 3}, "cpu_cores": {}, "ram_bytes":
                         {"active_function_calls_count": 2}}"#;
        let results = linear(source).unwrap().predict(&[10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(results, [30.0, 0.0, 60.0]);
        let twice = r#"{"runtime_ns": {"request_size_bytes": 3, "request_bytes": 3},
                        "cpu_cores": {}, "ram_bytes": {}}"#;
        let problem = linear(twice).unwrap_err().message;
        assert_eq!(problem, "the feature 'request_bytes' has two coefficients");
    }

    #[test]
    fn numbers_of_hyperfaas_stay_in_milliseconds_and_the_last_one_is_the_intercept() {
        let linear = hyperfaas("[0.5, 0, 0, 0, 0, 2]").unwrap();
        assert_eq!(linear.predict(&[3.0, 0.0, 0.0, 0.0, 0.0]), [3.5, 0.5, 8_000_003.0]);
    }

    #[test]
    fn coefficients_of_a_wrong_number_or_size_are_refused() {
        let refusal = |runtime| hyperfaas(runtime).unwrap_err().message;
        assert!(refusal("[1, 2]").starts_with("found 2 coefficients, expected 6"));
        assert!(refusal("[1, 2, 3, 4, 5, 6, 7]").starts_with("found 7 coefficients, expected 6"));
        assert!(
            refusal("[1, 2, 3, 4, 5, 1e305]").starts_with("the coefficient 1e305 is too large")
        );
    }

    /// 1e308 times 10 less 1e308 times 10 would be infinity less infinity.
    #[test]
    fn coefficients_that_could_make_an_answer_that_is_no_number_are_refused() {
        let refused = linear(
            r#"{"runtime_ns": {"request_bytes": 1e308,
                "active_calls": -1e308}, "cpu_cores": {}, "ram_bytes": {}}"#,
        );
        let expected = Problem {
            line: 1,
            message: "the coefficient 1e308 is too large, expected at most 1e100".into(),
        };
        assert_eq!(refused.unwrap_err(), expected);
        let refused = linear(r#"{"runtime_ns": {"intercept": -2e100}}"#).unwrap_err().message;
        assert!(refused.starts_with("the coefficient -2e100 is too large"), "{refused}");
        let most = r#"{"runtime_ns": {"intercept": 1e100, "request_bytes": -1e100},
                       "cpu_cores": {}, "ram_bytes": {}}"#;
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
                r#"{{"runtime_ns": {{"request_bytes": {a}, "function_instances": {b},
                     "active_calls": {c}, "worker_cpu_cores": {d}, "worker_ram_bytes": {e},
                     "intercept": {intercept}}}, "cpu_cores": {{}}, "ram_bytes": {{}}}}"#
            );
            let expected: f64 = weights.iter().zip(features).map(|(w, x)| w * x).sum();
            let [found, ..]: [f64; 3] = linear(&source).unwrap().predict(&features);
            prop_assert!((found - expected - intercept).abs() < 1.0, "{found} {expected}");
        }
    }
}
