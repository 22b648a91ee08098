use std::{
    collections::{HashMap, VecDeque},
    hash::BuildHasher,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::function::{Function, FunctionInfo, Load, Numbers};
use crate::{clock::Moment, scenario::Draws};

/// How long a function without instances is kept.
const IDLE_FUNCTIONS_STAY: Duration = Duration::from_secs(300);
/// The most functions without instances that are kept: no client can fill the memory with functions
/// that it starts once.
const MAX_IDLE_FUNCTIONS: usize = 10_000;
/// The most forgotten functions whose numbers are remembered.
const MAX_REMEMBERED: usize = 100_000;

/// Forgets functions that have had no instance for a while, the oldest first when there are many.
///
/// A forgotten function is as one that was never started here, but for its numbers: when it is
/// started again, its instances and calls go on to be counted where they ended, so that no id and no
/// draw comes twice. The numbers of the functions that were forgotten last are remembered, and one
/// that was forgotten long before begins anew.
#[derive(Debug, Default)]
pub(super) struct Forgetting {
    /// Starts read, so that no function is forgotten between being found and having its instance.
    starts: RwLock<()>,
    idle: Mutex<Idle>,
}

/// While it lives, no function is forgotten.
pub(super) type Kept<'a> = RwLockReadGuard<'a, ()>;

#[derive(Debug, Default)]
struct Idle {
    /// Functions that may have no instances, and since when; each is here once. It is looked at when
    /// its time is over.
    functions: VecDeque<(Moment, Arc<str>)>,
    /// The numbers of forgotten functions, each with its number among them.
    remembered: HashMap<Draws, (u64, Numbers), foldhash::fast::RandomState>,
    /// The forgotten functions, oldest first, with the number of each.
    forgotten: VecDeque<(u64, Draws)>,
    /// The number of the next function that is forgotten.
    next: u64,
}

/// Functions by their ids.
type Map<S> = papaya::HashMap<Arc<str>, Arc<Function>, S>;

impl Forgetting {
    /// Puts a function in, and returns it, or the same one that is there already. One that is there
    /// and differs gives way, and the new one goes on with its numbers.
    pub(super) fn add<S: BuildHasher>(
        &self,
        info: FunctionInfo,
        load: Arc<Load>,
        functions: &Map<S>,
        now: Moment,
    ) -> Arc<Function> {
        let (id, draws) = (Arc::clone(&info.id), info.draws);
        // Held, so that of two threads that put it in, the one that succeeds has the numbers.
        let mut idle = self.idle.lock();
        let functions = functions.pin();
        let old = functions.get(&id);
        let is_same = |old: &&Arc<Function>| !old.is_deleted() && old.info.spec == info.spec;
        let function = match old.filter(is_same) {
            Some(old) => Arc::clone(old),
            None => {
                let remembered = idle.remembered.get(&draws).map(|(_, numbers)| *numbers);
                let numbers = old.map(|old| old.numbers()).or(remembered).unwrap_or_default();
                let new = Arc::new(Function::new(info, load, numbers));
                functions.insert(id, Arc::clone(&new));
                new
            }
        };
        idle.remembered.remove(&draws);
        idle.wait(&function, now);
        function
    }

    /// Puts a function in again if it was forgotten since it was found, and returns the one of its id
    /// that is in: another start may have put it in anew.
    pub(super) fn keep<S: BuildHasher>(
        &self,
        function: &Arc<Function>,
        functions: &Map<S>,
    ) -> (Kept<'_>, Arc<Function>) {
        let kept = self.starts.read();
        let (id, function) = (Arc::clone(&function.info.id), Arc::clone(function));
        let function = Arc::clone(functions.pin().get_or_insert(id, function));
        (kept, function)
    }

    /// An instance of this function has ended, perhaps its last one.
    pub(super) fn instance_ended(&self, function: &Arc<Function>, now: Moment) {
        if function.instances.is_empty() {
            self.idle.lock().wait(function, now);
        }
    }

    /// Forgets those whose time is over, and the oldest when there are too many.
    pub(super) fn forget<S: BuildHasher>(&self, functions: &Map<S>, now: Moment) {
        let _no_starts = self.starts.write();
        let mut idle = self.idle.lock();
        // Those that are put back are not looked at twice.
        for _ in 0..idle.functions.len() {
            let is_over = |(since, _): &(Moment, _)| now >= *since + IDLE_FUNCTIONS_STAY;
            if !idle.functions.front().is_some_and(is_over) && !idle.is_full() {
                break;
            }
            let Some((_, id)) = idle.functions.pop_front() else { break };
            let functions = functions.pin();
            let Some(function) = functions.get(&id) else { continue };
            function.waits.store(false, Ordering::Relaxed);
            if !function.instances.is_empty() {
                // It waits again when its last instance ends.
                continue;
            }
            idle.remember(function.info.draws, function.numbers());
            functions.remove(&id);
        }
    }

    /// Forgets the oldest if there are too many.
    pub(super) fn forget_surplus<S: BuildHasher>(&self, functions: &Map<S>, now: Moment) {
        let is_full = self.idle.lock().is_full();
        if is_full {
            self.forget(functions, now);
        }
    }
}

impl Idle {
    fn is_full(&self) -> bool {
        self.functions.len() > MAX_IDLE_FUNCTIONS
    }

    fn wait(&mut self, function: &Arc<Function>, now: Moment) {
        if !function.waits.swap(true, Ordering::Relaxed) {
            self.functions.push_back((now, Arc::clone(&function.info.id)));
        }
    }

    fn remember(&mut self, draws: Draws, numbers: Numbers) {
        self.remembered.insert(draws, (self.next, numbers));
        self.forgotten.push_back((self.next, draws));
        self.next += 1;
        while self.forgotten.len() > MAX_REMEMBERED {
            let Some((number, draws)) = self.forgotten.pop_front() else { break };
            // It may have come back and been forgotten again.
            if self.remembered.get(&draws).is_some_and(|(last, _)| *last == number) {
                self.remembered.remove(&draws);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Seed;

    #[test]
    fn the_numbers_of_the_functions_that_were_forgotten_last_are_remembered() {
        let mut idle = Idle::default();
        let draws = |name: usize| Seed::new(1).function(&name.to_string());
        let again = Numbers::new(7, 9);
        idle.remember(draws(0), Numbers::new(1, 1));
        idle.remember(draws(1), Numbers::new(1, 1));
        idle.remember(draws(0), again);
        for name in 2..MAX_REMEMBERED {
            idle.remember(draws(name), Numbers::new(1, 1));
        }
        assert!(idle.remembered.len() <= MAX_REMEMBERED && idle.forgotten.len() == MAX_REMEMBERED);
        assert_eq!(idle.remembered[&draws(0)].1, again);
        idle.remember(draws(MAX_REMEMBERED), Numbers::new(1, 1));
        assert!(!idle.remembered.contains_key(&draws(1)));
        assert_eq!(idle.remembered[&draws(0)].1, again);
    }
}
