#![allow(rustdoc::broken_intra_doc_links, reason = "these texts are help: brackets are brackets")]

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{
    Args, ValueEnum,
    builder::{BoolishValueParser, PossibleValue, PossibleValuesParser, TypedValueParser},
    value_parser,
};
use ipnet::IpNet;
use strum::VariantNames;
use tracing_subscriber::filter::Targets;

use super::{
    EtcdArgs, ModelArgs, OtlpArgs, RecordArgs, ServerTlsArgs,
    values::{buffer_size, log_level, size},
};
use crate::{
    admin::{Names, Token},
    catalog::{Extrapolation, ResponseBody},
    duration,
    scenario::{ContainerRuntime, Contention, TimeScale},
    telemetry::Format,
    wire::{
        instance::{self, OnStop, Range},
        transport::addresses::MAX_WORKERS,
    },
    worker::{AfterStop, FeatureScope, StartAnswers},
};

/// The options of `hyperfake server`.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Where to serve gRPC; [::] takes IPv4 as well
    #[arg(long, env = "HYPERFAKE_ADDRESS", value_name = "HOST:PORT", default_value = "[::]:50051")]
    pub address: String,

    /// How many workers there are: on consecutive ports from the one of --address on, or on the
    /// first of --fleet-addresses [default: 1, or all of --fleet-addresses]
    #[arg(long, env = "HYPERFAKE_FLEET", value_name = "N",
          value_parser = value_parser!(u32).range(1..=i64::from(MAX_WORKERS)))]
    pub fleet: Option<u32>,

    /// The addresses of a fleet, such as 127.1.0.0/22: one worker on each, all on the port of
    /// --address
    #[arg(long, env = "HYPERFAKE_FLEET_ADDRESSES", value_name = "RANGE")]
    pub fleet_addresses: Option<IpNet>,

    /// The time from the start of one worker of a fleet to the next one's
    #[arg(long, env = "HYPERFAKE_FLEET_STAGGER", value_name = "DURATION", default_value = "0s",
          value_parser = duration::parse)]
    pub fleet_stagger: Duration,

    /// The addresses of instances that a leaf of today starts, within 127.0.0.0/8, and perhaps
    /// their port [default: 127.64.0.0/10, and the first free port from 50052 on; where the system
    /// does not allow it, the default of --instance-ports]
    #[arg(long, env = "HYPERFAKE_INSTANCE_ADDRESSES", value_name = "RANGE[:PORT]",
          conflicts_with_all = ["instance_ports", "advertise_host"])]
    pub instance_addresses: Option<Range>,

    /// A port for each of these instances instead of an address, for a leaf on another network
    /// [default with --advertise-host: 20000-29999]
    #[arg(long, env = "HYPERFAKE_INSTANCE_PORTS", value_name = "FIRST-LAST",
          value_parser = instance::ports)]
    pub instance_ports: Option<RangeInclusive<u16>>,

    /// The name or address at which a leaf reaches those ports; with it, they are served where
    /// --address is [default: 127.0.0.1, or --service-name with --containerized]
    #[arg(long, env = "HYPERFAKE_ADVERTISE_HOST", value_name = "HOST",
          value_parser = instance::host)]
    pub advertise_host: Option<String>,

    /// What becomes of the calls at an instance's own address when it is stopped: they end as they
    /// would have (finish), or their connections are cut (cut)
    #[arg(long, env = "HYPERFAKE_ON_STOP", value_name = "WHAT", default_value = "finish")]
    pub on_stop: OnStop,

    /// The event that follows STOP, for leaves that listen only to this one: none, down or timeout
    #[arg(long, env = "HYPERFAKE_EVENT_AFTER_STOP", value_name = "EVENT", default_value = "none")]
    pub event_after_stop: AfterStop,

    /// Instances that only a leaf ends are ended when the leaves that listened to events when they
    /// were started have been gone for this long
    #[arg(long, env = "HYPERFAKE_ORPHAN_TIMEOUT", value_name = "DURATION", default_value = "10m",
          value_parser = duration::parse)]
    pub orphan_timeout: Duration,

    /// A file in which it is kept which instances live, so that a worker that was killed and starts
    /// again tells leaves that those of its former life are gone; it is not kept unless this is given
    #[arg(long, env = "HYPERFAKE_STATE_FILE", value_name = "FILE")]
    pub state_file: Option<PathBuf>,

    /// Where functions are looked up: ask the stores that answer at --database-address and
    /// --etcd-endpoint, and else be one (auto), always be one (embedded), always ask the one that
    /// speaks HTTP (http), or always ask etcd (etcd)
    #[arg(long, env = "HYPERFAKE_DATABASE_TYPE", value_name = "TYPE", default_value = "auto")]
    pub database_type: DatabaseType,

    /// The key-value store's address [default: http://localhost:8999, or http://database:8999
    /// with --containerized]
    #[arg(long, env = "HYPERFAKE_DATABASE_ADDRESS", value_name = "URL")]
    pub database_address: Option<String>,

    /// etcd.
    #[command(flatten)]
    pub etcd: EtcdArgs,

    /// Where this worker serves an etcd of its own: at HOST:PORT, nowhere (off), or at
    /// 127.0.0.1:2379 if --database-type is auto, no --etcd-endpoint is given and no etcd answers
    /// (auto)
    #[arg(
        long,
        env = "HYPERFAKE_ETCD_LISTEN",
        value_name = "HOST:PORT|auto|off",
        default_value = "auto"
    )]
    pub etcd_listen: String,

    /// A file in which the functions that are registered here are kept, so that they survive a
    /// restart; without it they are lost with the process
    #[arg(long, env = "HYPERFAKE_FUNCTIONS_FILE", value_name = "FILE")]
    pub functions_file: Option<PathBuf>,

    /// The worker runs in a container next to the platform's other parts: these are asked by the names
    /// that they have there, and instances have ports, as with --advertise-host
    #[arg(long, env = "HYPERFAKE_CONTAINERIZED", value_parser = BoolishValueParser::new())]
    pub containerized: bool,

    /// The seed of all random numbers, such as the ids of instances and random answers: the same
    /// seed gives the same numbers [default: what the scenario says, else another one for each start]
    #[arg(long, env = "HYPERFAKE_SEED", value_name = "N")]
    pub seed: Option<u64>,

    /// How functions, instances and workers behave: a scenario file, which SIGHUP reads again, or the
    /// name of a preset: plain, realistic or chaos [default: plain]
    #[arg(long, env = "HYPERFAKE_SCENARIO", value_name = "FILE|PRESET")]
    pub scenario: Option<PathBuf>,

    /// How calls share the simulated CPUs: not at all (none), run times hold for the load at a call's
    /// begin and only changes of it count (relative), or they hold for a worker without other calls
    /// (absolute) [default: what the scenario says, else none]
    #[arg(long, env = "HYPERFAKE_CONTENTION", value_name = "HOW",
          value_parser = PossibleValuesParser::new(Contention::VARIANTS)
              .try_map(|name| name.parse::<Contention>()))]
    pub contention: Option<Contention>,

    /// The models.
    #[command(flatten)]
    pub models: ModelArgs,

    /// How inputs outside a model's trained range are handled: not at all (allow), counted and
    /// reported (warn), or also moved to the nearest value within the range (clamp)
    #[arg(long, env = "HYPERFAKE_EXTRAPOLATION", value_name = "POLICY", default_value = "warn")]
    pub extrapolation: Extrapolation,

    /// Whose instances and running calls the features of a model count: the function's, or the
    /// whole worker's
    #[arg(long, env = "HYPERFAKE_FEATURE_SCOPE", value_name = "SCOPE", default_value = "function")]
    pub feature_scope: FeatureScope,

    /// The container runtime whose cold start is imitated: docker (541 ms), firecracker (125 ms)
    /// or instant (none)
    #[arg(long, env = "HYPERFAKE_RUNTIME", value_name = "NAME", default_value = "docker")]
    pub runtime: ContainerRuntime,

    /// The cold start of every instance, whatever the runtime, the model and the scenario say
    #[arg(long, env = "HYPERFAKE_COLD_START", value_name = "DURATION", value_parser = duration::parse)]
    pub cold_start: Option<Duration>,

    /// When a Start is answered: once the instance can run calls, as by the platform's own worker
    /// (ready), or at once, so that calls wait for what is left of the cold start (created)
    #[arg(long, env = "HYPERFAKE_START_ANSWERS", value_name = "WHEN", default_value = "ready")]
    pub start_answers: StartAnswers,

    /// How long an instance without calls lives [default: what its function says, else 60s; those
    /// that a leaf of today starts live until they are stopped]
    #[arg(long, env = "HYPERFAKE_IDLE_TIMEOUT", value_name = "DURATION", value_parser = duration::parse)]
    pub idle_timeout: Option<Duration>,

    /// Forget a stopped instance at once instead of listing it for five minutes
    #[arg(long, env = "HYPERFAKE_AUTO_REMOVE", value_parser = BoolishValueParser::new())]
    pub auto_remove: bool,

    /// The answers' data, when the model does not say: random:N with N bytes, echo, empty, or
    /// always the same: text:TEXT, hex:DIGITS, or file:PATH, which is read once. At an instance's
    /// own address it is the whole message [default: random:10, and empty there]
    #[arg(long, env = "HYPERFAKE_RESPONSE", value_name = "KIND")]
    pub response: Option<ResponseBody>,

    /// The longest run time; a longer prediction is reduced to it
    #[arg(long, env = "HYPERFAKE_MAX_RUNTIME", value_name = "DURATION", default_value = "15m",
          value_parser = duration::parse)]
    pub max_runtime: Duration,

    /// A factor for all run times and cold starts: 0.1 is ten times as fast, and 0 answers at once
    #[arg(long, env = "HYPERFAKE_TIME_SCALE", value_name = "FACTOR", default_value = "1")]
    pub time_scale: TimeScale,

    /// The worker's simulated CPUs [default: what the scenario says, else those that this process may
    /// use]
    #[arg(long, env = "HYPERFAKE_CPUS", value_name = "N",
          value_parser = value_parser!(u32).range(1..=65_536))]
    pub cpus: Option<u32>,

    /// The worker's simulated memory, such as 16GiB [default: what the scenario says, else what this
    /// process may use: the container's limit, or this machine's memory]
    #[arg(long, env = "HYPERFAKE_MEMORY", value_name = "SIZE", value_parser = size)]
    pub memory: Option<ByteSize>,

    /// The most threads used for calls; more than there are cores are never used [default: one
    /// for each core]
    #[arg(short, long, env = "HYPERFAKE_WORKERS", value_name = "N",
          value_parser = value_parser!(u32).range(1..))]
    pub workers: Option<u32>,

    /// The most calls at once; more are refused; 0 is no limit
    #[arg(long, env = "HYPERFAKE_MAX_RPCS", value_name = "N", default_value = "0")]
    pub max_rpcs: usize,

    /// The most calls at once on one connection; a client holds more of them back
    #[arg(long, env = "HYPERFAKE_MAX_STREAMS", value_name = "N", default_value = "32768",
          value_parser = value_parser!(u32).range(1..))]
    pub max_streams: u32,

    /// The most connections of a worker, of which one address has three quarters; one more is
    /// closed at once
    #[arg(long, env = "HYPERFAKE_MAX_CONNECTIONS", value_name = "N", default_value = "1024",
          value_parser = value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// The largest message that is accepted, after decompression
    #[arg(long, env = "HYPERFAKE_MAX_MESSAGE_SIZE", value_name = "SIZE", default_value = "4MiB",
          value_parser = size)]
    pub max_message_size: ByteSize,

    /// The most bytes of requests that have not arrived whole and of answers that were not read, all
    /// together; more are refused; one connection has a half of them and the connections of one
    /// address three quarters [default: 256MiB, or a quarter of the memory that this process may
    /// use if that is less]
    #[arg(long, env = "HYPERFAKE_MAX_PARTIAL_SIZE", value_name = "SIZE", value_parser = size)]
    pub max_partial_size: Option<ByteSize>,

    /// Compress answers (gzip, deflate) for clients that accept it; compressed requests are always
    /// accepted
    #[arg(long, env = "HYPERFAKE_COMPRESS_ANSWERS", value_parser = BoolishValueParser::new())]
    pub compress_answers: bool,

    /// The log warns that run times are longer than predicted when 1 sleep in 100 ends later than
    /// this
    #[arg(long, env = "HYPERFAKE_LATENESS_WARN", value_name = "DURATION", default_value = "10ms",
          value_parser = duration::parse)]
    pub lateness_warn: Duration,

    /// Where the page is served that shows what happens here, with metrics at /metrics: at
    /// HOST:PORT, or nowhere (off) [default: the first free port of 127.0.0.1 from 8990 on]
    #[arg(long, env = "HYPERFAKE_HTTP", value_name = "HOST:PORT|off")]
    pub http: Option<String>,

    /// What clients of that page have to know: the password of any user, or a bearer token, of 16
    /// characters or more; an address that others on the network can reach needs one
    #[arg(long, env = "HYPERFAKE_HTTP_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub http_token: Option<Token>,

    /// Changes are taken there: faults, the scenario, the end of an instance
    #[arg(long, env = "HYPERFAKE_ADMIN", value_parser = BoolishValueParser::new())]
    pub admin: bool,

    /// Metrics under names that other systems know as well: those of OpenTelemetry for functions
    /// (otel), or of cAdvisor for containers (cadvisor)
    #[arg(long, env = "HYPERFAKE_METRICS_NAMES", value_name = "NAMES", value_delimiter = ',',
          value_parser = PossibleValuesParser::new(Names::VARIANTS)
              .try_map(|name| name.parse::<Names>()))]
    pub metrics_names: Vec<Names>,

    /// The same as --http, but where others on the network can reach the address and there is no
    /// --http-token, metrics alone are served
    #[arg(long, env = "HYPERFAKE_METRICS_ADDRESS", value_name = "HOST:PORT")]
    pub metrics_address: Option<String>,

    /// The record.
    #[command(flatten)]
    pub record: RecordArgs,

    /// Spans of calls.
    #[command(flatten)]
    pub otlp: OtlpArgs,

    /// How long the events for a listener that disconnected are kept for its return; a plain
    /// number is seconds
    #[arg(long, env = "HYPERFAKE_TIMEOUT", value_name = "DURATION", default_value = "20s",
          value_parser = duration::parse)]
    pub timeout: Duration,

    /// The CALL and RESPONSE events that wait for a slow listener, beyond which it loses the oldest;
    /// -1 is no limit
    #[arg(long, env = "HYPERFAKE_UPDATE_BUFFER_SIZE", value_name = "N", default_value = "10000",
          value_parser = buffer_size, allow_negative_numbers = true)]
    pub update_buffer_size: usize,

    /// How long calls may go on after a signal to stop; a second signal ends them at once
    #[arg(long, env = "HYPERFAKE_SHUTDOWN_GRACE", value_name = "DURATION", default_value = "30s",
          value_parser = duration::parse)]
    pub shutdown_grace: Duration,

    /// TLS.
    #[command(flatten)]
    pub tls: ServerTlsArgs,

    /// What the platform's own worker is told of its containers.
    #[command(flatten)]
    pub containers: ContainerArgs,

    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Options of the platform's own worker that concern its containers. Most of them are only accepted,
