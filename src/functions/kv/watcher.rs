use hyperfake_proto::etcd::Event;

use super::{Keys, Place, Refusal};

/// Watches keys. It holds no events: it takes them from the store's history when it is asked, so that a
/// slow one costs nothing, and learns that some are gone when it falls behind what is kept.
#[derive(Debug)]
pub struct Watcher {
    place: Place,
    keys: Keys,
    /// The revision whose changes come next.
    next: i64,
}

/// Changes, all those of their revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The newest revision of the store.
    pub revision: i64,
    /// What changed, oldest first; with what was there before.
    pub events: Vec<Event>,
}

impl Watcher {
    pub(super) fn new(place: Place, keys: Keys, next: i64) -> Self {
        Self { place, keys, next }
    }

    /// The changes that come next; none, when there are none yet.
    ///
    /// # Errors
    ///
    /// `Compacted` when some of them are no longer kept.
    pub fn take(&mut self) -> Result<Batch, Refusal> {
        let state = self.place.0.0.state.lock();
        loop {
            let (events, next) = state.changes(&self.keys, self.next)?;
            self.next = next;
            if !events.is_empty() || next > state.revision {
                return Ok(Batch { revision: state.revision, events });
            }
        }
    }

    /// Waits for changes.
    ///
    /// # Errors
    ///
    /// `Compacted` when some of them are no longer kept, `Closed` when the store is.
    pub async fn changed(&mut self) -> Result<Batch, Refusal> {
        let store = self.place.0.clone();
        let mut newest = store.newest();
        loop {
            let batch = self.take()?;
            if !batch.events.is_empty() {
                return Ok(batch);
            }
            tokio::select! {
                changed = newest.changed() => changed.map_err(|_| Refusal::Closed)?,
                () = store.closed() => return Err(Refusal::Closed),
            }
        }
    }
}
