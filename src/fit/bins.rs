//! A table of quantiles while it is fitted: logarithms of quantiles, in bins of up to two features.

use hyperfake_predictor::{Feature, Output};

use super::{
    calibration::Shifts,
    samples::{Column, Samples, Target},
    score::{self, Forecast, LEVELS, MEDIAN, Quantiles, quantile},
    table::{QuantileTable, Spread},
};

/// What is fitted: which features choose a bin, and how much a bin trusts itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Structure {
    /// The place of each feature among the columns, and how many bins it has at most.
    pub(super) axes: Vec<(usize, usize)>,
    /// As many calls of its own weigh as much in a bin as the shape that all bins share.
    pub(super) shrink: f64,
}

/// The fewest calls in a bin of one feature.
const LEAST_IN_BIN: usize = 15;

/// Fewer calls than these have no quantiles.
const LEAST_FOR_QUANTILES: usize = 8;

/// A median of so many calls weighs as much as what the bins beside it say.
const MEDIAN_SHRINK: f64 = 3.0;

/// The levels between which the spread of numbers is taken: most numbers, and no tails.
const SPREAD: [f64; 2] = [0.15, 0.85];

/// A spread below this, of logarithms, is none.
const NO_SPREAD: f64 = 1e-9;

/// The fitted bins.
#[derive(Debug, Clone)]
pub(super) struct Bins {
    axes: Vec<Axis>,
    /// For each output and bin; the same for each call where it is nothing.
    quantiles: [Option<Vec<Quantiles>>; 3],
}

#[derive(Debug, Clone)]
struct Axis {
    column: usize,
    feature: Feature,
    edges: Vec<f64>,
    stride: usize,
}

impl Axis {
    fn bins(&self) -> usize {
        self.edges.len() - 1
    }

    /// As the backend does.
    fn find(&self, value: f64) -> usize {
        let above = self.edges.partition_point(|edge| *edge <= value);
        above.saturating_sub(1).min(self.bins() - 1)
    }
}

impl Bins {
    /// Fits the bins to some of the calls.
    pub(super) fn fit(samples: &Samples, rows: &[usize], structure: &Structure) -> Self {
        let mut axes = Vec::new();
        let mut stride = 1;
        for (column, bins) in structure.axes.iter().rev() {
            let edges = edges(&samples.columns[*column], rows, *bins);
            let feature = samples.columns[*column].feature;
            let axis = Axis { column: *column, feature, edges, stride };
            stride *= axis.bins();
            axes.push(axis);
        }
        axes.reverse();
        let bin = |row: usize| bin(&axes, samples, row);
        let quantiles = samples.targets.each_ref().map(|target| {
            let logs = target.logs()?;
            let mut cells = vec![Vec::new(); stride];
            for row in rows.iter().copied().filter(|row| !logs[*row].is_nan()) {
                cells[bin(row)].push(logs[row]);
            }
            Some(shrunk(cells, &axes, structure.shrink))
        });
        Self { axes, quantiles }
    }

    /// The model file. `shifts` are added to the logarithms.
    pub(super) fn table(&self, samples: &Samples, shifts: &Shifts) -> QuantileTable {
        let spread = |output: Output| match (
            &samples.targets[output as usize],
            &self.quantiles[output as usize],
        ) {
            (Target::Same(number), _) => Spread::Same(*number),
            (_, None) => Spread::Same(0.0),
            (_, Some(bins)) => {
                let bins = bins.iter().map(|logs| {
                    let mut logs = shifts.applied(output, logs);
                    score::ascend(&mut logs);
                    logs.iter().map(|log| libm::exp(*log)).collect()
                });
                Spread::Bins(bins.collect())
            }
        };
        let bins = self.axes.iter().map(Axis::bins).product();
        let mut table = QuantileTable::new(LEVELS.to_vec());
        table.features = self.axes.iter().map(|axis| axis.feature).collect();
        table.edges = self.axes.iter().map(|axis| axis.edges.clone()).collect();
        table.runtime_ns = match spread(Output::RuntimeNs) {
            Spread::Bins(bins) => bins,
            // Calls that all take no time take the least time that there is.
            Spread::Same(number) => vec![vec![number.max(1.0); LEVELS.len()]; bins],
        };
        table.cpu_cores = spread(Output::CpuCores);
        table.ram_bytes = spread(Output::RamBytes);
        table
    }
}

impl Forecast for Bins {
    fn quantiles(&self, samples: &Samples, row: usize, output: Output) -> Quantiles {
        match &self.quantiles[output as usize] {
            Some(bins) => bins[bin(&self.axes, samples, row)],
            None => [f64::NAN; LEVELS.len()],
        }
    }
}

