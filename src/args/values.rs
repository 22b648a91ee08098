//! Parsers of single values.

use bytesize::ByteSize;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// A number of calls each second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (1e-3..=1e7).contains(rate));
    rate.ok_or_else(|| "expected a number between 0.001 and 10000000".into())
}

/// A factor, or a number of cores.
pub(super) fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|factor| (1e-6..=1e6).contains(factor));
    factor.ok_or_else(|| "expected a number between 0.000001 and 1000000".into())
}

/// A number of something, such as calls or cores.
pub(super) fn feature(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number from 0 on".to_owned())
}

/// A number of bytes.
pub(super) fn size(text: &str) -> Result<ByteSize, String> {
    let expected = "expected a size such as 512KiB, 4MiB or 16GB";
    let size: ByteSize = text.trim().parse().map_err(|_| expected)?;
    // Larger ones are cut to the largest number.
    if size.as_u64() == u64::MAX { Err(expected.into()) } else { Ok(size) }
}

/// A number of events; -1 is no limit, as for Python's queues.
pub(super) fn buffer_size(text: &str) -> Result<usize, String> {
    match text {
        "-1" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "expected a number of events, or -1 for no limit".into()),
    }
}

/// A level, or a list of levels and `target=level`. A word alone would be a target to the parser
/// of the log, and a misspelt level would go unnoticed.
pub(super) fn log_level(text: &str) -> Result<Targets, String> {
    let level = |part: &str| {
        let (target, level) =
            part.rsplit_once('=').map_or(("", part), |(target, level)| (target, level));
        // Python's names.
        let level = match &*level.trim().to_ascii_lowercase() {
            "warning" => LevelFilter::WARN,
            "critical" => LevelFilter::ERROR,
            "" => return None,
            known => known.parse().ok()?,
        };
        Some(if target.is_empty() { level.to_string() } else { format!("{target}={level}") })
    };
    let levels = text.split(',').map(|part| level(part).ok_or(part)).collect::<Result<Vec<_>, _>>();
    let unknown = |part| {
        format!("'{part}' is not one of error, warn (or warning), info, debug, trace and off")
    };
    levels.map_err(unknown)?.join(",").parse().map_err(|error| format!("{error}"))
}
