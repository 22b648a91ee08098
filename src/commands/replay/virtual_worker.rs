//! The worker of a replay in virtual time.

use std::{collections::HashMap, sync::Arc};

use hyperfake_predictor::{Error, ModelUri, Result};

use super::{in_virtual_time::Ended, limits, sink::RowSink};
use crate::{
    app,
    args::{Cli, Command, ReplayArgs},
    backends,
    catalog::{Catalog, Source},
    clock::Clock,
    commands::function,
    config::Config,
    duration,
    functions::{FunctionSpec, FunctionStore, Lookup, metadata::Metadata},
    machine::Machine,
    scenario::Seed,
    trace::{
        Workload,
        models::{self, Defaults},
    },
    worker::Worker,
};

/// The worker, with the models of the trace unless the options name others. Functions are called like their
/// images.
pub(super) fn build(
    args: &ReplayArgs,
    work: &Workload,
    defaults: &Defaults,
    clock: &Clock,
    record: &Option<Arc<RowSink>>,
    ended: &Arc<Ended>,
) -> Result<Arc<Worker>> {
    let options = args.server.as_deref().unwrap_or_default().split_whitespace();
    let words = ["hyperfake", "server"].into_iter().chain(options);
    let cli = Cli::read_alone(words.map(Into::into)).map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        Error::invalid(line.strip_prefix("error: ").unwrap_or(line)).at("--server")
    })?;
    let is_typed = |option: &str| cli.typed.iter().any(|typed| typed == option);
    let has_models = is_typed("--model") || is_typed("--models-dir");
    let has_effect = |option: &&String| {
        OF_WORKER.contains(&option.as_str()) || has_models && OF_MODELS.contains(&option.as_str())
    };
    if let Some(found) = cli.typed.iter().find(|option| !has_effect(option)) {
        let expected = OF_WORKER.join(", ");
        let message = format!("found {found}, which has no effect here; expected {expected}");
        return Err(Error::invalid(message).at("--server"));
    }
    let Command::Server(options) = cli.command else {
        return Err(Error::internal("the command is 'server'"));
    };
    let mut config =
        Config::new(*options, &Machine::detect()).map_err(|error| error.at("--server"))?;
    config.worker.auto_remove = true;
    if !has_models && !is_typed("--max-runtime") {
        // As long as the trace says.
        config.worker.layers.limits.max_runtime = duration::MAX;
    }
    let scenario = app::open_scenario(&mut config).map_err(|error| error.at("--server"))?;
    let catalog = match has_models {
        true => app::open_models(&config.models, config.extrapolation)?,
        false => of_trace(work, defaults, Catalog::new(config.extrapolation))?,
    };
    let specs = work.functions.iter().map(|function| {
        let limits = limits(args, function, defaults);
        let metadata: Metadata = function::new_function(function.image.clone(), &limits)?;
        Ok((function.image.clone(), FunctionSpec::from(metadata)))
    });
    let store = Functions(specs.collect::<Result<_>>()?);
    let seed = Seed::new(config.seed.unwrap_or(args.seed));
    let worker =
        Worker::new("virtual", seed, Arc::new(config.worker), Arc::new(catalog), Arc::new(store));
    let mut worker =
        worker.with_scenario(0, scenario, clock.now()).with_observer(Arc::clone(ended) as _);
    if let Some(record) = record {
        worker = worker.with_sink(Arc::clone(record) as _);
    }
    Ok(Arc::new(worker))
}

/// Options of a server that a worker without sockets obeys.
const OF_WORKER: [&str; 16] = [
    "--cold-start",
    "--contention",
    "--cpus",
    "--extrapolation",
    "--feature-scope",
    "--idle-timeout",
    "--max-rpcs",
    "--max-runtime",
    "--memory",
    "--model",
    "--models-dir",
    "--response",
    "--runtime",
    "--scenario",
    "--seed",
    "--time-scale",
];
/// Those that say how models are opened which are named.
const OF_MODELS: [&str; 4] = ["--allow-plugins", "--onnx-engine", "--ort-lib", "--skip-bad-models"];

/// The trace's own models, through the files that a worker would read.
fn of_trace(work: &Workload, defaults: &Defaults, mut catalog: Catalog) -> Result<Catalog> {
    let folder = tempfile::tempdir().map_err(|error| {
        Error::unavailable("cannot make a folder for the models").with_source(error)
    })?;
    let backends = backends::all(&backends::Choice::default());
    for file in models::write(work, defaults, folder.path())? {
        let source = Source { uri: ModelUri::from_path(file), image: None };
        catalog.add(&source, &backends)?;
    }
    Ok(catalog)
}

/// The functions of a workload, by their images.
#[derive(Debug)]
struct Functions(HashMap<String, FunctionSpec>);

impl FunctionStore for Functions {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(async move { Ok(self.0.get(id).cloned()) })
    }
}
