//! The rows, as a table to read and as numbers for programs.

use std::{collections::BTreeMap, fs, path::PathBuf};

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use serde::Serialize;

use crate::{
    agreement,
    fresh::{self, PROCESSES},
    measure::{ROUNDS, THREAD_ROUNDS},
    network::CALLS,
    trees::{self, TreesRow},
};

pub(crate) const BATCHES: [usize; 3] = [1, 16, 256];

/// What was found out about one contestant. Nothing stands where there is nothing to measure.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) backend: String,
    pub(crate) model: String,
    pub(crate) skipped: Option<String>,
    pub(crate) prediction_ns: Option<f64>,
    pub(crate) to_floor: Option<f64>,
    pub(crate) to_dense: Option<f64>,
    /// For each prediction in a batch of this size.
    pub(crate) batch_ns: BTreeMap<usize, f64>,
    pub(crate) one_thread_per_s: Option<f64>,
    pub(crate) all_threads_per_s: Option<f64>,
    pub(crate) all_to_one: Option<f64>,
    pub(crate) open_ns: Option<f64>,
    pub(crate) open_again_ns: Option<f64>,
    pub(crate) session_bytes: Option<f64>,
}

/// All that a run has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Option<String>,
    pub(crate) threads: usize,
    pub(crate) vector_instructions: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) trees: Vec<TreesRow>,
}

impl Results {
    /// What `--check` has to say against the rows.
    pub(crate) fn shortfalls(&self) -> Vec<String> {
        let row = |backend: &str| self.rows.iter().find(|row| row.backend == backend);
        let mut shortfalls = Vec::new();
        let mut expect = |holds: bool, message: String| {
            if !holds {
                shortfalls.push(message);
            }
        };
        match row("ort").and_then(|ort| ort.to_dense) {
            Some(ratio) => expect(
                ratio >= 12.0,
                format!("ort takes {ratio:.1} times as long as dense, expected at least 12"),
            ),
            None => {
                expect(false, "ort was skipped, so that dense cannot be compared with it".into())
            }
        }
        if let Some(ratio) = row("dense").and_then(|dense| dense.to_floor) {
            expect(
                ratio <= 2.0,
                format!("dense takes {ratio:.2} times as long as the floor, expected at most 2"),
            );
        }
        if let Some(ratio) = row("dense").and_then(|dense| dense.all_to_one) {
            let (threads, least) = (self.threads, 0.9 * self.threads as f64);
            expect(
                ratio >= least,
                format!(
                    "dense on {threads} threads does {ratio:.2} times what it does on one, \
                     expected at least {least:.1}"
                ),
            );
        }
        shortfalls.extend(trees_shortfalls(&self.trees));
        shortfalls
    }

    /// Writes `bench/backends.json` and `bench/backends.md` in cargo's target folder.
    pub(crate) fn write(&self, text: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        fs::create_dir_all(&folder).unwrap();
        let json = serde_json::to_string_pretty(self).unwrap() + "\n";
        fs::write(folder.join("backends.json"), json).unwrap();
        fs::write(folder.join("backends.md"), text).unwrap();
    }

    /// The table, and what one has to know to read it.
    pub(crate) fn text(&self) -> String {
        let machine = self.machine.as_deref().unwrap_or("A machine without a name");
        let instructions = self.vector_instructions;
        format!(
            "{machine}, {instructions}; `just bench-backends`.\n\n{}\n\n{}\n\n{}",
            self.table(),
            of_trees(&self.trees),
            notes()
        )
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header(self.header());
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.trim_fmt()
    }

    fn header(&self) -> Vec<String> {
        let mut header = vec!["backend".to_owned(), "model".into(), "one, ns".into()];
        header.extend(["× floor".to_owned(), "× dense".into()]);
        header.extend(BATCHES.map(|size| format!("in {size}, ns")));
        header.push("one thread, M/s".into());
        header.push(format!("{} threads, M/s", self.threads));
        header.extend(["ratio".to_owned(), "open, ms".into(), "again, ms".into()]);
        header.push("session, KiB".into());
        header
    }
}

