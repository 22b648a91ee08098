use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use hyperfake_proto::controller::{
    Event, MetricsRequest, MetricsUpdate, StatusRequest,
    common::{CallRequest, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use hyperfake_worker::clock::Clock;
use parking_lot::Mutex;
use tonic::{Code, Request, Status, transport::Channel};

use super::tally::{End, Tally};

type Client = ControllerClient<Channel>;

/// One worker, as its clients see it.
pub(crate) struct Worker {
    address: String,
    functions: Vec<String>,
    /// Connections that stay.
    clients: Vec<Client>,
    /// The instances that exist, as a listener that never goes away was told.
    live: Mutex<HashSet<String>>,
    clock: Clock,
    pub(crate) counts: Mutex<Counts>,
    /// Connections that no call uses at the moment, for calls of which it is noted how they end.
    idle: Mutex<Vec<Client>>,
    pub(crate) tally: Mutex<Tally>,
}

/// What was done so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    pub(crate) given_up: u64,
    pub(crate) starts: u64,
    pub(crate) stops: u64,
    pub(crate) listeners: u64,
    pub(crate) events: u64,
    /// What the worker refused or failed without a reason.
    pub(crate) errors: u64,
    /// Calls that a scenario let end otherwise than with an answer.
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.given_up += other.given_up;
        self.starts += other.starts;
        self.stops += other.stops;
        self.listeners += other.listeners;
        self.events += other.events;
        self.errors += other.errors;
        self.failed += other.failed;
    }
}

/// Connections that stay, for each worker.
const CONNECTIONS: usize = 2;
/// Names of listeners that come again and again.
const NODES: u32 = 8;
/// Calls that end with their connection.
const CUT_OFF: usize = 5;
/// The longest that a call takes of which it is noted how it ends.
const LONGEST_CALL: Duration = Duration::from_secs(5);
/// The longest body of a call, in bytes.
const LONGEST: usize = 4096;

