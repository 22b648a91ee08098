//! A packed ensemble answers what the stated one says, worked out by a plain recursion.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use hyperfake_predictor::Random;
use hyperfake_predictor_trees::{
    Aggregate, Branch, Child, Comparison, Ensemble, Forest, Leaf, Vote,
};
use proptest::prelude::*;

const COMPARISONS: [Comparison; 6] = [
    Comparison::LessOrEqual,
    Comparison::Less,
    Comparison::GreaterOrEqual,
    Comparison::Greater,
    Comparison::Equal,
    Comparison::NotEqual,
];

const AGGREGATES: [Aggregate; 4] =
    [Aggregate::Sum, Aggregate::Average, Aggregate::Min, Aggregate::Max];

/// Thresholds and inputs are taken from these, so that they often meet.
const NUMBERS: [f32; 12] = [
    f32::NEG_INFINITY,
    -1e30,
    -2.5,
    -f32::MIN_POSITIVE,
    -0.0,
    0.0,
    f32::from_bits(1),
    0.1,
    1.0,
    16_777_216.0,
    f32::MAX,
    f32::INFINITY,
];

/// Adds a tree of at most this depth and gives its root.
fn grow(ensemble: &mut Ensemble, random: &mut Random, depth: usize, whole: bool) -> Child {
    if depth == 0 || (!whole && random.below(4) == 0) {
        let mut votes: Vec<_> = (0..ensemble.targets)
            .map(|target| Vote { target, weight: random.below(1000) as f32 - 400.0 })
            .collect();
        if matches!(ensemble.aggregate, Aggregate::Sum | Aggregate::Average) {
            votes.truncate(random.below(ensemble.targets + 1));
        }
        ensemble.leaves.push(Leaf { votes });
        return Child::Leaf(ensemble.leaves.len() - 1);
    }
    let comparison = random.choose(&COMPARISONS);
    let strict = matches!(comparison, Comparison::Less | Comparison::GreaterOrEqual);
    // Nothing is less than the first.
    let threshold = random.choose(&NUMBERS[usize::from(strict)..]);
    let missing_is_true = random.below(2) == 0;
    let if_true = grow(ensemble, random, depth - 1, whole);
    let if_false = grow(ensemble, random, depth - 1, whole);
    let input = random.below(ensemble.inputs);
    let branch = Branch { input, comparison, threshold, missing_is_true, if_true, if_false };
    ensemble.branches.push(branch);
    Child::Branch(ensemble.branches.len() - 1)
}

fn ensemble(trees: usize, depth: usize, aggregate: Aggregate, seed: u32) -> Ensemble {
    let mut random = Random::new(seed.into(), 0);
    let (inputs, targets) = (1 + random.below(8), 1 + random.below(8));
    let mut ensemble = Ensemble {
        inputs,
        targets,
        aggregate,
        base_values: (0..targets).map(|target| target as f64 + 0.5).collect(),
        roots: Vec::new(),
        branches: Vec::new(),
        leaves: Vec::new(),
    };
    for _ in 0..trees {
        let (depth, whole) = (random.below(depth + 1), random.below(2) == 0);
        let root = grow(&mut ensemble, &mut random, depth, whole);
        ensemble.roots.push(root);
    }
    ensemble
}

/// What the ensemble says, from its definition.
fn expected(ensemble: &Ensemble, inputs: &[f32]) -> Vec<f64> {
    fn leaf<'a>(ensemble: &'a Ensemble, child: Child, inputs: &[f32]) -> &'a Leaf {
        let branch = match child {
            Child::Leaf(index) => return &ensemble.leaves[index],
            Child::Branch(index) => &ensemble.branches[index],
        };
        let (x, t) = (inputs[branch.input], branch.threshold);
        let truth = match branch.comparison {
            _ if x.is_nan() => branch.missing_is_true,
            Comparison::LessOrEqual => x <= t,
            Comparison::Less => x < t,
            Comparison::GreaterOrEqual => x >= t,
            Comparison::Greater => x > t,
            Comparison::Equal => x == t,
            Comparison::NotEqual => x != t,
        };
        leaf(ensemble, if truth { branch.if_true } else { branch.if_false }, inputs)
    }
    let mut votes = vec![Vec::new(); ensemble.targets];
    for root in &ensemble.roots {
        for vote in &leaf(ensemble, *root, inputs).votes {
            votes[vote.target].push(f64::from(vote.weight));
        }
    }
    let outputs = votes.iter().zip(&ensemble.base_values).map(|(votes, base)| {
        let sum: f64 = votes.iter().sum();
        base + match ensemble.aggregate {
            Aggregate::Sum => sum,
            Aggregate::Average => sum / ensemble.roots.len() as f64,
            Aggregate::Min => votes.iter().copied().reduce(f64::min).unwrap(),
            Aggregate::Max => votes.iter().copied().reduce(f64::max).unwrap(),
        }
    });
    outputs.collect()
}

/// The weights are whole numbers, so that sums are exact in any order.
fn agrees(ensemble: &Ensemble, seed: u32) -> Result<(), TestCaseError> {
    let forest = Forest::new(ensemble).unwrap();
    let mut random = Random::new(seed.into(), 0);
    for _ in 0..64 {
        let inputs: Vec<f32> = (0..ensemble.inputs)
            .map(|_| {
                let number = random.choose(&NUMBERS);
                let odd = [number, number.next_up(), number.next_down(), f32::NAN, number];
                random.choose(&odd)
            })
            .collect();
        let mut outputs = vec![0.0; ensemble.targets];
        forest.run(&inputs, &mut outputs);
        prop_assert_eq!(outputs, expected(ensemble, &inputs), "{:?} {:?}", inputs, ensemble);
    }
    Ok(())
}

