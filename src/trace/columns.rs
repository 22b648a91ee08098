//! CSV files of a trace, whose numbers are read from their bytes.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;
use hyperfake_predictor::{Error, Result};

/// A file with a header, read row by row. Columns are known by their names in the header.
pub(super) struct Table {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read>>,
    header: ByteRecord,
    record: ByteRecord,
    /// The number of the row, from 1, without the header.
    row: u64,
}

/// How much is read at once, in bytes.
const BUFFER: usize = 1 << 20;
/// The longest header, in bytes: that of some thousand columns has tens of thousands.
const LONGEST_HEADER: u64 = 1 << 20;
/// What a file begins with that gzip compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

impl Table {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::opened(path).map_err(|error| error.at(path.display()))
    }

    fn opened(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found("there is no such file"),
            _ => unreadable(error),
        })?;
        let mut file = BufReader::with_capacity(BUFFER, file);
        let begin = file.fill_buf().map_err(unreadable)?;
        let mut source: Box<dyn BufRead> = match begin.starts_with(&GZIP) {
            true => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let mut first = Vec::new();
        let read = source.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut first);
        let read = read.map_err(|error| malformed(&error.into()))?;
        if read as u64 == LONGEST_HEADER && !first.ends_with(b"\n") {
            let message = "found a first line of 1 MiB or more, expected the names of columns";
            return Err(Error::invalid(message));
        }
        let source: Box<dyn Read> = Box::new(Cursor::new(first).chain(source));
        let mut builder = csv::ReaderBuilder::new();
        let mut reader = builder.buffer_capacity(BUFFER).has_headers(true).from_reader(source);
        let header = reader.byte_headers().map_err(|error| malformed(&error))?;
        let header = header.iter().map(<[u8]>::trim_ascii).collect();
        Ok(Self { path: path.to_owned(), reader, header, record: ByteRecord::new(), row: 0 })
    }

    /// The names of the columns.
    pub(super) fn header(&self) -> &ByteRecord {
        &self.header
    }

    /// Where a column is, if it is there.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|found| found == name.as_bytes())
    }

    /// Where a column is.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub(super) fn need(&self, name: &str) -> Result<usize> {
        self.column(name).ok_or_else(|| {
            let message = format!("the first line lacks the column '{name}'");
            Error::invalid(message).at(self.path.display())
        })
    }

    /// Reads the next row; says whether there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or has more or fewer fields than the header.
    pub(super) fn next(&mut self) -> Result<bool> {
        self.row += 1;
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|error| malformed(&error).at(self.place()).at(self.path.display()))
    }

    /// A field of the row.
    pub(super) fn field(&self, column: usize) -> &[u8] {
        self.record.get(column).unwrap_or_default()
    }

    /// The fields of the row.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.record.iter()
    }

    /// A field as text.
    pub(super) fn text(&self, column: usize) -> String {
        String::from_utf8_lossy(self.field(column)).into_owned()
    }

    /// A number that is zero or more; nothing where the field is empty or `NaN`.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub(super) fn number(&self, column: usize) -> Result<Option<f64>> {
        match number(self.field(column)) {
            Some(number) if number.is_nan() => Ok(None),
            Some(number) if (0.0..=MOST).contains(&number) => Ok(Some(number)),
            Some(_) => Err(self.wrong(column, "a number that is 0 or more")),
            None if self.field(column).trim_ascii().is_empty() => Ok(None),
            None => Err(self.wrong(column, "a number")),
        }
    }

    /// A number of calls: nothing at all is none.
    ///
    /// # Errors
    ///
    /// When it is something else than a whole number up to four thousand million.
    pub(super) fn count(&self, column: usize) -> Result<u32> {
        count(self.field(column)).ok_or_else(|| self.wrong(column, "a number of calls"))
    }

    /// The row, for an error.
    fn place(&self) -> String {
        format!("row {}", self.row)
    }

    /// File and row, for people.
    pub(super) fn here(&self) -> String {
        format!("{}, row {}", self.path.display(), self.row)
    }

    /// The error for a field that is not what it should be.
    pub(super) fn wrong(&self, column: usize, expected: &str) -> Error {
        let found = String::from_utf8_lossy(self.field(column));
        let found: String = found.chars().take(40).flat_map(char::escape_debug).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("'{found}'") };
        let name = String::from_utf8_lossy(self.header.get(column).unwrap_or_default());
        let place = format!("row {}, column {}", self.row, name.escape_debug());
        Error::invalid(format!("found {found}, expected {expected}"))
            .at(place)
            .at(self.path.display())
    }
}

