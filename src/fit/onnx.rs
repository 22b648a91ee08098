//! A trained network as an ONNX file.

use hyperfake_predictor::{Output, Result};
use hyperfake_predictor_trainer::Layer;
use hyperfake_predictor_writer::{Attribute, Dim, Model};

use super::{
    calibration::Shifts,
    network::{Head, Network},
    samples::{Samples, Target},
    score::LEVELS,
};

/// The file: an input `[N, features]`, an output `[N, 3 * levels]`, and what has to be said about both as
/// metadata. `shifts` are added to the logarithms.
pub(super) fn onnx(
    network: &Network,
    samples: &Samples,
    shifts: &Shifts,
    settings: &[(String, String)],
) -> Result<Vec<u8>> {
    let columns = samples.columns.len() as i64;
    let low: Vec<f32> = samples.columns.iter().map(|one| one.range.low() as f32).collect();
    let width: Vec<f32> =
        samples.columns.iter().map(|one| (one.range.high() - one.range.low()) as f32).collect();
    let mut chain = Chain {
        model: Model::new()
            .input("input", &[Dim::Named("calls"), Dim::Fixed(columns)])
            .initializer("least", &[columns], &low)
            .initializer("width", &[columns], &width)
            .initializer("zero", &[], &[0.0_f32])
            .initializer("one", &[], &[1.0_f32]),
        value: "input".to_owned(),
    };
    chain.then("Sub", "above", &["least"], &[]);
    chain.then("Div", "scaled", &["width"], &[]);
    chain.then("Clip", "inside", &["zero", "one"], &[]);
    chain.dense("steps", &network.steps);
    chain.then("Tanh", "basis", &[], &[]);
    let last = network.layers.len() - 1;
    for (index, layer) in network.layers.iter().enumerate() {
        if index == last {
            chain.dense("numbers", &doubled(layer));
        } else {
            chain.dense(&format!("hidden_{index}"), layer);
            chain.then("Relu", &format!("relu_{index}"), &[], &[]);
        }
    }
    chain.then("Softplus", "gaps", &[], &[]);
    chain.dense("places", &places(network, shifts));
    chain.then("Clip", "inside_range", &["zero", "one"], &[]);
    let ranges = Output::ALL.map(|output| head(network, output).map_or(0.0, width_of));
    chain.scale("logs_over_least", "range", ranges);
    chain.then("Exp", "over_least", &[], &[]);
    let least = Output::ALL.map(|output| {
        match (head(network, output), &samples.targets[output as usize]) {
            (Some(head), _) => libm::exp(head.range[0]),
            (None, Target::Same(number)) => *number,
            (None, Target::Logs(_)) => 0.0,
        }
    });
    chain.scale("output", "least_of_range", least);
    let outputs = Dim::Fixed((Output::ALL.len() * LEVELS.len()) as i64);
    let mut model = chain.model.output("output", &[Dim::Named("calls"), outputs]);
    for (name, value) in settings {
        model = model.metadata(&format!("hyperfake.{name}"), value);
    }
    Ok(model.to_bytes())
}

/// The last layer, with the opposite of each median beside it: the softplus that follows is undone by
/// taking one off the other.
fn doubled(layer: &Layer<f64>) -> Layer<f64> {
    let mut doubled = Layer { weights: Vec::new(), bias: Vec::new() };
    for (index, (row, bias)) in layer.rows().enumerate() {
        doubled.weights.extend(row);
        doubled.bias.push(*bias);
        if index % LEVELS.len() == 0 {
            doubled.weights.extend(row.iter().map(|weight| -weight));
            doubled.bias.push(-bias);
        }
    }
    doubled
}

/// From medians and gaps to where all quantiles are in the range of their output: 0 for the least and 1 for
/// the greatest logarithm that was learned from.
fn places(network: &Network, shifts: &Shifts) -> Layer<f64> {
    let sums = network.quantile_heads().sums();
    let numbers = LEVELS.len() + 1;
    let mut layer = Layer { weights: Vec::new(), bias: Vec::new() };
    for output in Output::ALL {
        let index = network.heads.iter().position(|head| head.output == output);
        for (level, sum) in sums.iter().enumerate() {
            let mut row = vec![0.0; numbers * network.heads.len()];
            let mut bias = 0.0;
            if let Some(index) = index {
                let head = &network.heads[index];
                let parts = row[index * numbers..].iter_mut().zip(sum);
                parts.for_each(|(place, part)| *place = head.scale * part / width_of(head));
                bias = (head.centre + shifts.of(output)[level] - head.range[0]) / width_of(head);
            }
            layer.weights.extend(row);
            layer.bias.push(bias);
        }
    }
    layer
}

fn head(network: &Network, output: Output) -> Option<&Head> {
    network.heads.iter().find(|head| head.output == output)
}

/// From the least to the greatest logarithm.
fn width_of(head: &Head) -> f64 {
    (head.range[1] - head.range[0]).max(1e-6)
}

/// A model in the making, each node of which takes what the one before it gives.
struct Chain {
    model: Model,
    value: String,
}

impl Chain {
    fn then(
        &mut self,
        op: &str,
        output: &str,
        constants: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) {
        let inputs: Vec<&str> =
            [self.value.as_str()].into_iter().chain(constants.iter().copied()).collect();
        let model = std::mem::take(&mut self.model);
        self.model = model.node(op, &inputs, &[output], attributes);
        self.value = output.to_owned();
    }

    /// Multiplies all levels of each output with one number.
    fn scale(&mut self, output: &str, name: &str, numbers: [f64; 3]) {
        let numbers: Vec<f32> =
            numbers.iter().flat_map(|number| [*number as f32; LEVELS.len()]).collect();
        let model = std::mem::take(&mut self.model);
        self.model = model.initializer(name, &[numbers.len() as i64], &numbers);
        self.then("Mul", output, &[name], &[]);
    }

    fn dense(&mut self, name: &str, layer: &Layer<f64>) {
        let round = |numbers: &[f64]| numbers.iter().map(|one| *one as f32).collect::<Vec<_>>();
        let (weights, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let (inputs, outputs) = (layer.inputs() as i64, layer.outputs() as i64);
        let model = std::mem::take(&mut self.model);
        self.model = model
            .initializer(&weights, &[outputs, inputs], &round(&layer.weights))
            .initializer(&bias, &[outputs], &round(&layer.bias));
        self.then("Gemm", name, &[&weights, &bias], &[("transB", Attribute::Int(1))]);
    }
}
