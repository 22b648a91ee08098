//! The composition root: the one place that picks concrete types and puts them together.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use hyperfake_predictor::{Error, ErrorKind, Features, Limits, Result};
use reqwest::Url;
use tokio::task::JoinHandle;

use crate::{
    backends,
    catalog::{self, Catalog, Extrapolation, Model},
    cli::DatabaseType,
    clock::{Lateness, precise},
    config::{Config, Database, Models},
    duration::Scale,
    format,
    functions::{
        FunctionRegistry,
        embedded::{self, EmbeddedRegistry},
        http::HttpRegistry,
    },
    grpc::{server::Server, threads},
    worker::Worker,
};

/// A worker that serves.
#[derive(Debug)]
pub struct App {
    server: Server,
    worker: Arc<Worker>,
    address: SocketAddr,
    registry: Registry,
    config: Config,
    tidying: JoinHandle<()>,
}

impl App {
    /// Opens the models, finds or runs the function registry, and starts to serve.
    ///
    /// # Errors
    ///
    /// When a model cannot be opened, when there is none, or when an address cannot be had. Then
    /// nothing serves.
    pub async fn start(config: Config) -> Result<Self> {
        let catalog = open_models(&config.models, config.extrapolation)?;
        let listener = threads::bind(config.address).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("cannot serve on {}", config.address))
                .with_source(error)
                .at("--address")
        })?;
        let address = listener.local_addr().unwrap_or(config.address);
        let (lookup, registry) = function_registry(&config.database).await?;
        let worker = Arc::new(Worker::new(config.worker.clone(), catalog, lookup));
        let server = Server::start(Arc::clone(&worker), listener, &config.server).await.map_err(
            |error| Error::new(ErrorKind::Unavailable, "cannot start to serve").with_source(error),
        )?;
        let tidying = tokio::spawn(tidy(Arc::clone(&worker)));
        Ok(Self { server, worker, address, registry, config, tidying })
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where functions are registered.
    #[must_use]
    pub fn registry_url(&self) -> &Url {
        &self.registry.url
    }

    /// The worker itself.
    #[must_use]
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// What was loaded and what serves where, for the person who started it.
    #[must_use]
    pub fn summary(&self) -> String {
        let worker = self.worker.config();
        let cold_start = worker.cold_start.unwrap_or(worker.runtime.cold_start());
        format!(
            "{}\nserving on {}, with {}\nsimulating {} and {}, runtime {}, cold start {}{}\n{}",
            table(self.worker.catalog().models(), &worker.limits),
            self.address,
            format::count(self.config.server.threads, "thread"),
            format::count(worker.cpus, "CPU"),
            format::bytes(worker.memory_bytes as f64),
            worker.runtime,
            format::duration(cold_start),
            match worker.time_scale {
                Scale::ONE => String::new(),
                scale => format!(", time scale {scale}"),
            },
            match self.registry.here {
                true => format!("functions are registered here, at {}", self.registry.url),
                false => format!("functions are looked up at {}", self.registry.url),
            },
        )
    }

    /// Stops accepting, lets the calls end within the grace period or until `hurry` ends, and
    /// returns how late the calls' sleeps ended.
    pub async fn shut_down(self, hurry: impl Future<Output = ()>) -> Lateness {
        self.tidying.abort();
        self.server.shut_down(self.config.shutdown_grace, hurry).await
    }
}

/// Opens every model that was named or that the folder offers.
///
/// # Errors
///
/// When one cannot be opened, unless it may be left out, and when there is none.
pub fn open_models(models: &Models, extrapolation: Extrapolation) -> Result<Catalog> {
    let backends = backends::all(&models.backends);
    let mut offered = backends.extensions();
    if !models.allow_plugins {
        offered.retain(|extension| !backends::PLUGIN_EXTENSIONS.contains(extension));
    }
    let mut sources = models.named.clone();
    if let Some(folder) = &models.folder {
        let found = catalog::search(folder, &offered);
        sources.extend(found.map_err(|error| error.at("--models-dir"))?);
    }
    let mut catalog = Catalog::new(extrapolation);
    for source in &sources {
        match catalog.add(source, &backends) {
            Err(error) if models.skip_bad && error.kind() != ErrorKind::Conflict => {
                tracing::warn!(%error, "left out a model")
            }
            added => added?,
        }
    }
    if catalog.models().is_empty() {
        let known: Vec<_> = offered.iter().map(|known| format!(".{known}")).collect();
        let message = format!(
            "found no model to serve; name one with -m, or a folder that has some ({}) with \
             --models-dir",
            known.join(", ")
        );
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    Ok(catalog)
}

/// How often the worker says what it could not say yet.
const TIDY: Duration = Duration::from_secs(5);

async fn tidy(worker: Arc<Worker>) {
    let clock = precise::start();
    loop {
        clock.sleep_until(clock.now() + TIDY).await;
        worker.tidy(clock.now());
    }
}

/// Where functions are registered.
#[derive(Debug)]
struct Registry {
    url: Url,
    /// Whether this process is the registry.
    here: bool,
}

async fn function_registry(database: &Database) -> Result<(Arc<dyn FunctionRegistry>, Registry)> {
    let url = database.url.as_str();
    let unavailable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(ErrorKind::Unavailable, "no function registry")
            .with_source(error)
            .at(format!("--database-address {url}"))
    };
    let client =
        HttpRegistry::new(database.url.clone()).map_err(|error| unavailable(error.into()))?;
    let asked = || Registry { url: database.url.clone(), here: false };
    let embed = match database.kind {
        DatabaseType::Http => false,
        DatabaseType::Embedded => true,
        DatabaseType::Auto => !client.answers().await,
    };
    if !embed {
        return Ok((Arc::new(client), asked()));
    }
    let host = database.url.host_str().unwrap_or("localhost");
    match embedded::bind(host, database.url.port_or_known_default().unwrap_or(80)).await {
        Ok(listeners) => {
            let mut url = database.url.clone();
            if let Some(bound) = listeners.first().and_then(|first| first.local_addr().ok()) {
                // The one that was asked for, unless any would do.
                let _ = url.set_port(Some(bound.port()));
            }
            let registry = EmbeddedRegistry::default();
            registry.serve(listeners);
            Ok((Arc::new(registry), Registry { url, here: true }))
        }
        // Another worker was faster to be the registry.
        Err(error)
            if database.kind == DatabaseType::Auto
                && error.kind() == io::ErrorKind::AddrInUse
                && client.answers().await =>
        {
            Ok((Arc::new(client), asked()))
        }
        // The address is another machine's, which may come up later.
        Err(error)
            if database.kind == DatabaseType::Auto && error.kind() != io::ErrorKind::AddrInUse =>
        {
            tracing::warn!("no function registry answers at {url} yet");
            Ok((Arc::new(client), asked()))
        }
        Err(error) => Err(unavailable(error.into())),
    }
}

/// One line for each model: where it came from, and what it predicts for an idle worker.
#[must_use]
pub fn table(models: &[Arc<Model>], limits: &Limits) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "image",
        "file",
        "backend",
        "units in the file",
        "a call to an idle instance",
    ]);
    for model in models {
        let info = model.predictor.info();
        let sample = model
            .predictor
            .session()
            .and_then(|mut session| session.predict(&Features::IDLE))
            .map(|raw| format::prediction(&limits.check(raw).prediction))
            .unwrap_or_else(|error| error.to_string());
        table.add_row([
            model.image.to_string(),
            info.path.display().to_string(),
            info.backend.to_owned(),
            info.units.to_string(),
            sample,
        ]);
    }
    table
}
