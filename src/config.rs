//! What the command line means: parsed once into types that cannot be wrong later.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use hyperfake_predictor::{Error, Limits, Result};
use ipnet::IpNet;
use reqwest::Url;

use crate::{
    args::{DatabaseType, EngineArgs, MAX_FLEET, ModelArgs, ServerArgs},
    backends,
    catalog::{Extrapolation, Source},
    machine,
    wire::{controller::fast_path::Messages, transport::threads::Settings},
    worker,
};

/// All that a worker needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to serve: an address for each worker.
    pub addresses: Vec<SocketAddr>,
    /// The time from the start of one worker to the next one's.
    pub stagger: Duration,
    /// What the server is held to.
    pub server: Settings,
    /// How the worker behaves.
    pub worker: worker::Config,
    /// The models.
    pub models: Models,
    /// What is done about inputs that a model was not trained on.
    pub extrapolation: Extrapolation,
    /// Where functions are looked up.
    pub database: Database,
    /// When sleeps end later than this, 1 in 100, the log warns.
    pub lateness_warn: Duration,
    /// Where the page of metrics is shown.
    pub metrics: Option<SocketAddr>,
    /// How long calls may go on after the signal to stop.
    pub shutdown_grace: Duration,
}

/// Which models there are, and who opens them.
#[derive(Debug, Clone)]
pub struct Models {
    /// Those that were named.
    pub named: Vec<Source>,
    /// The folder that is searched for more.
    pub folder: Option<PathBuf>,
    /// Whether a model that cannot be opened is left out.
    pub skip_bad: bool,
    /// Whether the folder offers plugins.
    pub allow_plugins: bool,
    /// Who opens them.
    pub backends: backends::Choice,
}

impl Models {
    /// Gives the command line its meaning.
    ///
    /// # Errors
    ///
    /// When an image's name makes no sense.
    pub fn new(args: ModelArgs) -> Result<Self> {
        let named = args
            .named
            .into_iter()
            .map(|(uri, image)| {
                let image = image.map(|image| image.parse()).transpose()?;
                Ok(Source { uri, image })
            })
            .collect::<Result<Vec<_>>>()
            .map_err(|error| error.at("--model"))?;
        let folder = match args.models_dir {
            None if named.is_empty() => Some("./models".into()),
            given => given,
        };
        Ok(Self {
            named,
            folder,
            skip_bad: args.skip_bad_models,
            allow_plugins: args.allow_plugins,
            backends: choice(&args.engine),
        })
    }
}

/// Who opens models.
#[must_use]
pub fn choice(args: &EngineArgs) -> backends::Choice {
    backends::Choice { onnx_engine: args.onnx_engine, ort_library: args.ort_lib.clone() }
}

/// Where functions are looked up.
#[derive(Debug, Clone)]
pub struct Database {
    /// Who answers.
    pub kind: DatabaseType,
    /// Where.
    pub url: Url,
}

