//! What clients of both APIs see of a function that behaves as a scenario says.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use hyperfake_proto::{controller, worker::StatusUpdate};
use hyperfake_worker::clock::precise::now;
use tonic::{Code, Request, Status, Streaming, client::Grpc, transport::Channel};

use super::{MS, one_core, scenario};
use crate::{
    support::{TestWorker, code, eventually, request},
    today::{Leaf, METHOD, Raw, connect},
};

/// The platform's two APIs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Api {
    Of2025,
    Today,
}

const BOTH: [Api; 2] = [Api::Of2025, Api::Today];

/// A worker, and a client that speaks one of its APIs.
struct Rig {
    api: Api,
    worker: TestWorker,
    leaf: Leaf,
    function: String,
}

/// An instance as a client knows it.
#[derive(Clone)]
enum Started {
    Of2025,
    Today(Grpc<Channel>),
}

/// What a client is answered.
#[derive(Debug)]
struct Answer {
    /// The error in the answer.
    error: Option<String>,
}

impl Rig {
    async fn new(api: Api, text: &str, options: &str) -> Self {
        let worker = TestWorker::start(&[("image", &one_core(5 * MS))], options).await;
        worker.worker().set_scenario(scenario(text), now());
        let function = worker.register("image").await;
        let leaf = Leaf::of(&worker).await;
        Self { api, worker, leaf, function }
    }

    async fn started(api: Api, text: &str) -> (Self, Started) {
        let rig = Self::new(api, text, "").await;
        let started = rig.start().await.unwrap();
        (rig, started)
    }

    async fn start(&self) -> Result<Started, Status> {
        match self.api {
            Api::Of2025 => {
                self.worker.start_instance(&self.function).await.map(|_| Started::Of2025)
            }
            Api::Today => {
                Ok(Started::Today(connect(&self.leaf.start(&self.function).await?).await))
            }
        }
    }

    async fn call(&self, started: &Started) -> Result<Answer, Status> {
        self.call_with(started, &[], None).await
    }

