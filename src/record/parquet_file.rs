use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
};

use hyperfake_predictor::{Error, Result};
use parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use super::Row;

/// A new Parquet file that rows are appended to. Every column is optional; whole numbers have 64 bits
/// with a sign.
///
/// Rows are kept until there are enough of them for a row group, and the file can only be read after it
/// was closed.
#[derive(Debug)]
pub(super) struct ParquetFile {
    writer: SerializedFileWriter<File>,
    identity: (u64, u64),
    columns: Vec<Column>,
    rows: usize,
}

/// The rows of a row group.
const GROUP: usize = 32_768;

/// What one row has in one column.
enum Cell<'a> {
    Whole(Option<i64>),
    Real(Option<f64>),
    Flag(Option<bool>),
    Text(Option<&'a str>),
}

/// What the rows of a group have in one column: the values, and for each row whether it has one.
#[derive(Debug)]
struct Column {
    values: Values,
    levels: Vec<i16>,
}

#[derive(Debug)]
enum Values {
    Whole(Vec<i64>),
    Real(Vec<f64>),
    Flag(Vec<bool>),
    Text(Vec<ByteArray>),
}

impl ParquetFile {
    /// # Errors
    ///
    /// `Invalid` for a file that has something, `Unavailable` when it cannot be written.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let unusable = |error: io::Error| {
            Error::unavailable("cannot write the file").with_source(error).at(path.display())
        };
        let file = File::options().append(true).create(true).open(path).map_err(unusable)?;
        let metadata = file.metadata().map_err(unusable)?;
        if metadata.len() > 0 {
            let message =
                "the file exists, and a Parquet file cannot be continued; choose another one";
            return Err(Error::invalid(message).at(path.display()));
        }
        let row = Row::default();
        let cells = cells(&row);
        let fields = cells.iter().map(|(name, cell)| format!("OPTIONAL {};", cell.field(name)));
        let schema = format!("message call {{ {} }}", fields.collect::<String>());
        let schema = parse_message_type(&schema).map_err(|error| unusable(other(error)))?;
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = SerializedFileWriter::new(file, Arc::new(schema), properties);
        let columns = cells.iter().map(|(_, cell)| cell.column()).collect();
        Ok(Self {
            writer: writer.map_err(|error| unusable(other(error)))?,
            identity: identity(&metadata),
            columns,
            rows: 0,
        })
    }

    pub(super) fn append<'a>(&mut self, rows: impl Iterator<Item = Row<'a>>) -> io::Result<u64> {
        let mut count = 0;
        for row in rows {
            for (column, (_, cell)) in self.columns.iter_mut().zip(cells(&row)) {
                column.push(cell);
            }
            count += 1;
            self.rows += 1;
            if self.rows == GROUP {
                self.write_group()?;
            }
        }
        Ok(count)
    }

    pub(super) fn close(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.close().map_err(other)?;
        Ok(())
    }

    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(identity(&fs::metadata(path)?) == self.identity)
    }

    fn write_group(&mut self) -> io::Result<()> {
        self.rows = 0;
        let mut group = self.writer.next_row_group().map_err(other)?;
        for column in &mut self.columns {
            column.write(&mut group).map_err(other)?;
        }
        group.close().map_err(other)?;
        Ok(())
    }
}

impl Cell<'_> {
    /// The column of this name, as a schema says it.
    fn field(&self, name: &str) -> String {
        match self {
            Self::Whole(_) => format!("INT64 {name}"),
            Self::Real(_) => format!("DOUBLE {name}"),
            Self::Flag(_) => format!("BOOLEAN {name}"),
            Self::Text(_) => format!("BYTE_ARRAY {name} (UTF8)"),
        }
    }

    fn column(&self) -> Column {
        let values = match self {
            Self::Whole(_) => Values::Whole(Vec::new()),
            Self::Real(_) => Values::Real(Vec::new()),
            Self::Flag(_) => Values::Flag(Vec::new()),
            Self::Text(_) => Values::Text(Vec::new()),
        };
        Column { values, levels: Vec::new() }
    }
}

