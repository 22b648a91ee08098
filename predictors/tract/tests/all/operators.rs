//! A test for each row of the table of operators: what tract gives, beside the operator's formula.

mod declined;
mod elements;
mod networks;
mod reductions;
mod shapes;

use std::collections::BTreeSet;

use hyperfake_predictor::{Backend, Features};
use hyperfake_predictor_testkit::onnx::{Attribute, Dim, Model};
use hyperfake_predictor_tract::{TractBackend, operators};

use crate::file::File;

/// What `x` is, a row of five. There are halves, ties, zeros, and numbers of both signs.
const POINTS: [[f64; 5]; 5] = [
    [-2.5, -1.5, -0.5, 0.5, 1.5],
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [2.5, 3.5, -0.25, 1.75, -3.0],
    [1.0, 1.0, -1.0, 2.0, 2.0],
    [-0.125, 0.875, 4.0, -2.75, 0.25],
];

const X: &[&str] = &["x"];
const Y: &[&str] = &["y"];
const NONE: &[(&str, Attribute<'_>)] = &[];

/// One test of a row.
pub(crate) struct Case {
    /// As in [`operators`].
    row: &'static str,
    /// Makes `y` from `x`, which is `[1,5]`.
    build: fn(Model) -> Model,
    /// The formula: the elements of `y`, in row-major order.
    right: fn(&[f64; 5]) -> Vec<f64>,
}

const fn case(
    row: &'static str,
    build: fn(Model) -> Model,
    right: fn(&[f64; 5]) -> Vec<f64>,
) -> Case {
    Case { row, build, right }
}

fn each(x: &[f64; 5], function: impl Fn(f64) -> f64) -> Vec<f64> {
    x.iter().map(|x| function(*x)).collect()
}

/// The input is `x + 3` in units of [`UNITS`], so that no feature is negative.
const UNITS: [f64; 5] = [16384.0, 8.0, 64.0, 8.0, 2_147_483_648.0];

/// `y`, of `count` elements, is added up in three columns, times a million, plus ten million.
fn framed(build: fn(Model) -> Model, opset: i64, count: usize) -> Model {
    let scale = UNITS.map(|unit| (1.0 / unit) as f32);
    let mut mix = vec![0.0_f32; 3 * count];
    (0..count).for_each(|k| mix[3 * k + k % 3] = 1.0);
    let model = Model::new()
        .opset(opset)
        .input("input", &[Dim::Fixed(1), Dim::Fixed(5)])
        .initializer("frame_scale", &[1, 5], &scale)
        .initializer("frame_low", &[1, 5], &[3.0_f32; 5])
        .initializer("frame_row", &[2], &[1, count as i64])
        .initializer("frame_mix", &[count as i64, 3], &mix)
        .initializer("frame_million", &[1, 3], &[1e6_f32; 3])
        .initializer("frame_offset", &[1, 3], &[1e7_f32; 3])
        .node("Mul", &["input", "frame_scale"], &["frame_a"], &[])
        .node("Sub", &["frame_a", "frame_low"], &["x"], &[]);
    build(model)
        .node("Cast", &["y"], &["frame_b"], &[("to", 1.into())])
        .node("Reshape", &["frame_b", "frame_row"], &["frame_c"], &[])
        .node("MatMul", &["frame_c", "frame_mix"], &["frame_d"], &[])
        .node("Mul", &["frame_d", "frame_million"], &["frame_e"], &[])
        .node("Add", &["frame_e", "frame_offset"], &["output"], &[])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)])
}

fn features(x: &[f64; 5]) -> Features {
    Features::from_array(std::array::from_fn(|column| (x[column] + 3.0) * UNITS[column]))
}

/// The opset of a row's test: the first of the row, but 9 where the row goes that far: tract
/// broadcasts since 7, and other operators of the tests came until 9. Other domains stand beside 17.
fn opset(row: &str) -> i64 {
    let mut numbers = row.split(' ').filter_map(|word| word.parse().ok());
    let (first, last): (Option<i64>, Option<i64>) = (numbers.next(), numbers.next());
    first.map_or(17, |first| first.max(last.unwrap_or(9).min(9)))
}

fn fault(case: &Case) -> Option<String> {
    let count = (case.right)(&POINTS[0]).len();
    let mut model = framed(case.build, opset(case.row), count);
    if let Some((domain, _)) = case.row.rsplit_once('.') {
        model = model.opset_of(domain, 1);
    }
    let file = File::of(&model);
    let predictor = match TractBackend.open(&file.uri()) {
        Ok(predictor) => predictor,
        Err(error) => return Some(format!("{}: {error}", case.row)),
    };
    let mut session = predictor.session().unwrap();
    for x in &POINTS {
        let found = match session.predict(&features(x)) {
            Ok(found) => found.to_array(),
            Err(error) => return Some(format!("{} at {x:?}: {error}", case.row)),
        };
        let mut right = [1e7; 3];
        for (k, y) in (case.right)(x).into_iter().enumerate() {
            right[k % 3] += 1e6 * y;
        }
        let near =
            |(found, right): (&f64, &f64)| (found - right).abs() <= 1e-5 * right.abs().max(1e6);
        if !found.iter().zip(&right).all(near) {
            return Some(format!("{} at {x:?}: {found:?}, right is {right:?}", case.row));
        }
    }
    None
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [elements::CASES, reductions::CASES, shapes::CASES, networks::CASES].into_iter().flatten()
}

#[test]
fn each_operator_is_computed_as_its_formula_says() {
    let faults: Vec<_> = cases().filter_map(fault).collect();
    assert!(faults.is_empty(), "{} rows:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn each_row_of_the_table_has_a_test_and_each_test_a_row() {
    let rows: BTreeSet<String> = operators().collect();
    let tested: BTreeSet<String> = cases().map(|case| case.row.to_owned()).collect();
    let missing: Vec<_> = rows.difference(&tested).collect();
    let extra: Vec<_> = tested.difference(&rows).collect();
    assert!(missing.is_empty() && extra.is_empty(), "no test: {missing:?}; no row: {extra:?}");
}
