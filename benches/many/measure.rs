//! One function for each thing that is measured, and one round at a time: each round has a worker
//! of its own, because a process does not give all memory back.

use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    client::{Client, serving},
    row::Row,
    worker::{Constant, Worker},
};

/// How much of everything.
#[derive(Debug)]
pub struct Sizes {
    pub rounds: usize,
    pub instances: usize,
    pub calls: usize,
    /// How long each of these calls runs: longer than it takes to send them all.
    pub runtime: Duration,
    pub burst: usize,
    pub fleet: usize,
}

impl Sizes {
    pub const FULL: Self = Self {
        rounds: 5,
        instances: 100_000,
        calls: 200_000,
        runtime: Duration::from_secs(30),
        burst: 20_000,
        fleet: 1000,
    };
    pub const QUICK: Self = Self {
        rounds: 1,
        instances: 20_000,
        calls: 20_000,
        runtime: Duration::from_secs(8),
        burst: 20_000,
        fleet: 100,
    };
}

/// After this time a worker has put away what it needed for its start or for many requests.
const SETTLED: Duration = Duration::from_secs(1);
const MB: f64 = 1e6;
const KIB: f64 = 1024.0;

/// A worker that has nothing to do: until it serves, and what it has in memory then.
pub async fn idle(sizes: &Sizes) -> Vec<Row> {
    let [mut ready, mut resident, mut anonymous, mut peak] = [const { Vec::new() }; 4];
    for _ in 0..sizes.rounds {
        let mut worker = Worker::with_sample_models("");
        let address = worker.address;
        ready.push(serving(&mut worker, address).await.as_secs_f64() * 1e3);
        sleep(SETTLED).await;
        let memory = worker.memory();
        resident.push(memory.resident / MB);
        anonymous.push(memory.anonymous / MB);
        peak.push(memory.peak / MB);
    }
    vec![
        Row::new("from exec to health SERVING, three sample models", "ms", ready).at_most(100.0),
        Row::new("idle worker, three sample models: resident", "MB", resident).at_most(20.0),
        Row::new("of it heap and stacks, the rest is the program's file", "MB", anonymous),
        Row::new("the most that was resident during its start", "MB", peak),
    ]
}

/// Many instances without calls.
pub async fn instances(sizes: &Sizes) -> Vec<Row> {
    let count = sizes.instances;
    let [mut each, mut time, mut addressed] = [const { Vec::new() }; 3];
    let model = Constant { runtime: Duration::ZERO, ram_bytes: 0 };
    for _ in 0..sizes.rounds {
        let mut worker = Worker::with(&model, "--cold-start 0s --idle-timeout 1h");
        let client = client(&mut worker, 4).await;
        client.start(1).await;
        let before = worker.memory().anonymous;
        let began = Instant::now();
        client.start(count).await;
        time.push(began.elapsed().as_secs_f64());
        sleep(SETTLED).await;
        each.push((worker.memory().anonymous - before) / count as f64 / KIB);
    }
    for _ in 0..sizes.rounds {
        let mut worker = Worker::with(&model, "--cold-start 0s");
        let client = client(&mut worker, 4).await;
        client.start_with_addresses(1).await;
        let before = worker.memory().anonymous;
        client.start_with_addresses(count).await;
        sleep(SETTLED).await;
        addressed.push((worker.memory().anonymous - before) / count as f64 / KIB);
    }
    let with_address = format!("an idle instance with an address of its own, of {count}");
    vec![
        Row::new(format!("an idle instance, of {count}"), "KiB", each).at_most(1.0),
        Row::new(with_address, "KiB", addressed).at_most(1.0),
        Row::new(format!("the time that {count} Starts took"), "s", time),
    ]
}

