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

    /// The row takes the place of that which ended the longest ago, if there is no other.
    fn add_row(&mut self, change: &Change) {
        if self.rows.len() >= MAX_ROWS {
            let ended = self.rows.iter().enumerate();
            let ended = ended.filter_map(|(place, row)| Some((row.ended?.0, place)));
            let Some((_, place)) = ended.min() else { return };
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
            return b' ';
        };
        match instance.state(now) {
            InstanceState::Starting => b'S',
            InstanceState::Busy => b'B',
            InstanceState::Stopping => b'd',
            InstanceState::Stopped => b' ',
            InstanceState::Idle if instance.last_work() > before.max(self.ready) => b'b',
            InstanceState::Idle if self.ready > before => b'S',
            InstanceState::Idle => b'.',
        }
    }
}

/// The letters of the ends, by [`Stop`].
const END: [u8; Stop::NAMES.len()] = *b"ETDX";
