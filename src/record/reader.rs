use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
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
    Csv { reader: Box<csv::Reader<File>>, header: StringRecord, record: StringRecord },
    Json { reader: BufReader<File>, line: Vec<u8> },
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
        if encoding == Encoding::JsonLines {
            let reader = BufReader::with_capacity(BUFFER, file);
            return Ok(Source::Json { reader, line: Vec::new() });
        }
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(BUFFER).from_reader(file);
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
        Ok(Source::Csv { reader: Box::new(reader), header, record: StringRecord::new() })
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
    reader: &mut csv::Reader<File>,
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
    reader: &mut BufReader<File>,
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Destination, RowFile};

    fn read_all(path: &Path) -> Result<Vec<Row<'static>>> {
        let mut reader = RowReader::open(path)?;
        let mut rows = Vec::new();
        while let Some(row) = reader.read()? {
            rows.push(row.into_owned());
        }
        Ok(rows)
    }

    /// Text with everything that a file could take for its own.
    fn text() -> impl Strategy<Value = String> {
        let special =
            prop::sample::select(vec![',', '"', '\'', '\n', '\r', '\\', '{', ' ', '\0', ';']);
        prop::collection::vec(prop_oneof![special, any::<char>()], 0..12)
            .prop_map(|characters| characters.into_iter().collect())
    }

    fn number() -> impl Strategy<Value = Option<u64>> {
        prop::option::of(prop_oneof![0..1000_u64, any::<u64>()])
    }

    fn cores() -> impl Strategy<Value = Option<f64>> {
        // Numbers that have few binary digits, which JSON's fast way reads exactly.
        prop::option::of((0..100_000_u32).prop_map(|number| f64::from(number) / 64.0))
    }

    fn row() -> impl Strategy<Value = Row<'static>> {
        let texts = (text(), text(), text(), prop::option::of(text()), text(), text());
        let numbers = prop::collection::vec(number(), 11);
        let others = (any::<u64>(), any::<Option<bool>>(), any::<Option<i64>>(), cores(), cores());
        (texts, numbers, others).prop_map(|(texts, numbers, others)| {
            let (worker, function, image, instance, outcome, reason) = texts;
            let (arrival_unix_ns, cold, predicted_ns, cpu_cores, worker_cpu_cores) = others;
            Row {
                arrival_unix_ns,
                worker: worker.into(),
                function: function.into(),
                image: image.into(),
                // In CSV, a text that is empty is one that is not there.
                instance: instance.filter(|text| !text.is_empty()).map(Into::into),
                call: numbers[0],
                cold,
                queue_ns: numbers[1],
                cold_start_ns: numbers[2],
                predicted_ns,
                planned_ns: numbers[3],
                run_ns: numbers[4],
                lateness_ns: numbers[5],
                cpu_cores,
                ram_bytes: numbers[6],
                request_bytes: numbers[7],
                function_instances: numbers[8],
                active_calls: numbers[9],
                worker_cpu_cores,
                worker_ram_bytes: numbers[10],
                outcome: outcome.into(),
                reason: reason.into(),
            }
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_whatever_it_is(rows in prop::collection::vec(row(), 0..20)) {
            for name in ["record.csv", "record.jsonl"] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(name);
                let destination = Destination::new(&path, Format::Own).unwrap();
                // In two parts, of which the second continues the file of the first.
                for part in rows.chunks(rows.len().div_ceil(2).max(1)) {
                    let mut file = RowFile::open(destination.clone()).unwrap();
                    file.append(part.iter().cloned()).unwrap();
                    file.close().unwrap();
                }
                if path.exists() {
                    prop_assert_eq!(&read_all(&path).unwrap(), &rows);
                }
            }
        }
    }

    fn error(name: &str, content: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = read_all(&path).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        let (_, error) = error.split_once(&format!("{name}: ")).unwrap();
        error.to_owned()
    }

    #[test]
    fn what_is_wrong_is_named_by_file_row_and_column() {
        let header = lines::columns().join(",");
        let with = |column: &str, value: &str| {
            let fields = lines::columns().into_iter().map(|name| match &*name {
                name if name == column => value.to_owned(),
                "arrival_unix_ns" => "5".to_owned(),
                _ => String::new(),
            });
            fields.collect::<Vec<_>>().join(",")
        };
        let good = with("outcome", "OK");
        let whole = "expected a whole number";
        for (column, value, expected) in [
            ("arrival_unix_ns", "x", &*format!("found 'x', {whole}")),
            ("arrival_unix_ns", "", &format!("found nothing, {whole}")),
            ("run_ns", "-3", &format!("found '-3', {whole}")),
            ("cold", "yes", "found 'yes', expected true or false"),
            ("cpu_cores", "0x", "found '0x', expected a number"),
        ] {
            let bad = with(column, value);
            let error = error("a.csv", format!("{header}\n{good}\n{bad}\n").as_bytes());
            assert_eq!(error, format!("row 2 (line 3), column {column}: {expected}"));
        }
        let short = error("a.csv", format!("{header}\n{good}\n5,w,f\n").as_bytes());
        assert_eq!(short, "row 2 (line 3): found 3 fields, expected 22");
        let latin = with("worker", "?").replace('?', "\u{1}").into_bytes();
        let latin = latin.into_iter().map(|byte| if byte == 1 { 0xfc } else { byte });
        let latin = format!("{header}\n").into_bytes().into_iter().chain(latin).collect::<Vec<_>>();
        let found = error("a.csv", &latin);
        assert_eq!(found, "row 1 (line 2), column worker: found bytes that are no text in UTF-8");
        let row = r#"{"arrival_unix_ns":1,"worker":"w","function":"f","image":"i","outcome":"OK","reason":""}"#;
        for (bad, expected) in [
            (
                row.replace(":1,", ":\"1\","),
                "row 3, column arrival_unix_ns: invalid type: string \"1\", expected u64",
            ),
            (row.replace("\"worker\":\"w\",", ""), "row 3: missing field `worker`"),
            (format!("{row}{row}"), "row 3: found something after the JSON object"),
            ("{".into(), "row 3: EOF while parsing an object"),
            ("no".into(), "row 3: expected ident"),
            ("x".repeat(2 << 20), "row 3: found a line of more than 1048576 bytes"),
        ] {
            let error = error("a.jsonl", format!("{row}\n\n{row}\n{bad}").as_bytes());
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let lacks = "the first line lacks the column";
        assert!(error("a.csv", b"").starts_with(lacks));
        assert!(error("a.csv", b"app,func,end_timestamp,duration\n").starts_with(lacks));
        assert!(error("a.csv", &[0xff; 100]).contains("no text in UTF-8"));
        assert!(error("a.txt", b"").contains("ends in .csv or .jsonl"));
        assert!(error("a.parquet", b"").contains("records in Parquet are not read here"));
        let missing = RowReader::open("there/is/none.csv").unwrap_err().to_string();
        assert_eq!(missing, "there/is/none.csv: there is no such file");
        let folder = tempfile::tempdir().unwrap();
        let named_like_a_file = folder.path().join("a.csv");
        std::fs::create_dir(&named_like_a_file).unwrap();
        assert!(read_all(&named_like_a_file).is_err());
    }

    #[test]
    fn columns_may_be_in_another_order_and_there_may_be_more() {
        let header = lines::columns().join(",");
        let content = format!(
            "more,outcome,{}\n1,OK,5,w,f,i{}\n",
            header.replace(",outcome", ""),
            ",".repeat(17)
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, content).unwrap();
        let rows = read_all(&path).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((&*rows[0].function, rows[0].arrival_unix_ns), ("f", 5));
        assert!(rows[0].succeeded());
    }
}
