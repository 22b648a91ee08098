use hyperfake_predictor_writer::{Attribute, Dim, Model};

use crate::{Law, Network, SOFTPLUS_THRESHOLD};

/// A network as an ONNX file, with the operators and names of one that was trained with PyTorch:
/// `input` `[1,5]`, `output` `[1,3]`, opset 18.
#[must_use]
pub fn onnx(law: &Law, network: &Network) -> Vec<u8> {
    let mut chain = Chain {
        model: Model::new().input("input", &[Dim::Fixed(1), Dim::Fixed(5)]),
        value: "input".to_owned(),
    }
    .then("Sub", "sub", &["input_mean"], &[])
    .then("Div", "div", &["input_scale"], &[]);
    for (index, layer) in network.layers.iter().enumerate() {
        if index > 0 {
            chain = chain.then("Relu", &format!("relu_{index}"), &[], &[]);
        }
        // A layer and its rectifier are two modules of a PyTorch model.
        let weight = format!("model.{}.weight", 2 * index);
        let bias = format!("model.{}.bias", 2 * index);
        let (inputs, outputs) = (layer.inputs() as i64, layer.outputs() as i64);
        chain.model = chain
            .model
            .initializer(&weight, &[outputs, inputs], &layer.weights)
            .initializer(&bias, &[outputs], &layer.bias);
        chain = chain.then("Gemm", &format!("linear_{index}"), &[&weight, &bias], GEMM);
    }
    chain =
        chain.then("Mul", "mul", &["output_scale"], &[]).then("Add", "add", &["output_mean"], &[]);
    // A softplus that is the value itself where that is large, as in PyTorch.
    let mut model = chain
        .model
        .node("Softplus", &["add"], &["softplus"], &[])
        .node("Greater", &["add", "softplus_threshold"], &["is_large"], &[])
        .node("Where", &["is_large", "add", "softplus"], &["output"], &[])
        .initializer("input_mean", &[5], &network.input_mean)
        .initializer("input_scale", &[5], &network.input_scale)
        .initializer("output_mean", &[3], &network.output_mean)
        .initializer("output_scale", &[3], &network.output_scale)
        .initializer("softplus_threshold", &[], &[SOFTPLUS_THRESHOLD])
        .output("output", &[Dim::Fixed(1), Dim::Fixed(3)]);
    if let Some(response) = law.response {
        model = model.metadata("hyperfake.response", response);
    }
    model.to_bytes()
}

/// `input * weight^T + bias`, with everything said that could be left out, as PyTorch does.
const GEMM: &[(&str, Attribute<'_>)] = &[
    ("alpha", Attribute::Float(1.0)),
    ("beta", Attribute::Float(1.0)),
    ("transA", Attribute::Int(0)),
    ("transB", Attribute::Int(1)),
];

/// A model in the making, each node of which takes what the one before it gives.
struct Chain {
    model: Model,
    /// What the last node gives.
    value: String,
}

impl Chain {
    fn then(
        self,
        op: &str,
        output: &str,
        constants: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Self {
        let inputs: Vec<&str> =
            [self.value.as_str()].into_iter().chain(constants.iter().copied()).collect();
        Self {
            model: self.model.node(op, &inputs, &[output], attributes),
            value: output.to_owned(),
        }
    }
}
