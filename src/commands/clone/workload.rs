use std::{collections::BTreeMap, time::Duration};

use hyperfake_predictor::{Error, Result};

use crate::{
    measure::{Measured, Phase},
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

    /// Of what the fake's worker recorded, the calls that came while what was held back was sent and were no
    /// warm-up.
    ///
    /// # Errors
    ///
    /// When it did not record as many calls of a phase as were sent: it is not known then which they are.
    pub(super) fn of_fake(
        &self,
        recorded: &[Row<'static>],
        seen: &Measured,
    ) -> Result<Vec<Row<'static>>> {
        let mut recorded: Vec<_> = recorded.iter().collect();
        recorded.sort_by_key(|row| row.arrival_unix_ns);
        let at = |moment: u64| recorded.partition_point(|row| row.arrival_unix_ns < moment);
        let mut rows = Vec::new();
        for (place, began) in seen.began_unix_ns.iter().enumerate() {
            // A call may come late, but not later than the next phase begins.
            let next = seen.began_unix_ns.get(place + 1);
            let end = next.map_or(recorded.len(), |next| at(next.saturating_sub(EARLY_NS)));
            let own = &recorded[at(began.saturating_sub(EARLY_NS))..end];
            let sent = || seen.calls.iter().filter(|call| call.phase == Some(place));
            let (sent, warm_up) = (sent().count(), sent().filter(|call| call.warm_up).count());
            if own.len() != sent {
                let message = format!(
                    "the fake's worker recorded {} calls of phase {}, and {sent} were sent",
                    own.len(),
                    place + 1
                );
                return Err(Error::internal(message));
            }
            rows.extend(
                own[warm_up..].iter().map(|row| self.moved(Row::clone(row), *began, place)),
            );
        }
        Ok(rows)
    }

    /// A call of the phase that began then, as if the phases of what was held back had come one after the
    /// other, so that those of the real and of the fake come at the same moments.
    fn moved(&self, row: Row<'static>, began: u64, place: usize) -> Row<'static> {
        let moved = EPOCH_NS + place as u64 * nanoseconds(self.length());
        let arrival_unix_ns = moved + row.arrival_unix_ns.saturating_sub(began);
        Row { arrival_unix_ns, ..row }
    }
}

/// By how much the clocks of the client and of the worker may differ: less than half of what is between the
/// last call of a phase and the next phase.
const EARLY_NS: u64 = 4_000_000;
/// Where the moments of what was held back are moved to: the beginning of 2020.
const EPOCH_NS: u64 = 1_577_836_800_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measurement;

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
        let begins = |count: usize| {
            (0..count).map(|n| 1_000_000_007 + n as u64 * (length + 10_000_000)).collect()
        };
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
        let mut seen = Measured { calls, began_unix_ns: began, ..Measured::default() };
        let row = |arrival_unix_ns| Row { arrival_unix_ns, ..Row::default() };
        let mut recorded: Vec<_> = seen.began_unix_ns.iter().map(|began| row(began + at)).collect();
        assert_eq!(workload.of_fake(&recorded, &seen).unwrap(), real);
        // A first call before all of them, and one of a warm-up.
        let early = seen.began_unix_ns[3] + 1000;
        recorded.extend([row(1), row(early)]);
        seen.calls.push(Measurement { row: row(early), phase: Some(3), warm_up: true });
        assert_eq!(workload.of_fake(&recorded, &seen).unwrap(), real);
    }

    #[test]
    fn a_call_of_the_fake_that_comes_late_is_kept_and_one_that_is_missing_is_an_error() {
        let workload = Workload::new(&[100.0], TIME, 3);
        let length = nanoseconds(workload.length());
        let began: Vec<u64> = (0..6).map(|phase| 1_000_000_000 + phase * 2 * length).collect();
        // Of each phase one call of the warm-up and three others, the last of which is 50 ms behind the end.
        let offsets = [1, length / 2, length - 1, length + 50_000_000];
        let row = |arrival_unix_ns| Row { arrival_unix_ns, ..Row::default() };
        let (mut calls, mut recorded) = (Vec::new(), Vec::new());
        for (phase, began) in began.iter().enumerate() {
            for (number, offset) in offsets.into_iter().enumerate() {
                let (phase, warm_up) = (Some(phase), number == 0);
                calls.push(Measurement { row: row(began + offset), phase, warm_up });
                recorded.push(row(began + offset));
            }
        }
        let seen = Measured { calls, began_unix_ns: began, ..Measured::default() };
        let found = workload.of_fake(&recorded, &seen).unwrap();
        let expected = (0..6).flat_map(|phase| {
            offsets[1..].iter().map(move |offset| EPOCH_NS + phase * length + offset)
        });
        let found: Vec<_> = found.iter().map(|row| row.arrival_unix_ns).collect();
        assert_eq!(found, expected.collect::<Vec<_>>());
        // Of the second phase.
        recorded.remove(5);
        assert_eq!(
            workload.of_fake(&recorded, &seen).unwrap_err().to_string(),
            "the fake's worker recorded 3 calls of phase 2, and 4 were sent"
        );
    }
}
