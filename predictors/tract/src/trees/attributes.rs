use hyperfake_predictor_onnx::{
    numbers,
    pb::{AttributeProto, NodeProto, tensor_proto::DataType},
};

/// The attributes of a node, by name. Errors are reasons.
pub(super) struct Attributes<'a> {
    pub(super) node: &'a NodeProto,
}

impl<'a> Attributes<'a> {
    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    fn required(&self, name: &str) -> Result<&'a AttributeProto, String> {
        self.find(name).ok_or_else(|| format!("it has no {name}"))
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.find(name).map(|attribute| attribute.i)
    }

    /// Empty when there is none.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, String> {
        let text = self.find(name).map_or(&[][..], |attribute| &attribute.s);
        str::from_utf8(text).map_err(|_| format!("{name} is not text"))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a [u8]>, String> {
        Ok(self.required(name)?.strings.iter().map(Vec::as_slice).collect())
    }

    pub(super) fn ints(&self, name: &str) -> Result<&'a [i64], String> {
        Ok(&self.required(name)?.ints)
    }

    /// Exactly `count` integers.
    pub(super) fn ints_of(&self, name: &str, count: usize) -> Result<&'a [i64], String> {
        let ints = self.ints(name)?;
        same_length(name, ints.len(), count)?;
        Ok(ints)
    }

    /// Whether NaN counts as true, for each node.
    pub(super) fn missing(&self, count: usize) -> Result<Vec<bool>, String> {
        let name = "nodes_missing_value_tracks_true";
        match self.find(name) {
            None => Ok(vec![false; count]),
            Some(attribute) if attribute.ints.is_empty() => Ok(vec![false; count]),
            Some(attribute) => {
                same_length(name, attribute.ints.len(), count)?;
                Ok(attribute.ints.iter().map(|value| *value != 0).collect())
            }
        }
    }

    pub(super) fn targets(&self) -> Result<usize, String> {
        index("n_targets", self.required("n_targets")?.i)
    }

    /// Numbers that single precision holds, from floats or from a tensor of the same name or with
    /// `_as_tensor` behind it.
    pub(super) fn floats(&self, name: &str) -> Result<Vec<f32>, String> {
        let single = |double: f64| {
            let single = double as f32;
            if f64::from(single) == double || double.is_nan() {
                return Ok(single);
            }
            Err(format!("{name} has {double}, which single precision does not hold"))
        };
        self.doubles_of(name)?
            .ok_or_else(|| format!("it has no {name}"))?
            .into_iter()
            .map(single)
            .collect()
    }

    /// The same in double precision; none when there is no such attribute.
    pub(super) fn doubles(&self, name: &str) -> Result<Vec<f64>, String> {
        Ok(self.doubles_of(name)?.unwrap_or_default())
    }

    fn doubles_of(&self, name: &str) -> Result<Option<Vec<f64>>, String> {
        let as_tensor = self.find(&format!("{name}_as_tensor"));
        match (self.find(name), as_tensor) {
            (Some(_), Some(_)) => Err(format!("it has {name} and {name}_as_tensor")),
            (Some(attribute), None) if attribute.t.is_none() => {
                Ok(Some(attribute.floats.iter().map(|float| f64::from(*float)).collect()))
            }
            (Some(_), None) => self.tensor(name, name, FLOATS).map(Some),
            (None, Some(_)) => self.tensor(name, &format!("{name}_as_tensor"), FLOATS).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A tensor of small whole numbers.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        let values = self.tensor(name, name, &[DataType::Uint8])?;
        Ok(values.into_iter().map(|value| value as u8).collect())
    }

    fn tensor(
        &self,
        name: &str,
        attribute: &str,
        expected: &[DataType],
    ) -> Result<Vec<f64>, String> {
        let tensor = self.required(attribute)?.t.as_ref();
        let tensor = tensor.ok_or_else(|| format!("{name} is not a tensor"))?;
        let read = numbers(tensor).map_err(|reason| format!("{name} {reason}"))?;
        if !expected.contains(&read.element) {
            return Err(format!("{name} has another element type than expected"));
        }
        Ok(read.values)
    }
}

/// The element types of tensors of numbers.
const FLOATS: &[DataType] = &[DataType::Float, DataType::Double];

/// An error unless an array has the expected number of items.
pub(super) fn same_length(name: &str, found: usize, expected: usize) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{name} has {found} items, expected {expected}"))
}

/// An integer as an index.
pub(super) fn index(name: &str, value: i64) -> Result<usize, String> {
    usize::try_from(value).map_err(|_| format!("{name} has {value}, which is not an index"))
}
