//! What is read of a plugin before any of its code runs.
//!
//! The first byte of an input chooses: `f` is a library's file, `l` the same with a long hole behind
//! it, `d` a descriptor, `c` a configuration, `e` what a plugin left in its error buffer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{
    ffi::{c_char, c_void},
    io::{self, Read, Seek, SeekFrom},
    ptr,
};

use hyperfake_plugin_abi::{
    ABI_MAJOR, DESCRIPTOR_SIZE_1_0, Descriptor, Features, Host, MAGIC, Prediction, Status, Uniforms,
};

// The crate that contains this module has these; they are not public, and run no code of a plugin.
use crate::{config, descriptor, elf, error_buffer};

/// No part of a library's file that is read may be larger: 65,535 program headers of 56 bytes.
const MOST_READ: u64 = 4 << 20;

pub(crate) fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'f', file)) => library(file, file.len() as u64),
        Some((b'l', file)) => library(file, file.len() as u64 + (1 << 40)),
        Some((b'd', values)) => descriptor(values),
        Some((b'c', text)) => configuration(text),
        Some((b'e', text)) => reason(text),
        _ => {}
    }
}

/// A file that passes holds every byte that its program headers name, and little of it was read.
fn library(file: &[u8], length: u64) {
    let mut holed = Holed { bytes: file, length, at: 0, read: 0 };
    let checked = elf::check(&mut holed, length);
    assert!(holed.read <= MOST_READ, "read {} bytes", holed.read);
    match checked {
        Err(error) => one_line(&error),
        Ok(()) => {
            assert!(file.starts_with(b"\x7fELF"));
            // The loader itself refuses the other class and the other byte order.
            if cfg!(all(target_pointer_width = "64", target_endian = "little"))
                && file.get(4..6) == Some(&[2, 1])
            {
                let number = |at: u64, bytes: u64| {
                    let byte = |at: u64| u64::from(*file.get(at as usize).unwrap_or(&0));
                    (0..bytes).map(|index| byte(at + index) << (8 * index)).sum::<u64>()
                };
                assert!(length >= 64);
                let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
                let end = u128::from(table) + u128::from(size * count);
                assert!(end <= u128::from(length), "the table ends at {end} of {length}");
                // The loader takes program headers of this size alone. In the hole they are zeros.
                let headers = (0..count).filter(|_| size == 56).map(|index| table + index * size);
                for header in headers.take_while(|header| *header < file.len() as u64) {
                    if number(header, 4) == 1 {
                        let end =
                            u128::from(number(header + 8, 8)) + u128::from(number(header + 32, 8));
                        assert!(end <= u128::from(length), "a segment ends at {end} of {length}");
                    }
                }
            }
        }
    }
}

/// A file that begins with some bytes and goes on with zeros.
struct Holed<'a> {
    bytes: &'a [u8],
    length: u64,
    at: u64,
    read: u64,
}

impl Read for Holed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (buffer.len() as u64).min(self.length.saturating_sub(self.at)) as usize;
        let given =
            usize::try_from(self.at).ok().and_then(|at| self.bytes.get(at..)).unwrap_or(&[]);
        let given = &given[..count.min(given.len())];
        buffer[..given.len()].copy_from_slice(given);
        buffer[given.len()..count].fill(0);
        self.at += count as u64;
        self.read += count as u64;
        assert!(self.read <= 16 * MOST_READ, "reads on and on");
        Ok(count)
    }
}

impl Seek for Holed<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            // What the system says of a file.
            SeekFrom::Start(at) if i64::try_from(at).is_ok() => self.at = at,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(self.at)
    }
}

unsafe extern "C" fn create(
    _: *const Host,
    _: *const c_char,
    _: usize,
    _: *mut *mut c_void,
    _: *mut c_char,
    _: usize,
) -> Status {
    1
}

unsafe extern "C" fn predict(
    _: *mut c_void,
    _: *const Features,
    _: *mut Prediction,
    _: *mut c_char,
    _: usize,
) -> Status {
    1
}

unsafe extern "C" fn destroy(_: *mut c_void, _: *mut c_char, _: usize) -> Status {
    1
}

unsafe extern "C" fn predict_batch(
    _: *mut c_void,
    _: *const Features,
    _: *mut Prediction,
    _: usize,
    _: *mut c_char,
    _: usize,
) -> Status {
    1
}

unsafe extern "C" fn draw(
    _: *mut c_void,
    _: *const Features,
    _: *const Uniforms,
    _: *mut Prediction,
    _: *mut c_char,
    _: usize,
) -> Status {
    1
}

