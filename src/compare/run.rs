use std::collections::{BTreeMap, HashMap};

use hyperfake_predictor::{Error, Features, Result};

use super::By;
use crate::record::{OK, Row};

/// A record of calls that is compared: the numbers of each call, in 120 bytes, and each text once.
#[derive(Debug, Default)]
pub struct Run {
    name: String,
    functions: Vec<Calls>,
    /// The number of a function, by its image and id.
    known: HashMap<String, HashMap<String, usize>>,
    codes: Vec<String>,
    rows: u64,
    notes: Vec<String>,
}

/// The calls of a function in the order of the record.
#[derive(Debug)]
struct Calls {
    image: String,
    function: String,
    calls: Vec<Call>,
}

/// What is known of a call. Numbers that are not known are NaN; times are in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) arrival: u64,
    /// Its number, as the record says it.
    pub(super) number: Option<u64>,
    pub(super) run: f64,
    pub(super) queue: f64,
    pub(super) cold_start: f64,
    pub(super) lateness: f64,
    pub(super) cpu: f64,
    pub(super) ram: f64,
    pub(super) features: [f64; 5],
    pub(super) cold: Option<bool>,
    /// The number of its gRPC code.
    pub(super) code: u8,
    pub(super) answered: bool,
}

/// The most codes that are told apart: a file can have any number.
const MOST_CODES: usize = 64;
const OTHERS: &str = "others";

impl Run {
    /// An empty one; its name is shown.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// One of these calls.
    ///
    /// # Errors
    ///
    /// As [`Run::add`]; the error names the row.
    pub fn of(name: impl Into<String>, rows: &[Row<'_>]) -> Result<Self> {
        let mut run = Self::new(name);
        for (row, number) in rows.iter().zip(1..) {
            run.add(row).map_err(|error| error.at(format!("row {number}")).at(&run.name))?;
        }
        Ok(run)
    }

    /// Adds a call.
    ///
    /// # Errors
    ///
    /// `Invalid` where a number is none, or negative: the error names the column.
    pub fn add(&mut self, row: &Row<'_>) -> Result<()> {
        let call = self.call(row)?;
        self.rows += 1;
        let known = self.known.get(&*row.image).and_then(|ids| ids.get(&*row.function)).copied();
        let function = known.unwrap_or_else(|| {
            let (image, function) = (row.image.to_string(), row.function.to_string());
            let number = self.functions.len();
            self.known.entry(image.clone()).or_default().insert(function.clone(), number);
            self.functions.push(Calls { image, function, calls: Vec::new() });
            number
        });
        self.functions[function].calls.push(call);
        Ok(())
    }

    /// Something to know of the record, such as what of a file is no call: one line.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// How many calls were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn code(&self, call: &Call) -> &str {
        self.codes.get(usize::from(call.code)).map_or(OTHERS, String::as_str)
    }

    /// Takes the calls by the name of their function, in the order in which they came in.
    pub(super) fn take_functions(&mut self, by: By) -> BTreeMap<String, Vec<Call>> {
        self.known.clear();
        let mut functions: BTreeMap<String, Vec<Call>> = BTreeMap::new();
        for Calls { image, function, mut calls } in std::mem::take(&mut self.functions) {
            let name = if by == By::Image && !image.is_empty() { image } else { function };
            functions.entry(name).or_default().append(&mut calls);
        }
        for calls in functions.values_mut() {
            calls.sort_by_key(|call| call.arrival);
        }
        functions
    }

    fn call(&mut self, row: &Row<'_>) -> Result<Call> {
        let whole = |number: Option<u64>| number.map_or(f64::NAN, |number| number as f64);
        let real = |number: Option<f64>, column: &str| match number {
            None => Ok(f64::NAN),
            Some(number) if number.is_finite() && number >= 0.0 => Ok(number),
            Some(number) => {
                let message = format!("found {number}, expected a number that is not negative");
                Err(Error::invalid(message).at(format!("column {column}")))
            }
        };
        Ok(Call {
            arrival: row.arrival_unix_ns,
            number: row.call,
            run: whole(row.run_ns),
            queue: whole(row.queue_ns),
            cold_start: whole(row.cold_start_ns),
            lateness: whole(row.lateness_ns),
            cpu: real(row.cpu_cores, "cpu_cores")?,
            ram: whole(row.ram_bytes),
            features: [
                whole(row.request_bytes),
                whole(row.function_instances),
                whole(row.active_calls),
                real(row.worker_cpu_cores, "worker_cpu_cores")?,
                whole(row.worker_ram_bytes),
            ],
            cold: row.cold,
            code: self.number_of_code(&row.outcome),
            answered: row.outcome == OK,
        })
    }

