//! A prediction allocates nothing. In a file of its own, because it counts what the allocator does.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use allocation_counter::measure;
use hyperfake_predictor_dense::{Activation, Dense, Isa, Network, Step};

#[test]
fn a_prediction_allocates_nothing_alone_or_in_a_batch() {
    let dense = |inputs: usize, outputs: usize| {
        Step::Dense(Dense { weights: vec![0.01; inputs * outputs], bias: vec![0.5; outputs] })
    };
    let steps = vec![
        Step::Add(vec![-1.0; 5]),
        dense(5, 40),
        Step::Activation(Activation::Tanh),
        dense(40, 70),
        Step::Activation(Activation::Relu),
        dense(70, 3),
        Step::Activation(Activation::Softplus { linear_above: 20.0 }),
    ];
    let network = Network::new(5, steps).unwrap();
    let inputs = [2.0; 5 * 7];
    let mut outputs = [0.0; 3 * 7];
    for isa in Isa::all() {
        // Its buffers are counted, so that the counter is known to count.
        let mut runner = None;
        assert!(measure(|| runner = Some(network.runner(isa))).count_total > 0);
        let mut runner = runner.unwrap();
        let allocations = measure(|| {
            runner.run(&inputs[..5], &mut outputs[..3]);
            runner.run_batch(&inputs, &mut outputs);
        });
        assert_eq!(allocations.count_total, 0, "{isa}");
    }
}
