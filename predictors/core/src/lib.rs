//! What every predictor of HyperFake Worker shares.
//!
//! A *predictor* answers one question: for a call that arrives at a worker in a given state, how
//! long will the function run, how many CPU cores and how much memory will it hold? The state is
//! five numbers ([`Features`]), the answer is three ([`RawPrediction`], made trustworthy by
//! [`Limits::check`] as a [`Prediction`]).
//!
//! Three traits, from a file to an answer:
//!
//! | trait | is | shared by |
//! |---|---|---|
//! | [`Backend`] | opens model files of some formats | the process |
//! | [`Predictor`] | a loaded model, immutable | all threads |
//! | [`Session`] | one thread's buffers for a model | nothing |
//!
//! A backend turns numbers into numbers. What is the same for all of them is done once, here:
//! [`Backends`] chooses the backend that opens a file, [`file::read`] refuses what is not a file,
//! [`Limits`] clamps the answer.

mod adapt;
mod backend;
mod candidates;
mod domain;
mod error;
mod features;
pub mod file;
mod guard;
mod levels;
mod limits;
pub mod normal;
mod prediction;
mod random;
mod range;
mod registry;
mod settings;
mod trial;
mod uniforms;
mod units;
mod uri;

pub use adapt::adapt;
pub use backend::{Backend, Formats, ModelInfo, Opened, Predictor, Session};
pub use domain::Domain;
pub use error::{Error, ErrorKind, Result};
pub use features::{Feature, Features};
pub use guard::{guarded, is_guarded, panic_text};
pub use levels::Levels;
pub use limits::{Checked, Correction, Limits};
pub use prediction::{Output, Prediction, RawPrediction};
pub use random::Random;
pub use range::Range;
pub use registry::{Attempt, Backends, Declined, Loaded};
pub use settings::Settings;
pub use trial::agree;
pub use uniforms::Uniforms;
pub use units::{Unit, Units};
pub use uri::ModelUri;
