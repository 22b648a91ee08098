use std::{
    ffi::{OsStr, OsString},
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyperfake_predictor::{Error, Predictor, Result};
use tokio_util::sync::CancellationToken;

use super::{files::Files, workload::Workload};
use crate::{
    app::App,
    args::{Cli, Command},
    client::{Connection, Instance, Peer, Target},
    clock::{Clock, precise},
    commands::measure as measuring,
    config::Config,
    functions::http::HttpStore,
    machine::Machine,
    measure::{self, Measured, Plan, Protocol, Subject},
    record::{Row, RowReader},
    report::Progress,
};

/// A worker in this process that serves the model.
#[derive(Debug)]
pub(super) struct Fake {
    app: App,
    connection: Connection,
    target: Target,
    instances: Vec<Instance>,
    record: PathBuf,
}

/// The longest that a start or a stop may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;

impl Fake {
    /// Serves this model for this image, and starts so many instances.
    pub(super) async fn start(
        files: &Files,
        model: &Path,
        image: &str,
        instances: u32,
    ) -> Result<Self> {
        let record = files.worker();
        files.remove(&record)?;
        let words: [&OsStr; _] = [
            "hyperfake".as_ref(),
            "server".as_ref(),
            "--address".as_ref(),
            "127.0.0.1:0".as_ref(),
            "--database-type".as_ref(),
            "embedded".as_ref(),
            "--database-address".as_ref(),
            "http://127.0.0.1:0".as_ref(),
            "--scenario".as_ref(),
            files.scenario.as_ref(),
            "--record".as_ref(),
            record.as_ref(),
            "--model".as_ref(),
            model.as_ref(),
            image.as_ref(),
        ];
        let cli = Cli::read(words.map(OsString::from));
        let cli = cli.map_err(|error| Error::invalid(error.to_string()).at("--name"))?;
        let Command::Server(args) = cli.command else {
            return Err(Error::internal("the fake is no server"));
        };
        let app = App::start(Config::new(*args, &Machine::detect())?).await?;
        let store = HttpStore::new(app.registry_url().clone());
        let registered = match store {
            Ok(store) => store.register(image).await,
            Err(error) => Err(error),
        };
        let function = registered.map_err(|error| {
            Error::unavailable("cannot register the function").with_source(error)
        })?;
        let target = Target {
            peer: Peer::Worker,
            address: app.address().to_string(),
            tls: None,
            max_message_bytes: MAX_ANSWER,
            deadline: LIMIT,
        };
        let connection = Connection::open(&target, &precise::start()).await?;
        let mut started = Vec::new();
        for _ in 0..instances {
            started.push(connection.start(function.clone(), LIMIT).await?);
        }
        Ok(Self { app, connection, target, instances: started, record })
    }

    /// Its model.
    pub(super) fn model(&self, image: &str) -> Result<Arc<dyn Predictor>> {
        let model = self.app.worker().catalog().resolve(image)?;
        Ok(Arc::clone(&model.predictor))
    }

    /// Sends what was held back.
    pub(super) async fn replay(
        &self,
        plan: &Plan,
        workload: &Workload,
        clock: &Clock,
        stop: &CancellationToken,
    ) -> Result<Measured> {
        let function = self.instances.first().map(|instance| instance.function.clone());
        let plan = Plan {
            subject: Subject::Running(self.target.clone()),
            protocol: Protocol::Worker { function: function.unwrap_or_default() },
            warm_up: workload.warm_up(),
            // The worker itself has the limit.
            concurrency: None,
            ..plan.clone()
        };
        let phases = workload.held_back();
        let total: Duration = phases.iter().map(|phase| phase.length).sum();
        let shown = Progress::new("calling the fake, seconds", total.as_secs());
        let measured = measure::measure(plan, &phases, clock, stop, |progress| {
            measuring::show(&shown, progress)
        })
        .await;
        shown.finish();
        measured
    }

    /// Ends it, and reads what it recorded.
    pub(super) async fn stop(self) -> Result<Vec<Row<'static>>> {
        self.connection.stop_all(&self.instances, LIMIT).await;
        self.app.shut_down(pending()).await;
        let mut reader = RowReader::open(&self.record)?;
        let mut rows = Vec::new();
        while let Some(row) = reader.read()? {
            rows.push(row.into_owned());
        }
        Ok(rows)
    }
}