#[test]
fn every_comparison_at_every_threshold_follows_its_definition() {
    for comparison in COMPARISONS {
        let strict = matches!(comparison, Comparison::Less | Comparison::GreaterOrEqual);
        for threshold in &NUMBERS[usize::from(strict)..] {
            for missing_is_true in [false, true] {
                let mut ensemble = ensemble(0, 0, Aggregate::Sum, 1);
                (ensemble.inputs, ensemble.targets, ensemble.base_values) = (1, 1, vec![0.0]);
                ensemble.leaves = [3.0, 5.0]
                    .map(|weight| Leaf { votes: vec![Vote { target: 0, weight }] })
                    .to_vec();
                ensemble.roots = vec![Child::Branch(0)];
                ensemble.branches = vec![Branch {
                    input: 0,
                    comparison,
                    threshold: *threshold,
                    missing_is_true,
                    if_true: Child::Leaf(0),
                    if_false: Child::Leaf(1),
                }];
                agrees(&ensemble, 1).unwrap();
            }
        }
    }
}

/// Around the number of trees that are walked together.
#[test]
fn every_number_of_trees_is_evaluated_completely() {
    for trees in 1..=33 {
        for aggregate in AGGREGATES {
            agrees(&ensemble(trees, 6, aggregate, trees as u32), 5).unwrap();
        }
    }
}

/// A chain of equalities, of which each leads one level back up when the input is smaller.
#[test]
fn a_chain_of_equalities_is_walked_to_its_end() {
    for comparison in [Comparison::Equal, Comparison::NotEqual] {
        let length = 40;
        let mut ensemble = ensemble(0, 0, Aggregate::Sum, 1);
        (ensemble.inputs, ensemble.targets, ensemble.base_values) = (1, 1, vec![0.0]);
        for index in 0..=length {
            let vote = Vote { target: 0, weight: index as f32 };
            ensemble.leaves.push(Leaf { votes: vec![vote] });
            let next = Child::Branch(index + 1);
            let next = if index + 1 == length { Child::Leaf(length) } else { next };
            let here = Child::Leaf(index);
            let (if_true, if_false) =
                if comparison == Comparison::Equal { (here, next) } else { (next, here) };
            let branch = Branch {
                input: 0,
                comparison,
                threshold: (length - index) as f32,
                missing_is_true: index % 2 == 0,
                if_true,
                if_false,
            };
            if index < length {
                ensemble.branches.push(branch);
            }
        }
        ensemble.roots = vec![Child::Branch(0)];
        let forest = Forest::new(&ensemble).unwrap();
        for input in 0..=length + 1 {
            let mut output = [0.0];
            forest.run(&[input as f32], &mut output);
            assert_eq!(output.to_vec(), expected(&ensemble, &[input as f32]), "{input}");
        }
    }
}

/// A tree as deep as there are branches must not be walked by recursion.
#[test]
fn a_tree_of_a_million_levels_is_packed_and_walked() {
    let levels = 1_000_000;
    let branch = |index: usize| Branch {
        input: 0,
        comparison: Comparison::LessOrEqual,
        threshold: index as f32,
        missing_is_true: false,
        if_true: Child::Leaf(index),
        if_false: if index + 1 == levels { Child::Leaf(levels) } else { Child::Branch(index + 1) },
    };
    let leaf = |index: usize| Leaf { votes: vec![Vote { target: 0, weight: index as f32 }] };
    let forest = Forest::new(&Ensemble {
        inputs: 1,
        targets: 1,
        aggregate: Aggregate::Sum,
        base_values: Vec::new(),
        roots: vec![Child::Branch(0)],
        branches: (0..levels).map(branch).collect(),
        leaves: (0..=levels).map(leaf).collect(),
    })
    .unwrap();
    for (input, expected) in [(0.0, 0.0), (999.5, 1000.0), (1e9, 1e6)] {
        let mut output = [f64::NAN];
        forest.run(&[input], &mut output);
        assert_eq!(output, [expected]);
    }
}

/// In single precision the sum would stay at 2^24.
#[test]
fn votes_are_added_in_double_precision() {
    let leaf = |weight| Leaf { votes: vec![Vote { target: 0, weight }] };
    let forest = Forest::new(&Ensemble {
        inputs: 1,
        targets: 1,
        aggregate: Aggregate::Sum,
        base_values: vec![0.5],
        roots: (0..101).map(Child::Leaf).collect(),
        branches: Vec::new(),
        leaves: std::iter::once(leaf(16_777_216.0)).chain((0..100).map(|_| leaf(1.0))).collect(),
    })
    .unwrap();
    let mut output = [0.0];
    forest.run(&[0.0], &mut output);
    assert_eq!(output, [16_777_316.5]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_ensemble_answers_as_its_definition(
        trees in 1..=20_usize,
        depth in 0..=7_usize,
        aggregate in prop::sample::select(AGGREGATES.to_vec()),
        seed in any::<u32>(),
    ) {
        agrees(&ensemble(trees, depth, aggregate, seed), seed)?;
    }

    /// Indices that are changed at random lead to an answer or an error, never to a panic or an
    /// endless walk.
    #[test]
    fn a_damaged_ensemble_is_packed_or_refused(
        seed in any::<u32>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0..40_usize), 1..5),
    ) {
        let mut damaged = ensemble(4, 4, Aggregate::Sum, seed);
        for (index, leaf, to) in damage {
            let child = if leaf { Child::Leaf(to) } else { Child::Branch(to) };
            match damaged.branches.len() {
                0 => damaged.roots.push(child),
                length => damaged.branches[index.index(length)].if_true = child,
            }
        }
        match Forest::new(&damaged) {
            Ok(_) => agrees(&damaged, seed)?,
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }
}
