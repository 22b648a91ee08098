use std::{cmp::Reverse, collections::VecDeque, time::Duration};

use super::call::CallSummary;
use crate::clock::Moment;

/// The slowest calls of the last minutes, and the latest that failed.
#[derive(Debug, Default)]
pub(crate) struct Notable {
    /// The slowest of each part of the time, oldest part first, with its begin.
    slowest: VecDeque<(Moment, Vec<CallSummary>)>,
    failed: VecDeque<CallSummary>,
    /// Changes with the calls.
    pub(crate) version: u64,
}

const MAX_SLOWEST: usize = 50;
const MAX_FAILED: usize = 100;
/// How long a call is shown.
const SHOWN: Duration = Duration::from_secs(300);
/// The length of a part of that time.
const PART: Duration = Duration::from_secs(30);

impl Notable {
    /// Takes in calls that ended at about this moment.
    pub(super) fn add(&mut self, slowest: &[CallSummary], failed: &[CallSummary], now: Moment) {
        let shown = (self.slowest.len(), self.failed.len());
        while self.slowest.front().is_some_and(|(begin, _)| *begin + SHOWN < now) {
            self.slowest.pop_front();
        }
        self.failed.retain(|call| call.arrived + call.times.total + SHOWN >= now);
        let still = (self.slowest.len(), self.failed.len());
        if slowest.is_empty() && failed.is_empty() && shown == still {
            return;
        }
        self.version += 1;
        if !slowest.is_empty() {
            if self.slowest.back().is_none_or(|(begin, _)| *begin + PART <= now) {
                self.slowest.push_back((now, Vec::new()));
            }
            if let Some((_, part)) = self.slowest.back_mut() {
                part.extend_from_slice(slowest);
                keep_slowest(part);
            }
        }
        self.failed.extend(failed.iter().cloned());
        let surplus = self.failed.len().saturating_sub(MAX_FAILED);
        self.failed.drain(..surplus);
    }

    /// The slowest first.
    pub(crate) fn slowest(&self) -> Vec<&CallSummary> {
        let mut all: Vec<_> = self.slowest.iter().flat_map(|(_, part)| part).collect();
        all.sort_by_key(|call| Reverse(call.times.total));
        all.truncate(MAX_SLOWEST);
        all
    }

    /// The latest first.
    pub(crate) fn failed(&self) -> Vec<&CallSummary> {
        let mut all: Vec<_> = self.failed.iter().collect();
        all.sort_by_key(|call| Reverse(call.arrived + call.times.total));
        all
    }
}

fn keep_slowest(calls: &mut Vec<CallSummary>) {
    if calls.len() > MAX_SLOWEST {
        calls.sort_by_key(|call| Reverse(call.times.total));
        calls.truncate(MAX_SLOWEST);
    }
}
