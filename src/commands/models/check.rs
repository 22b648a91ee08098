//! Opens a file with every backend that claims it, and compares and times them.

use std::{sync::Arc, time::Duration};

use hyperfake_predictor::{Backends, Features, Loaded, ModelUri, Predictor, RawPrediction, Result};

use super::{
    LIMITS,
    points::{reference_points, samples},
};
use crate::{
    clock::precise,
    report::{BackendRun, CheckedFile, CheckedModel, Input, Sample},
};

/// The largest difference between two backends, relative to the larger answer.
const TOLERANCE: f64 = 1e-3;
/// Answers below these (ns, cores, bytes) are compared as if they were that large: smaller
/// differences cannot be measured.
const NEGLIGIBLE: [f64; 3] = [1e3, 1e-3, 1e3];
/// The quantiles that are compared of models that know distributions.
const LEVELS: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];
/// How many predictions are timed at once.
const TIMED: usize = 1000;
/// No longer than this for each backend, so that hundreds of files can be checked in one run.
const TIMING: Duration = Duration::from_millis(50);

/// Checks the models of a file.
pub(super) fn check(uri: &ModelUri, backends: &Backends) -> CheckedFile {
    let mut file = CheckedFile { file: uri.to_string(), models: Vec::new(), problems: Vec::new() };
    let opened = match backends.open_each(uri) {
        Ok(opened) => opened,
        Err(error) => {
            file.problems.push(error.to_string());
            return file;
        }
    };
    if opened.iter().all(|(_, models)| models.is_err()) {
        let reasons =
            opened.iter().filter_map(|(name, models)| Some((name, models.as_ref().err()?)));
        file.problems.extend(reasons.map(|(name, error)| format!("{name}: {error}")));
        return file;
    }
    let loaded = backends.open(uri);
    let (serving, declined) = match &loaded {
        Ok(Loaded { models, declined, .. }) => {
            (models.first().map(|model| model.predictor.info().backend), declined.as_slice())
        }
        Err(error) => {
            file.problems.push(error.to_string());
            (None, [].as_slice())
        }
    };
    let serves = |name: &str| serving == Some(name);
    // The models of the backend that serves; of any, if a server would not serve the file.
    let reference = opened.iter().find(|(name, models)| models.is_ok() && serves(name));
    let reference = reference.or_else(|| opened.iter().find(|(_, models)| models.is_ok()));
    let Some((reference, Ok(models))) = reference else { return file };
    for (index, model) in models.iter().enumerate() {
        let runs = opened.iter().map(|(name, models)| Run {
            backend: name,
            serves: serves(name),
            model: match models {
                Ok(models) => models
                    .get(index)
                    .map(|model| Arc::clone(&model.predictor))
                    .ok_or_else(|| format!("it found {} models", models.len())),
                Err(error) => Err(error.to_string()),
            },
            declined: declined
                .iter()
                .find(|declined| declined.backend == *name)
                .map(|declined| declined.error.to_string()),
        });
        let runs: Vec<_> = runs.collect();
        match compare(model.image.clone(), reference, model.predictor.as_ref(), &runs) {
            Ok((model, problems)) => {
                file.models.push(model);
                file.problems.extend(problems);
            }
            Err(error) => file.problems.push(error.to_string()),
        }
    }
    file
}

/// A model as one backend opened it.
struct Run {
    backend: &'static str,
    serves: bool,
    model: Result<Arc<dyn Predictor>, String>,
    /// Why the registry passed over it.
    declined: Option<String>,
}