impl Column {
    fn push(&mut self, cell: Cell<'_>) {
        let before = self.values.len();
        match (&mut self.values, cell) {
            (Values::Whole(values), Cell::Whole(value)) => values.extend(value),
            (Values::Real(values), Cell::Real(value)) => values.extend(value),
            (Values::Flag(values), Cell::Flag(value)) => values.extend(value),
            (Values::Text(values), Cell::Text(value)) => values.extend(value.map(ByteArray::from)),
            // A column is made from the cell of the same place.
            _ => {}
        }
        self.levels.push(i16::from(self.values.len() > before));
    }

    fn write(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, File>,
    ) -> parquet::errors::Result<()> {
        let Some(mut writer) = group.next_column()? else { return Ok(()) };
        let levels = Some(self.levels.as_slice());
        match &mut self.values {
            Values::Whole(values) => {
                writer.typed::<Int64Type>().write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Real(values) => {
                writer.typed::<DoubleType>().write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Flag(values) => {
                writer.typed::<BoolType>().write_batch(values, levels, None)?;
                values.clear();
            }
            Values::Text(values) => {
                writer.typed::<ByteArrayType>().write_batch(values, levels, None)?;
                values.clear();
            }
        }
        self.levels.clear();
        writer.close()
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Flag(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }
}

/// The columns of a row, with their names.
fn cells<'a>(row: &'a Row<'_>) -> [(&'static str, Cell<'a>); 22] {
    let whole = |number: Option<u64>| {
        Cell::Whole(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    };
    [
        ("arrival_unix_ns", whole(Some(row.arrival_unix_ns))),
        ("worker", Cell::Text(Some(&row.worker))),
        ("function", Cell::Text(Some(&row.function))),
        ("image", Cell::Text(Some(&row.image))),
        ("instance", Cell::Text(row.instance.as_deref())),
        ("call", whole(row.call)),
        ("cold", Cell::Flag(row.cold)),
        ("queue_ns", whole(row.queue_ns)),
        ("cold_start_ns", whole(row.cold_start_ns)),
        ("predicted_ns", Cell::Whole(row.predicted_ns)),
        ("planned_ns", whole(row.planned_ns)),
        ("run_ns", whole(row.run_ns)),
        ("lateness_ns", whole(row.lateness_ns)),
        ("cpu_cores", Cell::Real(row.cpu_cores)),
        ("ram_bytes", whole(row.ram_bytes)),
        ("request_bytes", whole(row.request_bytes)),
        ("function_instances", whole(row.function_instances)),
        ("active_calls", whole(row.active_calls)),
        ("worker_cpu_cores", Cell::Real(row.worker_cpu_cores)),
        ("worker_ram_bytes", whole(row.worker_ram_bytes)),
        ("outcome", Cell::Text(Some(&row.outcome))),
        ("reason", Cell::Text(Some(&row.reason))),
    ]
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn other(error: ParquetError) -> io::Error {
    match error {
        // What the system said.
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };

    use super::*;
    use crate::record::lines;

    #[test]
    fn a_file_has_every_row_in_order_with_the_columns_of_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.parquet");
        let count = GROUP as u64 + 10;
        let mut file = ParquetFile::create(&path).unwrap();
        let rows = (0..count).map(|number| Row {
            arrival_unix_ns: number,
            function: format!("f{}", number % 3).into(),
            run_ns: (number % 2 == 0).then_some(number),
            ..Row::default()
        });
        assert_eq!(file.append(rows).unwrap(), count);
        assert!(file.is_at(&path).unwrap());
        file.close().unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let schema = reader.metadata().file_metadata().schema().get_fields().to_vec();
        let names: Vec<_> = schema.iter().map(|field| field.name().to_owned()).collect();
        assert_eq!(names, lines::columns());
        let mut read = 0;
        for (number, row) in (0..count).zip(reader.get_row_iter(None).unwrap()) {
            let row = row.unwrap();
            assert_eq!(row.get_long(0).unwrap() as u64, number);
            assert_eq!(*row.get_string(2).unwrap(), format!("f{}", number % 3));
            assert_eq!(
                row.get_long(11).ok().map(|run| run as u64),
                (number % 2 == 0).then_some(number)
            );
            read += 1;
        }
        assert_eq!(read, count);
        let error = ParquetFile::create(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("a Parquet file cannot be continued; choose another one"),
            "{error}"
        );
    }
}
