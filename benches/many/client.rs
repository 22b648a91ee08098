//! The client's side: in another process than the worker, so that its memory does not count.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use hyperfake_proto::{
    controller::{
        MetricsRequest,
        common::{CallRequest, FunctionId, InstanceId},
        controller_client::ControllerClient,
    },
    worker::{StartRequest, worker_client::WorkerClient},
};
use hyperfake_worker::functions::http::HttpStore;
use tokio::task::JoinSet;
use tonic::{
    Status,
    transport::{Channel, Endpoint, Error},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::worker::Worker;

/// What a call sends: about as much as a small JSON document.
const BODY: [u8; 64] = *b"{\"name\": \"a request of a usual size\", \"values\": [1, 2, 3, 4, 5]}";
/// How many calls wait for their connection before one has to wait for room among them.
const WAITING: usize = 1 << 18;
/// Starts at once on a connection.
const STARTS: usize = 64;
/// No start-up takes this long.
const STUCK: Duration = Duration::from_secs(30);

/// Waits until a worker answers that it serves, and says how long that took from its start.
pub async fn serving(worker: &mut Worker, address: SocketAddr) -> Duration {
    while !is_serving(address).await {
        worker.check();
        assert!(worker.executed.elapsed() < STUCK, "{address} does not serve");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    worker.executed.elapsed()
}

async fn is_serving(address: SocketAddr) -> bool {
    let Ok(channel) = connect(address).await else { return false };
    let request = HealthCheckRequest { service: "worker".into() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

async fn connect(address: SocketAddr) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.buffer_size(WAITING);
    endpoint.initial_connection_window_size(16 << 20).tcp_nodelay(true).connect().await
}

/// Connections to a worker, and a function that it can be told to start.
pub struct Client {
    connections: Vec<ControllerClient<Channel>>,
    /// The same connections, for the API of today.
    today: Vec<WorkerClient<Channel>>,
    function: String,
}

impl Client {
    /// Of a worker that serves: each connection has carried a request.
    pub async fn new(worker: &Worker, connections: usize, image: &str) -> Self {
        let registry = HttpStore::new(worker.registry.parse().unwrap()).unwrap();
        let function = registry.register(image).await.unwrap();
        let mut client = Self { connections: Vec::new(), today: Vec::new(), function };
        for _ in 0..connections {
            let connection = connect(worker.address).await.unwrap();
            client.today.push(WorkerClient::new(connection.clone()));
            client.connections.push(ControllerClient::new(connection));
            client.used_ram().await;
        }
        client
    }

    /// The share of the worker's simulated memory that its calls hold.
    pub async fn used_ram(&self) -> f64 {
        let mut connection = self.connections.last().unwrap().clone();
        let metrics = connection.metrics(MetricsRequest { node_id: "bench".into() }).await;
        metrics.unwrap().into_inner().used_ram_percent / 100.0
    }

    /// Starts so many instances.
    pub async fn start(&self, instances: usize) {
        let mut tasks = JoinSet::new();
        let starters = (self.connections.len() * STARTS).min(instances);
        let connections = self.connections.iter().cycle().take(starters);
        for (number, connection) in connections.enumerate() {
            let mut connection = connection.clone();
            let request = FunctionId { id: self.function.clone() };
            let share = instances / starters + usize::from(number < instances % starters);
            tasks.spawn(async move {
                for _ in 0..share {
                    connection.start(request.clone()).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    }

    /// Starts so many instances that have addresses of their own.
    pub async fn start_with_addresses(&self, instances: usize) {
        let mut tasks = JoinSet::new();
        let starters = (self.today.len() * STARTS).min(instances);
        let connections = self.today.iter().cycle().take(starters);
        for (number, connection) in connections.enumerate() {
            let mut connection = connection.clone();
            let request = StartRequest { function_id: self.function.clone() };
            let share = instances / starters + usize::from(number < instances % starters);
            tasks.spawn(async move {
                for _ in 0..share {
                    let started = connection.start(request.clone()).await.unwrap().into_inner();
                    assert!(!started.instance_internal_ip.is_empty());
                }
            });
        }
        tasks.join_all().await;
    }

    /// Makes so many calls, all at once, over the connections in turn. What is returned waits for
    /// their answers, and says how many there were of each error.
    pub fn call(&self, calls: usize) -> Answers {
        let mut tasks = JoinSet::new();
        for connection in self.connections.iter().cycle().take(calls) {
            tasks.spawn(call(connection.clone(), self.request()));
        }
        Answers(tasks)
    }

    fn request(&self) -> CallRequest {
        CallRequest {
            request_id: 1,
            // As a leaf does it: the function's id in both fields.
            instance_id: Some(InstanceId { id: self.function.clone() }),
            data: Bytes::from_static(&BODY),
            function_id: Some(FunctionId { id: self.function.clone() }),
        }
    }
}

async fn call(
    mut connection: ControllerClient<Channel>,
    request: CallRequest,
) -> Result<(), Status> {
    connection.call(request).await.map(drop)
}

/// Calls that are on their way.
pub struct Answers(JoinSet<Result<(), Status>>);

impl Answers {
    /// Waits for all of them, and returns how many failed. Says why the first one did.
    pub async fn failures(mut self) -> usize {
        let mut failures = 0;
        while let Some(answered) = self.0.join_next().await {
            if let Err(status) = answered.unwrap() {
                if failures == 0 {
                    eprintln!("a call failed: {status}");
                }
                failures += 1;
            }
        }
        failures
    }
}
