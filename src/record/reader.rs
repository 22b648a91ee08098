use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use csv::{DeserializeErrorKind, ErrorKind as CsvErrorKind, StringRecord};
use hyperfake_predictor::{Error, Result};

use super::{Format, Row, format::Encoding, lines};

/// Reads the rows of a record, in CSV or as JSON lines, one by one: a file may be larger than the memory.
#[derive(Debug)]
pub struct RowReader {
    path: PathBuf,
    source: Source,
    /// Rows that were read.
    rows: u64,
}

#[derive(Debug)]
enum Source {
    Csv { reader: Box<csv::Reader<Input>>, header: StringRecord, record: StringRecord },
    Json { reader: BufReader<Input>, line: Vec<u8> },
}

/// What a record is read from.
struct Input(Box<dyn Read + Send>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// The longest line of JSON, in bytes.
const LONGEST_LINE: u64 = 1 << 20;
/// How much is read at once, in bytes.
const BUFFER: usize = 64 << 10;

impl RowReader {
    /// Opens a record.
    ///
    /// # Errors
    ///
    /// `NotFound` or `Unavailable` when it cannot be read, `Invalid` when it is none, `Unsupported` for
    /// Parquet.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        Self::source(&path).map_err(|error| error.at(path.display())).map(|source| Self {
            path,
            source,
            rows: 0,
        })
    }

    /// Reads a record, in CSV or as JSON lines, that was opened elsewhere. `path` is for messages.
    ///
    /// # Errors
    ///
    /// As [`RowReader::open`]; they do not name the file.
    pub(crate) fn of(path: &Path, input: Box<dyn Read + Send>, is_json: bool) -> Result<Self> {
        let encoding = if is_json { Encoding::JsonLines } else { Encoding::Csv };
        let source = Source::new(Input(input), encoding)?;
        Ok(Self { path: path.to_owned(), source, rows: 0 })
    }

    fn source(path: &Path) -> Result<Source> {
        let is_parquet =
            path.extension().is_some_and(|found| found.eq_ignore_ascii_case("parquet"));
        if is_parquet {
            let message = "records in Parquet are not read here; record in .csv or .jsonl";
            return Err(Error::unsupported(message));
        }
        // What remains are the two that are text.
        let encoding = Encoding::of(path)
            .map_err(|_| Error::invalid("expected a record: a file that ends in .csv or .jsonl"))?;
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::not_found("there is no such file"),
            _ => Error::unavailable("cannot read the file").with_source(error),
        })?;
        Source::new(Input(Box::new(file)), encoding)
    }

    /// The next row; nothing at the end.
    ///
    /// # Errors
    ///
    /// `Invalid` for a row that is none: the error names file, row and column. `Unavailable` when the file
    /// cannot be read.
    pub fn read(&mut self) -> Result<Option<Row<'_>>> {
        self.rows += 1;
        let (path, row) = (&self.path, self.rows);
        let found = match &mut self.source {
            Source::Csv { reader, header, record } => read_csv(reader, header, record),
            Source::Json { reader, line } => read_json(reader, line),
        };
        found.map_err(|fault| {
            let mut place = format!("row {row}");
            if let Some(line) = fault.line {
                place += &format!(" (line {line})");
            }
            if let Some(column) = fault.column {
                place += &format!(", column {column}");
            }
            fault.error.at(place).at(path.display())
        })
    }
}

impl Source {
    fn new(input: Input, encoding: Encoding) -> Result<Self> {
        if encoding == Encoding::JsonLines {
            let reader = BufReader::with_capacity(BUFFER, input);
            return Ok(Self::Json { reader, line: Vec::new() });
        }
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(BUFFER).from_reader(input);
        let header = reader.headers().map_err(|error| malformed(&error, None))?.clone();
        for column in lines::columns() {
            if !header.iter().any(|found| found == column) {
                let message = format!(
                    "the first line lacks the column '{column}': it is no record of the format {}",
                    Format::Own
                );
                return Err(Error::invalid(message));
            }
        }
        Ok(Self::Csv { reader: Box::new(reader), header, record: StringRecord::new() })
    }
}

