use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::clock::{Clock, Moment};

/// The nodes that listen to the worker's events, or did a while ago.
///
/// A request to start an instance does not say who asks. An instance can only belong to a node that
/// listened when it was made, as leaves listen before they start anything; when all of those are
/// gone for good, no node will ever stop it.
#[derive(Debug, Default)]
pub(super) struct Nodes(Arc<Mutex<Vec<Node>>>);

#[derive(Debug)]
struct Node {
    name: String,
    first_seen: Moment,
    /// Its open streams.
    streams: usize,
    /// When the last one ended.
    left: Moment,
}

/// The instances that were made in this time have lost all nodes that they can belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orphaned {
    from: Moment,
    /// `None` when no node is there.
    until: Option<Moment>,
}

/// A node whose stream breaks may start instances before it listens again.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
/// The most nodes that are remembered, so that no client can fill the memory with names.
const MAX_NODES: usize = 1024;

impl Nodes {
    /// A node opens a stream.
    pub(super) fn arrive(&self, name: &str, clock: &Clock) -> Presence {
        let now = clock.now();
        let mut nodes = self.0.lock();
        if let Some(node) = nodes.iter_mut().find(|node| node.name == name) {
            node.streams += 1;
        } else {
            if nodes.len() >= MAX_NODES {
                let gone = nodes.iter().enumerate().filter(|(_, node)| node.streams == 0);
                if let Some((oldest, _)) = gone.min_by_key(|(_, node)| node.left) {
                    nodes.swap_remove(oldest);
                }
            }
            nodes.push(Node { name: name.to_owned(), first_seen: now, streams: 1, left: now });
        }
        Presence { nodes: Arc::clone(&self.0), name: name.to_owned(), clock: clock.clone() }
    }

    /// Forgets the nodes that left longer than `absence` ago, and returns what they leave behind.
    pub(super) fn forget(&self, absence: Duration, now: Moment) -> Option<Orphaned> {
        let mut nodes = self.0.lock();
        let mut first_gone = None;
        nodes.retain(|node| {
            let stays = node.streams > 0 || now - node.left <= absence;
            if !stays {
                let first = first_gone.get_or_insert(node.first_seen);
                *first = node.first_seen.min(*first);
            }
            stays
        });
        let until = nodes.iter().map(|node| node.first_seen).min();
        first_gone.map(|from| Orphaned { from, until })
    }
}

impl Orphaned {
    /// Whether an instance that was made at this moment belongs to no node any more.
    pub(super) fn includes(self, created: Moment) -> bool {
        let last = created + LISTENS_WITHIN;
        self.from <= last && self.until.is_none_or(|until| until > last)
    }
}

/// An open stream of a node.
#[derive(Debug)]
pub(super) struct Presence {
    nodes: Arc<Mutex<Vec<Node>>>,
    name: String,
    clock: Clock,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let now = self.clock.now();
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.iter_mut().find(|node| node.name == self.name) {
            node.streams = node.streams.saturating_sub(1);
            node.left = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn instances_are_orphaned_when_every_node_that_can_own_them_is_gone() {
        let hand = ManualClock::new();
        let (clock, nodes) = (hand.clock(), Nodes::default());
        let early = clock.now();
        hand.advance(10 * MINUTE);
        let first = nodes.arrive("first", &clock);
        let again = nodes.arrive("first", &clock);
        hand.advance(MINUTE);
        let of_first = clock.now();
        drop(first);
        hand.advance(10 * MINUTE);
        assert_eq!(nodes.forget(5 * MINUTE, clock.now()), None, "one stream is still open");
        let second = nodes.arrive("second", &clock);
        let of_both = clock.now();
        drop(again);
        hand.advance(5 * MINUTE);
        assert_eq!(nodes.forget(5 * MINUTE, clock.now()), None, "it may still come back");
        hand.advance(MINUTE);
        let orphaned = nodes.forget(5 * MINUTE, clock.now()).unwrap();
        assert!(orphaned.includes(of_first));
        assert!(!orphaned.includes(of_both), "the second node listens");
        assert!(!orphaned.includes(early), "nobody listened: the owner is unknown");
        assert_eq!(nodes.forget(5 * MINUTE, clock.now()), None, "it was told once");
        drop(second);
        hand.advance(6 * MINUTE);
        assert!(nodes.forget(5 * MINUTE, clock.now()).unwrap().includes(of_both));
    }

    #[test]
    fn a_node_that_comes_back_keeps_its_instances() {
        let hand = ManualClock::new();
        let (clock, nodes) = (hand.clock(), Nodes::default());
        drop(nodes.arrive("leaf", &clock));
        hand.advance(4 * MINUTE);
        drop(nodes.arrive("leaf", &clock));
        hand.advance(4 * MINUTE);
        assert_eq!(nodes.forget(5 * MINUTE, clock.now()), None);
    }
}
