//! The candidates, how they did, and which of them is the result.

use hyperfake_predictor::{Error, Output, Result};

use super::{
    Candidate, FeatureRange, Fitted, Kind, Options, Progress, Report, Scores, Without,
    bins::{Bins, Structure},
    blocks::Part,
    calibration::{Calibrate, Evaluation, evaluate},
    fitted::Model,
    linear::Linear,
    network::{self, Network},
    onnx::onnx,
    samples::Samples,
    score::{Forecast, LEVELS, Quantiles, mean, with_error},
    search::{self, combined, is_better},
    selection::Chosen,
};

/// A number that is the same for each call: the mean of all.
struct Mean([f64; 3]);

impl Forecast for Mean {
    fn quantiles(&self, _: &Samples, _: usize, output: Output) -> Quantiles {
        [self.0[output as usize]; LEVELS.len()]
    }
}

impl Mean {
    fn of(samples: &Samples, rows: &[usize]) -> Self {
        Self(samples.targets.each_ref().map(|target| {
            let logs = target.logs().unwrap_or_default();
            let known = rows.iter().filter_map(|row| logs.get(*row)).filter(|log| !log.is_nan());
            libm::log(mean(known.map(|log| libm::exp(*log))))
        }))
    }
}

/// A candidate and how it did.
struct Entry {
    name: &'static str,
    evaluation: Evaluation,
    /// For each block one number: its error as a share of that without features.
    blocks: Vec<f64>,
}