fn bin(axes: &[Axis], samples: &Samples, row: usize) -> usize {
    axes.iter().map(|axis| axis.stride * axis.find(samples.columns[axis.column].values[row])).sum()
}

/// Edges such that the bins have as many calls each, as far as calls with the same value allow; with few
/// different values, one bin each.
fn edges(column: &Column, rows: &[usize], bins: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = rows.iter().map(|row| column.values[*row]).collect();
    sorted.sort_by(f64::total_cmp);
    let runs: Vec<&[f64]> = sorted.chunk_by(|left, right| left == right).collect();
    let enough = match runs.len() <= bins {
        true => LEAST_IN_BIN,
        false => (sorted.len() / bins).max(LEAST_IN_BIN),
    };
    let mut edges = vec![column.range.low()];
    let (mut inside, mut behind) = (0, sorted.len());
    for pair in runs.windows(2) {
        inside += pair[0].len();
        behind -= pair[0].len();
        let edge = pair[0][0].midpoint(pair[1][0]);
        // What is left over must be worth a bin, too.
        if inside >= enough
            && behind >= enough.div_ceil(2)
            && edges.last().is_some_and(|last| *last < edge)
            && edge < column.range.high()
        {
            edges.push(edge);
            inside = 0;
        }
    }
    edges.push(column.range.high());
    edges
}

/// The quantiles of each cell. A cell has a median and a spread of its own, which lean on those of the
/// cells beside it; and it leans on the shape that all cells share, the more the fewer calls it has, and
/// more at the ends than in the middle.
fn shrunk(mut cells: Vec<Vec<f64>>, axes: &[Axis], shrink: f64) -> Vec<Quantiles> {
    cells.iter_mut().for_each(|cell| cell.sort_by(f64::total_cmp));
    let centres = centres(&cells, axes);
    let spreads = spreads(&cells, 3.0 * shrink);
    let mut shape: Vec<f64> = Vec::new();
    for ((cell, centre), spread) in cells.iter().zip(&centres).zip(&spreads) {
        shape.extend(cell.iter().map(|log| (log - centre) / spread));
    }
    shape.sort_by(f64::total_cmp);
    if shape.is_empty() {
        return vec![[0.0; LEVELS.len()]; cells.len()];
    }
    let shape = LEVELS.map(|level| quantile(&shape, level));
    let one = |((cell, centre), spread): ((&Vec<f64>, &f64), &f64)| {
        let mut quantiles: Quantiles = std::array::from_fn(|index| {
            let shared = centre + spread * (shape[index] - shape[MEDIAN]);
            if cell.len() < LEAST_FOR_QUANTILES {
                return shared;
            }
            let tail = 2.0 * LEVELS[index].min(1.0 - LEVELS[index]);
            let own = cell.len() as f64 * tail;
            let own = own / (own + shrink);
            own * quantile(cell, LEVELS[index]) + (1.0 - own) * shared
        });
        score::ascend(&mut quantiles);
        quantiles
    };
    cells.iter().zip(&centres).zip(&spreads).map(one).collect()
}

/// The medians, which lean on those of all calls in the same bin of the one and of the other feature.
fn centres(cells: &[Vec<f64>], axes: &[Axis]) -> Vec<f64> {
    let median_of = |chosen: &dyn Fn(usize) -> bool| {
        let inside = cells.iter().enumerate().filter(|(index, _)| chosen(*index));
        let mut all: Vec<f64> = inside.flat_map(|(_, cell)| cell).copied().collect();
        all.sort_by(f64::total_cmp);
        (!all.is_empty()).then(|| quantile(&all, 0.5))
    };
    let root = median_of(&|_| true).unwrap_or(0.0);
    let place = |axis: &Axis, index: usize| index / axis.stride % axis.bins();
    // How far the median in each bin of each feature is from that of all.
    let effects: Vec<Vec<f64>> = match axes {
        [_, _] => axes
            .iter()
            .map(|axis| {
                let bins = 0..axis.bins();
                bins.map(|bin| {
                    median_of(&|index| place(axis, index) == bin).map_or(0.0, |m| m - root)
                })
                .collect()
            })
            .collect(),
        _ => Vec::new(),
    };
    let centre = |(index, cell): (usize, &Vec<f64>)| {
        let beside = axes.iter().zip(&effects).map(|(axis, bins)| bins[place(axis, index)]);
        let beside = root + beside.sum::<f64>();
        let count = cell.len() as f64;
        let own = if cell.is_empty() { 0.0 } else { quantile(cell, 0.5) };
        (count * own + MEDIAN_SHRINK * beside) / (count + MEDIAN_SHRINK)
    };
    cells.iter().enumerate().map(centre).collect()
}

