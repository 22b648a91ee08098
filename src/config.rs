//! What the command line means: each option is mapped to the configuration of the module that
//! obeys it. Nothing is looked up or opened here.

mod models;
mod stores;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hyperfake_predictor::{Error, Limits, Result};

pub use self::{
    models::{Models, choice},
    stores::{etcd, store_url},
};
use crate::{
    admin,
    args::{LogArgs, OtlpArgs, RecordArgs, ServerArgs, ServerTlsArgs},
    catalog::{Extrapolation, Layers, ResponseBody},
    functions::Places,
    machine::Machine,
    otlp,
    record::Destination,
    scenario::{Overrides, Source},
    telemetry,
    tls::ServerFiles,
    wire::{
        instance,
        transport::{
            MessageLimits, ServerLimits,
            addresses::{self, Listen},
        },
    },
    worker,
};

/// All that a worker needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to serve.
    pub listen: Listen,
    /// The time from the start of one worker to the next one's.
    pub stagger: Duration,
    /// Where instances have addresses of their own.
    pub instances: instance::Listen,
    /// What becomes of the calls there when an instance is stopped.
    pub on_stop: instance::OnStop,
    /// What the server is held to.
    pub server: ServerLimits,
    /// Where random numbers come from, if that was chosen.
    pub seed: Option<u64>,
    /// How functions, instances and workers behave.
    pub scenario: Behaviour,
    /// How the worker behaves.
    pub worker: worker::Config,
    /// The models.
    pub models: Models,
    /// How inputs outside a model's trained range are handled.
    pub extrapolation: Extrapolation,
    /// Where functions are looked up.
    pub places: Places,
    /// Where it is kept which instances live.
    pub state_file: Option<PathBuf>,
    /// Where a row about each call is written.
    pub record: Option<Destination>,
    /// Where spans of calls are sent.
    pub otlp: Option<otlp::Config>,
    /// The log warns when 1 sleep in 100 ends later than this.
    pub lateness_warn: Duration,
    /// The files of TLS, if it is served.
    pub tls: Option<ServerFiles>,
    /// The page, and where it is served.
    pub admin: admin::Config,
    /// How long calls may go on after the signal to stop.
    pub shutdown_grace: Duration,
}

/// How functions, instances and workers behave.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Where that is stated; nothing for the plain scenario.
    pub source: Option<Source>,
    /// What counts before it.
    pub overrides: Overrides,
    /// Whether the worker's CPUs were chosen.
    pub has_cpus: bool,
    /// Whether the worker's memory was chosen.
    pub has_memory: bool,
}

/// Where instances are. Loopback addresses of one container mean another thing in the others, which
/// reach it by the name of its service.
fn instances(args: &ServerArgs) -> instance::Listen {
    let (range, ports) = (args.instance_addresses, args.instance_ports.clone());
    let service = (args.containerized && range.is_none()).then_some(&args.containers.service_name);
    let advertise = args.advertise_host.as_ref().or(service).cloned();
    instance::Listen { range, ports, advertise }
}

fn record(args: RecordArgs) -> Result<Option<Destination>> {
    let destination = args.record.map(|path| Destination::new(path, args.record_format));
    destination.transpose().map_err(|error| error.at("--record"))
}

fn otlp(args: OtlpArgs) -> Result<Option<otlp::Config>> {
    let config = args.otlp.map(|endpoint| otlp::Config::new(endpoint, args.otlp_sample));
    config.transpose().map_err(|error| error.at("--otlp"))
}

fn tls(args: ServerTlsArgs) -> Result<Option<ServerFiles>> {
    let ServerTlsArgs { tls_cert, tls_key, tls_client_ca: client_ca, .. } = args;
    let alone = |flag, missing| {
        Err(Error::invalid(format!("expected {missing} as well, found none")).at(flag))
    };
    match (tls_cert, tls_key) {
        (Some(cert), Some(key)) => Ok(Some(ServerFiles { cert, key, client_ca })),
        (Some(_), None) => alone("--tls-cert", "--tls-key"),
        (None, Some(_)) => alone("--tls-key", "--tls-cert"),
        (None, None) if client_ca.is_some() => alone("--tls-client-ca", "--tls-cert and --tls-key"),
        (None, None) => Ok(None),
    }
}

