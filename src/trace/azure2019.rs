//! Azure Functions 2019, and InVitro's folders, which have nearly the same columns.

use std::{collections::HashMap, path::Path, time::Duration};

use hyperfake_predictor::{Error, Result};

use super::{
    Calls, Effect, Format, Function, MINUTE, Notes, Reading, Trace,
    arrivals::{LONGEST_BIN_NS, MOST_FUNCTIONS},
    columns::{self, Table},
    files::{Found, Kind},
    keys::{Keys, Place},
    names::Images,
    percentiles::{Changes, Percentiles, STATED},
};

const BYTES_PER_MB: f64 = 1e6;

/// What is read of a trace, file by file.
struct Reader<'a> {
    reading: &'a Reading,
    keys: Keys,
    images: Images,
    functions: Vec<Function>,
    /// The last day of which a function had a row.
    days: Vec<usize>,
    bin_ns: u64,
    bins: Vec<Vec<(u32, u32)>>,
    /// The percentiles of each function: their sums over the days, weighted by calls, and those calls.
    durations: Vec<Option<([f64; 8], f64)>>,
    /// The memory of each application or function: the sum over the days, weighted by samples.
    memory: HashMap<Vec<u8>, (f64, f64)>,
    notes: Notes,
}

/// Reads the days that are needed.
pub(super) fn read(
    found: &Found,
    reading: &Reading,
    progress: &mut impl FnMut(usize, usize),
) -> Result<Trace> {
    let column = reading.column.unwrap_or(MINUTE);
    let bin_ns = u64::try_from(column.as_nanos()).unwrap_or(u64::MAX);
    if !(1..=LONGEST_BIN_NS).contains(&bin_ns) {
        let message = format!("found {column:?}, expected a time up to a minute");
        return Err(Error::invalid(message).at("--column"));
    }
    let mut reader = Reader {
        reading,
        keys: Keys::default(),
        images: Images::default(),
        functions: Vec::new(),
        days: Vec::new(),
        bin_ns,
        bins: Vec::new(),
        durations: Vec::new(),
        memory: HashMap::new(),
        notes: Notes::default(),
    };
    let files = |kind| found.files.get(&kind).map_or(&[][..], Vec::as_slice);
    let (invocations, durations) = (files(Kind::Invocations), files(Kind::Durations));
    let (app_memory, function_memory) = (files(Kind::AppMemory), files(Kind::FunctionMemory));
    let total = invocations.len() + durations.len() + app_memory.len() + function_memory.len();
    let mut done = 0;
    let mut step = || {
        progress(done, total);
        done += 1;
    };
    let first = invocations.iter().chain(durations).filter_map(|path| day(path)).min().unwrap_or(1);
    // The files of a day one after the other, so that rows that repeat a function are noticed.
    let numbered = invocations.iter().enumerate();
    let mut numbered: Vec<_> =
        numbered.map(|(index, path)| (day(path).map_or(index, |day| day - first), path)).collect();
    numbered.sort_by_key(|(day, _)| *day);
    for (day, path) in numbered {
        step();
        reader.invocations(path, day)?;
    }
    let needed = |path: &Path| day(path).is_none_or(|day| reading.has_day(day - first.min(day)));
    for path in durations.iter().filter(|path| needed(path)) {
        step();
        reader.durations(path)?;
    }
    for path in app_memory.iter().chain(function_memory).filter(|path| needed(path)) {
        step();
        reader.memory(path)?;
    }
    progress(total, total);
    Ok(reader.finish(found.format, function_memory.is_empty()))
}

/// The day in the name of a file, as in `invocations_per_function_md.anon.d01.csv`.
fn day(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    name.split('.').find_map(|part| {
        part.strip_prefix('d').filter(|day| (1..4).contains(&day.len()))?.parse().ok()
    })
}

const DAY: Duration = Duration::from_secs(86_400);

impl Reading {
    /// Whether a part of this day, counted from the first one, is needed.
    fn has_day(&self, day: usize) -> bool {
        let begin = DAY * u32::try_from(day).unwrap_or(u32::MAX);
        self.from < begin.saturating_add(DAY) && begin < self.until
    }
}

