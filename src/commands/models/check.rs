use std::{fmt::Write, sync::Arc, time::Duration};

use hyperfake_predictor::{
    Error, Feature, Features, Limits, ModelInfo, ModelUri, Prediction, Predictor, Range,
    RawPrediction, Result,
};
use serde::Serialize;

use crate::{
    args::CheckArgs,
    backends::{self, Choice},
    clock::precise,
    report::format,
};

/// Only what no model should predict: a day.
pub(super) const LIMITS: Limits = Limits { max_runtime: Duration::from_secs(24 * 3600) };
/// The largest difference between two backends, relative to the larger answer.
const TOLERANCE: f64 = 1e-3;
/// Answers below these (ns, cores, bytes) are compared as if they were that large: nobody could
/// measure the difference.
const NEGLIGIBLE: [f64; 3] = [1e3, 1e-3, 1e3];
/// How many predictions are compared at random points, and how many are timed at once.
const COMPARED: usize = 200;
const TIMED: usize = 1000;
/// No longer than this for each backend, so that hundreds of files can be checked in one run.
const TIMING: Duration = Duration::from_millis(50);

/// What was found out about the models of one file, or why nothing was.
#[derive(Debug, Serialize)]
struct Finding {
    file: String,
    models: Vec<Checked>,
    problems: Vec<String>,
}

