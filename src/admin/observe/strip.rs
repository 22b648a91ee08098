use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::shard::{Change, Stop};
use crate::{
    clock::Moment,
    worker::{InstanceId, InstanceState, Worker},
};

/// What some instances did in each of the last seconds: a row for each.
#[derive(Debug, Default)]
pub(crate) struct Strip {
    pub(crate) rows: Vec<Row>,
}

/// An instance, and what it did.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) instance: InstanceId,
    pub(crate) worker: u32,
    pub(crate) function: Arc<str>,
    pub(crate) created: Moment,
    ready: Moment,
    ended: Option<(Moment, Stop)>,
    /// Whether its end has a letter.
    is_over: bool,
    /// Whether no worker had it at the last time, though no end was told.
    is_gone: bool,
    /// When it was seen to do something last.
    used: Moment,
    /// A letter a second, oldest first.
    cells: VecDeque<u8>,
}

const MAX_ROWS: usize = 64;
/// How many seconds are shown; a row whose instance ended before that is left out.
const SECONDS: usize = 180;

impl Strip {
    /// Takes in what began and ended.
    pub(super) fn add(&mut self, changes: &[Change]) {
        for change in changes {
            let is_it =
                |row: &&mut Row| row.instance == change.instance && row.worker == change.worker;
            match (self.rows.iter_mut().find(is_it), change.ended) {
                (Some(row), ended) => row.ended = row.ended.or(ended),
                (None, None) => self.add_row(change),
                (None, Some(_)) => {}
            }
        }
    }

    /// If there is no other place, the row takes that of an instance which ended, or else was idle,
    /// for the longest.
    fn add_row(&mut self, change: &Change) {
        if self.rows.len() >= MAX_ROWS {
            let ended = self.rows.iter().enumerate();
            let ended = ended.filter_map(|(place, row)| Some((row.ended?.0, place)));
            let idle = self.rows.iter().enumerate().filter(|(_, row)| row.is_idle());
            let idle = idle.map(|(place, row)| (row.used, place));
            let Some((_, place)) = ended.min().or(idle.min()) else { return };
            self.rows.remove(place);
        }
        self.rows.push(Row {
            instance: change.instance,
            worker: change.worker,
            function: Arc::clone(&change.function),
            created: change.created,
            ready: change.ready,
            ended: change.ended,
            is_over: false,
            is_gone: false,
            used: change.ready,
            cells: VecDeque::new(),
        });
    }

    /// Adds what each instance did since the last time.
    pub(crate) fn tick(&mut self, workers: &[Arc<Worker>], before: Moment, now: Moment) {
        let shown = Duration::from_secs(SECONDS as u64);
        self.rows.retain(|row| row.ended.is_none_or(|(at, _)| at + shown >= now));
        for row in &mut self.rows {
            let cell = row.cell(workers, before, now);
            if row.cells.len() == SECONDS {
                row.cells.pop_front();
            }
            row.cells.push_back(cell);
        }
    }
}

impl Row {
    /// Whether it was idle at the last time.
    fn is_idle(&self) -> bool {
        self.cells.back() == Some(&IDLE)
    }

    /// The letters, oldest first.
    pub(crate) fn cells(&self) -> String {
        self.cells.iter().copied().map(char::from).collect()
    }

    fn cell(&mut self, workers: &[Arc<Worker>], before: Moment, now: Moment) -> u8 {
        if let Some((_, stop)) = self.ended {
            return if std::mem::replace(&mut self.is_over, true) {
                b' '
            } else {
                END[stop as usize]
            };
        }
        let worker = workers.get(self.worker as usize);
        let Some(instance) = worker.and_then(|worker| worker.instance(self.instance)) else {
            return self.gone(now);
        };
        let cell = match instance.state(now) {
            InstanceState::Starting => b'S',
            InstanceState::Busy => b'B',
            InstanceState::Stopping => b'd',
            InstanceState::Stopped => return self.gone(now),
            InstanceState::Idle if instance.last_work() > before.max(self.ready) => b'b',
            InstanceState::Idle if self.ready > before => b'S',
            InstanceState::Idle => return IDLE,
        };
        self.used = now;
        cell
    }

    /// The letter of an instance that no worker has. Its end is told with the next changes; if it is
    /// not, as of very many, the row ends without a letter for the reason.
    fn gone(&mut self, now: Moment) -> u8 {
        if std::mem::replace(&mut self.is_gone, true) {
            self.ended = Some((now, Stop::Stopped));
            self.is_over = true;
        }
        b' '
    }
}

/// The letter of an instance that has nothing to do.
const IDLE: u8 = b'.';
/// The letters of the ends, by [`Stop`].
const END: [u8; Stop::NAMES.len()] = *b"ETDX";

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    /// The start of the instance of this number.
    fn start(number: u64) -> Change {
        Change {
            worker: 0,
            instance: InstanceId::from_bits(number << 16),
            function: "f".into(),
            created: moment(1),
            ready: moment(1),
            ended: None,
        }
    }

    /// As many rows as there are places, whose instances were idle at the last time.
    fn full() -> Strip {
        let mut strip = Strip::default();
        strip.add(&(0..MAX_ROWS as u64).map(start).collect::<Vec<_>>());
        for (row, number) in strip.rows.iter_mut().zip(0..) {
            row.cells.push_back(IDLE);
            row.used = moment(100 - number);
        }
        strip
    }

    fn has(strip: &Strip, number: u64) -> bool {
        strip.rows.iter().any(|row| row.instance == start(number).instance)
    }

    #[test]
    fn a_new_instance_takes_the_place_of_the_one_that_was_idle_the_longest() {
        let mut strip = full();
        let last = MAX_ROWS as u64 - 1;
        strip.add(&[start(1000)]);
        assert!(has(&strip, 1000) && !has(&strip, last) && has(&strip, last - 1));
        // One that has ended goes first, and one that works stays.
        strip.rows[0].ended = Some((moment(2), Stop::Killed));
        strip.add(&[start(1001)]);
        assert!(has(&strip, 1001) && !has(&strip, 0) && has(&strip, last - 1));
        strip.rows.iter_mut().for_each(|row| row.cells.push_back(b'B'));
        strip.add(&[start(1002)]);
        assert!(!has(&strip, 1002));
        assert_eq!(strip.rows.len(), MAX_ROWS);
    }

    #[test]
    fn a_row_whose_end_was_not_told_ends_all_the_same() {
        let mut strip = Strip::default();
        // The end of the second came before its start, and that of the first not at all.
        let ended = Some((moment(2), Stop::Idle));
        strip.add(&[start(1), Change { ended, ..start(2) }, start(2)]);
        assert_eq!(strip.rows.len(), 2);
        strip.tick(&[], moment(2), moment(3));
        strip.tick(&[], moment(3), moment(4));
        assert!(strip.rows.iter().all(|row| row.ended.is_some() && row.cells() == "  "));
        strip.tick(&[], moment(4), moment(5 + SECONDS as u64));
        assert!(strip.rows.is_empty());
    }

    #[test]
    fn an_end_that_is_told_after_the_instance_has_gone_has_its_letter() {
        let mut strip = Strip::default();
        strip.add(&[start(1)]);
        strip.tick(&[], moment(2), moment(3));
        strip.add(&[Change { ended: Some((moment(3), Stop::Killed)), ..start(1) }]);
        strip.tick(&[], moment(3), moment(4));
        assert_eq!(strip.rows[0].cells(), " X");
    }
}
