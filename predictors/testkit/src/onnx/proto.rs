//! The messages of onnx.proto (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>), with the
//! fields that [`super::Model`] writes. The format is proto2: scalars are optional, and repeated
//! numbers are not packed.

use prost::Message;

/// `TensorProto.DataLocation.EXTERNAL`
pub(super) const EXTERNAL: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(int64, optional, tag = 1)]
    pub(super) ir_version: Option<i64>,
    #[prost(string, optional, tag = 2)]
    pub(super) producer_name: Option<String>,
    #[prost(message, optional, tag = 7)]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = 8)]
    pub(super) opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = 14)]
    pub(super) metadata_props: Vec<Property>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSet {
    #[prost(string, optional, tag = 1)]
    pub(super) domain: Option<String>,
    #[prost(int64, optional, tag = 2)]
    pub(super) version: Option<i64>,
}

/// `StringStringEntryProto`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Property {
    #[prost(string, optional, tag = 1)]
    pub(super) key: Option<String>,
    #[prost(string, optional, tag = 2)]
    pub(super) value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = 1)]
    pub(super) node: Vec<Node>,
    #[prost(string, optional, tag = 2)]
    pub(super) name: Option<String>,
    #[prost(message, repeated, tag = 5)]
    pub(super) initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = 11)]
    pub(super) input: Vec<Value>,
    #[prost(message, repeated, tag = 12)]
    pub(super) output: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = 1)]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = 2)]
    pub(super) output: Vec<String>,
    #[prost(string, optional, tag = 3)]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = 4)]
    pub(super) op_type: Option<String>,
    #[prost(message, repeated, tag = 5)]
    pub(super) attribute: Vec<Attribute>,
    #[prost(string, optional, tag = 7)]
    pub(super) domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, optional, tag = 1)]
    pub(super) name: Option<String>,
    #[prost(float, optional, tag = 2)]
    pub(super) f: Option<f32>,
    #[prost(int64, optional, tag = 3)]
    pub(super) i: Option<i64>,
    #[prost(bytes, optional, tag = 4)]
    pub(super) s: Option<Vec<u8>>,
    #[prost(message, optional, tag = 5)]
    pub(super) t: Option<Tensor>,
    #[prost(float, repeated, packed = "false", tag = 7)]
    pub(super) floats: Vec<f32>,
    #[prost(int64, repeated, packed = "false", tag = 8)]
    pub(super) ints: Vec<i64>,
    #[prost(bytes, repeated, tag = 9)]
    pub(super) strings: Vec<Vec<u8>>,
    /// `AttributeType`: 1 float, 2 int, 3 string, 4 tensor, 6 floats, 7 ints, 8 strings.
    #[prost(int32, optional, tag = 20)]
    pub(super) r#type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = 1)]
    pub(super) dims: Vec<i64>,
    #[prost(int32, optional, tag = 2)]
    pub(super) data_type: Option<i32>,
    #[prost(string, optional, tag = 8)]
    pub(super) name: Option<String>,
    #[prost(bytes, optional, tag = 9)]
    pub(super) raw_data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = 13)]
    pub(super) external_data: Vec<Property>,
    #[prost(int32, optional, tag = 14)]
    pub(super) data_location: Option<i32>,
}

/// `ValueInfoProto`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, optional, tag = 1)]
    pub(super) name: Option<String>,
    #[prost(message, optional, tag = 2)]
    pub(super) r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Type {
    #[prost(message, optional, tag = 1)]
    pub(super) tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, optional, tag = 1)]
    pub(super) elem_type: Option<i32>,
    #[prost(message, optional, tag = 2)]
    pub(super) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = 1)]
    pub(super) dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dimension {
    #[prost(int64, optional, tag = 1)]
    pub(super) dim_value: Option<i64>,
    #[prost(string, optional, tag = 2)]
    pub(super) dim_param: Option<String>,
}
