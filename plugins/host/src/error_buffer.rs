use std::ffi::c_char;

/// The capacity that is passed to a plugin, in bytes.
const CAPACITY: usize = 1024;

/// More room behind that, so that a plugin that writes a little beyond the capacity is detected
/// instead of corrupting memory.
const GUARD: usize = 3 * 1024;

/// The buffer that a plugin writes the reason for an error into.
pub(crate) struct ErrorBuffer(Box<[u8; CAPACITY + GUARD]>);

/// What a plugin wrote.
#[derive(Debug, PartialEq)]
pub(crate) struct Reason {
    /// One line without control characters; may be empty.
    pub(crate) text: String,
    /// It wrote more than it may.
    pub(crate) overrun: bool,
}

impl ErrorBuffer {
    pub(crate) fn new() -> Self {
        Self(Box::new([0; CAPACITY + GUARD]))
    }

    /// Empties the text, and gives what a plugin's function is given.
    pub(crate) fn for_call(&mut self) -> (*mut c_char, usize) {
        self.0[0] = 0;
        (self.0.as_mut_ptr().cast(), CAPACITY)
    }

    /// Reads the text, which may be any bytes, and clears the buffer.
    pub(crate) fn take(&mut self) -> Reason {
        let (text, guard) = self.0.split_at(CAPACITY);
        let length = text.iter().position(|byte| *byte == 0);
        let mut line = String::from_utf8_lossy(&text[..length.unwrap_or(CAPACITY)])
            .replace(char::is_control, " ");
        if length.is_none() {
            line.push_str(" (cut)");
        }
        let overrun = guard.iter().any(|byte| *byte != 0);
        self.0.fill(0);
        Reason { text: line.trim().to_owned(), overrun }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> Reason {
        let mut buffer = ErrorBuffer::new();
        buffer.0[..bytes.len()].copy_from_slice(bytes);
        let reason = buffer.take();
        assert_eq!(buffer.take(), Reason { text: String::new(), overrun: false });
        reason
    }

    #[test]
    fn a_text_ends_at_its_zero_byte() {
        assert_eq!(reason(b"no\0rest"), Reason { text: "no".into(), overrun: false });
    }

    #[test]
    fn a_text_without_its_zero_byte_is_cut_where_the_buffer_ends() {
        let Reason { text, overrun } = reason(&[b'x'; CAPACITY]);
        assert_eq!((text, overrun), ("x".repeat(CAPACITY) + " (cut)", false));
        assert!(reason(&[b'x'; CAPACITY + 1]).overrun);
    }

    #[test]
    fn any_bytes_become_one_printable_line() {
        assert_eq!(reason(b"a\xff\x1b[31mb\nc\0").text, "a\u{fffd} [31mb c");
    }

    #[test]
    fn a_call_starts_with_an_empty_text() {
        let mut buffer = ErrorBuffer::new();
        buffer.0[..4].copy_from_slice(b"old\0");
        assert_eq!(buffer.for_call().1, CAPACITY);
        assert_eq!(buffer.take().text, "");
    }
}
