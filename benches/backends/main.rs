//! Which backend predicts how fast, and at what price? The shipped echo network, in every form that
//! a worker can serve, through the same door that the worker uses, and beside it the least that its
//! multiplications can cost. Then the same question about a random forest and gradient boosting.
//!
//! `just bench-backends` runs this; `cargo bench --bench backends -- --help` shows the options.
#![allow(clippy::disallowed_methods, reason = "a bench is about real time")]
#![allow(clippy::print_stderr, reason = "what a check found is said there")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail")]

mod agreement;
mod floor;
mod forms;
mod fresh;
mod measure;
mod network;
mod report;
mod table;
mod trees;
mod work;

use std::{hint::black_box, iter, path::PathBuf, process::ExitCode, thread, time::Instant};

use clap::Parser;
use hyperfake_predictor::Backends;
use hyperfake_predictor_dense::Isa;
use hyperfake_predictor_testkit::reference::Network;
use hyperfake_worker::backends;

use crate::{
    forms::{Forms, open},
    fresh::Fresh,
    measure::{median, median_ratio},
    table::{BATCHES, Results, Row},
    work::{Contestant, Way},
};

/// Compares the backends.
#[derive(Debug, Parser)]
struct Options {
    /// Measure nothing but the trees; this leaves the README as it is
    #[arg(long)]
    trees_only: bool,
    /// Leave out criterion's report, criterion/report/index.html in the target folder: it takes longest
    #[arg(long)]
    table_only: bool,
    /// Fail when ort takes less than 12 times as long as dense, dense more than twice as long as
    /// the floor, or with dense all threads together do less than 0.9 of what as many alone would,
    /// or ort takes less than twice as long as trees
    #[arg(long)]
    check: bool,
    /// What to call this machine
    #[arg(long, value_name = "TEXT")]
    machine: Option<String>,
    /// ONNX Runtime's library
    #[arg(long, value_name = "FILE")]
    ort_lib: Option<PathBuf>,
    /// Open this model alone and print what only a fresh process shows
    #[arg(long, value_name = "URI", hide = true)]
    fresh: Option<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // A test run builds this and need not wait for it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    backends::turn_off_telemetry();
    if let Some(uri) = &options.fresh {
        fresh::print(uri, options.ort_lib);
        return ExitCode::SUCCESS;
    }
    let network = network::shipped();
    let forms = Forms::of(&network, options.ort_lib.as_deref());
    let backends = forms.backends();
    let trees = trees::rows(forms.folder(), &backends, forms.onnx_runtime.is_some());
    if options.trees_only {
        println!("{}", table::of_trees(&trees));
        let shortfalls = if options.check { table::trees_shortfalls(&trees) } else { Vec::new() };
        shortfalls.iter().for_each(|shortfall| eprintln!("{shortfall}"));
        return ExitCode::from(u8::from(!shortfalls.is_empty()));
    }
    let contestants = contestants(&network, &forms, &backends);
    agreement::check(&network, &contestants);
    let threads = thread::available_parallelism().unwrap().get();
    let results = Results {
        machine: options.machine,
        threads,
        vector_instructions: backends::vector_instructions(),
        rows: rows(&contestants, &forms, &backends, threads),
        trees,
    };
    if !options.table_only {
        report::report(&contestants, &backends);
    }
    let text = results.text();
    println!("{text}");
    results.write(&text);
    let shortfalls = if options.check { results.shortfalls() } else { Vec::new() };
    for shortfall in &shortfalls {
        eprintln!("{shortfall}");
    }
    ExitCode::from(u8::from(!shortfalls.is_empty()))
}

/// The floor, the forms that can be measured here, and the kernel by itself.
fn contestants(network: &Network, forms: &Forms, backends: &Backends) -> Vec<Contestant> {
    let there = forms.all.iter().filter(|form| form.skipped.is_none());
    iter::once(Contestant::floor(network))
        .chain(there.map(|form| Contestant::form(form, backends)))
        .chain(Isa::all().into_iter().rev().map(|isa| Contestant::kernel(network, isa)))
        .collect()
}

fn rows(
    contestants: &[Contestant],
    forms: &Forms,
    backends: &Backends,
    threads: usize,
) -> Vec<Row> {
    let times = measure::times(contestants, Way::OneByOne);
    let batches = BATCHES.map(|size| (size, measure::times(contestants, Way::Batches(size))));
    let throughputs = measure::throughputs(contestants, threads);
    let [floor, dense] = ["floor", "dense"].map(|name| {
        &times[contestants.iter().position(|contestant| contestant.backend == name).unwrap()]
    });
    let row = |(index, contestant): (usize, &Contestant)| {
        let uri = contestant.uri.as_deref();
        let fresh = uri.map(|uri| Fresh::of(uri, forms.onnx_runtime.as_deref()));
        let in_batch = |(size, times): &(usize, Vec<Vec<f64>>)| (*size, median(&times[index]));
        Row {
            backend: contestant.backend.to_owned(),
            model: contestant.model.to_owned(),
            skipped: None,
            prediction_ns: Some(median(&times[index])),
            to_floor: Some(median_ratio(&times[index], floor)),
            to_dense: Some(median_ratio(&times[index], dense)),
            batch_ns: batches.iter().map(in_batch).collect(),
            one_thread_per_s: Some(throughputs[index].one_thread),
            all_threads_per_s: Some(throughputs[index].all_threads),
            all_to_one: Some(throughputs[index].all_threads / throughputs[index].one_thread),
            open_ns: fresh.as_ref().map(|fresh| fresh.open_ns),
            open_again_ns: uri.map(|uri| open_again_ns(uri, backends)),
            session_bytes: fresh.as_ref().map(|fresh| fresh.session_bytes),
        }
    };
    let mut rows: Vec<_> = contestants.iter().enumerate().map(row).collect();
    // In their places behind the floor.
    for (index, form) in forms.all.iter().enumerate().filter(|(_, form)| form.skipped.is_some()) {
        let (backend, model) = (form.backend.to_owned(), form.model.to_owned());
        let skipped = form.skipped.clone();
        rows.insert(1 + index, Row { backend, model, skipped, ..Row::default() });
    }
    rows
}

/// In a process that has opened it before.
fn open_again_ns(uri: &str, backends: &Backends) -> f64 {
    let times = (0..21).map(|_| {
        let start = Instant::now();
        black_box(open(backends, uri));
        start.elapsed().as_secs_f64() * 1e9
    });
    median(&times.collect::<Vec<_>>())
}
