use std::{
    fs::{self, File, Metadata, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use hyperfake_predictor::{Error, Result};

use super::lines::Lines;

/// A file of lines that more are appended to: a new one, an empty one, or one that an earlier run wrote.
#[derive(Debug)]
pub(super) struct TextFile {
    file: File,
    /// Whether it is a file, and not a pipe or a device: those are neither read nor cut.
    is_regular: bool,
}

/// The longest first line that is looked at, in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// How much of a line an error shows, in characters.
const SHOWN: usize = 60;

impl TextFile {
    /// Opens or makes the file. One that has lines must begin as `lines` would; a last line that has no
    /// end, because a program was killed while it wrote, is cut off.
    ///
    /// # Errors
    ///
    /// `Invalid` for a file that has something else, `Conflict` for one that another program writes,
    /// and `Unavailable` when it cannot be read or written.
    pub(super) fn open(path: &Path, lines: Lines) -> Result<Self> {
        let unusable = |error: io::Error| {
            Error::unavailable("cannot write the file").with_source(error).at(path.display())
        };
        let file = File::options().read(true).append(true).create(true).open(path);
        let mut file = file.map_err(unusable)?;
        let metadata = file.metadata().map_err(unusable)?;
        let is_regular = metadata.is_file();
        if is_regular {
            // Where files cannot be locked, two programs that write one are a mistake of a person.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                let message = "another program writes the file; choose another one";
                return Err(Error::conflict(message).at(path.display()));
            }
            if metadata.len() > 0 {
                check(&mut file, lines)
                    .map_err(unusable)?
                    .map_err(|error| error.at(path.display()))?;
            }
        }
        let mut opened = Self { file, is_regular };
        if opened.length().map_err(unusable)?.unwrap_or(0) == 0 {
            let header = lines.header().map_err(unusable)?;
            opened.append(&header).map_err(unusable)?;
        }
        Ok(opened)
    }

    /// Appends whole lines: all of them or, on an error, none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let before = self.length()?;
        self.file.write_all(lines).inspect_err(|_| {
            if let Some(before) = before {
                // What a full disk had room for is no whole line.
                let _ = self.file.set_len(before);
            }
        })
    }

    /// Whether this path leads to it.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        Ok(identity(fs::metadata(path)?) == identity(self.file.metadata()?))
    }

    /// In bytes, if it is a regular file.
    fn length(&self) -> io::Result<Option<u64>> {
        self.is_regular.then(|| self.file.metadata().map(|metadata| metadata.len())).transpose()
    }
}

/// Whether more lines may follow those that the file has; cuts off the last one if it has no end.
fn check(file: &mut File, lines: Lines) -> io::Result<Result<()>> {
    let mut first = Vec::new();
    BufReader::new(&*file).take(LONGEST_LINE).read_until(b'\n', &mut first)?;
    let Some(line) = first.strip_suffix(b"\n") else {
        // A single line without an end: that of a file whose header was being written, or another.
        if lines.is_cut_short(&first)? {
            return file.set_len(0).map(Ok);
        }
        return Ok(Err(foreign(&first, lines)?));
    };
    if !lines.begins_with(line)? {
        return Ok(Err(foreign(line, lines)?));
    }
    cut_unfinished(file)?;
    Ok(Ok(()))
}

fn foreign(first: &[u8], lines: Lines) -> io::Result<Error> {
    let show = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if text.chars().nth(SHOWN).is_some() { shown + "…" } else { shown }
    };
    let header = lines.header()?;
    let expected = match header.strip_suffix(b"\n") {
        Some(header) => format!("'{}'", show(header)),
        None => "a row of a record".to_owned(),
    };
    let message = format!(
        "the file is no record that can be continued: found '{}' as its first line, expected {expected}; \
         choose another file",
        show(first)
    );
    Ok(Error::invalid(message))
}

/// Cuts off what follows the last line end.
fn cut_unfinished(file: &mut File) -> io::Result<()> {
    /// How much is read at once.
    const CHUNK: u64 = 4 << 10;
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        let mut chunk = vec![0; (end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    if end < length {
        tracing::warn!(bytes = length - end, "cut off a row of the record that was not whole");
        file.set_len(end)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Format, Row, format::Encoding};

    const CSV: Lines = Lines { format: Format::Own, encoding: Encoding::Csv };
    const JSON: Lines = Lines { format: Format::Own, encoding: Encoding::JsonLines };

    fn row(function: &str, lines: Lines) -> Vec<u8> {
        let mut bytes = Vec::new();
        let row = Row { function: function.to_owned().into(), ..Row::default() };
        lines.append([row].into_iter(), &mut bytes).unwrap();
        bytes
    }

    fn open_with(content: &[u8], lines: Lines) -> (Result<TextFile>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        fs::write(&path, content).unwrap();
        let opened = TextFile::open(&path, lines);
        (opened, fs::read(&path).unwrap())
    }

    #[test]
    fn a_record_is_continued_and_a_row_that_was_not_whole_is_cut_off() {
        for lines in [CSV, JSON] {
            let header = lines.header().unwrap();
            let whole = [header.clone(), row("a", lines)].concat();
            let long = row(&"b".repeat(10_000), lines);
            for (content, expected) in [
                (vec![], &header),
                (header.clone(), &header),
                (whole.clone(), &whole),
                ([&whole[..], b"17672"].concat(), &whole),
                ([&whole[..], &long[..long.len() - 1]].concat(), &whole),
            ] {
                let (opened, found) = open_with(&content, lines);
                opened.unwrap();
                assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(expected));
            }
        }
        for lines in [CSV, JSON] {
            let first = [lines.header().unwrap(), row("a", lines)].concat();
            let (opened, found) = open_with(&first[..10], lines);
            opened.unwrap();
            assert_eq!(found, lines.header().unwrap());
        }
    }

    #[test]
    fn a_file_of_another_kind_is_refused_and_stays_as_it_is() {
        let azure = Lines { format: Format::Azure2021, ..CSV };
        let (csv, json) = (CSV.header().unwrap(), row("a", JSON));
        for (content, lines) in [
            (&b"to do: buy milk"[..], CSV),
            (b"\n", CSV),
            (b"a,b\n1,2\n", CSV),
            (&csv, azure),
            (&json, CSV),
            (&csv, JSON),
            (b"{}\n", JSON),
            (&[0xff; 100_000], JSON),
        ] {
            let (opened, found) = open_with(content, lines);
            let error = opened.unwrap_err().to_string();
            assert!(
                error.contains("record: the file is no record that can be continued"),
                "{error}"
            );
            assert!(error.len() < 1000 && error.lines().count() == 1, "{error}");
            assert_eq!(found, content);
        }
    }

    #[test]
    fn two_programs_do_not_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        let first = TextFile::open(&path, CSV).unwrap();
        let error = TextFile::open(&path, CSV).unwrap_err().to_string();
        assert!(error.ends_with("another program writes the file; choose another one"), "{error}");
        drop(first);
        TextFile::open(&path, CSV).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let error = TextFile::open(&path, CSV).unwrap_err().to_string();
        assert!(error.contains("record.csv: cannot write the file"), "{error}");
        let mut lines = TextFile::open(&path, JSON).unwrap();
        assert_eq!(lines.append(b"{}\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
