use candle_core::Tensor;
use hyperfake_predictor::Error;
use strum::{EnumString, IntoStaticStr, VariantNames};

/// The function between the layers, and at the end. As in PyTorch, with its default parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = unknown)]
pub enum Activation {
    /// `identity`: x
    Identity,
    /// `relu`: max(x, 0)
    Relu,
    /// `leaky_relu`: x, or 0.01 x below 0
    LeakyRelu,
    /// `elu`: x, or exp(x) - 1 below 0
    Elu,
    /// `gelu`: x Φ(x), by the error function
    Gelu,
    /// `gelu_tanh`: the same, by PyTorch's approximation with tanh
    GeluTanh,
    /// `silu`: x sigmoid(x)
    Silu,
    /// `tanh`
    Tanh,
    /// `sigmoid`: 1 / (1 + exp(-x))
    Sigmoid,
    /// `softplus`: ln(1 + exp(x)), or x above 20
    Softplus,
}

/// Above it a softplus is the identity in single precision, and its `exp` would overflow.
const SOFTPLUS_THRESHOLD: f64 = 20.0;

const LEAKY_SLOPE: f64 = 0.01;

impl Activation {
    /// The name used in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Applies it to each element.
    pub(crate) fn apply(self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Relu => x.relu(),
            Self::LeakyRelu => x.relu()? - (x.neg()?.relu()? * LEAKY_SLOPE)?,
            Self::Elu => x.elu(1.0),
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
            Self::Silu => x.silu(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => (x.neg()?.exp()? + 1.0)?.recip(),
            Self::Softplus => {
                let positive = (x.exp()? + 1.0)?.log()?;
                x.gt(SOFTPLUS_THRESHOLD)?.where_cond(x, &positive)
            }
        }
    }
}

fn unknown(name: &str) -> Error {
    let known = Activation::VARIANTS.join(", ");
    Error::invalid(format!("found '{name}', expected one of {known}"))
}

#[cfg(test)]
mod tests {
    use std::f64;

    use candle_core::Device;

    use super::*;

    /// Worked out with PyTorch's definitions in double precision.
    const AT: [f32; 6] = [-100.0, -2.0, 0.0, 0.5, 3.0, 100.0];
    const EXPECTED: [(&str, [f64; 6]); 10] = [
        ("identity", [-100.0, -2.0, 0.0, 0.5, 3.0, 100.0]),
        ("relu", [0.0, 0.0, 0.0, 0.5, 3.0, 100.0]),
        ("leaky_relu", [-1.0, -0.02, 0.0, 0.5, 3.0, 100.0]),
        ("elu", [-1.0, -0.864_664_717, 0.0, 0.5, 3.0, 100.0]),
        ("gelu", [0.0, -0.045_500_264, 0.0, 0.345_731_231, 2.995_950_306, 100.0]),
        ("gelu_tanh", [0.0, -0.045_402_306, 0.0, 0.345_714_010, 2.996_362_607, 100.0]),
        ("silu", [0.0, -0.238_405_844, 0.0, 0.311_229_666, 2.857_722_380, 100.0]),
        ("tanh", [-1.0, -0.964_027_580, 0.0, 0.462_117_157, 0.995_054_754, 1.0]),
        ("sigmoid", [0.0, 0.119_202_922, 0.5, 0.622_459_331, 0.952_574_127, 1.0]),
        ("softplus", [0.0, 0.126_928_011, f64::consts::LN_2, 0.974_076_984, 3.048_587_352, 100.0]),
    ];

    #[test]
    fn each_activation_is_what_pytorch_computes() {
        let x = Tensor::new(&AT, &Device::Cpu).unwrap();
        for (name, expected) in EXPECTED {
            let found = name.parse::<Activation>().unwrap().apply(&x).unwrap();
            let found = found.to_vec1::<f32>().unwrap();
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((f64::from(found) - expected).abs() < 1e-6, "{name}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "swish".parse::<Activation>().unwrap_err().to_string();
        assert!(error.contains("'swish'") && error.contains("gelu_tanh, silu"), "{error}");
    }
}