/// The spreads, which lean on that of all calls around the medians of their cells.
fn spreads(cells: &[Vec<f64>], shrink: f64) -> Vec<f64> {
    let between = |sorted: &[f64]| quantile(sorted, SPREAD[1]) - quantile(sorted, SPREAD[0]);
    let mut all: Vec<f64> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.len() >= LEAST_FOR_QUANTILES) {
        let median = quantile(cell, 0.5);
        all.extend(cell.iter().map(|log| log - median));
    }
    all.sort_by(f64::total_cmp);
    let shared = if all.is_empty() { NO_SPREAD } else { between(&all).max(NO_SPREAD) };
    let spread = |cell: &Vec<f64>| {
        if cell.len() < LEAST_FOR_QUANTILES {
            return shared;
        }
        let own = libm::log(between(cell).max(0.1 * shared));
        let count = cell.len() as f64;
        libm::exp((count * own + shrink * libm::log(shared)) / (count + shrink))
    };
    cells.iter().map(spread).collect()
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::{Random, Range, normal};

    use super::*;

    fn column(values: Vec<f64>) -> Column {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        let range = Range::new(low, high).unwrap();
        Column { feature: Feature::ActiveCalls, values, range }
    }

    fn edges_of(values: Vec<f64>, bins: usize) -> Vec<f64> {
        let rows: Vec<_> = (0..values.len()).collect();
        edges(&column(values), &rows, bins)
    }

    #[test]
    fn few_values_have_a_bin_each_and_many_are_shared_out() {
        let few = [0.0, 1.0, 5.0].iter().flat_map(|value| [*value; 20]).collect();
        assert_eq!(edges_of(few, 8), [0.0, 0.5, 3.0, 5.0]);
        // Two calls with 5 are no bin of their own.
        let few = [[0.0; 20], [1.0; 20]].concat().into_iter().chain([5.0; 2]).collect();
        assert_eq!(edges_of(few, 8), [0.0, 0.5, 5.0]);
        let many: Vec<_> = (0..400).map(f64::from).collect();
        assert_eq!(edges_of(many, 4), [0.0, 99.5, 199.5, 299.5, 399.0]);
        // Half of the calls have the same value.
        let many = (0..400).map(|n| f64::from((n - 200_i32).max(0))).collect();
        assert_eq!(edges_of(many, 4), [0.0, 0.5, 100.5, 199.0]);
    }

    #[test]
    fn a_cell_with_few_calls_leans_on_the_shape_of_all() {
        let mut random = Random::new(1, 0);
        let axis = Axis {
            column: 0,
            feature: Feature::ActiveCalls,
            edges: vec![0.0, 1.0, 2.0, 3.0],
            stride: 1,
        };
        let mut draws = |count: usize, centre: f64| {
            (0..count).map(|_| centre + 0.5 * normal::quantile(random.fraction())).collect()
        };
        let cells = vec![draws(20_000, 1.0), draws(20_000, 3.0), draws(40, 5.0)];
        let quantiles = shrunk(cells, &[axis], 50.0);
        let expected = |level: usize, centre: f64| centre + 0.5 * normal::quantile(LEVELS[level]);
        for level in [1, 4, MEDIAN, 16, 19] {
            for (cell, centre) in [(0, 1.0), (1, 3.0)] {
                let found = quantiles[cell][level];
                assert!((found - expected(level, centre)).abs() < 0.05, "{cell} {level}: {found}");
            }
            // Its median is known to 0.1; the tails would not be known at all.
            let found = quantiles[2][level] - quantiles[2][MEDIAN];
            assert!((found - expected(level, 0.0)).abs() < 0.25, "{level}: {found}");
        }
    }

    #[test]
    fn an_empty_cell_is_where_both_features_say_it_is() {
        let axis = |stride| Axis {
            column: 0,
            feature: Feature::ActiveCalls,
            edges: vec![0.0, 1.0, 2.0],
            stride,
        };
        let cells = vec![vec![0.0; 50], vec![1.0; 50], vec![2.0; 50], Vec::new()];
        let centres = centres(&cells, &[axis(2), axis(1)]);
        assert!(centres[3] > 1.5, "{centres:?}");
        let quantiles = shrunk(cells, &[axis(2), axis(1)], 50.0);
        assert!(quantiles.iter().flatten().all(|log| log.is_finite()));
    }
}
