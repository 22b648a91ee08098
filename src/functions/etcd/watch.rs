//! Deletions in etcd, over lost connections.

use std::time::Duration;

use hyperfake_proto::etcd::{
    WatchCreateRequest, WatchRequest, WatchResponse, watch_create_request::FilterType,
    watch_request::RequestUnion,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

use super::{EtcdStore, deleted};
use crate::functions::{Deletion, back_off};

/// The wait before a lost watch is begun again.
const WAIT: Duration = Duration::from_secs(1);

/// How a watch ended.
enum End {
    /// Nobody listens any more.
    Unwanted,
    /// The connection is lost.
    Lost,
    /// Changes after this one's revision are not known, and never will be.
    Gap,
}

/// Sends the deletions of functions until the receiver is dropped.
pub(super) async fn send_deletions(store: &EtcdStore, sender: &mpsc::Sender<Deletion>) {
    let mut watch = Watch { store, sender, next: None };
    loop {
        match watch.run().await {
            End::Unwanted => return,
            End::Lost => {}
            End::Gap => {
                watch.next = None;
                if sender.send(Deletion::Missed).await.is_err() {
                    return;
                }
                continue;
            }
        }
        back_off(WAIT).await;
    }
}

struct Watch<'a> {
    store: &'a EtcdStore,
    sender: &'a mpsc::Sender<Deletion>,
    /// The revision to go on from, once there was a watch.
    next: Option<i64>,
}

impl Watch<'_> {
    async fn run(&mut self) -> End {
        let Some(mut responses) = self.begin().await else { return End::Lost };
        loop {
            let response = match responses.message().await {
                Ok(Some(response)) => response,
                Ok(None) | Err(_) => return End::Lost,
            };
            if let Err(end) = self.take(response).await {
                return end;
            }
        }
    }

    /// Watches at the first member that can be reached.
    async fn begin(&self) -> Option<Streaming<WatchResponse>> {
        let (key, range_end) = self.store.below().into_request();
        let create = WatchCreateRequest {
            key,
            range_end,
            start_revision: self.next.unwrap_or(0),
            filters: vec![FilterType::Noput.into()],
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        for mut client in self.store.watch_clients() {
            // The stream of requests stays open: its end would end the watch.
            let requests = tokio_stream::once(request.clone()).chain(tokio_stream::pending());
            let begun = tokio::time::timeout(self.store.0.timeout, client.watch(requests)).await;
            match begun.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))) {
                Ok(responses) => return Some(responses.into_inner()),
                Err(status) => tracing::debug!(%status, "cannot watch functions in etcd"),
            }
        }
        None
    }

    async fn take(&mut self, response: WatchResponse) -> Result<(), End> {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        if response.canceled {
            let reason = &response.cancel_reason;
            tracing::debug!(reason, response.compact_revision, "etcd cancelled a watch");
            return Err(if response.compact_revision > 0 { End::Gap } else { End::Lost });
        }
        // An etcd that has not come as far as it was is another one, or was set up anew.
        if response.created && self.next.is_some_and(|next| revision + 1 < next) {
            return Err(End::Gap);
        }
        let below = format!("{}/", self.store.0.prefix);
        for event in &response.events {
            if let Some(id) = deleted(event, &below)
                && self.sender.send(Deletion::Function(id)).await.is_err()
            {
                return Err(End::Unwanted);
            }
        }
        let seen = response.events.iter().filter_map(|event| Some(event.kv.as_ref()?.mod_revision));
        // Without events the revision says how far a watch that begins now has come.
        let seen = seen.max().or((response.created && self.next.is_none()).then_some(revision));
        if let Some(seen) = seen {
            self.next = Some(self.next.unwrap_or(0).max(seen + 1));
        }
        Ok(())
    }
}
