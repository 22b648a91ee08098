//! Tests of the suite itself: for each property one backend that violates it, and a correct one
//! that has them all.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use hyperfake_predictor::{
    Backend, Error, Feature, Features, Formats, ModelInfo, ModelUri, Predictor, RawPrediction,
    Result, Session, Uniforms, Units, file,
};
use hyperfake_predictor_testkit::{Conformance, ReferenceModel};

/// What is wrong with a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Nothing,
    UpperCaseScheme,
    UnnamedMissingFile,
    OpensEmptyFiles,
    PanicsOnGarbage,
    BlamesTheSystemForFolders,
    ReportsAnotherPath,
    RefusesParameters,
    Biased,
    Drifting,
    RandomAsItSays,
    SessionsDiffer,
    Racing,
    MixesUpBatches,
    RemembersNan,
    OpensTruncatedFiles,
    ReadsLazily,
    DrawsWithoutSayingSo,
    /// From here on the model knows distributions.
    Draws,
    DrawsBadly,
    DrawsAtRandom,
    DrawsBackwards,
    DrawsWithOtherNumbers,
    OtherQuantiles,
    PredictsTheLeast,
}

impl Flaw {
    fn knows_distributions(self) -> bool {
        self as u8 >= Self::Draws as u8
    }
}

/// Opens files of the form `toy 12.5 end`; the number is a price per byte, in nanoseconds.
#[derive(Debug)]
struct Toy(Flaw);

impl Backend for Toy {
    fn formats(&self) -> &'static Formats {
        match self.0 {
            Flaw::UpperCaseScheme => {
                &Formats { name: "toy", schemes: &["Toy"], extensions: &["toy"] }
            }
            _ => &Formats { name: "toy", schemes: &["toy"], extensions: &["toy"] },
        }
    }

    fn open(&self, uri: &ModelUri) -> Result<Arc<dyn Predictor>> {
        let flaw = self.0;
        let path = uri.path();
        let malformed = |what| Error::invalid(what).at(path.display());
        match flaw {
            Flaw::UnnamedMissingFile if !path.exists() => {
                return Err(Error::not_found("no such file"));
            }
            Flaw::BlamesTheSystemForFolders if path.is_dir() => {
                return Err(Error::unavailable("try again").at(path.display()));
            }
            Flaw::OpensEmptyFiles if fs::read(path).is_ok_and(|bytes| bytes.is_empty()) => {
                return Ok(Arc::new(Model::new(flaw, uri, 0.0)));
            }
            Flaw::RefusesParameters if !uri.parameters().is_empty() => {
                return Err(malformed("unknown parameter"));
            }
            _ => {}
        }
        let bytes = file::read(path, 1 << 20)?;
        let text = String::from_utf8_lossy(&bytes);
        if flaw == Flaw::PanicsOnGarbage {
            assert!(text.starts_with('t'), "found garbage");
        }
        let body = text.strip_prefix("toy ").ok_or_else(|| malformed("no toy"))?;
        let body = match flaw {
            Flaw::OpensTruncatedFiles => body.trim_end_matches(|c: char| !c.is_ascii_digit()),
            _ => body.strip_suffix(" end").ok_or_else(|| malformed("no end"))?,
        };
        let price = body.parse().unwrap_or(0.0);
        Ok(Arc::new(Model::new(flaw, uri, price)))
    }
}

#[derive(Debug, Clone)]
struct Model {
    flaw: Flaw,
    price: f64,
    info: ModelInfo,
    busy: Arc<AtomicUsize>,
    sessions: Arc<AtomicUsize>,
}

impl Model {
    fn new(flaw: Flaw, uri: &ModelUri, price: f64) -> Self {
        let path = match flaw {
            Flaw::ReportsAnotherPath => PathBuf::from("elsewhere.toy"),
            _ => uri.path().to_owned(),
        };
        let info = ModelInfo {
            path,
            backend: "toy",
            inputs: vec![Feature::RequestBytes],
            units: Units::NATIVE,
            trained: Vec::new(),
            deterministic: flaw != Flaw::RandomAsItSays,
            knows_distributions: flaw.knows_distributions(),
            settings: uri.parameters().clone(),
        };
        Self { flaw, price, info, busy: Arc::default(), sessions: Arc::default() }
    }
}

impl Predictor for Model {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        if self.flaw == Flaw::ReadsLazily {
            file::read(&self.info.path, 1 << 20)?;
        }
        let number = self.sessions.fetch_add(1, SeqCst);
        Ok(Box::new(ToySession { model: self.clone(), number, asked: 0, nan_seen: false }))
    }
}