/// Greater numbers are mistakes.
const MOST: f64 = 1e18;

fn number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

/// Digits, mostly; some write `12.0`, and `NaN` or nothing where there were none.
pub(super) fn count(field: &[u8]) -> Option<u32> {
    if field.len() < 10 && !field.is_empty() {
        let mut count = 0;
        let digits = field.iter().take_while(|byte| {
            let digit = byte.wrapping_sub(b'0');
            count = if digit < 10 { count * 10 + u32::from(digit) } else { count };
            digit < 10
        });
        if digits.count() == field.len() {
            return Some(count);
        }
    }
    if field.trim_ascii().is_empty() {
        return Some(0);
    }
    let number = number(field)?;
    let is_count = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    if is_count { Some(number as u32) } else { number.is_nan().then_some(0) }
}

fn unreadable(error: io::Error) -> Error {
    Error::unavailable("cannot read the file").with_source(error)
}

fn malformed(error: &csv::Error) -> Error {
    match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Error::invalid("the compressed file ends too early: it was cut off")
        }
        csv::ErrorKind::Io(error) => {
            Error::unavailable("cannot read the file").with_source(error.to_string())
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::invalid(format!("found {len} fields, expected {expected_len}"))
        }
        _ => Error::invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn counts_are_whole_numbers_and_nothing_is_none() {
        for (field, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("123456789", Some(123_456_789)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("12.0", Some(12)),
            ("1e3", Some(1000)),
            ("", Some(0)),
            (" 5 ", Some(5)),
            ("NaN", Some(0)),
            ("nan", Some(0)),
            ("1.5", None),
            ("-1", None),
            ("x", None),
            ("1x", None),
            ("inf", None),
        ] {
            assert_eq!(count(field.as_bytes()), expected, "{field}");
        }
    }

    /// The first error of reading a file with these bytes as rows of numbers.
    fn error(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, bytes).unwrap();
        let mut table = Table::open(&path).unwrap();
        loop {
            let read = table.next().and_then(|more| {
                table.number(0)?;
                Ok(more)
            });
            match read {
                Ok(true) => {}
                Ok(false) => panic!("there is no error"),
                Err(error) => {
                    let error = error.to_string();
                    assert_eq!(error.lines().count(), 1, "{error}");
                    return error.split_once("t.csv: ").unwrap().1.to_owned();
                }
            }
        }
    }

    fn compressed(text: &str) -> Vec<u8> {
        let mut file = GzEncoder::new(Vec::new(), Compression::default());
        file.write_all(text.as_bytes()).unwrap();
        file.finish().unwrap()
    }

    #[test]
    fn a_header_is_read_up_to_a_mebibyte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let line = |length: usize| format!("a,{}\n1,2\n", "b".repeat(length - 3));
        for (length, is_read) in [(1 << 20, true), ((1 << 20) + 1, false), (8 << 20, false)] {
            let text = line(length);
            for bytes in [text.clone().into_bytes(), compressed(&text)] {
                std::fs::write(&path, bytes).unwrap();
                let table = Table::open(&path);
                assert_eq!(table.is_ok(), is_read, "{length}");
                let Err(error) = table else { continue };
                let error = error.to_string();
                let expected = "found a first line of 1 MiB or more, expected the names of columns";
                assert_eq!(error.split_once("t.csv: ").unwrap().1, expected);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_file_row_and_column() {
        for (text, expected) in [
            ("a,b\n1,2\nx,2\n", "row 2, column a: found 'x', expected a number"),
            ("a,b\n-3,2\n", "row 1, column a: found '-3', expected a number that is 0 or more"),
            ("a,b\n1,2\n1,2,3\n", "row 2: found 3 fields, expected 2"),
            ("a,b\n1e99,2\n", "row 1, column a: found '1e99', expected a number that is 0 or more"),
        ] {
            assert_eq!(error(text.as_bytes()), expected, "{text}");
            assert_eq!(error(&compressed(text)), expected, "{text} compressed");
        }
        let long: String = (0..50_000).map(|row| format!("{row},{}\n", row * 7919)).collect();
        let cut = compressed(&format!("a,b\n{long}"));
        let cut = error(&cut[..cut.len() / 2]);
        assert!(cut.starts_with("row ") && cut.ends_with("it was cut off"), "{cut}");
    }
}
