use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use super::{Deletions, FunctionSpec, FunctionStore, Lookup, StoreError};
use crate::clock::{Moment, Throttle, precise};

/// Look-ups in a store outside: those for one id share an answer, few are under way at once, and that a
/// function is unknown is remembered for a moment. However many starts a client sends, the store gets
/// a few connections.
#[derive(Debug)]
pub struct LookUps<S> {
    store: S,
    /// What the store is called in errors.
    address: String,
    /// Starts on any thread look up functions.
    under_way: Mutex<HashMap<Arc<str>, Arc<OnceCell<Answer>>>>,
    permits: Semaphore,
    misses: Mutex<Misses>,
}

/// The functions that a store did not know a moment ago, and until when that is remembered.
#[derive(Debug, Default)]
struct Misses {
    until: HashMap<Arc<str>, Moment>,
    /// The same, in the order in which they are forgotten.
    order: VecDeque<(Moment, Arc<str>)>,
}

type Answer = Result<Option<FunctionSpec>, StoreError>;

/// Look-ups that the store is asked at once.
const AT_ONCE: usize = 64;
/// Look-ups that are under way or wait for their turn.
const MOST: usize = 4096;
/// How long a look-up waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is remembered that a function is unknown, and of how many functions.
const REMEMBERED: Duration = Duration::from_secs(1);
const MISSES: usize = 10_000;
/// When the last warning of a store that does not answer was logged.
static WARNINGS: Throttle = Throttle::every(Duration::from_secs(1));

impl<S: FunctionStore> LookUps<S> {
    /// Of this store, which errors call by its address.
    pub fn new(store: S, address: impl Into<String>) -> Self {
        Self {
            store,
            address: address.into(),
            under_way: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
            misses: Mutex::default(),
        }
    }

    async fn look_up(&self, id: &str) -> Answer {
        if self.was_missed(id, precise::now()) {
            return Ok(None);
        }
        let shared = self.share(id)?;
        shared.cell.get_or_init(|| self.ask(id)).await.clone()
    }

    async fn ask(&self, id: &str) -> Answer {
        let turn = tokio::time::timeout(PATIENCE, self.permits.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(self.too_many(AT_ONCE)) };
        let answer = self.store.lookup(id).await;
        if let Err(error) = &answer
            && WARNINGS.is_due(precise::now())
        {
            // Clients are not told where the store is.
            tracing::warn!(%error, "cannot look up functions");
        }
        if matches!(answer, Ok(None)) {
            self.miss(id, precise::now());
        }
        answer
    }

    /// Joins the look-up of this id, or begins it.
    fn share<'a>(&'a self, id: &'a str) -> Result<Shared<'a, S>, StoreError> {
        let mut under_way = self.under_way.lock();
        if let Some(cell) = under_way.get(id) {
            return Ok(Shared { lookups: self, id, cell: Arc::clone(cell) });
        }
        if under_way.len() >= MOST {
            return Err(self.too_many(MOST));
        }
        let cell = Arc::default();
        under_way.insert(id.into(), Arc::clone(&cell));
        Ok(Shared { lookups: self, id, cell })
    }

    fn too_many(&self, number: usize) -> StoreError {
        let reason = format!("has not answered {number} look-ups yet: try again later");
        StoreError { address: self.address.clone(), reason }
    }

    fn was_missed(&self, id: &str, now: Moment) -> bool {
        self.misses.lock().until.get(id).is_some_and(|until| now < *until)
    }

    fn miss(&self, id: &str, now: Moment) {
        let Misses { until, order } = &mut *self.misses.lock();
        while let Some((_, forgotten)) = order.pop_front_if(|(until, _)| *until <= now) {
            // It may have been missed again since.
            if until.get(&forgotten).is_some_and(|until| *until <= now) {
                until.remove(&forgotten);
            }
        }
        if order.len() < MISSES {
            let id: Arc<str> = id.into();
            until.insert(Arc::clone(&id), now + REMEMBERED);
            order.push_back((now + REMEMBERED, id));
        }
    }
}

/// A part in the look-up of an id.
struct Shared<'a, S> {
    lookups: &'a LookUps<S>,
    id: &'a str,
    cell: Arc<OnceCell<Answer>>,
}

/// The look-up is over when it was answered, and when no start waits for it any more.
impl<S> Drop for Shared<'_, S> {
    fn drop(&mut self) {
        let mut under_way = self.lookups.under_way.lock();
        // The map has one, and parts are only added under its lock.
        let is_last = Arc::strong_count(&self.cell) == 2;
        let is_this = |cell: &Arc<_>| Arc::ptr_eq(cell, &self.cell);
        if (is_last || self.cell.initialized()) && under_way.get(self.id).is_some_and(is_this) {
            under_way.remove(self.id);
        }
    }
}

