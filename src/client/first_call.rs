//! First calls through a leaf. It learns of a function a moment after it was registered, and until then
//! says that there is none; and it starts an instance when a call waits for one.

use std::time::Duration;

use hyperfake_predictor::{Error, Result};
use tonic::{Code, Status};

use super::{Answer, Connection, Request};
use crate::clock::Moment;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes a call, again while the function is not known and `until` has not passed. Returns how long the
/// last attempt took.
pub(super) async fn until_known(
    connection: &Connection,
    request: &Request,
    number: i64,
    deadline: Duration,
    until: Moment,
) -> Result<(Answer, Duration), Status> {
    let clock = connection.clock();
    loop {
        let sent = clock.now();
        let ended = connection.call(request, number, deadline).await;
        let now = clock.now();
        match ended {
            Err(status) if status.code() == Code::NotFound && now < until => {
                clock.sleep_until(now + PAUSE).await;
            }
            Err(status) => return Err(status),
            Ok(answer) => return Ok((answer, now - sent)),
        }
    }
}

/// Calls each function once, all at the same time, and returns how much longer than predicted each call
/// took, if its answer says what was predicted. A leaf may say for as long as `patience` that it does not
/// know a function.
///
/// # Errors
///
/// When a call fails.
pub async fn first_calls(
    connection: &Connection,
    requests: &[Request],
    deadline: Duration,
    patience: Duration,
) -> Result<Vec<Option<Duration>>> {
    let until = connection.clock().now() + patience;
    let calling: Vec<_> = requests
        .iter()
        .map(|request| {
            let (connection, request) = (connection.clone(), request.clone());
            tokio::spawn(async move {
                let called = until_known(&connection, &request, 0, deadline, until).await;
                called.map_err(|status| connection.refused("a first call", &status))
            })
        })
        .collect();
    let mut longer = Vec::new();
    for call in calling {
        let ended = |error| Error::internal("a first call ended early").with_source(error);
        let (answer, took) = call.await.map_err(ended)??;
        longer.push(answer.trailers.map(|trailers| took.saturating_sub(trailers.runtime)));
    }
    Ok(longer)
}