struct ToySession {
    model: Model,
    number: usize,
    asked: usize,
    nan_seen: bool,
}

impl Session for ToySession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        self.asked += 1;
        self.nan_seen |= features.request_bytes.is_nan();
        let concurrent = self.model.busy.fetch_add(1, SeqCst);
        if self.model.flaw == Flaw::Racing {
            thread::yield_now();
        }
        self.model.busy.fetch_sub(1, SeqCst);
        let mut answer = expected(features, self.model.price);
        // All but the first are too small for the tolerance to notice.
        answer.runtime_ns *= match self.model.flaw {
            Flaw::Biased => 1.01,
            Flaw::Drifting => 1.0 + 1e-12 * self.asked as f64,
            Flaw::RandomAsItSays => {
                if self.asked.is_multiple_of(2) {
                    1.5
                } else {
                    0.5
                }
            }
            Flaw::SessionsDiffer => 1.0 + 1e-12 * self.number as f64,
            Flaw::Racing if concurrent > 0 => 1.0 + 1e-12,
            Flaw::RemembersNan if self.nan_seen => f64::NAN,
            Flaw::PredictsTheLeast => 0.5,
            _ => 1.0,
        };
        Ok(answer)
    }

    fn predict_batch(&mut self, features: &[Features], out: &mut [RawPrediction]) -> Result<()> {
        for (features, out) in features.iter().zip(out.iter_mut()) {
            *out = self.predict(features)?;
        }
        if self.model.flaw == Flaw::MixesUpBatches {
            out.reverse();
        }
        Ok(())
    }

    fn draw(&mut self, features: &Features, uniforms: &Uniforms) -> Result<RawPrediction> {
        self.asked += 1;
        let mut answer = drawn(features, self.model.price, uniforms);
        answer.runtime_ns *= match self.model.flaw {
            Flaw::DrawsBadly => 1.01,
            // Too small for the tolerance to notice.
            Flaw::DrawsAtRandom => 1.0 + 1e-12 * self.asked as f64,
            _ => 1.0,
        };
        match self.model.flaw {
            flaw if !flaw.knows_distributions() && flaw != Flaw::DrawsWithoutSayingSo => {
                return self.predict(features);
            }
            Flaw::DrawsBackwards => answer.cpu_cores = 1.0 - answer.cpu_cores,
            Flaw::DrawsWithOtherNumbers => answer.cpu_cores += 1e-12 * uniforms.run_time,
            _ => {}
        }
        Ok(answer)
    }

    fn quantiles(
        &mut self,
        features: &Features,
        levels: &[f64],
        out: &mut [RawPrediction],
    ) -> Result<()> {
        for (level, out) in levels.iter().zip(out) {
            *out = self.draw(features, &Uniforms::same(*level))?;
            if self.model.flaw == Flaw::OtherQuantiles {
                out.ram_bytes += 1e-3;
            }
        }
        Ok(())
    }
}

/// From half of what is expected to one and a half.
fn drawn(features: &Features, price: f64, uniforms: &Uniforms) -> RawPrediction {
    let expected = expected(features, price);
    RawPrediction {
        runtime_ns: expected.runtime_ns * (0.5 + uniforms.run_time),
        cpu_cores: expected.cpu_cores * (0.5 + uniforms.cpu),
        ram_bytes: expected.ram_bytes * (0.5 + uniforms.ram),
    }
}

fn expected(features: &Features, price: f64) -> RawPrediction {
    RawPrediction {
        runtime_ns: 1e6 + price * features.request_bytes,
        cpu_cores: 0.5,
        ram_bytes: 1e6,
    }
}

fn conformance(flaw: Flaw) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.toy");
    fs::write(&path, "toy 12.5 end").unwrap();
    let mut known =
        ReferenceModel::new(ModelUri::from_path(path), |features| expected(features, 12.5), 1e-9);
    // Of the other flaws of draws the reference knows nothing.
    if matches!(flaw, Flaw::Draws | Flaw::DrawsBadly) {
        known = known.drawing(|features, uniforms| drawn(features, 12.5, uniforms));
    }
    Conformance::of(Toy(flaw)).model(known).run();
}

#[test]
fn a_correct_backend_passes() {
    conformance(Flaw::Nothing);
}

#[test]
fn a_correct_backend_that_knows_distributions_passes() {
    conformance(Flaw::Draws);
}

