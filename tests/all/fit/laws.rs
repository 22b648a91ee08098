//! What is fitted to calls that a law made is the law.

use std::sync::atomic::Ordering;

use hyperfake_predictor::{
    Backend, Features, ModelUri, Predictor, Random, RawPrediction, Session, Uniforms, normal,
};
use hyperfake_predictor_json::JsonBackend;
use hyperfake_predictor_tract::{DenseBackend, TractBackend};
use hyperfake_worker::{
    fit::{Fitted, Kind, Options, fit},
    record::{OK, Row},
};

/// A law: log-normal run times whose median depends on two features.
#[derive(Debug, Clone, Copy)]
struct Law {
    sigma: f64,
    /// Whether bodies have any size, or one of three.
    any_size: bool,
}

impl Law {
    fn features(self, random: &mut Random) -> Features {
        let request_bytes = match self.any_size {
            true => (1e3 * 1000_f64.powf(random.fraction())).round(),
            false => random.choose(&[1e3, 8e3, 64e3]),
        };
        let active_calls = random.below(8) as f64;
        Features {
            request_bytes,
            active_calls,
            // All calls have the same, and so nothing to be learned from.
            function_instances: 3.0,
            worker_cpu_cores: 0.5 * active_calls,
            worker_ram_bytes: 8e6 * active_calls,
        }
    }

    fn median_ns(features: &Features) -> f64 {
        1e6 * (1.0 + 0.3 * features.active_calls) * (1.0 + features.request_bytes / 32e3)
    }

    fn quantiles(self, features: &Features, level: f64) -> RawPrediction {
        RawPrediction {
            runtime_ns: Self::median_ns(features) * (self.sigma * normal::quantile(level)).exp(),
            cpu_cores: 0.5,
            ram_bytes: 8e6 + 2.0 * features.request_bytes,
        }
    }

    fn rows(self, count: u64, seed: u64) -> Vec<Row<'static>> {
        let mut random = Random::new(seed, 0);
        let mut row = |index: u64| {
            let features = self.features(&mut random);
            let drawn = self.quantiles(&features, random.fraction().max(1e-9));
            Row {
                arrival_unix_ns: 1_000_000 * index,
                worker: "worker".into(),
                function: "id".into(),
                image: "echo".into(),
                instance: Some("instance".into()),
                run_ns: Some(drawn.runtime_ns as u64),
                cpu_cores: Some(drawn.cpu_cores),
                ram_bytes: Some(drawn.ram_bytes as u64),
                request_bytes: Some(features.request_bytes as u64),
                function_instances: Some(features.function_instances as u64),
                active_calls: Some(features.active_calls as u64),
                worker_cpu_cores: Some(features.worker_cpu_cores),
                worker_ram_bytes: Some(features.worker_ram_bytes as u64),
                outcome: OK.into(),
                ..Row::default()
            }
        };
        (0..count).map(&mut row).collect()
    }
}

const LAW: Law = Law { sigma: 0.3, any_size: false };

fn table() -> Options {
    Options { kind: Kind::Table, steps: 0, ..Options::default() }
}

fn network(steps: usize) -> Options {
    Options { kind: Kind::Network, steps, ..Options::default() }
}

/// What a session answers at some levels, over what the law says: the largest and the mean error of the
/// run time, and the largest of the others.
fn errors(session: &mut dyn Session, law: Law) -> (f64, f64, f64) {
    let mut random = Random::new(99, 0);
    let (mut largest, mut sum, mut others) = (0.0_f64, 0.0, 0.0_f64);
    for _ in 0..500 {
        let features = law.features(&mut random);
        for level in [0.05, 0.25, 0.5, 0.75, 0.95] {
            let found = session.draw(&features, &Uniforms::same(level)).unwrap().to_array();
            let expected = law.quantiles(&features, level).to_array();
            let error = |index: usize| (found[index] / expected[index] - 1.0).abs();
            largest = largest.max(error(0));
            sum += error(0);
            others = others.max(error(1)).max(error(2));
        }
    }
    (largest, sum / 2500.0, others)
}

fn opened(
    fitted: &Fitted,
    backend: &dyn Backend,
) -> (tempfile::TempDir, std::sync::Arc<dyn Predictor>) {
    let folder = tempfile::tempdir().unwrap();
    let written = fitted.write(&folder.path().join("echo")).unwrap();
    let model = backend.open(&ModelUri::from_path(&written.model)).unwrap();
    assert!(model.info().knows_distributions);
    (folder, model)
}

