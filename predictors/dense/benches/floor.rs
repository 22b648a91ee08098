//! How far is the kernel from the least that the multiplications of the shipped echo network
//! (5-40-40-3) can cost?
//!
//! The floor is a loop over them, of sizes that the compiler knows, in the layout that it
//! vectorises best, compiled for the CPU's own instructions: no steps to look up, no scaling but
//! the one that counts, no choice of activation. Prints the median time for each instruction set,
//! one by one and for each row of a batch of 64.
//!
//! `cargo bench -p hyperfake-predictor-dense`
#![allow(clippy::disallowed_methods, reason = "a bench is about real time")]
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]
#![allow(clippy::needless_range_loop, reason = "written as the sums are")]
#![allow(missing_docs, reason = "nobody uses a bench from outside")]

use std::{hint::black_box, time::Instant};

use hyperfake_predictor_dense::{Activation, Dense, Isa, Network, Step};

const HIDDEN: usize = 40;
const INPUTS: [f32; 5] = [640.0, 12.0, 40.0, 16.0, 8e9];

fn main() {
    // A test run builds this and need not wait for it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let network = echo(HIDDEN);
    let floor = Floor::of(&network);
    let mut answer = [0.0; 3];
    floor.baseline(&INPUTS, &mut answer);
    println!("{} multiplications, nanoseconds:", network.multiplications());
    println!(
        "floor, baseline    {:7.1}",
        median(2_000, || floor.baseline(black_box(&INPUTS), &mut answer))
    );
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            println!(
                "floor, avx2        {:7.1}",
                median(2_000, || floor.avx2(black_box(&INPUTS), &mut answer))
            );
        }
        if is_x86_feature_detected!("avx512f") {
            println!(
                "floor, avx512      {:7.1}",
                median(2_000, || floor.avx512(black_box(&INPUTS), &mut answer))
            );
        }
    }
    for isa in Isa::all() {
        let mut runner = network.runner(isa);
        let mut found = [0.0; 3];
        runner.run(&INPUTS, &mut found);
        let close =
            found.iter().zip(answer).all(|(found, floor)| (found / floor - 1.0).abs() < 1e-4);
        assert!(close, "{found:?} is not {answer:?}");
        let single = median(2_000, || runner.run(black_box(&INPUTS), &mut found));
        let inputs = INPUTS.repeat(64);
        let mut outputs = [0.0; 3 * 64];
        let batch = median(32, || runner.run_batch(black_box(&inputs), &mut outputs)) / 64.0;
        println!("{isa:<18} {single:7.1}   in a batch {batch:7.1}");
    }
}

/// The median over many short rounds of the mean time of one call, in nanoseconds.
fn median(calls: u32, mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..301)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                work();
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// The shape of the shipped network, with weights that look random.
fn echo(hidden: usize) -> Network {
    let mut state = 1_u32;
    let mut layer = |inputs: usize, outputs: usize| {
        let bound = 1.0 / (inputs as f32).sqrt();
        let mut draw = |count| -> Vec<f32> {
            let number = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bound * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
            };
            (0..count).map(number).collect()
        };
        Step::Dense(Dense { weights: draw(inputs * outputs), bias: draw(outputs) })
    };
    let steps = vec![
        Step::Add(vec![-5e5, -20.0, -50.0, -16.0, -8e9]),
        Step::Div(vec![3e5, 12.0, 30.0, 9.0, 5e9]),
        layer(5, hidden),
        Step::Activation(Activation::Relu),
        layer(hidden, hidden),
        Step::Activation(Activation::Relu),
        layer(hidden, 3),
        Step::Mul(vec![8e5, 0.5, 6e6]),
        Step::Add(vec![4e6, 1.0, 3.2e7]),
        Step::Activation(Activation::Softplus { linear_above: 20.0 }),
    ];
    Network::new(5, steps).unwrap()
}