/// so that its command lines work, and the log says that they have no effect.
#[derive(Debug, Clone, Args)]
pub struct ContainerArgs {
    /// The name at which other containers reach this one, for --containerized without
    /// --advertise-host
    #[arg(long, env = "HYPERFAKE_SERVICE_NAME", value_name = "NAME", default_value = "worker",
          value_parser = instance::host)]
    pub service_name: String,
    #[arg(long, hide = true, value_name = "NAME")]
    network_name: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    node_id: Option<String>,
}

impl ContainerArgs {
    /// Those that were given and have no effect.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let all = [("--network-name", &self.network_name), ("--node-id", &self.node_id)];
        all.into_iter().filter(|(_, value)| value.is_some()).map(|(flag, _)| flag).collect()
    }
}

/// What is logged, how, and where.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What is logged: a level (error or critical, warn or warning, info, debug, trace, off) or a
    /// list such as info,h2=debug
    #[arg(long, env = "HYPERFAKE_LOG_LEVEL", value_name = "LEVEL", default_value = "info",
          value_parser = log_level)]
    pub log_level: Targets,

    /// The form of the log
    #[arg(long, env = "HYPERFAKE_LOG_FORMAT", value_name = "FORMAT", default_value = "text",
          value_parser = PossibleValuesParser::new(log_formats()).try_map(|name| name.parse::<Format>()))]
    pub log_format: Format,

    /// A file that the log is appended to, instead of standard error; SIGHUP reopens it
    #[arg(long, env = "HYPERFAKE_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

fn log_formats() -> [PossibleValue; 2] {
    let format = PossibleValue::new;
    [format("text").help("Lines for people"), format("json").help("One JSON object a line")]
}

/// Where functions are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatabaseType {
    /// Ask the stores that answer, and else be one.
    Auto,
    /// Be one.
    Embedded,
    /// Ask the store that speaks HTTP.
    Http,
    /// Ask etcd.
    Etcd,
}
