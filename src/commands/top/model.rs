//! What is known of a server, put together from its answers.

use std::collections::{BTreeMap, VecDeque};

use super::{
    answers::{Function, FunctionRow, Functions, Snapshot, State, StripRow, Text, Totals},
    feed::Update,
};

/// What is known of a server.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) address: String,
    /// Why the page is not followed now, if it is not.
    pub(super) lost: Option<String>,
    pub(super) version: Text,
    pub(super) scenario: Text,
    /// How long it has served.
    pub(super) up_s: f64,
    pub(super) totals: Totals,
    /// The last seconds, the oldest first.
    pub(super) history: VecDeque<Second>,
    pub(super) functions: Vec<FunctionLine>,
    pub(super) workers: Vec<WorkerLine>,
    pub(super) strip: Vec<StripRow>,
    /// Whether there was a snapshot, and after it the names of functions.
    pub(super) has_names: bool,
    started: f64,
    worker_names: Vec<Text>,
    names: Vec<Function>,
    /// By place: the latest row, and the number of its snapshot.
    rows: BTreeMap<usize, (FunctionRow, u64)>,
    run: Text,
}

/// A second of the past.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Second {
    /// Calls that ended.
    pub(super) ended: f64,
    pub(super) failed: f64,
    pub(super) p99_s: Option<f64>,
}

/// What is shown of a function.
#[derive(Debug, Clone, Default)]
pub(super) struct FunctionLine {
    pub(super) id: String,
    pub(super) image: String,
    pub(super) instances: f64,
    /// Of this second, but for the times, which are of the latest second in which a call ended.
    pub(super) row: FunctionRow,
}

/// What is shown of a worker.
#[derive(Debug, Clone, Default)]
pub(super) struct WorkerLine {
    pub(super) name: String,
    pub(super) rate: f64,
    pub(super) failed: f64,
    pub(super) active: f64,
    pub(super) instances: f64,
    pub(super) cpu: f64,
    pub(super) ram: f64,
}

/// The most seconds that are kept.
const SECONDS: usize = 300;
/// A function without instances is shown for so many seconds after its last call.
const SHOWN: u64 = 60;

impl Model {
    pub(super) fn new(address: String) -> Self {
        Self { address, ..Self::default() }
    }

    /// Takes what came.
    pub(super) fn update(&mut self, update: Update) {
        match update {
            Update::State(state) => self.begin(*state),
            Update::Functions(Functions { functions }) => {
                self.names = functions;
                self.has_names = true;
                let names = &self.names;
                self.functions.iter_mut().for_each(|line| line.name(names));
            }
            Update::Snapshot(snapshot) => self.take(*snapshot),
            Update::Lost(reason) => self.lost = Some(reason),
        }
    }

    fn begin(&mut self, state: State) {
        self.lost = None;
        if self.run != state.run {
            // The places of functions mean others.
            *self = Self { run: state.run, ..Self::new(std::mem::take(&mut self.address)) };
        }
        self.version = state.version;
        self.scenario = state.scenario.name;
        self.started = state.started;
        self.worker_names = state.workers.names;
        let latencies = state.history.latency_s.iter().map(Some).chain(std::iter::repeat(None));
        let seconds = state.history.rate.iter().zip(latencies);
        let seconds = seconds.map(|(rate, latency)| {
            Second::new(rate, latency.and_then(|latency| latency.as_deref()))
        });
        self.history = seconds.collect();
        self.shorten();
        if let Some(snapshot) = state.snapshot {
            // It is the last second of the history.
            self.history.pop_back();
            self.take(snapshot);
        }
    }

    fn take(&mut self, snapshot: Snapshot) {
        let Snapshot { n, totals, workers, functions, function_instances, strip, at, .. } =
            snapshot;
        self.up_s = (at - self.started).max(0.0);
        self.history.push_back(Second::new(&totals.rate, totals.latency_s.as_deref()));
        self.shorten();
        self.rows.extend(functions.into_iter().map(|row| (row.place, (row, n))));
        let instances: BTreeMap<_, _> = function_instances.into_iter().collect();
        let is_shown = |place: &usize, seen: u64| {
            instances.contains_key(place) || n.saturating_sub(seen) < SHOWN
        };
        self.rows.retain(|place, (_, seen)| is_shown(place, *seen));
        for place in instances.keys() {
            let row = FunctionRow { place: *place, ..FunctionRow::default() };
            self.rows.entry(*place).or_insert((row, 0));
        }
        let lines = self.rows.values().map(|(row, seen)| {
            let mut row = row.clone();
            if *seen != n {
                (row.rate, row.failed) = (0.0, 0.0);
            }
            let instances = instances.get(&row.place).copied().unwrap_or_default();
            let mut line = FunctionLine { instances, row, ..FunctionLine::default() };
            line.name(&self.names);
            line
        });
        self.functions = lines.collect();
        let names = self.worker_names.iter().enumerate();
        let number = |column: &[f64], index: usize| column.get(index).copied().unwrap_or_default();
        let workers = names.map(|(index, name)| WorkerLine {
            name: name.to_string(),
            rate: number(&workers.rate, index),
            failed: number(&workers.failed, index),
            active: number(&workers.active, index),
            instances: number(&workers.instances, index),
            cpu: number(&workers.cpu, index),
            ram: number(&workers.ram, index),
        });
        self.workers = workers.collect();
        (self.totals, self.strip) = (totals, strip);
    }

    /// The name of the function at this place.
    pub(super) fn function(&self, place: usize) -> String {
        let mut line = FunctionLine::default();
        line.row.place = place;
        line.name(&self.names);
        line.id
    }

