use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::{Function, Size};

const LEVELS: [(&str, f64); 7] =
    [("0", 0.0), ("1", 0.01), ("25", 0.25), ("50", 0.5), ("75", 0.75), ("99", 0.99), ("100", 1.0)];
const MEMORY_LEVELS: [(&str, f64); 8] = [
    ("1", 0.9),
    ("5", 0.92),
    ("25", 0.97),
    ("50", 1.0),
    ("75", 1.03),
    ("95", 1.08),
    ("99", 1.1),
    ("100", 1.2),
];

/// The three files of the first day. As in the real trace, a row is there twice, one function is never called,
/// and one has no run times.
pub(crate) fn write(functions: &[Function], size: Size, folder: &Path) -> io::Result<()> {
    let name = |what: &str| folder.join(format!("{what}.anon.d01.csv"));
    invocations(functions, size, &name("invocations_per_function_md"))?;
    durations(functions, size, &name("function_durations_percentiles"))?;
    let mut file = BufWriter::new(File::create(name("app_memory_percentiles"))?);
    write!(file, "HashOwner,HashApp,SampleCount,AverageAllocatedMb")?;
    memory_header(&mut file)?;
    for function in functions.iter().step_by(3) {
        write!(file, "{},{},1440,{}", function.owner, function.app, function.memory_mb)?;
        memory(&mut file, function.memory_mb)?;
    }
    file.flush()
}

/// The three files of a folder of InVitro's: memory is by function, and run times are whole milliseconds.
pub(crate) fn write_invitro(functions: &[Function], size: Size, folder: &Path) -> io::Result<()> {
    invocations(functions, size, &folder.join("invocations.csv"))?;
    durations(functions, size, &folder.join("durations.csv"))?;
    let mut file = BufWriter::new(File::create(folder.join("memory.csv"))?);
    write!(file, "HashOwner,HashApp,HashFunction,SampleCount,AverageAllocatedMb")?;
    memory_header(&mut file)?;
    for Function { owner, app, name, memory_mb, .. } in functions {
        let own = memory_mb / 3.0;
        write!(file, "{owner},{app},{name},1440,{own:.1}")?;
        memory(&mut file, own)?;
    }
    file.flush()
}

fn memory_header(file: &mut impl Write) -> io::Result<()> {
    MEMORY_LEVELS.iter().try_for_each(|(name, _)| write!(file, ",AverageAllocatedMb_pct{name}"))?;
    writeln!(file)
}

fn memory(file: &mut impl Write, mb: f64) -> io::Result<()> {
    MEMORY_LEVELS.iter().try_for_each(|(_, factor)| write!(file, ",{:.0}", mb * factor))?;
    writeln!(file)
}

fn invocations(functions: &[Function], size: Size, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write!(file, "HashOwner,HashApp,HashFunction,Trigger")?;
    (1..=size.minutes).try_for_each(|minute| write!(file, ",{minute}"))?;
    writeln!(file)?;
    let twice = functions.get(1);
    for (number, function) in functions.iter().chain(twice).enumerate() {
        let Function { owner, app, name, trigger, .. } = function;
        write!(file, "{owner},{app},{name},{trigger}")?;
        for minute in 0..size.minutes {
            let calls = if number == SILENT { 0 } else { function.calls(minute) };
            write!(file, ",{calls}")?;
        }
        writeln!(file)?;
    }
    file.flush()
}

/// The function without calls, and the one without run times.
const SILENT: usize = 3;
const UNTIMED: usize = 4;

fn durations(functions: &[Function], size: Size, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write!(file, "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum")?;
    LEVELS.iter().try_for_each(|(name, _)| write!(file, ",percentile_Average_{name}"))?;
    writeln!(file)?;
    for (number, function) in functions.iter().enumerate() {
        if number == UNTIMED {
            continue;
        }
        let Function { owner, app, name, .. } = function;
        let count: u64 = (0..size.minutes).map(|minute| u64::from(function.calls(minute))).sum();
        let [least, most] = [0.0, 1.0].map(|level| function.quantile_ms(level));
        let mean = function.mean_ms().round();
        write!(file, "{owner},{app},{name},{mean},{count},{least:.0},{most:.0}")?;
        for (_, level) in LEVELS {
            write!(file, ",{:.0}", function.quantile_ms(level))?;
        }
        writeln!(file)?;
    }
    file.flush()
}
