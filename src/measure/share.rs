//! What an instance used, divided over its calls.

/// What the kernel said of an instance at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// When, in nanoseconds since the session's beginning.
    pub(super) at_ns: u64,
    /// The CPU time that it had used until then, in nanoseconds.
    pub(super) cpu_ns: u64,
    /// Its memory, in bytes.
    pub(super) ram_bytes: u64,
}

/// When a call ran, in nanoseconds since the session's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) began_ns: u64,
    pub(super) ended_ns: u64,
}

/// A call's part of its instance's resources, on average while it ran.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Share {
    pub(super) cpu_cores: f64,
    pub(super) ram_bytes: f64,
}

/// Divides what an instance used over its calls: at each moment the calls that run have equal parts of
/// its memory and of the CPU that it used between two samples. CPU that it used while no call ran belongs
/// to the calls that ran between the same two samples, or to none.
///
/// A call of which no sample is known has nothing.
pub(super) fn shares(samples: &[Sample], spans: &[Span], cores: f64) -> Vec<Option<Share>> {
    let steps = steps(spans);
    let mut cpu = Integral::default();
    let mut ram = Integral::default();
    let mut at = vec![(0.0, 0.0); 2 * spans.len()];
    let mut next = 0;
    let mut active = 0;
    for pair in samples.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        // What comes before the first sample runs without any.
        while next < steps.len() && steps[next].at_ns < from.at_ns {
            at[steps[next].slot] = (cpu.total, ram.total);
            steps[next].change(&mut active);
            next += 1;
        }
        let inside = steps[next..].iter().take_while(|step| step.at_ns < to.at_ns).count();
        let inside = &steps[next..next + inside];
        let used = to.cpu_ns.saturating_sub(from.cpu_ns) as f64;
        let busy = busy_ns(inside, active, from.at_ns, to.at_ns);
        let rate = if busy > 0 { (used / busy as f64).min(cores) } else { 0.0 };
        let mut now = from.at_ns;
        for step in inside {
            cpu.run(rate, active, step.at_ns - now);
            ram.run(from.ram_bytes as f64, active, step.at_ns - now);
            at[step.slot] = (cpu.total, ram.total);
            step.change(&mut active);
            now = step.at_ns;
        }
        cpu.run(rate, active, to.at_ns - now);
        ram.run(from.ram_bytes as f64, active, to.at_ns - now);
        next += inside.len();
    }
    steps[next..].iter().for_each(|step| at[step.slot] = (cpu.total, ram.total));
    let (first, last) = match (samples.first(), samples.last()) {
        (Some(first), Some(last)) if samples.len() > 1 => (first.at_ns, last.at_ns),
        _ => return vec![None; spans.len()],
    };
    let share = |(index, span): (usize, &Span)| {
        let covered = span.ended_ns.min(last).saturating_sub(span.began_ns.max(first));
        let ((cpu_began, ram_began), (cpu_ended, ram_ended)) = (at[2 * index], at[2 * index + 1]);
        (covered > 0).then(|| Share {
            cpu_cores: (cpu_ended - cpu_began) / covered as f64,
            ram_bytes: (ram_ended - ram_began) / covered as f64,
        })
    };
    spans.iter().enumerate().map(share).collect()
}

/// The begin or the end of a call.
#[derive(Debug, Clone, Copy)]
struct Step {
    at_ns: u64,
    begins: bool,
    /// Twice the call's number, and one more for its end.
    slot: usize,
}

impl Step {
    fn change(&self, active: &mut u32) {
        *active = if self.begins { *active + 1 } else { active.saturating_sub(1) };
    }
}

/// In the order of time; of those at the same time, ends come first, so that a call that begins when
/// another ends does not overlap it.
fn steps(spans: &[Span]) -> Vec<Step> {
    let both = |(index, span): (usize, &Span)| {
        // A call of no length begins before it ends.
        let ended_ns = span.ended_ns.max(span.began_ns + 1);
        let begin = Step { at_ns: span.began_ns, begins: true, slot: 2 * index };
        [begin, Step { at_ns: ended_ns, begins: false, slot: 2 * index + 1 }]
    };
    let mut steps: Vec<_> = spans.iter().enumerate().flat_map(both).collect();
    steps.sort_by_key(|step| (step.at_ns, step.begins));
    steps
}

/// For how long at least one call ran.
fn busy_ns(steps: &[Step], mut active: u32, from: u64, to: u64) -> u64 {
    let mut busy = 0;
    let mut now = from;
    for step in steps {
        if active > 0 {
            busy += step.at_ns - now;
        }
        step.change(&mut active);
        now = step.at_ns;
    }
    busy + if active > 0 { to - now } else { 0 }
}

/// What one call has had since the beginning, if it ran all the time.
#[derive(Debug, Default)]
struct Integral {
    total: f64,
}

impl Integral {
    fn run(&mut self, rate: f64, active: u32, for_ns: u64) {
        if active > 0 {
            self.total += rate * for_ns as f64 / f64::from(active);
        }
    }
}

/// What a call holds, and what a model would have been told when it began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Running {
    pub(super) span: Span,
    /// What it holds while it runs.
    pub(super) share: Share,
}

/// The last three features of a call.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Load {
    /// Other calls of the function that run.
    pub(super) active_calls: u64,
    /// The CPU that they hold together, in cores.
    pub(super) worker_cpu_cores: f64,
    /// The memory that they hold together, in bytes.
    pub(super) worker_ram_bytes: u64,
}