#[test]
fn a_table_recovers_the_quantiles_of_a_law() {
    let fitted = fit(LAW.rows(150_000, 1), &table(), |_| ()).unwrap();
    let report = fitted.report();
    println!("{}", report.markdown());
    let (_folder, model) = opened(&fitted, &JsonBackend);
    let (largest, mean, others) = errors(&mut *model.session().unwrap(), LAW);
    assert!(largest < 0.03 && mean < 0.01, "{largest} {mean}");
    assert!(others < 0.01, "{others}");
    let chosen = report.candidates.iter().find(|candidate| candidate.chosen).unwrap();
    let by_load = chosen.run_time.unwrap().coverage_90_by_load.unwrap();
    assert!(by_load.iter().all(|share| (0.88..0.92).contains(share)), "{by_load:?}");
}

#[test]
fn a_network_recovers_the_quantiles_of_a_law_in_every_backend() {
    let law = Law { any_size: true, ..LAW };
    let fitted = fit(law.rows(20_000, 1), &network(2500), |_| ()).unwrap();
    println!("{}", fitted.report().markdown());
    let (_folder, dense) = opened(&fitted, &DenseBackend);
    let (largest, mean, others) = errors(&mut *dense.session().unwrap(), law);
    assert!(largest < 0.2 && mean < 0.03, "{largest} {mean}");
    assert!(others < 0.1, "{others}");
    let (_folder, tract) = opened(&fitted, &TractBackend);
    let (mut dense, mut tract) = (dense.session().unwrap(), tract.session().unwrap());
    let mut random = Random::new(5, 0);
    for _ in 0..100 {
        let (features, level) = (law.features(&mut random), Uniforms::same(random.fraction()));
        let pair =
            [&mut dense, &mut tract].map(|one| one.draw(&features, &level).unwrap().to_array());
        for (left, right) in pair[0].into_iter().zip(pair[1]) {
            assert!((left / right - 1.0).abs() < 1e-4, "{left} {right}");
        }
    }
}

#[test]
fn no_quantile_of_a_network_lies_beyond_what_was_measured() {
    let law = Law { sigma: 2.0, any_size: true };
    let rows = law.rows(3000, 1);
    let run_times = || rows.iter().filter_map(|row| row.run_ns);
    let measured = run_times().min().unwrap()..=run_times().max().unwrap();
    let fitted = fit(rows.clone(), &network(600), |_| ()).unwrap();
    let (_folder, model) = opened(&fitted, &DenseBackend);
    let mut session = model.session().unwrap();
    let mut random = Random::new(3, 0);
    let mut ends = [0, 0];
    for _ in 0..1000 {
        let features = law.features(&mut random);
        for (level, ends) in [0.001, 0.999].into_iter().zip(&mut ends) {
            let found = session.draw(&features, &Uniforms::same(level)).unwrap().runtime_ns;
            let [shortest, longest] = [0.999, 1.001].map(|part| part * found);
            assert!(*measured.start() as f64 <= longest, "{features:?}: {found} {measured:?}");
            assert!(*measured.end() as f64 >= shortest, "{features:?}: {found} {measured:?}");
            *ends += u32::from(
                longest >= *measured.end() as f64 || shortest <= *measured.start() as f64,
            );
        }
    }
    assert!(ends.iter().sum::<u32>() > 0, "nothing came near the ends of the range");
}

#[test]
fn a_feature_that_never_varies_is_left_out_and_named() {
    let fitted = fit(LAW.rows(4_000, 1), &table(), |_| ()).unwrap();
    let [without] = &fitted.report().without[..] else { panic!("{:?}", fitted.report()) };
    assert_eq!((without.feature, &*without.why), ("function_instances", "it is 3 in all calls"));
    // A body that differs by a byte says nothing either.
    let mut rows = LAW.rows(4_000, 1);
    for (row, index) in rows.iter_mut().zip(0..) {
        row.request_bytes = Some(160_000 + index % 3);
    }
    let fitted = fit(rows, &table(), |_| ()).unwrap();
    let without = &fitted.report().without[0];
    assert_eq!(without.feature, "request_bytes");
    assert!(without.why.starts_with("it hardly varies: 160,000"), "{}", without.why);
}

#[test]
fn too_few_calls_are_refused_with_how_many_are_needed() {
    let refusal = |rows, options: &Options| fit(rows, options, |_| ()).unwrap_err().to_string();
    let few = refusal(LAW.rows(150, 1), &table());
    assert_eq!(few, "found 150 calls to learn from, expected at least 200");
    let few = refusal(LAW.rows(1_500, 1), &network(10));
    assert!(
        few.starts_with("found 1500 calls to learn from, expected at least 2000 for a network")
    );
    let mut rows = LAW.rows(300, 1);
    rows.iter_mut().skip(100).for_each(|row| row.outcome = "UNAVAILABLE".into());
    rows.iter_mut().take(50).for_each(|row| row.cold = Some(true));
    let few = refusal(rows, &table());
    assert!(
        few.contains("found 50 calls") && few.contains("200 calls that were not answered"),
        "{few}"
    );
    assert!(few.contains("50 first calls of an instance") && few.contains("cold"), "{few}");
    assert_eq!(refusal(Vec::new(), &table()), "there are no calls");
}

