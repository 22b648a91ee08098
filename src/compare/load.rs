//! How much a function had to do when a call came in.

use super::run::Call;

/// Ranges of the load that have about as many real calls each; fewer than were asked for where many calls
/// met the same load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Regimes {
    /// The greatest load of each but the last.
    edges: Vec<f64>,
}

impl Regimes {
    /// So many of the loads of real calls.
    pub(super) fn of(loads: &[f64], parts: usize) -> Self {
        let mut sorted = loads.to_vec();
        sorted.sort_by(f64::total_cmp);
        let most = sorted.last().copied().unwrap_or(0.0);
        let edge =
            |part: usize| sorted.get((part * sorted.len()).div_ceil(parts).saturating_sub(1));
        let edges = (1..parts).filter_map(edge).copied();
        let mut edges: Vec<f64> = edges.filter(|edge| *edge < most).collect();
        edges.dedup();
        Self { edges }
    }

    pub(super) fn count(&self) -> usize {
        self.edges.len() + 1
    }

    /// Which one a load belongs to.
    pub(super) fn index(&self, load: f64) -> usize {
        self.edges.partition_point(|edge| load > *edge)
    }

    /// The loads of one: above the first number, up to the second; nothing is without end.
    pub(super) fn bounds(&self, index: usize) -> (Option<f64>, Option<f64>) {
        let above = index.checked_sub(1).and_then(|before| self.edges.get(before));
        (above.copied(), self.edges.get(index).copied())
    }
}

/// What each of a function's calls met: the calls of the function that were running. If the record does
/// not say so of every call, those that had come in and had not ended.
pub(super) fn loads(calls: &[Call], as_recorded: bool) -> Vec<f64> {
    if as_recorded {
        return calls.iter().map(Call::active_calls).collect();
    }
    let mut ends: Vec<u64> = calls.iter().map(Call::end).collect();
    ends.sort_unstable();
    let mut ended = 0;
    let before = |(came, call): (usize, &Call)| {
        while ends.get(ended).is_some_and(|end| *end <= call.arrival) {
            ended += 1;
        }
        came.saturating_sub(ended) as f64
    };
    calls.iter().enumerate().map(before).collect()
}

/// Whether the record says how many calls were running, of each call that counts.
pub(super) fn is_recorded(calls: &[Call]) -> bool {
    calls.iter().filter(|call| call.counts()).all(|call| !call.active_calls().is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{By, Run},
        record::Row,
    };

    #[test]
    fn regimes_have_as_many_calls_as_equal_loads_allow() {
        let regimes = Regimes::of(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 3);
        assert_eq!(regimes, Regimes { edges: vec![1.0, 3.0] });
        let found: Vec<_> = [0.0, 1.0, 1.5, 3.0, 4.0, 99.0].map(|load| regimes.index(load)).into();
        assert_eq!(found, [0, 0, 1, 1, 2, 2]);
        assert_eq!(regimes.bounds(0), (None, Some(1.0)));
        assert_eq!(regimes.bounds(2), (Some(3.0), None));
        assert_eq!(Regimes::of(&[0.0, 0.0, 0.0, 1.0], 3).edges, [0.0]);
        assert_eq!(Regimes::of(&[7.0; 9], 3).count(), 1);
        assert_eq!(Regimes::of(&[], 3).count(), 1);
    }

    #[test]
    fn without_the_feature_the_load_is_made_from_overlaps() {
        let row = |arrival_unix_ns, run| Row {
            arrival_unix_ns,
            run_ns: Some(run),
            outcome: "OK".into(),
            ..Row::default()
        };
        let rows = [row(0, 10), row(1, 2), row(2, 100), row(3, 1), row(10, 1), row(200, 1)];
        let mut run = Run::of("r", &rows).unwrap();
        let calls = run.take_functions(By::Image).pop_first().unwrap().1;
        assert!(!is_recorded(&calls));
        assert_eq!(loads(&calls, false), [0.0, 1.0, 2.0, 2.0, 1.0, 0.0]);
    }
}
