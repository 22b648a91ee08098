//! Changes ONNX files so that most of them still are some: a file is read as a tree of protobuf
//! fields, one field is changed, and the tree is written with the lengths that it then has.

/// What a message is, as far as its fields are told apart.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    Leaf,
}

impl Kind {
    /// The kind of the message in a field, by the numbers in onnx.proto.
    fn of(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 8 | 14) | (Self::Tensor, 13) | (Self::Shape, 1) => Self::Leaf,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::Value,
            (Self::Node, 5) => Self::Attribute,
            (Self::Value, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Kind, Vec<Field>),
}

pub(crate) fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed) << 1 | 1);
    let tree = if random.below(20) == 0 { None } else { read(&data[..size], Kind::Model, 0) };
    let Some(mut model) = tree.filter(|fields| !fields.is_empty()) else {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    };
    let names = names(&model);
    for _ in 0..1 + random.below(3) {
        change(&mut model, &names, &mut random);
    }
    let mut written = Vec::new();
    write(&model, &mut written);
    let size = written.len().min(max_size).min(data.len());
    data[..size].copy_from_slice(&written[..size]);
    size
}

/// One change somewhere in the tree.
fn change(model: &mut Vec<Field>, names: &[Vec<u8>], random: &mut Random) {
    let count = messages(model);
    let mut at = random.below(count + 1);
    let (kind, fields) = if at == 0 {
        (Kind::Model, model)
    } else {
        match message(model, &mut at) {
            Some(found) => found,
            None => return,
        }
    };
    let index = random.below(fields.len().max(1));
    match random.below(12) {
        0 if !fields.is_empty() => {
            fields.remove(index);
        }
        1 if !fields.is_empty() => {
            let copy = fields[index].clone();
            fields.insert(random.below(fields.len() + 1), copy);
        }
        2 if !fields.is_empty() => {
            let other = random.below(fields.len());
            fields.swap(index, other);
        }
        3 => insert(kind, fields, names, random),
        _ => {
            if let Some(field) = fields.get_mut(index) {
                replace(kind, field, names, random);
            }
        }
    }
}

/// A new field that such a message may have.
fn insert(kind: Kind, fields: &mut Vec<Field>, names: &[Vec<u8>], random: &mut Random) {
    let bytes = |number, bytes: &[u8]| Field { number, value: Value::Bytes(bytes.to_vec()) };
    let field = match kind {
        // A node that takes the place of another's result, or is behind it.
        Kind::Graph => {
            let name = |random: &mut Random| random.one(names).cloned().unwrap_or_default();
            let output = name(random);
            let inputs = 1 + random.below(3);
            let mut node: Vec<_> = (0..inputs).map(|_| bytes(1, &name(random))).collect();
            node.extend([bytes(2, &output), bytes(4, operator(random))]);
            let place = random.below(fields.len() + 1);
            fields.insert(place, Field { number: 1, value: Value::Message(Kind::Node, node) });
            return;
        }
        Kind::Node if random.below(2) == 0 => bytes(1, random.one(names).map_or(b"x", |name| name)),
        Kind::Node => {
            let mut attribute = vec![bytes(1, attribute(random))];
            let (number, value, kind) = match random.below(3) {
                0 => (2, Value::Fixed32(float(random).to_le_bytes()), 1),
                1 => (3, Value::Varint(integer(random)), 2),
                _ => (8, Value::Varint(integer(random)), 7),
            };
            attribute.push(Field { number, value });
            attribute.push(Field { number: 20, value: Value::Varint(kind) });
            Field { number: 5, value: Value::Message(Kind::Attribute, attribute) }
        }
        Kind::Attribute => Field { number: 8, value: Value::Varint(integer(random)) },
        Kind::Tensor => Field { number: 1, value: Value::Varint(integer(random)) },
        Kind::Shape => {
            let size = Field { number: 1, value: Value::Varint(integer(random)) };
            Field { number: 1, value: Value::Message(Kind::Leaf, vec![size]) }
        }
        _ => Field { number: random.below(16) as u64 + 1, value: Value::Varint(integer(random)) },
    };
    fields.push(field);
}

fn replace(kind: Kind, field: &mut Field, names: &[Vec<u8>], random: &mut Random) {
    let number = field.number;
    match &mut field.value {
        Value::Varint(value) => {
            *value = match random.below(3) {
                0 => value.wrapping_add(1),
                1 => value.wrapping_sub(1),
                _ => integer(random),
            }
        }
        Value::Fixed32(value) => *value = float(random).to_le_bytes(),
        Value::Fixed64(value) => *value = f64::from(float(random)).to_le_bytes(),
        Value::Bytes(bytes) => match (kind, number) {
            (Kind::Node, 4) => *bytes = operator(random).to_vec(),
            (Kind::Attribute, 1) => *bytes = attribute(random).to_vec(),
            (Kind::Node, 1 | 2) | (Kind::Value, 1) | (Kind::Tensor, 8) if !names.is_empty() => {
                bytes.clone_from(&names[random.below(names.len())]);
            }
            (Kind::Tensor, 9 | 4) | (Kind::Attribute, 7) if random.below(4) > 0 => {
                let words = bytes.len() / 4;
                if words > 0 {
                    let at = 4 * random.below(words);
                    bytes[at..at + 4].copy_from_slice(&float(random).to_le_bytes());
                }
            }
            (Kind::Tensor, 9) => {
                let length = match random.below(3) {
                    0 => bytes.len().saturating_sub(4),
                    1 => bytes.len() + 4,
                    _ => bytes.len() * 2,
                };
                bytes.resize(length.min(4096), 0);
            }
            _ => {
                let length = bytes.len();
                bytes.resize(length + 8, 0);
                let length = libfuzzer_sys::fuzzer_mutate(bytes, length, length + 8);
                bytes.truncate(length);
            }
        },
        Value::Message(..) => field.number = 1 + random.below(20) as u64,
    }
}

