use std::collections::VecDeque;

use super::Event;

/// The last events of a worker, kept once for all who read them, each with a [`Cursor`] of its own.
///
/// Events of calls are kept apart from the others, so that many calls push out no event of an
/// instance. Reading puts both into the order in which they happened.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    calls: Kept,
    instances: Kept,
    /// The number of the next event.
    next: u64,
}

/// Events of one kind, oldest first, each with its number among all events.
#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<(u64, Event)>,
    /// How many events of this kind there were before the first one that is kept.
    gone: u64,
}

/// What a listener has read: so many events of calls, and so many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    calls: u64,
    instances: u64,
}

impl EventLog {
    pub(super) fn push(&mut self, event: Event) {
        let kept = if event.kind.is_lossy() { &mut self.calls } else { &mut self.instances };
        kept.events.push_back((self.next, event));
        self.next += 1;
    }

    /// How many events are kept.
    pub(super) fn len(&self) -> usize {
        self.calls.events.len() + self.instances.events.len()
    }

    /// The cursor of one who reads what happens from now on.
    pub(super) fn end(&self) -> Cursor {
        Cursor { calls: self.calls.end(), instances: self.instances.end() }
    }

    /// The next event for this cursor, if there is one.
    pub(super) fn read(&self, cursor: &mut Cursor) -> Option<Event> {
        let (call, other) = (self.calls.get(cursor.calls), self.instances.get(cursor.instances));
        let is_call = match (call, other) {
            (Some((call, _)), Some((other, _))) => call < other,
            (call, _) => call.is_some(),
        };
        let (_, event) = if is_call { call? } else { other? };
        *(if is_call { &mut cursor.calls } else { &mut cursor.instances }) += 1;
        Some(event.clone())
    }

    /// Moves this cursor past the events of calls that were gone before it came to them, and returns
    /// how many there were. Do so before it reads on.
    pub(super) fn skip_lost(&self, cursor: &mut Cursor) -> u64 {
        let lost = self.calls.gone.saturating_sub(cursor.calls);
        cursor.calls += lost;
        lost
    }

    /// Whether an event of an instance was gone before this cursor came to it.
    pub(super) fn has_lost_an_instance(&self, cursor: &Cursor) -> bool {
        cursor.instances < self.instances.gone
    }

    /// Gives up the oldest events of calls until there are so many; true if there were more.
    pub(super) fn limit_calls(&mut self, most: usize) -> bool {
        self.calls.limit(most)
    }

    /// Gives up the oldest other events until there are so many; true if there were more.
    pub(super) fn limit_instances(&mut self, most: usize) -> bool {
        self.instances.limit(most)
    }

    /// Gives up what was read by all of these.
    pub(super) fn forget_read(&mut self, readers: impl Iterator<Item = Cursor>) {
        let end = self.end();
        let least = readers.fold(end, |least, cursor| Cursor {
            calls: least.calls.min(cursor.calls),
            instances: least.instances.min(cursor.instances),
        });
        self.calls.limit((end.calls - least.calls) as usize);
        self.instances.limit((end.instances - least.instances) as usize);
    }

    /// Gives back memory that few events need no longer.
    pub(super) fn shrink(&mut self) {
        for kept in [&mut self.calls, &mut self.instances] {
            kept.events.shrink_to(2 * kept.events.len());
        }
    }
}

impl Kept {
    fn end(&self) -> u64 {
        self.gone + self.events.len() as u64
    }

    fn get(&self, number: u64) -> Option<&(u64, Event)> {
        self.events.get(number.checked_sub(self.gone)? as usize)
    }

    fn limit(&mut self, most: usize) -> bool {
        let surplus = self.events.len().saturating_sub(most);
        self.events.drain(..surplus);
        self.gone += surplus as u64;
        surplus > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Moment,
        worker::{EventKind, InstanceId},
    };

    fn log(kinds: &[EventKind]) -> EventLog {
        let mut log = EventLog::default();
        for (number, kind) in kinds.iter().enumerate() {
            log.push(Event {
                kind: *kind,
                failed: false,
                instance: InstanceId::from_bits(1),
                function: "f".into(),
                at: Moment::from_nanos(number as u64),
            });
        }
        log
    }

    const START: Cursor = Cursor { calls: 0, instances: 0 };

    fn read(log: &EventLog, cursor: &mut Cursor) -> Vec<u64> {
        std::iter::from_fn(|| log.read(cursor)).map(|event| event.at.as_nanos()).collect()
    }

    #[test]
    fn everyone_reads_everything_in_the_order_in_which_it_happened() {
        use EventKind::{Call, Response, Start, Timeout};
        let mut log = log(&[Start, Call, Call, Timeout, Response]);
        let (mut one, mut other) = (START, START);
        assert_eq!(read(&log, &mut one), [0, 1, 2, 3, 4]);
        assert_eq!(log.read(&mut other).unwrap().at.as_nanos(), 0);
        log.forget_read([one, other].into_iter());
        assert_eq!(log.len(), 4);
        assert_eq!(read(&log, &mut other), [1, 2, 3, 4]);
        log.forget_read([one, other].into_iter());
        assert_eq!(log.len(), 0);
        assert_eq!(log.end(), one);
    }

    #[test]
    fn many_calls_push_out_the_oldest_calls_and_nothing_else() {
        use EventKind::{Call, Timeout};
        let mut log = log(&[Call, Timeout, Call, Call, Timeout, Call]);
        let mut cursor = START;
        assert!(log.limit_calls(2));
        assert!(!log.limit_calls(2));
        assert_eq!(log.skip_lost(&mut cursor), 2);
        assert_eq!(read(&log, &mut cursor), [1, 3, 4, 5]);
        assert_eq!(log.skip_lost(&mut cursor), 0);
        assert!(!log.has_lost_an_instance(&START));
        assert!(log.limit_instances(1));
        assert!(log.has_lost_an_instance(&START) && !log.has_lost_an_instance(&cursor));
    }
}
