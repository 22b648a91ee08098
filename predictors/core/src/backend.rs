use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use crate::{Feature, Features, ModelUri, Range, RawPrediction, Result, Uniforms, Units};

/// Opens model files of some formats.
///
/// # Behavior
///
/// - [`open`](Backend::open) reads all it needs: the file may change or vanish afterwards.
/// - A file that cannot be served is an error that names it; it is never a panic.
/// - A parameter of the URI that the backend does not know is left to others.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// What this backend is called and which files it claims.
    fn formats(&self) -> &'static Formats;

    /// Whether its answers count as right: other backends that claim the same file are compared
    /// with it, where it can open the file.
    fn is_reference(&self) -> bool {
        false
    }

    /// Opens the model that a URI names.
    ///
    /// # Errors
    ///
    /// `NotFound` for a missing file, `Invalid` for a malformed one, `Unsupported` for one that
    /// is well formed but beyond this backend.
    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>>;

    /// Opens every model in a file: one without a name, unless the format holds several.
    ///
    /// # Errors
    ///
    /// As [`open`](Backend::open).
    fn open_all(&self, uri: &ModelUri) -> Result<Vec<Opened>> {
        Ok(vec![Opened { image: None, predictor: self.open(uri)? }])
    }
}

/// A loaded model: shared and immutable.
pub trait Predictor: fmt::Debug + Send + Sync + 'static {
    /// Where the model came from and what it takes.
    fn info(&self) -> &ModelInfo;

    /// Another engine, if one was asked for the same answers when the file was opened and gave them.
    fn agrees_with(&self) -> Option<&'static str> {
        None
    }

    /// One thread's state for this model.
    ///
    /// # Errors
    ///
    /// When the state cannot be made, for example for want of memory.
    fn session(&self) -> Result<Box<dyn Session>>;
}

/// One thread's state for a model: its buffers, or a runtime's session.
///
/// # Behavior
///
/// - The same features give the same answer, in every session of the model, unless the model is
///   meant to be random.
/// - After an error the session may be used again.
pub trait Session: Send {
    /// Predicts one call. The answer is as the model gave it, in the units of its file
    /// ([`ModelInfo::units`]); [`Backends`](crate::Backends) converts it. A model that knows
    /// distributions answers with their means.
    ///
    /// # Errors
    ///
    /// When the model's runtime fails. Invalid numbers, such as NaN, are not an error.
    fn predict(&mut self, features: &Features) -> Result<RawPrediction>;

    /// Predicts many calls, as if one by one; the slices have the same length.
    ///
    /// # Errors
    ///
    /// As [`predict`](Session::predict); then `out` holds nothing of use.
    fn predict_batch(&mut self, features: &[Features], out: &mut [RawPrediction]) -> Result<()> {
        debug_assert_eq!(features.len(), out.len());
        for (features, out) in features.iter().zip(out) {
            *out = self.predict(features)?;
        }
        Ok(())
    }

    /// Draws one call, in the same units: each number is the quantile of its distribution at its own
    /// uniform number. So it does not decrease when that grows, it does not depend on the other two
    /// uniform numbers, and the mean over all of them is what is predicted.
    ///
    /// A model that knows no distributions ([`ModelInfo::knows_distributions`]) draws what it
    /// predicts.
    ///
    /// # Errors
    ///
    /// As [`predict`](Session::predict).
    fn draw(&mut self, features: &Features, uniforms: &Uniforms) -> Result<RawPrediction> {
        let _ = uniforms;
        self.predict(features)
    }

    /// The quantiles of each number at some levels from 0 to 1, as if drawn one by one; the slices
    /// have the same length.
    ///
    /// # Errors
    ///
    /// As [`predict`](Session::predict); then `out` holds nothing of use.
    fn quantiles(
        &mut self,
        features: &Features,
        levels: &[f64],
        out: &mut [RawPrediction],
    ) -> Result<()> {
        debug_assert_eq!(levels.len(), out.len());
        for (level, out) in levels.iter().zip(out) {
            *out = self.draw(features, &Uniforms::same(*level))?;
        }
        Ok(())
    }
}

/// What a backend is called and which files it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats {
    /// The backend's name, for messages.
    pub name: &'static str,
    /// The URI schemes that choose it, as in `tract:models/echo.onnx`.
    pub schemes: &'static [&'static str],
    /// The file extensions that it claims, without the dot.
    pub extensions: &'static [&'static str],
}

/// One model of a file.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The image that the file itself names, if it does.
    pub image: Option<String>,
    /// The model.
    pub predictor: Arc<dyn Predictor>,
}

/// Where a model came from and what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The backend that serves it.
    pub backend: &'static str,
    /// Its input columns, in order.
    pub inputs: Vec<Feature>,
    /// The units in the file. A session of a model that [`Backends`](crate::Backends) opened
    /// answers in those of [`RawPrediction`], whatever they are.
    pub units: Units,
    /// The values of each input that it was trained on, as far as the model says; empty, or as
    /// long as `inputs`.
    pub trained: Vec<Option<Range>>,
    /// Whether the same features, and the same uniform numbers in a draw, always get the same answer.
    pub deterministic: bool,
    /// Whether it knows how its numbers are distributed; a worker then draws each call instead of
    /// predicting it.
    pub knows_distributions: bool,
    /// What the file, its sidecar and the URI say about how it should be served, as
    /// [`Settings`](crate::Settings) puts it together.
    pub settings: BTreeMap<String, String>,
}
