use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::{Function, Size};

/// A metric: its name, and its number in a minute in which a function is called so often.
type Metric = (&'static str, fn(&Function, u32) -> f64);

const METRICS: [Metric; 5] = [
    ("requests_minute", |_, calls| f64::from(calls)),
    ("function_delay_minute", |function, _| function.mean_ms() / 1e3),
    ("memory_limit_minute", |_, calls| 256.0 * instances(calls)),
    ("memory_usage_minute", |function, _| 100.0 * function.memory_mb / 512.0),
    ("instances_minute", |_, calls| instances(calls)),
];

fn instances(calls: u32) -> f64 {
    (f64::from(calls) / 30.0).ceil()
}

/// A folder for each metric with a file of the first day. A minute without a call has no numbers, as in the
/// real trace.
pub(crate) fn write(functions: &[Function], size: Size, folder: &Path) -> io::Result<()> {
    for (name, number) in METRICS {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let mut file = BufWriter::new(File::create(folder.join("day_000.csv"))?);
        write!(file, "day,time")?;
        (0..functions.len()).try_for_each(|function| write!(file, ",{function}"))?;
        writeln!(file)?;
        for minute in 0..size.minutes {
            write!(file, "0,{}", 60 * minute)?;
            for function in functions {
                match function.calls(minute) {
                    0 => write!(file, ",")?,
                    calls => write!(file, ",{:.4}", number(function, calls))?,
                }
            }
            writeln!(file)?;
        }
        file.flush()?;
    }
    Ok(())
}
