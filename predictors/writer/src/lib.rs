//! Writes ONNX files, byte for byte the same every time.
//!
//! Enough of the format for tests and for sample models: nodes, initializers, inputs, outputs and
//! metadata. The builder checks nothing, so that it can also write files that are wrong.
//!
//! ```
//! use hyperfake_predictor_writer::{Dim, Model};
//!
//! let bytes = Model::new()
//!     .input("input", &[Dim::Named("batch"), Dim::Fixed(5)])
//!     .initializer("weight", &[3, 5], &[0.5_f32; 15])
//!     .initializer("bias", &[3], &[1e6_f32, 0.25, 8e6])
//!     .node("Gemm", &["input", "weight", "bias"], &["output"], &[("transB", 1.into())])
//!     .output("output", &[Dim::Named("batch"), Dim::Fixed(3)])
//!     .metadata("hyperfake.response", "echo")
//!     .to_bytes();
//! // The first field is the IR version.
//! assert!(bytes.starts_with(&[0x08, 10]));
//! ```

use prost::Message;

pub use pb::tensor_proto::DataType;
use pb::{attribute_proto::AttributeType as Type, tensor_proto::DataLocation, tensor_shape_proto};

/// The messages of the format.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from onnx.proto")]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

/// An ONNX file in the making: opset 18, IR version 10, one graph.
///
/// Everything is written in the order in which it was added.
#[derive(Debug, Clone, PartialEq)]
pub struct Model(pb::ModelProto);

impl Model {
    /// A model with an empty graph.
    #[must_use]
    pub fn new() -> Self {
        let opset = pb::OperatorSetIdProto { domain: None, version: Some(18) };
        Self(pb::ModelProto {
            ir_version: Some(10),
            producer_name: Some("hyperfake".into()),
            graph: Some(pb::GraphProto { name: Some("main".into()), ..Default::default() }),
            opset_import: vec![opset],
            metadata_props: Vec::new(),
        })
    }

    /// Replaces the IR version.
    #[must_use]
    pub fn ir_version(mut self, version: i64) -> Self {
        self.0.ir_version = Some(version);
        self
    }

    /// Replaces the version of the standard operators.
    #[must_use]
    pub fn opset(mut self, version: i64) -> Self {
        self.0.opset_import[0].version = Some(version);
        self
    }

