//! The buffer for errors, which belongs to the host.

use std::{ffi::c_char, fmt, mem::MaybeUninit, slice};

/// Writes text up to the buffer's end and cuts what is more, at a whole character.
pub(crate) struct Message<'a> {
    /// Its last byte is kept for the zero.
    buffer: &'a mut [MaybeUninit<u8>],
    written: usize,
}

impl Message<'_> {
    /// # Safety
    ///
    /// `buffer` is null, or `capacity` bytes can be written to it and nothing else uses them as long
    /// as this lives.
    pub(crate) unsafe fn new(buffer: *mut c_char, capacity: usize) -> Self {
        let buffer = if buffer.is_null() {
            &mut []
        } else {
            // SAFETY: the caller says so. The bytes need not hold anything yet.
            unsafe { slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), capacity) }
        };
        Self { buffer, written: 0 }
    }

    /// Starts again with this text.
    pub(crate) fn set(&mut self, text: fmt::Arguments<'_>) {
        self.written = 0;
        // Only the text's own formatting can fail; then what it wrote until there has to do.
        let _ = fmt::Write::write_fmt(self, text);
        if let Some(end) = self.buffer.get_mut(self.written) {
            end.write(0);
        }
    }
}

impl fmt::Write for Message<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = self.buffer.len().saturating_sub(self.written + 1);
        let length = text.floor_char_boundary(left);
        for (place, byte) in self.buffer[self.written..].iter_mut().zip(&text.as_bytes()[..length])
        {
            place.write(*byte);
        }
        self.written += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn write(capacity: usize, text: &str) -> Vec<u8> {
        let mut bytes = vec![b'?'; capacity + 4];
        // SAFETY: the bytes are there and unused.
        let mut message = unsafe { Message::new(bytes.as_mut_ptr().cast(), capacity) };
        message.set(format_args!("{text}"));
        assert_eq!(bytes.split_off(capacity), b"????");
        bytes
    }

    #[test]
    fn a_text_ends_with_a_zero_byte_inside_the_buffer() {
        assert_eq!(write(6, "abc"), b"abc\0??");
        assert_eq!(write(4, "abc"), b"abc\0");
        assert_eq!(write(3, "abc"), b"ab\0");
        assert_eq!(write(1, "abc"), b"\0");
        assert_eq!(write(0, "abc"), b"");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(write(4, "a€"), b"a\0??");
        assert_eq!(write(5, "a€"), "a€\0".as_bytes());
    }

    #[test]
    fn a_missing_buffer_takes_everything() {
        // SAFETY: null is allowed.
        let mut message = unsafe { Message::new(ptr::null_mut(), 9) };
        message.set(format_args!("abc"));
    }
}
