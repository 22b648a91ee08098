//! Constants of a file in ONNX Runtime's own format, which its C API does not show: a FlatBuffer
//! whose schema is ort.fbs of ONNX Runtime
//! (<https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/flatbuffers/schema/ort.fbs>).
//!
//! Everything is read within bounds: what a damaged file points at is not there.

/// The fields of the schema, by their number in their table.
mod field {
    pub(super) const SESSION_MODEL: usize = 1;
    pub(super) const MODEL_GRAPH: usize = 7;
    pub(super) const GRAPH_INITIALIZERS: usize = 0;
    pub(super) const TENSOR_NAME: usize = 0;
    pub(super) const TENSOR_TYPE: usize = 3;
    pub(super) const TENSOR_DATA: usize = 4;
}

/// The numbers of an element type.
const FLOAT: i32 = 1;
const DOUBLE: i32 = 11;

/// The values of a `float` or `double` initializer.
pub(crate) fn initializer(bytes: &[u8], name: &str) -> Option<Vec<f64>> {
    let file = File(bytes);
    let session = file.follow(0)?;
    let model = file.follow(file.field(session, field::SESSION_MODEL)?)?;
    let graph = file.follow(file.field(model, field::MODEL_GRAPH)?)?;
    let (tensors, count) = file.vector(file.field(graph, field::GRAPH_INITIALIZERS)?)?;
    let tensors = (0..count).map_while(|index| file.follow(tensors + 4 * index));
    let named = |tensor: &usize| {
        let field = file.field(*tensor, field::TENSOR_NAME);
        field.and_then(|field| file.bytes(field)) == Some(name.as_bytes())
    };
    let tensor = tensors.into_iter().find(named)?;
    let data = file.bytes(file.field(tensor, field::TENSOR_DATA)?)?;
    match file.int(file.field(tensor, field::TENSOR_TYPE)?)? {
        FLOAT => Some(data.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x).into()).collect()),
        DOUBLE => Some(data.as_chunks().0.iter().map(|x| f64::from_le_bytes(*x)).collect()),
        _ => None,
    }
}

/// The bytes of a FlatBuffer; a position counts from its start.
struct File<'a>(&'a [u8]);

impl<'a> File<'a> {
    fn int(&self, at: usize) -> Option<i32> {
        Some(i32::from_le_bytes(*self.0.get(at..)?.first_chunk()?))
    }

    fn short(&self, at: usize) -> Option<usize> {
        Some(u16::from_le_bytes(*self.0.get(at..)?.first_chunk()?).into())
    }

    /// What an offset at a position leads to.
    fn follow(&self, at: usize) -> Option<usize> {
        at.checked_add(usize::try_from(self.int(at)?).ok()?)
    }

    /// Where a field of a table stands; nothing if the table does not have it.
    fn field(&self, table: usize, number: usize) -> Option<usize> {
        let vtable = table.checked_add_signed(-isize::try_from(self.int(table)?).ok()?)?;
        let slot = 4 + 2 * number;
        if slot + 2 > self.short(vtable)? {
            return None;
        }
        let offset = self.short(vtable.checked_add(slot)?)?;
        (offset > 0).then_some(table.checked_add(offset)?)
    }

    /// Where the elements of a vector begin, and how many there are.
    fn vector(&self, field: usize) -> Option<(usize, usize)> {
        let vector = self.follow(field)?;
        Some((vector.checked_add(4)?, usize::try_from(self.int(vector)?).ok()?))
    }

    /// A vector of bytes, or a string.
    fn bytes(&self, field: usize) -> Option<&'a [u8]> {
        let (start, length) = self.vector(field)?;
        self.0.get(start..start.checked_add(length)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = initializer(&bytes, "input_mean");
        }

        #[test]
        fn any_small_offsets_are_followed_within_bounds(
            words in prop::collection::vec(-40..40_i32, 0..40),
        ) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let _ = initializer(&bytes, "input_mean");
        }
    }
}
