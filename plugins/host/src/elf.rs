//! Checks that an ELF file is complete.
//!
//! glibc's loader maps a file by what its headers say. Where the file ends earlier than they say, the
//! first access is a bus error, which ends the process. So a file that was cut short, by a full disk
//! or a broken download, must not get that far.
//!
//! Layouts: System V ABI, chapters "ELF Header" and "Program Header".

use std::io::{Read, Seek, SeekFrom};

use hyperfake_predictor::{Error, Result};

/// An error unless the file is ELF and as long as its headers say. Everything else (the machine, the
/// type) the loader checks by itself.
pub(crate) fn check(file: &mut (impl Read + Seek), bytes: u64) -> Result<()> {
    let mut header = Vec::new();
    let read = file.by_ref().take(HEADER_64).read_to_end(&mut header);
    read.map_err(unreadable)?;
    if !header.starts_with(b"\x7fELF") {
        return Err(Error::invalid("not a shared library: the file does not begin as ELF"));
    }
    let expected = end(&header, file, bytes)?;
    if expected > bytes {
        return Err(Error::invalid(format!(
            "the library is cut short: it has {bytes} bytes, expected at least {expected}"
        )));
    }
    Ok(())
}

/// Whether the class and the byte order in an ELF header are those of this process.
pub(crate) fn is_native(header: &[u8]) -> bool {
    let native = [
        if cfg!(target_pointer_width = "64") { 2 } else { 1 },
        if cfg!(target_endian = "little") { 1 } else { 2 },
    ];
    header.get(4..6) == Some(&native)
}

/// The length of a 64-bit file's header; a 32-bit one is shorter.
const HEADER_64: u64 = 64;
const HEADER_32: u64 = 52;

/// The length of a program header, `sizeof (Elf64_Phdr)` and `sizeof (Elf32_Phdr)`.
const SEGMENT_64: u64 = 56;
const SEGMENT_32: u64 = 32;

/// A segment that the loader maps.
const PT_LOAD: u64 = 1;

/// The least length of the file: the end of the last byte that a header points to. `bytes` is the
/// actual length.
fn end(header: &[u8], file: &mut (impl Read + Seek), bytes: u64) -> Result<u64> {
    if header.len() < 6 {
        return Ok(HEADER_32);
    }
    // For other kinds of machines the loader has a message.
    if !is_native(header) {
        return Ok(0);
    }
    let wide = cfg!(target_pointer_width = "64");
    let header_bytes = if wide { HEADER_64 } else { HEADER_32 };
    if (header.len() as u64) < header_bytes {
        return Ok(header_bytes);
    }
    let field = |at_32: usize, at_64: usize, width: usize| {
        number(&header[if wide { at_64 } else { at_32 }..][..width])
    };
    let word = if wide { 8 } else { 4 };
    let segments_at = field(28, 32, word);
    let (segment_bytes, segments) = (field(42, 54, 2), field(44, 56, 2));
    let sections_at = field(32, 40, word);
    let sections_bytes = field(46, 58, 2) * field(48, 60, 2);

    let table_end = segments_at.saturating_add(segment_bytes * segments);
    // Section headers are of no use to the loader, but they mostly stand at the very end.
    let mut end = header_bytes.max(table_end).max(sections_at.saturating_add(sections_bytes));

    if end > bytes {
        return Ok(end);
    }
    // The loader takes no other length, and a table of longer headers would be up to 4 GiB to read.
    let expected = if wide { SEGMENT_64 } else { SEGMENT_32 };
    if segments > 0 && segment_bytes != expected {
        let message =
            format!("its program headers have {segment_bytes} bytes each, expected {expected}");
        return Err(Error::invalid(message));
    }

    let mut table = Vec::new();
    file.seek(SeekFrom::Start(segments_at)).map_err(unreadable)?;
    file.take(segment_bytes * segments).read_to_end(&mut table).map_err(unreadable)?;
    for segment in table.chunks_exact(expected as usize) {
        let field = |at_32: usize, at_64: usize, width: usize| {
            segment.get(if wide { at_64 } else { at_32 }..)?.get(..width).map(number)
        };
        if let (Some(PT_LOAD), Some(offset), Some(length)) =
            (field(0, 0, 4), field(4, 8, word), field(16, 32, word))
        {
            end = end.max(offset.saturating_add(length));
        }
    }
    Ok(end)
}

/// In this machine's byte order, which is the file's.
fn number(bytes: &[u8]) -> u64 {
    let shift = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    if cfg!(target_endian = "little") {
        bytes.iter().rev().fold(0, shift)
    } else {
        bytes.iter().fold(0, shift)
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::unavailable("cannot read the file").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use hyperfake_predictor::ErrorKind;

    use super::*;

    fn refusal(bytes: &[u8]) -> Option<String> {
        check(&mut Cursor::new(bytes), bytes.len() as u64).err().map(|error| error.to_string())
    }

    #[test]
    fn a_file_that_is_not_elf_is_refused() {
        for bytes in [&b"hello"[..], b"\x7fEL", b"MZ\x90\0", b""] {
            assert!(refusal(bytes).unwrap().contains("does not begin as ELF"));
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_truncated_executable_is_refused() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(refusal(&whole), None);
        for cut in [4, 5, 63, 64, 200, 4096, whole.len() / 2, whole.len() - 1] {
            let refusal = refusal(&whole[..cut]).unwrap();
            assert!(refusal.starts_with("the library is cut short: it has"), "{cut}: {refusal}");
        }
    }

    /// 65,535 program headers of 65,535 bytes each are 4 GiB, and a sparse file has them for free.
    /// The loader takes headers of 56 bytes (`sizeof (Elf64_Phdr)`) alone.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn only_the_headers_of_a_large_file_are_read() {
        struct Counted(Cursor<Vec<u8>>, usize);
        impl Read for Counted {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let read = self.0.read(buffer)?;
                self.1 += read;
                Ok(read)
            }
        }
        impl Seek for Counted {
            fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
                self.0.seek(to)
            }
        }
        let native = if cfg!(target_endian = "little") { 1 } else { 2 };
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, native];
        file.resize(16 << 20, 0);
        file[54..58].fill(0xff);
        file[56..58].copy_from_slice(&16_u16.to_ne_bytes());
        let bytes = file.len() as u64;
        let mut file = Counted(Cursor::new(file), 0);
        let refusal = check(&mut file, bytes).unwrap_err().to_string();
        assert_eq!(refusal, "its program headers have 65535 bytes each, expected 56");
        assert!(file.1 <= 64, "read {}", file.1);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn headers_beyond_the_end_of_the_file_are_refused() {
        let native = if cfg!(target_endian = "little") { 1 } else { 2 };
        let mut header = vec![0x7f, b'E', b'L', b'F', 2, native];
        header.resize(64, 0);
        // Further than a system can seek.
        header[32..40].copy_from_slice(&(u64::MAX - 3).to_ne_bytes());
        header[54..56].copy_from_slice(&56_u16.to_ne_bytes());
        header[56..58].copy_from_slice(&1_u16.to_ne_bytes());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &header).unwrap();
        let error = check(&mut std::fs::File::open(file.path()).unwrap(), 64).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.starts_with("the library is cut short: it has 64 bytes"), "{text}");
    }

    #[test]
    fn invalid_headers_do_not_panic() {
        let mut header = b"\x7fELF\x02\x01".to_vec();
        header.resize(64, 0xff);
        assert!(refusal(&header).is_some());
        header[6..].fill(0);
        assert_eq!(refusal(&header), None);
    }
}
