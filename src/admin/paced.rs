use std::{collections::VecDeque, time::Duration};

use tokio::sync::Mutex;

use super::cache;
use crate::clock::{Clock, Moment};

/// Answers to many questions of a kind. Together they are made at most as often as takes a tenth of the
/// time: the next question waits for its turn.
#[derive(Debug)]
pub(super) struct Paced<Q, A>(Mutex<State<Q, A>>);

#[derive(Debug)]
struct State<Q, A> {
    /// The latest answers, each until it is too old.
    kept: VecDeque<(Moment, Q, A)>,
    /// When the next one may be made.
    next: Moment,
}

/// The most answers that are kept.
const MOST: usize = 8;
/// An answer is kept for so long at least.
const LEAST: Duration = Duration::from_millis(100);

impl<Q: PartialEq, A: Clone> Paced<Q, A> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { kept: VecDeque::new(), next: Moment::default() }))
    }

    /// The answer that was kept, or a new one when it is time for it.
    pub(super) async fn get(&self, clock: &Clock, asked: Q, make: impl FnOnce(&Q) -> A) -> A {
        let mut state = self.0.lock().await;
        let now = clock.now();
        state.kept.retain(|(until, ..)| now < *until);
        if let Some((.., answer)) = state.kept.iter().find(|(_, known, _)| *known == asked) {
            return answer.clone();
        }
        clock.sleep_until(state.next).await;
        let begin = clock.now();
        let answer = make(&asked);
        let end = clock.now();
        let pause = cache::kept(end - begin);
        state.next = end + pause;
        if state.kept.len() == MOST {
            state.kept.pop_front();
        }
        state.kept.push_back((end + pause.max(LEAST), asked, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::clock::manual::ManualClock;

    #[tokio::test]
    async fn all_questions_together_take_a_tenth_of_the_time() {
        let hand = ManualClock::new();
        let (clock, paced) = (hand.clock(), Paced::new());
        let ms = Duration::from_millis(1);
        let make = |question: &u32| {
            hand.advance(20 * ms);
            (*question, clock.now())
        };
        let first = paced.get(&clock, 1, make).await;
        assert_eq!(paced.get(&clock, 1, make).await, first, "it is kept");
        let mut second = Box::pin(paced.get(&clock, 2, make));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending(), "it waits for its turn");
        hand.advance(199 * ms);
        assert!(second.as_mut().poll(&mut context).is_pending(), "it waits for its turn");
        hand.advance(ms);
        assert_eq!(second.await, (2, first.1 + 220 * ms));
    }
}