/// One model, as each backend runs it.
#[derive(Debug, Serialize)]
struct Checked {
    image: Option<String>,
    inputs: Vec<Input>,
    units: String,
    predictions: Vec<Sample>,
    backends: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Input {
    feature: &'static str,
    trained_low: Option<f64>,
    trained_high: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Sample {
    at: &'static str,
    features: [f64; 5],
    runtime_ns: f64,
    cpu_cores: f64,
    ram_bytes: f64,
}

/// How a backend did.
#[derive(Debug, Serialize)]
struct Run {
    backend: &'static str,
    /// The one that a server would use.
    serves: bool,
    ns_per_prediction: Option<f64>,
    /// From the answers of the backend that serves, relative.
    largest_difference: Option<f64>,
    declined: Option<String>,
}

/// Checks the files and returns the report to print, and whether all is well.
#[must_use]
pub fn check(args: &CheckArgs) -> (String, bool) {
    let choice = Choice { ort_library: args.ort_lib.clone(), ..Choice::default() };
    let findings: Vec<_> = args.files.iter().map(|uri| examine(uri, &choice)).collect();
    let well = findings.iter().all(|finding| finding.problems.is_empty());
    let report = match args.json {
        true => format!("{:#}", serde_json::json!(findings)),
        false => findings.iter().map(text).collect::<Vec<_>>().join("\n\n"),
    };
    (report, well)
}

fn examine(uri: &ModelUri, choice: &Choice) -> Finding {
    let mut finding = Finding { file: uri.to_string(), models: Vec::new(), problems: Vec::new() };
    let opened = match backends::all(choice).open_each(uri) {
        Ok(opened) => opened,
        Err(error) => {
            finding.problems.push(error.to_string());
            return finding;
        }
    };
    let Some(first) = opened.iter().position(|(_, models)| models.is_ok()) else {
        let reasons =
            opened.iter().filter_map(|(name, models)| Some((name, models.as_ref().err()?)));
        finding.problems.extend(reasons.map(|(name, error)| format!("{name}: {error}")));
        return finding;
    };
    let number = opened[first].1.as_ref().map_or(0, Vec::len);
    for index in 0..number {
        let runs: Vec<_> = opened
            .iter()
            .map(|(name, models)| {
                let model = models.as_ref().map(|models| Arc::clone(&models[index].predictor));
                (*name, model.map_err(ToString::to_string))
            })
            .collect();
        let image = opened[first].1.as_ref().ok().and_then(|models| models[index].image.clone());
        match compare(image, &runs, first) {
            Ok((model, problems)) => {
                finding.models.push(model);
                finding.problems.extend(problems);
            }
            Err(error) => finding.problems.push(error.to_string()),
        }
    }
    finding
}

type Opened = (&'static str, Result<Arc<dyn Predictor>, String>);

fn compare(image: Option<String>, runs: &[Opened], first: usize) -> Result<(Checked, Vec<String>)> {
    let (_, Ok(reference)) = &runs[first] else {
        return Err(Error::internal("no backend to compare with"));
    };
    let info = reference.info();
    let mut problems = Vec::new();
    let mut session = reference.session()?;
    let mut predictions = Vec::new();
    for (at, features) in landmarks(info) {
        let raw = session.predict(&features)?;
        for (output, fault) in LIMITS.check(raw).corrections() {
            problems.push(format!("{at}: {output} is {fault} ({raw:?})"));
        }
        let [runtime_ns, cpu_cores, ram_bytes] = raw.to_array();
        let features = features.to_array();
        predictions.push(Sample { at, features, runtime_ns, cpu_cores, ram_bytes });
    }
    let samples = samples(info);
    let mut expected = vec![RawPrediction::default(); samples.len()];
    session.predict_batch(&samples, &mut expected)?;
    let mut backends = Vec::new();
    for (index, (backend, model)) in runs.iter().enumerate() {
        let mut run = Run {
            backend,
            serves: index == first,
            ns_per_prediction: None,
            largest_difference: None,
            declined: model.as_ref().err().cloned(),
        };
        if let Ok(model) = model {
            run.ns_per_prediction = Some(time(model.as_ref(), &samples)?);
            if index != first && info.deterministic {
                let difference = largest_difference(model.as_ref(), &samples, &expected)?;
                run.largest_difference = Some(difference);
                if difference.is_nan() || difference > TOLERANCE {
                    let (ours, theirs) = (runs[first].0, backend);
                    problems.push(format!("{theirs} differs from {ours} by {difference:.1e}"));
                }
            }
        }
        backends.push(run);
    }
    let inputs = info.inputs.iter().enumerate().map(|(index, feature)| {
        let range = info.trained.get(index).copied().flatten();
        Input {
            feature: feature.name(),
            trained_low: range.map(|range| range.low()),
            trained_high: range.map(|range| range.high()),
        }
    });
    let inputs = inputs.collect();
    Ok((Checked { image, inputs, units: info.units.to_string(), predictions, backends }, problems))
}

/// What a model predicts for an idle worker.
pub(super) fn ask(model: &dyn Predictor) -> Result<String> {
    let raw = model.session()?.predict(&Features::IDLE)?;
    Ok(format::prediction(&LIMITS.check(raw).prediction))
}

/// Where a person would look first.
fn landmarks(info: &ModelInfo) -> Vec<(&'static str, Features)> {
    let busy = Features {
        request_bytes: 640.0,
        function_instances: 1.0,
        active_calls: 100.0,
        worker_cpu_cores: 50.0,
        worker_ram_bytes: 1e9,
    };
    let mut points = vec![("idle worker", Features::IDLE), ("100 running calls", busy)];
    if info.trained.iter().any(Option::is_some) {
        points.push(("middle of the trained range", between(info, |_| 0.5)));
    }
    points
}

/// Random points; the same as whole numbers, which most features are, so that steps, ties and
/// equalities within a model are met; the corners; and small numbers of each feature.
fn samples(info: &ModelInfo) -> Vec<Features> {
    let mut random = fastrand::Rng::with_seed(1);
    let anywhere: Vec<_> = (0..COMPARED).map(|_| between(info, |_| random.f64())).collect();
    let whole = anywhere.iter().map(|features| {
        let [bytes, instances, calls, cores, ram] = features.to_array();
        let half = (2.0 * cores).round() / 2.0;
        Features::from_array([bytes.round(), instances.round(), calls.round(), half, ram.round()])
    });
    let corner = |corner: u32| move |feature| f64::from((corner >> feature as u32) & 1);
    let corners = (0..1 << Feature::ALL.len()).map(|number| between(info, corner(number)));
    let small = (1..=16).map(|power| between(info, |_| 0.5_f64.powi(power)));
    let mut samples: Vec<_> = whole.chain(corners).chain(small).collect();
    samples.extend(anywhere);
    samples
}

/// A point with each feature at this share of its trained range, or of what a worker may see.
fn between(info: &ModelInfo, mut share: impl FnMut(Feature) -> f64) -> Features {
    const USUAL: [f64; 5] = [1e5, 50.0, 500.0, 64.0, 16e9];
    let mut values = Features::IDLE.to_array();
    for feature in Feature::ALL {
        let at = info.inputs.iter().position(|input| *input == feature);
        let trained = at.and_then(|at| info.trained.get(at).copied().flatten());
        let range = trained.or_else(|| Range::new(0.0, USUAL[feature as usize]));
        if let Some(range) = range {
            // A model of counts and bytes knows no negative ones.
            let low = range.low().max(0.0);
            values[feature as usize] = low + share(feature) * (range.high() - low).max(0.0);
        }
    }
    Features::from_array(values)
}

fn largest_difference(
    model: &dyn Predictor,
    samples: &[Features],
    expected: &[RawPrediction],
) -> Result<f64> {
    let mut session = model.session()?;
    let mut largest = 0.0;
    for (features, expected) in samples.iter().zip(expected) {
        let found = session.predict(features)?.to_array();
        for (output, (found, expected)) in found.into_iter().zip(expected.to_array()).enumerate() {
            let scale = found.abs().max(expected.abs()).max(NEGLIGIBLE[output]);
            let difference = (found - expected).abs() / scale;
            if difference.is_nan() || difference > largest {
                largest = difference;
            }
        }
    }
    Ok(largest)
}

/// Nanoseconds for a prediction: the median of several rounds, or of as many as there is time for.
fn time(model: &dyn Predictor, samples: &[Features]) -> Result<f64> {
    let clock = precise::start_with_thread();
    let mut session = model.session()?;
    let mut rounds = Vec::new();
    let first = clock.now();
    while rounds.is_empty() || (rounds.len() < 7 && clock.now() - first < TIMING) {
        let began = clock.now();
        for features in samples.iter().cycle().take(TIMED) {
            std::hint::black_box(session.predict(features)?);
        }
        rounds.push((clock.now() - began).as_nanos() as f64 / TIMED as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[rounds.len() / 2])
}

fn text(finding: &Finding) -> String {
    let mut text = finding.file.clone();
    for model in &finding.models {
        if let Some(image) = &model.image {
            let _ = write!(text, "\n  image    {image}");
        }
        let inputs: Vec<_> = model
            .inputs
            .iter()
            .map(|input| match (input.trained_low, input.trained_high) {
                (Some(low), Some(high)) => match Range::new(low, high) {
                    Some(range) => format!("{} ({range})", input.feature),
                    None => input.feature.to_owned(),
                },
                _ => input.feature.to_owned(),
            })
            .collect();
        let _ = write!(text, "\n  inputs   {}\n  units    {}", inputs.join(", "), model.units);
        for sample in &model.predictions {
            let raw =
                RawPrediction::from_array([sample.runtime_ns, sample.cpu_cores, sample.ram_bytes]);
            let prediction: Prediction = LIMITS.check(raw).prediction;
            let _ = write!(text, "\n  {:<28} {}", sample.at, format::prediction(&prediction));
        }
        for run in &model.backends {
            let _ = write!(text, "\n  {:<8} ", run.backend);
            if let Some(reason) = &run.declined {
                let _ = write!(text, "declined: {reason}");
            }
            if let Some(ns) = run.ns_per_prediction {
                let _ = write!(text, "{:>9} each", format::nanoseconds(ns));
            }
            if run.serves {
                text += ", serves";
            }
            if let Some(difference) = run.largest_difference {
                let _ = write!(text, ", differs by at most {difference:.1e}");
            }
        }
    }
    for problem in &finding.problems {
        let _ = write!(text, "\n  PROBLEM  {problem}");
    }
    text
}
