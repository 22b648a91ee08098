//! What a comparison must not pass over: records that say little, and runs that were not alike.

use super::*;

fn with_repeat(real: &[Row<'_>], fake: &[Row<'_>], repeat: &[Row<'_>]) -> Comparison {
    let run = |name, rows| Run::of(name, rows).unwrap();
    let repeat = Some(run("again", repeat));
    compare::compare(run("real", real), run("fake", fake), repeat, &Options::default()).unwrap()
}

fn says(comparison: &Comparison, state: State, text: &str) -> bool {
    comparison.checks.iter().any(|check| check.state == state && check.text.contains(text))
}

fn changed(
    rows: &[Row<'static>],
    change: impl Fn(usize, Row<'static>) -> Row<'static>,
) -> Vec<Row<'static>> {
    rows.iter().cloned().enumerate().map(|(index, row)| change(index, row)).collect()
}

/// Of 100 calls, chance is 4.5 times as much as of 4000: sqrt((1/4000 + 1/100) / (2/4000)).
#[test]
fn a_short_second_run_of_the_real_lets_no_more_fakes_pass_than_a_long_one() {
    let law =
        |seed, calls, factor| Law { seed, calls, factor, spread: 0.8, ..Law::default() }.rows();
    let (real, fake) = (law(1, 4000, 1.0), law(3, 4000, 1.2));
    let distance = |calls| {
        let comparison = with_repeat(&real, &fake, &law(2, calls, 1.0));
        function(&comparison).run_time.as_ref().unwrap().distances.wasserstein
    };
    let (short, long) = (distance(100), distance(4000));
    assert!((0.4..2.5).contains(&(short.real / long.real)), "{short:?}, {long:?}");
    assert!((short.score.unwrap() - long.score.unwrap()).abs() < 0.05, "{short:?}, {long:?}");
}

#[test]
fn a_second_run_that_cannot_be_used_is_reported() {
    let real = Law::default().rows();
    let again = Law { seed: 2, ..Law::default() }.rows();
    let warning = "real / real is of halves of the first one instead";
    assert!(!says(&with_repeat(&real, &real, &again), State::Warning, warning));
    let short = with_repeat(&real, &real, &again[..99]);
    assert!(says(&short, State::Warning, "of the second record of the real, 99 calls ran"));
    let other = |image: &'static str| changed(&again, |_, row| Row { image: image.into(), ..row });
    let two = [other("image"), other("b")].concat();
    let missing = with_repeat(&two, &two, &[other("b"), other("c")].concat());
    assert!(says(&missing, State::Warning, "image: of the second record of the real, 0 calls ran"));
    // And what is known of its file is said, as of those of the others.
    let run = |rows: &[Row<'_>]| Run::of("r", rows).unwrap();
    let mut noted = run(&again);
    noted.note("3 rows are no calls");
    let found = compare::compare(run(&real), run(&real), Some(noted), &Options::default()).unwrap();
    assert!(says(&found, State::Note, "r: 3 rows are no calls"));
}

#[test]
fn a_second_run_with_other_arrivals_has_no_error_over_time() {
    let real = Law::default().rows();
    let again = Law { seed: 2, ..Law::default() }.rows();
    let of = |repeat: &[Row<'_>]| with_repeat(&real, &again, repeat).over_time.rate;
    assert!(of(&again).nmse_real.is_some());
    let at_other_times = changed(&again, |_, row| Row {
        arrival_unix_ns: BEGIN + (row.arrival_unix_ns - BEGIN) / 2,
        call: None,
        ..row
    });
    let found = of(&at_other_times);
    assert!(found.nmse.is_some() && found.nmse_real.is_none(), "{found:?}");
}

/// An eighth of the calls takes 30 times as long, all of them at the end: of two halves one has a quarter of
/// such calls, and the other one none.
#[test]
fn a_real_that_is_as_far_from_itself_as_from_its_mean_gives_no_score() {
    let real = changed(&Law::default().rows(), |index, row| {
        let by = if index >= 3500 { 30 } else { 1 };
        Row { run_ns: row.run_ns.map(|run| by * run), ..row }
    });
    for fake in [real.clone(), changed(&real, |_, row| Row { run_ns: Some(1), ..row })] {
        let comparison = compared(&real, &fake);
        let found = function(&comparison);
        let distance = found.run_time.as_ref().unwrap().distances.wasserstein;
        assert!(distance.real > 0.7 * distance.mean, "{distance:?}");
        assert_eq!((found.score, comparison.worst_score), (None, None));
        assert!(found.verdict.starts_with("no score: "), "{}", found.verdict);
        assert!(says(&comparison, State::Warning, "does not tell a near fake from a far one"));
        assert!(!comparison.is_within(1000.0));
        assert!(!comparison.text().contains("too few calls"), "{}", comparison.text());
    }
}

#[test]
fn a_client_that_fell_behind_its_schedule_makes_the_comparison_invalid() {
    let real = Law::default().rows();
    let behind = |call: fn(&Row<'_>) -> Option<u64>| {
        changed(&real, |_, row| Row {
            arrival_unix_ns: BEGIN + (row.arrival_unix_ns - BEGIN) / 10 * 12,
            call: call(&row),
            ..row
        })
    };
    let comparison = compared(&real, &behind(|row| row.call));
    assert!(!comparison.valid && !comparison.is_within(1000.0));
    let expected = "4000 of 4000 real calls have a fake call of the same workload; ";
    assert!(says(&comparison, State::Invalid, expected), "{:?}", comparison.checks);
    // Without numbers it may be another workload.
    let comparison = compared(&real, &behind(|_| None));
    assert!(comparison.valid && says(&comparison, State::Note, "have different arrivals"));
}

#[test]
fn a_fake_whose_calls_fail_where_real_ones_do_not_does_not_pass() {
    let real = Law::default().rows();
    let failing = |share: usize| {
        changed(&real, |index, row| match index % 20 < share {
            true => Row { outcome: "UNAVAILABLE".into(), run_ns: None, ..row },
            false => row,
        })
    };
    let comparison = compared(&real, &failing(18));
    assert_eq!(function(&comparison).calls.fake.answered, 400);
    assert!(function(&comparison).score.is_some() && !comparison.is_within(1000.0));
    assert!(
        says(
            &comparison,
            State::Invalid,
            "image: 0.0 % of the real and 90.0 % of the fake calls ended with UNAVAILABLE"
        ),
        "{:?}",
        comparison.checks
    );
    // Of few failures, or as many on both sides, nothing is said.
    assert!(compared(&real, &failing(1)).valid && compared(&failing(18), &failing(18)).valid);
    // Other codes than those of the real.
    let other = changed(&failing(10), |_, row| match row.run_ns {
        None => Row { outcome: "INTERNAL".into(), ..row },
        Some(_) => row,
    });
    assert!(!compared(&failing(10), &other).valid);
}

#[test]
fn thirds_of_load_with_too_few_calls_state_no_coverage() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rows = Law { by_load: 0.5, gap: 40.0 * MS, ..Law::default() }.rows();
    let (real, fake, model) = (path("real.csv"), path("fake.csv"), path("model.json"));
    write(real.as_ref(), rows.clone());
    // In each third fewer than 100 of them.
    write(fake.as_ref(), rows[..200].to_vec());
    let json = r#"{"kind": "quantiles", "levels": [0.1, 0.9], "runtime_ns": [[1e7, 3e7]], "cpu_cores": 0.5}"#;
    fs::write(&model, json).unwrap();
    let thirds = |fake: &str| -> Vec<Value> {
        let page = path("p.html");
        let output =
            run(&format!("compare {real} {fake} --model {model} --json - --out {page}")).success();
        let json: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        json["functions"]["image"]["by_load"]["terciles"].as_array().unwrap().clone()
    };
    for (fake, too_few) in [(&real, false), (&fake, true)] {
        for third in thirds(fake) {
            assert_eq!(third["too_few"], too_few, "{third}");
            assert_eq!(third["coverage"].is_null(), too_few, "{third}");
            assert_eq!(third["model_coverage"].is_null(), too_few, "{third}");
        }
    }
}