/// The table of trees.
pub(crate) fn of_trees(rows: &[TreesRow]) -> String {
    let mut table = Table::new();
    let header = ["model", "trees, ns", "ort, ns", "ort / trees"];
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for row in rows {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.add_row([
            row.model.to_owned(),
            number(Some(row.trees_ns), 0),
            number(row.ort_ns, 0),
            number(row.ort_to_trees, 2),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// What `--check` has to say against the table of trees.
pub(crate) fn trees_shortfalls(rows: &[TreesRow]) -> Vec<String> {
    let shortfall = |row: &TreesRow| {
        let (model, promised) = (row.model, trees::PROMISED);
        match row.ort_to_trees {
            Some(ratio) if ratio >= promised => None,
            Some(ratio) => Some(format!(
                "ort takes {ratio:.1} times as long as trees, expected at least {promised}: {model}"
            )),
            None => Some(format!("ort was skipped, so that trees has no comparison: {model}")),
        }
    };
    rows.iter().filter_map(shortfall).collect()
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>, unit: f64, digits: usize| match value {
            Some(value) => format!("{:.digits$}", value / unit),
            None => "–".to_owned(),
        };
        let model = match &self.skipped {
            Some(reason) => format!("{}, skipped: {reason}", self.model),
            None => self.model.clone(),
        };
        let mut cells = vec![self.backend.clone(), model];
        cells.push(number(self.prediction_ns, 1.0, 0));
        cells.extend([number(self.to_floor, 1.0, 2), number(self.to_dense, 1.0, 2)]);
        cells.extend(BATCHES.map(|size| number(self.batch_ns.get(&size).copied(), 1.0, 0)));
        cells.extend(
            [self.one_thread_per_s, self.all_threads_per_s].map(|rate| number(rate, 1e6, 3)),
        );
        cells.push(number(self.all_to_one, 1.0, 2));
        cells.extend([self.open_ns, self.open_again_ns].map(|time| number(time, 1e6, 2)));
        cells.push(match self.session_bytes {
            // Less than the system's way of counting can tell from nothing.
            Some(bytes) if bytes < 102.4 => "< 0.1".to_owned(),
            bytes => number(bytes, 1024.0, 1),
        });
        cells
    }
}

fn notes() -> String {
    let [network, table] = [agreement::NETWORK, agreement::TABLE].map(|share| 100.0 * share);
    let [filled, most] = [fresh::FILLED_BYTES >> 20, fresh::MOST_SESSIONS as u64];
    format!(
        "\
- Before anything is measured, all are asked the same {CALLS} calls, spread over the domain that the
  network was made for: the answers are within {network} % of the network's in double precision. The table
  is no network but the law that the network was fitted to: it is asked about an idle worker, where it
  is exact, and the two are within {table} % of each other.
- `one` is the time for a prediction, asked one by one through a session in a box, as the worker asks;
  `in 16` for each prediction in a batch of 16. Both go through the {CALLS} calls again and again. Medians
  of {ROUNDS} rounds, in which all rows take turns, and medians of the ratios within the rounds.
- `floor` is the network written by hand, with vectors of up to eight numbers and sizes known to the
  compiler, called as a function. `dense's kernel` is what dense runs, called as a function, with each
  set of instructions that the CPU has.
- `threads`: millions of predictions each second, made by all threads together, each with a session of
  its own; `ratio` is to one thread. Both are what the best tenth of {THREAD_ROUNDS} rounds reaches, because
  whatever else runs on the machine takes a core from all threads, but none from one.
- `open` is in a process that has opened nothing before and loads what the backend needs, the median of
  {PROCESSES} processes; `again` in one that has. The files are in the operating system's cache.
- `session` is how much of the process's memory becomes resident for each session, when sessions are made,
  asked once and kept until they fill {filled} MiB or there are {most}, after as many that are not counted.
- Both plugins are the network in plain code, compiled with full optimisation for any CPU of the
  architecture, and read its numbers from a configuration. Both are re-entrant, so that the weights are
  there once. A batch crosses the border once in Rust; the one in C has no `predict_batch`, so that each
  call of it does.
- The second table: complete trees with random thresholds. Both backends are asked one by one, in turns,
  after their answers to the {CALLS} calls were compared to one part in 100,000.
"
    )
}
