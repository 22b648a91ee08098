//! How the running calls share the worker's CPU: egalitarian processor sharing.
//!
//! While the calls hold `L` cores of `N`, each of them advances at `1 / s(L)` of its speed. One virtual
//! clock shows how far a call has come that has been there from the beginning; a call ends when that
//! clock has gone on by its work. So a change of `L` changes nothing that is kept for each call: calls
//! are ordered by the virtual time at which they end, only the first of them has an alarm, and a call that
//! changes `L` wakes that one. A change costs O(log n) for n calls.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    clock::{Clock, Moment, Sleep},
    scenario::Contention,
};

/// The CPU of a worker.
#[derive(Debug)]
pub(super) struct Cpu {
    /// How calls that begin now share it; changes with the scenario.
    contention: AtomicU8,
    /// Taken when a call begins to share, when it ends, and when the first one has to look again.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `N`.
    cores: f64,
    /// How much slower calls are when all cores are used than when they are alone, as a share.
    interference: f64,
    /// `L`, in millionths of a core, so that it comes back to exactly zero.
    load: u64,
    /// The virtual clock, in nanoseconds. It begins anew when no call is there, so that it stays exact.
    virtual_now: f64,
    /// When it showed that.
    at: Moment,
    /// The calls by their ends, and who waits for each.
    calls: BTreeMap<Key, Waker>,
    /// Tells apart calls that end at the same time.
    next_number: u64,
}

/// The virtual time at which a call ends, as bits, which are ordered as the times are; and its number.
type Key = (u64, u64);

/// A call that has work left. Dropping it takes the call out.
#[derive(Debug)]
pub(super) struct Share<'a> {
    cpu: &'a Cpu,
    clock: &'a Clock,
    key: Key,
    load: u64,
    /// While it is the first one.
    alarm: Option<(Moment, Sleep)>,
}

/// What a call is to do.
enum Next {
    End,
    /// Others end before it.
    Wait,
    /// It is the first one, and ends then if nothing changes.
    Look(Moment),
}

impl Cpu {
    /// A CPU of this many cores, which no call shares.
    pub(super) fn new(cores: f64) -> Self {
        let state = State {
            cores,
            interference: 0.0,
            load: 0,
            virtual_now: 0.0,
            at: Moment::default(),
            calls: BTreeMap::new(),
            next_number: 0,
        };
        Self { contention: AtomicU8::new(0), state: Mutex::new(state) }
    }

    /// From now on, calls that begin share it like this, and all that share it disturb each other this
    /// much.
    pub(super) fn set(&self, contention: Contention, interference: f64, now: Moment) {
        let number = match contention {
            Contention::None => 0,
            Contention::Relative => 1,
            Contention::Absolute => 2,
        };
        self.contention.store(number, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.advance(now);
        state.interference = interference;
        state.wake_first();
    }

    pub(super) fn contention(&self) -> Contention {
        match self.contention.load(Ordering::Relaxed) {
            0 => Contention::None,
            1 => Contention::Relative,
            _ => Contention::Absolute,
        }
    }

    /// A call that began at this moment and would run for this time on so many cores if it had them:
    /// alone in `Absolute` contention, beside the calls that run now in `Relative` contention, which is
    /// what a model means that was told of them.
    pub(super) fn share<'a>(
        &'a self,
        clock: &'a Clock,
        contention: Contention,
        began: Moment,
        run_time: Duration,
        cores: f64,
    ) -> Share<'a> {
        let load = (cores * 1e6 + 0.5) as u64; // rounded
        let mut state = self.state.lock();
        let now = clock.now();
        state.advance(now);
        let before = state.slow_down();
        state.load += load;
        let slow_down = state.slow_down();
        let mut work = nanoseconds(run_time);
        if contention == Contention::Relative {
            work /= slow_down;
        }
        // What the worker itself took since the call began is a part of its time.
        let done = nanoseconds(now - began) / slow_down;
        let end = state.virtual_now + (work - done).max(0.0);
        let key = (end.to_bits(), state.next_number);
        state.next_number += 1;
        if slow_down != before {
            state.wake_first();
        }
        state.calls.insert(key, Waker::noop().clone());
        drop(state);
        Share { cpu: self, clock, key, load, alarm: None }
    }

    /// The calls that share it.
    #[cfg(test)]
    fn calls(&self) -> usize {
        self.state.lock().calls.len()
    }
}

