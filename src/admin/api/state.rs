use serde::Serialize;

use crate::admin::{
    fleet::STATES,
    observe::Outcome,
    snapshot::{Mark, Pair, Row, Snapshot, Versions},
    view::{PERIOD, View},
};

/// What a page needs to know before it reads the stream.
#[derive(Debug, Serialize)]
struct State<'a> {
    run: String,
    version: &'static str,
    started: f64,
    period_s: f64,
    admin: bool,
    threads: usize,
    workers: Workers<'a>,
    models: Vec<Model>,
    time_scale: f64,
    scenario: ScenarioName,
    outcomes: [&'static str; Outcome::COUNT],
    states: [&'static str; STATES.len()],
    history: History<'a>,
    pairs: Vec<Pair>,
    marks: Vec<&'a Mark>,
    #[serde(flatten)]
    versions: Versions,
    snapshot: Option<&'a Snapshot>,
}

#[derive(Debug, Serialize)]
struct Workers<'a> {
    names: &'a [String],
    cpu_cores: usize,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Model {
    image: String,
    model: String,
    backend: &'static str,
}

#[derive(Debug, Serialize)]
struct ScenarioName {
    name: String,
}

/// A column for each number, with an element for each second.
#[derive(Debug, Serialize)]
struct History<'a> {
    at: Vec<f64>,
    rate: Vec<&'a [f64; Outcome::COUNT]>,
    active: Vec<usize>,
    queued: Vec<u64>,
    instances: Vec<&'a [u64; STATES.len()]>,
    starts: Vec<f64>,
    stops: Vec<f64>,
    cold: Vec<Option<f64>>,
    latency_s: Vec<Option<[f64; 4]>>,
    cpu_cores: Vec<f64>,
    ram_bytes: Vec<f64>,
    slowdown: Vec<Option<f64>>,
    lateness_s: Vec<Option<[f64; 3]>>,
}

const MAX_MODELS: usize = 200;

pub(in crate::admin) fn state(view: &View, admin: bool) -> String {
    let state = view.up_to_date();
    let (cpu_cores, memory_bytes) = view.fleet.capacity();
    let worker = view.fleet.workers.first();
    let models = worker.map(|worker| worker.catalog().models()).into_iter().flatten();
    let models = models.take(MAX_MODELS).map(|model| Model {
        image: model.image.to_string(),
        model: model.predictor.info().path.display().to_string(),
        backend: model.predictor.info().backend,
    });
    let scale = worker.map(|worker| worker.config().layers.time_scale.factor());
    let state = State {
        run: format!("{:016x}", view.fleet.run),
        version: env!("CARGO_PKG_VERSION"),
        started: view.started,
        period_s: PERIOD.as_secs_f64(),
        admin,
        threads: view.fleet.clocks.len(),
        workers: Workers { names: &view.fleet.names, cpu_cores, memory_bytes },
        models: models.collect(),
        time_scale: scale.unwrap_or(1.0),
        scenario: ScenarioName { name: view.scenario.name(&view.fleet) },
        outcomes: Outcome::NAMES,
        states: STATES,
        history: History::of(state.history.iter()),
        pairs: state.pairs.iter().copied().collect(),
        marks: state.marks.iter().collect(),
        versions: state.versions(),
        snapshot: state.snapshot.as_ref(),
    };
    serde_json::to_string(&state).unwrap_or_default()
}

impl<'a> History<'a> {
    fn of(rows: impl Iterator<Item = &'a Row> + Clone) -> Self {
        Self {
            at: rows.clone().map(|row| row.at).collect(),
            rate: rows.clone().map(|row| &row.rate).collect(),
            active: rows.clone().map(|row| row.active).collect(),
            queued: rows.clone().map(|row| row.queued).collect(),
            instances: rows.clone().map(|row| &row.instances).collect(),
            starts: rows.clone().map(|row| row.starts).collect(),
            stops: rows.clone().map(|row| row.stops).collect(),
            cold: rows.clone().map(|row| row.cold).collect(),
            latency_s: rows.clone().map(|row| row.latency_s).collect(),
            cpu_cores: rows.clone().map(|row| row.cpu_cores).collect(),
            ram_bytes: rows.clone().map(|row| row.ram_bytes).collect(),
            slowdown: rows.clone().map(|row| row.slowdown).collect(),
            lateness_s: rows.map(|row| row.lateness_s).collect(),
        }
    }
}
