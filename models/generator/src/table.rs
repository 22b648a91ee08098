use std::fmt::Write;

use hyperfake_predictor::{Feature, Features};

use crate::{CALM_CORES, CROWD, Domain, Law};

/// The instances that have rows.
const INSTANCES: [f64; 11] = [1.0, 3.0, 7.0, 13.0, 20.0, 30.0, 40.0, 52.0, 66.0, 82.0, 100.0];
/// The calls that have rows, besides as many as the instances of some row have room for.
const CALLS: [f64; 5] = [0.0, CROWD, 300.0, 400.0, 500.0];

/// A law as a JSON model of the kind `table`, for linear interpolation on a grid.
///
/// It covers [`Domain::STATED`]. Run time and memory are rounded to whole nanoseconds and bytes,
/// CPU to a ten-thousandth of a core.
#[must_use]
pub fn table(law: &Law) -> String {
    let features = Feature::ALL.map(|feature| format!("\"{feature}\"")).join(", ");
    let response = match law.response {
        Some(response) => format!("  \"response\": \"{response}\",\n"),
        None => String::new(),
    };
    let description = law.description;
    let mut text = format!(
        "{{\n  \"kind\": \"table\",\n  \"description\": \"{}: {description}\",\n{response}  \
         \"interpolation\": \"linear\",\n  \"features\": [{features}],\n  \"rows\": [",
        law.image
    );
    let mut separator = "";
    for features in grid(axes(law)) {
        let answer = law.predict(&features);
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}\n    [");
        for value in features.to_array() {
            let _ = write!(text, "{value}, ");
        }
        let cpu_cores = (answer.cpu_cores * 1e4).round() / 1e4;
        let _ = write!(
            text,
            "{}, {cpu_cores}, {}]",
            answer.runtime_ns.round(),
            answer.ram_bytes.round()
        );
        separator = ",";
    }
    text += "\n  ]\n}\n";
    text
}

/// The values of each feature, in the order of [`Feature::ALL`].
///
/// Between two values of an axis the table is a straight line. The law is one in the body, in the
/// memory and on either side of [`CALM_CORES`], so few values are enough there; instances and
/// calls, whose kink runs across both, get many.
fn axes(law: &Law) -> [Vec<f64>; 5] {
    let highest = Domain::STATED.highest;
    let room = INSTANCES.map(|instances| law.calls_per_instance * instances);
    let mut calls: Vec<f64> =
        CALLS.into_iter().chain(room).filter(|calls| *calls <= highest.active_calls).collect();
    calls.sort_by(f64::total_cmp);
    calls.dedup();
    [
        vec![0.0, highest.request_bytes],
        INSTANCES.to_vec(),
        calls,
        vec![0.0, CALM_CORES, highest.worker_cpu_cores],
        vec![0.0, highest.worker_ram_bytes],
    ]
}

/// Every combination of the axes' values, the last axis varying fastest.
fn grid(axes: [Vec<f64>; 5]) -> impl Iterator<Item = Features> {
    let size = axes.iter().map(Vec::len).product();
    (0..size).map(move |index| {
        let mut rest: usize = index;
        let mut values = [0.0; 5];
        for (value, axis) in values.iter_mut().zip(&axes).rev() {
            *value = axis[rest % axis.len()];
            rest /= axis.len();
        }
        Features::from_array(values)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ECHO;

    #[test]
    fn every_combination_of_the_axes_is_a_row() {
        let text = table(&ECHO);
        assert_eq!(text.matches("\n    [").count(), 2 * 11 * 15 * 3 * 2);
        assert!(text.contains("\n    [0, 1, 0, 0, 0, 7000000, 0.6, 8000000],\n"), "{text}");
        assert!(text.len() < 200_000, "{} bytes", text.len());
    }
}