#[test]
fn the_function_is_named_if_there_are_several() {
    let mut rows = LAW.rows(2_000, 1);
    rows.iter_mut().step_by(4).for_each(|row| {
        row.function = "other-id".into();
        row.image = "other".into();
    });
    let error = fit(rows.clone(), &table(), |_| ()).unwrap_err().to_string();
    assert!(error.ends_with("--function: echo (1500 calls), other (500 calls)"), "{error}");
    for (name, calls) in [("echo", 1500), ("id", 1500), ("other", 500)] {
        let options = Options { function: Some(name.into()), ..table() };
        let fitted = fit(rows.clone(), &options, |_| ()).unwrap();
        assert_eq!(fitted.report().calls, calls, "{name}");
    }
    let options = Options { function: Some("none".into()), ..table() };
    let error = fit(rows, &options, |_| ()).unwrap_err().to_string();
    assert!(error.starts_with("--function: no call is of it; there are those of echo"), "{error}");
}

#[test]
fn the_same_rows_and_seed_give_the_same_bytes() {
    let fitted = |options: &Options| {
        let fitted = fit(LAW.rows(2_500, 1), options, |_| ()).unwrap();
        (fitted.bytes().unwrap(), fitted.report().json().unwrap())
    };
    assert_eq!(fitted(&table()), fitted(&table()));
    assert_eq!(fitted(&network(60)), fitted(&network(60)));
    let other = Options { seed: 2, ..network(60) };
    assert_ne!(fitted(&network(60)).0, fitted(&other).0);
}

#[test]
fn ended_early_it_answers_with_the_best_so_far() {
    for (what, kind) in [("choosing bins", Kind::Auto), ("training the network", Kind::Network)] {
        let options = Options { kind, steps: 100_000, ..Options::default() };
        let stop = std::sync::Arc::clone(&options.stop);
        let fitted = fit(LAW.rows(4_000, 1), &options, |progress| {
            if progress.what == what {
                stop.store(true, Ordering::Relaxed);
            }
        });
        let fitted = fitted.unwrap();
        assert!(fitted.report().stopped, "{what}");
        let backend: &dyn Backend = if kind == Kind::Auto { &JsonBackend } else { &DenseBackend };
        let (_folder, model) = opened(&fitted, backend);
        let drawn = model.session().unwrap().draw(&Features::IDLE, &Uniforms::same(0.5)).unwrap();
        assert!((5e5..1e7).contains(&drawn.runtime_ns), "{what}: {drawn:?}");
    }
}

#[test]
fn what_the_rows_do_not_know_is_asked_for_or_nothing() {
    let mut rows = LAW.rows(4_000, 1);
    for row in &mut rows {
        (row.cpu_cores, row.ram_bytes) = (None, None);
        (row.worker_cpu_cores, row.worker_ram_bytes, row.active_calls) = (None, None, None);
    }
    let options = Options { ram_bytes: Some(5_000_000), ..table() };
    let fitted = fit(rows, &options, |_| ()).unwrap();
    let notes = fitted.report().notes.join("\n");
    assert!(notes.contains("cpu_cores is known of 0 calls: the model answers 0 for it"), "{notes}");
    assert!(notes.contains("worked out from how the calls overlap: active_calls"), "{notes}");
    let (_folder, model) = opened(&fitted, &JsonBackend);
    let drawn = model.session().unwrap().predict(&Features::IDLE).unwrap();
    assert_eq!((drawn.cpu_cores, drawn.ram_bytes), (0.0, 5e6));
}

#[test]
fn a_file_is_named_after_its_kind_and_has_its_report_beside_it() {
    let fitted = fit(LAW.rows(4_000, 1), &table(), |_| ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let written = fitted.write(&path("echo")).unwrap();
    assert_eq!(written.model, path("echo.json"));
    assert_eq!(fitted.write(&path("echo.json")).unwrap(), written);
    let error = fitted.write(&path("echo.onnx")).unwrap_err().to_string();
    assert!(error.ends_with("a table is not written to a file of this name"), "{error}");
    let settings = std::fs::read_to_string(written.settings).unwrap();
    assert!(settings.contains("trained_min = ") && settings.contains("seed 1"), "{settings}");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(written.report).unwrap()).unwrap();
    assert_eq!(report["calls"], 4000);
    assert_eq!(report["sha256"].as_str().unwrap().len(), 64);
    assert!(std::fs::read_to_string(written.page).unwrap().contains("| **table** |"));
}
