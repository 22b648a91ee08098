//! Huawei 2023: a file for each metric and day, with a row for each minute (or second) and a column for each
//! function.

use std::path::Path;

use hyperfake_predictor::{Error, Result};

use super::{
    Calls, Effect, Function, LONGEST, Notes, Reading, Trace,
    columns::Table,
    files::{Found, Kind, Metric},
    keys::{Keys, Place},
    names::Images,
    run_time::Sample,
};

const NS_PER_S: f64 = 1e9;
const S_PER_DAY: f64 = 86_400.0;
const BYTES_PER_MB: f64 = 1e6;
/// Run times are means over a minute, and none of them is this short.
const LEAST_NS: f64 = 1e3;

/// What is read, file by file. All vectors are by function.
#[derive(Default)]
struct Reader {
    keys: Keys,
    images: Images,
    functions: Vec<Function>,
    bin_s: f64,
    /// When the trace begins, in seconds.
    begin_s: Option<f64>,
    until_s: f64,
    bins: Vec<Vec<(u32, u32)>>,
    /// Whether a row of the metric that is being read has the stretch.
    seen: Vec<bool>,
    samples: Vec<Option<Sample>>,
    /// The sums of the metrics of memory and instances, and how many numbers they are.
    means: Vec<[(f64, f64); 3]>,
    notes: Notes,
}

/// Reads the files.
pub(super) fn read(
    found: &Found,
    reading: &Reading,
    progress: &mut impl FnMut(usize, usize),
) -> Result<Trace> {
    let files = |metric| found.files.get(&Kind::Metric(metric)).map_or(&[][..], Vec::as_slice);
    let (requests, bin_s) = match files(Metric::RequestsByMinute) {
        [] => (files(Metric::RequestsBySecond), 1.0),
        minutes => (minutes, 60.0),
    };
    let mut reader = Reader { bin_s, until_s: reading.until.as_secs_f64(), ..Reader::default() };
    if bin_s == 60.0 {
        for path in files(Metric::RequestsBySecond) {
            let what = "files of calls a second, as there are such of calls a minute";
            reader.notes.add(Effect::LeftOut, what, 0, || path.display().to_string());
        }
    }
    let others = [Metric::Delay, Metric::MemoryLimit, Metric::Instances, Metric::MemoryUsage];
    let total = requests.len() + others.iter().map(|metric| files(*metric).len()).sum::<usize>();
    let mut done = 0;
    for path in requests {
        progress(done, total);
        done += 1;
        reader.requests(path)?;
    }
    for metric in others {
        reader.seen.clear();
        for path in files(metric) {
            progress(done, total);
            done += 1;
            reader.metric(path, metric)?;
        }
    }
    progress(total, total);
    Ok(reader.finish(found))
}

/// The columns of a file: day, time, and a function each.
struct Columns {
    day: usize,
    time: usize,
    functions: Vec<(usize, u32)>,
}