impl Reader<'_> {
    /// The functions of a day, and their calls in each column.
    fn invocations(&mut self, path: &Path, day: usize) -> Result<()> {
        let mut table = Table::open(path)?;
        let names = [table.need("HashOwner")?, table.need("HashApp")?, table.need("HashFunction")?];
        let trigger = table.column("Trigger");
        let columns = numbered(&table, path)?;
        let length = columns.iter().flatten().max().map_or(0, |last| last + 1);
        let begin = day * if self.bin_ns == 60_000_000_000 { length.max(1440) } else { length };
        self.bins.resize_with(self.bins.len().max(begin + length), Vec::new);
        if !self.reading.has_day(day) {
            self.notes.add(Effect::LeftOut, "days outside of --from and --for", 0, || {
                path.display().to_string()
            });
            return Ok(());
        }
        while table.next()? {
            let place = self.keys.place(&names.map(|column| table.field(column)));
            let place = match place {
                Place::New(place) => {
                    self.add(&table, names, trigger)?;
                    place
                }
                Place::Known(place) => {
                    if self.days[place as usize] == day {
                        let calls = self.sum(&table, &columns)?;
                        let here = || table.here();
                        self.notes.add(Effect::LeftOut, "rows that repeat a function", calls, here);
                        continue;
                    }
                    place
                }
            };
            self.days[place as usize] = day;
            let mut calls = 0;
            for (column, (field, number)) in table.fields().zip(&columns).enumerate() {
                let Some(number) = number else { continue };
                if field == b"0" {
                    continue;
                }
                let count = match columns::count(field) {
                    Some(count) => count,
                    None => table.count(column)?,
                };
                if count > 0 {
                    calls += u64::from(count);
                    self.bins[begin + number].push((place, count));
                }
            }
            if calls == 0 {
                let here = || table.here();
                self.notes.add(Effect::LeftOut, "rows without a call", 0, here);
            }
        }
        Ok(())
    }

    fn add(&mut self, table: &Table, names: [usize; 3], trigger: Option<usize>) -> Result<()> {
        if self.functions.len() == MOST_FUNCTIONS {
            let message = format!("found more than {MOST_FUNCTIONS} functions");
            return Err(Error::invalid(message).at(table.here()));
        }
        let name = table.text(names[2]);
        self.functions.push(Function {
            image: self.images.image(&name),
            app: table.text(names[1]),
            name,
            trigger: trigger.map(|column| table.text(column)).unwrap_or_default(),
            key: self.keys.key(),
            ..Function::default()
        });
        self.days.push(usize::MAX);
        self.durations.push(None);
        Ok(())
    }

    fn sum(&self, table: &Table, columns: &[Option<usize>]) -> Result<u64> {
        let numbered = columns.iter().enumerate().filter(|(_, number)| number.is_some());
        numbered.map(|(column, _)| table.count(column).map(u64::from)).sum()
    }

    /// The run times of a day.
    fn durations(&mut self, path: &Path) -> Result<()> {
        let mut table = Table::open(path)?;
        let names = [table.need("HashOwner")?, table.need("HashApp")?, table.need("HashFunction")?];
        let (average, count) = (table.need("Average")?, table.column("Count"));
        let stated: Vec<_> = STATED
            .iter()
            .map(|level| table.need(&format!("percentile_Average_{:.0}", level * 100.0)))
            .collect::<Result<_>>()?;
        let mut seen = vec![false; self.functions.len()];
        while table.next()? {
            let Some(place) = self.keys.find(&names.map(|column| table.field(column))) else {
                let what = "run times of functions without calls";
                self.notes.add(Effect::LeftOut, what, 0, || table.here());
                continue;
            };
            if std::mem::replace(&mut seen[place as usize], true) {
                let what = "rows that repeat the run times of a function";
                self.notes.add(Effect::LeftOut, what, 0, || table.here());
                continue;
            }
            let mut numbers = [0.0; 8];
            let mut is_whole = true;
            for (number, column) in numbers.iter_mut().zip([average].iter().chain(&stated)) {
                match table.number(*column)? {
                    Some(found) => *number = found,
                    None => is_whole = false,
                }
            }
            if !is_whole {
                let what = "rows of run times that lack a number";
                self.notes.add(Effect::LeftOut, what, 0, || table.here());
                continue;
            }
            let calls = count.map(|count| table.number(count)).transpose()?.flatten();
            let calls = calls.unwrap_or(1.0).max(1.0);
            let (sums, weight) = self.durations[place as usize].get_or_insert_default();
            sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += calls * number);
            *weight += calls;
        }
        Ok(())
    }

    /// The memory of applications, or with InVitro of functions.
    fn memory(&mut self, path: &Path) -> Result<()> {
        let mut table = Table::open(path)?;
        let mut names = vec![table.need("HashOwner")?, table.need("HashApp")?];
        names.extend(table.column("HashFunction"));
        let (average, samples) = (table.need("AverageAllocatedMb")?, table.column("SampleCount"));
        while table.next()? {
            let Some(mb) = table.number(average)?.filter(|mb| *mb > 0.0) else {
                self.notes.add(Effect::LeftOut, "rows without memory", 0, || table.here());
                continue;
            };
            let weight = samples.map(|samples| table.number(samples)).transpose()?.flatten();
            let weight = weight.unwrap_or(1.0).max(1.0);
            let key =
                names.iter().map(|column| table.field(*column)).collect::<Vec<_>>().join(&b'\n');
            let (sum, weights) = self.memory.entry(key).or_default();
            *sum += weight * mb;
            *weights += weight;
        }
        Ok(())
    }

    fn finish(mut self, format: Format, memory_is_of_apps: bool) -> Trace {
        let names = self.keys.names();
        let mut functions_of = HashMap::<&[u8], f64>::new();
        for name in &names {
            *functions_of.entry(app_of(name)).or_default() += 1.0;
        }
        for (place, function) in self.functions.iter_mut().enumerate() {
            if let Some((sums, weight)) = self.durations[place] {
                let [average, at @ ..] = sums.map(|sum| sum / weight);
                let (run_time, changes) = Percentiles { average, at }.run_time();
                note(&mut self.notes, changes, &function.name);
                function.run_time = Some(run_time);
            }
            let key = if memory_is_of_apps { app_of(names[place]) } else { names[place] };
            let parts = if memory_is_of_apps { functions_of[key] } else { 1.0 };
            let memory = self.memory.get(key);
            function.memory_bytes =
                memory.map(|(sum, weights)| sum / weights / parts * BYTES_PER_MB);
        }
        let calls = Calls::Counted { bin_ns: self.bin_ns, bins: self.bins };
        Trace { format, functions: self.functions, calls, notes: self.notes }
    }
}

