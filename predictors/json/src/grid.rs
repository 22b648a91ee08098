//! Rows on a complete rectangular grid, and multilinear interpolation between them.

use hyperfake_predictor::Feature;

use crate::{document::Problem, rows::Row};

/// Results at all combinations of the axes' values.
#[derive(Debug)]
pub(crate) struct Grid {
    /// The columns with more than one value; at most five.
    axes: Vec<Axis>,
    /// The last axis varies fastest.
    results: Vec<[f64; 3]>,
}

#[derive(Debug)]
struct Axis {
    feature: Feature,
    /// Ascending.
    values: Vec<f64>,
    /// From one value to the next in `results`.
    stride: usize,
}

impl Grid {
    /// `rows` are sorted and differ.
    pub(crate) fn new(rows: &[Row], inputs: &[Feature]) -> Result<Self, Problem> {
        let axes = axes(rows);
        // Sorted rows that fill a grid come in the order of the grid's points, so the first row
        // that is not the point it should be shows which one is missing.
        let size = axes.iter().fold(1usize, |size, axis| size.saturating_mul(axis.values.len()));
        let is_missing = |index: &usize| {
            let point = grid_point(&axes, *index);
            rows.get(*index).is_none_or(|row| row.point != point)
        };
        if let Some(missing) = (0..size).find(is_missing) {
            let point = grid_point(&axes, missing);
            let point: Vec<_> =
                inputs.iter().map(|input| format!("{input} {}", point[*input as usize])).collect();
            let message = format!(
                "the interpolation 'linear' needs every combination of the features' values, and \
                 there is no row for {}",
                point.join(", ")
            );
            return Err(Problem::new("rows", message));
        }
        Ok(Self {
            axes: axes.into_iter().filter(|axis| axis.values.len() > 1).collect(),
            results: rows.iter().map(|row| row.result).collect(),
        })
    }

    /// The answer at a point within the grid.
    pub(crate) fn interpolate(&self, point: &[f64; 5]) -> [f64; 3] {
        // The corners of the cell around the point, and the weight of each. An axis doubles them,
        // unless the point is on one of its values, so that a point of the grid is hit exactly.
        let mut corners = [(0, 1.0); 32];
        let mut count = 1;
        for axis in &self.axes {
            let (index, share) = axis.locate(point[axis.feature as usize]);
            let (near, far) = corners.split_at_mut(count);
            for (near, far) in near.iter_mut().zip(far) {
                near.0 += index * axis.stride;
                *far = (near.0 + axis.stride, near.1 * share);
                near.1 *= 1.0 - share;
            }
            if share > 0.0 {
                count *= 2;
            }
        }
        let mut sums = [0.0; 3];
        for (index, weight) in &corners[..count] {
            for (sum, value) in sums.iter_mut().zip(self.results[*index]) {
                *sum += weight * value;
            }
        }
        sums
    }
}

impl Axis {
    /// The last value that is not above this one, and how far it is to the next, from 0 to 1.
    fn locate(&self, value: f64) -> (usize, f64) {
        let above = self.values.partition_point(|known| *known <= value);
        let index = above.saturating_sub(1);
        match (self.values.get(index), self.values.get(above)) {
            (Some(low), Some(high)) if low < high => (index, (value - low) / (high - low)),
            _ => (index, 0.0),
        }
    }
}

/// All five axes, with the different values of each column.
fn axes(rows: &[Row]) -> Vec<Axis> {
    let mut stride = 1usize;
    let mut axes: Vec<_> = Feature::ALL
        .into_iter()
        .rev()
        .map(|feature| {
            let mut values: Vec<_> = rows.iter().map(|row| row.point[feature as usize]).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            let axis = Axis { feature, stride, values };
            stride = stride.saturating_mul(axis.values.len());
            axis
        })
        .collect();
    axes.reverse();
    axes
}

fn grid_point(axes: &[Axis], index: usize) -> [f64; 5] {
    let mut point = [0.0; 5];
    for axis in axes {
        point[axis.feature as usize] = axis.values[index / axis.stride % axis.values.len()];
    }
    point
}