/// The same network in arrays of known sizes: weights by input, so that outputs are neighbours.
struct Floor {
    shift: [f32; 5],
    scale: [f32; 5],
    first: [[f32; HIDDEN]; 5],
    second: [[f32; HIDDEN]; HIDDEN],
    third: [[f32; HIDDEN]; 3],
    bias: [[f32; HIDDEN]; 2],
    last: [f32; 3],
    factor: [f32; 3],
    offset: [f32; 3],
}

impl Floor {
    fn of(network: &Network) -> Self {
        let mut layers = Vec::new();
        let mut numbers = Vec::new();
        for step in network.steps() {
            match step {
                Step::Dense(dense) => layers.push(dense),
                Step::Add(values) | Step::Mul(values) | Step::Div(values) => numbers.push(values),
                Step::Activation(_) => {}
            }
        }
        let weight = |layer: usize, inputs: usize, output: usize, input: usize| {
            layers[layer].weights[output * inputs + input]
        };
        Self {
            shift: numbers[0][..].try_into().unwrap(),
            scale: numbers[1][..].try_into().unwrap(),
            first: std::array::from_fn(|i| std::array::from_fn(|o| weight(0, 5, o, i))),
            second: std::array::from_fn(|i| std::array::from_fn(|o| weight(1, HIDDEN, o, i))),
            third: std::array::from_fn(|o| std::array::from_fn(|i| weight(2, HIDDEN, o, i))),
            bias: std::array::from_fn(|layer| layers[layer].bias[..].try_into().unwrap()),
            last: layers[2].bias[..].try_into().unwrap(),
            factor: numbers[2][..].try_into().unwrap(),
            offset: numbers[3][..].try_into().unwrap(),
        }
    }

    #[inline(never)]
    fn baseline(&self, inputs: &[f32; 5], outputs: &mut [f32; 3]) {
        self.run(inputs, outputs, |left, right, sum| left * right + sum);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn avx2(&self, inputs: &[f32; 5], outputs: &mut [f32; 3]) {
        #[target_feature(enable = "avx2,fma")]
        fn run(floor: &Floor, inputs: &[f32; 5], outputs: &mut [f32; 3]) {
            floor.run(inputs, outputs, f32::mul_add);
        }
        // SAFETY: `main` asks the CPU first.
        #[allow(unsafe_code, reason = "the floor of an instruction set needs its instructions")]
        unsafe {
            run(self, inputs, outputs);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn avx512(&self, inputs: &[f32; 5], outputs: &mut [f32; 3]) {
        #[target_feature(enable = "avx512f")]
        fn run(floor: &Floor, inputs: &[f32; 5], outputs: &mut [f32; 3]) {
            floor.run(inputs, outputs, f32::mul_add);
        }
        // SAFETY: `main` asks the CPU first.
        #[allow(unsafe_code, reason = "the floor of an instruction set needs its instructions")]
        unsafe {
            run(self, inputs, outputs);
        }
    }

    #[inline(always)]
    fn run(
        &self,
        inputs: &[f32; 5],
        outputs: &mut [f32; 3],
        mul_add: impl Fn(f32, f32, f32) -> f32,
    ) {
        let mut first = self.bias[0];
        for input in 0..5 {
            let value = (inputs[input] + self.shift[input]) / self.scale[input];
            for output in 0..HIDDEN {
                first[output] = mul_add(self.first[input][output], value, first[output]);
            }
        }
        let mut second = self.bias[1];
        for input in 0..HIDDEN {
            let value = first[input].max(0.0);
            for output in 0..HIDDEN {
                second[output] = mul_add(self.second[input][output], value, second[output]);
            }
        }
        for output in 0..3 {
            // Eight partial sums: a single one cannot be vectorised.
            let mut sums = [0.0; 8];
            for input in 0..HIDDEN {
                let value = second[input].max(0.0);
                sums[input % 8] = mul_add(self.third[output][input], value, sums[input % 8]);
            }
            let sum = self.last[output] + sums.iter().sum::<f32>();
            let scaled = sum * self.factor[output] + self.offset[output];
            outputs[output] = if scaled > 20.0 { scaled } else { scaled.exp().ln_1p() };
        }
    }
}