    fn shorten(&mut self) {
        let surplus = self.history.len().saturating_sub(SECONDS);
        self.history.drain(..surplus);
    }
}

impl Second {
    fn new(rate: &[f64], latency: Option<&[f64]>) -> Self {
        let p99_s = latency.and_then(|latency| latency.get(2)).copied();
        Self { ended: rate.iter().sum(), failed: rate.iter().skip(1).sum(), p99_s }
    }
}

impl FunctionLine {
    fn name(&mut self, names: &[Function]) {
        match names.get(self.row.place) {
            Some(function) => {
                self.id = function.id.to_string();
                self.image = function.image.to_string();
            }
            // Its name comes soon.
            None => self.id = format!("function {}", self.row.place),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a server with two workers answers.
    pub(in crate::commands::top) fn state() -> Update {
        let state = serde_json::json!({
            "run": "aa", "version": "0.1.0", "started": 1000.0,
            "workers": {"names": ["127.0.0.1:1", "127.0.0.1:2"]}, "scenario": {"name": "chaos"},
            "history": {"rate": [[5, 0], [6, 1]], "latency_s": [null, [0.1, 0.2, 0.3, 0.4]]},
            "snapshot": null,
        });
        Update::State(serde_json::from_value(state).unwrap())
    }

    pub(in crate::commands::top) fn functions() -> Update {
        let functions = serde_json::json!({"functions": [
            {"id": "other", "image": ""}, {"id": "f-one", "image": "echo"}, {"id": "f-two", "image": "sleep"}
        ]});
        Update::Functions(serde_json::from_value(functions).unwrap())
    }

    /// The second with this number, in which these functions had so many calls.
    pub(in crate::commands::top) fn second(n: u64, calls: &[(usize, f64)]) -> Update {
        let functions = calls.iter().map(|(place, rate)| {
            serde_json::json!([place, rate, 1, 0.007, 0.008, 0.009, 0.25, 0.007, 0.0071])
        });
        let snapshot = serde_json::json!({
            "run": "aa", "n": n, "at": 1000.0 + 60.0 * n as f64,
            "totals": {
                "rate": [100, 2, 1], "active": 12, "queued": 3, "instances": [1, 2, 3, 0], "starts": 2, "stops": 1,
                "cold": 0.1, "latency_s": [0.007, 0.02, 0.5, 0.7], "cpu_cores": 1.25, "cpu_capacity_cores": 4,
                "ram_bytes": 8e6, "ram_capacity_bytes": 1e9,
            },
            "workers": {
                "rate": [1, 102], "failed": [0, 3], "active": [0, 12], "instances": [2, 4], "cpu": [0, 0.3],
                "ram": [0, 0.01],
            },
            "functions": functions.collect::<Vec<_>>(),
            "function_instances": [[2, 6]],
            "strip": [["14c4c7bbb18d", 1, 2, 1001.5, "SS.bBB"]],
            "functions_version": 1,
        });
        Update::Snapshot(serde_json::from_value(snapshot).unwrap())
    }

    pub(in crate::commands::top) fn model(updates: impl IntoIterator<Item = Update>) -> Model {
        let mut model = Model::new("http://localhost:8990/".into());
        updates.into_iter().for_each(|update| model.update(update));
        model
    }

    #[test]
    fn the_history_goes_on_where_the_stream_begins() {
        let model = model([state(), functions(), second(1, &[(1, 103.0)])]);
        let ended: Vec<_> = model.history.iter().map(|second| second.ended).collect();
        assert_eq!(ended, [5.0, 7.0, 103.0]);
        assert_eq!(model.history[1], Second { ended: 7.0, failed: 1.0, p99_s: Some(0.3) });
        assert_eq!((model.up_s, model.workers[1].rate), (60.0, 102.0));
        // However long it is.
        let seconds = (1..1000).map(|n| second(n, &[]));
        assert_eq!(
            super::tests::model([state()].into_iter().chain(seconds)).history.len(),
            SECONDS
        );
    }

    #[test]
    fn a_function_stays_while_it_has_instances_or_had_a_call_a_moment_ago() {
        let names = |model: &Model| {
            let lines = model.functions.iter();
            lines.map(|line| (line.id.clone(), line.row.rate, line.instances)).collect::<Vec<_>>()
        };
        let idle = ("f-two".to_owned(), 0.0, 6.0);
        let mut model = model([state(), functions(), second(1, &[(1, 5.0)])]);
        assert_eq!(names(&model), [("f-one".to_owned(), 5.0, 0.0), idle.clone()]);
        assert_eq!(model.functions[0].row.p50_s, Some(0.007));
        model.update(second(2, &[]));
        assert_eq!(names(&model), [("f-one".to_owned(), 0.0, 0.0), idle.clone()]);
        assert_eq!(model.functions[0].row.p50_s, Some(0.007));
        model.update(second(1 + SHOWN, &[]));
        assert_eq!(names(&model), [idle]);
    }

    #[test]
    fn another_process_at_the_address_has_functions_of_its_own() {
        let mut model = model([state(), functions(), second(1, &[(1, 5.0)])]);
        model.update(Update::Lost("gone".into()));
        assert_eq!((model.lost.as_deref(), model.functions.len()), (Some("gone"), 2));
        // The same one again.
        model.update(state());
        assert_eq!((model.lost.as_deref(), model.functions.len()), (None, 2));
        let other = serde_json::from_str(r#"{"run": "bb"}"#).unwrap();
        model.update(Update::State(Box::new(other)));
        assert_eq!((model.functions.len(), &*model.address), (0, "http://localhost:8990/"));
        model.update(second(1, &[(7, 1.0)]));
        assert_eq!(model.functions[1].id, "function 7");
    }
}
