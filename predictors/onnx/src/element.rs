use half::f16;
use tract_onnx::pb::tensor_proto::DataType;

/// The element type of an input or output.
///
/// A feature is a finite, non-negative double. It becomes
///
/// - a `float`: the nearest one, so that whole numbers are exact up to 2^24 and correct to one part
///   in 16 million above;
/// - a `float16`: the nearest one, and 65,504, the largest, for anything above;
/// - an `int32` or `int64`: the nearest whole number, halves away from zero, and the largest one
///   for anything above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// `float`
    F32,
    /// `double`
    F64,
    /// `float16`
    F16,
    /// `int64`
    I64,
    /// `int32`
    I32,
}

impl Element {
    /// The names of all, for messages.
    pub const NAMES: &str = "float, double, float16, int64 or int32";

    /// From ONNX's number of a type.
    #[must_use]
    pub fn from_onnx(data_type: i32) -> Option<Self> {
        match DataType::try_from(data_type).ok()? {
            DataType::Float => Some(Self::F32),
            DataType::Double => Some(Self::F64),
            DataType::Float16 => Some(Self::F16),
            DataType::Int64 => Some(Self::I64),
            DataType::Int32 => Some(Self::I32),
            _ => None,
        }
    }

    /// ONNX's name of the type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::F64 => "double",
            Self::F16 => "float16",
            Self::I64 => "int64",
            Self::I32 => "int32",
        }
    }

    /// A feature as a `float16`.
    #[must_use]
    pub fn half(value: f64) -> f16 {
        let largest = f16::MAX.to_f64();
        f16::from_f64(value.clamp(-largest, largest))
    }

    /// A feature as an `int64`.
    #[must_use]
    pub fn long(value: f64) -> i64 {
        value.round() as i64
    }

    /// A feature as an `int32`.
    #[must_use]
    pub fn int(value: f64) -> i32 {
        value.round() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_beyond_a_type_becomes_its_largest_number() {
        assert_eq!(Element::half(4_194_304.0), f16::from_f32(65_504.0));
        assert_eq!(Element::int(6.4e10), i32::MAX);
        assert_eq!(Element::long(1e30), i64::MAX);
    }

    #[test]
    fn a_feature_becomes_the_nearest_whole_number() {
        assert_eq!([0.4, 0.5, 1.5, 12.25].map(Element::long), [0, 1, 2, 12]);
        assert_eq!([0.4, 0.5, 1.5, 12.25].map(Element::int), [0, 1, 2, 12]);
    }
}
