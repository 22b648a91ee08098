use std::{collections::BTreeMap, time::Duration};

use hyperfake_proto::etcd::{
    Event, WatchCancelRequest, WatchCreateRequest, WatchRequest, WatchResponse, event::EventType,
    watch_create_request::FilterType, watch_request::RequestUnion, watch_server,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{header, status};
use crate::functions::kv::{Keys, Place, Refusal, Store, Watcher};

/// The service `etcdserverpb.Watch`.
#[derive(Debug, Clone)]
pub(super) struct Watches(pub(super) Store);

/// How often a watcher that asks for progress is told it, when nothing happens: etcd's default.
const PROGRESS: Duration = Duration::from_secs(600);

type Answer = Result<WatchResponse, Status>;

#[tonic::async_trait]
impl watch_server::Watch for Watches {
    type WatchStream = ReceiverStream<Answer>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = self.0.enter().map_err(|refusal| status(&refusal))?;
        // A slow client holds one response here; the rest stays in the store's history.
        let (responses, stream) = mpsc::channel(1);
        let watch = Watch {
            store: self.0.clone(),
            watchers: BTreeMap::new(),
            next_id: 0,
            responses,
            _place: place,
        };
        tokio::spawn(watch.run(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// A stream of watchers.
struct Watch {
    store: Store,
    watchers: BTreeMap<i64, Watched>,
    next_id: i64,
    responses: mpsc::Sender<Answer>,
    _place: Place,
}

/// A watcher, and what its client wants to hear.
struct Watched {
    watcher: Watcher,
    prev_kv: bool,
    filters: Vec<i32>,
    progress: bool,
}

/// The client has gone.
struct Gone;

impl Watch {
    /// Serves the stream until the client or the store ends it.
    async fn run(mut self, requests: Streaming<WatchRequest>) {
        let (store, responses) = (self.store.clone(), self.responses.clone());
        tokio::select! {
            _ = self.serve(requests) => {}
            () = responses.closed() => {}
            () = store.closed() => {}
        }
    }

    async fn serve(&mut self, mut requests: Streaming<WatchRequest>) -> Result<(), Gone> {
        let mut newest = self.store.newest();
        let first = tokio::time::Instant::now() + PROGRESS;
        let mut progress = tokio::time::interval_at(first, PROGRESS);
        loop {
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(WatchRequest { request_union: Some(request) })) => {
                        self.obey(request).await?;
                    }
                    Ok(Some(WatchRequest { request_union: None })) => {}
                    Ok(None) | Err(_) => return Ok(()),
                },
                _ = newest.changed() => self.deliver().await?,
                _ = progress.tick() => self.tell_progress().await?,
            }
        }
    }

    async fn obey(&mut self, request: RequestUnion) -> Result<(), Gone> {
        match request {
            RequestUnion::CreateRequest(create) => self.create(create).await,
            RequestUnion::CancelRequest(WatchCancelRequest { watch_id }) => {
                if self.watchers.remove(&watch_id).is_none() {
                    return Ok(());
                }
                let response = self.response(watch_id);
                self.send(WatchResponse { canceled: true, ..response }).await
            }
            RequestUnion::ProgressRequest(_) => {
                self.deliver().await?;
                self.send(self.response(-1)).await
            }
        }
    }

    async fn create(&mut self, create: WatchCreateRequest) -> Result<(), Gone> {
        let WatchCreateRequest { watch_id, start_revision, filters, prev_kv, .. } = create;
        let copied = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
        // As etcd takes it, no key is the first that there can be.
        let first: &[u8] = if create.key.is_empty() { &[0] } else { &create.key };
        let keys = Keys::new(copied(first), copied(&create.range_end));
        let id = match watch_id {
            0 => self.free_id(),
            chosen => chosen,
        };
        // Changes from now on are those after the revision that the answer names.
        let revision = self.store.revision();
        let from = if start_revision > 0 { start_revision } else { revision + 1 };
        let watcher = if self.watchers.contains_key(&id) {
            Err("mvcc: duplicate watch ID provided on the WatchStream".to_owned())
        } else {
            self.store.watch(keys, Some(from)).map_err(|refusal| refusal.to_string())
        };
        match watcher {
            Ok(watcher) => {
                let progress = create.progress_notify;
                let response = WatchResponse { created: true, ..self.response(id) };
                let response = WatchResponse { header: header(revision), ..response };
                self.watchers.insert(id, Watched { watcher, prev_kv, filters, progress });
                self.send(response).await?;
                self.deliver_to(id).await
            }
            Err(cancel_reason) => {
                let response = self.response(-1);
                let (created, canceled) = (true, true);
                self.send(WatchResponse { created, canceled, cancel_reason, ..response }).await
            }
        }
    }

    fn free_id(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    async fn deliver(&mut self) -> Result<(), Gone> {
        let ids: Vec<_> = self.watchers.keys().copied().collect();
        for id in ids {
            self.deliver_to(id).await?;
        }
        Ok(())
    }

    /// Sends what a watcher has not seen, or cancels it when some of that is no longer kept.
    async fn deliver_to(&mut self, watch_id: i64) -> Result<(), Gone> {
        loop {
            let Some(watched) = self.watchers.get_mut(&watch_id) else { return Ok(()) };
            let response = match watched.watcher.take() {
                Ok(batch) if batch.events.is_empty() => return Ok(()),
                Ok(batch) => {
                    let events = watched.wanted(batch.events);
                    if events.is_empty() {
                        continue;
                    }
                    let header = header(batch.revision);
                    WatchResponse { header, watch_id, events, ..WatchResponse::default() }
                }
                Err(refusal) => {
                    self.watchers.remove(&watch_id);
                    let compact_revision = match refusal {
                        Refusal::Compacted(oldest) => oldest,
                        _ => 0,
                    };
                    let cancel_reason = refusal.to_string();
                    let response = self.response(watch_id);
                    WatchResponse { canceled: true, compact_revision, cancel_reason, ..response }
                }
            };
            self.send(response).await?;
        }
    }

    async fn tell_progress(&mut self) -> Result<(), Gone> {
        self.deliver().await?;
        let wanted = self.watchers.iter().filter(|(_, watched)| watched.progress);
        let ids: Vec<_> = wanted.map(|(id, _)| *id).collect();
        for id in ids {
            self.send(self.response(id)).await?;
        }
        Ok(())
    }

    fn response(&self, watch_id: i64) -> WatchResponse {
        let header = header(self.store.revision());
        WatchResponse { header, watch_id, ..WatchResponse::default() }
    }

    async fn send(&self, response: WatchResponse) -> Result<(), Gone> {
        self.responses.send(Ok(response)).await.map_err(|_| Gone)
    }
}

impl Watched {
    /// The events that the client asked for, as it asked for them.
    fn wanted(&self, events: Vec<Event>) -> Vec<Event> {
        let is_left_out = |filter: FilterType| self.filters.contains(&filter.into());
        let (no_put, no_delete) =
            (is_left_out(FilterType::Noput), is_left_out(FilterType::Nodelete));
        let wanted = events.into_iter().filter(|event| match event.r#type() {
            EventType::Put => !no_put,
            EventType::Delete => !no_delete,
        });
        let with_previous = |event: Event| match self.prev_kv {
            true => event,
            false => Event { prev_kv: None, ..event },
        };
        wanted.map(with_previous).collect()
    }
}