impl<S: FunctionStore> FunctionStore for LookUps<S> {
    fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
        Box::pin(self.look_up(id))
    }

    fn deletions(&self) -> Deletions {
        self.store.deletions()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A store that answers when it is told to.
    #[derive(Debug)]
    struct Slow {
        asked: AtomicUsize,
        at_once: AtomicUsize,
        most_at_once: AtomicUsize,
        go: Semaphore,
    }

    impl Slow {
        fn new(answers: usize) -> Arc<Self> {
            let zero = || AtomicUsize::new(0);
            let (asked, at_once, most_at_once) = (zero(), zero(), zero());
            Arc::new(Self { asked, at_once, most_at_once, go: Semaphore::new(answers) })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    impl FunctionStore for Slow {
        fn lookup<'a>(&'a self, id: &'a str) -> Lookup<'a> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
                self.most_at_once.fetch_max(at_once, Ordering::Relaxed);
                self.go.acquire().await.unwrap().forget();
                self.at_once.fetch_sub(1, Ordering::Relaxed);
                let spec = FunctionSpec { image: id.into(), ..FunctionSpec::default() };
                Ok(id.starts_with("known").then_some(spec))
            })
        }
    }

    fn spawn(lookups: &Arc<LookUps<Arc<Slow>>>, id: String) -> tokio::task::JoinHandle<Answer> {
        let lookups = Arc::clone(lookups);
        tokio::spawn(async move { lookups.lookup(&id).await })
    }

    async fn until_asked(store: &Slow, number: usize) {
        while store.asked() < number {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn look_ups_of_one_id_are_one_question_even_when_the_first_is_given_up() {
        let store = Slow::new(0);
        let lookups = Arc::new(LookUps::new(Arc::clone(&store), "test"));
        let first = spawn(&lookups, "known".into());
        until_asked(&store, 1).await;
        let others: Vec<_> = (0..100).map(|_| spawn(&lookups, "known".into())).collect();
        tokio::task::yield_now().await;
        assert_eq!(store.asked(), 1);
        first.abort();
        until_asked(&store, 2).await;
        store.go.add_permits(1);
        for other in others {
            assert_eq!(other.await.unwrap().unwrap().unwrap().image, "known");
        }
        assert_eq!(store.asked(), 2);
        assert!(lookups.under_way.lock().is_empty());
        // A function that was found is asked for again: a worker remembers it itself.
        store.go.add_permits(1);
        assert!(lookups.lookup("known").await.unwrap().is_some());
        assert_eq!(store.asked(), 3);
    }

    #[tokio::test]
    async fn what_everyone_gave_up_leaves_nothing() {
        let store = Slow::new(0);
        let lookups = Arc::new(LookUps::new(Arc::clone(&store), "test"));
        let given_up: Vec<_> = (0..3).map(|_| spawn(&lookups, "known".into())).collect();
        until_asked(&store, 1).await;
        for task in given_up {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert!(lookups.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn a_store_is_asked_few_things_at_once_and_no_more_than_so_many_wait() {
        let store = Slow::new(0);
        let lookups = Arc::new(LookUps::new(Arc::clone(&store), "test"));
        let waiting: Vec<_> =
            (0..MOST).map(|number| spawn(&lookups, format!("known {number}"))).collect();
        until_asked(&store, AT_ONCE).await;
        while lookups.under_way.lock().len() < MOST {
            tokio::task::yield_now().await;
        }
        let error = lookups.lookup("one more").await.unwrap_err().to_string();
        assert!(error.contains("has not answered 4096 look-ups yet"), "{error}");
        store.go.add_permits(MOST);
        for task in waiting {
            assert!(task.await.unwrap().unwrap().is_some());
        }
        assert_eq!(store.most_at_once.load(Ordering::Relaxed), AT_ONCE);
        assert!(lookups.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn an_unknown_function_is_not_asked_for_again_for_a_moment() {
        let store = Slow::new(2);
        let lookups = LookUps::new(Arc::clone(&store), "test");
        for _ in 0..100 {
            assert!(lookups.lookup("nobody").await.unwrap().is_none());
        }
        assert_eq!(store.asked(), 1);
        let later = precise::now() + REMEMBERED;
        assert!(!lookups.was_missed("nobody", later));
        for number in 0..2 * MISSES {
            lookups.miss(&number.to_string(), later);
        }
        assert_eq!(lookups.misses.lock().until.len(), MISSES);
        lookups.miss("one more", later + REMEMBERED);
        assert_eq!(lookups.misses.lock().until.len(), 1);
    }
}