/// What is wrong with a row, and where.
struct Fault {
    error: Error,
    line: Option<u64>,
    column: Option<String>,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, line: None, column: None }
    }
}

fn read_csv<'a>(
    reader: &mut csv::Reader<Input>,
    header: &'a StringRecord,
    record: &'a mut StringRecord,
) -> Result<Option<Row<'a>>, Fault> {
    let fault = |error: &csv::Error, record: Option<&StringRecord>| {
        let position = error.position();
        let column = match error.kind() {
            CsvErrorKind::Deserialize { err, .. } => err.field(),
            CsvErrorKind::Utf8 { err, .. } => Some(err.field() as u64),
            _ => None,
        };
        let column = column.and_then(|column| usize::try_from(column).ok());
        Fault {
            error: malformed(error, column.and_then(|column| record?.get(column))),
            line: position.map(csv::Position::line),
            column: column.and_then(|column| header.get(column)).map(str::to_owned),
        }
    };
    match reader.read_record(record) {
        Ok(false) => Ok(None),
        Ok(true) => {
            let record = &*record;
            let row = record.deserialize(Some(header));
            row.map(Some).map_err(|error| fault(&error, Some(record)))
        }
        Err(error) => Err(fault(&error, None)),
    }
}

/// `found` is the field that is wrong.
fn malformed(error: &csv::Error, found: Option<&str>) -> Error {
    let expected = match error.kind() {
        CsvErrorKind::Io(error) => {
            return Error::unavailable("cannot read the file").with_source(error.to_string());
        }
        CsvErrorKind::UnequalLengths { expected_len, len, .. } => {
            return Error::invalid(format!("found {len} fields, expected {expected_len}"));
        }
        CsvErrorKind::Utf8 { .. } => {
            return Error::invalid("found bytes that are no text in UTF-8");
        }
        CsvErrorKind::Deserialize { err, .. } => match err.kind() {
            DeserializeErrorKind::ParseInt(_) => "a whole number",
            DeserializeErrorKind::ParseFloat(_) => "a number",
            DeserializeErrorKind::ParseBool(_) => "true or false",
            other => return Error::invalid(other.to_string()),
        },
        _ => return Error::invalid(error.to_string()),
    };
    let found = found.unwrap_or_default();
    let shown: String = found.chars().take(40).flat_map(char::escape_debug).collect();
    match found.is_empty() {
        true => Error::invalid(format!("found nothing, expected {expected}")),
        false => Error::invalid(format!("found '{shown}', expected {expected}")),
    }
}

fn read_json<'a>(
    reader: &mut BufReader<Input>,
    line: &'a mut Vec<u8>,
) -> Result<Option<Row<'a>>, Fault> {
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', line);
        let read =
            read.map_err(|error| Error::unavailable("cannot read the file").with_source(error))?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
            let message = format!("found a line of more than {LONGEST_LINE} bytes");
            return Err(Error::invalid(message).into());
        }
        if !line.trim_ascii().is_empty() {
            break;
        }
    }
    let line = &*line;
    serde_json::from_slice(line).map(Some).map_err(|_| {
        // Again, to learn which column it is.
        let mut json = serde_json::Deserializer::from_slice(line);
        match serde_path_to_error::deserialize::<_, Row<'_>>(&mut json) {
            Err(error) => {
                let column =
                    Some(error.path().to_string()).filter(|path| !matches!(&**path, "." | "?"));
                let error = error.into_inner();
                // Its place, in a line that is the only one, says nothing that the column does not.
                let text = error.to_string();
                let text = text.split(" at line 1").next().unwrap_or_default();
                Fault { error: Error::invalid(text), line: None, column }
            }
            Ok(_) => Error::invalid("found something after the JSON object").into(),
        }
    })
}

#[cfg(test)]
mod tests;