/// Fits all candidates, and makes the model of the best one that is of the kind which is wanted.
pub(super) fn choose(
    mut chosen: Chosen,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted> {
    let samples = Samples::of(&mut chosen, options)?;
    let can_train = can_train(&samples);
    if options.kind == Kind::Network {
        can_train.as_ref().map_err(|why| Error::invalid(why.clone()))?;
    }
    let [learn, choose] = [Part::Learn, Part::Choose].map(|part| samples.blocks.rows_of(&[part]));
    let both = samples.blocks.rows_of(&[Part::Learn, Part::Choose]);
    let none = Structure { axes: Vec::new(), shrink: 50.0 };
    let found = search::structure(&samples, options, progress);
    let mut stopped = found.stopped;
    let forecasts: [(&'static str, Box<dyn Forecast>); 4] = [
        ("mean", Box::new(Mean::of(&samples, &both))),
        ("no features", Box::new(Bins::fit(&samples, &both, &none))),
        ("linear", Box::new(Linear::fit(&samples, &both))),
        ("table", Box::new(Bins::fit(&samples, &both, &found.structure))),
    ];
    let mut entries: Vec<Entry> = Vec::new();
    for (name, forecast) in &forecasts {
        let calibrate = if *name == "mean" { Calibrate::No } else { Calibrate::Levels };
        let evaluation = evaluate(&samples, &**forecast, calibrate);
        entries.push(Entry { name, evaluation, blocks: Vec::new() });
    }
    let mut network = None;
    // A search that was ended has no time left, unless nothing else would be the result.
    if can_train.is_ok() && options.steps > 0 && (!stopped || options.kind == Kind::Network) {
        let mut trained = Network::new(&samples, &learn, options.seed);
        let steps = [0, options.steps];
        let how = trained.train(&samples, [&learn, &choose], steps, options, progress);
        stopped |= how.stopped;
        if how.stopped {
            chosen.notes.push(format!(
                "stopped after {} of {} steps of training",
                how.steps, options.steps
            ));
        }
        if !stopped {
            stopped |= trained.train_again(&samples, &both, options, progress).stopped;
        }
        // What is calibrated is the network that is served: it has learned nothing of what was held back.
        let evaluation = evaluate(&samples, &trained, Calibrate::LevelsByLoad);
        entries.push(Entry { name: "network", evaluation, blocks: Vec::new() });
        network = Some(trained);
    }
    if found.stopped {
        chosen.notes.push("stopped before all bins were tried".to_owned());
    }
    if let Err(why) = can_train {
        chosen.notes.push(format!("no network was trained: {why}"));
    }
    rate(&samples, &mut entries);
    let kind = kind(options.kind, &entries, &mut chosen.notes);
    let fitted = entries.iter().find(|entry| entry.name == kind.name());
    let shifts = fitted.map(|entry| entry.evaluation.shifts.clone()).unwrap_or_default();
    let settings = settings(&samples, &chosen, options);
    let model = match (kind, network) {
        (Kind::Network, Some(network)) => {
            Model::Network(onnx(&network, &samples, &shifts, &settings)?)
        }
        _ => {
            let all: Vec<usize> = (0..samples.count()).collect();
            let mut table = Bins::fit(&samples, &all, &found.structure).table(&samples, &shifts);
            table.description = format!("fitted to {} calls of {}", all.len(), chosen.function);
            table.response = options.response.clone();
            table.cold_start = chosen.cold_start_ns.map(std::time::Duration::from_nanos);
            Model::Table(Box::new(table))
        }
    };
    let report = report(&samples, chosen, options, entries, &model, stopped);
    Ok(Fitted { model, report })
}

/// Why no network can be trained, if that is so.
fn can_train(samples: &Samples) -> Result<(), String> {
    if samples.columns.is_empty() {
        return Err("no feature varies; a table (.json) needs none".to_owned());
    }
    if samples.count() < network::LEAST {
        return Err(format!(
            "found {} calls to learn from, expected at least {} for a network; a table (.json) needs {}",
            samples.count(),
            network::LEAST,
            super::selection::LEAST
        ));
    }
    Ok(())
}

/// Gives each candidate one number for each block.
fn rate(samples: &Samples, entries: &mut [Entry]) {
    let Some(without) = entries.iter().find(|entry| entry.name == "no features") else { return };
    let base = without.evaluation.scores.each_ref().map(|scores| {
        let mean = with_error(scores.iter().copied()).0;
        if mean > 0.0 { mean } else { 1.0 }
    });
    for entry in entries {
        let scores = &entry.evaluation.scores;
        entry.blocks =
            combined(samples, Part::Hold, &base, |output| scores[output as usize].clone());
    }
}

/// The kind of the result: the simpler one, unless the other is better by more than one standard error.
fn kind(wanted: Kind, entries: &[Entry], notes: &mut Vec<String>) -> Kind {
    let of = |name: &str| entries.iter().find(|entry| entry.name == name);
    let (Some(table), Some(network)) = (of("table"), of("network")) else {
        return if wanted == Kind::Network { wanted } else { Kind::Table };
    };
    let better = match is_better(&network.blocks, &table.blocks) {
        true => Kind::Network,
        false => Kind::Table,
    };
    let [table, network] = [table, network].map(|one| with_error(one.blocks.iter().copied()).0);
    match wanted {
        Kind::Auto => better,
        Kind::Table if better == Kind::Network => {
            notes.push(format!(
                "a network would be better ({network:.3} against {table:.3}): name an .onnx file"
            ));
            Kind::Table
        }
        Kind::Network if better == Kind::Table => {
            notes.push(format!(
                "a table is as good or better ({table:.3} against {network:.3}): name a .json file"
            ));
            Kind::Network
        }
        same => same,
    }
}

/// What is said about a network besides its numbers.
fn settings(samples: &Samples, chosen: &Chosen, options: &Options) -> Vec<(String, String)> {
    let list = |numbers: &mut dyn Iterator<Item = String>| numbers.collect::<Vec<_>>().join(",");
    let columns = || samples.columns.iter();
    let mut settings = vec![
        ("quantiles", list(&mut LEVELS.iter().map(ToString::to_string))),
        ("features", list(&mut columns().map(|one| one.feature.to_string()))),
        ("trained_min", list(&mut columns().map(|one| one.range.low().to_string()))),
        ("trained_max", list(&mut columns().map(|one| one.range.high().to_string()))),
    ];
    let cold_start = chosen.cold_start_ns.map(|ns| format!("{}us", ns / 1000));
    settings.extend(cold_start.map(|time| ("cold_start", time)));
    settings.extend(options.response.clone().map(|response| ("response", response)));
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn report(
    samples: &Samples,
    chosen: Chosen,
    options: &Options,
    entries: Vec<Entry>,
    model: &Model,
    stopped: bool,
) -> Report {
    let used = |feature| match model {
        Model::Table(table) => table.features.contains(&feature),
        Model::Network(_) => true,
    };
    let features = samples.columns.iter().map(|column| FeatureRange {
        feature: column.feature.name(),
        least: column.range.low(),
        greatest: column.range.high(),
        used: used(column.feature),
    });
    let without = samples
        .without
        .iter()
        .map(|(feature, why)| Without { feature: feature.name(), why: why.clone() });
    let candidate = |entry: Entry| {
        let (score, error) = with_error(entry.blocks.iter().copied());
        let scores = |output: Output| {
            let evaluation = &entry.evaluation;
            let scores = &evaluation.scores[output as usize];
            let (crps, error) = with_error(scores.iter().copied());
            let is_run_time = output == Output::RuntimeNs;
            (!scores.is_empty()).then(|| Scores {
                crps,
                error,
                coverage_90: evaluation.coverage[output as usize],
                coverage_90_by_load: evaluation.coverage_by_load.filter(|_| is_run_time),
            })
        };
        let [run_time, cpu, ram] = Output::ALL.map(scores);
        Candidate {
            name: entry.name,
            chosen: entry.name == model.kind().name(),
            score,
            error,
            run_time,
            cpu,
            ram,
        }
    };
    Report {
        version: env!("CARGO_PKG_VERSION"),
        kind: model.kind(),
        function: chosen.function,
        rows: chosen.rows,
        calls: samples.count() as u64,
        left_out: chosen.left_out,
        features: features.collect(),
        without: without.collect(),
        held_back: samples.blocks.rows_of(&[Part::Hold]).len() as u64,
        blocks: samples.blocks.blocks() as u64,
        candidates: entries.into_iter().map(candidate).collect(),
        notes: chosen.notes,
        stopped,
        seed: options.seed,
        steps: options.steps as u64,
        sha256: chosen.sha256,
        sources: options.sources.clone(),
    }
}
