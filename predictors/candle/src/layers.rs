use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;
use hyperfake_predictor::{Error, Feature, Output, Result};

use crate::contents::{Contents, shape, wrong_shape};

/// Layers of fewer weights are computed without a matrix product: candle asks for the number of
/// cores at each one, for which Linux has it read a file, and that takes longer than the layer
/// (see docs/adr/0030). From so many elements on candle would spread element-wise operations
/// over threads, which a call must not do.
const MATRIX_PRODUCT_FROM: usize = 64 * 1024;

/// A linear layer of the file.
#[derive(Debug)]
pub(crate) struct Layer {
    /// `[outputs, inputs]`
    pub(crate) weights: Tensor,
    /// `[outputs]`
    pub(crate) biases: Option<Tensor>,
}

impl Layer {
    /// Takes out the layers, in order. At least one; each fits the one before it, and the last
    /// has three outputs.
    pub(crate) fn take_all(contents: &mut Contents) -> Result<Vec<Self>> {
        let names = names(contents)?;
        check_gaps(&names, contents.settings.remove("layers"))?;
        let mut layers: Vec<Self> = Vec::new();
        for name in names.values() {
            let layer = Self::take(contents, name)?;
            if let Some(first) = layers.first()
                && first.biases.is_some() != layer.biases.is_some()
            {
                return Err(Error::invalid("some layers have a bias and some have none"));
            }
            if let Some(before) = layers.last()
                && before.outputs() != layer.inputs()
            {
                return Err(Error::invalid(format!(
                    "layer '{name}' takes {} inputs, but the layer before it has {} outputs; is \
                     one missing?",
                    layer.inputs(),
                    before.outputs()
                )));
            }
            layers.push(layer);
        }
        let outputs = layers.last().map_or(0, Self::outputs);
        if outputs != Output::ALL.len() {
            let expected = Output::ALL.map(Output::name).join(", ");
            return Err(Error::invalid(format!(
                "the last layer has {outputs} outputs, expected 3 ({expected})"
            )));
        }
        Ok(layers)
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weights.dims()[1]
    }

    /// From `[inputs]` to `[outputs]`.
    pub(crate) fn run(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let sums = if self.weights.elem_count() < MATRIX_PRODUCT_FROM {
            self.weights.broadcast_mul(x)?.sum(1)?
        } else {
            x.unsqueeze(0)?.matmul(&self.weights.t()?)?.squeeze(0)?
        };
        match &self.biases {
            Some(biases) => sums.add(biases),
            None => Ok(sums),
        }
    }

    fn outputs(&self) -> usize {
        self.weights.dims()[0]
    }

    fn take(contents: &mut Contents, name: &str) -> Result<Self> {
        let weights_name = format!("{name}.weight");
        let Some(weights) = contents.tensors.remove(&weights_name) else {
            return Err(Error::invalid(format!("layer '{name}' has a bias but no weight")));
        };
        let [outputs, _] = *weights.dims() else {
            let expected = "[outputs,inputs] of a linear layer";
            return Err(wrong_shape(&weights_name, &weights, expected));
        };
        let biases = contents.take_row(&format!("{name}.bias"), outputs)?;
        Ok(Self { weights, biases })
    }
}

/// The names of the layers by number, `model.0` and so on.
fn names(contents: &Contents) -> Result<BTreeMap<usize, String>> {
    let mut names = BTreeMap::new();
    let mut prefixes = BTreeSet::new();
    for tensor in contents.tensors.keys() {
        let name = tensor.strip_suffix(".weight").or_else(|| tensor.strip_suffix(".bias"));
        let Some(name) = name else { continue };
        let (prefix, number) = name.rsplit_once('.').unwrap_or(("", name));
        let Ok(number) = number.parse() else { continue };
        prefixes.insert(prefix);
        names.insert(number, name.to_owned());
    }
    if prefixes.len() > 1 {
        let prefixes = Vec::from_iter(prefixes).join("', '");
        return Err(Error::invalid(format!(
            "found layers under '{prefixes}', expected one sequence of layers"
        )));
    }
    if names.is_empty() {
        let found: Vec<_> = contents
            .tensors
            .iter()
            .take(8)
            .map(|(name, tensor)| format!("'{name}' {}", shape(tensor.dims())))
            .collect();
        return Err(Error::invalid(format!(
            "found no layer: expected tensors 'model.0.weight', 'model.0.bias' and so on, the \
             first with 1 to {} inputs; there are {}",
            Feature::ALL.len(),
            if found.is_empty() { "none".to_owned() } else { found.join(", ") }
        )));
    }
    Ok(names)
}

/// Between two layers stand activations and the like, usually as many each time: where there is
/// room for a whole layer more, one is probably missing, and the layers beside it may fit nevertheless.
fn check_gaps(names: &BTreeMap<usize, String>, stated: Option<String>) -> Result<()> {
    if let Some(stated) = stated {
        if stated.trim().parse() == Ok(names.len()) {
            return Ok(());
        }
        return Err(Error::invalid(format!(
            "found {} layers, but hyperfake.layers in the metadata is '{stated}'",
            names.len()
        )));
    }
    let numbers: Vec<_> = names.keys().copied().collect();
    let gaps = || numbers.windows(2).map(|pair| pair[1] - pair[0]);
    let Some(usual) = gaps().min() else { return Ok(()) };
    let Some(at) = gaps().position(|gap| gap > usual && gap % usual == 0 && usual > 1) else {
        return Ok(());
    };
    let (before, after) = (&names[&numbers[at]], &names[&numbers[at + 1]]);
    Err(Error::invalid(format!(
        "a layer seems to be missing between '{before}' and '{after}'; if not, state \
         hyperfake.layers = {} in the metadata",
        names.len()
    )))
}
