//! Whether the record, what the clients saw and the worker's counters agree to the last call.

use std::collections::{BTreeMap, BTreeSet};

use hyperfake_worker::record::RowReader;

use super::{
    churn::Churn,
    program::Program,
    tally::{Kind, Tally},
};

/// Ends the program, and compares.
///
/// # Errors
///
/// When they do not agree, and where.
pub(crate) async fn verdict(program: Program, churn: &Churn) -> Result<String, String> {
    let page = match &program.record {
        Some(record) => format!("http://{}/metrics", record.metrics),
        None => return Err("NO RESULT: the program writes no record".into()),
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = client.get(page).send().await.unwrap().text().await.unwrap();
    let counter = |name: &str| {
        let line = format!("hyperfake_record_{name}_total ");
        let number = page.lines().find_map(|found| found.strip_prefix(&line));
        number.and_then(|number| number.parse::<u64>().ok()).unwrap()
    };
    let (rows, dropped, unwritten) = (counter("rows"), counter("dropped"), counter("unwritten"));
    let seen = churn.tally();
    churn.look_away();
    let record = program.end().unwrap();
    let recorded = Recorded::read(RowReader::open(&record.file).unwrap());

    let mut faults = Vec::new();
    if dropped + unwritten > 0 {
        faults.push(format!("the record lacks {} calls", dropped + unwritten));
    }
    if rows != recorded.tally.calls() {
        let found = recorded.tally.calls();
        faults.push(format!("the counters have {rows} calls, and the record {found}"));
    }
    for difference in seen.differences(&recorded.tally) {
        faults.push(format!("seen and recorded: {difference}"));
    }
    faults.extend(recorded.faults());
    if !faults.is_empty() {
        return Err(format!("NOT THE SAME:\n{}", faults.join("\n")));
    }
    let reasons = recorded.reasons.iter().map(|(reason, count)| format!("{count} {reason}"));
    Ok(format!(
        "THE SAME: the {rows} rows of the record, what the clients saw and the worker's counters agree; \
         reasons: {}",
        reasons.collect::<Vec<_>>().join(", ")
    ))
}

/// What a record says.
#[derive(Default)]
struct Recorded {
    tally: Tally,
    /// The numbers of the calls, by worker and function.
    numbers: BTreeMap<(String, String), BTreeSet<u64>>,
    /// Calls that have a number, by worker and function.
    numbered: BTreeMap<(String, String), u64>,
    reasons: BTreeMap<String, u64>,
}

impl Recorded {
    fn read(mut rows: RowReader) -> Self {
        let mut recorded = Self::default();
        while let Some(row) = rows.read().unwrap() {
            recorded.tally.add(&row.worker, &row.function, Kind::of(&row.outcome));
            if !row.reason.is_empty() {
                *recorded.reasons.entry(row.reason.to_string()).or_default() += 1;
            }
            if let Some(number) = row.call {
                let function = (row.worker.to_string(), row.function.to_string());
                recorded.numbers.entry(function.clone()).or_default().insert(number);
                *recorded.numbered.entry(function).or_default() += 1;
            }
        }
        recorded
    }

    /// Calls that have no end or more than one: the calls of a function are numbered from 0.
    fn faults(&self) -> impl Iterator<Item = String> {
        self.numbers.iter().filter_map(|((worker, function), numbers)| {
            let count = self.numbered[&(worker.clone(), function.clone())];
            let distinct = numbers.len() as u64;
            let last = numbers.last().copied().unwrap_or(0);
            (count != distinct || last + 1 != distinct).then(|| {
                format!("{worker}, {function}: {count} calls with {distinct} numbers up to {last}")
            })
        })
    }
}
