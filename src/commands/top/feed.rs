//! Follows the page, and begins anew when it is gone.

use std::{convert::Infallible, time::Duration};

use tokio::sync::mpsc::Sender;

use super::{
    answers::{Functions, Snapshot, State},
    page::Page,
};
use crate::clock::{Clock, Moment};

/// What came from the page.
#[derive(Debug)]
pub(super) enum Update {
    /// A stream begins.
    State(Box<State>),
    Functions(Functions),
    Snapshot(Box<Snapshot>),
    /// Why the page is not followed now; it is tried again.
    Lost(String),
}

/// From one attempt to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// The names of functions are asked for at most as often.
const NAMES: Duration = Duration::from_secs(2);
const STATE: &str = "api/v1/state";
const FUNCTIONS: &str = "api/v1/functions";
const STREAM: &str = "api/v1/stream";

/// Follows the page until nothing listens.
pub(super) async fn follow(page: Page, clock: Clock, to: Sender<Update>) {
    loop {
        let Err(lost) = once(&page, &clock, &to).await;
        if to.send(Update::Lost(lost)).await.is_err() {
            return;
        }
        clock.sleep_until(clock.now() + PAUSE).await;
    }
}

/// Follows it until it is gone.
async fn once(page: &Page, clock: &Clock, to: &Sender<Update>) -> Result<Infallible, String> {
    let unheard = |_| "nothing listens".to_owned();
    let state: Box<State> = page.get(STATE).await?;
    let run = state.run.clone();
    to.send(Update::State(state)).await.map_err(unheard)?;
    let mut stream = page.stream(STREAM).await?;
    let mut names = Names::default();
    loop {
        let event = stream.next().await?;
        if event.name != "snapshot" {
            continue;
        }
        let snapshot: Box<Snapshot> = serde_json::from_str(&event.data).map_err(|error| {
            format!("{} sent something else than a snapshot: {error}", page.address())
        })?;
        if snapshot.run != run {
            return Err(format!("{} is another process now", page.address()));
        }
        let version = snapshot.functions_version;
        to.send(Update::Snapshot(snapshot)).await.map_err(unheard)?;
        if names.are_due(version, clock.now()) {
            let functions = page.get(FUNCTIONS).await?;
            to.send(Update::Functions(functions)).await.map_err(unheard)?;
        }
    }
}

/// Which names of functions are known, and since when.
#[derive(Debug, Default)]
struct Names(Option<(u64, Moment)>);

impl Names {
    /// Whether they are to be asked for, which is done then.
    fn are_due(&mut self, version: u64, now: Moment) -> bool {
        let is_due = self.0.is_none_or(|(known, at)| known != version && now - at >= NAMES);
        if is_due {
            self.0 = Some((version, now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_once_and_when_they_have_changed_but_not_too_often() {
        let mut names = Names::default();
        let at = |tenths: u64| Moment::default() + Duration::from_millis(100 * tenths);
        let asked = [(1, 0), (1, 30), (2, 40), (3, 50), (3, 60), (3, 70)];
        let asked = asked.map(|(version, tenths)| names.are_due(version, at(tenths)));
        assert_eq!(asked, [true, false, true, false, true, false]);
    }
}