impl Config {
    /// Gives the command line its meaning.
    ///
    /// # Errors
    ///
    /// When a value makes no sense; the error names its flag.
    pub fn new(args: ServerArgs) -> Result<Self> {
        let database_address = args.database_address.as_deref().unwrap_or(if args.containerized {
            "http://database:8999"
        } else {
            "http://localhost:8999"
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = machine::memory();
        let threads = args.workers.map_or(cores, |workers| cores.min(workers as usize));
        Ok(Self {
            addresses: addresses(
                socket_address(&args.address).map_err(|error| error.at("--address"))?,
                args.fleet,
                args.fleet_addresses,
            )?,
            stagger: args.fleet_stagger,
            server: Settings {
                threads,
                messages: Messages {
                    max_bytes: args.max_message_size.as_u64() as usize,
                    compress_answers: args.compress_answers,
                },
                max_partial_bytes: max_partial_bytes(&args, memory)?,
                max_streams: args.max_streams,
                max_connections: args.max_connections as usize,
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
                idle_timeout: args.idle_timeout,
                auto_remove: args.auto_remove,
                response: args.response,
                time_scale: args.time_scale,
                limits: Limits { max_runtime: args.max_runtime },
                feature_scope: args.feature_scope,
                event_buffer: args.update_buffer_size,
                listener_timeout: args.timeout,
            },
            models: Models::new(args.models)?,
            extrapolation: args.extrapolation,
            database: Database { kind: args.database_type, url: store_url(database_address)? },
            lateness_warn: args.lateness_warn,
            metrics: args
                .metrics_address
                .map(|address| {
                    socket_address(&address).map_err(|error| error.at("--metrics-address"))
                })
                .transpose()?,
            shutdown_grace: args.shutdown_grace,
        })
    }
}

/// The address of a function store.
///
/// # Errors
///
/// When it is not an `http://` URL with a host.
pub fn store_url(text: &str) -> Result<Url> {
    let invalid = |reason: String| {
        let message =
            format!("found '{text}', expected a URL such as http://localhost:8999{reason}");
        Error::invalid(message).at("--database-address")
    };
    let url: Url = text.parse().map_err(|error| invalid(format!(": {error}")))?;
    match (url.scheme(), url.host_str()) {
        ("http", Some(_)) => Ok(url),
        ("http", None) => Err(invalid(" with a host".into())),
        (other, _) => Err(invalid(format!(": unsupported scheme '{other}'"))),
    }
}

/// Where the workers of a fleet serve, which may be a fleet of one.
fn addresses(
    first: SocketAddr,
    workers: Option<u32>,
    range: Option<IpNet>,
) -> Result<Vec<SocketAddr>> {
    let Some(range) = range else {
        let workers = workers.unwrap_or(1);
        let ports = match first.port() {
            0 => 0..=0,
            port => port..=u16::MAX,
        };
        if first.port() > 0 && ports.len() < workers as usize {
            let message = format!(
                "found {workers} workers, but only {} ports from {} on; choose a lower port with \
                 --address, or other addresses with --fleet-addresses",
                ports.len(),
                first.port()
            );
            return Err(Error::invalid(message).at("--fleet"));
        }
        let ports = ports.cycle().take(workers as usize);
        return Ok(ports.map(|port| SocketAddr::new(first.ip(), port)).collect());
    };
    let most = workers.unwrap_or(MAX_FLEET + 1) as usize;
    let hosts = range.hosts().take(most).map(|host| SocketAddr::new(host, first.port()));
    let addresses: Vec<_> = hosts.collect();
    let problem = match workers {
        None if addresses.len() > MAX_FLEET as usize => {
            format!(
                "found {range}, which has more than {MAX_FLEET} addresses; say with --fleet how many are used"
            )
        }
        Some(workers) if addresses.len() < workers as usize => {
            format!(
                "found {range}, which has {} addresses, but --fleet asks for {workers}",
                addresses.len()
            )
        }
        _ => return Ok(addresses),
    };
    Err(Error::invalid(problem).at("--fleet-addresses"))
}

/// `host:port`, or `:port` for every address of this machine.
fn socket_address(text: &str) -> Result<SocketAddr> {
    let invalid = || Error::invalid(format!("found '{text}', expected HOST:PORT"));
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    let mut found = full.to_socket_addrs().map_err(|error| invalid().with_source(error))?;
    found.next().ok_or_else(invalid)
}

/// The most bytes of requests that have not arrived whole, of a process that may use this much
/// memory.
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

/// The most bytes of requests that have not arrived whole, unless the command line says: 1 GiB.
/// Where that is more than a quarter of the memory that the process may use, it is that quarter.
const MAX_PARTIAL_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};