    fn number_of_code(&mut self, code: &str) -> u8 {
        let known = self.codes.iter().position(|known| known == code);
        let number = known.unwrap_or_else(|| {
            if self.codes.len() < MOST_CODES {
                self.codes.push(code.to_owned());
                self.codes.len() - 1
            } else {
                MOST_CODES
            }
        });
        number as u8
    }
}

impl Call {
    /// Whether its run time counts: that of a call which failed says when it failed.
    pub(super) fn counts(&self) -> bool {
        self.answered && !self.run.is_nan()
    }

    /// When it began to run, in nanoseconds since the Unix epoch.
    pub(super) fn begin(&self) -> u64 {
        let waited = |time: f64| if time.is_nan() { 0 } else { time as u64 };
        let wait = waited(self.queue).saturating_add(waited(self.cold_start));
        self.arrival.saturating_add(wait)
    }

    pub(super) fn end(&self) -> u64 {
        self.begin().saturating_add(if self.run.is_nan() { 0 } else { self.run as u64 })
    }

    pub(super) fn active_calls(&self) -> f64 {
        self.features[2]
    }

    /// What the model was told, if the record has all of it.
    pub(super) fn known_features(&self) -> Option<Features> {
        let known = self.features.iter().all(|number| !number.is_nan());
        known.then(|| Features::from_array(self.features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(image: &'static str, function: &'static str, arrival_unix_ns: u64) -> Row<'static> {
        Row {
            arrival_unix_ns,
            image: image.into(),
            function: function.into(),
            run_ns: Some(5),
            outcome: OK.into(),
            ..Row::default()
        }
    }

    #[test]
    fn calls_are_put_together_by_image_or_by_function_and_sorted() {
        let rows = [row("a", "1", 9), row("a", "2", 3), row("", "3", 1), row("a", "1", 5)];
        let named = |by| {
            let functions = Run::of("r", &rows).unwrap().take_functions(by);
            let arrivals =
                |calls: Vec<Call>| calls.iter().map(|call| call.arrival).collect::<Vec<_>>();
            functions.into_iter().map(|(name, calls)| (name, arrivals(calls))).collect::<Vec<_>>()
        };
        assert_eq!(named(By::Image), [("3".to_owned(), vec![1]), ("a".to_owned(), vec![3, 5, 9])]);
        let by_function = named(By::Function);
        assert_eq!(by_function.len(), 3);
        assert_eq!(by_function[0], ("1".to_owned(), vec![5, 9]));
    }

    #[test]
    fn a_number_that_is_none_is_refused_with_its_row_and_column() {
        for (number, found) in [(f64::NAN, "NaN"), (-0.5, "-0.5"), (f64::INFINITY, "inf")] {
            let bad = Row { cpu_cores: Some(number), ..row("a", "1", 1) };
            let error = Run::of("real.csv", &[row("a", "1", 0), bad]).unwrap_err();
            let expected = format!(
                "real.csv: row 2: column cpu_cores: found {found}, expected a number that is not \
                 negative"
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn codes_that_a_file_invents_are_counted_together_at_some_point() {
        let mut run = Run::new("r");
        for number in 0..1000 {
            let outcome = format!("code {number}").into();
            run.add(&Row { outcome, ..row("a", "1", number) }).unwrap();
        }
        assert_eq!(run.codes.len(), MOST_CODES);
        let calls = run.take_functions(By::Image).remove("a").unwrap();
        assert_eq!((run.code(&calls[1]), run.code(&calls[999])), ("code 1", OTHERS));
    }

    #[test]
    fn a_call_is_small() {
        assert!(size_of::<Call>() <= 128, "{}", size_of::<Call>());
    }
}
