//! A trained network as an ONNX file.

use hyperfake_predictor::{Output, Result};
use hyperfake_predictor_trainer::Layer;
use hyperfake_predictor_writer::{Attribute, Dim, Model};

use super::{
    calibration::{Shifts, Terciles},
    network::{Head, Network},
    samples::{Column, Samples, Target},
    score::LEVELS,
};

/// The file: an input `[N, features]`, an output `[N, 3 * levels]`, and what has to be said about both as
/// metadata. `shifts` are added to the logarithms, by the tercile of the load that a call is in: two more units of
/// each layer carry it.
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
    let loads = Terciles::of(samples).map_or(Vec::new(), |terciles| loads(samples, &terciles));
    chain.dense("steps", &with_loads(&network.steps, &loads));
    chain.then("Tanh", "basis", &[], &[]);
    let last = network.layers.len() - 1;
    for (index, layer) in network.layers.iter().enumerate() {
        // From -1 and 1 to 0 and 1 first, which the rectifiers leave as they are.
        let (weight, bias) = if index == 0 { (0.5, 0.5) } else { (1.0, 0.0) };
        let passed_on = |layer| passed_on(layer, loads.len(), weight, bias);
        if index == last {
            chain.dense("numbers", &passed_on(&doubled(layer)));
        } else {
            chain.dense(&format!("hidden_{index}"), &passed_on(layer));
            chain.then("Relu", &format!("relu_{index}"), &[], &[]);
        }
    }
    chain.then("Softplus", "gaps", &[], &[]);
    chain.dense("places", &places(network, shifts, loads.len()));
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

/// Two steps from -1 to 1, where the load leaves the first and the second tercile: the centre and half of the
/// width of each, and which input it is along.
fn loads(samples: &Samples, terciles: &Terciles) -> Vec<(usize, f64, f64)> {
    /// In half of its width it goes from the middle to all but a ten-thousandth of the end.
    const STEEP: f64 = 5.0;
    let Column { values, range, .. } = &samples.columns[terciles.column];
    let scaled = |load: f64| (load - range.low()) / (range.high() - range.low());
    let step = |bound: f64| {
        let above =
            values.iter().copied().filter(|load| *load > bound).fold(f64::INFINITY, f64::min);
        // No call has a greater load than the greatest.
        let above = if above.is_finite() { scaled(above) } else { 2.0 };
        let bound = scaled(bound);
        (terciles.column, f64::midpoint(bound, above), (above - bound) / (2.0 * STEEP))
    };
    terciles.bounds.map(step).to_vec()
}

/// The steps of the network, and those of the load behind them.
fn with_loads(steps: &Layer<f64>, loads: &[(usize, f64, f64)]) -> Layer<f64> {
    let mut layer = steps.clone();
    for (column, centre, width) in loads {
        let inputs = steps.inputs();
        layer
            .weights
            .extend((0..inputs).map(|index| if index == *column { 1.0 / width } else { 0.0 }));
        layer.bias.push(-centre / width);
    }
    layer
}

/// A layer that, beside what it works out, passes on what so many inputs behind its own say, each multiplied
/// with a weight and added to a bias.
fn passed_on(layer: &Layer<f64>, count: usize, weight: f64, bias: f64) -> Layer<f64> {
    let mut all = Layer { weights: Vec::new(), bias: layer.bias.clone() };
    for (row, _) in layer.rows() {
        all.weights.extend(row);
        all.weights.extend(std::iter::repeat_n(0.0, count));
    }
    let inputs = layer.inputs();
    for place in inputs..inputs + count {
        let row = (0..inputs + count).map(|index| if index == place { weight } else { 0.0 });
        all.weights.extend(row);
        all.bias.push(bias);
    }
    all
}

/// From medians, gaps and the steps of the load to where all quantiles are in the range of their output: 0
/// for the least and 1 for the greatest logarithm of all calls.
fn places(network: &Network, shifts: &Shifts, loads: usize) -> Layer<f64> {
    // What a softplus makes of 0 and of 1.
    let (zero, one) = (std::f64::consts::LN_2, libm::log1p(std::f64::consts::E));
    let sums = network.quantile_heads().sums();
    let numbers = LEVELS.len() + 1;
    let mut layer = Layer { weights: Vec::new(), bias: Vec::new() };
    for output in Output::ALL {
        let index = network.heads.iter().position(|head| head.output == output);
        for (level, sum) in sums.iter().enumerate() {
            let mut row = vec![0.0; numbers * network.heads.len() + loads];
            let mut bias = 0.0;
            if let Some(index) = index {
                let head = &network.heads[index];
                let parts = row[index * numbers..].iter_mut().zip(sum);
                parts.for_each(|(place, part)| *place = head.scale * part / width_of(head));
                let [shift, second, third] = shifts.of(output).map(|shifts| shifts[level]);
                bias = head.centre + shift - head.range[0];
                let steps = row[numbers * network.heads.len()..].iter_mut();
                for (place, more) in steps.zip([second - shift, third - second]) {
                    let slope = more / (one - zero);
                    *place = slope / width_of(head);
                    bias -= slope * zero;
                }
                bias /= width_of(head);
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
