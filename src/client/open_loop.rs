use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyperfake_predictor::Result;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tonic::Code;

use super::{Arrival, Connection, Instance, Sample, connection::refused};

/// Sends calls at given moments, whether or not earlier ones were answered.
#[derive(Debug)]
pub struct Driver {
    /// The connections, which are used in turn; at least one.
    pub connections: Vec<Connection>,
    /// An instance of each function that is called.
    pub instances: Vec<Instance>,
    /// The data of each request.
    pub data: Bytes,
    /// The longest that each call may take.
    pub deadline: Duration,
}

/// A call that was sent and has ended. All moments are counted from the beginning of the run.
#[derive(Debug)]
pub struct Sent {
    /// Which function and when, as intended.
    pub intended: Arrival,
    /// When it was sent.
    pub at: Duration,
    /// When it ended.
    pub ended: Duration,
    /// What came of it: a sample, or the gRPC code that it ended with. The text of an error is not
    /// kept, because a server decides how long it is.
    pub outcome: Result<Sample, Code>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Since its beginning.
    pub elapsed: Duration,
    /// Calls that were sent.
    pub sent: usize,
    /// Calls that have ended.
    pub ended: usize,
}

impl Sent {
    /// The gRPC code that the call ended with.
    #[must_use]
    pub fn code(&self) -> Code {
        self.outcome.as_ref().map_or_else(|code| *code, |_| Code::Ok)
    }
}

impl Driver {
    /// Calls each function once on each connection, so that cold starts and connecting are over,
    /// and returns how long the calls of each function waited for its instance.
    ///
    /// # Errors
    ///
    /// When one of the calls fails.
    pub async fn warm_up(&self) -> Result<Vec<Duration>> {
        let mut waited = vec![Duration::ZERO; self.instances.len()];
        for connection in &self.connections {
            for (instance, waited) in self.instances.iter().zip(&mut waited) {
                let warmed =
                    connection.call(&instance.function, 0, self.data.clone(), self.deadline).await;
                *waited += warmed.map_err(|status| refused("a first call", &status))?.waited;
            }
        }
        Ok(waited)
    }

    /// Sends a call for each arrival, in their order, and waits until all have ended. Returns them
    /// in the order of their ends, and how long it took. `show` is told once a second how far it is.
    pub async fn run(
        &self,
        arrivals: impl IntoIterator<Item = Arrival>,
        mut show: impl FnMut(Progress),
    ) -> (Vec<Sent>, Duration) {
        let Some(first) = self.connections.first() else { return Default::default() };
        let clock = first.clock();
        let ended = Arc::new(Mutex::new(Vec::new()));
        let mut calls = JoinSet::new();
        let began = clock.now();
        let mut shown = Duration::ZERO;
        for (number, intended) in arrivals.into_iter().enumerate() {
            clock.sleep_until(began + intended.at).await;
            let elapsed = clock.now() - began;
            if elapsed >= shown + Duration::from_secs(1) {
                shown = elapsed;
                show(Progress { elapsed, sent: number, ended: ended.lock().len() });
            }
            let connection = self.connections[number % self.connections.len()].clone();
            let function = self.instances[intended.function].function.clone();
            let (data, deadline, ended) = (self.data.clone(), self.deadline, Arc::clone(&ended));
            calls.spawn(async move {
                let at = connection.clock().now() - began;
                let outcome = connection.call(&function, number as i64, data, deadline).await;
                let end = connection.clock().now() - began;
                let outcome = outcome.map_err(|status| status.code());
                ended.lock().push(Sent { intended, at, ended: end, outcome });
            });
            // Frees the tasks of calls that have ended.
            while calls.try_join_next().is_some() {}
        }
        while calls.join_next().await.is_some() {}
        let took = clock.now() - began;
        let ended = std::mem::take(&mut *ended.lock());
        (ended, took)
    }

    /// Stops the instances, all at once.
    pub async fn stop(&self) {
        let Some(connection) = self.connections.first() else { return };
        let mut stopping = JoinSet::new();
        for instance in &self.instances {
            let (connection, instance, deadline) =
                (connection.clone(), instance.clone(), self.deadline);
            stopping.spawn(async move { connection.stop(&instance, deadline).await });
        }
        stopping.join_all().await;
    }
}
