use hyperfake_predictor::{Random, normal};

use crate::Size;

/// A function: its names, how often it is called, and how long it runs.
#[derive(Debug, Clone)]
pub struct Function {
    /// The hash of the application's owner.
    pub owner: String,
    /// The hash of its application, of which it is one of up to three functions.
    pub app: String,
    /// Its own hash.
    pub name: String,
    /// What calls it.
    pub trigger: &'static str,
    /// Calls a minute, on average.
    pub rate: f64,
    /// The median run time, in milliseconds.
    pub median_ms: f64,
    /// The standard deviation of the logarithm of its run time.
    pub sigma: f64,
    /// The memory of its application, in MB.
    pub memory_mb: f64,
    seed: u64,
}

const TRIGGERS: [&str; 7] =
    ["http", "queue", "timer", "event", "storage", "orchestration", "others"];
/// The levels between which run times are.
const LOWEST: f64 = 0.001;
const HIGHEST: f64 = 0.9999;

/// The functions of a trace of this size.
#[must_use]
pub fn functions(size: Size) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    for number in 0..size.functions {
        let mut random = Random::new(size.seed, number as u64 + 1);
        let hash = |random: &mut Random| -> String {
            (0..4).map(|_| format!("{:016x}", random.bits())).collect()
        };
        let name = hash(&mut random);
        let (owner, app, memory_mb) = match functions.last() {
            // Of three functions one begins an application.
            Some(last) if number % 3 != 0 => (last.owner.clone(), last.app.clone(), last.memory_mb),
            _ => (hash(&mut random), hash(&mut random), (60.0 + 240.0 * random.fraction()).round()),
        };
        functions.push(Function {
            owner,
            app,
            name,
            trigger: random.choose(&TRIGGERS),
            // From one call in a thousand minutes to two hundred a minute.
            rate: libm::exp10(-3.0 + 5.3 * random.fraction()),
            // From 3 ms to 3 s.
            median_ms: libm::exp10(0.5 + 3.0 * random.fraction()),
            sigma: 0.1 + 1.4 * random.fraction(),
            memory_mb,
            seed: random.bits(),
        });
    }
    functions
}

impl Function {
    /// How often it is called in a minute.
    #[must_use]
    pub fn calls(&self, minute: usize) -> u32 {
        let mut random = Random::new(self.seed, minute as u64);
        match self.trigger {
            // On the dot, every so many minutes.
            "timer" => {
                let every = (1.0 / self.rate).round().max(1.0) as usize;
                u32::from(minute.is_multiple_of(every)) * self.rate.max(1.0).round() as u32
            }
            _ => {
                let hour = (minute / 60 % 24) as f64;
                let day = 1.0 + 0.5 * libm::sin(std::f64::consts::TAU * (hour - 9.0) / 24.0);
                poisson(self.rate * day, &mut random)
            }
        }
    }

    /// Its calls in a minute: when, in seconds since the minute's beginning and in order, and how long they
    /// run, in milliseconds.
    #[must_use]
    pub fn single_calls(&self, minute: usize) -> Vec<(f64, f64)> {
        let mut random = Random::new(self.seed ^ 1, minute as u64);
        let count = self.calls(minute);
        let mut calls: Vec<_> = (0..count)
            .map(|_| {
                let at = 60.0 * random.fraction();
                (at, self.quantile_ms(random.fraction()))
            })
            .collect();
        calls.sort_by(|one, other| one.0.total_cmp(&other.0));
        calls
    }

    /// Its run time at a level, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, level: f64) -> f64 {
        let level = LOWEST + level * (HIGHEST - LOWEST);
        self.median_ms * libm::exp(self.sigma * normal::quantile(level))
    }

    /// Its mean run time, in milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        const PARTS: u32 = 10_000;
        let middle = |part: u32| self.quantile_ms((f64::from(part) + 0.5) / f64::from(PARTS));
        (0..PARTS).map(middle).sum::<f64>() / f64::from(PARTS)
    }
}

/// A number from the Poisson distribution: by its definition for small means, and rounded from the normal
/// distribution for large ones.
fn poisson(mean: f64, random: &mut Random) -> u32 {
    if mean > 50.0 {
        let z = normal::quantile(random.fraction().max(f64::MIN_POSITIVE));
        return (mean + mean.sqrt() * z).round().max(0.0) as u32;
    }
    let (limit, mut product, mut count) = (libm::exp(-mean), random.fraction(), 0);
    while product > limit {
        product *= random.fraction();
        count += 1;
    }
    count
}
