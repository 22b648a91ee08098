//! Rows anywhere in space: the nearest one, and a mean that weighs the nearer ones more.

use std::cmp::Ordering;

use crate::{
    document::Problem,
    rows::{Bounds, Row},
};

/// The most rows that are searched one by one in every prediction.
pub(crate) const MAX_ROWS: usize = 50_000;

/// Squares of distances up to this one count as none, so that its inverse is far from infinite.
/// A distance is a share of the table's range.
const SAME_POINT: f64 = 1e-200;

/// The rows of a table.
#[derive(Debug)]
pub(crate) struct Points {
    /// As in the file, sorted.
    rows: Vec<[f64; 5]>,
    /// Scaled. Two rows may become one point here.
    points: Vec<[f64; 5]>,
    results: Vec<[f64; 3]>,
}

impl Points {
    /// `rows` are sorted.
    pub(crate) fn new(rows: &[Row], bounds: &Bounds<5>) -> Result<Self, Problem> {
        if rows.len() > MAX_ROWS {
            let message = format!(
                "found {} rows, and every prediction searches them all, so {MAX_ROWS} is the most; \
                 a grid with the interpolation 'linear' may have more",
                rows.len()
            );
            return Err(Problem::new("rows", message));
        }
        Ok(Self {
            rows: rows.iter().map(|row| row.point).collect(),
            points: rows.iter().map(|row| bounds.scale(&row.point)).collect(),
            results: rows.iter().map(|row| row.result).collect(),
        })
    }

    /// The row with exactly these features, which are not scaled.
    pub(crate) fn row(&self, features: &[f64; 5]) -> Option<[f64; 3]> {
        let order = |row: &[f64; 5]| row.partial_cmp(features).unwrap_or(Ordering::Less);
        self.rows.binary_search_by(order).ok().map(|index| self.results[index])
    }

    /// The row with the smallest distance; the first of several.
    pub(crate) fn nearest(&self, at: &[f64; 5]) -> [f64; 3] {
        let mut nearest = ([0.0; 3], f64::INFINITY);
        for (point, result) in self.points.iter().zip(&self.results) {
            let distance = squared_distance(point, at);
            if distance < nearest.1 {
                nearest = (*result, distance);
            }
        }
        nearest.0
    }

    /// The mean of all rows, weighed by the inverse of the squared distance; a row that is as good
    /// as hit is the answer.
    pub(crate) fn mean(&self, at: &[f64; 5]) -> [f64; 3] {
        let mut sums = [0.0; 3];
        let mut weights = 0.0;
        for (point, result) in self.points.iter().zip(&self.results) {
            let distance = squared_distance(point, at);
            if distance <= SAME_POINT {
                return *result;
            }
            let weight = 1.0 / distance;
            weights += weight;
            for (sum, value) in sums.iter_mut().zip(result) {
                *sum += weight * value;
            }
        }
        sums.map(|sum| sum / weights)
    }
}

fn squared_distance(a: &[f64; 5], b: &[f64; 5]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
