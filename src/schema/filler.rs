//! Protobuf messages of a given length that parse as any type: all of their bytes are in one field
//! that no type has, and a reader skips unknown fields.

use bytes::{BufMut, Bytes, BytesMut};

/// A message of this many bytes, whose field holds what `contents` gives for its length. No message
/// has one byte: instead of it there are two.
pub(crate) fn of(length: usize, contents: impl FnOnce(usize) -> Bytes) -> Bytes {
    if length == 0 {
        return Bytes::new();
    }
    let Some((tag, size)) = field(length) else {
        return Bytes::from_static(&SMALLEST);
    };
    let mut message = BytesMut::with_capacity(length);
    message.put_slice(tag);
    put_varint(&mut message, size);
    message.put_slice(&contents(size));
    message.freeze()
}

/// Field 15, the number 0.
const SMALLEST: [u8; 2] = [15 << 3, 0];

/// The tags of fields whose contents have a length: field 2047 in two bytes and 262,143 in three,
/// the last ones that have room there.
const TAGS: [&[u8]; 2] = [&[0xfa, 0x7f], &[0xfa, 0xff, 0x7f]];

/// The tag and the length of the contents that make a message of this many bytes. With only one tag,
/// there would be a gap wherever the length of the contents takes one byte more.
fn field(length: usize) -> Option<(&'static [u8], usize)> {
    TAGS.into_iter().find_map(|tag| {
        (1..=5).find_map(|bytes| {
            let size = length.checked_sub(tag.len() + bytes)?;
            (varint_bytes(size) == bytes).then_some((tag, size))
        })
    })
}

fn varint_bytes(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

fn put_varint(message: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        message.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    message.put_u8(number as u8);
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// Any message: all of its fields are unknown.
    #[derive(Clone, PartialEq, Message)]
    struct Unknown {
        #[prost(string, tag = "1")]
        text: String,
        #[prost(bytes = "vec", tag = "262143")]
        rare: Vec<u8>,
    }

    #[test]
    fn a_message_of_any_length_parses() {
        let borders =
            [127, 128, 129, 130, 131, 132, 133, 16_387, 16_388, 16_389, 16_390, 2_097_158];
        for length in (0..300).chain(borders) {
            let message = of(length, |length| vec![0xff; length].into());
            assert_eq!(message.len(), if length == 1 { 2 } else { length }, "{length}");
            let read = Unknown::decode(message).unwrap();
            assert_eq!(read.text, "");
            assert!(read.rare.iter().all(|byte| *byte == 0xff));
        }
    }
}
