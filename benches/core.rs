//! One prediction, or one call through the worker's core, again and again, for
//! `benches/instructions.py` to count the instructions of.
//!
//! `core predict N` asks the shipped echo network N times; `core call N` runs N calls of it: placed
//! on an instance, predicted, held in the ledger and ended, with all run times scaled to 0; `core
//! realistic N` runs them with the preset of that name, of a function with limits.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail")]

use std::{hint::black_box, path::Path, sync::Arc};

use bytes::Bytes;
use hyperfake_predictor::Features;
use hyperfake_worker::{
    args::{Cli, Command},
    backends,
    catalog::{Catalog, Source},
    clock::manual::ManualClock,
    config::Config,
    functions::embedded::EmbeddedStore,
    machine::Machine,
    scenario::{Overrides, SCENARIOS, Scenario, Seed, TimeScale},
    worker::{Call, Executor, Sessions, Worker},
};

const IMAGE: &str = "hyperfaas-echo";

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // Without a number there is nothing to do, as when all benches are run.
    let [what, count] = &*arguments else { return };
    let Ok(count) = count.parse() else { return };
    match &**what {
        "predict" => predict(count),
        "call" => call(count, Scenario::plain()),
        "realistic" => call(count, realistic()),
        other => panic!("found '{other}', expected predict, call or realistic"),
    }
}

fn catalog() -> Catalog {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/hyperfaas-echo.onnx");
    let uri = format!("dense:{}", model.display()).parse().unwrap();
    let mut catalog = Catalog::default();
    let image = Some(IMAGE.parse().unwrap());
    catalog.add(&Source { uri, image }, &backends::all(&Default::default())).unwrap();
    catalog
}

fn predict(count: u64) {
    let catalog = catalog();
    let mut session = catalog.models()[0].predictor.session().unwrap();
    for _ in 0..count {
        black_box(session.predict(black_box(&Features::IDLE)).unwrap());
    }
}

fn realistic() -> Scenario {
    let preset = SCENARIOS.iter().find(|preset| preset.name == "realistic").unwrap();
    let time_scale: TimeScale = "0".parse().unwrap();
    let overrides = Overrides { contention: None, cold_start: true, time_scale };
    Scenario::parse(preset.text).unwrap().with(&overrides)
}

fn call(count: u64, scenario: Scenario) {
    let line = "hyperfake server --time-scale 0 --cold-start 0s";
    let cli = Cli::read(line.split(' ').map(Into::into)).unwrap();
    let Command::Server(args) = cli.command else { unreachable!("it is one") };
    let config = Config::new(*args, &Machine::detect()).unwrap().worker;
    let registry = EmbeddedStore::default();
    let limits = r#"{"max_concurrency": 8, "cpu_quota": 100000, "cpu_period": 100000}"#;
    let function = format!(r#"{{"image_tag": "{IMAGE}", "config": {limits}}}"#);
    let function = registry.register(function.into()).unwrap();
    let catalog = Arc::new(catalog());
    let sessions = Sessions::of(&catalog);
    let clock = ManualClock::new().clock();
    let worker = Worker::new("core", Seed::new(0), Arc::new(config), catalog, Arc::new(registry));
    let worker = Arc::new(worker.with_scenario(0, Arc::new(scenario), clock.now()));
    let executor = Executor::new(Arc::clone(&worker), clock.clone(), sessions);
    let calls = async {
        worker.start(&function, &clock).await.unwrap();
        for _ in 0..count {
            let data = Bytes::from_static(b"hello");
            let call = Call { function: &function, instance: None, data, fault: None };
            black_box(executor.call(black_box(call)).await.unwrap());
        }
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(calls);
}
