//! Peers: the clients of one address.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

/// Something for each peer.
pub(super) type ByPeer<T> = HashMap<IpAddr, T>;

/// Places for connections. One peer gets at most three quarters of them.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    peers: ByPeer<usize>,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    peer: IpAddr,
}

/// How many connections there may be, and who has as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    Peer(usize),
    All(usize),
}

impl Room {
    /// A place among at most this many.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr, most: usize) -> Result<Place, NoPlace> {
        let mut taken = self.0.lock();
        if taken.all >= most {
            return Err(NoPlace::All(most));
        }
        let share = most - most / 4;
        let of_peer = taken.peers.entry(peer).or_default();
        if *of_peer >= share {
            return Err(NoPlace::Peer(share));
        }
        *of_peer += 1;
        taken.all += 1;
        Ok(Place { room: Arc::clone(self), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.0.lock();
        taken.all -= 1;
        if let Some(of_peer) = taken.peers.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_gets_three_quarters_of_the_places() {
        let room = Arc::new(Room::default());
        let [first, second] = ["10.0.0.1", "10.0.0.2"].map(|peer| peer.parse().unwrap());
        let places: Vec<_> = (0..6).map(|_| room.enter(first, 8).unwrap()).collect();
        assert_eq!(room.enter(first, 8).unwrap_err(), NoPlace::Peer(6));
        let others = [room.enter(second, 8).unwrap(), room.enter(second, 8).unwrap()];
        assert_eq!(room.enter(second, 8).unwrap_err(), NoPlace::All(8));
        drop((places, others));
        assert!(room.0.lock().peers.is_empty());
        assert_eq!(room.0.lock().all, 0);
    }
}
