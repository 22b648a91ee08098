use std::task::Waker;

use super::*;
use crate::{clock::manual::ManualClock, record::InstanceId};

struct Fixture {
    listeners: Arc<Listeners>,
    clock: Clock,
}

fn fixture(capacity: usize) -> Fixture {
    let clock = ManualClock::new().clock();
    let window = Duration::from_secs(20);
    Fixture { listeners: Arc::new(Listeners::new("w".into(), capacity, window)), clock }
}

impl Fixture {
    fn subscribe(&self, node: &str) -> Subscription {
        self.listeners.subscribe(node, VecDeque::new(), &Nodes::default(), &self.clock).unwrap()
    }

    fn emit(&self, kind: EventKind, count: usize) {
        for _ in 0..count {
            self.listeners.emit(Event {
                kind,
                failed: false,
                instance: InstanceId::from_bits(1),
                function: "f".into(),
                at: self.clock.now(),
            });
        }
    }

    fn kept(&self) -> usize {
        self.listeners.state.lock().log.len()
    }
}

/// What can be read now, and why no more can be if it is over.
fn read(subscription: &mut Subscription) -> (Vec<EventKind>, Option<SubscriptionEnd>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut events = Vec::new();
    loop {
        match subscription.poll_next(&mut context) {
            Poll::Ready(Ok(event)) => events.push(event.kind),
            Poll::Ready(Err(end)) => return (events, Some(end)),
            Poll::Pending => return (events, None),
        }
    }
}

#[test]
fn many_listeners_that_never_read_keep_each_event_once() {
    let fixture = fixture(1000);
    let deaf: Vec<_> = (0..MAX_LISTENERS).map(|n| fixture.subscribe(&n.to_string())).collect();
    fixture.emit(EventKind::Start, 500);
    fixture.emit(EventKind::Call, 5000);
    assert_eq!(fixture.kept(), 1500);
    drop(deaf);
}

#[test]
fn a_slow_listener_loses_calls_and_a_fast_one_beside_it_nothing() {
    let fixture = fixture(10);
    let (mut slow, mut fast) = (fixture.subscribe("slow"), fixture.subscribe("fast"));
    let mut heard = 0;
    for _ in 0..100 {
        fixture.emit(EventKind::Call, 1);
        fixture.emit(EventKind::Timeout, 1);
        heard += read(&mut fast).0.len();
    }
    assert_eq!(heard, 200);
    let (events, end) = read(&mut slow);
    let of = |kind| events.iter().filter(|event| **event == kind).count();
    assert_eq!((of(EventKind::Call), of(EventKind::Timeout), end), (10, 100, None));
}

#[test]
fn what_was_read_by_all_is_given_up() {
    let fixture = fixture(10_000);
    let mut listener = fixture.subscribe("a");
    for _ in 0..1000 {
        fixture.emit(EventKind::Start, 1);
        read(&mut listener);
        assert!(fixture.kept() <= TIDY_AT);
    }
    fixture.listeners.housekeeping(fixture.clock.now());
    assert_eq!(fixture.kept(), 0);
}

#[test]
fn a_listener_that_leaves_too_many_events_of_instances_unread_is_disconnected_alone() {
    let fixture = fixture(10);
    let (mut deaf, mut other) = (fixture.subscribe("deaf"), fixture.subscribe("other"));
    fixture.emit(EventKind::Down, 1);
    assert_eq!(read(&mut other).0.len(), 1);
    fixture.emit(EventKind::Down, MAX_BACKLOG);
    assert_eq!(read(&mut deaf), (vec![], Some(SubscriptionEnd::Lagged)));
    assert_eq!(read(&mut other).0.len(), MAX_BACKLOG);
    // Its name is free for a stream that begins anew.
    drop(deaf);
    let mut again = fixture.subscribe("deaf");
    assert_eq!(read(&mut again), (vec![], None));
}

#[test]
fn a_buffer_of_no_events_keeps_no_calls() {
    let fixture = fixture(0);
    let mut listener = fixture.subscribe("a");
    fixture.emit(EventKind::Call, 3);
    fixture.emit(EventKind::Stop, 1);
    assert_eq!(read(&mut listener).0, [EventKind::Stop]);
}

#[test]
fn listeners_that_come_and_go_are_few_and_those_that_are_connected_stay() {
    let fixture = fixture(10);
    let mut stays = fixture.subscribe("stays");
    for number in 0..10 * MAX_LISTENERS {
        drop(fixture.subscribe(&number.to_string()));
    }
    assert_eq!(fixture.listeners.state.lock().listeners.len(), MAX_LISTENERS);
    fixture.emit(EventKind::Stop, 1);
    assert_eq!(read(&mut stays).0, [EventKind::Stop]);
}

#[test]
fn a_closed_worker_ends_its_streams_after_the_last_event() {
    let fixture = fixture(10);
    let mut listener = fixture.subscribe("a");
    fixture.emit(EventKind::Down, 1);
    fixture.listeners.close();
    assert_eq!(read(&mut listener), (vec![EventKind::Down], Some(SubscriptionEnd::Closed)));
}
