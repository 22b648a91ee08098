//! The command line: what was typed. What it means is decided in [`crate::config`].

#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

mod read;

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::BoolishValueParser, value_parser};
use hyperfake_predictor::ModelUri;
use tracing_subscriber::filter::Targets;

use self::read::{duration, log_level};
use crate::{
    backends::OnnxEngine,
    catalog::{Extrapolation, Response},
    worker::{FeatureScope, Runtime},
};

/// A FaaS worker that predicts what its functions would do instead of running them.
#[derive(Debug, Parser)]
#[command(name = "hyperfake", version = VERSION, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The version and the commit that it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("HYPERFAKE_COMMIT"), ")");

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve as a worker
    Server(Box<ServerArgs>),
    /// Register a function at a running worker, start it, call it, and show what happened
    Call(CallArgs),
    /// Ask a model for one prediction, without a server
    Predict(PredictArgs),
    /// List the models that a server would load, or check model files
    Models(ModelsArgs),
    /// Show what this machine offers: ONNX Runtime, vector instructions, the clock's exactness
    Doctor(DoctorArgs),
    /// Print a script that completes this program's options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The options of `hyperfake server`.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Where to serve gRPC; [::] takes IPv4 as well
    #[arg(long, env = "HYPERFAKE_ADDRESS", value_name = "HOST:PORT", default_value = "[::]:50051")]
    pub address: String,

    /// Where functions are looked up: ask the key-value store at --database-address if one
    /// answers and else be one (auto), always be one (embedded), or always ask (http)
    #[arg(long, env = "HYPERFAKE_DATABASE_TYPE", value_name = "TYPE", default_value = "auto")]
    pub database_type: DatabaseType,

    /// The key-value store's address [default: http://localhost:8999, or http://database:8999
    /// with --containerized]
    #[arg(long, env = "HYPERFAKE_DATABASE_ADDRESS", value_name = "URL")]
    pub database_address: Option<String>,

    /// The worker runs in a container beside the platform's other parts
    #[arg(long, env = "HYPERFAKE_CONTAINERIZED", value_parser = BoolishValueParser::new())]
    pub containerized: bool,

    /// The models.
    #[command(flatten)]
    pub models: ModelArgs,

    /// What is done when a model is asked about inputs that it was not trained on: nothing
    /// (allow), count and report them (warn), or ask about the nearest it knows (clamp)
    #[arg(long, env = "HYPERFAKE_EXTRAPOLATION", value_name = "POLICY", default_value = "warn")]
    pub extrapolation: Extrapolation,

    /// Whose instances and running calls a model is told of: the function's, or the whole
    /// worker's
    #[arg(long, env = "HYPERFAKE_FEATURE_SCOPE", value_name = "SCOPE", default_value = "function")]
    pub feature_scope: FeatureScope,

    /// The container runtime whose cold start is imitated: docker (541 ms), firecracker (125 ms)
    /// or instant (none)
    #[arg(long, env = "HYPERFAKE_RUNTIME", value_name = "NAME", default_value = "docker")]
    pub runtime: Runtime,

    /// The cold start of every instance, whatever the runtime and the model say
    #[arg(long, env = "HYPERFAKE_COLD_START", value_name = "DURATION", value_parser = duration)]
    pub cold_start: Option<Duration>,

    /// How long an instance without calls lives [default: what its function says, else 60s]
    #[arg(long, env = "HYPERFAKE_IDLE_TIMEOUT", value_name = "DURATION", value_parser = duration)]
    pub idle_timeout: Option<Duration>,

    /// Forget a stopped instance at once instead of listing it for five minutes
    #[arg(long, env = "HYPERFAKE_AUTO_REMOVE", value_parser = BoolishValueParser::new())]
    pub auto_remove: bool,

    /// The answers' data, when the model does not say: random:N with N bytes, echo, or empty
    #[arg(long, env = "HYPERFAKE_RESPONSE", value_name = "KIND", default_value = "random:10")]
    pub response: Response,

    /// No call runs longer than this; a longer prediction is cut
    #[arg(long, env = "HYPERFAKE_MAX_RUNTIME", value_name = "DURATION", default_value = "15m",
          value_parser = duration)]
    pub max_runtime: Duration,

    /// The worker's simulated CPUs [default: this machine's]
    #[arg(long, env = "HYPERFAKE_CPUS", value_name = "N",
          value_parser = value_parser!(u32).range(1..=65_536))]
    pub cpus: Option<u32>,

    /// The worker's simulated memory, such as 16GiB [default: this machine's]
    #[arg(long, env = "HYPERFAKE_MEMORY", value_name = "SIZE")]
    pub memory: Option<ByteSize>,

    /// The most threads used for calls; more than there are cores are never used [default: one
    /// for each core]
    #[arg(short, long, env = "HYPERFAKE_WORKERS", value_name = "N",
          value_parser = value_parser!(u32).range(1..))]
    pub workers: Option<u32>,

    /// The most calls at once, beyond which a call is refused; 0 is no limit
    #[arg(long, env = "HYPERFAKE_MAX_RPCS", value_name = "N", default_value = "256")]
    pub max_rpcs: usize,

    /// The most calls at once on one connection, beyond which a client holds them back
    #[arg(long, env = "HYPERFAKE_MAX_STREAMS", value_name = "N", default_value = "32768",
          value_parser = value_parser!(u32).range(1..))]
    pub max_streams: u32,

    /// The largest message that is taken
    #[arg(long, env = "HYPERFAKE_MAX_MESSAGE_SIZE", value_name = "SIZE", default_value = "4MiB")]
    pub max_message_size: ByteSize,

    /// How long the events for a listener that went away are kept for its return; a plain number
    /// is seconds
    #[arg(long, env = "HYPERFAKE_TIMEOUT", value_name = "DURATION", default_value = "20s",
          value_parser = duration)]
    pub timeout: Duration,

    /// The events that wait for a slow listener before its CALL and RESPONSE events are left out
    #[arg(long, env = "HYPERFAKE_UPDATE_BUFFER_SIZE", value_name = "N", default_value = "10000")]
    pub update_buffer_size: usize,

    /// How long calls may go on after a signal to stop; a second signal ends them at once
    #[arg(long, env = "HYPERFAKE_SHUTDOWN_GRACE", value_name = "DURATION", default_value = "30s",
          value_parser = duration)]
    pub shutdown_grace: Duration,

    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Which models there are, and who opens them.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// A model file and, unless it is the file's name, the image that it stands for; may be
    /// repeated. Given this, ./models is not searched [env: HYPERFAKE_MODEL="PATH [IMAGE];…"]
    #[arg(short, long, value_names = ["PATH", "IMAGE"], num_args = 1..=2)]
    pub model: Vec<String>,

    /// `model`, one entry each time that it was given.
    #[arg(skip)]
    pub named: Vec<(ModelUri, Option<String>)>,

    /// A folder in which every file with a known extension is a model [default: ./models]
    #[arg(long, env = "HYPERFAKE_MODELS_DIR", value_name = "FOLDER")]
    pub models_dir: Option<PathBuf>,

    /// Go on without the models that cannot be opened
    #[arg(long, env = "HYPERFAKE_SKIP_BAD_MODELS", value_parser = BoolishValueParser::new())]
    pub skip_bad_models: bool,

    /// Let --models-dir offer plugins too: libraries that run with this program's rights
    #[arg(long, env = "HYPERFAKE_ALLOW_PLUGINS", value_parser = BoolishValueParser::new())]
    pub allow_plugins: bool,

    /// Who opens and runs them.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Who opens and runs models.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// Who runs .onnx models that name no backend: the first that can of dense, tract and ort
    /// (auto), or one of them
    #[arg(long, env = "HYPERFAKE_ONNX_ENGINE", value_name = "ENGINE", default_value = "auto")]
    pub onnx_engine: OnnxEngine,

    /// ONNX Runtime's library [default: searched for, see 'hyperfake doctor']
    #[arg(long, env = "HYPERFAKE_ORT_LIB", value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
}

