use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyperfake_predictor::{Checked, Error, Feature, ModelUri, Predictor, Result};
use parking_lot::Mutex;

use super::{Extrapolation, Image, ResponseBody, extrapolation::RangeGuard};
use crate::{
    answers::Answers,
    clock::{Moment, Throttle},
    duration,
};

/// A model and the image that it is registered for.
#[derive(Debug)]
pub struct Model {
    /// Its place in [`Catalog::models`](super::Catalog::models).
    pub index: usize,
    /// The image.
    pub image: Image,
    /// What predicts. Calls ask through a [`ModelSession`](super::ModelSession).
    pub predictor: Arc<dyn Predictor>,
    /// Whether calls are drawn from the distributions that it knows, instead of predicted.
    pub draws: bool,
    /// The answers' bodies, if the model says.
    pub response: Option<ResponseBody>,
    /// What each gRPC method answers at an instance's address, if the model says.
    pub answers: Option<Answers>,
    /// The cold start of its instances, if the model says.
    pub cold_start: Option<Duration>,
    pub(super) range: Option<RangeGuard>,
    pub(super) corrections: Corrections,
    /// What was last reported of inputs outside the trained range.
    range_reported: Mutex<String>,
    range_reports: Throttle,
    failure_reports: Throttle,
}

/// How often one thing about a model is reported.
const REPORTS: Duration = Duration::from_secs(60);
/// How often it is reported that a model failed.
const FAILURE_REPORTS: Duration = Duration::from_secs(1);

impl Model {
    /// A model that was opened, with what its settings say about how it is served.
    ///
    /// # Errors
    ///
    /// `Invalid` for a setting that makes no sense.
    pub(super) fn new(
        index: usize,
        image: Image,
        uri: &ModelUri,
        predictor: Arc<dyn Predictor>,
        extrapolation: Extrapolation,
    ) -> Result<Self> {
        let setting = |name: &str| predictor.info().settings.get(name);
        let invalid = |name, message| Error::invalid(message).at(name);
        let answers = setting("answers")
            .map(|named| Answers::open(&uri.locate("answers", Path::new(named))?))
            .transpose()
            .map_err(|error| error.at("answers"))?;
        let response = setting("response").map(|text| text.parse());
        let cold_start = setting("cold_start")
            .map(|text| duration::parse(text).map_err(|error| format!("found '{text}', {error}")));
        Ok(Self {
            index,
            image,
            answers,
            draws: predictor.info().knows_distributions,
            response: response.transpose().map_err(|message| invalid("response", message))?,
            cold_start: cold_start.transpose().map_err(|message| invalid("cold_start", message))?,
            range: RangeGuard::new(predictor.info(), extrapolation),
            corrections: Corrections::default(),
            range_reported: Mutex::default(),
            range_reports: Throttle::every(REPORTS),
            failure_reports: Throttle::every(FAILURE_REPORTS),
            predictor,
        })
    }

    /// How many predictions had to be corrected so far.
    #[must_use]
    pub fn corrections(&self) -> u64 {
        self.corrections.total.load(Ordering::Relaxed)
    }

    /// How often each feature was outside the range that the model was trained on.
    #[must_use]
    pub fn outside(&self) -> Vec<(Feature, u64)> {
        let counts = self.range.iter().flat_map(RangeGuard::counts);
        counts.map(|(feature, _, count)| (feature, count)).collect()
    }

    /// What a client is told when the model failed: no more than that. The reason may name files of
    /// this machine, and is for the log, at most once a second.
    #[cold]
    #[must_use]
    pub fn failed(&self, reason: &Error, now: Moment) -> Error {
        if self.failure_reports.is_due(now) {
            tracing::warn!(image = %self.image, %reason, "a model failed");
        }
        let message = "the model failed; the worker's log has the reason";
        Error::new(reason.kind(), message).at(&self.image)
    }

    /// Reports what came since the last report: predictions that had to be corrected, and inputs
    /// outside the trained range, each at most once a minute.
    pub fn report(&self, now: Moment) {
        self.corrections.report(&self.image, now);
        let Some(range) = &self.range else { return };
        let counts: Vec<_> = range
            .counts()
            .map(|(feature, range, count)| format!("{feature} {count} x outside {range}"))
            .collect();
        let inputs = counts.join(", ");
        let mut reported = self.range_reported.lock();
        if *reported != inputs && self.range_reports.is_due(now) {
            tracing::warn!(image = %self.image, inputs, "inputs outside the training range");
            *reported = inputs;
        }
    }
}

/// Predictions of a model that broke the rule of [`Limits`](hyperfake_predictor::Limits).
#[derive(Debug)]
pub(super) struct Corrections {
    /// Any thread that runs calls counts.
    total: AtomicU64,
    /// The latest one, and how many were reported.
    latest: Mutex<(Option<Checked>, u64)>,
    reports: Throttle,
}

impl Default for Corrections {
    fn default() -> Self {
        let (total, latest) = (AtomicU64::new(0), Mutex::default());
        Self { total, latest, reports: Throttle::every(REPORTS) }
    }
}

impl Corrections {
    pub(super) fn count(&self, checked: &Checked) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.latest.lock().0 = Some(*checked);
    }

    fn report(&self, image: &Image, now: Moment) {
        let total = self.total.load(Ordering::Relaxed);
        let mut latest = self.latest.lock();
        let (Some(checked), reported) = *latest else { return };
        if total > reported && self.reports.is_due(now) {
            let corrections: Vec<_> = checked
                .corrections()
                .map(|(output, correction)| format!("{output} {correction}"))
                .collect();
            tracing::warn!(
                %image,
                count = total - reported,
                latest = corrections.join(", "),
                "predictions out of bounds were corrected"
            );
            latest.1 = total;
        }
    }
}
