/// One layer: `outputs = weights * inputs + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer<T> {
    /// Shape `[outputs, inputs]`, row by row.
    pub weights: Vec<T>,
    /// Shape `[outputs]`.
    pub bias: Vec<T>,
}

impl<T: Clone> Layer<T> {
    /// A layer with the same number everywhere.
    pub fn filled(inputs: usize, outputs: usize, value: T) -> Self {
        Self { weights: vec![value.clone(); inputs * outputs], bias: vec![value; outputs] }
    }

    /// How many numbers go in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.weights.len() / self.bias.len()
    }

    /// How many numbers come out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// The weights of each output with its bias.
    pub fn rows(&self) -> impl Iterator<Item = (&[T], &T)> {
        self.weights.chunks(self.inputs()).zip(&self.bias)
    }
}

/// What layers with rectifiers between them answer to these inputs.
#[must_use]
pub fn answer(layers: &[Layer<f64>], inputs: &[f64]) -> Vec<f64> {
    let mut values = inputs.to_vec();
    for (index, layer) in layers.iter().enumerate() {
        if index > 0 {
            values.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let sum = |row: &[f64]| row.iter().zip(&values).map(|(w, x)| w * x).sum::<f64>();
        values = layer.rows().map(|(row, bias)| bias + sum(row)).collect();
    }
    values
}
