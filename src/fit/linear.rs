//! A baseline: the logarithms as a sum of the features, each times a number.

use hyperfake_predictor::Output;

use super::{
    samples::Samples,
    score::{Forecast, LEVELS, Quantiles, quantile},
};

/// Fitted by least squares, with the same distribution around each of its answers.
#[derive(Debug)]
pub(super) struct Linear([Option<Line>; 3]);

#[derive(Debug)]
struct Line {
    /// The intercept, then one for each column over its range.
    coefficients: Vec<f64>,
    /// The quantiles of what is left over.
    rest: Quantiles,
}

impl Linear {
    pub(super) fn fit(samples: &Samples, rows: &[usize]) -> Self {
        Self(samples.targets.each_ref().map(|target| {
            let logs = target.logs()?;
            let rows: Vec<_> = rows.iter().copied().filter(|row| !logs[*row].is_nan()).collect();
            let coefficients = least_squares(samples, &rows, logs);
            let mut rest: Vec<f64> =
                rows.iter().map(|row| logs[*row] - at(samples, *row, &coefficients)).collect();
            rest.sort_by(f64::total_cmp);
            let rest = if rest.is_empty() {
                [0.0; LEVELS.len()]
            } else {
                LEVELS.map(|level| quantile(&rest, level))
            };
            Some(Line { coefficients, rest })
        }))
    }
}

impl Forecast for Linear {
    fn quantiles(&self, samples: &Samples, row: usize, output: Output) -> Quantiles {
        match &self.0[output as usize] {
            Some(line) => line.rest.map(|rest| at(samples, row, &line.coefficients) + rest),
            None => [f64::NAN; LEVELS.len()],
        }
    }
}

fn terms(samples: &Samples, row: usize) -> impl Iterator<Item = f64> {
    let scaled = samples.columns.iter().map(move |column| {
        let (low, high) = (column.range.low(), column.range.high());
        (column.values[row] - low) / (high - low)
    });
    std::iter::once(1.0).chain(scaled)
}

fn at(samples: &Samples, row: usize, coefficients: &[f64]) -> f64 {
    terms(samples, row).zip(coefficients).map(|(term, number)| term * number).sum()
}

/// By the normal equations, with a little on their diagonal: features may say the same.
fn least_squares(samples: &Samples, rows: &[usize], logs: &[f64]) -> Vec<f64> {
    const RIDGE: f64 = 1e-6;
    let size = samples.columns.len() + 1;
    let mut matrix = vec![vec![0.0; size + 1]; size];
    for row in rows {
        let terms: Vec<f64> = terms(samples, *row).collect();
        for (line, left) in matrix.iter_mut().zip(&terms) {
            for (sum, right) in line.iter_mut().zip(terms.iter().chain([&logs[*row]])) {
                *sum += left * right;
            }
        }
    }
    for (index, line) in matrix.iter_mut().enumerate() {
        line[index] += RIDGE * rows.len() as f64;
    }
    // Gauss; the matrix is positive definite, so no pivot is zero.
    for pivot in 0..size {
        let line = matrix[pivot].clone();
        for (index, other) in matrix.iter_mut().enumerate() {
            if index != pivot && line[pivot] != 0.0 {
                let factor = other[pivot] / line[pivot];
                other.iter_mut().zip(&line).for_each(|(number, part)| *number -= factor * part);
            }
        }
    }
    let solution = matrix.iter().enumerate().map(|(index, line)| line[size] / line[index]);
    solution.map(|number| if number.is_finite() { number } else { 0.0 }).collect()
}
