#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    Args, Subcommand,
    builder::{BoolishValueParser, OsStringValueParser, TypedValueParser},
};
use hyperfake_predictor::ModelUri;

use super::{named::model_uri, values};
use crate::{backends::OnnxEngine, duration};

/// The models, and the backends that open them.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// A model file and, unless it is the file's name, the image that it stands for; more of them
    /// may follow, and this may be repeated. Given this, ./models is not searched [env:
    /// HYPERFAKE_MODEL="PATH [IMAGE];…"]
    #[arg(short, long, value_name = "PATH [IMAGE]", num_args = 1..)]
    pub model: Vec<OsString>,

    /// `model`, one entry each time that it was given.
    #[arg(skip)]
    pub named: Vec<(ModelUri, Option<String>)>,

    /// A folder in which every file with a known extension is a model [default: ./models]
    #[arg(long, env = "HYPERFAKE_MODELS_DIR", value_name = "FOLDER")]
    pub models_dir: Option<PathBuf>,

    /// Skip models that cannot be opened instead of ending
    #[arg(long, env = "HYPERFAKE_SKIP_BAD_MODELS", value_parser = BoolishValueParser::new())]
    pub skip_bad_models: bool,

    /// Let --models-dir offer plugins too: libraries that run with this program's rights
    #[arg(long, env = "HYPERFAKE_ALLOW_PLUGINS", value_parser = BoolishValueParser::new())]
    pub allow_plugins: bool,

    /// The backends.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The backends.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// The backend of .onnx models that name none: the first of dense, trees, tract and ort that
    /// can run the model (auto), or one of them
    #[arg(long, env = "HYPERFAKE_ONNX_ENGINE", value_name = "ENGINE", default_value = "auto")]
    pub onnx_engine: OnnxEngine,

    /// ONNX Runtime's library [default: searched for, see 'hyperfake doctor']
    #[arg(long, env = "HYPERFAKE_ORT_LIB", value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
}

/// The options of `hyperfake predict`. The defaults are those of an idle worker.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The model: a file, or one image of a file as in linear.json#hyperfaas-echo:latest
    #[arg(value_parser = OsStringValueParser::new().try_map(model_uri))]
    pub model: ModelUri,

    /// Size of the request's data, in bytes
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true,
          value_parser = values::feature)]
    pub request_bytes: f64,

    /// Live instances of the function
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true,
          value_parser = values::feature)]
    pub function_instances: f64,

    /// Running calls of the function, this one not counted
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true,
          value_parser = values::feature)]
    pub active_calls: f64,

    /// CPU that the worker's running calls hold, in cores
    #[arg(long, value_name = "CORES", default_value = "0", allow_negative_numbers = true,
          value_parser = values::feature)]
    pub worker_cpu: f64,

    /// Memory that the worker's running calls hold, in bytes
    #[arg(long, value_name = "BYTES", default_value = "0", allow_negative_numbers = true,
          value_parser = values::feature)]
    pub worker_ram: f64,

    /// The longest run time; a longer prediction is reduced to it
    #[arg(long, env = "HYPERFAKE_MAX_RUNTIME", value_name = "DURATION", default_value = "15m",
          value_parser = duration::parse)]
    pub max_runtime: Duration,

    /// The backend.
    #[command(flatten)]
    pub engine: EngineArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The options of `hyperfake models`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ModelsArgs {
    /// What to do with them instead of listing them.
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,

    /// The models.
    #[command(flatten)]
    pub models: ModelArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Open each model with every backend that can, compare and time their predictions, and fail
    /// when something is wrong
    Check(CheckArgs),
}

/// The options of `hyperfake models check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The models: files, or URIs with parameters
    #[arg(required = true, value_parser = OsStringValueParser::new().try_map(model_uri))]
    pub files: Vec<ModelUri>,

    /// ONNX Runtime's library [default: searched for, see 'hyperfake doctor']
    #[arg(long, env = "HYPERFAKE_ORT_LIB", value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The options of `hyperfake doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// ONNX Runtime's library [default: searched for]
    #[arg(long, env = "HYPERFAKE_ORT_LIB", value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
