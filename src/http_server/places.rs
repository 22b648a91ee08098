//! Places for connections: so many in all, and so many for a peer.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The places of a side.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_of_a_peer: usize,
    taken: Mutex<Vec<Arc<Taken>>>,
    /// The number of the next event: a connection that comes, or a request that is answered.
    next: AtomicU64,
}

#[derive(Debug)]
struct Taken {
    peer: IpAddr,
    /// When the connection was of use last: the number of that event.
    used: AtomicU64,
    answered: AtomicU64,
    lost: CancellationToken,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    taken: Arc<Taken>,
}

/// Says that a connection is of use, for as long as the connection or an answer of it lives.
#[derive(Debug)]
pub(super) struct Used {
    places: Arc<Places>,
    taken: Arc<Taken>,
}

/// Connections on which nothing was answered are many when they are more than this part of a peer's.
const SILENT: usize = 4;

impl Places {
    pub(super) fn new(most: usize, most_of_a_peer: usize) -> Arc<Self> {
        let (taken, next) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { most, most_of_a_peer, taken, next })
    }

    /// Takes a place. If there is none, a connection of this peer, or of the peer that has most, loses
    /// its own: the oldest of those on which nothing was answered yet, if they are many, and else the
    /// one that was of use the longest ago.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Place {
        let (used, answered) = (AtomicU64::new(self.now()), AtomicU64::new(0));
        let new = Arc::new(Taken { peer, used, answered, lost: CancellationToken::new() });
        let mut taken = self.taken.lock();
        let of = |peer| taken.iter().filter(|place| place.peer == peer).count();
        let gives_way = if of(peer) >= self.most_of_a_peer {
            Some(peer)
        } else if taken.len() >= self.most {
            taken.iter().map(|place| place.peer).max_by_key(|peer| of(*peer))
        } else {
            None
        };
        let of_it = || taken.iter().enumerate().filter(|(_, place)| Some(place.peer) == gives_way);
        // A few have just come, and will be of use.
        let few = self.most_of_a_peer / SILENT;
        let silent = of_it().filter(|(_, place)| place.is_silent()).count();
        let gives_way = of_it().filter(|(_, place)| silent <= few || place.is_silent());
        let oldest = gives_way.min_by_key(|(_, place)| place.used.load(Ordering::Relaxed));
        if let Some(index) = oldest.map(|(index, _)| index) {
            taken.swap_remove(index).lost.cancel();
        }
        taken.push(Arc::clone(&new));
        Place { places: Arc::clone(self), taken: Arc::clone(&new) }
    }

    fn now(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Taken {
    fn is_silent(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == 0
    }
}

impl Used {
    /// A request of the connection is answered, or a part of the answer is sent.
    pub(super) fn answer(&self) {
        self.taken.used.store(self.places.now(), Ordering::Relaxed);
        self.taken.answered.fetch_add(1, Ordering::Relaxed);
    }
}

impl Place {
    /// Says that the connection is of use.
    pub(super) fn used(&self) -> Used {
        Used { places: Arc::clone(&self.places), taken: Arc::clone(&self.taken) }
    }

    /// How many requests and parts of answers were answered.
    pub(super) fn answered(&self) -> u64 {
        self.taken.answered.load(Ordering::Relaxed)
    }

    /// Waits until another connection has the place.
    pub(super) async fn lost(&self) {
        self.taken.lost.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().retain(|place| !Arc::ptr_eq(place, &self.taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.taken.lost.is_cancelled()
    }

    #[test]
    fn the_place_that_was_of_use_the_longest_ago_is_given_to_the_next_connection() {
        let places = Places::new(10, 2);
        let peer = IpAddr::from([10, 0, 0, 1]);
        let (first, second) = (places.enter(peer), places.enter(peer));
        first.used().answer();
        let third = places.enter(peer);
        assert_eq!([&first, &second, &third].map(is_lost), [false, true, false]);
        drop((first, second));
        let fourth = places.enter(peer);
        assert_eq!([&third, &fourth].map(is_lost), [false, false]);
    }

    #[test]
    fn connections_that_are_of_use_stay_when_others_of_their_peer_send_nothing() {
        let places = Places::new(64, 32);
        let peer = IpAddr::from([10, 0, 0, 1]);
        let readers: Vec<_> = (0..16).map(|_| places.enter(peer)).collect();
        readers.iter().for_each(|reader| reader.used().answer());
        let silent: Vec<_> = (0..40).map(|_| places.enter(peer)).collect();
        assert!(!readers.iter().any(is_lost));
        // The oldest go first, so that one that has just come has time to ask.
        let lost: Vec<_> = silent.iter().map(is_lost).collect();
        assert_eq!(lost, [vec![true; 24], vec![false; 16]].concat());
    }

    #[test]
    fn the_peer_with_most_connections_gives_way_to_the_others() {
        let places = Places::new(4, 3);
        let peer = |last| IpAddr::from([10, 0, 0, last]);
        let few = places.enter(peer(1));
        let many = [places.enter(peer(2)), places.enter(peer(2)), places.enter(peer(2))];
        let new = places.enter(peer(3));
        assert_eq!(
            [&few, &many[0], &many[1], &many[2], &new].map(is_lost),
            [false, true, false, false, false]
        );
    }
}
