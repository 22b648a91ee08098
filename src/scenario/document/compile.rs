//! Sections of a file as a scenario.

use std::{collections::HashSet, path::Path, sync::Arc};

use super::{
    Document, FunctionSection, MemorySection, Mistake, QueueSection, QuotaSection, SpreadSection,
    StartsSection, WorkerSection, distribution, reader::Located, spelled::WordOr,
};
use crate::scenario::{
    Fault, Pattern, Quota, Scenario, TimeScale, WorkerBehaviour,
    distribution::sigma,
    settings::{Limit, MemorySetting, QueueSetting, Settings, Starts},
};

/// The folder of the file, to which paths in it are relative; nothing for a text that is no file.
#[derive(Debug, Clone, Copy)]
pub(in crate::scenario) struct Folder<'a>(pub(in crate::scenario) Option<&'a Path>);

/// The longest pattern; it is compared with names of a few hundred bytes.
const LONGEST_PATTERN: usize = 256;

/// The most faults: each that concerns a function is looked at in each of its calls.
const MOST_FAULTS: usize = 1000;

/// The scenario that a file states.
///
/// # Errors
///
/// Says what is wrong, and where.
pub(in crate::scenario) fn compile(
    document: &Document,
    folder: &Folder<'_>,
) -> Result<Scenario, Mistake> {
    let Located { at, value: version } = document.version;
    if version != 1 {
        return Err(Mistake::new(format!("found the version {version}, expected 1")).at(at));
    }
    let worker = document.worker.as_ref().map(WorkerSection::behaviour).transpose()?;
    let defaults =
        document.defaults.as_ref().map(|section| section.settings(folder)).transpose()?;
    let sections = document.functions.iter().flat_map(|sections| &sections.0);
    let functions =
        sections.map(|(pattern, section)| Ok((self::pattern(pattern)?, section.settings(folder)?)));
    Ok(Scenario {
        seed: document.seed,
        worker: worker.unwrap_or_default(),
        defaults: defaults.unwrap_or_default(),
        functions: functions.collect::<Result<_, _>>()?,
        faults: faults(document, folder)?,
        time_scale: TimeScale::ONE,
        text: None,
    })
}

fn faults(document: &Document, folder: &Folder<'_>) -> Result<Vec<Arc<Fault>>, Mistake> {
    let sections = document.faults.as_deref().unwrap_or_default();
    if let Some(section) = sections.get(MOST_FAULTS) {
        let message = format!("found more than {MOST_FAULTS} faults, expected at most that many");
        return Err(Mistake::new(message).at(section.at));
    }
    let mut names = HashSet::new();
    let mut header: Option<&str> = None;
    let mut faults = Vec::with_capacity(sections.len());
    for section in sections {
        let name = section.name();
        if !names.insert(&name.value) {
            let message = format!(
                "found a second fault '{}', expected a name for each",
                name.value.escape_debug()
            );
            return Err(Mistake::new(message).at(name.at));
        }
        if let Some(asked) = section.header() {
            let first = header.get_or_insert(&asked.value);
            if !first.eq_ignore_ascii_case(&asked.value) {
                let message = format!("found a second header, expected {first} here as well");
                return Err(Mistake::new(message).at(asked.at));
            }
        }
        faults.push(Arc::new(section.fault(folder)?));
    }
    Ok(faults)
}

impl WorkerSection {
    fn behaviour(&self) -> Result<WorkerBehaviour, Mistake> {
        if let Some(Located { at, value: 0 }) = self.cpus {
            return Err(Mistake::new("found 0, expected a number of CPUs from 1").at(at));
        }
        let interference = self.interference.map(|share| number(share, 0.0, 100.0)).transpose()?;
        Ok(WorkerBehaviour {
            contention: self.contention.unwrap_or_default(),
            interference: interference.unwrap_or(0.0),
            cpus: self.cpus.map(|cpus| cpus.value),
            memory: self.memory.map(|size| size.0.0),
        })
    }
}

impl FunctionSection {
    fn settings(&self, folder: &Folder<'_>) -> Result<Settings, Mistake> {
        let time = |section: &Option<_>| {
            section.as_ref().map(|section| distribution(section, folder)).transpose()
        };
        let spread = |section: &Option<Located<SpreadSection>>| {
            section.as_ref().map(Located::sigma).transpose()
        };
        if let Some(Located { at, value }) = &self.concurrency
            && value.0 == Limit::Is(0)
        {
            return Err(Mistake::new("found 0, expected none or a number of calls from 1").at(*at));
        }
        Ok(Settings {
            cold_start: time(&self.cold_start)?,
            starts: self.starts.as_ref().map(StartsSection::starts).transpose()?,
            run_time: time(&self.run_time)?,
            noise: spread(&self.noise)?,
            instance_speed: spread(&self.instance_speed)?,
            concurrency: self.concurrency.map(|most| most.value.0),
            queue: self.queue.as_ref().map(QueueSection::setting),
            cpu: self.cpu.as_ref().map(cpu).transpose()?,
            memory: self.memory.as_ref().map(|memory| memory_setting(&memory.value)),
            timeout: self.timeout.map(|timeout| timeout.0.0.map(|span| span.0)),
            overload: self.overload_status.map(|code| code.0),
        })
    }
}

