//! The rows of a table.

use hyperfake_predictor::{Feature, Output};

use crate::document::{Amount, List, Problem};

/// The rows as they are in the file.
pub(crate) type Rows = List<List<Amount>>;

/// A row of the file.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) point: [f64; 5],
    pub(crate) result: [f64; 3],
    /// Its place in the file, counted from 0.
    pub(crate) index: usize,
}

impl Row {
    /// The rows, sorted by their features, which differ.
    pub(crate) fn sorted(List(list): &Rows, inputs: &[Feature]) -> Result<Vec<Self>, Problem> {
        if list.is_empty() {
            return Err(Problem::new("rows", "the table has no rows"));
        }
        let mut rows = Vec::with_capacity(list.len());
        for (index, List(numbers)) in list.iter().enumerate() {
            rows.push(Self::read(index, numbers, inputs)?);
        }
        // Stable, so that of two equal rows the second is the one that is later in the file.
        rows.sort_by(|a, b| a.point.partial_cmp(&b.point).unwrap_or(std::cmp::Ordering::Equal));
        match rows.array_windows().find(|[first, second]| first.point == second.point) {
            Some([first, second]) => Err(Problem::new(
                format!("rows[{}]", second.index),
                format!("the row has the same features as rows[{}]", first.index),
            )),
            None => Ok(rows),
        }
    }

    fn read(index: usize, numbers: &[Amount], inputs: &[Feature]) -> Result<Self, Problem> {
        let (count, columns) = (numbers.len(), inputs.len() + Output::ALL.len());
        if count != columns {
            let names: Vec<_> = inputs.iter().map(|feature| feature.name()).collect();
            let message = format!(
                "found {count} numbers in the row, expected {columns}: {}, {}",
                names.join(", "),
                Output::ALL.map(Output::name).join(", "),
            );
            return Err(Problem::new(format!("rows[{index}]"), message));
        }
        let mut row = Self { point: [0.0; 5], result: [0.0; 3], index };
        for (feature, Amount(value)) in inputs.iter().zip(numbers) {
            row.point[*feature as usize] = *value;
        }
        for (result, Amount(value)) in row.result.iter_mut().zip(&numbers[inputs.len()..]) {
            *result = *value;
        }
        Ok(row)
    }
}

/// The lowest and the highest value of each column.
#[derive(Debug)]
pub(crate) struct Bounds<const N: usize> {
    pub(crate) low: [f64; N],
    pub(crate) high: [f64; N],
}

impl<const N: usize> Bounds<N> {
    pub(crate) fn of(rows: impl Iterator<Item = [f64; N]>) -> Self {
        let mut bounds = Self { low: [f64::INFINITY; N], high: [f64::NEG_INFINITY; N] };
        for row in rows {
            for (column, value) in row.into_iter().enumerate() {
                bounds.low[column] = bounds.low[column].min(value);
                bounds.high[column] = bounds.high[column].max(value);
            }
        }
        bounds
    }

    pub(crate) fn clamp(&self, values: &[f64; N]) -> [f64; N] {
        // Unlike `clamp`, `max` turns NaN into the other number.
        std::array::from_fn(|column| values[column].max(self.low[column]).min(self.high[column]))
    }

    /// Each column of a point within the bounds as a share of the column's range, from 0 to 1:
    /// otherwise bytes would dominate the other columns in a distance.
    pub(crate) fn scale(&self, point: &[f64; N]) -> [f64; N] {
        std::array::from_fn(|column| match self.high[column] - self.low[column] {
            0.0 => 0.0,
            width => (point[column] - self.low[column]) / width,
        })
    }
}
