//! A prediction allocates nothing. In a file of its own, so that no other test allocates meanwhile.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use hyperfake_predictor_dense::{Activation, Dense, Isa, Network, Step};

thread_local! {
    /// Of this thread: the test harness allocates on its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

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
        let mut runner = network.runner(isa);
        let before = ALLOCATIONS.get();
        runner.run(&inputs[..5], &mut outputs[..3]);
        runner.run_batch(&inputs, &mut outputs);
        assert_eq!(ALLOCATIONS.get() - before, 0, "{isa}");
    }
    assert!(ALLOCATIONS.get() > 0);
}