    /// Adds operators of another domain.
    #[must_use]
    pub fn opset_of(mut self, domain: &str, version: i64) -> Self {
        let opset = pb::OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) };
        self.0.opset_import.push(opset);
        self
    }

    /// Adds an `f32` input.
    #[must_use]
    pub fn input(self, name: &str, dims: &[Dim<'_>]) -> Self {
        self.input_of(DataType::Float, name, dims)
    }

    /// Adds an input of another element type.
    #[must_use]
    pub fn input_of(mut self, element: DataType, name: &str, dims: &[Dim<'_>]) -> Self {
        self.graph().input.push(value(element, name, dims));
        self
    }

    /// Adds an `f32` output; some node, initializer or input must have its name.
    #[must_use]
    pub fn output(self, name: &str, dims: &[Dim<'_>]) -> Self {
        self.output_of(DataType::Float, name, dims)
    }

    /// Adds an output of another element type.
    #[must_use]
    pub fn output_of(mut self, element: DataType, name: &str, dims: &[Dim<'_>]) -> Self {
        self.graph().output.push(value(element, name, dims));
        self
    }

    /// Adds a constant; no dims make it a scalar. The values are in row-major order.
    #[must_use]
    pub fn initializer<T: Element>(mut self, name: &str, dims: &[i64], values: &[T]) -> Self {
        self.graph().initializer.push(filled(name, dims, values));
        self
    }

    /// Adds an `f32` constant whose values are in a file beside the model: little-endian, from
    /// the file's first byte on. The file is the caller's to write.
    #[must_use]
    pub fn external_initializer(mut self, name: &str, dims: &[i64], file: &str) -> Self {
        let location =
            pb::StringStringEntryProto { key: Some("location".into()), value: Some(file.into()) };
        self.graph().initializer.push(pb::TensorProto {
            external_data: vec![location],
            data_location: Some(DataLocation::External.into()),
            ..tensor(DataType::Float, name, dims)
        });
        self
    }

    /// Adds a node with a standard operator. It is named after its first output.
    #[must_use]
    pub fn node(
        self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Self {
        self.node_of("", op, inputs, outputs, attributes)
    }

    /// Adds a node with an operator of another domain; see [`Model::opset_of`].
    #[must_use]
    pub fn node_of(
        mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        self.graph().node.push(pb::NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: outputs.first().map(|name| format!("node_{name}")),
            op_type: Some(op.into()),
            attribute: attributes.iter().map(|(name, value)| attribute(name, *value)).collect(),
            domain: (!domain.is_empty()).then(|| domain.into()),
        });
        self
    }

    /// Adds a pair to `metadata_props`.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        let pair = pb::StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
        self.0.metadata_props.push(pair);
        self
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    fn graph(&mut self) -> &mut pb::GraphProto {
        self.0.graph.get_or_insert_default()
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

/// One dimension of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim<'a> {
    /// This number of elements.
    Fixed(i64),
    /// Any number of elements, the same for every use of the name.
    Named(&'a str),
    /// Any number of elements.
    Unknown,
}

/// A number that can stand in an initializer.
pub trait Element: Copy {
    /// Its type.
    const TYPE: DataType;

    /// Its bytes, in the order of the file.
    fn bytes(self) -> impl IntoIterator<Item = u8>;
}

macro_rules! element {
    ($number:ty, $variant:ident) => {
        impl Element for $number {
            const TYPE: DataType = DataType::$variant;

            fn bytes(self) -> impl IntoIterator<Item = u8> {
                self.to_le_bytes()
            }
        }
    };
}

element!(f32, Float);
element!(u8, Uint8);
element!(f64, Double);
element!(i64, Int64);
element!(i32, Int32);

/// The value of a node's attribute. `From` makes one of each type that it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attribute<'a> {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// Integers.
    Ints(&'a [i64]),
    /// Floats.
    Floats(&'a [f32]),
    /// Text.
    Text(&'a str),
    /// Texts.
    Texts(&'a [&'a str]),
    /// The graph of a model: a branch or a body.
    Graph(&'a Model),
    /// A tensor of one dimension, of `float`.
    FloatTensor(&'a [f32]),
    /// A tensor of one dimension, of `double`.
    DoubleTensor(&'a [f64]),
    /// A tensor of one dimension, of `uint8`.
    ByteTensor(&'a [u8]),
}

impl From<i64> for Attribute<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f32> for Attribute<'_> {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl<'a> From<&'a [i64]> for Attribute<'a> {
    fn from(values: &'a [i64]) -> Self {
        Self::Ints(values)
    }
}

impl<'a> From<&'a str> for Attribute<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

fn attribute(name: &str, value: Attribute<'_>) -> pb::AttributeProto {
    use pb::AttributeProto as Made;
    let of =
        |kind: Type| Made { name: Some(name.into()), r#type: Some(kind.into()), ..Made::default() };
    let tensor = |tensor| Made { t: Some(tensor), ..of(Type::Tensor) };
    match value {
        Attribute::Float(f) => Made { f: Some(f), ..of(Type::Float) },
        Attribute::Int(i) => Made { i: Some(i), ..of(Type::Int) },
        Attribute::Text(s) => Made { s: Some(s.into()), ..of(Type::String) },
        Attribute::Graph(model) => Made { g: model.0.graph.clone(), ..of(Type::Graph) },
        Attribute::Floats(floats) => Made { floats: floats.to_vec(), ..of(Type::Floats) },
        Attribute::Ints(ints) => Made { ints: ints.to_vec(), ..of(Type::Ints) },
        Attribute::Texts(texts) => {
            let strings = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            Made { strings, ..of(Type::Strings) }
        }
        Attribute::FloatTensor(list) => tensor(filled("", &[list.len() as i64], list)),
        Attribute::DoubleTensor(list) => tensor(filled("", &[list.len() as i64], list)),
        Attribute::ByteTensor(list) => tensor(filled("", &[list.len() as i64], list)),
    }
}

fn filled<T: Element>(name: &str, dims: &[i64], values: &[T]) -> pb::TensorProto {
    let raw_data = values.iter().flat_map(|value| value.bytes()).collect();
    pb::TensorProto { raw_data: Some(raw_data), ..tensor(T::TYPE, name, dims) }
}

fn tensor(element: DataType, name: &str, dims: &[i64]) -> pb::TensorProto {
    pb::TensorProto {
        dims: dims.to_vec(),
        data_type: Some(element as i32),
        name: Some(name.into()),
        ..Default::default()
    }
}

fn value(element: DataType, name: &str, dims: &[Dim<'_>]) -> pb::ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |dim: &Dim<'_>| match *dim {
        Dim::Fixed(size) => Dimension { value: Some(Value::DimValue(size)) },
        Dim::Named(name) => Dimension { value: Some(Value::DimParam(name.into())) },
        Dim::Unknown => Dimension::default(),
    };
    let shape = pb::TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = pb::type_proto::Tensor { elem_type: Some(element as i32), shape: Some(shape) };
    let r#type = Some(pb::TypeProto { tensor_type: Some(tensor) });
    pb::ValueInfoProto { name: Some(name.into()), r#type }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Model {
        Model::new()
            .ir_version(9)
            .opset(17)
            .opset_of("org.example", 2)
            .input("x", &[Dim::Fixed(1), Dim::Named("n"), Dim::Unknown])
            .initializer("scalar", &[], &[20.0_f32])
            .initializer("shape", &[2], &[1_i64, -1])
            .external_initializer("w", &[5, 3], "weights.bin")
            .node_of("org.example", "Blur", &["x"], &["y"], &[("mode", "fast".into())])
            .node(
                "Trees",
                &["y"],
                &["z"],
                &[
                    ("floats", Attribute::Floats(&[0.5, -1.0])),
                    ("texts", Attribute::Texts(&["LEAF", "BRANCH_LEQ"])),
                    ("single", Attribute::FloatTensor(&[0.25])),
                    ("double", Attribute::DoubleTensor(&[0.1])),
                    ("bytes", Attribute::ByteTensor(&[0, 255])),
                ],
            )
            .output_of(DataType::Double, "y", &[Dim::Fixed(3)])
            .metadata("key", "value")
    }

    #[test]
    fn onnx_output_is_deterministic() {
        assert_eq!(sample().to_bytes(), sample().to_bytes());
    }

    #[test]
    fn what_was_written_is_read_back() {
        let bytes = sample().to_bytes();
        assert_eq!(pb::ModelProto::decode(bytes.as_slice()).unwrap(), sample().0);
    }

    /// Written out by hand from the field numbers in onnx.proto, as a check on onnx.proto.
    #[test]
    fn the_bytes_are_those_of_the_format() {
        let bytes = Model::new()
            .initializer("c", &[1], &[1.0_f32])
            .node("Relu", &["c"], &["o"], &[("a", 1.into()), ("f", 0.5.into())])
            .to_bytes();
        #[rustfmt::skip]
        let expected = [
            0x08, 10,                                             // ir_version
            0x12, 9, b'h', b'y', b'p', b'e', b'r', b'f', b'a', b'k', b'e', // producer_name
            0x3a, 66,                                             // graph
            0x0a, 43,                                             // .node
            0x0a, 1, b'c', 0x12, 1, b'o',                         // ..input, output
            0x1a, 6, b'n', b'o', b'd', b'e', b'_', b'o',          // ..name
            0x22, 4, b'R', b'e', b'l', b'u',                      // ..op_type
            0x2a, 8, 0x0a, 1, b'a', 0x18, 1, 0xa0, 0x01, 2,       // ..attribute: name, i, type
            0x2a, 11, 0x0a, 1, b'f', 0x15, 0, 0, 0, 0x3f, 0xa0, 0x01, 1, // ..attribute: name, f, type
            0x12, 4, b'm', b'a', b'i', b'n',                      // .name
            0x2a, 13,                                             // .initializer
            0x08, 1, 0x10, 1, 0x42, 1, b'c',                      // ..dims, data_type, name
            0x4a, 4, 0, 0, 0x80, 0x3f,                            // ..raw_data
            0x42, 2, 0x10, 18,                                    // opset_import: version
        ];
        assert_eq!(bytes, expected);
    }
}