impl Worker {
    pub(crate) async fn connect(address: &str, functions: &[String], clock: &Clock) -> Self {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(connect(address).await);
        }
        Self {
            address: address.to_owned(),
            functions: functions.to_vec(),
            clients,
            live: Mutex::default(),
            clock: clock.clone(),
            counts: Mutex::default(),
            idle: Mutex::default(),
            tally: Mutex::default(),
        }
    }

    pub(crate) async fn call(&self) {
        let function = fastrand::choice(&self.functions).unwrap();
        match call(self.client(), request(function)).await {
            Ok(()) => self.counts.lock().answered += 1,
            // Its last instance went down: there has to be another one.
            Err(status) if status.code() == Code::NotFound => self.start_one(function).await,
            Err(status) => self.complain("a call", &status),
        }
    }

    /// A call with a connection of its own, of which it is noted how it ended.
    pub(crate) async fn noted_call(&self) {
        let function = fastrand::choice(&self.functions).unwrap();
        let idle = self.idle.lock().pop();
        let client = match idle {
            Some(client) => client,
            None => connect(&self.address).await,
        };
        let mut request = request(function);
        // A call that hangs ends so.
        request.set_timeout(LONGEST_CALL);
        let ended = client.clone().call(request).await;
        let ended = End::of(ended.map(tonic::Response::into_inner));
        self.tally.lock().add(&self.address, function, ended);
        if ended == End::NoAnswer {
            drop(client);
        } else {
            self.idle.lock().push(client);
        }
        match ended {
            End::Code(Code::Ok) => self.counts.lock().answered += 1,
            // Its last instance went down: there has to be another one.
            End::Code(Code::NotFound) => self.start_one(function).await,
            _ => self.counts.lock().failed += 1,
        }
    }

    /// Closes the connections that no call uses.
    pub(crate) fn rest(&self) {
        self.idle.lock().clear();
    }

    /// A call that is cancelled after this time.
    pub(crate) async fn give_up(&self, after: Duration) {
        tokio::select! {
            () = self.call() => {}
            () = self.clock.sleep_until(self.clock.now() + after) => {
                self.counts.lock().given_up += 1;
            }
        }
    }

    /// A call that the worker has to give up by itself.
    pub(crate) async fn call_with_deadline(&self, deadline: Duration) {
        let mut request = request(fastrand::choice(&self.functions).unwrap());
        request.set_timeout(deadline);
        match call(self.client(), request).await {
            Ok(()) => self.counts.lock().answered += 1,
            Err(status) => match status.code() {
                Code::NotFound => {}
                Code::Cancelled | Code::DeadlineExceeded => self.counts.lock().given_up += 1,
                _ => self.complain("a call with a deadline", &status),
            },
        }
    }

    /// Some calls whose connection is closed after this time.
    pub(crate) async fn cut_off(&self, after: Duration) {
        let client = connect(&self.address).await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..CUT_OFF {
            let request = request(fastrand::choice(&self.functions).unwrap());
            calls.spawn(call(client.clone(), request));
        }
        self.clock.sleep_until(self.clock.now() + after).await;
        self.counts.lock().given_up += CUT_OFF as u64;
    }

    pub(crate) async fn start(&self) {
        self.start_one(fastrand::choice(&self.functions).unwrap()).await;
    }

    async fn start_one(&self, function: &str) {
        match self.client().start(FunctionId { id: function.to_owned() }).await {
            Ok(_) => self.counts.lock().starts += 1,
            // Another client stopped it meanwhile.
            Err(status) if status.message().contains("stopped before it was ready") => {}
            // As a scenario says.
            Err(status) if status.message().contains("failed to start") => {}
            Err(status) => self.complain("a start", &status),
        }
    }

    pub(crate) async fn stop(&self) {
        let live: Vec<_> = self.live.lock().iter().cloned().collect();
        let Some(instance) = fastrand::choice(live) else { return };
        match self.client().stop(InstanceId { id: instance }).await {
            Ok(_) => self.counts.lock().stops += 1,
            // Somebody else stopped it, or no call came.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => self.complain("a stop", &status),
        }
    }

    /// Listens for this long on a connection of its own, mostly under a name that was there
    /// before or that listens at this moment.
    pub(crate) async fn listen(&self, how_long: Duration) {
        let node_id = match fastrand::u32(..NODES + 1) {
            NODES => format!("guest-{}", fastrand::u64(..)),
            number => format!("node-{number}"),
        };
        let mut client = connect(&self.address).await;
        self.counts.lock().listeners += 1;
        let listening = async {
            let mut events = client.status(StatusRequest { node_id }).await?.into_inner();
            while events.message().await?.is_some() {
                self.counts.lock().events += 1;
            }
            Ok(())
        };
        let ended: Result<(), Status> = tokio::select! {
            ended = listening => ended,
            () = self.clock.sleep_until(self.clock.now() + how_long) => Ok(()),
        };
        if let Err(status) = ended {
            self.complain("listening", &status);
        }
    }

    pub(crate) fn live_instances(&self) -> usize {
        self.live.lock().len()
    }

    /// Is the listener that never goes away.
    pub(crate) async fn watch(&self) {
        let request = StatusRequest { node_id: "watch".into() };
        let mut events = self.client().status(request).await.unwrap().into_inner();
        while let Some(update) = events.message().await.unwrap() {
            let event = update.event();
            let instance = update.instance_id.unwrap_or_default().id;
            match event {
                Event::Start => _ = self.live.lock().insert(instance),
                Event::Stop | Event::Timeout | Event::Down => {
                    self.live.lock().remove(&instance);
                }
                Event::Running | Event::Call | Event::Response => {}
            }
        }
    }

    pub(crate) async fn used(&self) -> MetricsUpdate {
        self.client().metrics(MetricsRequest::default()).await.unwrap().into_inner()
    }

    fn client(&self) -> Client {
        fastrand::choice(&self.clients).unwrap().clone()
    }

    fn complain(&self, what: &str, status: &Status) {
        println!("{what} failed: {:?}: {}", status.code(), status.message());
        self.counts.lock().errors += 1;
    }
}

async fn connect(address: &str) -> Client {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.initial_connection_window_size(16 << 20).connect().await.unwrap();
    ControllerClient::new(channel)
}

fn request(function: &str) -> Request<CallRequest> {
    Request::new(CallRequest {
        data: Bytes::from(vec![b'x'; fastrand::usize(..LONGEST)]),
        instance_id: Some(InstanceId { id: function.to_owned() }),
        function_id: Some(FunctionId { id: function.to_owned() }),
        ..Default::default()
    })
}

async fn call(mut client: Client, request: Request<CallRequest>) -> Result<(), Status> {
    client.call(request).await.map(drop)
}