/// What is logged, how, and where.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What is logged: a level (error, warn, info, debug, trace, off) or a list such as
    /// info,h2=debug
    #[arg(long, env = "HYPERFAKE_LOG_LEVEL", value_name = "LEVEL", default_value = "info",
          value_parser = log_level)]
    pub log_level: Targets,

    /// The form of the log
    #[arg(long, env = "HYPERFAKE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// A file that the log is appended to, instead of standard error
    #[arg(long, env = "HYPERFAKE_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where functions are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatabaseType {
    /// Ask the store if one answers, and else be one.
    Auto,
    /// Be one.
    Embedded,
    /// Ask the store.
    Http,
}

/// The options of `hyperfake call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The image of the function, such as hyperfaas-echo
    pub image: String,

    /// The worker
    #[arg(
        long,
        env = "HYPERFAKE_ADDRESS",
        value_name = "HOST:PORT",
        default_value = "localhost:50051"
    )]
    pub address: String,

    /// The key-value store in which the function is registered
    #[arg(
        long,
        env = "HYPERFAKE_DATABASE_ADDRESS",
        value_name = "URL",
        default_value = "http://localhost:8999"
    )]
    pub database_address: String,

    /// The request's data
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "data_file")]
    pub data: String,

    /// A file with the request's data
    #[arg(long, value_name = "FILE")]
    pub data_file: Option<PathBuf>,

    /// How many calls to make
    #[arg(short = 'n', long, value_name = "N", default_value = "1",
          value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub calls: u32,

    /// How many of them to make at once
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,

    /// The longest that a call may take, its instance's cold start included
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub deadline: Duration,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The options of `hyperfake predict`. What is not given is as on an idle worker.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The model: a file, or one image of a file as in linear.json#hyperfaas-echo:latest
    pub model: ModelUri,

    /// Size of the request's data, in bytes
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    pub request_bytes: f64,

    /// Live instances of the function
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    pub function_instances: f64,

    /// Running calls of the function, this one not counted
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    pub active_calls: f64,

    /// CPU that the worker's running calls hold, in cores
    #[arg(long, value_name = "CORES", default_value = "0", allow_negative_numbers = true)]
    pub worker_cpu: f64,

    /// Memory that the worker's running calls hold, in bytes
    #[arg(long, value_name = "BYTES", default_value = "0", allow_negative_numbers = true)]
    pub worker_ram: f64,

    /// No call runs longer than this; a longer prediction is cut
    #[arg(long, env = "HYPERFAKE_MAX_RUNTIME", value_name = "DURATION", default_value = "15m",
          value_parser = duration)]
    pub max_runtime: Duration,

    /// Who runs the model.
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
    #[arg(required = true)]
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