/// Owner and application of a function's joined names.
fn app_of(name: &[u8]) -> &[u8] {
    name.iter().rposition(|byte| *byte == b'\n').map_or(name, |end| &name[..end])
}

fn note(notes: &mut Notes, changes: Changes, name: &str) {
    for (happened, what) in [
        (changes.raised, "functions with run times below 0.5 ms, raised to that"),
        (changes.sorted, "functions with a percentile below the one before it, raised to that"),
        (changes.scaled, "functions whose percentiles contradict their mean, scaled to that"),
    ] {
        if happened {
            notes.add(Effect::Changed, what, 0, || name.to_owned());
        }
    }
}

/// For each column its number from 0, if it is one of counts.
fn numbered(table: &Table, path: &Path) -> Result<Vec<Option<usize>>> {
    let number = |name: &[u8]| columns::count(name).filter(|_| name.iter().all(u8::is_ascii_digit));
    let columns: Vec<_> = table.header().iter().map(number).collect();
    let mut seen = vec![false; columns.len()];
    for number in columns.iter().flatten() {
        let place = (*number as usize).checked_sub(1);
        match place.and_then(|place| seen.get_mut(place)) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                let message = format!(
                    "found a column '{number}' of calls, expected the numbers from 1 on, each once"
                );
                return Err(Error::invalid(message).at(path.display()));
            }
        }
    }
    Ok(columns.into_iter().map(|number| number.map(|number| number as usize - 1)).collect())
}
