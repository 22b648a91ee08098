use std::collections::{BTreeMap, HashMap};

use hyperfake_predictor::{Error, Result};

use crate::record::Row;

/// Takes rows in, one by one, and keeps of each only what is needed to learn from it, in 120 bytes.
#[derive(Debug, Default)]
pub struct Intake {
    workers: Names,
    by_name: Names,
    instances: Names,
    /// By their numbers.
    pub(super) functions: Vec<Function>,
    pub(super) calls: Vec<Call>,
}

/// A function that has rows.
#[derive(Debug, Default)]
pub(super) struct Function {
    id: String,
    image: String,
    pub(super) rows: u64,
    /// Rows without a run time.
    pub(super) idle: u64,
}

/// A call that ran.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// Worker, function and instance by numbers.
    pub(super) worker: u32,
    pub(super) function: u32,
    pub(super) instance: Option<u32>,
    /// In nanoseconds since the Unix epoch: when it came, when it began to run, when it ended.
    pub(super) arrived: u64,
    pub(super) began: u64,
    pub(super) end: u64,
    /// In the order of `Feature::ALL`; NaN for what is not known.
    pub(super) features: [f64; 5],
    /// In the order of `Output::ALL`, the run time in nanoseconds; NaN for what is not known.
    pub(super) targets: [f64; 3],
    pub(super) succeeded: bool,
    pub(super) cold: bool,
    /// How long it waited for its instance, in nanoseconds.
    pub(super) cold_start: u64,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            worker: 0,
            function: 0,
            instance: None,
            arrived: 0,
            began: 0,
            end: 0,
            features: [f64::NAN; 5],
            targets: [f64::NAN; 3],
            succeeded: true,
            cold: false,
            cold_start: 0,
        }
    }
}

/// Numbers for names.
#[derive(Debug, Default)]
struct Names(HashMap<String, u32>);

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = self.0.len() as u32;
        self.0.insert(name.to_owned(), number);
        number
    }
}

impl Function {
    /// Whether it is the one with this id or image.
    pub(super) fn is(&self, name: &str) -> bool {
        self.id == name || self.image == name
    }

    /// Its image where there is one, because a function's id changes.
    fn name(&self) -> &str {
        if self.image.is_empty() { &self.id } else { &self.image }
    }
}

impl Intake {
    /// Takes a row in.
    ///
    /// # Errors
    ///
    /// `Invalid` where a number of cores is none, or negative: the error names the column.
    pub fn add(&mut self, row: &Row<'_>) -> Result<()> {
        let cpu_cores = cores(row.cpu_cores, "cpu_cores")?;
        let worker_cpu_cores = cores(row.worker_cpu_cores, "worker_cpu_cores")?;
        let number = self.by_name.number(&format!("{}\0{}", row.function, row.image));
        if number as usize == self.functions.len() {
            let (id, image) = (row.function.to_string(), row.image.to_string());
            self.functions.push(Function { id, image, ..Function::default() });
        }
        let function = &mut self.functions[number as usize];
        function.rows += 1;
        let Some(run_ns) = row.run_ns else {
            function.idle += 1;
            return Ok(());
        };
        let waits = row.queue_ns.unwrap_or(0).saturating_add(row.cold_start_ns.unwrap_or(0));
        let began = row.arrival_unix_ns.saturating_add(waits);
        let known = |number: Option<u64>| number.map_or(f64::NAN, |number| number as f64);
        self.calls.push(Call {
            worker: self.workers.number(&row.worker),
            function: number,
            instance: row.instance.as_deref().map(|instance| self.instances.number(instance)),
            arrived: row.arrival_unix_ns,
            began,
            end: began.saturating_add(run_ns),
            features: [
                known(row.request_bytes),
                known(row.function_instances),
                known(row.active_calls),
                worker_cpu_cores,
                known(row.worker_ram_bytes),
            ],
            targets: [run_ns as f64, cpu_cores, known(row.ram_bytes)],
            succeeded: row.succeeded(),
            cold: row.cold == Some(true),
            cold_start: row.cold_start_ns.unwrap_or(0),
        });
        Ok(())
    }

    /// How many rows were taken in.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.functions.iter().map(|function| function.rows).sum()
    }

    /// The function that is meant.
    pub(super) fn named(&self, asked: Option<&str>) -> Result<String> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for function in &self.functions {
            *counts.entry(function.name()).or_default() += function.rows;
        }
        match (asked, counts.len()) {
            (_, 0) => Err(Error::invalid("there are no calls")),
            (Some(asked), _) if self.functions.iter().any(|one| one.is(asked)) => {
                Ok(asked.to_owned())
            }
            (Some(_), _) => {
                let message = format!("no call is of it; there are those of {}", listed(&counts));
                Err(Error::invalid(message).at("--function"))
            }
            (None, 1) => Ok(counts.into_keys().next().unwrap_or_default().to_owned()),
            (None, count) => Err(Error::invalid(format!(
                "found the calls of {count} functions, expected those of one; name it with \
                 --function: {}",
                listed(&counts)
            ))),
        }
    }
}

/// A number of cores; NaN if it is not known.
fn cores(number: Option<f64>, column: &str) -> Result<f64> {
    match number {
        None => Ok(f64::NAN),
        Some(number) if number.is_finite() && number >= 0.0 => Ok(number),
        Some(number) => {
            let message = format!("found {number}, expected a number that is not negative");
            Err(Error::invalid(message).at(format!("column {column}")))
        }
    }
}

/// The functions with the most calls.
fn listed(counts: &BTreeMap<&str, u64>) -> String {
    /// The most that an error names.
    const NAMED: usize = 10;
    let mut all: Vec<_> = counts.iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown = all.iter().take(NAMED).map(|(name, count)| {
        let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        format!("{name} ({count} calls)")
    });
    let more = if all.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_cores_that_is_none_is_refused_with_its_column() {
        for number in [f64::NAN, f64::INFINITY, -0.5] {
            for (row, column) in [
                (Row { cpu_cores: Some(number), ..Row::default() }, "cpu_cores"),
                (Row { worker_cpu_cores: Some(number), ..Row::default() }, "worker_cpu_cores"),
            ] {
                let mut intake = Intake::default();
                let error = intake.add(&row).unwrap_err().to_string();
                let expected = format!(
                    "column {column}: found {number}, expected a number that is not negative"
                );
                assert_eq!((error, intake.rows()), (expected, 0));
            }
        }
    }
}
