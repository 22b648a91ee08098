use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;
use tokio_stream::{StreamExt, wrappers::WatchStream};

use super::{guard::Refusal, view::View};

/// Sends snapshots as server-sent events to a few readers.
#[derive(Debug)]
pub(super) struct Stream(Arc<Semaphore>);

const MAX_READERS: usize = 16;
/// A browser tries again after this time, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";

impl Stream {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_READERS)))
    }

    /// A stream for one more reader. One that does not read fast enough misses snapshots, and one that
    /// does not read at all loses its connection.
    pub(super) fn open(&self, view: &View) -> Response {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            let text =
                format!("found {MAX_READERS} readers of the stream, the most: try again later");
            return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        };
        let (latest, later) = view.events();
        let first = tokio_stream::iter([Bytes::from_static(RETRY.as_bytes()), latest]);
        let events = first.chain(WatchStream::from_changes(later)).map(move |event| {
            let _ = &permit;
            Ok::<_, Infallible>(event)
        });
        let head =
            [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
        (head, Body::from_stream(events)).into_response()
    }
}