impl Reader {
    fn columns(&mut self, table: &Table, may_be_new: bool) -> Result<Columns> {
        let (day, time) = (table.need("day")?, table.need("time")?);
        let mut functions = Vec::new();
        for (column, name) in table.header().iter().enumerate() {
            // pandas writes the number of the row into a column without a name.
            if column == day || column == time || name.is_empty() || name.starts_with(b"Unnamed") {
                continue;
            }
            if !may_be_new {
                functions.extend(self.keys.find(&[name]).map(|place| (column, place)));
                continue;
            }
            let place = match self.keys.place(&[name]) {
                Place::Known(place) => place,
                Place::New(place) => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    let (image, key) = (self.images.image(&name), self.keys.key());
                    self.functions.push(Function { image, name, key, ..Function::default() });
                    self.samples.push(None);
                    self.means.push(Default::default());
                    place
                }
            };
            if functions.iter().any(|(_, known)| *known == place) {
                let name = String::from_utf8_lossy(name);
                let message = format!("found two columns '{}'", name.escape_debug());
                return Err(Error::invalid(message).at(table.here()));
            }
            functions.push((column, place));
        }
        Ok(Columns { day, time, functions })
    }

    /// The stretch of a row, counted from the beginning of the trace; nothing behind what is needed. The time
    /// counts from the first day of the trace, and in files that were cut by others from midnight.
    fn bin(&mut self, table: &Table, columns: &Columns) -> Result<Option<usize>> {
        let of = |column| Ok::<_, Error>(table.number(column)?.unwrap_or_default());
        let (day, time) = (of(columns.day)?, of(columns.time)?);
        let midnight = day * S_PER_DAY;
        let time = if time >= midnight { time } else { midnight + time };
        let begin = *self.begin_s.get_or_insert((time / S_PER_DAY).floor() * S_PER_DAY);
        if time < begin {
            return Err(table.wrong(columns.time, "a time that is not before the first file's"));
        }
        let since = time - begin;
        if since >= LONGEST.as_secs_f64() {
            return Err(table.wrong(columns.time, "a time within three years of the first one"));
        }
        if since >= self.until_s {
            return Ok(None);
        }
        let bin = (since / self.bin_s) as usize;
        self.seen.resize(self.seen.len().max(bin + 1), false);
        match std::mem::replace(&mut self.seen[bin], true) {
            false => Ok(Some(bin)),
            true => Err(table.wrong(columns.time, "a time that no row before has, in any file")),
        }
    }

    /// Calls of the functions.
    fn requests(&mut self, path: &Path) -> Result<()> {
        let mut table = Table::open(path)?;
        let columns = self.columns(&table, true)?;
        while table.next()? {
            let Some(bin) = self.bin(&table, &columns)? else {
                self.notes.add(Effect::LeftOut, "rows behind --for", 0, || table.here());
                continue;
            };
            self.bins.resize_with(self.bins.len().max(bin + 1), Vec::new);
            for (column, function) in &columns.functions {
                let count = table.count(*column)?;
                if count > 0 {
                    self.bins[bin].push((*function, count));
                }
            }
        }
        Ok(())
    }

    /// A metric beside the calls. A run time counts as often as there were calls in its stretch of time.
    fn metric(&mut self, path: &Path, metric: Metric) -> Result<()> {
        let mut table = Table::open(path)?;
        let columns = self.columns(&table, false)?;
        let mut calls = vec![0; self.functions.len()];
        while table.next()? {
            let Some(bin) = self.bin(&table, &columns)? else { continue };
            if metric == Metric::Delay {
                calls.fill(0);
                // The metric has a row a minute, also when calls are counted by the second.
                let width = (60.0 / self.bin_s) as usize;
                let end = (bin + width).min(self.bins.len());
                for (function, count) in self.bins[bin.min(end)..end].iter().flatten() {
                    calls[*function as usize] += u64::from(*count);
                }
            }
            for (column, function) in &columns.functions {
                let Some(number) = table.number(*column)? else { continue };
                let function = *function as usize;
                match metric {
                    Metric::Delay if calls[function] == 0 => {
                        let what = "run times of minutes without a call";
                        self.notes.add(Effect::LeftOut, what, 0, || table.here());
                    }
                    Metric::Delay => {
                        let sample = self.samples[function].get_or_insert_with(Sample::new);
                        sample.add(number * NS_PER_S, calls[function] as f64);
                    }
                    Metric::MemoryLimit => add(&mut self.means[function][0], number),
                    Metric::Instances => add(&mut self.means[function][1], number),
                    Metric::MemoryUsage => add(&mut self.means[function][2], number),
                    Metric::RequestsByMinute | Metric::RequestsBySecond => {}
                }
            }
        }
        Ok(())
    }

    fn finish(self, found: &Found) -> Trace {
        let Self { mut functions, samples, means, bins, notes, bin_s, .. } = self;
        for ((function, sample), means) in functions.iter_mut().zip(samples).zip(means) {
            function.run_time = sample.and_then(|sample| sample.run_time(LEAST_NS));
            let mean = |(sum, count): (f64, f64)| (count > 0.0).then(|| sum / count);
            // The limit is that of all instances together, and the usage a share of it.
            let [limit, instances, usage] = means.map(mean);
            let instances = instances.filter(|instances| *instances > 0.0).unwrap_or(1.0);
            let used = usage.map_or(1.0, |usage| usage / 100.0);
            function.memory_bytes = limit.map(|limit| limit / instances * used * BYTES_PER_MB);
        }
        let calls = Calls::Counted { bin_ns: (bin_s * NS_PER_S) as u64, bins };
        Trace { format: found.format, functions, calls, notes }
    }
}

fn add((sum, count): &mut (f64, f64), number: f64) {
    *sum += number;
    *count += 1.0;
}