impl Config {
    /// Maps the options of the server; the defaults of some are those of the machine.
    ///
    /// # Errors
    ///
    /// When a value is not valid; the error names its flag.
    pub fn new(args: ServerArgs, machine: &Machine) -> Result<Self> {
        let (places, instances) = (stores::places(&args)?, instances(&args));
        let Machine { cores, memory } = *machine;
        let max_partial_bytes = max_partial_bytes(&args, memory)?;
        let threads = args.workers.map_or(cores, |workers| cores.min(workers as usize));
        Ok(Self {
            listen: Listen {
                address: args.address,
                workers: args.fleet,
                range: args.fleet_addresses,
            },
            stagger: args.fleet_stagger,
            instances,
            on_stop: args.on_stop,
            server: ServerLimits {
                threads,
                messages: MessageLimits {
                    max_bytes: args.max_message_size.as_u64() as usize,
                    compress_responses: args.compress_answers,
                },
                max_inflight_bytes: max_partial_bytes,
                max_streams: args.max_streams,
                max_connections: args.max_connections as usize,
            },
            seed: args.seed,
            scenario: Behaviour {
                source: args.scenario.as_deref().map(Source::from),
                overrides: Overrides {
                    contention: args.contention,
                    cold_start: args.cold_start.is_some(),
                    time_scale: args.time_scale,
                },
                has_cpus: args.cpus.is_some(),
                has_memory: args.memory.is_some(),
            },
            worker: worker::Config {
                cpus: args.cpus.map_or(cores, |cpus| cpus as usize),
                memory_bytes: match args.memory.map(|memory| memory.as_u64()) {
                    None => memory,
                    Some(0) => {
                        let message = "found 0, expected a size such as 16GiB";
                        return Err(Error::invalid(message).at("--memory"));
                    }
                    Some(bytes) => bytes,
                },
                max_calls: Some(args.max_rpcs).filter(|max| *max > 0),
                runtime: args.runtime,
                cold_start: args.cold_start,
                start_answers: args.start_answers,
                after_stop: args.event_after_stop,
                orphan_timeout: args.orphan_timeout,
                idle_timeout: args.idle_timeout,
                auto_remove: args.auto_remove,
                instance_response: args.response.clone().unwrap_or(ResponseBody::Empty),
                response: args.response.unwrap_or(ResponseBody::Random(10)),
                layers: Layers {
                    limits: Limits { max_runtime: args.max_runtime },
                    time_scale: args.time_scale,
                },
                feature_scope: args.feature_scope,
                event_buffer: args.update_buffer_size,
                listener_timeout: args.timeout,
            },
            models: Models::new(args.models)?,
            extrapolation: args.extrapolation,
            places,
            state_file: args.state_file,
            record: record(args.record)?,
            otlp: otlp(args.otlp)?,
            lateness_warn: args.lateness_warn,
            tls: tls(args.tls)?,
            admin: admin::Config::new(
                admin::Listen::new(args.http, args.metrics_address)?,
                args.http_token,
                args.admin,
                args.metrics_names,
            )?,
            shutdown_grace: args.shutdown_grace,
        })
    }

    /// Looks up where each worker is to serve.
    ///
    /// # Errors
    ///
    /// When a name is not known, or there are not as many addresses as workers; the error names the
    /// flag.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let first = addresses::look_up(&self.listen.address);
        let first = first.map_err(|error| error.at("--address"))?;
        let flag = if self.listen.range.is_some() { "--fleet-addresses" } else { "--fleet" };
        self.listen.addresses(first).map_err(|error| error.at(flag))
    }
}

/// What is logged, how, and where.
#[must_use]
pub fn log(args: &LogArgs) -> telemetry::Config {
    telemetry::Config {
        level: args.log_level.clone(),
        format: args.log_format,
        file: args.log_file.clone(),
    }
}

/// The most bytes of requests that have not arrived whole and of answers that were not read, of a
/// process that may use this much memory.
///
/// # Errors
///
/// When it is less than the largest message: none of that size would ever be taken.
fn max_partial_bytes(args: &ServerArgs, memory: u64) -> Result<usize> {
    let message = args.max_message_size;
    if message.as_u64() == 0 {
        let message = "found 0, expected a size such as 4MiB";
        return Err(Error::invalid(message).at("--max-message-size"));
    }
    match args.max_partial_size {
        None => Ok(MAX_PARTIAL_BYTES.min(memory / 4).max(message.as_u64()) as usize),
        Some(found) if found < message => {
            let message = format!("found {found}, expected at least --max-message-size, {message}");
            Err(Error::invalid(message).at("--max-partial-size"))
        }
        Some(found) => Ok(found.as_u64() as usize),
    }
}

