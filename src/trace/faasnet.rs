//! Cold starts of Alibaba's, as FaaSNet published them: a row for each, with how long the system took for it.
//! Only the calls that met a cold start are in it, and not how long they ran.

use std::time::Duration;

use hyperfake_predictor::Result;

use super::{
    Calls, Effect, Function, LONGEST, Notes, Reading, Trace,
    columns::Table,
    files::{Content, Distinct, Found, Kind},
    keys::{Keys, Place},
    names::Images,
};

const NS_PER_S: f64 = 1e9;
const BYTES_PER_MB: f64 = 1e6;

/// Reads the files.
pub(super) fn read(
    found: &Found,
    reading: &Reading,
    progress: &mut impl FnMut(usize, usize),
) -> Result<Trace> {
    let files = found.files.get(&Kind::ColdStarts).map_or(&[][..], Vec::as_slice);
    let (mut keys, mut images, mut notes) = (Keys::default(), Images::default(), Notes::default());
    let mut functions: Vec<Function> = Vec::new();
    let mut starts: Vec<(f64, f64)> = Vec::new();
    let mut calls: Vec<(f64, u32)> = Vec::new();
    let mut distinct = Distinct::default();
    let mut range: Option<[f64; 2]> = None;
    for (index, path) in files.iter().enumerate() {
        progress(index, files.len());
        let mut table = Table::open(path)?;
        let [time, name, latency] =
            [table.need("__time__")?, table.need("functionName")?, table.need("latency")?];
        let memory = table.column("memoryMB");
        let mut content = Content::default();
        while table.next()? {
            let Some(at) = table.number(time)? else {
                return Err(table.wrong(time, "a time in seconds"));
            };
            let [first, last] = range.unwrap_or([at; 2]);
            let [first, last] = [first.min(at), last.max(at)];
            range = Some([first, last]);
            if last - first > LONGEST.as_secs_f64() {
                return Err(table.wrong(time, "a time within three years of all others"));
            }
            let place = match keys.place(&[table.field(name)]) {
                Place::Known(place) => place,
                Place::New(place) => {
                    let name = table.text(name);
                    let image = images.image(&name);
                    let memory = memory.map(|memory| table.number(memory)).transpose()?.flatten();
                    functions.push(Function {
                        image,
                        name,
                        memory_bytes: memory.map(|mb| mb * BYTES_PER_MB),
                        key: keys.key(),
                        ..Function::default()
                    });
                    starts.push((0.0, 0.0));
                    place
                }
            };
            let latency = table.number(latency)?;
            content.add((at.to_bits(), place, latency.map(f64::to_bits)));
            match latency {
                Some(seconds) => {
                    let (sum, count) = &mut starts[place as usize];
                    (*sum, *count) = (*sum + seconds, *count + 1.0);
                }
                None => {
                    let what = "rows without a latency";
                    notes.add(Effect::Changed, what, 0, || table.here());
                }
            }
            calls.push((at, place));
        }
        distinct.add(&content, path)?;
    }
    progress(files.len(), files.len());
    for (function, (sum, count)) in functions.iter_mut().zip(starts) {
        let mean = Duration::try_from_secs_f64(sum / count).ok();
        function.cold_start = mean.filter(|_| count > 0.0);
    }
    let calls = Calls::Single(since_first(calls, reading, &mut notes));
    Ok(Trace { format: found.format, functions, calls, notes })
}

/// The calls by their moments since the first one; those that are not needed are counted.
fn since_first(
    mut calls: Vec<(f64, u32)>,
    reading: &Reading,
    notes: &mut Notes,
) -> Vec<(u64, u32)> {
    if calls.array_windows().any(|[before, after]| before.0 > after.0) {
        notes.add(Effect::Changed, "files whose rows are not in the order of time", 0, String::new);
    }
    calls.sort_by(|one, other| one.0.total_cmp(&other.0));
    let first = calls.first().map_or(0.0, |(at, _)| *at);
    let moments =
        calls.into_iter().map(|(at, function)| (((at - first) * NS_PER_S) as u64, function));
    moments.filter(|(at, _)| Duration::from_nanos(*at) < reading.until).collect()
}