/// Compares all runs of a model with that of the reference.
fn compare(
    image: Option<String>,
    reference: &'static str,
    model: &dyn Predictor,
    runs: &[Run],
) -> Result<(CheckedModel, Vec<String>)> {
    let info = model.info();
    let mut problems = Vec::new();
    let mut session = model.session()?;
    let mut predictions = Vec::new();
    for (at, features) in reference_points(info) {
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
    let levels = if info.knows_distributions { &LEVELS[..] } else { &[] };
    let mut expected: Vec<_> = expected.into_iter().map(|answer| vec![answer]).collect();
    for (features, answers) in samples.iter().zip(&mut expected) {
        answers.resize(1 + levels.len(), RawPrediction::default());
        session.quantiles(features, levels, &mut answers[1..])?;
    }
    let mut backends = Vec::new();
    for Run { backend, serves, model, declined } in runs {
        let mut run = BackendRun {
            backend,
            serves: *serves,
            ns_per_prediction: None,
            largest_difference: None,
            declined: declined.clone().or_else(|| model.as_ref().err().cloned()),
        };
        let compared = *backend != reference && info.deterministic;
        let expected = compared.then_some(&*expected);
        match model.as_ref().map(|model| measure(model.as_ref(), &samples, expected, &mut run)) {
            Ok(Err(error)) if declined.is_none() => return Err(error),
            _ => {}
        }
        if let Some(difference) = run.largest_difference
            && (difference.is_nan() || difference > TOLERANCE)
        {
            problems.push(format!("{backend} differs from {reference} by {difference:.1e}"));
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
    let (inputs, units) = (inputs.collect(), info.units.to_string());
    let knows_distributions = info.knows_distributions;
    let model = CheckedModel { image, inputs, units, knows_distributions, predictions, backends };
    Ok((model, problems))
}

/// Times a model, and compares it with what is expected.
fn measure(
    model: &dyn Predictor,
    samples: &[Features],
    expected: Option<&[Vec<RawPrediction>]>,
    run: &mut BackendRun,
) -> Result<()> {
    run.ns_per_prediction = Some(time(model, samples)?);
    if let Some(expected) = expected {
        run.largest_difference = Some(largest_difference(model, samples, expected)?);
    }
    Ok(())
}

fn largest_difference(
    model: &dyn Predictor,
    samples: &[Features],
    expected: &[Vec<RawPrediction>],
) -> Result<f64> {
    let mut session = model.session()?;
    let mut largest = 0.0;
    for (features, expected) in samples.iter().zip(expected) {
        let mut found = vec![session.predict(features)?; expected.len()];
        session.quantiles(features, &LEVELS[..expected.len() - 1], &mut found[1..])?;
        for (found, expected) in found.iter().zip(expected) {
            let pairs = found.to_array().into_iter().zip(expected.to_array());
            for ((found, expected), negligible) in pairs.zip(NEGLIGIBLE) {
                let scale = found.abs().max(expected.abs()).max(negligible);
                let difference = (found - expected).abs() / scale;
                if difference.is_nan() || difference > largest {
                    largest = difference;
                }
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

#[cfg(test)]
mod tests {
    use hyperfake_predictor::{Backend, Feature, Formats, ModelInfo, Session, Units};

    use super::*;

    /// Opens every file as a model that always answers the same run time.
    #[derive(Debug)]
    struct Constant(&'static Formats, f64);

    impl Backend for Constant {
        fn formats(&self) -> &'static Formats {
            self.0
        }
        fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
            let info = ModelInfo {
                path: uri.path().to_owned(),
                backend: self.0.name,
                inputs: Feature::ALL.to_vec(),
                units: Units::NATIVE,
                trained: Vec::new(),
                deterministic: true,
                knows_distributions: false,
                settings: Default::default(),
            };
            Ok(Arc::new(Model(info, self.1)))
        }
    }

    #[derive(Debug)]
    struct Model(ModelInfo, f64);

    impl Predictor for Model {
        fn info(&self) -> &ModelInfo {
            &self.0
        }
        fn session(&self) -> Result<Box<dyn Session>> {
            struct Answer(f64);
            impl Session for Answer {
                fn predict(&mut self, _: &Features) -> Result<RawPrediction> {
                    Ok(RawPrediction::from_array([self.0, 1.0, 1.0]))
                }
            }
            Ok(Box::new(Answer(self.1)))
        }
    }

    const FIRST: &Formats = &Formats { name: "first", schemes: &["first"], extensions: &["x"] };
    const SECOND: &Formats = &Formats { name: "second", schemes: &["second"], extensions: &["x"] };

    /// How the two backends run a file: which serves, and which declined.
    fn checked(first: f64, second: f64) -> (CheckedFile, Vec<(bool, bool)>) {
        let both: [Arc<dyn Backend>; 2] =
            [Arc::new(Constant(FIRST, first)), Arc::new(Constant(SECOND, second))];
        let file = check(&"a.x".parse().unwrap(), &Backends::new(both));
        let runs = file.models[0].backends.iter();
        let runs = runs.map(|run| (run.serves, run.declined.is_some())).collect();
        (file, runs)
    }

    #[test]
    fn the_backend_that_serves_is_the_one_that_the_registry_chooses_after_its_trial() {
        let (file, runs) = checked(1e6, 1e6);
        assert_eq!(runs, [(true, false), (false, false)]);
        assert_eq!(file.problems, [""; 0]);
        // The first one opens the file, but answers numbers that are not finite.
        let (file, runs) = checked(f64::NAN, 1e6);
        assert_eq!(runs, [(false, true), (true, false)]);
        assert_eq!(file.models[0].predictions[0].runtime_ns, 1e6);
        assert_eq!(file.problems, ["first differs from second by NaN"]);
    }
}
