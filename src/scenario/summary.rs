use std::time::Duration;

use super::{
    Contention, Distribution, End, Fault, Kill, Scenario,
    fault::{Effect, StartFault},
    settings::{Depth, Limit, Settings},
};

impl Scenario {
    /// What it states, for a person: what each line is about, and what is stated of it.
    #[must_use]
    pub fn summary(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut row = |about: &str, stated: Vec<String>| {
            if !stated.is_empty() {
                rows.push((about.to_owned(), stated.join("; ")));
            }
        };
        row("seed", self.seed.iter().map(ToString::to_string).collect());
        row("worker", self.worker_stated());
        row("every function", self.defaults.stated());
        for (pattern, settings) in &self.functions {
            row(&pattern.to_string(), settings.stated());
        }
        for fault in &self.faults {
            row(&format!("fault '{}'", fault.name()), fault.stated());
        }
        rows
    }

    fn worker_stated(&self) -> Vec<String> {
        let worker = &self.worker;
        let contention = (worker.contention != Contention::None)
            .then(|| format!("contention {}", worker.contention));
        let interference =
            (worker.interference > 0.0).then(|| format!("interference {}", worker.interference));
        let cpus = worker.cpus.map(|cpus| format!("{cpus} CPUs"));
        let memory = worker.memory.map(|bytes| format!("{bytes} bytes of memory"));
        [cpus, memory, contention, interference].into_iter().flatten().collect()
    }
}

impl Settings {
    fn stated(&self) -> Vec<String> {
        let time = |what: &str, time: &Option<Distribution>| {
            time.as_ref().map(|time| format!("{what} {}", described(time)))
        };
        let starts = self.starts.map(|starts| {
            let [slow, fail] = [100.0 * starts.slow_down, starts.fail_percent];
            format!("starts {slow} % slower for each other one, {fail} % fail")
        });
        let queue = self.queue.map(|queue| {
            let depth = match queue.depth {
                Depth::Calls(calls) => format!("{calls} calls"),
                Depth::Times(times) => format!("{times} times the concurrency"),
            };
            match queue.timeout {
                None => format!("queue of {depth}"),
                Some(timeout) => format!("queue of {depth} for {timeout:?}"),
            }
        });
        let cpu = self.cpu.map(|cpu| match cpu {
            Limit::Is(quota) => format!("CPU {} cores by {:?}", quota.cores, quota.period),
            Limit::Registered => "CPU as registered".to_owned(),
            Limit::None => "no CPU limit".to_owned(),
        });
        let memory = self.memory.map(|memory| {
            let limit = match memory.limit {
                Limit::Is(bytes) => format!("memory {bytes} bytes"),
                Limit::Registered => "memory as registered".to_owned(),
                Limit::None => "no memory limit".to_owned(),
            };
            match memory.growth_per_second {
                0.0 => limit,
                growth => format!("{limit}, growing by {growth:.0} bytes/s"),
            }
        });
        let concurrency = self.concurrency.map(|most| match most {
            Limit::Is(most) => format!("{most} calls at once"),
            Limit::Registered => "calls at once as registered".to_owned(),
            Limit::None => "any number of calls at once".to_owned(),
        });
        let timeout = self.timeout.map(|timeout| match timeout {
            Some(timeout) => format!("calls end after {timeout:?}"),
            None => "no time limit".to_owned(),
        });
        let all = [
            time("cold start", &self.cold_start),
            starts,
            time("run time", &self.run_time),
            self.noise.map(|sigma| format!("noise of sigma {sigma:.3}")),
            self.instance_speed.map(|sigma| format!("instance speed of sigma {sigma:.3}")),
            concurrency,
            queue,
            cpu,
            memory,
            timeout,
            self.overload.map(|code| format!("overload is {code}")),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Fault {
    fn stated(&self) -> Vec<String> {
        let effect = match &self.effect {
            Effect::Delay(time) => format!("calls take {} more", described(time)),
            Effect::End(end) => ended(end),
            Effect::Start(StartFault::Fail(code)) => format!("starts fail with {code}"),
            Effect::Start(StartFault::Slow(time)) => {
                format!("starts take {} more", described(time))
            }
            Effect::Header(name) => format!("asked for by the header {name}"),
        };
        let when = &self.when;
        let percent = (when.percent < 100.0).then(|| format!("{} %", when.percent));
        let window = match (when.from, when.to) {
            (Duration::ZERO, None) => None,
            (from, None) => Some(format!("from {from:?}")),
            (from, Some(to)) => Some(format!("from {from:?} to {to:?}")),
        };
        let every = when.every.map(|every| format!("every {every:?}"));
        let at_most = when.at_most.map(|most| format!("at most {most} times"));
        let functions = (!self.whom.functions.is_empty()).then(|| {
            let names: Vec<_> = self.whom.functions.iter().map(ToString::to_string).collect();
            format!("functions {}", names.join(", "))
        });
        let workers =
            (!self.whom.workers.is_empty()).then(|| format!("workers {:?}", self.whom.workers));
        let nth = self
            .whom
            .every_nth
            .map(|n| format!("every instance whose number is a multiple of {n}"));
        let old = self.whom.older_than.map(|age| format!("instances older than {age:?}"));
        let off = (!self.is_on()).then(|| "switched off".to_owned());
        let all =
            [Some(effect), percent, window, every, at_most, functions, workers, nth, old, off];
        all.into_iter().flatten().collect()
    }
}

/// How calls end.
fn ended(end: &End) -> String {
    match end {
        End::Status(code) => format!("calls fail with {code}"),
        End::Error(text) => format!("the function's own code fails: {text}"),
        End::Kill(Kill::Crash) => "the instance crashes".to_owned(),
        End::Kill(Kill::OutOfMemory) => "the instance runs out of memory".to_owned(),
        End::Hang => "calls hang".to_owned(),
        End::DropConnection => "the client's connection is closed".to_owned(),
        // No fault of a file is one of these.
        End::Answer | End::Refused(_) => String::new(),
    }
}

/// A distribution by some of its numbers.
fn described(time: &Distribution) -> String {
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|u| time.at(u));
    if p50 == p99 && time.at(0.0) == time.at(1.0) {
        return format!("{p50:?}");
    }
    let mean = Duration::try_from_secs_f64(time.mean() / 1e9).unwrap_or(Duration::MAX);
    format!("p50 {p50:.3?}, p90 {p90:.3?}, p99 {p99:.3?}, mean {mean:.3?}")
}
