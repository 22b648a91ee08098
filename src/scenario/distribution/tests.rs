use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::scenario::Seed;

fn ms(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds / 1000.0)
}

/// The mean of the quantiles of evenly spread numbers.
fn average(time: &Distribution, steps: u32) -> f64 {
    let at = |step| time.quantile((f64::from(step) + 0.5) / f64::from(steps));
    (0..steps).map(at).sum::<f64>() / f64::from(steps)
}

fn any() -> impl Strategy<Value = Distribution> {
    let knots = prop::collection::btree_map(0_u32..=1000, 1_u64..10_000_000_000, 2..6);
    let table = knots.prop_map(|knots| {
        let mut values: Vec<_> = knots.values().copied().collect();
        values.sort_unstable();
        let shares = knots.keys().map(|per_mille| f64::from(*per_mille) / 1000.0);
        let knots: Vec<_> = shares.zip(values.into_iter().map(Duration::from_nanos)).collect();
        Distribution::quantiles(&knots, None).unwrap()
    });
    let leaf = prop_oneof![
        (0_u64..10_000_000_000).prop_map(|ns| Distribution::fixed(Duration::from_nanos(ns))),
        (1_u64..10_000_000_000, 1.0..1000.0).prop_map(|(p50, ratio)| {
            let p50 = Duration::from_nanos(p50);
            Distribution::log_normal(p50, p50.mul_f64(ratio)).unwrap()
        }),
        table,
        prop::collection::vec(0.0..1e10, 1..50)
            .prop_map(|values| Distribution::measured(values).unwrap()),
    ];
    let mix = prop::collection::vec((0.01..10.0, leaf.clone()), 1..4);
    prop_oneof![4 => leaf, 1 => mix.prop_map(|parts| Distribution::mix(parts).unwrap())]
}

proptest! {
    #[test]
    fn a_larger_number_is_never_a_shorter_time(
        time in any(),
        mut numbers in prop::collection::vec(0.0..1.0, 2..20),
    ) {
        numbers.sort_by(f64::total_cmp);
        let values: Vec<_> = numbers.iter().map(|u| time.quantile(*u)).collect();
        for pair in values.windows(2) {
            // A quantile of a mixture is found to one part in 10^9.
            prop_assert!(pair[1] >= pair[0] * (1.0 - 3e-9), "{values:?}");
        }
        prop_assert!(values.iter().all(|value| *value >= 0.0 && !value.is_nan()), "{values:?}");
    }

    #[test]
    fn the_share_of_values_up_to_a_quantile_is_its_number(time in any(), u in 0.001..0.999) {
        let value = time.quantile(u);
        let below = time.cdf(value * (1.0 - 1e-6) - 1e-3);
        let up_to = time.cdf(value * (1.0 + 1e-6));
        prop_assert!(below <= u + 1e-6 && up_to >= u - 1e-6, "{below} <= {u} <= {up_to}");
    }

    #[test]
    fn any_quantiles_are_taken_or_refused(
        knots in prop::collection::vec((0.0..=1.0, 0_u64..u64::MAX), 0..6),
        mean in prop::option::of(0_u64..u64::MAX),
    ) {
        let knots: Vec<_> =
            knots.into_iter().map(|(u, ns)| (u, Duration::from_nanos(ns))).collect();
        if let Ok(time) = Distribution::quantiles(&knots, mean.map(Duration::from_nanos)) {
            for u in [0.0, 0.3, 0.999_999, 1.0] {
                prop_assert!(time.at(u) <= MAX);
            }
        }
    }
}

#[test]
fn two_percentiles_are_a_log_normal_distribution() {
    let time = Distribution::log_normal(ms(120.0), ms(900.0)).unwrap();
    assert_eq!((time.at(0.5), time.at(0.99)), (ms(120.0), ms(900.0)));
    // The sigma is ln(900 / 120) / 2.326, and its mean the median times exp(sigma^2 / 2).
    let sigma = (900.0_f64 / 120.0).ln() / 2.326_347_874;
    let mean = 120e6 * (sigma * sigma / 2.0).exp();
    assert!((time.mean() / mean - 1.0).abs() < 1e-8, "{}", time.mean());
    assert!((time.quantile(0.01) / (120e6 * 120.0 / 900.0) - 1.0).abs() < 1e-8);
}

