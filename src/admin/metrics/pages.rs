use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use axum::body::Bytes;
use parking_lot::Mutex;

use crate::{
    admin::cache,
    clock::{Clock, Moment},
};

/// The pages that were made, of `FORMS` forms: the latest of each, and those that clients still read.
///
/// A page may be large, and a client may take it slowly. So only a few are in memory at a time: as long
/// as older ones are read, the latest is served for longer.
#[derive(Debug)]
pub(super) struct Pages<const FORMS: usize>(Mutex<Made<FORMS>>);

#[derive(Debug)]
struct Made<const FORMS: usize> {
    latest: [Option<Latest>; FORMS],
    /// Every page that is in memory, of all forms.
    all: Vec<Weak<String>>,
}

#[derive(Debug)]
struct Latest {
    page: Arc<String>,
    /// When it was made, and until when no newer one is made.
    made: Moment,
    until: Moment,
}

/// A page on its way to a client.
struct Sent(Arc<String>);

/// The most pages that are in memory.
const MOST: usize = 4;
/// The latest page is not served after this time: old numbers would look like those of now.
const OLDEST: Duration = Duration::from_secs(10);

impl<const FORMS: usize> Pages<FORMS> {
    pub(super) fn new() -> Self {
        let latest = [const { None }; FORMS];
        Self(Mutex::new(Made { latest, all: Vec::new() }))
    }

    /// The latest page of a form, or a new one; nothing if clients hold as many as may be in memory and
    /// the latest is too old.
    pub(super) fn get(
        &self,
        form: usize,
        clock: &Clock,
        make: impl FnOnce() -> String,
    ) -> Option<Bytes> {
        let Made { latest, all } = &mut *self.0.lock();
        let latest = &mut latest[form];
        let begin = clock.now();
        if let Some(latest) = latest.as_ref().filter(|latest| begin < latest.until) {
            return Some(latest.sent());
        }
        all.retain(|page| page.strong_count() > 0);
        let is_read = |latest: &Latest| Arc::strong_count(&latest.page) > 1;
        // One that no client reads makes room.
        let surplus = usize::from(latest.as_ref().is_some_and(|latest| !is_read(latest)));
        if all.len() - surplus >= MOST {
            let latest = latest.as_ref().filter(|latest| begin < latest.made + OLDEST);
            return latest.map(Latest::sent);
        }
        *latest = None;
        let page = Arc::new(make());
        let end = clock.now();
        all.push(Arc::downgrade(&page));
        let until = end + cache::kept(end - begin);
        Some(latest.insert(Latest { page, made: begin, until }).sent())
    }
}

impl Latest {
    fn sent(&self) -> Bytes {
        Bytes::from_owner(Sent(Arc::clone(&self.page)))
    }
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_more_than_four_pages_are_in_memory_however_slowly_clients_read() {
        let hand = ManualClock::new();
        let (clock, pages) = (hand.clock(), Pages::<2>::new());
        let get = |form, number: usize| {
            let page = pages.get(form, &clock, || {
                hand.advance(SECOND / 100);
                number.to_string()
            });
            page.map(|page| String::from_utf8(page.to_vec()).unwrap().parse::<usize>().unwrap())
        };
        let held: Vec<_> = (0..4)
            .map(|number| {
                hand.advance(SECOND);
                pages.get(0, &clock, || number.to_string()).unwrap()
            })
            .collect();
        hand.advance(SECOND);
        assert_eq!(get(0, 4), Some(3), "the latest is served for longer");
        assert_eq!(get(1, 4), None, "there is none of the other form, and no room");
        hand.advance(OLDEST);
        assert_eq!(get(0, 5), None, "it is too old");
        drop(held);
        assert_eq!(get(1, 6), Some(6));
        assert_eq!(get(0, 7), Some(7));
        // All their readers are done: each makes room for the next.
        for number in 8..20 {
            hand.advance(SECOND);
            assert_eq!(get(number % 2, number), Some(number));
        }
        assert!(pages.0.lock().all.len() <= MOST);
    }

    #[test]
    fn all_clients_of_a_moment_share_one_page() {
        let hand = ManualClock::new();
        let (clock, pages) = (hand.clock(), Pages::<1>::new());
        let make = || {
            hand.advance(SECOND);
            "page".to_owned()
        };
        let first = pages.get(0, &clock, make).unwrap();
        let second = pages.get(0, &clock, || unreachable!("it is kept")).unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr());
    }
}
