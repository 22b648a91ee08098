//! The command line: every option is described here. [`crate::config`] maps options to configurations.

mod client;
mod compare;
mod contradictions;
mod environment;
mod files;
mod fit;
mod functions;
mod leaf;
mod measure;
mod models;
mod named;
mod otlp;
mod read;
mod record;
mod replay;
mod scenario;
mod server;
mod tls;
mod top;
mod values;

use clap::{Parser, Subcommand};

pub use self::{
    client::{CallArgs, HealthArgs, LoadArgs, SenderArgs, TargetArgs},
    compare::{CompareArgs, ComparedBy},
    environment::Environment,
    fit::FitArgs,
    functions::{EtcdArgs, FunctionArgs, FunctionCommand, FunctionLimitArgs, FunctionTargetArgs},
    leaf::{BodyArgs, LeafArgs},
    measure::{CloneArgs, InstanceArgs, MeasureArgs, MeasuredCallArgs, ReadyBy},
    models::{
        CheckArgs, DoctorArgs, EngineArgs, ModelArgs, ModelsArgs, ModelsCommand, PredictArgs,
    },
    otlp::OtlpArgs,
    read::parser,
    record::{PlotArgs, RecordArgs},
    replay::ReplayArgs,
    scenario::{ScenarioArgs, ScenarioCommand},
    server::{ContainerArgs, DatabaseType, LogArgs, ServerArgs},
    tls::{ClientTlsArgs, ServerTlsArgs},
    top::TopArgs,
};

/// A FaaS worker that predicts what its functions would do instead of running them.
#[derive(Debug, Parser)]
#[command(name = "hyperfake", version = VERSION, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// The options that were given by environment variables.
    #[arg(skip)]
    pub environment: Environment,

    /// The options that were given on the command line, such as `--cpus`.
    #[arg(skip)]
    pub typed: Vec<String>,
}

/// The version and the commit that it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("HYPERFAKE_COMMIT"), ")");

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve as a worker
    Server(Box<ServerArgs>),
    /// Register a function at a running worker, start it, call it, and show what happened; or call one
    /// through a leaf
    Call(Box<CallArgs>),
    /// Send calls to a running worker, or through a leaf, on a schedule, and show how exact it was
    Load(Box<LoadArgs>),
    /// Run a function, or call one that runs, at several rates and sizes, and record what its calls cost
    Measure(Box<MeasureArgs>),
    /// Measure a function, fit a model, serve it, and say how wrong the fake is
    Clone(Box<CloneArgs>),
    /// Learn a model from calls that were recorded or measured
    Fit(Box<FitArgs>),
    /// Say how far the record of a fake is from one of the real functions, beside how far these are from
    /// themselves
    Compare(Box<CompareArgs>),
    /// Make the calls of a trace, such as a day of Azure's, on a running worker, through a leaf, or in
    /// virtual time
    Replay(Box<ReplayArgs>),
    /// Ask a running worker whether it serves, and fail if it does not
    Health(HealthArgs),
    /// Show in this terminal what a running server does: calls, functions, instances and workers
    Top(TopArgs),
    /// Draw how long the calls of a record took over time, and what failed
    Plot(PlotArgs),
    /// Register, list, change and delete functions, as the platform's own command line does
    Function(FunctionArgs),
    /// Ask a model for one prediction, without a server
    Predict(PredictArgs),
    /// List the models that a server would load, or check model files
    Models(ModelsArgs),
    /// Check scenario files, and show what they state and which presets there are
    Scenario(ScenarioArgs),
    /// Show what this machine offers: ONNX Runtime, vector instructions, the clock's exactness
    Doctor(DoctorArgs),
    /// Print a script that completes this program's options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}