/// The most bytes of requests that have not arrived whole and of answers that were not read, unless
/// the command line says: 256 MiB.
/// Where that is more than a quarter of the memory that the process may use, it is that quarter.
const MAX_PARTIAL_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};

    const MACHINE: Machine = Machine { cores: 4, memory: 64 << 30 };

    fn config(line: &str) -> Result<Config> {
        config_on(&MACHINE, line)
    }

    fn config_on(machine: &Machine, line: &str) -> Result<Config> {
        let words = ["hyperfake", "server"].into_iter().chain(line.split_whitespace());
        match Cli::read(words.map(Into::into)).unwrap().command {
            Command::Server(args) => Config::new(*args, machine),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_those_of_the_machine_and_the_platform() {
        let config = config("").unwrap();
        assert_eq!(config.addresses().unwrap(), ["[::]:50051".parse().unwrap()]);
        assert_eq!(config.admin.listen, admin::Listen::Default);
        assert_eq!(config.models.folder, Some("./models".into()));
        assert_eq!(config.places.url.as_str(), "http://localhost:8999/");
        assert_eq!(config.worker.max_calls, None);
        assert_eq!((config.worker.cpus, config.worker.memory_bytes), (4, 64 << 30));
        assert_eq!(config.worker.listener_timeout, Duration::from_secs(20));
    }

    #[test]
    fn a_small_container_has_a_lower_limit_for_bytes_of_partial_requests() {
        let partial = |line, memory| {
            config_on(&Machine { memory, ..MACHINE }, line).unwrap().server.max_inflight_bytes
        };
        assert_eq!(partial("", 64 << 30), 256 << 20);
        assert_eq!(partial("", 512 << 20), 128 << 20);
        // One message of the largest size always has room.
        assert_eq!(partial("--max-message-size 1GiB", 512 << 20), 1 << 30);
        assert_eq!(partial("--max-partial-size 2GiB", 512 << 20), 2 << 30);
    }

    #[test]
    fn named_models_replace_the_default_folder() {
        assert_eq!(config("-m a.onnx").unwrap().models.folder, None);
        assert_eq!(config("-m a.onnx --models-dir b").unwrap().models.folder, Some("b".into()));
    }

    #[test]
    fn containerized_changes_the_default_address_of_the_function_store() {
        let url = |line| config(line).unwrap().places.url.to_string();
        assert_eq!(url("--containerized"), "http://database:8999/");
        assert_eq!(url("--containerized --database-address http://a:1"), "http://a:1/");
    }

    #[test]
    fn instances_of_a_container_are_at_ports_of_its_service() {
        let host = |line| config(line).unwrap().instances.advertise;
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(host(""), None);
        assert_eq!(host("--service-name a"), None);
        assert_eq!(host("--containerized"), name("worker"));
        assert_eq!(host("--containerized --service-name worker-a-1"), name("worker-a-1"));
        assert_eq!(host("--containerized --advertise-host 10.0.0.1"), name("10.0.0.1"));
        assert_eq!(host("--containerized --instance-addresses 127.1.0.0/16"), None);
    }

    #[test]
    fn no_more_threads_are_used_than_there_are_cores() {
        assert_eq!(config("--workers 100000").unwrap().server.threads, 4);
        assert_eq!(config("--workers 1").unwrap().server.threads, 1);
        assert_eq!(config("--max-rpcs 0").unwrap().worker.max_calls, None);
        assert_eq!(config("--max-rpcs 7").unwrap().worker.max_calls, Some(7));
    }

    #[test]
    fn an_invalid_value_is_refused_with_its_flag() {
        for (line, expected) in [
            ("--memory 0", "--memory: found 0, expected a size"),
            ("--database-address ftp://a", "unsupported scheme 'ftp'"),
            ("--database-address 8999", "--database-address: found '8999', expected a URL"),
            ("--max-message-size 0", "--max-message-size: found 0, expected a size"),
            ("--record a.txt", "--record: a.txt: expected a file that ends in .csv, .jsonl"),
            (
                "--record a.jsonl --record-format invitro",
                "--record: a.jsonl: expected a file that ends in .csv for",
            ),
            ("--tls-cert a", "--tls-cert: expected --tls-key as well, found none"),
            ("--tls-key a", "--tls-key: expected --tls-cert as well, found none"),
            ("--tls-client-ca a", "--tls-client-ca: expected --tls-cert and --tls-key as well"),
            ("-m a.onnx b//c", "--model: 'b//c' is not the name of an image"),
            (
                "--http off --metrics-address a:1",
                "--metrics-address: found a:1, but --http says off",
            ),
            ("--http off --admin", "--admin: found it with --http off"),
        ] {
            let error = config(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
        for (line, expected) in [
            ("--address nowhere", "--address: found 'nowhere', expected HOST:PORT"),
            ("--address :65534 --fleet 3", "--fleet: found 3 workers, but only 2 ports"),
            ("--fleet 3 --fleet-addresses 127.1.0.0/30", "--fleet-addresses: found 127.1.0.0/30,"),
        ] {
            let config = config(line).unwrap();
            let error = config.addresses().unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
