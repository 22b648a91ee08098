//! Files that have a row about each single call: our own records and those of others, told from each
//! other by their first line, and read whether or not they were compressed with gzip.

mod azure2021;
mod columns;
mod huawei2025;
mod hyperfaas;
mod source;

use std::path::{Path, PathBuf};

use hyperfake_predictor::{Error, Result};

use self::{
    azure2021::Azure2021, columns::Columns, huawei2025::Huawei2025, hyperfaas::HyperFaas,
    source::Source,
};
use crate::record::{Row, RowReader};

/// Opens a file of calls.
///
/// # Errors
///
/// `NotFound` or `Unavailable` when it cannot be read, `Invalid` when it is none that is known.
pub fn open(path: impl Into<PathBuf>) -> Result<Calls> {
    let path = path.into();
    Calls::of(&path).map_err(|error| error.at(path.display()))
}

/// The calls of a file, in the order of its rows, which need not be that of time.
#[derive(Debug)]
pub struct Calls {
    source: Source,
    format: CallFormat,
    reader: Reader,
    /// Calls that were read.
    rows: u64,
}

/// What a file of calls is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFormat {
    /// A record of ours, of a worker or a client.
    Own,
    /// The training data of HyperFaaS's scripts: the table `training_data`, exported as CSV.
    HyperFaas,
    /// The Azure Functions trace of 2021.
    Azure2021,
    /// The table of requests of the Huawei trace of 2025.
    Huawei2025,
}

#[derive(Debug)]
enum Reader {
    Own(RowReader),
    HyperFaas(HyperFaas),
    Azure2021(Azure2021),
    Huawei2025(Huawei2025),
}

impl CallFormat {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "a record of HyperFake",
            Self::HyperFaas => "HyperFaaS's training data",
            Self::Azure2021 => "Azure Functions trace of 2021",
            Self::Huawei2025 => "Huawei trace of 2025",
        }
    }

    /// The format of a CSV file with these columns.
    #[must_use]
    pub fn of_columns<'a>(columns: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let columns: Vec<_> = columns.into_iter().map(str::trim).collect();
        let has = |names: &[&str]| names.iter().all(|name| columns.contains(name));
        if has(&["arrival_unix_ns", "outcome"]) {
            Some(Self::Own)
        } else if has(&azure2021::COLUMNS) {
            Some(Self::Azure2021)
        } else if has(&["time_worker", "podID", "runtimeCost"]) {
            Some(Self::Huawei2025)
        } else if has(&["active_function_calls_count"]) {
            Some(Self::HyperFaas)
        } else {
            None
        }
    }
}

impl Calls {
    fn of(path: &Path) -> Result<Self> {
        let (source, input, first) = Source::open(path)?;
        if first.trim_ascii_start().starts_with(b"{") {
            let reader = Reader::Own(RowReader::of(path, input, true)?);
            return Ok(Self { source, format: CallFormat::Own, reader, rows: 0 });
        }
        let line = String::from_utf8_lossy(&first);
        let names = line.trim().split(',').map(|name| name.trim_matches('"'));
        let format = CallFormat::of_columns(names).ok_or_else(|| unknown(&line))?;
        let reader = match format {
            CallFormat::Own => Reader::Own(RowReader::of(path, input, false)?),
            CallFormat::HyperFaas => Reader::HyperFaas(HyperFaas::new(Columns::new(input)?)?),
            CallFormat::Azure2021 => Reader::Azure2021(Azure2021::new(Columns::new(input)?)?),
            CallFormat::Huawei2025 => Reader::Huawei2025(Huawei2025::new(Columns::new(input)?)?),
        };
        Ok(Self { source, format, reader, rows: 0 })
    }

    /// What the file is.
    #[must_use]
    pub fn format(&self) -> CallFormat {
        self.format
    }

    /// Whether the file says when calls came; else the order of its rows is all that is known of it.
    #[must_use]
    pub fn has_moments(&self) -> bool {
        match &self.reader {
            Reader::HyperFaas(reader) => reader.has_moments(),
            Reader::Own(_) | Reader::Azure2021(_) | Reader::Huawei2025(_) => true,
        }
    }

    /// The next call; nothing at the end.
    ///
    /// # Errors
    ///
    /// `Invalid` for a row that is none, with file, row and column; `Unavailable` when the file cannot be
    /// read, or a compressed one ends too early.
    pub fn read(&mut self) -> Result<Option<Row<'static>>> {
        let path = self.source.path().to_owned();
        let row = match &mut self.reader {
            // It names the file itself.
            Reader::Own(reader) => reader.read()?.map(Row::into_owned),
            Reader::HyperFaas(reader) => reader.read().map_err(|e| e.at(path.display()))?,
            Reader::Azure2021(reader) => reader.read().map_err(|e| e.at(path.display()))?,
            Reader::Huawei2025(reader) => reader.read().map_err(|e| e.at(path.display()))?,
        };
        self.rows += u64::from(row.is_some());
        Ok(row)
    }

    /// How many calls were read.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What became of what was read so far, besides the calls: one line each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        match &self.reader {
            Reader::Own(_) => Vec::new(),
            Reader::HyperFaas(reader) => reader.notes(),
            Reader::Azure2021(reader) => reader.notes(),
            Reader::Huawei2025(reader) => reader.notes(),
        }
    }

    /// The SHA-256 of the file's bytes that were read, in hexadecimal: of all, behind the last call.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.source.sha256()
    }
}

fn unknown(line: &str) -> Error {
    let shown: String = line.trim().chars().take(60).flat_map(char::escape_debug).collect();
    let hint = match line.contains("HashFunction") || line.starts_with("day,time") {
        true => "; files of counts a minute have no single calls, they are for 'hyperfake replay'",
        false => "",
    };
    Error::invalid(format!(
        "found a first line that begins with '{shown}', expected the columns of a record of \
         HyperFake, of HyperFaaS's training data, of the Azure Functions trace of 2021 or of the \
         requests in the Huawei trace of 2025{hint}"
    ))
}

#[cfg(test)]
mod tests;
