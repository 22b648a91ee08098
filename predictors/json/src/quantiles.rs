//! The kind `quantiles`.

mod fields;

use hyperfake_predictor::{Feature, Levels, Output, Range, RawPrediction, Uniforms};

pub(crate) use self::fields::{Edges, Level, Lists, Numbers, Quantile};
use crate::document::{Amount, List, Problem};

/// The most features that choose a bin.
const MAX_FEATURES: usize = 2;

/// How results are distributed, in each bin of the features' values.
#[derive(Debug)]
pub(crate) struct Quantiles {
    /// For each feature that chooses a bin; none when there is one bin alone.
    axes: Vec<Axis>,
    levels: Levels,
    /// In the order of [`Output::ALL`].
    results: [Spread; 3],
}

/// The bins of a feature.
#[derive(Debug)]
struct Axis {
    feature: Feature,
    /// Ascending, and one more than there are bins.
    edges: Vec<f64>,
    /// From one bin to the next in a [`Spread`].
    stride: usize,
}

/// How one result is distributed.
#[derive(Debug)]
enum Spread {
    /// The same for every call.
    Same(f64),
    /// For each bin as many quantiles as there are levels, and their mean. The last axis varies
    /// fastest.
    Bins { quantiles: Vec<f64>, means: Vec<f64> },
}

impl Quantiles {
    /// `inputs` are the features that choose a bin; without `edges` there is one bin.
    pub(crate) fn new(
        inputs: &[Feature],
        edges: Option<&Edges>,
        List(levels): &List<Level>,
        results: [&Numbers; 3],
    ) -> Result<Self, Problem> {
        let axes = match edges {
            Some(edges) => axes(inputs, edges)?,
            None => Vec::new(),
        };
        let levels: Vec<_> = levels.iter().map(|Level(level)| *level).collect();
        let levels = ascending(levels, "levels", "levels")?;
        let levels =
            Levels::new(levels).map_err(|error| Problem::new("levels", error.to_string()))?;
        let bins = axes.iter().map(|axis| axis.bins()).product();
        let [runtime, cpu, ram] = results;
        let spread = |output, numbers| Spread::new(output, numbers, bins, &levels);
        let results = [
            spread(Output::RuntimeNs, runtime)?,
            spread(Output::CpuCores, cpu)?,
            spread(Output::RamBytes, ram)?,
        ];
        Ok(Self { axes, levels, results })
    }

    /// The mean of each result.
    pub(crate) fn predict(&self, features: &[f64; 5]) -> RawPrediction {
        let bin = self.bin(features);
        RawPrediction::from_array(self.results.each_ref().map(|spread| match spread {
            Spread::Same(number) => *number,
            Spread::Bins { means, .. } => means[bin],
        }))
    }

    /// The quantile of each result at its uniform number.
    pub(crate) fn draw(&self, features: &[f64; 5], uniforms: &Uniforms) -> RawPrediction {
        let (bin, count) = (self.bin(features), self.levels.count());
        let number = |output: Output| match &self.results[output as usize] {
            Spread::Same(number) => *number,
            Spread::Bins { quantiles, .. } => {
                let quantiles = &quantiles[bin * count..(bin + 1) * count];
                self.levels.at(quantiles, uniforms.of(output))
            }
        };
        RawPrediction::from_array(Output::ALL.map(number))
    }

    /// From the first edge of a feature's bins to the last one.
    pub(crate) fn range(&self, column: Feature) -> Option<Range> {
        let axis = self.axes.iter().find(|axis| axis.feature == column)?;
        Range::new(*axis.edges.first()?, *axis.edges.last()?)
    }

    fn bin(&self, features: &[f64; 5]) -> usize {
        self.axes.iter().map(|axis| axis.stride * axis.find(features[axis.feature as usize])).sum()
    }
}

impl Axis {
    fn bins(&self) -> usize {
        self.edges.len() - 1
    }

