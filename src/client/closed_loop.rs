use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;
use tonic::Status;

use super::{Answer, Connection, Request, connection::describe, first_call};
use crate::wire::controller::trailers::Trailers;

/// A call that is repeated.
#[derive(Debug, Clone)]
pub struct Repetition {
    /// The call.
    pub request: Request,
    /// How many calls to make.
    pub calls: u32,
    /// How many of them to make at once.
    pub concurrency: u32,
    /// The longest that each may take.
    pub deadline: Duration,
    /// How long a leaf may say that there is no such function, because it was registered a moment ago.
    pub patience: Duration,
}

/// One call that succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// From the request to the last byte of the answer, without the wait for an instance's cold start.
    pub observed: Duration,
    /// What the worker says of it, if it says anything.
    pub trailers: Option<Trailers>,
}

/// What came of repeated calls.
#[derive(Debug, Default)]
pub struct Repeated {
    /// The calls that succeeded.
    pub samples: Vec<Sample>,
    /// The answer that came first.
    pub first: Option<Answer>,
    /// How many calls failed, by the code and text of the answer.
    pub errors: BTreeMap<String, u64>,
    /// From the first call to the end of the last.
    pub took: Duration,
}

/// The most kinds of errors that are told apart: a server can invent any number.
const MAX_ERRORS: usize = 100;

impl Repeated {
    fn take(&mut self, answer: Answer, took: Duration) {
        let waited = answer.trailers.map(|trailers| trailers.cold_start).unwrap_or_default();
        let observed = took.saturating_sub(waited);
        self.samples.push(Sample { observed, trailers: answer.trailers });
        self.first.get_or_insert(answer);
    }

    fn count(&mut self, error: &Status) {
        let mut text = describe(error);
        if self.errors.len() >= MAX_ERRORS && !self.errors.contains_key(&text) {
            text = "other errors".to_owned();
        }
        *self.errors.entry(text).or_default() += 1;
    }
}

/// Makes the calls: each caller sends its next one when the one before has ended.
///
/// # Errors
///
/// When a caller panics. Calls that fail are a part of the result.
pub async fn repeat(connection: &Connection, repetition: &Repetition) -> Result<Repeated> {
    // How many calls are left to make, for all callers.
    let left = Arc::new(AtomicU32::new(repetition.calls));
    let repeated = Arc::new(Mutex::new(Repeated::default()));
    let began = connection.clock().now();
    let known = began + repetition.patience;
    let callers: Vec<_> = (0..repetition.concurrency.min(repetition.calls))
        .map(|_| {
            let (connection, repetition) = (connection.clone(), repetition.clone());
            let (left, repeated) = (Arc::clone(&left), Arc::clone(&repeated));
            tokio::spawn(async move {
                let Repetition { request, deadline, .. } = &repetition;
                while let Some(number) = take(&left) {
                    let number = number.into();
                    let ended =
                        first_call::until_known(&connection, request, number, *deadline, known);
                    let ended = ended.await;
                    let mut repeated = repeated.lock();
                    match ended {
                        Ok((answer, took)) => repeated.take(answer, took),
                        Err(status) => repeated.count(&status),
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.map_err(|error| Error::internal("a caller ended early").with_source(error))?;
    }
    let took = connection.clock().now() - began;
    let repeated = std::mem::take(&mut *repeated.lock());
    Ok(Repeated { took, ..repeated })
}

/// A number for the next call, unless all were made.
fn take(left: &AtomicU32) -> Option<u32> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_a_server_invents_are_counted_together_at_some_point() {
        let mut repeated = Repeated::default();
        for number in 0..1000 {
            repeated.count(&Status::internal(format!("error {number}")));
            repeated.count(&Status::internal("error 1"));
        }
        assert_eq!(repeated.errors.len(), MAX_ERRORS + 1);
        assert_eq!(repeated.errors["Internal: error 1"], 1001);
        assert_eq!(repeated.errors["other errors"], 1000 - MAX_ERRORS as u64);
    }
}
