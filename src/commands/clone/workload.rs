use std::{collections::BTreeMap, time::Duration};

use crate::{
    measure::{Measured, Measurement, Phase},
    record::{Row, nanoseconds},
};

/// The calls of a clone: what the model learns from, and what is held back, each in short phases in turns,
/// so that what the machine does meanwhile is in all of them.
///
/// What is held back has other rates and other arrivals. It is sent to the real function twice, with the
/// same arrivals, so that it is known how much the real function differs from itself.
#[derive(Debug)]
pub(super) struct Workload {
    phases: Vec<Phase>,
    parts: Vec<Part>,
}

/// What a phase is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Real,
    /// The same again, as this phase of `Real` by number.
    Again(usize),
}

/// The rates, as shares of what an instance that is always busy answers.
const TRAIN: [f64; 5] = [0.05, 0.2, 0.35, 0.5, 0.65];
const HELD_BACK: [f64; 3] = [0.12, 0.3, 0.55];
/// How often each phase is made. What is held back is sent in half of them, and again in the others.
const ROUNDS: u64 = 4;
/// The share of a phase that is its warm-up.
const WARM_UP: u32 = 6;

impl Workload {
    /// For bodies that an instance answers so many times a second when it is always busy.
    pub(super) fn new(most: &[f64], time: Duration, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = ROUNDS as u32 * most.len() as u32 * (TRAIN.len() + HELD_BACK.len()) as u32;
        let length = time / count.max(1);
        let phase =
            |body: usize, share: f64, seed| Phase { rate: share * most[body], body, length, seed };
        let (mut phases, mut parts) = (Vec::new(), Vec::new());
        // The phases of what is held back that the next round repeats.
        let mut held = Vec::new();
        for number in 0..ROUNDS {
            let mut round = Vec::new();
            for body in 0..most.len() {
                round.extend(TRAIN.map(|share| (phase(body, share, random.u64(..)), Part::Train)));
                if number % 2 == 0 {
                    let real = HELD_BACK.map(|share| phase(body, share, random.u64(..)));
                    round.extend(real.map(|phase| (phase, Part::Real)));
                }
            }
            round.extend(std::mem::take(&mut held));
            random.shuffle(&mut round);
            for (phase, part) in round {
                if part == Part::Real {
                    held.push((phase, Part::Again(phases.len())));
                }
                phases.push(phase);
                parts.push(part);
            }
        }
        Self { phases, parts }
    }

    /// All that the real function is sent.
    pub(super) fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// What the fake is sent.
    pub(super) fn held_back(&self) -> Vec<Phase> {
        let phases = self.phases.iter().zip(&self.parts);
        phases.filter(|(_, part)| **part == Part::Real).map(|(phase, _)| *phase).collect()
    }

    pub(super) fn warm_up(&self) -> Duration {
        self.length() / WARM_UP
    }

    fn length(&self) -> Duration {
        self.phases.first().map_or(Duration::ZERO, |phase| phase.length)
    }

    /// The calls to learn from, and those that were held back, once and again.
    pub(super) fn split(&self, measured: &Measured) -> [Vec<Row<'static>>; 3] {
        let mut places = BTreeMap::new();
        for (number, part) in self.parts.iter().enumerate() {
            if *part == Part::Real {
                places.insert(number, places.len());
            }
        }
        let [mut train, mut real, mut again] = [Vec::new(), Vec::new(), Vec::new()];
        for call in measured.calls.iter().filter(|call| !call.warm_up) {
            let Some(phase) = call.phase else {
                train.push(call.row.clone());
                continue;
            };
            let began = measured.began_unix_ns[phase];
            match self.parts[phase] {
                Part::Train => train.push(call.row.clone()),
                Part::Real => real.push(self.moved(call.row.clone(), began, places[&phase])),
                Part::Again(of) => again.push(self.moved(call.row.clone(), began, places[&of])),
            }
        }
        for rows in [&mut real, &mut again] {
            rows.sort_by_key(|row| row.arrival_unix_ns);
        }
        [train, real, again]
    }

