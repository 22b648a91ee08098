//! The memory that clients hold by what they send and do not finish, and by what they do not read.
//!
//! There is one account for each connection. It has an allowance of its own, so that a few small
//! requests are served whatever other clients hold. What it holds beyond that counts for its peer,
//! which is the client's address, and for the whole process. Neither a connection nor a peer can
//! take everything: there is a share for each of them.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::Status;

use super::peers::ByPeer;
use crate::wire::status::Limit;

/// What a request counts until it has arrived completely, beside its message: what HTTP/2, its
/// headers and its task take. The same counts for an answer until it is sent.
pub(super) const REQUEST_BYTES: usize = 5 << 10;
/// What an answer of many messages counts while it waits for its next one.
pub(super) const STREAM_BYTES: usize = 16 << 10;
/// What a connection may hold before it counts for others.
const ALLOWANCE: usize = 32 << 10;
/// A connection asks for more in steps of this, so that most requests change no shared number.
const BLOCK: usize = 64 << 10;
/// A running call may keep this much of its request without counting it: less than what the call
/// itself takes, or little more.
const SMALL: usize = 4 << 10;

/// The most that each party may hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// All clients.
    all: usize,
    /// One peer.
    peer: usize,
    /// One connection, beside its allowance.
    connection: usize,
}

/// What all clients hold beyond the allowances of their connections.
#[derive(Debug)]
pub(super) struct Budget {
    shares: Shares,
    held: AtomicUsize,
    peers: Mutex<ByPeer<usize>>,
}

/// What a connection holds.
#[derive(Debug, Clone)]
pub struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: Arc<Budget>,
    peer: IpAddr,
    held: AtomicUsize,
    /// What may be held now: the allowance and what was granted beyond it.
    granted: AtomicUsize,
    /// Set by a request, and read by the connection's task.
    is_cut: AtomicBool,
}

/// A part of what a connection holds, given back when it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub(super) struct Charge {
    account: Account,
    bytes: usize,
}

/// Who holds as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Connection(usize),
    Peer(usize),
    All(usize),
}

impl Shares {
    /// The shares of a total. Half of it is for one connection and three quarters for one peer, or
    /// more if a message of the largest size needs more.
    pub(super) fn of(all: usize, largest_message: usize) -> Self {
        let least = largest_message.min(all);
        Self { all, peer: (all - all / 4).max(least), connection: (all / 2).max(least) }
    }
}

impl Budget {
    pub(super) fn new(shares: Shares) -> Arc<Self> {
        Arc::new(Self { shares, held: AtomicUsize::new(0), peers: Mutex::default() })
    }

    /// Takes this much for a peer.
    fn take(&self, peer: IpAddr, bytes: usize) -> Result<(), Full> {
        let mut peers = self.peers.lock();
        let of_peer = peers.get(&peer).copied().unwrap_or(0) + bytes;
        let of_all = self.held.load(Relaxed) + bytes;
        if of_all > self.shares.all {
            return Err(Full::All(self.shares.all));
        }
        if of_peer > self.shares.peer {
            return Err(Full::Peer(self.shares.peer));
        }
        self.held.store(of_all, Relaxed);
        peers.insert(peer, of_peer);
        Ok(())
    }

    fn give_back(&self, peer: IpAddr, bytes: usize) {
        let mut peers = self.peers.lock();
        self.held.fetch_sub(bytes, Relaxed);
        if let Some(of_peer) = peers.get_mut(&peer) {
            *of_peer -= bytes;
            if *of_peer == 0 {
                peers.remove(&peer);
            }
        }
    }
}

impl Account {
    pub(super) fn new(budget: &Arc<Budget>, peer: IpAddr) -> Self {
        let budget = Arc::clone(budget);
        let (held, granted) = (AtomicUsize::new(0), AtomicUsize::new(ALLOWANCE));
        Self(Arc::new(Inner { budget, peer, held, granted, is_cut: AtomicBool::new(false) }))
    }

    /// Closes the connection when the service answers the request, whose answer is not sent.
    pub fn cut(&self) {
        self.0.is_cut.store(true, Relaxed);
    }

    /// Whether the connection is to be closed before anything else is read or written.
    pub(super) fn is_cut(&self) -> bool {
        self.0.is_cut.load(Relaxed)
    }

    /// These bytes of a request, counted for as long as a service keeps them. A few bytes are not
    /// counted.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the client holds too much.
    pub fn keep(&self, data: Bytes) -> Result<Bytes, Status> {
        if data.len() <= SMALL {
            return Ok(data);
        }
        Ok(self.hold(data, 0)?)
    }

    /// These bytes, counted until their last copy is dropped, and this much with them.
    pub(super) fn hold(&self, data: Bytes, beside: usize) -> Result<Bytes, Full> {
        let charge = self.charge(data.len() + beside)?;
        Ok(Bytes::from_owner(Held { data, _charge: charge }))
    }

    pub(super) fn charge(&self, bytes: usize) -> Result<Charge, Full> {
        self.add(bytes)?;
        Ok(Charge { account: self.clone(), bytes })
    }

    /// A charge of nothing, which can grow.
    pub(super) fn nothing(&self) -> Charge {
        Charge { account: self.clone(), bytes: 0 }
    }

    fn add(&self, bytes: usize) -> Result<(), Full> {
        let inner = &*self.0;
        let held = inner.held.fetch_add(bytes, Relaxed) + bytes;
        if held <= inner.granted.load(Relaxed) {
            return Ok(());
        }
        let granted = inner.ask(held);
        if granted.is_err() {
            inner.held.fetch_sub(bytes, Relaxed);
        }
        granted
    }