impl StartsSection {
    fn starts(&self) -> Result<Starts, Mistake> {
        let StartsSection { slow_down, fail_percent } = self;
        let in_range =
            |value: &Option<_>, most| value.map_or(Ok(0.0), |value| number(value, 0.0, most));
        Ok(Starts {
            slow_down: in_range(slow_down, 1000.0)?,
            fail_percent: in_range(fail_percent, 100.0)?,
        })
    }
}

impl Located<SpreadSection> {
    /// The largest sigma: the 99th percentile is a thousand times the median.
    const LARGEST: f64 = 3.0;

    fn sigma(&self) -> Result<f64, Mistake> {
        let refused = |message: String| Mistake::new(message).at(self.at);
        match self.value {
            SpreadSection { sigma: Some(sigma), p99_over_p50: None } => {
                let known = (0.0..=Self::LARGEST).contains(&sigma).then_some(sigma);
                known.ok_or_else(|| {
                    refused(format!("found a sigma of {sigma}, expected 0 to {}", Self::LARGEST))
                })
            }
            SpreadSection { sigma: None, p99_over_p50: Some(ratio) } => {
                let known = (1.0..=1000.0).contains(&ratio).then(|| sigma(ratio));
                known.ok_or_else(|| {
                    refused(format!("found a p99_over_p50 of {ratio}, expected 1 to 1000"))
                })
            }
            _ => Err(refused("expected one of 'sigma' and 'p99_over_p50'".to_owned())),
        }
    }
}

impl QueueSection {
    fn setting(&self) -> QueueSetting {
        let default = QueueSetting::default();
        QueueSetting {
            depth: self.depth.map_or(default.depth, |depth| depth.0),
            timeout: self.timeout.and_then(|timeout| timeout.0.0).map(|span| span.0),
        }
    }
}

fn cpu(
    section: &Located<WordOr<Limit<super::Never>, QuotaSection>>,
) -> Result<Limit<Quota>, Mistake> {
    match &section.value {
        WordOr::Word(Limit::None) => Ok(Limit::None),
        WordOr::Word(Limit::Registered) => Ok(Limit::Registered),
        WordOr::Word(Limit::Is(never)) => match *never {},
        WordOr::Keys(QuotaSection { quota, period }) => {
            let cores = number(*quota, 0.001, 1e6)?;
            let period = match period {
                None => Quota::DEFAULT_PERIOD,
                Some(Located { at, value }) if value.0.0.as_micros() == 0 => {
                    let message = format!("found {}, expected a period of at least 1us", value.0);
                    return Err(Mistake::new(message).at(*at));
                }
                Some(period) => period.value.0.0,
            };
            Ok(Limit::Is(Quota { cores, period }))
        }
    }
}

fn memory_setting(section: &WordOr<Limit<super::Never>, MemorySection>) -> MemorySetting {
    let (limit, growth) = match section {
        WordOr::Word(Limit::None) => (Limit::None, None),
        WordOr::Word(Limit::Registered) => (Limit::Registered, None),
        WordOr::Word(Limit::Is(never)) => match *never {},
        WordOr::Keys(MemorySection { limit, growth }) => {
            let limit = match limit.map(|limit| limit.0) {
                None | Some(Limit::Registered) => Limit::Registered,
                Some(Limit::None) => Limit::None,
                Some(Limit::Is(size)) => Limit::Is(size.0),
            };
            (limit, *growth)
        }
    };
    MemorySetting { limit, growth_per_second: growth.map_or(0.0, |growth| growth.0.0) }
}

/// A pattern of functions.
pub(super) fn pattern(text: &Located<String>) -> Result<Pattern, Mistake> {
    if !(1..=LONGEST_PATTERN).contains(&text.value.len()) {
        let message = format!("expected a pattern of 1 to {LONGEST_PATTERN} bytes");
        return Err(Mistake::new(message).at(text.at));
    }
    Ok(Pattern::new(&text.value))
}

/// A number between two others.
pub(super) fn number(found: Located<f64>, least: f64, most: f64) -> Result<f64, Mistake> {
    let Located { at, value } = found;
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let message = format!("found {value}, expected a number from {least} to {most}");
    Err(Mistake::new(message).at(at))
}
