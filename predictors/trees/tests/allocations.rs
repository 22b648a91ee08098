//! A prediction allocates nothing. In a file of its own, because it counts what the allocator does.

use allocation_counter::measure;
use hyperfake_predictor_trees::{
    Aggregate, Branch, Child, Comparison, Ensemble, Forest, Leaf, Vote,
};

#[test]
fn a_prediction_allocates_nothing() {
    let branch = |tree: usize| Branch {
        input: tree % 5,
        comparison: Comparison::LessOrEqual,
        threshold: 0.5,
        missing_is_true: false,
        if_true: Child::Leaf(2 * tree),
        if_false: Child::Leaf(2 * tree + 1),
    };
    let votes = || (0..3).map(|target| Vote { target, weight: 1.0 }).collect();
    let ensemble = Ensemble {
        inputs: 5,
        targets: 3,
        aggregate: Aggregate::Average,
        base_values: vec![1.0; 3],
        roots: (0..21).map(Child::Branch).collect(),
        branches: (0..21).map(branch).collect(),
        leaves: (0..42).map(|_| Leaf { votes: votes() }).collect(),
    };
    // Packing is counted, so that the counter is known to count.
    let mut forest = None;
    assert!(measure(|| forest = Some(Forest::new(&ensemble).unwrap())).count_total > 0);
    let forest = forest.unwrap();
    let mut outputs = [0.0; 3];
    assert_eq!(measure(|| forest.run(&[0.25; 5], &mut outputs)).count_total, 0);
    assert_eq!(outputs, [2.0; 3]);
}
