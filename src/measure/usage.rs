use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;

use super::{cgroup::Cgroup, share::Sample};
use crate::clock::{Moment, precise};

/// Reads, from a thread of its own, what the kernel says of processes.
#[derive(Debug)]
pub(super) struct Sampler {
    meters: Arc<Mutex<Vec<Meter>>>,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Between two samples.
const INTERVAL: Duration = Duration::from_millis(20);
/// After so many samples it is looked which processes a process has started.
const SAMPLES_OF_A_TREE: usize = 25;
/// The kernel counts the time of a whole process in hundredths of a second, wherever Linux runs.
const TICK_NS: u64 = 10_000_000;

impl Sampler {
    /// Begins; times are counted from `origin`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(origin: Moment) -> Result<Self> {
        let meters = Arc::new(Mutex::new(Vec::<Meter>::new()));
        let stops = Arc::new(AtomicBool::new(false));
        let (read, ended) = (Arc::clone(&meters), Arc::clone(&stops));
        let run = move || {
            while !ended.load(Ordering::Relaxed) {
                read.lock().iter_mut().for_each(|meter| meter.sample(origin));
                thread::sleep(INTERVAL);
            }
        };
        let thread = thread::Builder::new().name("usage".into()).spawn(run);
        let thread = thread
            .map_err(|error| Error::unavailable("the system gives no thread").with_source(error))?;
        Ok(Self { meters, stops, thread: Some(thread) })
    }

    /// Reads the counters of a process, and of those that it starts, from now on. Returns its number.
    pub(super) fn add(&self, process: u32, cgroup: Option<Arc<Cgroup>>, origin: Moment) -> usize {
        let mut meter = Meter { process, cgroup, ..Meter::default() };
        meter.sample(origin);
        let mut meters = self.meters.lock();
        meters.push(meter);
        meters.len() - 1
    }

    /// Reads them no longer: the process is about to end.
    pub(super) fn remove(&self, number: usize, origin: Moment) {
        if let Some(meter) = self.meters.lock().get_mut(number) {
            meter.sample(origin);
            meter.has_ended = true;
            meter.cgroup = None;
        }
    }

    /// Ends, and returns the samples by the numbers of the processes.
    pub(super) fn finish(mut self) -> Vec<Vec<Sample>> {
        self.stop();
        let mut meters = std::mem::take(&mut *self.meters.lock());
        meters.iter_mut().map(|meter| std::mem::take(&mut meter.samples)).collect()
    }

    fn stop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug, Default)]
struct Meter {
    process: u32,
    cgroup: Option<Arc<Cgroup>>,
    samples: Vec<Sample>,
    has_ended: bool,
    /// The process and those that it has started.
    tree: Vec<u32>,
    /// The CPU time of each thread that was ever seen, in nanoseconds: one that has ended keeps its time.
    threads: BTreeMap<u32, u64>,
    /// The CPU time of each process that was ever seen, in ticks of the kernel.
    ticks: BTreeMap<u32, u64>,
}

impl Meter {
    fn sample(&mut self, origin: Moment) {
        if self.has_ended {
            return;
        }
        let at_ns = (precise::now() - origin).as_nanos() as u64;
        let used = match &self.cgroup {
            Some(cgroup) => cgroup.cpu_ns().zip(cgroup.ram_bytes()),
            None => None,
        };
        let Some((cpu_ns, ram_bytes)) = used.or_else(|| self.processes()) else { return };
        let cpu_ns = cpu_ns.max(self.samples.last().map_or(0, |last| last.cpu_ns));
        self.samples.push(Sample { at_ns, cpu_ns, ram_bytes });
    }

    /// What all processes of the tree have used, and the memory that they have. The threads' counters are
    /// exact, and a thread that lived between two samples is only in its process's.
    fn processes(&mut self) -> Option<(u64, u64)> {
        if self.samples.len().is_multiple_of(SAMPLES_OF_A_TREE) {
            self.tree = tree(self.process);
        }
        let mut ram_bytes = 0;
        let mut seen = false;
        for process in &self.tree {
            let folder = Path::new("/proc").join(process.to_string());
            let Some(ticks) =
                fs::read_to_string(folder.join("stat")).ok().as_deref().and_then(ticks)
            else {
                continue;
            };
            seen = true;
            self.ticks.insert(*process, ticks);
            let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
            ram_bytes += resident(&status).unwrap_or_default();
            for thread in fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
                let time = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
                let time = time.split(' ').next().and_then(|ns| ns.parse().ok());
                let number = thread.file_name().to_str().and_then(|name| name.parse().ok());
                if let Some((number, time)) = number.zip(time) {
                    self.threads.insert(number, time);
                }
            }
        }
        let ticks: u64 = self.ticks.values().sum();
        seen.then(|| (self.threads.values().sum::<u64>().max(ticks * TICK_NS), ram_bytes))
    }
}

/// A process and those that it has started, and so on.
fn tree(process: u32) -> Vec<u32> {
    /// More are not looked at.
    const MOST: usize = 1000;
    let mut tree = vec![process];
    let mut next = 0;
    while let Some(process) = tree.get(next).filter(|_| tree.len() < MOST) {
        let tasks = fs::read_dir(format!("/proc/{process}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            tree.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    tree
}

/// The time that a process has used, in its own code and in the kernel's: the twelfth and thirteenth
/// fields behind its name, which is in brackets and may have any character.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

/// The memory of a process, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_a_process_are_found_whatever_its_name_is() {
        let stat =
            "7 (a) 1 (b) S 1 7 7 0 -1 4194304 100 0 0 0 30 12 5 5 20 0 1 0 4922075 3133440 358";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1596 kB\nThreads: 1\n"), Some(1596 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let origin = precise::now();
        let sampler = Sampler::start(origin).unwrap();
        let number = sampler.add(std::process::id(), None, origin);
        let until = precise::now() + Duration::from_millis(100);
        while precise::now() < until {
            std::hint::spin_loop();
        }
        sampler.remove(number, origin);
        let samples = sampler.finish().remove(0);
        let (first, last) = (samples.first().unwrap(), samples.last().unwrap());
        // The loop's own thread had the CPU for a part of the time, and other tests may run beside it.
        assert!(last.cpu_ns > first.cpu_ns + 1_000_000, "{first:?} {last:?}");
        assert!(samples.iter().all(|sample| sample.ram_bytes > 100_000));
        assert!(samples.is_sorted_by_key(|sample| (sample.at_ns, sample.cpu_ns)));
    }
}