#[test]
fn quantiles_are_met_and_so_is_the_mean() {
    let knots = [(0.01, 80.0), (0.5, 340.0), (0.9, 700.0), (0.99, 2400.0)];
    let knots = knots.map(|(u, value)| (u, ms(value)));
    let straight = Distribution::quantiles(&knots, None).unwrap();
    assert!((average(&straight, 1_000_000) / straight.mean() - 1.0).abs() < 1e-3);
    for mean in [410.0, 430.0, 442.0, 460.0, 500.0] {
        let time = Distribution::quantiles(&knots, Some(ms(mean))).unwrap();
        for (u, value) in knots {
            let off = time.quantile(u) / value.as_nanos() as f64 - 1.0;
            assert!(off.abs() < 1e-9, "{mean}: {u} is off by {off}");
        }
        let off = average(&time, 1_000_000) / (1e6 * mean) - 1.0;
        assert!(off.abs() < 1e-3, "{mean}: the mean is off by {off}");
    }
    for mean in [100.0, 5000.0] {
        let error = Distribution::quantiles(&knots, Some(ms(mean))).unwrap_err();
        assert!(error.contains("expected one from"), "{error}");
    }
}

/// As the rows of Azure's traces: percentiles from the smallest to the largest, and an average.
#[test]
fn a_table_from_the_smallest_to_the_largest_value_has_no_tail_beyond() {
    let knots = [(0.0, 10.0), (0.25, 20.0), (0.75, 50.0), (0.99, 400.0), (1.0, 2000.0)];
    let knots = knots.map(|(u, value)| (u, ms(value)));
    let time = Distribution::quantiles(&knots, Some(ms(70.0))).unwrap();
    assert!(time.quantile(0.0) >= 10e6 * 0.999 && time.quantile(1.0) <= 2000e6);
    assert!((average(&time, 1_000_000) / 70e6 - 1.0).abs() < 1e-3);
}

#[test]
fn measured_values_are_each_as_likely_as_the_others() {
    let time = Distribution::measured(vec![30.0, 10.0, 20.0, 20.0]).unwrap();
    let drawn = [0.0, 0.24, 0.25, 0.5, 0.74, 0.75, 0.999].map(|u| time.quantile(u));
    assert_eq!(drawn, [10.0, 10.0, 20.0, 20.0, 20.0, 30.0, 30.0]);
    assert_eq!(time.mean(), 20.0);
    assert!(Distribution::measured(Vec::new()).is_err());
}

#[test]
fn a_mixture_has_the_values_of_its_parts_by_weight() {
    let (short, long) = (Distribution::fixed(ms(1.0)), Distribution::fixed(ms(10.0)));
    let time = Distribution::mix(vec![(1.0, long), (9.0, short)]).unwrap();
    assert_eq!((time.at(0.0), time.at(0.899), time.at(0.901)), (ms(1.0), ms(1.0), ms(10.0)));
    assert!((time.mean() - 1.9e6).abs() < 1e-3);

    let part = |p50, p99| Distribution::log_normal(ms(p50), ms(p99)).unwrap();
    let time = Distribution::mix(vec![(3.0, part(100.0, 200.0)), (1.0, part(1000.0, 9000.0))]);
    let time = time.unwrap();
    assert!((average(&time, 200_000) / time.mean() - 1.0).abs() < 5e-3);
    for weights in [vec![], vec![0.0], vec![1.0, -1.0], vec![f64::NAN]] {
        let parts = weights.iter().map(|weight| (*weight, part(1.0, 2.0))).collect();
        assert!(Distribution::mix(parts).is_err(), "{weights:?}");
    }
}

#[test]
fn noise_keeps_the_mean() {
    let draws = Seed::new(1).worker(0).function("f");
    for sigma in [0.05, 0.2, 0.5] {
        let factor = |number| factor(sigma, draws.unit(number, Purpose::Noise));
        let mean = (0..1_000_000).map(factor).sum::<f64>() / 1e6;
        assert!((mean - 1.0).abs() < 0.005, "sigma {sigma}: {mean}");
    }
    assert_eq!(factor(0.0, 0.3), 1.0);
    // By its definition.
    assert!((factor(sigma(3.0), 0.99) / factor(sigma(3.0), 0.5) - 3.0).abs() < 1e-9);
}

#[test]
fn what_is_no_distribution_is_refused_with_what_is_wrong() {
    let table = |knots: &[(f64, f64)]| {
        let knots: Vec<_> = knots.iter().map(|(u, value)| (*u, ms(*value))).collect();
        Distribution::quantiles(&knots, None).unwrap_err()
    };
    assert!(table(&[]).contains("found 0 quantiles, expected at least two"));
    assert!(table(&[(0.5, 1.0)]).contains("found 1 quantiles"));
    assert!(table(&[(0.5, 1.0), (0.5, 2.0)]).contains("found p50 twice"));
    assert!(table(&[(0.5, 2.0), (0.9, 1.0)]).contains("found p90 below p50"));
    assert!(table(&[(0.5, 2.0), (1.5, 3.0)]).contains("from p0 to p100"));
    assert!(Distribution::log_normal(ms(0.0), ms(1.0)).is_err());
    assert!(Distribution::log_normal(ms(2.0), ms(1.0)).is_err());
}
