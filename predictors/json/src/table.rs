//! The kind `table`.

use hyperfake_predictor::{Feature, Range};

use crate::{
    document::{Problem, short},
    grid::Grid,
    points::Points,
    rows::{Bounds, Row, Rows},
};

/// A lookup table.
///
/// Everything is kept in the order of [`Feature::ALL`]. A column that the table does not have is
/// 0 in every row, and the clamping sets it to 0 in every question.
#[derive(Debug)]
pub(crate) struct Table {
    features: Bounds<5>,
    results: Bounds<3>,
    lookup: Lookup,
}

/// How an answer is found between the rows.
#[derive(Debug)]
enum Lookup {
    Nearest(Points),
    Linear(Grid),
    InverseDistance(Points),
}

impl Table {
    /// From the rows, whose order has no meaning.
    pub(crate) fn new(
        rows: &Rows,
        interpolation: Option<&str>,
        inputs: &[Feature],
    ) -> Result<Self, Problem> {
        let rows = Row::sorted(rows, inputs)?;
        let features = Bounds::of(rows.iter().map(|row| row.point));
        let results = Bounds::of(rows.iter().map(|row| row.result));
        let lookup = match interpolation.unwrap_or("nearest") {
            "nearest" => Lookup::Nearest(Points::new(&rows, &features)?),
            "linear" => Lookup::Linear(Grid::new(&rows, inputs)?),
            "inverse-distance" => Lookup::InverseDistance(Points::new(&rows, &features)?),
            other => {
                let message = format!(
                    "found the interpolation '{}', expected nearest, linear or inverse-distance",
                    short(other)
                );
                return Err(Problem::new("interpolation", message));
            }
        };
        Ok(Self { features, results, lookup })
    }

    /// The values of a column.
    pub(crate) fn range(&self, column: Feature) -> Option<Range> {
        let column = column as usize;
        Range::new(self.features.low[column], self.features.high[column])
    }

