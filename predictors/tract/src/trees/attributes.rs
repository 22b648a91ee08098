use tract_onnx::{
    pb::{AttributeProto, NodeProto},
    prelude::*,
};

use crate::source::Source;

/// The attributes of a node, by name. Errors are reasons.
pub(super) struct Attributes<'a> {
    pub(super) source: &'a Source,
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

    /// So many integers.
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
            (Some(_), None) => self.tensor::<f64>(name, name).map(Some),
            (None, Some(_)) => self.tensor::<f64>(name, &format!("{name}_as_tensor")).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A tensor of small whole numbers.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        self.tensor::<u8>(name, name)
    }

    fn tensor<T: Datum + Copy>(&self, name: &str, attribute: &str) -> Result<Vec<T>, String> {
        let tensor = self.required(attribute)?.t.as_ref();
        let tensor = tensor.ok_or_else(|| format!("{name} is no tensor"))?;
        let read = || -> TractResult<Option<Vec<T>>> {
            let tensor = self.source.tensor(tensor)?;
            // Only a conversion that keeps each number.
            let fits = match T::datum_type() {
                DatumType::F64 => matches!(tensor.datum_type(), DatumType::F32 | DatumType::F64),
                other => tensor.datum_type() == other,
            };
            if !fits {
                return Ok(None);
            }
            let tensor = tensor.cast_to::<T>()?;
            let Some(plain) = tensor.as_plain_ram() else { return Ok(None) };
            Ok(Some(plain.as_slice::<T>()?.to_vec()))
        };
        match read() {
            Ok(Some(values)) => Ok(values),
            Ok(None) => Err(format!("{name} has another element type than expected")),
            Err(error) => Err(format!("{name} cannot be read: {error}")),
        }
    }
}

/// An error unless an array has so many items.
pub(super) fn same_length(name: &str, found: usize, expected: usize) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{name} has {found} items, expected {expected}"))
}

/// An integer as an index.
pub(super) fn index(name: &str, value: i64) -> Result<usize, String> {
    usize::try_from(value).map_err(|_| format!("{name} has {value}, which is no index"))
}