impl State {
    /// `s(L)`: by how much calls are slowed down. It grows with `L` and has no step.
    fn slow_down(&self) -> f64 {
        let used = self.load as f64 / 1e6 / self.cores;
        used.max(1.0) * (1.0 + self.interference * used.min(1.0))
    }

    fn advance(&mut self, now: Moment) {
        if self.calls.is_empty() {
            self.virtual_now = 0.0;
        } else {
            // Threads read the time before they have the lock.
            self.virtual_now += nanoseconds(now - self.at) / self.slow_down();
        }
        self.at = self.at.max(now);
    }

    fn wake_first(&self) {
        if let Some((_, waker)) = self.calls.first_key_value() {
            waker.wake_by_ref();
        }
    }

    fn next(&mut self, key: Key, now: Moment, waker: &Waker) -> Next {
        self.advance(now);
        let left = (f64::from_bits(key.0) - self.virtual_now) * self.slow_down();
        // The end is the nanosecond that is nearest to it.
        if left < 0.5 {
            return Next::End;
        }
        if let Some(known) = self.calls.get_mut(&key) {
            known.clone_from(waker);
        }
        match self.calls.first_key_value() {
            Some((first, _)) if *first == key => {
                Next::Look(now + Duration::from_nanos(left.round() as u64))
            }
            _ => Next::Wait,
        }
    }
}

impl Future for Share<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let me = &mut *self;
        loop {
            let next = me.cpu.state.lock().next(me.key, me.clock.now(), context.waker());
            match next {
                Next::End => {
                    // Its alarm has rung, and counts how late that was.
                    if let Some((_, alarm)) = &mut me.alarm {
                        _ = Pin::new(alarm).poll(context);
                    }
                    return Poll::Ready(());
                }
                Next::Wait => {
                    me.alarm = None;
                    return Poll::Pending;
                }
                Next::Look(at) => {
                    let alarm = me.alarm.take().filter(|(moment, _)| *moment == at);
                    let (_, alarm) =
                        me.alarm.insert(alarm.unwrap_or_else(|| (at, me.clock.sleep_until(at))));
                    ready!(Pin::new(alarm).poll(context));
                }
            }
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut state = self.cpu.state.lock();
        state.advance(self.clock.now());
        let before = state.slow_down();
        let was_first = state.calls.first_key_value().is_some_and(|(first, _)| *first == self.key);
        state.calls.remove(&self.key);
        state.load -= self.load;
        if was_first || state.slow_down() != before {
            state.wake_first();
        }
    }
}