    fn remove(&self, bytes: usize) {
        let inner = &*self.0;
        let held = inner.held.fetch_sub(bytes, Relaxed) - bytes;
        let granted = inner.granted.load(Relaxed);
        if granted > ALLOWANCE && held < granted / 4 {
            inner.shrink();
        }
    }
}

impl Inner {
    /// Asks for as much as is held, rounded up if that is possible.
    #[cold]
    fn ask(&self, held: usize) -> Result<(), Full> {
        let Budget { shares, .. } = *self.budget;
        let granted = self.granted.load(Relaxed);
        let Some(missing) = held.checked_sub(granted) else { return Ok(()) };
        let room = (shares.connection + ALLOWANCE).saturating_sub(granted);
        if missing > room {
            return Err(Full::Connection(shares.connection));
        }
        let rounded = missing.next_multiple_of(BLOCK).min(room);
        let more = match self.budget.take(self.peer, rounded) {
            Ok(()) => rounded,
            Err(_) => self.budget.take(self.peer, missing).map(|()| missing)?,
        };
        self.granted.fetch_add(more, Relaxed);
        Ok(())
    }

    /// Gives back most of what is not held any more.
    #[cold]
    fn shrink(&self) {
        let keep = (2 * self.held.load(Relaxed)).max(ALLOWANCE);
        let shrunk =
            self.granted.fetch_update(Relaxed, Relaxed, |granted| (granted > keep).then_some(keep));
        if let Ok(granted) = shrunk {
            self.budget.give_back(self.peer, granted - keep);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let granted = *self.granted.get_mut() - ALLOWANCE;
        if granted > 0 {
            self.budget.give_back(self.peer, granted);
        }
    }
}

impl Charge {
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Full> {
        self.account.add(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back a part, or all if it is less.
    pub(super) fn remove(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.account.remove(bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.remove(self.bytes);
    }
}

/// Data and what they count.
struct Held {
    data: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl From<Full> for Status {
    fn from(full: Full) -> Self {
        let (who, most) = match full {
            Full::Connection(most) => ("this connection", most),
            Full::Peer(most) => ("the connections of this client", most),
            Full::All(most) => ("all clients", most),
        };
        let message = format!(
            "too many bytes of requests that have not arrived whole and of answers that were not \
             read, at most {most} for {who}"
        );
        Limit::InflightBytes.exceeded(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MEBIBYTE: usize = 1 << 20;

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// Charges in small steps until no more fits.
    fn fill(account: &Account) -> (Vec<Charge>, Full) {
        let mut charges = Vec::new();
        loop {
            match account.charge(10_000) {
                Ok(charge) => charges.push(charge),
                Err(full) => return (charges, full),
            }
        }
    }

    fn held(charges: &[Charge]) -> usize {
        charges.iter().map(Charge::bytes).sum()
    }

    #[test]
    fn neither_a_connection_nor_a_peer_takes_everything() {
        let budget = Budget::new(Shares::of(8 * MEBIBYTE, MEBIBYTE));
        let accounts = [1, 1, 1, 2].map(|number| Account::new(&budget, peer(number)));
        let [first, second, third, other] = &accounts;
        let (of_first, full) = fill(first);
        assert_eq!(full, Full::Connection(4 * MEBIBYTE));
        assert!((4 * MEBIBYTE - 10_000..=4 * MEBIBYTE + ALLOWANCE).contains(&held(&of_first)));
        let (of_second, full) = fill(second);
        assert_eq!(full, Full::Peer(6 * MEBIBYTE));
        assert!(held(&of_second) >= 2 * MEBIBYTE - 10_000);
        // A third connection has its allowance, and another peer what is left.
        assert_eq!(fill(third).0.len(), ALLOWANCE / 10_000);
        let (of_other, full) = fill(other);
        assert_eq!(full, Full::All(8 * MEBIBYTE));
        assert!(held(&of_other) >= 2 * MEBIBYTE - 10_000);
        // What was given back can be taken again.
        drop(of_first);
        assert_eq!(fill(second).1, Full::Connection(4 * MEBIBYTE));
        drop((of_second, of_other));
        assert_eq!(budget.held.load(Relaxed), 0);
        assert!(budget.peers.lock().is_empty());
    }

    #[test]
    fn one_message_of_the_largest_size_has_room_in_every_share() {
        for limit in [64 << 10, 100_000, MEBIBYTE, 5 * MEBIBYTE] {
            let account = Account::new(&Budget::new(Shares::of(limit, limit)), peer(1));
            let _whole = account.charge(limit + 5 + REQUEST_BYTES).unwrap();
        }
    }

    proptest! {
        #[test]
        fn what_is_granted_covers_what_is_held_and_goes_back(
            steps in prop::collection::vec((0..3usize, any::<bool>(), 0..300_000usize), 0..200),
        ) {
            let budget = Budget::new(Shares::of(4 * MEBIBYTE, MEBIBYTE));
            let mut held = [1, 1, 2].map(|number| (Account::new(&budget, peer(number)), vec![]));
            for (which, takes, bytes) in steps {
                let (account, charges) = &mut held[which];
                if takes {
                    charges.extend(account.charge(bytes).ok());
                } else {
                    charges.pop();
                }
                let granted = account.0.granted.load(Relaxed);
                prop_assert!(granted >= self::held(charges));
                prop_assert_eq!(account.0.held.load(Relaxed), self::held(charges));
                let all: usize = held.iter().map(|(account, _)| account.0.granted.load(Relaxed)).sum();
                prop_assert_eq!(all - 3 * ALLOWANCE, budget.held.load(Relaxed));
            }
            drop(held);
            prop_assert_eq!(budget.held.load(Relaxed), 0);
        }
    }
}
