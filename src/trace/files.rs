//! What the files of a trace are, by their first lines.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use hyperfake_predictor::{Error, Result};

use super::{Format, calls::CallFormat, columns::Table};

/// The files of a trace.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) format: Format,
    /// Its files, by kind and in the order of their names.
    pub(super) files: BTreeMap<Kind, Vec<PathBuf>>,
    /// Files whose first line is none that is known.
    pub(super) unknown: Vec<String>,
}

/// What a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Calls of functions in columns that are numbered from 1.
    Invocations,
    /// Percentiles of run times.
    Durations,
    /// Percentiles of memory, by application.
    AppMemory,
    /// The same by function, as InVitro writes it.
    FunctionMemory,
    /// A metric of Huawei's, by function and time.
    Metric(Metric),
    /// Cold starts of Alibaba's.
    ColdStarts,
    /// A row for each call.
    SingleCalls(&'static str),
}

/// The metrics of Huawei 2023 that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metric {
    RequestsByMinute,
    RequestsBySecond,
    Delay,
    MemoryLimit,
    MemoryUsage,
    Instances,
}

/// Which metric a file has is in its folder's name, or in its own.
const METRICS: [(&str, Metric); 6] = [
    ("requests_minute", Metric::RequestsByMinute),
    ("requests_second", Metric::RequestsBySecond),
    ("function_delay_minute", Metric::Delay),
    ("memory_limit_minute", Metric::MemoryLimit),
    ("memory_usage_minute", Metric::MemoryUsage),
    ("instances_minute", Metric::Instances),
];

/// A folder with more files than this is none of a trace.
const MOST_FILES: usize = 20_000;
/// Folders in folders: `private_dataset/requests_minute/day_000.csv`.
const DEEPEST: usize = 3;

/// Finds the files of a trace.
///
/// # Errors
///
/// When there are none, or files of several formats.
pub(super) fn find(path: &Path) -> Result<Found> {
    let mut paths = Vec::new();
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::not_found("there is no such file or folder").at(path.display())
        }
        _ => Error::unavailable("cannot read it").with_source(error).at(path.display()),
    })?;
    match metadata.is_dir() {
        true => list(path, DEEPEST, &mut paths)?,
        false => paths.push(path.to_owned()),
    }
    paths.sort();
    let (mut files, mut unknown) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for path in paths {
        match kind(&path)? {
            Some(kind) => files.entry(kind).or_default().push(path),
            None => unknown.push(path.display().to_string()),
        }
    }
    let mut formats = Vec::new();
    let kinds: Vec<_> = files.keys().copied().collect();
    for kind in &kinds {
        let format = format(*kind, &kinds);
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    match formats[..] {
        [format] => Ok(Found { format, files, unknown }),
        [] => Err(Error::invalid(
            "found no trace: expected a file or a folder of Azure 2019 or 2021, Huawei 2023 or 2025, \
             InVitro or FaaSNet, or a record of this program, as .csv, .csv.gz or .jsonl",
        )
        .at(path.display())),
        [one, other, ..] => {
            let message = format!("found files of {one} and of {other}: name one of them");
            Err(Error::invalid(message).at(path.display()))
        }
    }
}

/// The files of a folder that may be a trace's.
fn list(folder: &Path, deeper: usize, paths: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = |error| {
        Error::unavailable("cannot read the folder").with_source(error).at(folder.display())
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            if deeper > 1 {
                list(&path, deeper - 1, paths)?;
            }
        } else if path.is_file() && may_be_one(&path) {
            paths.push(path);
        }
        if paths.len() > MOST_FILES {
            let message = format!("found more than {MOST_FILES} files, expected those of a trace");
            return Err(Error::invalid(message).at(folder.display()));
        }
    }
    Ok(())
}

fn may_be_one(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    !name.starts_with('.') && [".csv", ".jsonl", ".txt"].iter().any(|end| name.ends_with(end))
}

/// What a file has; nothing if its first line is not known.
fn kind(path: &Path) -> Result<Option<Kind>> {
    let table = Table::open(path)?;
    let first = table.header().get(0).unwrap_or_default();
    // A line of JSON is no header.
    if first.starts_with(b"{") {
        return Ok(Some(Kind::SingleCalls(CallFormat::Own.name())));
    }
    let names = table.header().iter().filter_map(|name| std::str::from_utf8(name).ok());
    if let Some(format) = CallFormat::of_columns(names) {
        return Ok(Some(Kind::SingleCalls(format.name())));
    }
    let has = |name: &str| table.column(name).is_some();
    Ok(if has("HashFunction") && has("1") {
        Some(Kind::Invocations)
    } else if has("HashFunction") && has("percentile_Average_50") {
        Some(Kind::Durations)
    } else if has("AverageAllocatedMb") && has("HashApp") {
        Some(if has("HashFunction") { Kind::FunctionMemory } else { Kind::AppMemory })
    } else if has("__time__") && has("functionName") && has("latency") {
        Some(Kind::ColdStarts)
    } else if first == b"day" && has("time") {
        metric(path).map(Kind::Metric)
    } else {
        None
    })
}

fn metric(path: &Path) -> Option<Metric> {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = |(word, _): &&(&str, Metric)| name.starts_with(word) || folder == *word;
    METRICS.iter().find(named).map(|(_, metric)| *metric)
}

/// The format that a file of this kind belongs to, beside the others.
fn format(kind: Kind, all: &[Kind]) -> Format {
    match kind {
        Kind::FunctionMemory => Format::InVitro,
        Kind::Invocations | Kind::Durations if all.contains(&Kind::FunctionMemory) => {
            Format::InVitro
        }
        Kind::Invocations | Kind::Durations | Kind::AppMemory => Format::Azure2019,
        Kind::Metric(_) => Format::Huawei2023,
        Kind::ColdStarts => Format::FaasNet,
        Kind::SingleCalls(name) => Format::SingleCalls(name),
    }
}

/// The files of single calls that were read. The same calls twice, such as a file and its compressed copy,
/// would be twice the load.
#[derive(Debug, Default)]
pub(super) struct Distinct(HashMap<(u64, u64), PathBuf>);

/// What the rows of a file say: how many there are, and their hash.
#[derive(Debug, Default)]
pub(super) struct Content {
    rows: u64,
    hash: DefaultHasher,
}

impl Content {
    /// Adds a row.
    pub(super) fn add(&mut self, row: impl Hash) {
        self.rows += 1;
        row.hash(&mut self.hash);
    }
}

impl Distinct {
    /// Adds a file with at least a row.
    ///
    /// # Errors
    ///
    /// When an earlier one has the same rows.
    pub(super) fn add(&mut self, content: &Content, path: &Path) -> Result<()> {
        if content.rows == 0 {
            return Ok(());
        }
        match self.0.insert((content.rows, content.hash.finish()), path.to_owned()) {
            None => Ok(()),
            Some(before) => {
                let message =
                    format!("found the same calls as in {}: name one of them", before.display());
                Err(Error::invalid(message).at(path.display()))
            }
        }
    }
}