#[test]
fn a_random_model_is_compared_by_its_mean() {
    conformance(Flaw::RandomAsItSays);
}

/// The property named is the only one, or the first one, that the suite finds violated.
macro_rules! caught {
    ($($test:ident: $flaw:ident, $expected:literal;)*) => {$(
        #[test]
        #[should_panic(expected = $expected)]
        fn $test() {
            conformance(Flaw::$flaw);
        }
    )*};
}

caught! {
    a_scheme_that_no_uri_can_have: UpperCaseScheme,
        "violates properties:\n- formats_are_well_formed (any file)";
    an_error_that_does_not_name_the_missing_file: UnnamedMissingFile,
        "violates properties:\n- a_missing_file_is_an_error_that_names_it (any file)";
    an_empty_file_that_is_opened: OpensEmptyFiles,
        "violates properties:\n- an_empty_file_is_an_error_that_names_it (any file)";
    a_panic_on_garbage: PanicsOnGarbage,
        "- garbage_is_an_error_that_names_the_file (any file): it panicked: found garbage";
    a_folder_that_is_said_to_be_worth_a_retry: BlamesTheSystemForFolders,
        "violates properties:\n- a_folder_is_an_error_that_names_it (any file)";
    a_path_that_was_not_given: ReportsAnotherPath,
        "violates properties:\n- info_describes_the_model (";
    a_parameter_that_is_not_left_to_others: RefusesParameters,
        "violates properties:\n- settings_of_others_change_no_answer_and_are_handed_on (";
    a_wrong_answer: Biased,
        "- answers_match_the_reference (";
    an_answer_that_drifts: Drifting,
        "violates properties:\n- the_same_question_has_the_same_answer (";
    a_session_that_answers_differently: SessionsDiffer,
        "violates properties:\n- two_sessions_give_the_same_answers (";
    threads_that_disturb_each_other: Racing,
        "violates properties:\n- many_threads_get_the_same_answers (";
    a_batch_in_the_wrong_order: MixesUpBatches,
        "violates properties:\n- a_batch_answers_as_one_by_one (";
    a_session_that_odd_features_spoil: RemembersNan,
        "violates properties:\n- odd_features_leave_the_session_usable (";
    a_truncated_file_that_is_opened: OpensTruncatedFiles,
        "violates properties:\n- a_truncated_file_is_an_error_that_names_it (";
    a_model_that_needs_its_file_later: ReadsLazily,
        "violates properties:\n- the_file_may_vanish_once_it_is_open (";
    a_draw_of_a_model_that_knows_no_distributions: DrawsWithoutSayingSo,
        "violates properties:\n- without_distributions_a_draw_is_the_prediction (";
    a_wrong_draw: DrawsBadly,
        "violates properties:\n- draws_match_the_reference (";
    a_draw_that_drifts: DrawsAtRandom,
        "violates properties:\n- the_same_uniform_numbers_give_the_same_draw (";
    a_draw_that_decreases: DrawsBackwards,
        "violates properties:\n- a_number_grows_with_its_own_uniform_number_alone (";
    a_draw_that_takes_the_uniform_number_of_another_output: DrawsWithOtherNumbers,
        "violates properties:\n- a_number_grows_with_its_own_uniform_number_alone (";
    quantiles_that_are_not_the_draws: OtherQuantiles,
        "violates properties:\n- quantiles_are_the_draws_at_their_levels (";
    a_prediction_that_is_not_the_mean: PredictsTheLeast,
        "- a_prediction_is_the_mean_of_all_draws (";
}

#[test]
fn a_skipped_property_is_not_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.toy");
    fs::write(&path, "toy 12.5 end").unwrap();
    let known =
        ReferenceModel::new(ModelUri::from_path(path), |features| expected(features, 12.5), 1e-9);
    Conformance::of(Toy(Flaw::MixesUpBatches))
        .model(known)
        .skip("a_batch_answers_as_one_by_one", "batches are mixed up on purpose")
        .run();
}

#[test]
#[should_panic(expected = "no property is called 'be_nice'")]
fn only_what_is_stated_can_be_skipped() {
    let known =
        ReferenceModel::new(ModelUri::from_path("a.toy"), |features| expected(features, 0.0), 0.0);
    Conformance::of(Toy(Flaw::Nothing)).model(known).skip("be_nice", "").run();
}

#[test]
#[should_panic(expected = "at least one model")]
fn a_run_without_models_panics() {
    Conformance::of(Toy(Flaw::Nothing)).run();
}
