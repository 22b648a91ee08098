//! Writes ONNX files, byte for byte the same every time.
//!
//! Enough of the format for tests and for sample models: nodes, initializers, inputs, outputs and
//! metadata. The builder checks nothing, so that it can also write files that are wrong.
//!
//! ```
//! use hyperfake_predictor_testkit::onnx::{Dim, Model};
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

mod proto;

use prost::Message;

/// An ONNX file in the making: opset 18, IR version 10, one graph.
///
/// Everything is written in the order in which it was added.
#[derive(Debug, Clone, PartialEq)]
pub struct Model(proto::Model);

impl Model {
    /// A model with an empty graph.
    #[must_use]
    pub fn new() -> Self {
        let opset = proto::OperatorSet { domain: None, version: Some(18) };
        Self(proto::Model {
            ir_version: Some(10),
            producer_name: Some("hyperfake".into()),
            graph: Some(proto::Graph { name: Some("main".into()), ..Default::default() }),
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
        let opset = proto::OperatorSet { domain: Some(domain.into()), version: Some(version) };
        self.0.opset_import.push(opset);
        self
    }

    /// Adds an `f32` input.
    #[must_use]
    pub fn input(self, name: &str, dims: &[Dim<'_>]) -> Self {
        self.input_of(ElementType::F32, name, dims)
    }

    /// Adds an input of another element type.
    #[must_use]
    pub fn input_of(mut self, element: ElementType, name: &str, dims: &[Dim<'_>]) -> Self {
        self.graph().input.push(value(element, name, dims));
        self
    }

    /// Adds an `f32` output; some node, initializer or input must have its name.
    #[must_use]
    pub fn output(self, name: &str, dims: &[Dim<'_>]) -> Self {
        self.output_of(ElementType::F32, name, dims)
    }

    /// Adds an output of another element type.
    #[must_use]
    pub fn output_of(mut self, element: ElementType, name: &str, dims: &[Dim<'_>]) -> Self {
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
        let location = proto::Property { key: Some("location".into()), value: Some(file.into()) };
        self.graph().initializer.push(proto::Tensor {
            external_data: vec![location],
            data_location: Some(proto::EXTERNAL),
            ..tensor(ElementType::F32, name, dims)
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
        self.graph().node.push(proto::Node {
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
        let pair = proto::Property { key: Some(key.into()), value: Some(value.into()) };
        self.0.metadata_props.push(pair);
        self
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    fn graph(&mut self) -> &mut proto::Graph {
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

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// `float`
    F32 = 1,
    /// `uint8`
    U8 = 2,
    /// `int32`
    I32 = 6,
    /// `int64`
    I64 = 7,
    /// `bool`
    Bool = 9,
    /// `float16`
    F16 = 10,
    /// `double`
    F64 = 11,
}

/// A number that can stand in an initializer.
pub trait Element: Copy {
    /// Its type.
    const TYPE: ElementType;

    /// Its bytes, in the order of the file.
    fn bytes(self) -> impl IntoIterator<Item = u8>;
}

macro_rules! element {
    ($number:ty, $variant:ident) => {
        impl Element for $number {
            const TYPE: ElementType = ElementType::$variant;

            fn bytes(self) -> impl IntoIterator<Item = u8> {
                self.to_le_bytes()
            }
        }
    };
}

element!(f32, F32);
element!(u8, U8);
element!(f64, F64);
element!(i64, I64);
element!(i32, I32);

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

fn attribute(name: &str, value: Attribute<'_>) -> proto::Attribute {
    let empty = proto::Attribute { name: Some(name.into()), ..Default::default() };
    let tensor = |tensor| proto::Attribute { t: Some(tensor), r#type: Some(4), ..empty.clone() };
    match value {
        Attribute::FloatTensor(values) => tensor(filled("", &[values.len() as i64], values)),
        Attribute::DoubleTensor(values) => tensor(filled("", &[values.len() as i64], values)),
        Attribute::ByteTensor(values) => tensor(filled("", &[values.len() as i64], values)),
        Attribute::Floats(floats) => {
            proto::Attribute { floats: floats.to_vec(), r#type: Some(6), ..empty }
        }
        Attribute::Texts(texts) => {
            let strings = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            proto::Attribute { strings, r#type: Some(8), ..empty }
        }
        Attribute::Graph(model) => {
            proto::Attribute { g: model.0.graph.clone(), r#type: Some(5), ..empty }
        }
        Attribute::Float(f) => proto::Attribute { f: Some(f), r#type: Some(1), ..empty },
        Attribute::Int(i) => proto::Attribute { i: Some(i), r#type: Some(2), ..empty },
        Attribute::Text(s) => proto::Attribute { s: Some(s.into()), r#type: Some(3), ..empty },
        Attribute::Ints(ints) => proto::Attribute { ints: ints.to_vec(), r#type: Some(7), ..empty },
    }
}

fn filled<T: Element>(name: &str, dims: &[i64], values: &[T]) -> proto::Tensor {
    let raw_data = values.iter().flat_map(|value| value.bytes()).collect();
    proto::Tensor { raw_data: Some(raw_data), ..tensor(T::TYPE, name, dims) }
}

fn tensor(element: ElementType, name: &str, dims: &[i64]) -> proto::Tensor {
    proto::Tensor {
        dims: dims.to_vec(),
        data_type: Some(element as i32),
        name: Some(name.into()),
        ..Default::default()
    }
}

fn value(element: ElementType, name: &str, dims: &[Dim<'_>]) -> proto::Value {
    let dim = |dim: &Dim<'_>| match *dim {
        Dim::Fixed(size) => proto::Dimension { dim_value: Some(size), dim_param: None },
        Dim::Named(name) => proto::Dimension { dim_value: None, dim_param: Some(name.into()) },
        Dim::Unknown => proto::Dimension::default(),
    };
    let shape = proto::Shape { dim: dims.iter().map(dim).collect() };
    let tensor_type = proto::TensorType { elem_type: Some(element as i32), shape: Some(shape) };
    proto::Value {
        name: Some(name.into()),
        r#type: Some(proto::Type { tensor_type: Some(tensor_type) }),
    }
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
            .output_of(ElementType::F64, "y", &[Dim::Fixed(3)])
            .metadata("key", "value")
    }

    #[test]
    fn onnx_output_is_deterministic() {
        assert_eq!(sample().to_bytes(), sample().to_bytes());
    }

    #[test]
    fn what_was_written_is_read_back() {
        let bytes = sample().to_bytes();
        assert_eq!(proto::Model::decode(bytes.as_slice()).unwrap(), sample().0);
    }

    /// Written out by hand from the field numbers in onnx.proto, as a check on `proto`.
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