    async fn call_with(
        &self,
        started: &Started,
        headers: &[(&'static str, &str)],
        timeout: Option<Duration>,
    ) -> Result<Answer, Status> {
        fn with<T>(
            message: T,
            headers: &[(&'static str, &str)],
            timeout: Option<Duration>,
        ) -> Request<T> {
            let mut request = Request::new(message);
            for (name, value) in headers {
                request.metadata_mut().insert(*name, value.parse().unwrap());
            }
            if let Some(timeout) = timeout {
                request.set_timeout(timeout);
            }
            request
        }
        match started {
            Started::Of2025 => {
                let request = request(&self.function, &self.function, b"");
                let mut client = self.worker.client.clone();
                let answer = client.call(with(request, headers, timeout)).await?.into_inner();
                Ok(Answer { error: answer.error.map(|error| error.message) })
            }
            Started::Today(client) => {
                let mut client = client.clone();
                client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
                let path = PathAndQuery::from_static(METHOD);
                client.unary(with(Bytes::new(), headers, timeout), path, Raw).await?;
                Ok(Answer { error: None })
            }
        }
    }

    /// Calls twice at once.
    async fn call_twice(&self, started: &Started) -> [Result<Answer, Status>; 2] {
        let (one, other) = tokio::join!(self.call(started), self.call(started));
        [one, other]
    }

    /// Waits for the next end of an instance, and returns the event and its status.
    async fn end(events: &mut Events) -> (String, String) {
        loop {
            let (event, status) = match events {
                Events::Of2025(events) => {
                    let update = events.message().await.unwrap().unwrap();
                    (format!("{:?}", update.event()), format!("{:?}", update.status()))
                }
                Events::Today(events) => {
                    let update = events.message().await.unwrap().unwrap();
                    (format!("{:?}", update.event()), format!("{:?}", update.status()))
                }
            };
            if ["Down", "Timeout", "Stop"].contains(&&*event) {
                return (event, status);
            }
        }
    }

    async fn listen(&self) -> Events {
        match self.api {
            Api::Of2025 => Events::Of2025(self.worker.listen("leaf").await),
            Api::Today => Events::Today(self.leaf.listen("leaf").await),
        }
    }
}

enum Events {
    Of2025(Streaming<controller::StatusUpdate>),
    Today(Streaming<StatusUpdate>),
}

/// The down event of an instance that failed.
fn down() -> (String, String) {
    ("Down".into(), "Failed".into())
}

#[tokio::test]
async fn calls_beyond_the_concurrency_wait_or_are_refused() {
    for api in BOTH {
        let text = "version: 1\ndefaults: {run_time: 300ms, concurrency: 1, queue: {depth: 1}}";
        let (rig, started) = Rig::started(api, text).await;
        let began = now();
        let (first, second, third) =
            tokio::join!(rig.call(&started), rig.call(&started), rig.call(&started));
        assert!(now() - began >= 600 * MS);
        let refused: Vec<_> = [first, second, third].into_iter().filter_map(Result::err).collect();
        let [refused] = &*refused else { panic!("{refused:?}") };
        assert_eq!(refused.code(), Code::ResourceExhausted, "{api:?}");
        assert!(refused.message().contains("queue of the instance"), "{refused}");

        let text = "version: 1\ndefaults: {run_time: 300ms, concurrency: 1, queue: {depth: 1, timeout: 20ms}}";
        let (rig, started) = Rig::started(api, text).await;
        let refused = rig.call_twice(&started).await.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{api:?}");

        let text = "version: 1\ndefaults: {run_time: 300ms, concurrency: 1, queue: {depth: 0}, \
                    overload_status: UNAVAILABLE}";
        let (rig, started) = Rig::started(api, text).await;
        let refused = rig.call_twice(&started).await.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.code(), Code::Unavailable, "{api:?}");
        rig.worker.is_idle().await;
    }
}

#[tokio::test]
async fn a_cpu_quota_and_a_time_limit_hold_for_each_call() {
    for api in BOTH {
        let text = "version: 1\ndefaults: {run_time: 120ms, cpu: {quota: 0.5, period: 100ms}}";
        let (rig, started) = Rig::started(api, text).await;
        let began = now();
        rig.call(&started).await.unwrap();
        assert!(now() - began >= 220 * MS, "{api:?}");

        let text = "version: 1\ndefaults: {run_time: 1h, timeout: 30ms}";
        let (rig, started) = Rig::started(api, text).await;
        let late = rig.call(&started).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{api:?}");
        assert!(late.message().contains("the call ran for 30ms"), "{late}");
    }
}

/// One call hangs and another one ends their instance.
async fn dies(api: Api, said: &str) {
    let text = "version: 1\nfaults: [{name: asked, header: x-fault}]";
    let (rig, started) = Rig::started(api, text).await;
    let mut events = rig.listen().await;
    let hangs = [("x-fault", "kill=hang")];
    let (hanging, dying) = tokio::join!(rig.call_with(&started, &hangs, None), async {
        eventually("one hangs", || rig.worker.worker().usage().ram_bytes > 0).await;
        rig.call_with(&started, &[("x-fault", said)], None).await
    });
    for ended in [hanging, dying] {
        let ended = ended.unwrap_err();
        assert_eq!(ended.code(), Code::Unavailable, "{api:?} {said}: {ended}");
    }
    assert_eq!(Rig::end(&mut events).await, down(), "{api:?} {said}");
    // What a leaf does then.
    let gone = rig.call(&started).await.unwrap_err();
    assert!([Code::NotFound, Code::Unavailable].contains(&gone.code()), "{gone}");
    let next = rig.start().await.unwrap();
    rig.call(&next).await.unwrap();
    rig.worker.is_idle().await;
}

#[tokio::test]
async fn after_a_crash_and_after_an_oom_the_next_call_is_served() {
    for api in BOTH {
        dies(api, "kill=crash").await;
        dies(api, "kill=oom").await;
    }
}

#[tokio::test]
async fn an_instance_that_grows_over_its_memory_dies_and_the_next_one_serves() {
    for api in BOTH {
        // One call of 1 MiB fits for half a second.
        let text =
            "version: 1\ndefaults: {run_time: 60s, memory: {limit: 1536KiB, growth: 1MiB/s}}";
        let (rig, started) = Rig::started(api, text).await;
        let mut events = rig.listen().await;
        let began = now();
        let died = rig.call(&started).await.unwrap_err();
        assert_eq!(died.code(), Code::Unavailable, "{api:?}");
        assert!(died.message().contains("ran out of memory"), "{died}");
        assert!(now() - began < Duration::from_secs(30));
        assert_eq!(Rig::end(&mut events).await, down());
        rig.worker.worker().set_scenario(scenario("version: 1"), now());
        let next = rig.start().await.unwrap();
        rig.call(&next).await.unwrap();
    }
}

#[tokio::test]
async fn faults_happen_to_calls_and_are_switched_while_the_worker_runs() {
    for api in BOTH {
        let text = "version: 1\nfaults: [{name: slow, delay: 200ms}]";
        let (rig, started) = Rig::started(api, text).await;
        let began = now();
        rig.call(&started).await.unwrap();
        assert!(now() - began >= 200 * MS, "{api:?}");

        let faults = scenario("version: 1\nfaults: [{name: flaky, status: OUT_OF_RANGE}]");
        rig.worker.worker().set_scenario(faults.clone(), now());
        let failed = rig.call(&started).await.unwrap_err();
        assert_eq!(failed.code(), Code::OutOfRange, "{api:?}");
        assert!(failed.message().contains("fault:flaky"), "{failed}");
        faults.faults()[0].set_on(false);
        rig.call(&started).await.unwrap();
        assert_eq!(faults.faults()[0].fired(), 1);

        let text = "version: 1\nfaults: [{name: bug, error: out of cheese}]";
        rig.worker.worker().set_scenario(scenario(text), now());
        let answered = rig.call(&started).await;
        match api {
            Api::Of2025 => assert_eq!(answered.unwrap().error.unwrap(), "out of cheese"),
            Api::Today => {
                let failed = answered.unwrap_err();
                assert_eq!((failed.code(), failed.message()), (Code::Unknown, "out of cheese"));
            }
        }

        let text = "version: 1\nfaults: [{name: stuck, kill: hang}]";
        rig.worker.worker().set_scenario(scenario(text), now());
        let late = rig.call_with(&started, &[], Some(50 * MS)).await;
        assert!(matches!(code(late), Code::DeadlineExceeded | Code::Cancelled), "{api:?}");
        rig.worker.is_idle().await;
    }
}

#[tokio::test]
async fn a_caller_asks_for_a_fault_by_a_header_that_the_scenario_names() {
    for api in BOTH {
        let text = "version: 1\nfaults: [{name: on demand, header: x-hyperfake-fault}]";
        let (rig, started) = Rig::started(api, text).await;
        let ask = async |value: &str| {
            rig.call_with(&started, &[("x-hyperfake-fault", value)], None).await
        };
        rig.call(&started).await.unwrap();
        assert_eq!(code(ask("status=14").await), Code::Unavailable);
        assert_eq!(code(ask("status=ABORTED").await), Code::Aborted);
        let began = now();
        ask("delay=100ms").await.unwrap();
        assert!(now() - began >= 100 * MS);
        let refused = ask("status=yes").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{api:?}");
        assert!(refused.message().contains("x-hyperfake-fault"), "{refused}");
        assert_eq!(code(ask("kill=crash").await), Code::Unavailable);
        // Without such a scenario the header means nothing.
        rig.worker.worker().set_scenario(scenario("version: 1"), now());
        let started = rig.start().await.unwrap();
        rig.call_with(&started, &[("x-hyperfake-fault", "status=14")], None).await.unwrap();
    }
}

#[tokio::test]
async fn a_start_fails_with_its_code_and_its_instance_is_reported_down() {
    for api in BOTH {
        let text = "version: 1\ndefaults: {cold_start: 50ms}\n\
                    faults: [{name: bad start, start: {fail: ABORTED}, at_most: 1}]";
        let rig = Rig::new(api, text, "").await;
        let mut events = rig.listen().await;
        let Err(failed) = rig.start().await else { panic!("it started") };
        assert_eq!(failed.code(), Code::Aborted, "{api:?}");
        assert_eq!(Rig::end(&mut events).await, down());
        let next = rig.start().await.unwrap();
        rig.call(&next).await.unwrap();
        eventually("one lives", || rig.worker.worker().usage().instances == 1).await;

        let text = "version: 1\ndefaults: {starts: {fail_percent: 100}}";
        let rig = Rig::new(api, text, "").await;
        let Err(failed) = rig.start().await else { panic!("it started") };
        assert_eq!(failed.code(), Code::Internal, "{api:?}");
    }
}

#[tokio::test]
async fn a_start_takes_the_time_that_is_drawn_and_what_a_fault_adds() {
    for api in BOTH {
        let text = "version: 1\ndefaults: {cold_start: 100ms}\n\
                    faults: [{name: slow start, start: {slow: 150ms}}]";
        let rig = Rig::new(api, text, "").await;
        let began = now();
        let started = rig.start().await.unwrap();
        assert!(now() - began >= 250 * MS, "{api:?}");
        rig.call(&started).await.unwrap();
    }
}

#[tokio::test]
async fn a_start_that_was_answered_before_it_fails_is_reported_down() {
    for api in BOTH {
        let text = "version: 1\ndefaults: {cold_start: 200ms, starts: {fail_percent: 100}}";
        let rig = Rig::new(api, text, "--start-answers created").await;
        let mut events = rig.listen().await;
        let started = rig.start().await.unwrap();
        let failed = rig.call(&started).await.unwrap_err();
        assert_eq!(failed.code(), Code::Internal, "{api:?}");
        assert!(failed.message().contains("failed to start"), "{failed}");
        assert_eq!(Rig::end(&mut events).await, down());
    }
}

#[tokio::test]
async fn a_dropped_connection_has_no_answer_and_the_next_one_serves() {
    for api in BOTH {
        let text = "version: 1\nfaults: [{name: asked, header: x-fault}]";
        let (rig, started) = Rig::started(api, text).await;
        let other = tokio::spawn({
            // On the same connection.
            let (client, function) = (rig.worker.client.clone(), rig.function.clone());
            async move {
                let mut request = Request::new(request(&function, &function, b""));
                request.metadata_mut().insert("x-fault", "kill=hang".parse().unwrap());
                client.clone().call(request).await
            }
        });
        eventually("one hangs", || rig.worker.worker().usage().ram_bytes > 0).await;
        let dropped = rig.call_with(&started, &[("x-fault", "drop=connection")], None).await;
        let dropped = dropped.unwrap_err();
        let lost = [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled];
        assert!(lost.contains(&dropped.code()), "{api:?}: {dropped}");
        assert!(
            !dropped.message().contains("the connection is closed"),
            "it was answered: {dropped}"
        );
        if api == Api::Of2025 {
            other.await.unwrap().unwrap_err();
        } else {
            other.abort();
        }
        // The client connects again.
        rig.call(&started).await.unwrap();
        rig.worker.is_idle().await;
    }
}

#[tokio::test]
async fn calls_that_share_cpus_take_longer() {
    for api in BOTH {
        let text = "version: 1\nworker: {contention: absolute}\ndefaults: {run_time: 100ms}";
        let (rig, started) = Rig::started(api, text).await;
        let rig = Arc::new(rig);
        let began = now();
        // Eight on four cores.
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (rig, started) = (Arc::clone(&rig), started.clone());
                tokio::spawn(async move { rig.call(&started).await })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert!(now() - began >= 180 * MS, "{api:?}");
    }
}
