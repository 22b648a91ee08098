//! The functions of a workload as model files, and as a list for people and other programs.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use hyperfake_predictor::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Function, Workload};
use crate::whole_file;

/// What functions have of which the trace says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// The CPU that a call holds, in cores.
    pub cpu_cores: f64,
    /// The memory that a call holds, in bytes.
    pub memory_bytes: f64,
}

impl Function {
    /// The memory that a call of it holds, in whole bytes.
    #[must_use]
    pub fn memory(&self, defaults: &Defaults) -> u64 {
        self.memory_bytes.unwrap_or(defaults.memory_bytes).round() as u64
    }

    /// The memory that it is registered with: what a call holds, rounded up to whole 128 MiB.
    #[must_use]
    pub fn memory_limit(&self, defaults: &Defaults) -> u64 {
        const STEP: u64 = 128 << 20;
        self.memory(defaults).max(1).div_ceil(STEP).saturating_mul(STEP)
    }

    /// Its model, as the JSON that a worker reads.
    #[must_use]
    pub fn model(&self, defaults: &Defaults) -> Value {
        let run_time = self.run_time.as_ref();
        let (cpu, memory) = (self.cpu_cores.unwrap_or(defaults.cpu_cores), self.memory(defaults));
        let mut model = match run_time.and_then(|run_time| run_time.quantiles()) {
            Some((levels, quantiles)) => {
                let rounded: Vec<_> = quantiles.iter().map(|ns| rounded(*ns)).collect();
                json!({"kind": "quantiles", "levels": levels, "runtime_ns": [rounded]})
            }
            None => {
                let mean = run_time.map_or(0.0, |run_time| run_time.mean_ns);
                json!({"kind": "constant", "runtime_ns": rounded(mean)})
            }
        };
        model["cpu_cores"] = cpu.into();
        model["ram_bytes"] = memory.into();
        if let Some(cold_start) = self.cold_start {
            model["cold_start"] = format!("{}ns", cold_start.as_nanos()).into();
        }
        model
    }
}

/// Seven digits: a file of numbers with seventeen is twice as large, and no measurement is that exact.
fn rounded(ns: f64) -> f64 {
    if ns <= 0.0 {
        return ns;
    }
    let digits = 6 - ns.log10().floor() as i32;
    match digits {
        ..=0 => ns.round(),
        digits => {
            let factor = 10_f64.powi(digits);
            (ns * factor).round() / factor
        }
    }
}

/// The most models in a file: a file of JSON models may hold as many.
const IN_A_FILE: usize = 10_000;
/// The list of functions.
const LIST: &str = "functions.csv";

/// Writes the models of a workload into a folder, which is made if it does not exist, and a list of the
/// functions beside them. Returns the files of models. A worker serves them with `--models-dir`.
///
/// # Errors
///
/// When they cannot be written.
pub fn write(work: &Workload, defaults: &Defaults, folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).map_err(|error| {
        Error::unavailable("cannot make the folder").with_source(error).at(folder.display())
    })?;
    let mut files = Vec::new();
    for (number, functions) in work.functions.chunks(IN_A_FILE).enumerate() {
        let path = folder.join(format!("trace-{:03}.json", number + 1));
        let models: Map<_, _> = functions
            .iter()
            .map(|function| (function.image.clone(), function.model(defaults)))
            .collect();
        whole_file::write(&path, |file| serde_json::to_writer(file, &models).map_err(Into::into))?;
        files.push(path);
    }
    let path = folder.join(LIST);
    whole_file::write(&path, |file| list(work, defaults, file))?;
    Ok(files)
}

/// A row of the list.
#[derive(Serialize)]
struct Listed<'a> {
    image: &'a str,
    app: &'a str,
    function: &'a str,
    trigger: &'a str,
    mean_run_time_ns: f64,
    memory_bytes: u64,
    cpu_cores: f64,
}

fn list(work: &Workload, defaults: &Defaults, file: &mut impl Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(file);
    for function in &work.functions {
        let row = Listed {
            image: &function.image,
            app: &function.app,
            function: &function.name,
            trigger: &function.trigger,
            mean_run_time_ns: function.run_time.as_ref().map_or(0.0, |run_time| run_time.mean_ns),
            memory_bytes: function.memory(defaults),
            cpu_cores: function.cpu_cores.unwrap_or(defaults.cpu_cores),
        };
        rows.serialize(row).map_err(io::Error::other)?;
    }
    rows.flush()
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::{Backend, Features};
    use hyperfake_predictor_json::JsonBackend;

    use super::*;
    use crate::trace::{Calls, Format, Notes, RunTime, Selection, Trace, percentiles::Percentiles};

    const DEFAULTS: Defaults = Defaults { cpu_cores: 1.0, memory_bytes: 2e8 };

    #[test]
    fn the_models_of_a_workload_are_read_with_the_means_that_were_stated() {
        let rows = [(812.0, [3.0, 20.0, 90.0, 200.0, 700.0, 9_000.0, 60_000.0]), (7.0, [7.0; 7])];
        let functions = rows.iter().enumerate().map(|(number, (average, at))| Function {
            image: format!("trace-{number}"),
            run_time: Some(Percentiles { average: *average, at: *at }.run_time().0),
            memory_bytes: (number == 1).then_some(3e8),
            ..Function::default()
        });
        let calls = Calls::Counted { bin_ns: 1000, bins: vec![vec![(0, 1), (1, 1)]] };
        let functions = functions.collect();
        let trace = Trace { format: Format::Azure2019, functions, calls, notes: Notes::default() };
        let work = Workload::new(trace, &Selection::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = write(&work, &DEFAULTS, folder.path()).unwrap();
        let [file] = &files[..] else { panic!("{files:?}") };
        let models = JsonBackend.open_all(&file.display().to_string().parse().unwrap()).unwrap();
        for (model, expected) in models.iter().zip([(812e6, 2e8), (7e6, 3e8)]) {
            let answer = model.predictor.session().unwrap().predict(&Features::IDLE).unwrap();
            assert!((answer.runtime_ns / expected.0 - 1.0).abs() < 1e-4, "{answer:?}");
            assert_eq!((answer.cpu_cores, answer.ram_bytes), (1.0, expected.1));
        }
        let list = fs::read_to_string(folder.path().join(LIST)).unwrap();
        assert_eq!(list.lines().count(), 3);
        assert!(list.contains("trace-1,,,,7000000.0,300000000,1.0"), "{list}");
    }

    #[test]
    fn a_limit_has_room_for_a_call_and_numbers_have_seven_digits() {
        let function = Function { run_time: Some(RunTime::constant(1.0)), ..Function::default() };
        assert_eq!(function.memory_limit(&DEFAULTS), 256 << 20);
        for (ns, expected) in [
            (0.0, 0.0),
            (123_456_789.4, 123_456_789.0),
            (1.234_567_89, 1.234_568),
            (98_765.432_1, 98_765.43),
        ] {
            assert_eq!(rounded(ns), expected);
        }
    }
}