/// Exact for three months.
fn nanoseconds(time: Duration) -> f64 {
    time.as_secs() as f64 * 1e9 + f64::from(time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::virtual_time;

    const MS: Duration = Duration::from_millis(1);

    /// Runs calls (when each begins, its run time and its cores) on two cores, and returns how long each
    /// took.
    fn run(contention: Contention, interference: f64, calls: &[(u64, u64, f64)]) -> Vec<Duration> {
        let calls = calls.to_vec();
        virtual_time::run(async move |clock| {
            let cpu = Arc::new(Cpu::new(2.0));
            cpu.set(contention, interference, clock.now());
            let tasks: Vec<_> = calls
                .into_iter()
                .map(|(begins, run_time, cores)| {
                    let (cpu, clock) = (Arc::clone(&cpu), clock.clone());
                    tokio::spawn(async move {
                        let began = Moment::from_nanos(begins);
                        clock.sleep_until(began).await;
                        let run_time = Duration::from_nanos(run_time);
                        cpu.share(&clock, contention, began, run_time, cores).await;
                        clock.now() - began
                    })
                })
                .collect();
            let mut took = Vec::new();
            for task in tasks {
                took.push(task.await.unwrap());
            }
            assert_eq!((cpu.calls(), cpu.state.lock().load), (0, 0));
            took
        })
    }

    const TEN: u64 = 10_000_000;

    #[test]
    fn calls_within_the_cores_take_their_time_and_more_of_them_share() {
        let absolute = |calls: &[_]| run(Contention::Absolute, 0.0, calls);
        assert_eq!(absolute(&[(0, TEN, 1.0), (0, TEN, 1.0)]), [10 * MS; 2]);
        assert_eq!(absolute(&[(0, TEN, 1.0); 4]), [20 * MS; 4]);
        // Two alone for 5 ms, four until two have done their 10 ms, then the others for 5 ms more.
        let late = TEN / 2;
        let took = absolute(&[(0, TEN, 1.0), (0, TEN, 1.0), (late, TEN, 1.0), (late, TEN, 1.0)]);
        assert_eq!(took, [15 * MS, 15 * MS, 15 * MS, 15 * MS]);
        // One that uses no CPU waits as long as the others do.
        assert_eq!(absolute(&[(0, TEN, 4.0), (0, TEN, 0.0)]), [20 * MS; 2]);
    }

    #[test]
    fn how_late_an_end_is_counts_as_of_any_other_sleep() {
        virtual_time::run(async move |clock| {
            let cpu = Cpu::new(2.0);
            for calls in 1..=3 {
                cpu.share(&clock, Contention::Absolute, clock.now(), 10 * MS, 1.0).await;
                assert_eq!(clock.lateness().count(), calls);
            }
        });
    }

    #[test]
    fn a_model_that_knew_the_load_is_right_until_the_load_changes() {
        let relative = |calls: &[_]| run(Contention::Relative, 0.0, calls);
        assert_eq!(relative(&[(0, TEN, 8.0)]), [10 * MS]);
        // The second says 10 ms beside the first one; the first said 10 ms alone.
        let took = relative(&[(0, TEN, 2.0), (0, TEN, 2.0)]);
        assert_eq!(took, [15 * MS, 10 * MS]);
    }

    #[test]
    fn interference_slows_down_below_the_cores_without_a_step() {
        let alone = run(Contention::Absolute, 0.5, &[(0, TEN, 1.0)]);
        assert_eq!(alone, [12 * MS + MS / 2]);
        assert_eq!(run(Contention::Absolute, 0.5, &[(0, TEN, 2.0)]), [15 * MS]);
        assert_eq!(run(Contention::Absolute, 0.5, &[(0, TEN, 4.0)]), [30 * MS]);
    }

    /// The same by small steps.
    fn simulated(calls: &[(u64, u64, f64)]) -> Vec<f64> {
        let mut left: Vec<_> = calls.iter().map(|(_, run_time, _)| *run_time as f64).collect();
        let mut ends = vec![0.0; calls.len()];
        let step = 10_000.0;
        let mut now = 0.0;
        while left.iter().any(|left| *left > 0.0) {
            let runs = |at: usize| calls[at].0 as f64 <= now;
            let running: Vec<_> =
                (0..calls.len()).filter(|at| runs(*at) && left[*at] > 0.0).collect();
            let load: f64 = running.iter().map(|at| calls[*at].2).sum();
            now += step;
            for at in running {
                left[at] -= step / (load / 2.0).max(1.0);
                ends[at] = now - calls[at].0 as f64;
            }
        }
        ends
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn the_virtual_clock_gives_what_small_steps_give(
            calls in prop::collection::vec((0..20u64, 1..20u64, 0..40u32), 1..12),
        ) {
            let calls: Vec<_> = calls
                .into_iter()
                .map(|(begins, time, cores)| {
                    (begins * 1_000_000, time * 1_000_000, f64::from(cores) / 10.0)
                })
                .collect();
            let took = run(Contention::Absolute, 0.0, &calls);
            for (took, expected) in took.iter().zip(simulated(&calls)) {
                let took = took.as_nanos() as f64;
                prop_assert!((took - expected).abs() < 500_000.0, "{took} {expected} {calls:?}");
            }
        }

        #[test]
        fn calls_that_are_cancelled_leave_nothing_behind(
            calls in prop::collection::vec((0..20u64, 1..20u64, 0..40u32, 0..40u64), 1..12),
        ) {
            virtual_time::run(async move |clock| {
                let cpu = Arc::new(Cpu::new(2.0));
                let mut tasks = Vec::new();
                for (begins, time, cores, cancelled) in calls {
                    let (cpu, clock) = (Arc::clone(&cpu), clock.clone());
                    tasks.push(tokio::spawn(async move {
                        clock.sleep_until(Moment::default() + MS * begins as u32).await;
                        let (now, run_time) = (clock.now(), MS * time as u32);
                        let cores = f64::from(cores) / 10.0;
                        tokio::select! {
                            () = cpu.share(&clock, Contention::Absolute, now, run_time, cores) => {}
                            () = clock.sleep_until(now + MS * cancelled as u32) => {}
                        }
                    }));
                }
                for task in tasks {
                    task.await.unwrap();
                }
                assert_eq!((cpu.calls(), cpu.state.lock().load), (0, 0));
                let now = clock.now();
                cpu.share(&clock, Contention::Absolute, now, 10 * MS, 2.0).await;
                assert_eq!(clock.now() - now, 10 * MS);
                assert_eq!(clock.sleepers(), 0);
            });
        }
    }
}