    /// Of what the fake's worker recorded, the calls that came while what was held back was sent and were
    /// no warm-up: the last ones of each phase, as many as the client has sent.
    pub(super) fn of_fake(&self, recorded: &[Row<'static>], seen: &Measured) -> Vec<Row<'static>> {
        let length = nanoseconds(self.length());
        let mut rows = Vec::new();
        for (place, began) in seen.began_unix_ns.iter().enumerate() {
            let is_own = |row: &&Row<'static>| {
                (*began..began + length + LATE_NS).contains(&row.arrival_unix_ns)
            };
            let mut own: Vec<_> = recorded.iter().filter(is_own).collect();
            own.sort_by_key(|row| row.arrival_unix_ns);
            let is_result = |call: &&Measurement| call.phase == Some(place) && !call.warm_up;
            let sent = seen.calls.iter().filter(is_result).count();
            let results = own.iter().skip(own.len().saturating_sub(sent));
            rows.extend(results.map(|row| self.moved(Row::clone(row), *began, place)));
        }
        rows
    }

    /// A call of the phase that began then, as if the phases of what was held back had come one after the
    /// other, so that those of the real and of the fake come at the same moments.
    fn moved(&self, row: Row<'static>, began: u64, place: usize) -> Row<'static> {
        let moved = EPOCH_NS + place as u64 * nanoseconds(self.length());
        let arrival_unix_ns = moved + row.arrival_unix_ns.saturating_sub(began);
        Row { arrival_unix_ns, ..row }
    }
}

/// The last calls of a phase come to a worker a moment after they were sent.
const LATE_NS: u64 = 5_000_000;
/// Where the moments of what was held back are moved to: the beginning of 2020.
const EPOCH_NS: u64 = 1_577_836_800_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(96);

    #[test]
    fn what_is_held_back_has_other_rates_and_is_sent_twice_with_the_same_arrivals() {
        let workload = Workload::new(&[100.0, 10.0], TIME, 3);
        let of = |part: fn(&Part) -> bool| -> Vec<Phase> {
            let phases = workload.phases.iter().zip(&workload.parts);
            phases.filter(|(_, found)| part(found)).map(|(phase, _)| *phase).collect()
        };
        let train = of(|part| *part == Part::Train);
        let mut real = of(|part| *part == Part::Real);
        let mut again = of(|part| matches!(part, Part::Again(_)));
        assert_eq!((train.len(), real.len(), again.len()), (40, 12, 12));
        assert_eq!(workload.held_back(), real);
        let order = |phase: &Phase| phase.seed;
        real.sort_by_key(order);
        again.sort_by_key(order);
        assert_eq!(real, again);
        assert!(real.iter().all(|held| train.iter().all(|phase| phase.rate != held.rate)));
        let total: Duration = workload.phases.iter().map(|phase| phase.length).sum();
        assert!(TIME - total < Duration::from_millis(1), "{total:?}");
    }

    #[test]
    fn calls_of_the_real_and_of_the_fake_come_at_the_same_moments() {
        let workload = Workload::new(&[100.0], TIME, 3);
        let length = nanoseconds(workload.length());
        // The phases of the real begin with gaps, a call 2 s after each of them.
        let at = 2_000_000_000;
        let begins =
            |count: usize| (0..count).map(|n| 7 + n as u64 * (length + 2 * LATE_NS)).collect();
        let began: Vec<u64> = begins(workload.phases.len());
        let call = |(phase, began): (usize, &u64)| Measurement {
            row: Row { arrival_unix_ns: began + at, ..Row::default() },
            phase: Some(phase),
            warm_up: false,
        };
        let calls = began.iter().enumerate().map(call).collect();
        let measured = Measured { calls, began_unix_ns: began, ..Measured::default() };
        let [train, real, again] = workload.split(&measured);
        assert_eq!((train.len(), real.len()), (20, 6));
        assert_eq!(real, again);
        let began: Vec<u64> = begins(6);
        let calls = began.iter().enumerate().map(call).collect();
        let seen = Measured { calls, began_unix_ns: began, ..Measured::default() };
        let row = |arrival_unix_ns| Row { arrival_unix_ns, ..Row::default() };
        let mut recorded: Vec<_> = seen.began_unix_ns.iter().map(|began| row(began + at)).collect();
        assert_eq!(workload.of_fake(&recorded, &seen), real);
        // A first call before all of them, one of a warm-up, and one after the end.
        let end = seen.began_unix_ns[5] + length;
        recorded.extend([row(1), row(seen.began_unix_ns[3] + 1000), row(end + LATE_NS)]);
        assert_eq!(workload.of_fake(&recorded, &seen), real);
    }
}