/// What each call met when it began, by the worker's definitions: the calls that run at that moment,
/// without itself, and what they hold, as sums of whole millionths of a core and whole bytes.
pub(super) fn loads(calls: &[Running]) -> Vec<Load> {
    let spans: Vec<_> = calls.iter().map(|call| call.span).collect();
    let (mut active, mut micro_cores, mut ram_bytes) = (0u64, 0u64, 0u64);
    let mut loads = vec![Load::default(); calls.len()];
    for step in steps(&spans) {
        let Share { cpu_cores, ram_bytes: ram } = calls[step.slot / 2].share;
        let (cpu, ram) = ((cpu_cores * 1e6 + 0.5) as u64, ram as u64);
        if step.begins {
            loads[step.slot / 2] = Load {
                active_calls: active,
                worker_cpu_cores: micro_cores as f64 / 1e6,
                worker_ram_bytes: ram_bytes,
            };
            (active, micro_cores, ram_bytes) = (active + 1, micro_cores + cpu, ram_bytes + ram);
        } else {
            (active, micro_cores, ram_bytes) = (active - 1, micro_cores - cpu, ram_bytes - ram);
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn span(began: u64, ended: u64) -> Span {
        Span { began_ns: began * MS, ended_ns: ended * MS }
    }

    fn sample(at: u64, cpu: u64, ram_bytes: u64) -> Sample {
        Sample { at_ns: at * MS, cpu_ns: cpu * MS, ram_bytes }
    }

    fn rounded(shares: Vec<Option<Share>>) -> Vec<Option<(f64, u64)>> {
        let round = |share: Share| ((share.cpu_cores * 1e3).round() / 1e3, share.ram_bytes as u64);
        shares.into_iter().map(|share| share.map(round)).collect()
    }

    #[test]
    fn a_call_that_runs_alone_has_all_that_its_instance_uses() {
        let samples = [sample(0, 0, 100), sample(100, 50, 100), sample(200, 50, 100)];
        let found = rounded(shares(&samples, &[span(0, 100), span(120, 130)], 2.0));
        assert_eq!(found, [Some((0.5, 100)), Some((0.0, 100))]);
        // The CPU of an interval belongs to the time in which calls ran.
        let found = rounded(shares(&samples, &[span(20, 70)], 2.0));
        assert_eq!(found, [Some((1.0, 100))]);
        // More than the machine has cannot be: it was used while no call ran.
        let found = rounded(shares(&samples, &[span(20, 30)], 2.0));
        assert_eq!(found, [Some((2.0, 100))]);
    }

    #[test]
    fn calls_that_overlap_have_equal_parts() {
        let samples = [sample(0, 0, 90), sample(100, 100, 90)];
        let found = rounded(shares(&samples, &[span(0, 100), span(0, 50), span(50, 100)], 2.0));
        assert_eq!(found, [Some((0.5, 45)); 3]);
        let found = rounded(shares(&samples, &[span(0, 100), span(50, 100)], 2.0));
        assert_eq!(found, [Some((0.75, 67)), Some((0.5, 45))]);
    }

    #[test]
    fn the_parts_of_all_calls_are_what_was_used() {
        let mut random = fastrand::Rng::with_seed(1);
        // One that runs all the time, so that there is always a call to which what is used belongs.
        let spans: Vec<_> = std::iter::once(span(0, 1000))
            .chain((0..500).map(|_| {
                let began = random.u64(0..900);
                span(began, began + random.u64(1..100))
            }))
            .collect();
        let samples: Vec<_> = (0..=50).map(|at| sample(20 * at, 7 * at, 1)).collect();
        let found = shares(&samples, &spans, 2.0);
        let used: f64 = found
            .iter()
            .zip(&spans)
            .map(|(share, span)| share.unwrap().cpu_cores * (span.ended_ns - span.began_ns) as f64)
            .sum();
        let expected = (7 * 50 * MS) as f64;
        assert!((used - expected).abs() < 1e-6 * expected, "{used} of {expected}");
    }

    #[test]
    fn a_call_that_no_sample_covers_has_nothing() {
        assert_eq!(shares(&[], &[span(0, 1)], 1.0), [None]);
        assert_eq!(shares(&[sample(0, 0, 1)], &[span(0, 1)], 1.0), [None]);
        let samples = [sample(10, 0, 8), sample(20, 5, 8)];
        let found = rounded(shares(&samples, &[span(0, 10), span(5, 20), span(20, 30)], 1.0));
        assert_eq!(found, [None, Some((0.5, 8)), None]);
    }

    #[test]
    fn a_call_meets_those_that_began_before_and_have_not_ended() {
        let running = |began, ended, cpu_cores, ram_bytes| Running {
            span: span(began, ended),
            share: Share { cpu_cores, ram_bytes },
        };
        let calls = [
            running(0, 10, 0.25, 5.0),
            running(5, 20, 0.5, 7.0),
            running(10, 12, 1.0, 1.0),
            running(20, 21, 1.0, 1.0),
        ];
        let load = |active_calls, worker_cpu_cores, worker_ram_bytes| Load {
            active_calls,
            worker_cpu_cores,
            worker_ram_bytes,
        };
        let expected = [load(0, 0.0, 0), load(1, 0.25, 5), load(1, 0.5, 7), load(0, 0.0, 0)];
        assert_eq!(loads(&calls), expected);
    }
}
