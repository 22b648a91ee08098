use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyperfake_predictor::Result;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

use super::{Arrival, Connection, Load, Sent};
use crate::clock::{Clock, Moment};

/// One thread's part of a load: connections of its own, and the arrivals that are theirs.
pub(super) struct Driver {
    load: Arc<Load>,
    number: usize,
    connections: Vec<Connection>,
    clock: Clock,
}

/// How far a thread is.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicUsize,
    pub(super) ended: AtomicUsize,
}

/// The calls of a thread.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) calls: Vec<Sent>,
    /// The moment after the last one has ended.
    pub(super) end: Moment,
    /// Whether it was stopped before all were sent and had ended.
    pub(super) stopped: bool,
}

/// So many calls are sent at most before those that were sent, and answers, have their turn.
const AT_ONCE: usize = 64;
/// A run that is stopped goes on for as long at most.
const SHORT: Duration = Duration::from_millis(100);
/// When a run is stopped, calls that were sent have this long to end: less than service managers and containers wait
/// before they kill a program.
const GRACE: Duration = Duration::from_secs(2);

impl Driver {
    /// Opens the connections of the thread with this number.
    pub(super) async fn open(load: Arc<Load>, number: usize, clock: Clock) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in (number..load.connections).step_by(load.threads) {
            connections.push(Connection::open(&load.target, &clock).await?);
        }
        Ok(Self { load, number, connections, clock })
    }

    /// Calls each function once on each connection, if that was asked for, so that cold starts and
    /// connecting are over. Returns the longest that a call of each function waited for its instance.
    pub(super) async fn warm_up(&self) -> Result<Vec<Duration>> {
        let Load { requests, deadline, warm_up, .. } = &*self.load;
        let mut waited = vec![Duration::ZERO; requests.len()];
        if !warm_up {
            return Ok(waited);
        }
        for connection in &self.connections {
            for (request, waited) in requests.iter().zip(&mut waited) {
                let warmed = connection.call(request, 0, *deadline).await;
                let answer =
                    warmed.map_err(|status| connection.refused("a first call", &status))?;
                let trailers = answer.trailers.map(|trailers| trailers.cold_start);
                *waited = trailers.unwrap_or_default().max(*waited);
            }
        }
        Ok(waited)
    }

    /// Sends a call for each arrival that is this thread's, and waits until all have ended. When the run is
    /// stopped, calls that have not ended after two seconds are cancelled.
    pub(super) async fn run(&self, began: Moment, counters: &Arc<Counters>) -> Part {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        let mut stopped = false;
        for (count, (number, intended)) in self.arrivals().enumerate() {
            if self.stopped_before(began + intended.at).await {
                stopped = true;
                break;
            }
            if count % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let connection = self.connections[self.place(number).1].clone();
            let (load, clock) = (Arc::clone(&self.load), self.clock.clone());
            let (calls, counters, cut) = (Arc::clone(&calls), Arc::clone(counters), cut.clone());
            counters.sent.fetch_add(1, Ordering::Relaxed);
            tasks.spawn(async move {
                let request = &load.requests[intended.function];
                let sent = clock.now();
                let call = async {
                    match &load.starts {
                        None => connection.call(request, number as i64, load.deadline).await,
                        Some(starts) => {
                            let function = intended.function;
                            let call = (function, request, number as i64);
                            Box::pin(starts.call(&connection, call, load.deadline)).await
                        }
                    }
                };
                let outcome = cut.run_until_cancelled(call).await;
                let outcome =
                    outcome.unwrap_or_else(|| Err(Status::cancelled("the run was stopped")));
                let ended = clock.now();
                calls.lock().push(Sent::new(intended, [began, sent, ended], &outcome));
                counters.ended.fetch_add(1, Ordering::Relaxed);
            });
        }
        tasks.close();
        tokio::select! {
            biased;
            () = tasks.wait() => {}
            () = self.grace_after_stop() => {
                stopped = true;
                cut.cancel();
                tasks.wait().await;
            }
        }
        let calls = std::mem::take(&mut *calls.lock());
        Part { calls, end: self.clock.now(), stopped }
    }

    /// Sleeps until this moment; says whether the run was stopped. A short sleep is not interrupted.
    async fn stopped_before(&self, moment: Moment) -> bool {
        let sleep = self.clock.sleep_until(moment);
        if moment - self.clock.now() < SHORT {
            sleep.await;
            return self.load.stop.is_cancelled();
        }
        tokio::select! {
            () = self.load.stop.cancelled() => true,
            () = sleep => false,
        }
    }

    async fn grace_after_stop(&self) {
        self.load.stop.cancelled().await;
        self.clock.sleep_until(self.clock.now() + GRACE).await;
    }

    /// The arrivals that are this thread's, with their numbers.
    fn arrivals(&self) -> impl Iterator<Item = (usize, Arrival)> {
        let is_own = |number| self.place(number).0 == self.number;
        self.load.schedule.arrivals().enumerate().filter(move |(number, _)| is_own(*number))
    }

    fn place(&self, number: usize) -> (usize, usize) {
        place(number, self.load.connections, self.load.threads)
    }
}

/// The thread that sends the call with this number, and which of its connections it uses. Calls use all
/// connections in turn, and threads have connections in turn.
fn place(number: usize, connections: usize, threads: usize) -> (usize, usize) {
    let connection = number % connections;
    (connection % threads, connection / threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_use_all_connections_in_turn_and_each_connection_is_one_threads() {
        for (connections, threads) in [(1, 1), (4, 1), (4, 2), (5, 3), (7, 7)] {
            let places: Vec<_> =
                (0..connections).map(|one| place(one, connections, threads)).collect();
            let mut sorted = places.clone();
            sorted.sort_unstable();
            let owned = (0..threads).flat_map(|thread| {
                let of_thread = (thread..connections).step_by(threads).count();
                (0..of_thread).map(move |connection| (thread, connection))
            });
            assert_eq!(sorted, owned.collect::<Vec<_>>(), "{connections} on {threads}");
            let next = (connections..2 * connections).map(|one| place(one, connections, threads));
            assert_eq!(next.collect::<Vec<_>>(), places);
        }
    }
}