fn operator(random: &mut Random) -> &'static [u8] {
    const ALL: &str = include_str!("../../dictionaries/onnx.operators");
    /// What networks are made of, more often than the rest.
    const COMMON: [&str; 24] = [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Neg",
        "Gemm",
        "MatMul",
        "BatchNormalization",
        "Relu",
        "LeakyRelu",
        "Elu",
        "Tanh",
        "Sigmoid",
        "Softplus",
        "Clip",
        "Identity",
        "Dropout",
        "Cast",
        "Flatten",
        "Reshape",
        "Greater",
        "Where",
        "Concat",
        "Constant",
    ];
    if random.below(2) == 0 {
        COMMON[random.below(COMMON.len())].as_bytes()
    } else {
        line(ALL, random)
    }
}

fn attribute(random: &mut Random) -> &'static [u8] {
    const ALL: &str = include_str!("../../dictionaries/onnx.attributes");
    const COMMON: [&str; 10] =
        ["alpha", "beta", "transA", "transB", "axis", "to", "epsilon", "min", "max", "is_test"];
    if random.below(2) == 0 {
        COMMON[random.below(COMMON.len())].as_bytes()
    } else {
        line(ALL, random)
    }
}

fn line(text: &'static str, random: &mut Random) -> &'static [u8] {
    let count = text.lines().count();
    text.lines().nth(random.below(count)).unwrap_or_default().as_bytes()
}

fn integer(random: &mut Random) -> u64 {
    const INTERESTING: [i64; 20] = [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        13,
        16,
        255,
        1 << 20,
        1 << 31,
        i64::MAX,
        -1,
        i64::MIN,
    ];
    INTERESTING[random.below(INTERESTING.len())] as u64
}

fn float(random: &mut Random) -> f32 {
    const INTERESTING: [f32; 16] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.0,
        100.0,
        1e6,
        1e9,
        -1e9,
        1e-9,
        1e30,
        1e-40,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    match random.below(2) {
        0 => INTERESTING[random.below(INTERESTING.len())],
        _ => (random.below(4_000_001) as f32 - 2_000_000.0) / 1e6,
    }
}

/// The names of values: what nodes take and give, and initializers.
fn names(fields: &[Field]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    collect(Kind::Model, fields, &mut names);
    names.sort_unstable();
    names.dedup();
    names
}

fn collect(kind: Kind, fields: &[Field], names: &mut Vec<Vec<u8>>) {
    for field in fields {
        match (&field.value, kind, field.number) {
            (Value::Message(kind, fields), ..) => collect(*kind, fields, names),
            (Value::Bytes(name), Kind::Node, 1 | 2)
            | (Value::Bytes(name), Kind::Tensor, 8)
            | (Value::Bytes(name), Kind::Value, 1) => names.push(name.clone()),
            _ => {}
        }
    }
}

fn messages(fields: &[Field]) -> usize {
    fields
        .iter()
        .map(|field| match &field.value {
            Value::Message(_, fields) => 1 + messages(fields),
            _ => 0,
        })
        .sum()
}

/// The message with this number, counted from 1.
fn message<'a>(fields: &'a mut [Field], at: &mut usize) -> Option<(Kind, &'a mut Vec<Field>)> {
    for field in fields {
        if let Value::Message(kind, fields) = &mut field.value {
            *at -= 1;
            if *at == 0 {
                return Some((*kind, fields));
            }
            if let Some(found) = message(fields, at) {
                return Some(found);
            }
        }
    }
    None
}

fn read(mut bytes: &[u8], kind: Kind, depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = tag >> 3;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(*bytes.split_off(..8)?.first_chunk()?),
            5 => Value::Fixed32(*bytes.split_off(..4)?.first_chunk()?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let bytes = bytes.split_off(..length)?;
                match kind.of(number).filter(|_| depth < 32) {
                    Some(kind) => match read(bytes, kind, depth + 1) {
                        Some(fields) => Value::Message(kind, fields),
                        None => Value::Bytes(bytes.to_vec()),
                    },
                    None => Value::Bytes(bytes.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for Field { number, value } in fields {
        let wire = match value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Fixed32(_) => 5,
            Value::Bytes(_) | Value::Message(..) => 2,
        };
        write_varint(number << 3 | wire, out);
        match value {
            Value::Varint(value) => write_varint(*value, out),
            Value::Fixed64(value) => out.extend(value),
            Value::Fixed32(value) => out.extend(value),
            Value::Bytes(bytes) => {
                write_varint(bytes.len() as u64, out);
                out.extend(bytes);
            }
            Value::Message(_, fields) => {
                let mut inner = Vec::new();
                write(fields, &mut inner);
                write_varint(inner.len() as u64, out);
                out.extend(inner);
            }
        }
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// Below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
