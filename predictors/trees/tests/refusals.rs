//! Invalid arrays are refused, with what is wrong and where.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use hyperfake_predictor::ErrorKind;
use hyperfake_predictor_trees::{
    Aggregate, Branch, Child, Comparison, Ensemble, Forest, Leaf, Vote,
};

/// Two branches, three leaves, one tree.
fn ensemble() -> Ensemble {
    let branch = |if_true, if_false| Branch {
        input: 0,
        comparison: Comparison::LessOrEqual,
        threshold: 1.0,
        missing_is_true: false,
        if_true,
        if_false,
    };
    let leaf = |weight| Leaf { votes: vec![Vote { target: 0, weight }] };
    Ensemble {
        inputs: 2,
        targets: 1,
        aggregate: Aggregate::Sum,
        base_values: Vec::new(),
        roots: vec![Child::Branch(0)],
        branches: vec![
            branch(Child::Leaf(0), Child::Branch(1)),
            branch(Child::Leaf(1), Child::Leaf(2)),
        ],
        leaves: vec![leaf(1.0), leaf(2.0), leaf(3.0)],
    }
}

fn refusal(change: impl FnOnce(&mut Ensemble)) -> String {
    let mut ensemble = ensemble();
    change(&mut ensemble);
    let error = Forest::new(&ensemble).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn what_is_refused_below_is_an_ensemble_before_it_is_changed() {
    Forest::new(&ensemble()).unwrap();
}

#[test]
fn an_index_that_does_not_exist() {
    for (child, expected) in [
        (Child::Branch(2), "tree 0: branch 2 is named, and there are 2"),
        (Child::Leaf(3), "tree 0: leaf 3 is named, and there are 3"),
        (Child::Leaf(usize::MAX), "tree 0: leaf 18446744073709551615 is named, and there are 3"),
    ] {
        assert_eq!(refusal(|ensemble| ensemble.branches[1].if_true = child), expected);
        assert_eq!(refusal(|ensemble| ensemble.roots[0] = child), expected);
    }
    assert_eq!(
        refusal(|ensemble| ensemble.branches[1].input = 2),
        "branch 1 compares input 2, expected one below 2"
    );
    assert_eq!(
        refusal(|ensemble| ensemble.leaves[1].votes[0].target = 1),
        "leaf 1 votes on target 1, expected one below 1"
    );
}

#[test]
fn a_cycle_or_a_branch_with_two_parents() {
    for child in [Child::Branch(0), Child::Branch(1)] {
        let Child::Branch(index) = child else { unreachable!() };
        assert_eq!(
            refusal(|ensemble| ensemble.branches[1].if_false = child),
            format!("tree 0: branch {index} has two parents")
        );
    }
    assert_eq!(
        refusal(|ensemble| ensemble.roots.push(Child::Branch(1))),
        "tree 1: branch 1 has two parents"
    );
}

#[test]
fn a_branch_or_a_leaf_that_belongs_to_no_tree() {
    assert_eq!(
        refusal(|ensemble| ensemble.branches[0].if_false = Child::Leaf(1)),
        "no tree has branch 1"
    );
    assert_eq!(
        refusal(|ensemble| ensemble.branches[1].if_false = Child::Leaf(1)),
        "no tree has leaf 2"
    );
}

#[test]
fn a_threshold_or_a_weight_that_is_no_number() {
    assert_eq!(
        refusal(|ensemble| ensemble.branches[0].threshold = f32::NAN),
        "branch 0 has the threshold NaN, expected a number"
    );
    assert_eq!(
        refusal(|ensemble| {
            ensemble.branches[0].comparison = Comparison::Less;
            ensemble.branches[0].threshold = f32::NEG_INFINITY;
        }),
        "branch 0 has the threshold -inf, expected a number"
    );
    assert_eq!(
        refusal(|ensemble| ensemble.leaves[2].votes[0].weight = f32::INFINITY),
        "leaf 2 votes with inf, expected a finite number"
    );
}

#[test]
fn counts_out_of_range() {
    for (change, expected) in [
        ((|e| e.inputs = 0) as fn(&mut Ensemble), "found 0 inputs, expected 1 to 8"),
        (|e| e.inputs = 9, "found 9 inputs, expected 1 to 8"),
        (|e| e.targets = 0, "found 0 targets, expected 1 to 8"),
        (|e| e.targets = usize::MAX, "found 18446744073709551615 targets, expected 1 to 8"),
        (|e| e.base_values = vec![1.0; 2], "found 2 base values, expected none or 1"),
        (|e| e.roots.clear(), "found no tree, expected at least one"),
    ] {
        assert_eq!(refusal(change), expected);
    }
}

#[test]
fn a_minimum_of_no_votes() {
    let expected = "target 0 may get no vote, and then has no least or greatest one";
    for aggregate in [Aggregate::Min, Aggregate::Max] {
        let change = |ensemble: &mut Ensemble| {
            ensemble.aggregate = aggregate;
            ensemble.leaves[1].votes.clear();
        };
        assert_eq!(refusal(change), expected);
        // Another tree that always votes is enough.
        let mut settled = ensemble();
        change(&mut settled);
        settled.leaves.push(Leaf { votes: vec![Vote { target: 0, weight: 9.0 }] });
        settled.roots.push(Child::Leaf(3));
        Forest::new(&settled).unwrap();
    }
}

#[test]
#[should_panic(expected = "the ensemble takes another number of inputs")]
fn a_row_of_the_wrong_length_panics() {
    Forest::new(&ensemble()).unwrap().run(&[0.0; 3], &mut [0.0]);
}