    fn config(line: &str) -> Result<Config> {
        let words = ["hyperfake", "server"].into_iter().chain(line.split_whitespace());
        match Cli::read(words.map(Into::into)).unwrap().command {
            Command::Server(args) => Config::new(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_given_is_that_of_the_machine_and_the_platform() {
        let config = config("").unwrap();
        assert_eq!(config.addresses.len(), 1);
        assert_eq!(config.addresses[0].port(), 50051);
        assert!(config.addresses[0].ip().is_unspecified());
        assert_eq!(config.models.folder, Some("./models".into()));
        assert_eq!(config.database.url.as_str(), "http://localhost:8999/");
        assert_eq!(config.worker.max_calls, None);
        assert!(config.worker.memory_bytes > 1 << 20);
        assert_eq!(config.worker.listener_timeout, Duration::from_secs(20));
    }

    #[test]
    fn a_small_container_lets_fewer_bytes_of_requests_wait() {
        let partial = |line: &str, memory| {
            let words = ["hyperfake", "server"].into_iter().chain(line.split_whitespace());
            match Cli::read(words.map(Into::into)).unwrap().command {
                Command::Server(args) => max_partial_bytes(&args, memory).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(partial("", 64 << 30), 1 << 30);
        assert_eq!(partial("", 512 << 20), 128 << 20);
        // One message of the largest size always has room.
        assert_eq!(partial("--max-message-size 1GiB", 512 << 20), 1 << 30);
        assert_eq!(partial("--max-partial-size 2GiB", 512 << 20), 2 << 30);
    }

    #[test]
    fn named_models_take_the_place_of_the_default_folder() {
        assert_eq!(config("-m a.onnx").unwrap().models.folder, None);
        assert_eq!(config("-m a.onnx --models-dir b").unwrap().models.folder, Some("b".into()));
    }

    #[test]
    fn containerized_changes_the_default_address_of_the_registry() {
        let url = |line| config(line).unwrap().database.url.to_string();
        assert_eq!(url("--containerized"), "http://database:8999/");
        assert_eq!(url("--containerized --database-address http://a:1"), "http://a:1/");
    }

    #[test]
    fn no_more_threads_are_used_than_there_are_cores() {
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(config("--workers 100000").unwrap().server.threads, cores);
        assert_eq!(config("--workers 1").unwrap().server.threads, 1);
        assert_eq!(config("--max-rpcs 0").unwrap().worker.max_calls, None);
        assert_eq!(config("--max-rpcs 7").unwrap().worker.max_calls, Some(7));
    }

    #[test]
    fn a_fleet_has_consecutive_ports_or_the_addresses_of_a_range() {
        let addresses = |line| {
            let addresses = config(line).unwrap().addresses;
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        for (line, expected) in [
            ("--address 127.0.0.1:7 --fleet 3", "127.0.0.1:7 127.0.0.1:8 127.0.0.1:9"),
            ("--address [::1]:0 --fleet 2", "[::1]:0 [::1]:0"),
            ("--address :65534 --fleet 2", "[::]:65534 [::]:65535"),
            ("--address :7 --fleet-addresses 127.1.0.0/30", "127.1.0.1:7 127.1.0.2:7"),
            ("--address :7 --fleet 1 --fleet-addresses 127.1.0.0/22", "127.1.0.1:7"),
            ("--address :7 --fleet 2 --fleet-addresses fd00::/64", "[fd00::]:7 [fd00::1]:7"),
        ] {
            assert_eq!(addresses(line), expected, "{line}");
        }
        for (line, expected) in [
            ("--address :65534 --fleet 3", "--fleet: found 3 workers, but only 2 ports from 65534"),
            ("--fleet 3 --fleet-addresses 127.1.0.0/30", "which has 2 addresses, but --fleet asks"),
            ("--fleet-addresses 10.0.0.0/8", "--fleet-addresses: found 10.0.0.0/8, which has more"),
        ] {
            let error = config(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn an_address_that_makes_no_sense_is_refused_with_its_flag() {
        for (line, expected) in [
            ("--metrics-address 9", "--metrics-address: found '9', expected HOST:PORT"),
            ("--address nowhere", "--address: found 'nowhere', expected HOST:PORT"),
            ("--database-address https://a", "unsupported scheme 'https'"),
            ("--database-address 8999", "--database-address: found '8999', expected a URL"),
            ("--max-message-size 0", "--max-message-size: found 0, expected a size"),
            ("-m a.onnx b//c", "--model: 'b//c' is not the name of an image"),
        ] {
            let error = config(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert_eq!(config("--address :7").unwrap().addresses[0].to_string(), "[::]:7");
    }
}