    /// The bin of a value. A value outside of all bins belongs to the nearest one, and NaN to the
    /// first.
    fn find(&self, value: f64) -> usize {
        let above = self.edges.partition_point(|edge| *edge <= value);
        above.saturating_sub(1).min(self.bins() - 1)
    }
}

impl Spread {
    fn new(
        output: Output,
        numbers: &Numbers,
        bins: usize,
        levels: &Levels,
    ) -> Result<Self, Problem> {
        let List(lists) = match numbers {
            Numbers::Same(Amount(number)) => return Ok(Self::Same(*number)),
            Numbers::Bins(lists) => lists,
        };
        if lists.len() != bins {
            let message = format!(
                "found {} lists of quantiles, expected {bins}, one for each bin",
                lists.len()
            );
            return Err(Problem::new(output.name(), message));
        }
        let mut quantiles = Vec::with_capacity(bins * levels.count());
        let mut means = Vec::with_capacity(bins);
        for (bin, List(list)) in lists.iter().enumerate() {
            let place = format!("{output}[{bin}]");
            if list.len() != levels.count() {
                let message = format!(
                    "found {} quantiles, expected {}, one for each level",
                    list.len(),
                    levels.count()
                );
                return Err(Problem::new(place, message));
            }
            let list: Vec<_> = list.iter().map(|Quantile(quantile)| *quantile).collect();
            let pairs = list.array_windows().enumerate();
            if let Some((index, [before, after])) = pairs.into_iter().find(|(_, [a, b])| a > b) {
                let message = format!(
                    "found {after} behind {before}, expected quantiles that do not decrease"
                );
                return Err(Problem::new(format!("{place}[{}]", index + 1), message));
            }
            means.push(levels.mean(&list));
            quantiles.extend(list);
        }
        Ok(Self::Bins { quantiles, means })
    }
}

fn axes(inputs: &[Feature], List(edges): &Edges) -> Result<Vec<Axis>, Problem> {
    if inputs.len() > MAX_FEATURES {
        let message = format!("found {} features, expected at most {MAX_FEATURES}", inputs.len());
        return Err(Problem::new("features", message));
    }
    if edges.len() != inputs.len() {
        let message = format!(
            "found {} lists of edges, expected {}, one for each feature",
            edges.len(),
            inputs.len()
        );
        return Err(Problem::new("bins", message));
    }
    let mut axes = Vec::with_capacity(inputs.len());
    let mut stride = 1_usize;
    for (index, (feature, List(edges))) in inputs.iter().zip(edges).enumerate().rev() {
        let edges: Vec<_> = edges.iter().map(|Amount(edge)| *edge).collect();
        let place = format!("bins[{index}]");
        if edges.len() < 2 {
            let message = format!("found {} edges, expected at least 2", edges.len());
            return Err(Problem::new(place, message));
        }
        let axis = Axis { feature: *feature, edges: ascending(edges, &place, "edges")?, stride };
        stride = stride.saturating_mul(axis.bins());
        axes.push(axis);
    }
    axes.reverse();
    Ok(axes)
}

