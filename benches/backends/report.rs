//! Criterion's own report of the same: distributions, and what changed since the last run. It is
//! written to `criterion/report/index.html` in cargo's target folder.

use std::{hint::black_box, time::Duration};

use criterion::Criterion;
use hyperfake_predictor::Backends;

use crate::{
    forms::open,
    measure::time,
    network::CALLS,
    table::BATCHES,
    work::{Contestant, Way},
};

pub(crate) fn report(contestants: &[Contestant], backends: &Backends) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    let batches = BATCHES.map(|size| (format!("in batches of {size}"), Way::Batches(size)));
    for (name, way) in [("one by one".to_owned(), Way::OneByOne)].into_iter().chain(batches) {
        let mut group = criterion.benchmark_group(name);
        for contestant in contestants {
            let mut work = contestant.work(way);
            group.bench_function(contestant.name(), |bencher| {
                bencher.iter_custom(|iterations| {
                    let count = (iterations as usize).next_multiple_of(CALLS);
                    time(&mut work, count).mul_f64(iterations as f64 / count as f64)
                });
            });
        }
    }
    let mut group = criterion.benchmark_group("open again");
    for contestant in contestants {
        if let Some(uri) = &contestant.uri {
            group.bench_function(contestant.name(), |bencher| {
                bencher.iter(|| black_box(open(backends, uri)));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