/// Many calls at once, on several connections.
pub async fn calls(sizes: &Sizes) -> Vec<Row> {
    const CONNECTIONS: usize = 16;
    const RAM_BYTES: u64 = 1_000_000;
    let count = sizes.calls;
    let [mut each, mut failed, mut time] = [const { Vec::new() }; 3];
    for _ in 0..sizes.rounds {
        let model = Constant { runtime: sizes.runtime, ram_bytes: RAM_BYTES };
        // All calls hold half of this memory.
        let memory = 2 * count as u64 * RAM_BYTES;
        // So many calls cannot all end at the same moment, and one client may not hold as much of requests that
        // have not arrived whole, unless it is allowed to.
        let options = "--cold-start 0s --idle-timeout 1h --max-rpcs 0 --lateness-warn 1m \
                       --max-partial-size 4GiB --memory";
        let mut worker = Worker::with(&model, &format!("{options} {memory}B"));
        let client = client(&mut worker, CONNECTIONS).await;
        client.start(1).await;
        let before = worker.memory().anonymous;
        let began = Instant::now();
        let answers = client.call(count);
        let all = |used: f64| (used * 2.0 * count as f64).round() as usize == count;
        while !all(client.used_ram().await) {
            assert!(began.elapsed() < sizes.runtime, "not all calls were in flight at once");
            sleep(Duration::from_millis(20)).await;
        }
        time.push(began.elapsed().as_secs_f64());
        each.push((worker.memory().anonymous - before) / count as f64 / KIB);
        failed.push(answers.failures().await as f64);
    }
    vec![
        Row::new(format!("a call in flight, of {count} at once"), "KiB", each).at_most(6.0),
        Row::new("of them not answered, or with an error", "calls", failed).at_most(0.0),
        Row::new("until all were in flight", "s", time),
    ]
}

/// Calls that take no time, fired at once on one connection.
pub async fn burst(sizes: &Sizes) -> Vec<Row> {
    let count = sizes.burst;
    let [mut failed, mut reconnected, mut time] = [const { Vec::new() }; 3];
    for _ in 0..sizes.rounds {
        let options = "--cold-start 0s --max-rpcs 0 --time-scale 0";
        let mut worker = Worker::with_sample_models(options);
        let address = worker.address;
        serving(&mut worker, address).await;
        let client = Client::new(&worker, 1, "hyperfaas-echo").await;
        client.start(1).await;
        let before = worker.connections();
        assert!(!before.is_empty(), "the client's connection is not listed");
        let began = Instant::now();
        failed.push(client.call(count).failures().await as f64);
        time.push(began.elapsed().as_secs_f64() * 1e3);
        // After a GOAWAY the client connects anew, from another port.
        reconnected.push(worker.connections().difference(&before).count() as f64);
    }
    let what = format!("{count} calls of no duration at once on one connection: errors");
    vec![
        Row::new(what, "calls", failed).at_most(0.0),
        Row::new("connections opened anew, as after a GOAWAY", "", reconnected).at_most(0.0),
        Row::new("until all were answered", "ms", time),
    ]
}

/// Many workers in one process, compared with a single one.
pub async fn fleet(sizes: &Sizes) -> Vec<Row> {
    let count = sizes.fleet;
    let [mut ready, mut each, mut descriptors] = [const { Vec::new() }; 3];
    for _ in 0..sizes.rounds {
        let (_, alone, _) = served_fleet(1).await;
        let (time, together, open) = served_fleet(count).await;
        ready.push(time.as_secs_f64());
        each.push((together - alone) / (count - 1) as f64 / KIB);
        descriptors.push(open as f64);
    }
    let what = format!("--fleet {count}: from exec until each was asked and says SERVING");
    vec![
        Row::new(what, "s", ready).at_most(2.0),
        Row::new("an additional idle worker, asked once", "KiB", each).at_most(64.0),
        Row::new("file descriptors of the whole fleet", "", descriptors),
    ]
}

/// Until each of a fleet serves, and its heap and stacks and file descriptors then.
async fn served_fleet(count: usize) -> (Duration, f64, usize) {
    let mut worker = Worker::with_sample_models(&format!("--fleet {count}"));
    let first = worker.address;
    for number in 0..count as u16 {
        serving(&mut worker, SocketAddr::new(first.ip(), first.port() + number)).await;
    }
    let time = worker.executed.elapsed();
    sleep(SETTLED).await;
    (time, worker.memory().anonymous, worker.descriptors())
}

/// Of a worker with a constant model, once it serves.
async fn client(worker: &mut Worker, connections: usize) -> Client {
    let address = worker.address;
    serving(worker, address).await;
    Client::new(worker, connections, "constant").await
}