/// The numbers, if each is greater than the one before it.
fn ascending(numbers: Vec<f64>, place: &str, what: &str) -> Result<Vec<f64>, Problem> {
    let pairs = numbers.array_windows().enumerate();
    match pairs.into_iter().find(|(_, [before, after])| before >= after) {
        None => Ok(numbers),
        Some((index, [before, after])) => {
            let message = format!("found {after} behind {before}, expected ascending {what}");
            Err(Problem::new(format!("{place}[{}]", index + 1), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{model::read, served::Served};

    fn quantiles(fields: &str) -> Result<Arc<Quantiles>, Problem> {
        let source = format!(r#"{{"kind": "quantiles", {fields}}}"#);
        match read(&source)?.remove(0).served {
            Served::Quantiles(quantiles) => Ok(quantiles),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(fields: &str) -> String {
        let problem = quantiles(fields).unwrap_err();
        format!("{}: {}", problem.place, problem.message)
    }

    /// Bins of two features; the first number of a list says which bin it is.
    const BINS: &str = r#""features": ["active_calls", "request_bytes"],
        "bins": [[0, 1, 10, 100], [5, 1000, 2000]], "levels": [0.1, 0.5, 0.9],
        "runtime_ns": [[1, 10, 100], [2, 10, 100], [3, 10, 100], [4, 10, 100], [5, 10, 100], [6, 10, 100]],
        "cpu_cores": 0.5"#;

    /// A question with these two features; the others are not for the model.
    fn features(active_calls: f64, request_bytes: f64) -> [f64; 5] {
        [request_bytes, f64::NAN, active_calls, 1e9, 1e9]
    }

    #[test]
    fn the_features_choose_a_bin_whose_first_edge_belongs_to_it() {
        let model = quantiles(BINS).unwrap();
        for (active_calls, request_bytes, bin) in [
            (0.0, 5.0, 1.0),
            (0.99, 999.0, 1.0),
            (0.0, 1000.0, 2.0),
            (1.0, 0.0, 3.0),
            (9.0, 1500.0, 4.0),
            (10.0, 7.0, 5.0),
            // Outside of all bins and at the last edge the nearest bin counts; NaN is in the first.
            (100.0, 2000.0, 6.0),
            (1e300, f64::INFINITY, 6.0),
            (-5.0, -5.0, 1.0),
            (f64::NAN, 1e4, 2.0),
        ] {
            let features = features(active_calls, request_bytes);
            let drawn = model.draw(&features, &Uniforms::same(0.1)).to_array();
            assert_eq!(drawn, [bin, 0.5, 0.0], "{features:?}");
        }
        assert_eq!(model.range(Feature::ActiveCalls), Range::new(0.0, 100.0));
        assert_eq!(model.range(Feature::RequestBytes), Range::new(5.0, 2000.0));
        assert_eq!(model.range(Feature::WorkerCpuCores), None);
    }

    #[test]
    fn each_result_is_drawn_at_its_own_uniform_number() {
        let model = quantiles(
            r#""levels": [0, 0.5, 1], "runtime_ns": [[1e6, 4e6, 64e6]],
               "cpu_cores": [[0.25, 0.5, 1]], "ram_bytes": 8e6"#,
        )
        .unwrap();
        let uniforms = Uniforms { run_time: 0.75, cpu: 0.25, ram: 0.1 };
        let [runtime, cpu, ram] = model.draw(&[f64::NAN; 5], &uniforms).to_array();
        assert!((runtime - 16e6).abs() < 1e-6 && (cpu - 0.125_f64.sqrt()).abs() < 1e-12);
        assert_eq!(ram, 8e6);
        // (4 - 1) / ln 4 / 2 + (64 - 4) / ln 16 / 2, and (0.5 - 0.25) / ln 2 / 2 + (1 - 0.5) / ln 2 / 2
        let [runtime, cpu, ram] = model.predict(&[0.0; 5]).to_array();
        let expected = 1e6 * (1.5 / 4.0_f64.ln() + 30.0 / 16.0_f64.ln());
        assert!((runtime - expected).abs() < 1e-6 * expected, "{runtime}");
        assert!((cpu - 0.375 / 2.0_f64.ln()).abs() < 1e-9, "{cpu}");
        assert_eq!(ram, 8e6);
    }

    #[test]
    fn a_bad_number_is_refused_with_its_path() {
        let one =
            |levels: &str, runtime: &str| format!(r#""levels": {levels}, "runtime_ns": {runtime}"#);
        let bins = |features: &str, bins: &str| {
            format!(r#""features": {features}, "bins": {bins}, {}"#, one("[0, 1]", "[[1, 2]]"))
        };
        for (fields, expected) in [
            (one("[0.5]", "[[1]]"), "levels: found 1 levels, expected 2 to 1000"),
            (one("[0.5, 1.5]", "[[1, 2]]"), "levels[1]: found 1.5, expected a level from 0 to 1"),
            (
                one("[0.1, 0.9, 0.5]", "[[1, 2, 3]]"),
                "levels[2]: found 0.5 behind 0.9, expected ascending levels",
            ),
            (
                one("[0.1, 0.9]", "[[1, 2], [1, 2]]"),
                "runtime_ns: found 2 lists of quantiles, expected 1, one for each bin",
            ),
            (
                one("[0.1, 0.9]", "[[1, 2, 3]]"),
                "runtime_ns[0]: found 3 quantiles, expected 2, one for each level",
            ),
            (
                one("[0.1, 0.9]", "[[3, 2]]"),
                "runtime_ns[0][1]: found 2 behind 3, expected quantiles that do not decrease",
            ),
            (one("[0.1, 0.9]", "[[0, 2]]"), "runtime_ns[0][0]: found 0, expected more than 0"),
            (one("[0.1, 0.9]", "[[1, 1e101]]"), "runtime_ns[0][1]: found 1e101, expected at most"),
            (one("[0.1, 0.9]", "7"), "runtime_ns: found integer '7', expected a list"),
            (
                one("[0.1, 0.9]", r#"[[1, 2]], "cpu_cores": [[1, -2]]"#),
                "cpu_cores[0][1]: found -2, expected more than 0",
            ),
            (
                one("[0.1, 0.9]", r#"[[1, 2]], "cpu_cores": -2"#),
                "cpu_cores: found -2, expected 0 or more",
            ),
            (
                one("[0.1, 0.9]", r#"[[1, 2]], "ram_bytes": "8 MB""#),
                "ram_bytes: found string \"8 MB\", expected a number or a list of lists",
            ),
            (
                one("[0.1, 0.9]", r#"[[1, 2]], "ram_bytes": null"#),
                "ram_bytes: found null, expected a number or a list of lists",
            ),
            (bins("[]", "[]"), "features: the list of features is empty"),
            (
                bins(r#"["active_calls"]"#, "[[0, 1], [0, 1]]"),
                "bins: found 2 lists of edges, expected 1, one for each feature",
            ),
            (bins(r#"["active_calls"]"#, "[[7]]"), "bins[0]: found 1 edges, expected at least 2"),
            (
                bins(r#"["active_calls"]"#, "[[0, 2, 2]]"),
                "bins[0][2]: found 2 behind 2, expected ascending edges",
            ),
            (
                bins(r#"["active_calls", "request_bytes", "worker_cpu_cores"]"#, "[]"),
                "features: found 3 features, expected at most 2",
            ),
            (
                format!(r#""bins": [[0, 1]], {}"#, one("[0, 1]", "[[1, 2]]")),
                ": 'features' and 'bins' are given together",
            ),
            (r#""levels": [0, 1]"#.to_owned(), ": the field 'runtime_ns' is missing"),
        ] {
            let refusal = refusal(&fields);
            assert!(refusal.starts_with(expected), "{fields}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn a_draw_is_finite_and_around_its_quantiles_for_any_features(
            mut list in prop::collection::vec(prop_oneof![1e-3..1e12_f64, Just(1e100), Just(5e-324)], 3),
            features in prop::array::uniform5(any::<f64>()),
            uniforms in prop::array::uniform3(any::<f64>()),
        ) {
            list.sort_by(f64::total_cmp);
            let [low, _, high] = list[..] else { panic!("{list:?}") };
            let model = quantiles(&format!(r#""levels": [0.1, 0.5, 0.9], "runtime_ns": [{list:?}]"#));
            let model = model.unwrap();
            let [run_time, cpu, ram] = uniforms;
            let drawn = model.draw(&features, &Uniforms { run_time, cpu, ram }).runtime_ns;
            let mean = model.predict(&features).runtime_ns;
            for number in [drawn, mean] {
                prop_assert!((0.0..=high * 1.1e6).contains(&number), "{number} of {list:?}");
            }
            prop_assert!(mean >= low * 0.4, "{mean} of {list:?}");
        }
    }
}
