use std::fmt;

use csv::{ByteRecord, ErrorKind};
use hyperfake_predictor::{Error, Result};

use super::source::Input;

/// Nanoseconds in a second.
const NS_PER_S: f64 = 1e9;

/// A CSV file, row by row, whose columns are found by their names.
pub(super) struct Columns {
    reader: Box<csv::Reader<Input>>,
    header: Vec<String>,
    record: ByteRecord,
    /// Rows that were read.
    rows: u64,
}

/// The place of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(usize);

impl Columns {
    pub(super) fn new(input: Input) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(64 << 10).from_reader(input);
        let header = reader.byte_headers().map_err(|error| malformed(&error))?;
        let name = |field: &[u8]| String::from_utf8_lossy(field.trim_ascii()).into_owned();
        let header = header.iter().map(name).collect();
        Ok(Self { reader: Box::new(reader), header, record: ByteRecord::new(), rows: 0 })
    }

    /// A column that may be missing, by the first of its names that there is.
    pub(super) fn find(&self, names: &[&str]) -> Option<Column> {
        let place = |name: &&str| self.header.iter().position(|found| found == name);
        names.iter().find_map(place).map(Column)
    }

    /// A column by its names.
    pub(super) fn need(&self, names: &[&str]) -> Result<Column> {
        self.find(names).ok_or_else(|| {
            Error::invalid(format!("the first line lacks the column '{}'", names.join("' or '")))
        })
    }

    /// Goes on to the next row; whether there is one.
    pub(super) fn next(&mut self) -> Result<bool> {
        self.rows += 1;
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|error| malformed(&error).at(self.place()))
    }

    /// How many rows were read, this one included.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The text of a field, without what is no UTF-8.
    pub(super) fn text(&self, column: Column) -> String {
        String::from_utf8_lossy(self.field(column)).into_owned()
    }

    /// A number of 0 or more; nothing for an empty field and for NaN.
    pub(super) fn number(&self, column: Column) -> Result<Option<f64>> {
        let field = self.field(column);
        if matches!(field, b"" | b"NaN" | b"nan" | b"NULL" | b"None") {
            return Ok(None);
        }
        let number = std::str::from_utf8(field).ok().and_then(|text| text.parse::<f64>().ok());
        match number {
            Some(number) if number.is_nan() => Ok(None),
            Some(number) if number >= 0.0 && number.is_finite() => Ok(Some(number)),
            _ => Err(self.wrong(column, "a number of 0 or more")),
        }
    }

    /// The same, of a column that the file may lack.
    pub(super) fn number_of(&self, column: Option<Column>) -> Result<Option<f64>> {
        column.map_or(Ok(None), |column| self.number(column))
    }

    /// Seconds, as nanoseconds: all digits count, which a floating-point number of seconds since the Unix
    /// epoch has no room for.
    pub(super) fn seconds(&self, column: Column) -> Result<Option<u64>> {
        let field = self.field(column);
        if let Some(exact) = exact_seconds(field) {
            return Ok(Some(exact));
        }
        let Some(seconds) = self.number(column)? else { return Ok(None) };
        // A number above all whole ones becomes the greatest.
        Ok(Some((seconds * NS_PER_S).round() as u64))
    }

    /// That a field is not what it has to be.
    pub(super) fn wrong(&self, column: Column, expected: &str) -> Error {
        let found: String =
            self.text(column).chars().take(40).flat_map(char::escape_debug).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("'{found}'") };
        let place = format!("{}, column {}", self.place(), self.header[column.0]);
        Error::invalid(format!("found {found}, expected {expected}")).at(place)
    }

    fn field(&self, column: Column) -> &[u8] {
        self.record.get(column.0).unwrap_or_default().trim_ascii()
    }

    fn place(&self) -> String {
        match self.record.position() {
            Some(position) => format!("row {} (line {})", self.rows, position.line()),
            None => format!("row {}", self.rows),
        }
    }
}

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Columns").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Nanoseconds of seconds that are written as digits with at most nine decimals.
fn exact_seconds(field: &[u8]) -> Option<u64> {
    let point = field.iter().position(|byte| *byte == b'.').unwrap_or(field.len());
    let (whole, decimals) = field.split_at(point);
    let decimals = decimals.strip_prefix(b".").unwrap_or_default();
    if whole.is_empty() || whole.len() > 9 + 1 || decimals.len() > 9 {
        return None;
    }
    let digits = |bytes: &[u8]| {
        bytes.iter().try_fold(0_u64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
        })
    };
    let scale = 10_u64.pow(9 - decimals.len() as u32);
    Some(digits(whole)? * 1_000_000_000 + digits(decimals)? * scale)
}

fn malformed(error: &csv::Error) -> Error {
    match error.kind() {
        ErrorKind::Io(error) => {
            Error::unavailable("cannot read the file").with_source(error.to_string())
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::invalid(format!("found {len} fields, expected {expected_len}"))
        }
        _ => Error::invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_keep_their_nanoseconds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1764151234.123456789", Some(1_764_151_234_123_456_789)),
            ("2600186.994", Some(2_600_186_994_000_000)),
            ("0.1", Some(100_000_000)),
            ("5.", Some(5_000_000_000)),
            (".5", None),
            ("1e3", None),
            ("-1", None),
            ("", None),
            ("0.0000000001", None),
        ] {
            assert_eq!(exact_seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
