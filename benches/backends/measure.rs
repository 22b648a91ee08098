//! How long predictions take, measured so that what slows the machine down for a while slows every
//! contestant down: they take turns, in many short rounds.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use crate::{
    network::CALLS,
    work::{Contestant, Way, Work},
};

/// Each round has one sample of each contestant.
pub(crate) const ROUNDS: usize = 201;
const SAMPLE: Duration = Duration::from_micros(500);

/// Of these there are two in a round, for one thread and for all.
pub(crate) const THREAD_ROUNDS: usize = 51;
const THREAD_SAMPLE: Duration = Duration::from_millis(15);

/// For each contestant the nanoseconds that a prediction takes, in each round.
pub(crate) fn times(contestants: &[Contestant], way: Way) -> Vec<Vec<f64>> {
    let mut works: Vec<_> = contestants
        .iter()
        .map(|contestant| {
            let mut work = contestant.work(way);
            let count = calls_per_sample(&mut work);
            (work, count)
        })
        .collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); works.len()];
    for _ in 0..ROUNDS {
        for ((work, count), times) in works.iter_mut().zip(&mut times) {
            times.push(time(work, *count).as_secs_f64() * 1e9 / *count as f64);
        }
    }
    times
}

/// Predictions per second.
pub(crate) struct Throughput {
    pub(crate) one_thread: f64,
    pub(crate) all_threads: f64,
}

/// What one thread manages, and what this many manage together, each with a session of its own, in
/// the best tenth of the rounds: whatever else runs takes a core from all threads, but none from one.
pub(crate) fn throughputs(contestants: &[Contestant], threads: usize) -> Vec<Throughput> {
    let mut works: Vec<Vec<_>> = contestants
        .iter()
        .map(|contestant| (0..threads).map(|_| contestant.work(Way::OneByOne)).collect())
        .collect();
    let mut rates = vec![[const { Vec::new() }; 2]; works.len()];
    for _ in 0..THREAD_ROUNDS {
        for (works, [one, all]) in works.iter_mut().zip(&mut rates) {
            one.push(rate(&mut works[..1]));
            all.push(rate(works));
        }
    }
    let throughput = |[one, all]: &[Vec<f64>; 2]| Throughput {
        one_thread: quantile(one, 0.9),
        all_threads: quantile(all, 0.9),
    };
    rates.iter().map(throughput).collect()
}

pub(crate) fn median(numbers: &[f64]) -> f64 {
    quantile(numbers, 0.5)
}

fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() as f64 * share) as usize]
}

/// The median of the ratios in the same round.
pub(crate) fn median_ratio(numbers: &[f64], to: &[f64]) -> f64 {
    median(&numbers.iter().zip(to).map(|(number, to)| number / to).collect::<Vec<_>>())
}

pub(crate) fn time(work: &mut Work, count: usize) -> Duration {
    let start = Instant::now();
    work(count);
    start.elapsed()
}

fn calls_per_sample(work: &mut Work) -> usize {
    let mut count = CALLS;
    while time(work, count) < SAMPLE {
        count *= 2;
    }
    count
}

/// Predictions per second of threads that work at the same time.
fn rate(works: &mut [Work]) -> f64 {
    let barrier = Barrier::new(works.len());
    thread::scope(|scope| {
        let threads: Vec<_> = works
            .iter_mut()
            .map(|work| {
                scope.spawn(|| {
                    barrier.wait();
                    let (start, mut count) = (Instant::now(), 0);
                    while start.elapsed() < THREAD_SAMPLE {
                        work(CALLS);
                        count += CALLS;
                    }
                    count as f64 / start.elapsed().as_secs_f64()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}
