use std::{ops::Range, sync::Arc, time::Duration};

use hyperfake_worker::{clock::Clock, functions::http::HttpStore};
use tokio::task::{JoinHandle, JoinSet};

use super::{
    clients::{Counts, Worker},
    program::{FORGET, Program},
    tally::Tally,
};

const IMAGES: [&str; 3] = ["hyperfaas-echo", "hyperfaas-thumbnailer-json", "hyperfaas-bfs-json"];

/// The longest that anything may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients do to the workers all day.
pub(crate) struct Churn {
    workers: Vec<Arc<Worker>>,
    watches: Vec<JoinHandle<()>>,
    /// The time from one deed to the next.
    interval: Duration,
    clock: Clock,
    deeds: JoinSet<()>,
    done: usize,
    /// Whether it is noted how each call ended.
    is_noted: bool,
}

impl Churn {
    pub(crate) async fn start(program: &Program, rate: f64, clock: &Clock) -> Self {
        let registry = HttpStore::new(program.database.parse().unwrap()).unwrap();
        let mut functions = Vec::new();
        for image in IMAGES {
            functions.push(registry.register(image).await.unwrap());
        }
        let (mut workers, mut watches) = (Vec::new(), Vec::new());
        for address in &program.addresses {
            let worker = Arc::new(Worker::connect(address, &functions, clock).await);
            let watching = Arc::clone(&worker);
            watches.push(tokio::spawn(async move { watching.watch().await }));
            workers.push(worker);
        }
        let interval = Duration::from_secs_f64(1.0 / rate);
        Self {
            workers,
            watches,
            interval,
            clock: clock.clone(),
            deeds: JoinSet::new(),
            done: 0,
            is_noted: program.record.is_some(),
        }
    }

    /// Does everything that clients do, for this long.
    pub(crate) async fn go_on(&mut self, how_long: Duration) {
        let began = self.clock.now();
        let mut next = began;
        while next < began + how_long {
            self.clock.sleep_until(next).await;
            next += self.interval;
            let worker = Arc::clone(&self.workers[self.done % self.workers.len()]);
            self.done += 1;
            let is_noted = self.is_noted;
            self.deeds.spawn(async move {
                match fastrand::u32(..100) {
                    0..91 if is_noted => worker.noted_call().await,
                    0..80 => worker.call().await,
                    80..87 => worker.give_up(random(Duration::ZERO..FORGET / 10)).await,
                    87..90 => worker.call_with_deadline(random(FORGET / 500..FORGET / 25)).await,
                    90..91 => worker.cut_off(random(Duration::ZERO..FORGET / 10)).await,
                    91..95 => worker.start().await,
                    95..98 => worker.stop().await,
                    _ => worker.listen(random(Duration::ZERO..FORGET * 2)).await,
                }
            });
            while let Some(deed) = self.deeds.try_join_next() {
                deed.unwrap();
            }
        }
    }

    /// Waits until all of it has ended: the calls, the instances, and the listeners' time to
    /// return. What does not end stays in the sample that follows.
    pub(crate) async fn settle(&mut self) {
        let ended = async {
            while let Some(deed) = self.deeds.join_next().await {
                deed.unwrap();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, ended).await;
        assert!(waited.is_ok(), "something that was begun does not end");
        let give_up = self.clock.now() + PATIENCE;
        while self.live_instances() > 0 && self.clock.now() < give_up {
            self.clock.sleep_until(self.clock.now() + FORGET / 10).await;
        }
        self.clock.sleep_until(self.clock.now() + FORGET * 3 / 2).await;
        self.workers.iter().for_each(|worker| worker.rest());
        for (worker, watch) in self.workers.iter().zip(&self.watches) {
            assert!(!watch.is_finished(), "a listener was sent away");
            // A listener that comes makes the worker forget those that are gone.
            worker.listen(Duration::ZERO).await;
        }
    }

    pub(crate) fn live_instances(&self) -> usize {
        self.workers.iter().map(|worker| worker.live_instances()).sum()
    }

    /// The shares of RAM and of CPU that are used, in percent, over all workers.
    pub(crate) async fn used(&self) -> (f64, f64) {
        let (mut ram, mut cpu) = (0.0, 0.0);
        for worker in &self.workers {
            let used = worker.used().await;
            ram += used.used_ram_percent;
            cpu += used.cpu_percent_percpu.iter().sum::<f64>();
        }
        (ram, cpu)
    }

    /// Stops to listen, before the workers end.
    pub(crate) fn look_away(&self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }

    /// How the calls ended that were noted.
    pub(crate) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.workers.iter().for_each(|worker| all.add_all(&worker.tally.lock()));
        all
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut all = Counts::default();
        self.workers.iter().for_each(|worker| all.add(&worker.counts.lock()));
        all
    }
}

fn random(range: Range<Duration>) -> Duration {
    range.start + (range.end - range.start).mul_f64(fastrand::f64())
}
