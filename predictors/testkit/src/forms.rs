//! The forms in which ONNX files give and take the same numbers: what every engine for them serves.

use hyperfake_predictor::Features;

use crate::onnx::{DataType, Dim, Model};

/// A model in one of the forms, and what it answers.
#[derive(Debug)]
pub struct Form {
    /// What is special about it.
    pub name: &'static str,
    /// The model.
    pub model: Model,
    /// The parameters of its URI.
    pub parameters: &'static str,
    /// What it answers to [`FEATURES`].
    pub expected: [f64; 3],
}

/// The features at which the expected answers were worked out.
pub const FEATURES: [f64; 5] = [64.0, 2.0, 3.0, 1.5, 128.0];

/// 100 x 64 + 10 x 2 + 3, 0.5 x 1.5, and 2 x 128 + 1.
pub const EXPECTED: [f64; 3] = [6423.0, 0.75, 257.0];

/// The same when the 1.5 cores were rounded to 2.
const EXPECTED_OF_WHOLE_NUMBERS: [f64; 3] = [6423.0, 1.0, 257.0];

/// A column for each output, a row for each input.
const WEIGHTS: [[f32; 3]; 5] =
    [[100.0, 0.0, 0.0], [10.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 2.0]];
const BIAS: [f32; 3] = [0.0, 0.0, 1.0];

const ONE: Dim<'_> = Dim::Fixed(1);
const FREE: Dim<'_> = Dim::Unknown;

impl Form {
    /// The features to ask with.
    #[must_use]
    pub fn features() -> Features {
        Features::from_array(FEATURES)
    }

    /// All forms.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut forms = inputs();
        forms.extend(outputs());
        forms
    }
}

fn form(name: &'static str, model: Model) -> Form {
    Form { name, model, parameters: "response=echo", expected: EXPECTED }
}

/// `x` times the weights plus the bias, as `y`.
fn layer(model: Model) -> Model {
    model
        .initializer("weights", &[5, 3], WEIGHTS.as_flattened())
        .initializer("bias", &[3], &BIAS)
        .node("Gemm", &["x", "weights", "bias"], &["y"], &[])
}

fn inputs() -> Vec<Form> {
    let shaped = |name, dims: &[Dim<'_>]| {
        let model = Model::new().input("input", dims).initializer("row", &[2], &[1_i64, 5]);
        let model = layer(model.node("Reshape", &["input", "row"], &["x"], &[]));
        form(name, model.output("y", &[ONE, Dim::Fixed(3)]))
    };
    let typed = |name, element| {
        let model = Model::new().input_of(element, "input", &[FREE, Dim::Fixed(5)]);
        let model = layer(model.node("Cast", &["input"], &["x"], &[("to", 1.into())]));
        form(name, model.output("y", &[FREE, Dim::Fixed(3)]))
    };
    let whole = |form: Form| Form { expected: EXPECTED_OF_WHOLE_NUMBERS, ..form };
    let named = ["worker_ram_usage", "worker_cpu_cores", "active_calls", "request_bytes"];
    let columns = named.iter().fold(Model::new(), |model, name| model.input(name, &[FREE, ONE]));
    let columns = columns.input("function_instances", &[FREE, ONE]).node(
        "Concat",
        &["request_bytes", "function_instances", "active_calls", "worker_cpu_cores", named[0]],
        &["x"],
        &[("axis", 1.into())],
    );
    let free = Model::new().input("x", &[FREE, FREE]);
    vec![
        form("an input for each feature", layer(columns).output("y", &[FREE, Dim::Fixed(3)])),
        Form {
            parameters: "features=request_bytes,function_instances,active_calls,worker_cpu_cores,\
                         worker_ram_bytes",
            ..form("an input of unknown width", layer(free).output("y", &[FREE, Dim::Fixed(3)]))
        },
        shaped("an input without rows", &[Dim::Fixed(5)]),
        shaped("an input of three dimensions", &[ONE, ONE, Dim::Fixed(5)]),
        typed("a double input", DataType::Double),
        typed("a float16 input", DataType::Float16),
        whole(typed("an int64 input", DataType::Int64)),
        whole(typed("an int32 input", DataType::Int32)),
    ]
}

fn outputs() -> Vec<Form> {
    let whole = || layer(Model::new().input("x", &[ONE, Dim::Fixed(5)]));
    let shaped = |name, shape: &[i64]| {
        let dims: Vec<_> = shape.iter().map(|size| Dim::Fixed(*size)).collect();
        let model = whole().initializer("shape", &[shape.len() as i64], shape);
        let model = model.node("Reshape", &["y", "shape"], &["z"], &[]);
        form(name, model.output("z", &dims))
    };
    let typed = |name, element: DataType, expected| {
        let to = (element as i64).into();
        let model = whole().node("Cast", &["y"], &["z"], &[("to", to)]);
        Form { expected, ..form(name, model.output_of(element, "z", &[ONE, Dim::Fixed(3)])) }
    };
    let three = |name, names: [&str; 3], dims: &[Dim<'_>]| {
        let shape = vec![1_i64; dims.len()];
        let model = Model::new().input("x", &[ONE, Dim::Fixed(5)]);
        let model = model.initializer("shape", &[shape.len() as i64], &shape);
        let model = (0..3).fold(model, |model, output| {
            let (weights, bias) = (format!("weights_{output}"), format!("bias_{output}"));
            let row = format!("row_{output}");
            model
                .initializer(&weights, &[5, 1], &WEIGHTS.map(|row| row[output]))
                .initializer(&bias, &[1], &[BIAS[output]])
                .node("Gemm", &["x", &weights, &bias], &[&row], &[])
                .node("Reshape", &[&row, "shape"], &[names[output]], &[])
        });
        // Declared in another order than the outputs of a prediction.
        let declared = [2, 0, 1].map(|output| names[output]);
        form(name, declared.iter().fold(model, |model, name| model.output(name, dims)))
    };
    vec![
        shaped("an output without rows", &[3]),
        shaped("a column as output", &[3, 1]),
        shaped("an output of three dimensions", &[1, 1, 3]),
        shaped("a column of three dimensions", &[1, 3, 1]),
        typed("a double output", DataType::Double, EXPECTED),
        // Between 4,096 and 8,192 a float16 is a multiple of 4.
        typed("a float16 output", DataType::Float16, [6424.0, 0.75, 257.0]),
        typed("an int64 output", DataType::Int64, [6423.0, 0.0, 257.0]),
        typed("an int32 output", DataType::Int32, [6423.0, 0.0, 257.0]),
        three("three outputs by name", ["runtime_ns", "cpu_cores", "ram_bytes"], &[ONE, ONE]),
        three("three numbers by name", ["runtime_ns", "cpu_cores", "ram_bytes"], &[]),
        three(
            "three outputs by the names of HyperFaaS's training data",
            ["function_processing_time_ns", "function_cpu_usage", "function_ram_usage"],
            &[ONE],
        ),
    ]
}
