//! What is measured: predictions, many in a row, without anything between them.

use std::{hint::black_box, sync::Arc};

use hyperfake_predictor::{Backends, Features, RawPrediction};
use hyperfake_predictor_dense::{Activation, Dense, Isa, Network as Kernel, Step};
use hyperfake_predictor_testkit::reference::Network;

use crate::{
    floor::Floor,
    forms::{Form, open},
    network::{CALLS, INPUTS},
};

/// Makes that many predictions, a multiple of [`CALLS`]. One thread's: it has a session of its own.
pub(crate) type Work = Box<dyn FnMut(usize) + Send>;

/// How one asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    OneByOne,
    /// Of this size, which divides [`CALLS`].
    Batches(usize),
}

/// Something that can be asked.
pub(crate) struct Contestant {
    /// Who answers.
    pub(crate) backend: &'static str,
    /// What it makes its answers from.
    pub(crate) model: &'static str,
    /// As on the command line; what is no model has none.
    pub(crate) uri: Option<String>,
    make: Box<dyn Fn(Way) -> Work>,
    answer: Box<dyn Fn(&Features) -> RawPrediction>,
}

impl Contestant {
    /// As the worker asks: through a session in a box.
    pub(crate) fn form(form: &Form, backends: &Backends) -> Self {
        let predictor = open(backends, &form.uri);
        let another = Arc::clone(&predictor);
        let make = move |way| -> Work {
            let mut session = predictor.session().unwrap();
            match way {
                Way::OneByOne => Box::new(move |count| {
                    for call in 0..count {
                        let inputs = black_box(&INPUTS[call % CALLS]);
                        black_box(session.predict(inputs).unwrap());
                    }
                }),
                Way::Batches(size) => {
                    let mut outputs = vec![RawPrediction::default(); size];
                    Box::new(move |count| {
                        for batch in 0..count / size {
                            let inputs = black_box(&INPUTS[batch * size % CALLS..][..size]);
                            session.predict_batch(inputs, &mut outputs).unwrap();
                            black_box(&outputs);
                        }
                    })
                }
            }
        };
        Self {
            backend: form.backend,
            model: form.model,
            uri: Some(form.uri.clone()),
            make: Box::new(make),
            answer: Box::new(move |inputs| another.session().unwrap().predict(inputs).unwrap()),
        }
    }

    /// Called as a function; a batch is nothing else to it.
    pub(crate) fn floor(network: &Network) -> Self {
        let floor = Arc::new(Floor::of(network));
        let another = Arc::clone(&floor);
        let make = move |_| -> Work {
            let (floor, rows) = (Arc::clone(&floor), single_precision());
            Box::new(move |count| {
                for call in 0..count {
                    black_box(floor.run(black_box(&rows[call % CALLS])));
                }
            })
        };
        Self {
            backend: "floor",
            model: "by hand",
            uri: None,
            make: Box::new(make),
            answer: Box::new(move |inputs| widened(another.run(&narrowed(inputs)))),
        }
    }

    /// The kernel of dense alone, with one of the sets of instructions that this CPU has.
    pub(crate) fn kernel(network: &Network, isa: Isa) -> Self {
        let kernel = Kernel::new(5, steps(network)).unwrap();
        let another = kernel.clone();
        let make = move |way| -> Work {
            let (mut runner, rows) = (kernel.runner(isa), single_precision());
            let mut outputs = [0.0; 3 * CALLS];
            match way {
                Way::OneByOne => Box::new(move |count| {
                    for call in 0..count {
                        runner.run(black_box(&rows[call % CALLS]), &mut outputs[..3]);
                        black_box(&outputs);
                    }
                }),
                Way::Batches(size) => Box::new(move |count| {
                    for batch in 0..count / size {
                        let inputs = black_box(&rows[batch * size % CALLS..][..size]);
                        runner.run_batch(inputs.as_flattened(), &mut outputs[..3 * size]);
                        black_box(&outputs);
                    }
                }),
            }
        };
        let answer = move |inputs: &Features| {
            let mut outputs = [0.0; 3];
            another.runner(isa).run(&narrowed(inputs), &mut outputs);
            widened(outputs)
        };
        Self {
            backend: "dense's kernel",
            model: isa.name(),
            uri: None,
            make: Box::new(make),
            answer: Box::new(answer),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.backend, self.model)
    }

    pub(crate) fn answer(&self, inputs: &Features) -> RawPrediction {
        (self.answer)(inputs)
    }

    /// With a session of its own.
    pub(crate) fn work(&self, way: Way) -> Work {
        (self.make)(way)
    }
}

fn single_precision() -> [[f32; 5]; CALLS] {
    INPUTS.each_ref().map(narrowed)
}

fn narrowed(inputs: &Features) -> [f32; 5] {
    inputs.to_array().map(|value| value as f32)
}

fn widened(outputs: [f32; 3]) -> RawPrediction {
    RawPrediction::from_array(outputs.map(f64::from))
}

/// The network as the kernel takes it.
fn steps(network: &Network) -> Vec<Step> {
    let mut steps = vec![
        Step::Add(network.input_mean.map(|mean| -mean).to_vec()),
        Step::Div(network.input_scale.to_vec()),
    ];
    for (index, layer) in network.layers.iter().enumerate() {
        if index > 0 {
            steps.push(Step::Activation(Activation::Relu));
        }
        let (weights, bias) = (layer.weights.clone(), layer.biases.clone());
        steps.push(Step::Dense(Dense { weights, bias }));
    }
    steps.push(Step::Mul(network.output_scale.to_vec()));
    steps.push(Step::Add(network.output_mean.to_vec()));
    steps.push(Step::Activation(Activation::Softplus { linear_above: 20.0 }));
    steps
}
