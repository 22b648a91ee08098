use std::{io, path::Path};

use hyperfake_predictor::Result;

#[cfg(feature = "parquet")]
use super::parquet_file::ParquetFile;
use super::{
    Row,
    format::{Destination, Encoding},
    lines::Lines,
    text_file::TextFile,
};

/// A file that rows are appended to.
///
/// A file that exists is continued if it begins as this one would, and refused otherwise; a Parquet file
/// is only ever a new one. No other program that uses this writes it at the same time.
#[derive(Debug)]
pub struct RowFile {
    destination: Destination,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Lines {
        file: TextFile,
        lines: Lines,
        /// The lines that are appended next; kept because it is as large again the next time.
        bytes: Vec<u8>,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetFile>),
}

impl RowFile {
    /// Opens or makes the file.
    ///
    /// # Errors
    ///
    /// `Invalid` for a file that has something else, `Conflict` for one that another program writes,
    /// and `Unavailable` when it cannot be read or written.
    pub fn open(destination: Destination) -> Result<Self> {
        let Destination { ref path, format, encoding } = destination;
        let output = match encoding {
            #[cfg(feature = "parquet")]
            Encoding::Parquet => Output::Parquet(Box::new(ParquetFile::create(path)?)),
            Encoding::Csv | Encoding::JsonLines => {
                let lines = Lines { format, encoding };
                Output::Lines { file: TextFile::open(path, lines)?, lines, bytes: Vec::new() }
            }
        };
        Ok(Self { destination, output })
    }

    /// Appends the calls that the format has rows for, and returns how many those are.
    ///
    /// # Errors
    ///
    /// When they cannot be written; then the file has none of them, or is a pipe or in Parquet.
    pub fn append<'a>(&mut self, rows: impl Iterator<Item = Row<'a>>) -> io::Result<u64> {
        match &mut self.output {
            Output::Lines { file, lines, bytes } => {
                bytes.clear();
                let count = lines.append(rows, bytes)?;
                file.append(bytes)?;
                Ok(count)
            }
            #[cfg(feature = "parquet")]
            Output::Parquet(file) => file.append(rows),
        }
    }

    /// Whether nothing has its name any longer.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let found = self.is_at(&self.destination.path);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Opens what has its name now, if that is another file, and returns whether it is.
    ///
    /// # Errors
    ///
    /// Those of [`open`](RowFile::open); then it goes on in the old file.
    pub fn reopen(&mut self) -> Result<bool> {
        if matches!(self.is_at(&self.destination.path), Ok(true)) {
            return Ok(false);
        }
        let opened = Self::open(self.destination.clone())?;
        let old = std::mem::replace(self, opened);
        if let Err(error) = old.close() {
            tracing::error!(%error, "the end of the old record was not written");
        }
        Ok(true)
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn close(self) -> io::Result<()> {
        match self.output {
            Output::Lines { .. } => Ok(()),
            #[cfg(feature = "parquet")]
            Output::Parquet(file) => file.close(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.destination.path
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        match &self.output {
            Output::Lines { file, .. } => file.is_at(path),
            #[cfg(feature = "parquet")]
            Output::Parquet(file) => file.is_at(path),
        }
    }
}
