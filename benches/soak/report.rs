use std::{path::PathBuf, time::Duration};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use hyperfake_worker::report::format;
use serde_json::json;

use super::clients::Counts;

/// What the process held at one moment at which nothing went on.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Since the churn began.
    pub(crate) at: Duration,
    /// Memory, in bytes.
    pub(crate) resident: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// The ledger, in percent.
    pub(crate) used_ram: f64,
    pub(crate) used_cpu: f64,
    pub(crate) instances: usize,
    /// What was done until then.
    pub(crate) counts: Counts,
}

/// The memory may be this much above that after the first minute, whichever is more.
const MORE_SHARE: f64 = 0.10;
const MORE_BYTES: u64 = 4 << 20;

impl Sample {
    /// What has to stay exactly as it was.
    pub(crate) fn held(&self) -> (usize, usize, usize, [u64; 2]) {
        let ledger = [self.used_ram.to_bits(), self.used_cpu.to_bits()];
        (self.descriptors, self.threads, self.instances, ledger)
    }

    /// What is not as it was at the end of the first minute.
    fn changes_since(&self, first: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let mut compare = |what: &str, now: f64, then: f64, more: f64| {
            if now > then + more || (more == 0.0 && now != then) {
                changes.push(format!("{what} {now}, and {then} after the first minute"));
            }
        };
        let more = MORE_BYTES.max((first.resident as f64 * MORE_SHARE) as u64);
        compare("bytes of memory", self.resident as f64, first.resident as f64, more as f64);
        compare("descriptors", self.descriptors as f64, first.descriptors as f64, 0.0);
        compare("threads", self.threads as f64, first.threads as f64, 0.0);
        compare("instances", self.instances as f64, 0.0, 0.0);
        compare("percent of RAM", self.used_ram, 0.0, 0.0);
        compare("percent of CPU", self.used_cpu, 0.0, 0.0);
        changes
    }
}

/// All samples of a run.
pub(crate) struct Report {
    minute: Duration,
    /// How many minutes there are.
    minutes: u128,
    command: String,
    samples: Vec<Sample>,
}

impl Report {
    pub(crate) fn new(duration: Duration, minute: Duration, command: String) -> Self {
        let minutes = duration.as_nanos().div_ceil(minute.as_nanos());
        Self { minute, minutes, command, samples: Vec::new() }
    }

    pub(crate) fn take(&mut self, sample: Sample) {
        println!(
            "{:>6.1} s: {}, {} descriptors, {} threads, {} calls answered",
            sample.at.as_secs_f64(),
            format::bytes(sample.resident as f64),
            sample.descriptors,
            sample.threads,
            sample.counts.answered,
        );
        self.samples.push(sample);
    }

    /// The last sample of each minute that had one, and the minute's number, from 1.
    fn minutes(&self) -> Vec<(u128, &Sample)> {
        let mut minutes: Vec<(u128, &Sample)> = Vec::new();
        for sample in &self.samples {
            // The last sample comes when the last minute is just over.
            let number = (sample.at.as_nanos() / self.minute.as_nanos() + 1).min(self.minutes);
            if minutes.last().is_some_and(|(last, _)| *last == number) {
                minutes.pop();
            }
            minutes.push((number, sample));
        }
        minutes
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header([
            "minute",
            "memory",
            "descriptors",
            "threads",
            "RAM used",
            "CPU used",
            "instances",
            "calls",
            "cancelled",
            "failed",
            "starts",
            "stops",
            "listeners",
            "events",
            "errors",
        ]);
        for (number, sample) in self.minutes() {
            let counts = &sample.counts;
            table.add_row([
                number.to_string(),
                format::bytes(sample.resident as f64),
                sample.descriptors.to_string(),
                sample.threads.to_string(),
                format!("{} %", sample.used_ram),
                format!("{} %", sample.used_cpu),
                sample.instances.to_string(),
                counts.answered.to_string(),
                counts.given_up.to_string(),
                counts.failed.to_string(),
                counts.starts.to_string(),
                counts.stops.to_string(),
                counts.listeners.to_string(),
                counts.events.to_string(),
                counts.errors.to_string(),
            ]);
        }
        table
    }

    /// Writes the table's rows into cargo's target folder.
    pub(crate) fn write(&self) -> PathBuf {
        let minutes = self.minutes().into_iter().map(|(number, sample)| {
            let counts = &sample.counts;
            json!({
                "minute": number as u64,
                "at_s": sample.at.as_secs_f64(),
                "resident_bytes": sample.resident,
                "descriptors": sample.descriptors,
                "threads": sample.threads,
                "used_ram_percent": sample.used_ram,
                "used_cpu_percent": sample.used_cpu,
                "instances": sample.instances,
                "answered": counts.answered,
                "given_up": counts.given_up,
                "failed": counts.failed,
                "starts": counts.starts,
                "stops": counts.stops,
                "listeners": counts.listeners,
                "events": counts.events,
                "errors": counts.errors,
            })
        });
        let report = json!({
            "command": self.command,
            "minute_s": self.minute.as_secs_f64(),
            "samples": self.samples.len(),
            "minutes": minutes.collect::<Vec<_>>(),
            "flat": self.verdict().is_ok(),
        });
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        std::fs::create_dir_all(&path).unwrap();
        let path = path.join("soak.json");
        std::fs::write(&path, serde_json::to_string_pretty(&report).unwrap() + "\n").unwrap();
        path
    }

    /// Whether every sample after the first minute is as the last one of that minute was.
    ///
    /// # Errors
    ///
    /// When it is not, and why.
    pub(crate) fn verdict(&self) -> Result<String, String> {
        let minutes = self.minutes();
        let [(1, first), _, ..] = &*minutes else {
            return Err("NO RESULT: there is no second minute to compare with a first".into());
        };
        let mut changes = Vec::new();
        for sample in self.samples.iter().filter(|sample| sample.at > first.at) {
            let at = sample.at.as_secs_f64();
            changes.extend(
                sample.changes_since(first).iter().map(|change| format!("{at:.1} s: {change}")),
            );
        }
        let errors = self.samples.last().map_or(0, |last| last.counts.errors);
        if errors > 0 {
            changes.push(format!("{errors} errors"));
        }
        if changes.is_empty() {
            return Ok(format!(
                "FLAT: after the first minute the memory was never more than {} or {:.0} % above \
                 what it was then, descriptors and threads were the same, and the ledger was \
                 empty each time",
                format::bytes(MORE_BYTES as f64),
                100.0 * MORE_SHARE
            ));
        }
        Err(format!("NOT FLAT:\n{}", changes.join("\n")))
    }
}