    /// Outside the table the answer is that of the nearest point on its border: each feature is
    /// clamped to its range in the table. NaN counts as the lowest value.
    pub(crate) fn predict(&self, features: &[f64; 5]) -> [f64; 3] {
        let point = self.features.clamp(features);
        let result = match &self.lookup {
            Lookup::Nearest(points) => {
                points.row(&point).unwrap_or_else(|| points.nearest(&self.features.scale(&point)))
            }
            Lookup::Linear(grid) => grid.interpolate(&point),
            Lookup::InverseDistance(points) => {
                points.row(&point).unwrap_or_else(|| points.mean(&self.features.scale(&point)))
            }
        };
        // Rounding must not carry a mean out of what it is a mean of.
        self.results.clamp(&result)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{self, Model};

    const KINDS: [&str; 3] = ["nearest", "linear", "inverse-distance"];

    fn read(rows: &str, interpolation: &str) -> Result<Table, Problem> {
        let features = "\"active_calls\", \"request_bytes\"";
        let source = format!(
            r#"{{"kind": "table", "features": [{features}], "rows": {rows},
                 "interpolation": "{interpolation}"}}"#
        );
        match model::read(&source)?.remove(0).point() {
            Model::Table(table) => Ok(table),
            other => panic!("{other:?}"),
        }
    }

    fn table(rows: &[[f64; 5]], interpolation: &str) -> Table {
        read(&format!("{rows:?}"), interpolation).unwrap()
    }

    fn refusal(rows: &str, interpolation: &str) -> String {
        let problem = read(rows, interpolation).unwrap_err();
        format!("{}: {}", problem.place, problem.message)
    }

    /// A question with these two features; the others are not for the table.
    fn ask(table: &Table, [active_calls, request_bytes]: [f64; 2]) -> [f64; 3] {
        table.predict(&[request_bytes, 1e9, active_calls, 1e9, f64::NAN])
    }

    /// Four corners of a cell with a different result at each.
    const CELL: &str =
        "[[1, 0, 10, 1, 5], [3, 0, 30, 1, 5], [1, 1000, 50, 2, 5], [3, 1000, 90, 2, 5]]";

    #[test]
    fn each_interpolation_answers_a_question_between_the_rows_in_its_own_way() {
        for (interpolation, question, expected) in [
            ("nearest", [1.1, 400.0], [10.0, 1.0, 5.0]),
            ("nearest", [2.5, 600.0], [90.0, 2.0, 5.0]),
            ("linear", [2.0, 0.0], [20.0, 1.0, 5.0]),
            ("linear", [2.0, 500.0], [45.0, 1.5, 5.0]),
            ("linear", [1.5, 250.0], [26.25, 1.25, 5.0]),
            ("inverse-distance", [2.0, 500.0], [45.0, 1.5, 5.0]),
            // Squared distances 1/4, 1/4, 5/4, 5/4: the weights are as 5 to 1.
            ("inverse-distance", [2.0, 0.0], [28.333, 1.1667, 5.0]),
        ] {
            let found = ask(&read(CELL, interpolation).unwrap(), question);
            for (found, expected) in found.into_iter().zip(expected) {
                let close: bool = (found - expected).abs() < 1e-3;
                assert!(close, "{interpolation} {question:?}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn of_several_nearest_rows_the_one_with_the_smaller_features_answers() {
        for rows in ["[[1, 7, 10, 1, 1], [3, 7, 30, 1, 1]]", "[[3, 7, 30, 1, 1], [1, 7, 10, 1, 1]]"]
        {
            assert_eq!(ask(&read(rows, "nearest").unwrap(), [2.0, 7.0])[0], 10.0);
        }
    }

    #[test]
    fn outside_the_table_the_border_answers_and_nan_counts_as_the_lowest_value() {
        for interpolation in KINDS {
            let table = read(CELL, interpolation).unwrap();
            assert_eq!(ask(&table, [1e300, f64::INFINITY]), [90.0, 2.0, 5.0], "{interpolation}");
            assert_eq!(ask(&table, [-5.0, 1e4]), [50.0, 2.0, 5.0], "{interpolation}");
            assert_eq!(ask(&table, [3.0, f64::NAN]), [30.0, 1.0, 5.0], "{interpolation}");
        }
    }

    #[test]
    fn a_table_of_one_row_answers_with_it() {
        for interpolation in KINDS {
            let table = read("[[4, 5, 10, 1, 2]]", interpolation).unwrap();
            assert_eq!(ask(&table, [9.0, 0.0]), [10.0, 1.0, 2.0]);
        }
    }

    #[test]
    fn features_of_extreme_size_do_not_break_the_arithmetic() {
        let rows = "[[0, 0, 1, 1, 1], [5e-324, 1.7e308, 1.7e308, 2, 2], \
                    [0, 1.7e308, 3, 3, 3], [5e-324, 0, 4, 4, 4]]";
        for interpolation in KINDS {
            let table = read(rows, interpolation).unwrap();
            for question in [[0.0, 1e-300], [2e-324, 8e307], [5e-324, 1.6e308], [0.0, 1.0]] {
                let found = ask(&table, question);
                assert!(found.iter().all(|value| value.is_finite()), "{interpolation} {found:?}");
            }
        }
    }

    #[test]
    fn a_bad_row_is_refused_with_its_path() {
        for (rows, interpolation, expected) in [
            ("[]", "nearest", "rows: the table has no rows"),
            ("7", "nearest", "rows: found integer '7', expected a list"),
            ("[\n7]", "nearest", "rows[0]: found integer '7', expected a list"),
            (
                "[[1, 2, 3, 4, 5],\n\n[1, 2, 3, 4]]",
                "nearest",
                "rows[1]: found 4 numbers in the row, expected 5: active_calls, request_bytes, \
                 runtime_ns, cpu_cores, ram_bytes",
            ),
            ("[[1, 2, 3, 4, 5, 6]]", "nearest", "rows[0]: found 6 numbers in the row, expected 5"),
            ("[[1, 2, 3,\nnull, 5]]", "nearest", "rows[0][3]: found null, expected a number"),
            ("[[1,\n-2, 3, 4, 5]]", "nearest", "rows[0][1]: found -2, expected 0 or more"),
            ("[[1,\n1e999, 3, 4, 5]]", "nearest", "rows[0][1]: the number is too large"),
            (
                "[[0, 2, 3, 4, 5],\n[1, 2, 3, 4, 5],\n[-0, 2, 7, 4, 5]]",
                "inverse-distance",
                "rows[2]: the row has the same features as rows[0]",
            ),
            (
                "[[1, 10, 0, 0, 0], [2, 10, 0, 0, 0],\n[2, 20, 0, 0, 0]]",
                "linear",
                "rows: the interpolation 'linear' needs every combination of the features' \
                 values, and there is no row for active_calls 1, request_bytes 20",
            ),
            (CELL, "cubic", "interpolation: found the interpolation 'cubic', expected nearest"),
        ] {
            let refusal = refusal(rows, interpolation);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    }

    #[test]
    fn a_table_that_is_far_from_a_grid_is_refused_at_once() {
        let rows: Vec<_> = (0..20_000).map(f64::from).map(|i| [i, i, i, i, i]).collect();
        assert!(
            refusal(&format!("{rows:?}"), "linear").contains("active_calls 1, request_bytes 0")
        );
    }

    #[test]
    fn a_table_too_long_to_search_is_refused_unless_it_is_a_grid() {
        let rows: Vec<_> = (0..50_001).map(|i| [f64::from(i), 0.0, 1.0, 1.0, 1.0]).collect();
        let rows = format!("{rows:?}");
        assert!(refusal(&rows, "nearest").starts_with("rows: found 50001 rows"));
        assert!(read(&rows, "linear").is_ok());
    }

    /// Rows on a grid of which the values are given, with the results of a function.
    fn grid(
        calls: &[f64],
        bytes: &[f64],
        function: impl Fn(f64, f64) -> [f64; 3],
    ) -> Vec<[f64; 5]> {
        let pairs = bytes.iter().flat_map(|b| calls.iter().map(|c| (*c, *b)));
        pairs
            .map(|(calls, bytes)| {
                let [runtime, cpu, ram] = function(calls, bytes);
                [calls, bytes, runtime, cpu, ram]
            })
            .collect()
    }

    fn axis(max: f64) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::btree_set(0..1000u32, 1..6)
            .prop_map(move |values| values.into_iter().map(|v| f64::from(v) / 1e3 * max).collect())
    }

    fn rows() -> impl Strategy<Value = Vec<[f64; 5]>> {
        (axis(1e3), axis(1e9), prop::collection::vec(prop::array::uniform3(0.0..1e12f64), 25))
            .prop_map(|(calls, bytes, results)| {
                let mut rows = grid(&calls, &bytes, |_, _| [0.0; 3]);
                for (row, [runtime, cpu, ram]) in rows.iter_mut().zip(results) {
                    row[2..].copy_from_slice(&[runtime, cpu, ram]);
                }
                rows
            })
    }

    proptest! {
        #[test]
        fn linear_interpolation_reproduces_a_function_that_is_linear_in_each_feature(
            calls in axis(100.0), bytes in axis(1e6),
            share in prop::array::uniform2(0.0..=1.0f64),
            [a, b, c, d] in prop::array::uniform4(0.0..1e3f64),
        ) {
            let function = |x: f64, y: f64| [a + b * x + c * y + d * x * y, a + b * x, c * y];
            let table = table(&grid(&calls, &bytes, function), "linear");
            let between = |axis: &[f64], share: f64| {
                let (low, high) = (axis[0], axis[axis.len() - 1]);
                (low + share * (high - low)).min(high)
            };
            let question = [between(&calls, share[0]), between(&bytes, share[1])];
            let expected = function(question[0], question[1]);
            for (found, expected) in ask(&table, question).into_iter().zip(expected) {
                prop_assert!((found - expected).abs() <= 1e-9 * (1.0 + expected), "{found} {expected}");
            }
        }

        #[test]
        fn every_interpolation_answers_a_row_of_the_table_exactly(rows in rows()) {
            for interpolation in KINDS {
                let table = table(&rows, interpolation);
                for [calls, bytes, results @ ..] in &rows {
                    prop_assert_eq!(&ask(&table, [*calls, *bytes]), results);
                }
            }
        }

        #[test]
        fn no_answer_leaves_the_range_of_the_results(
            rows in rows(), question in prop::array::uniform2(any::<f64>()),
        ) {
            for interpolation in KINDS {
                let answer = ask(&table(&rows, interpolation), question);
                for (column, value) in answer.into_iter().enumerate() {
                    let values = || rows.iter().map(|row| row[column + 2]);
                    prop_assert!(values().any(|low| low <= value), "{}", value);
                    prop_assert!(values().any(|high| value <= high), "{}", value);
                }
            }
        }

        #[test]
        fn the_order_of_the_rows_has_no_meaning(
            (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            question in prop::array::uniform2(0.0..1e6f64),
        ) {
            for interpolation in KINDS {
                let answers = [&rows, &shuffled].map(|rows| ask(&table(rows, interpolation), question));
                prop_assert_eq!(answers[0], answers[1]);
            }
        }
    }
}
