use candle_core::{Device, Tensor};
use hyperfake_predictor::{Error, Output, Range, Result};

use crate::{
    activation::Activation,
    contents::{Contents, failed, shape},
    layers::Layer,
};

/// Scaled inputs, layers with activations between them, outputs scaled back.
#[derive(Debug)]
pub(crate) struct Network {
    input_mean: Option<Tensor>,
    input_scale: Option<Tensor>,
    layers: Vec<Layer>,
    activation: Activation,
    output_scale: Option<Tensor>,
    output_mean: Option<Tensor>,
    output_activation: Activation,
}

impl Network {
    /// Takes all tensors and the metadata that describes them out of a file; what is left there
    /// are settings.
    pub(crate) fn take(contents: &mut Contents) -> Result<Self> {
        let activation = take_activation(contents, "activation", Activation::Relu)?;
        let output_activation =
            take_activation(contents, "output_activation", Activation::Softplus)?;
        let layers = Layer::take_all(contents)?;
        let inputs = layers[0].inputs();
        let network = Self {
            input_mean: contents.take_row("input_mean", inputs)?,
            input_scale: contents.take_row("input_scale", inputs)?,
            layers,
            activation,
            output_scale: contents.take_row("output_scale", Output::ALL.len())?,
            output_mean: contents.take_row("output_mean", Output::ALL.len())?,
            output_activation,
        };
        if let Some((name, tensor)) = contents.tensors.first_key_value() {
            let message = format!(
                "tensor '{name}' {} belongs to no linear layer, and other modules are not \
                 supported",
                shape(tensor.dims())
            );
            return Err(Error::unsupported(message));
        }
        if let Some(scale) = &network.input_scale
            && let Some(column) = numbers(scale)?.iter().position(|scale| *scale == 0.0)
        {
            let message = format!("input_scale of column {column} is 0, and is divided by");
            return Err(Error::invalid(message));
        }
        Ok(network)
    }

    /// The number of input columns.
    pub(crate) fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// The trained range of each input, from its mean and scale.
    pub(crate) fn trained(&self) -> Result<Vec<Option<Range>>> {
        let (Some(mean), Some(scale)) = (&self.input_mean, &self.input_scale) else {
            return Ok(Vec::new());
        };
        let pairs = numbers(mean)?.into_iter().zip(numbers(scale)?);
        Ok(pairs.map(|(mean, scale)| Range::around(mean.into(), scale.into())).collect())
    }

    /// The three outputs for one row of inputs.
    pub(crate) fn run(&self, row: &[f32]) -> candle_core::Result<Tensor> {
        let mut x = Tensor::from_slice(row, row.len(), &Device::Cpu)?;
        if let Some(mean) = &self.input_mean {
            x = x.sub(mean)?;
        }
        if let Some(scale) = &self.input_scale {
            x = x.div(scale)?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                x = self.activation.apply(&x)?;
            }
            x = layer.run(&x)?;
        }
        if let Some(scale) = &self.output_scale {
            x = x.mul(scale)?;
        }
        if let Some(mean) = &self.output_mean {
            x = x.add(mean)?;
        }
        self.output_activation.apply(&x)
    }
}

fn take_activation(
    contents: &mut Contents,
    name: &str,
    otherwise: Activation,
) -> Result<Activation> {
    let Some(text) = contents.settings.remove(name) else { return Ok(otherwise) };
    text.parse().map_err(|error: Error| error.at(format!("hyperfake.{name}")))
}

fn numbers(row: &Tensor) -> Result<Vec<f32>> {
    row.to_vec1().map_err(failed)
}