/// A descriptor passes if and only if it keeps the contract, and nothing behind its end is read.
///
/// The values are: magic number (8 bytes), size (4), major and minor version (2 and 2), flags (8), a
/// byte of which each bit says that a pointer is null, and the name, a zero byte, the version.
fn descriptor(values: &[u8]) {
    let Some((fixed, text)) = values.split_at_checked(25) else { return };
    let number = |at: usize, bytes: usize| {
        fixed[at..at + bytes]
            .iter()
            .rev()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (magic, size) = (number(0, 8), number(8, 4) as u32);
    let (major, minor, flags) = (number(12, 2) as u16, number(14, 2) as u16, number(16, 8));
    let nulls = fixed[24];
    let cut = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let (name, version) = (&text[..cut], text.get(cut + 1..).unwrap_or(&[]));
    let (name_text, version_text) = (terminated(name), terminated(version));
    let pointer = |bit: u8, text: &[u8]| {
        if nulls & (1 << bit) == 0 { text.as_ptr().cast::<c_char>() } else { ptr::null() }
    };
    let given = |bit: u8| nulls & (1 << bit) == 0;
    let whole = Descriptor {
        magic,
        size,
        abi_major: major,
        abi_minor: minor,
        name: pointer(0, &name_text),
        version: pointer(1, &version_text),
        flags,
        create: given(2).then_some(create),
        predict: given(3).then_some(predict),
        destroy: given(4).then_some(destroy),
        predict_batch: given(5).then_some(predict_batch),
        draw: given(6).then_some(draw),
    };
    // As many bytes as a plugin vouches for: the magic number, the versions, what the size says.
    let expected_size = size_of::<Descriptor>();
    let readable = match (magic == MAGIC, major == ABI_MAJOR) {
        (false, _) => 8,
        (true, false) => 16,
        (true, true) => (size as usize).clamp(16, expected_size),
    };
    let mut words = vec![0_u64; readable.div_ceil(8)];
    // SAFETY: both are at least this long, and both are plain memory.
    unsafe {
        let from = (&raw const whole).cast::<u8>();
        ptr::copy_nonoverlapping(from, words.as_mut_ptr().cast::<u8>(), readable);
    }
    // SAFETY: as long as the descriptor says; its texts end or go on beyond the allowed length.
    let checked = unsafe { descriptor::check(words.as_ptr().cast()) };

    let sound = |text: &[u8]| {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        (1..=64).contains(&text.len())
            && str::from_utf8(text).is_ok_and(|text| !text.contains(char::is_control))
    };
    let keeps = magic == MAGIC
        && major == ABI_MAJOR
        && size as usize >= DESCRIPTOR_SIZE_1_0
        && nulls & 0b1_1111 == 0
        && sound(name)
        && sound(version);
    assert_eq!(checked.is_ok(), keeps, "{checked:?}");
    match checked {
        Err(error) => one_line(&error),
        Ok(checked) => {
            assert_eq!(checked.name.as_bytes(), name);
            assert_eq!(checked.flags, flags);
            assert_eq!(checked.predict_batch.is_some(), given(5));
            // It is there in whole, or not at all.
            assert_eq!(checked.draw.is_some(), given(6) && size as usize >= expected_size);
        }
    }
}

/// With a zero byte, or cut where the longest text must have had it.
fn terminated(text: &[u8]) -> Box<[u8]> {
    let mut text: Vec<u8> = text.iter().copied().take(65).collect();
    if text.len() < 65 {
        text.push(0);
    }
    text.into()
}

fn configuration(text: &[u8]) {
    match config::parse(text.to_vec()) {
        Ok(parsed) => {
            assert_eq!(parsed.to_bytes(), text);
            let value: serde_json::Value = match serde_json::from_slice(text) {
                Ok(value) => value,
                // The other reader has limits: of depth, and of a number's size.
                Err(error) => {
                    let text = error.to_string();
                    let limit =
                        ["recursion", "out of range"].iter().any(|limit| text.contains(limit));
                    return assert!(limit, "{text}");
                }
            };
            assert!(value.is_object());
        }
        Err(error) => one_line(&error),
    }
}

fn reason(text: &[u8]) {
    let mut buffer = error_buffer::ErrorBuffer::new();
    let (start, capacity) = buffer.for_call();
    let text = &text[..text.len().min(capacity)];
    // SAFETY: as many bytes as a plugin may write.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), start.cast::<u8>(), text.len()) };
    let reason = buffer.take();
    assert!(!reason.overrun);
    assert!(!reason.text.contains(char::is_control), "{:?}", reason.text);
    assert_eq!(buffer.take().text, "");
}

fn one_line(error: &hyperfake_predictor::Error) {
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text:?}");
}
