//! Random requests, and what an etcd answers to them.

use bytes::Bytes;
use fastrand::Rng;
use hyperfake_proto::etcd::{
    DeleteRangeRequest, Event, KeyValue, PutRequest, RangeRequest, ResponseHeader,
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
    kv_client::KvClient, watch_client::WatchClient, watch_create_request::FilterType,
    watch_request::RequestUnion,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, transport::Channel};

/// Sends the requests of this seed, and returns each with its answer; revisions count from the first.
pub(super) async fn run(channel: Channel, seed: u64) -> Vec<String> {
    let mut random = Rng::with_seed(seed);
    let mut kv = KvClient::new(channel.clone());
    clear(&mut kv).await;
    let base = revision(&mut kv).await;
    let mut newest = 0;
    let mut answers = Vec::new();
    for _ in 0..120 {
        let answer = match random.u32(..10) {
            0..=3 => {
                let request = put(&mut random);
                let answer = kv.put(request.clone()).await.map(|answer| {
                    let answer = answer.into_inner();
                    newest = at(&answer.header) - base;
                    format!("{newest} {:?}", answer.prev_kv.map(|kv| since(base, kv)))
                });
                format!("{request:?}: {}", text(answer))
            }
            4 => {
                let (key, range_end) = range(&mut random);
                let request = DeleteRangeRequest { key, range_end, prev_kv: random.bool() };
                let answer = kv.delete_range(request.clone()).await.map(|answer| {
                    let answer = answer.into_inner();
                    newest = at(&answer.header) - base;
                    let before = answer.prev_kvs.into_iter().map(|kv| since(base, kv));
                    format!("{newest} {} {:?}", answer.deleted, before.collect::<Vec<_>>())
                });
                format!("{request:?}: {}", text(answer))
            }
            _ => {
                let request = read(&mut random, newest);
                let shown = format!("{request:?}");
                let answer = kv.range(absolute(request, base)).await.map(|answer| {
                    let answer = answer.into_inner();
                    let kvs: Vec<_> = answer.kvs.into_iter().map(|kv| since(base, kv)).collect();
                    let revision = at(&answer.header) - base;
                    format!("{revision} {} {} {kvs:?}", answer.more, answer.count)
                });
                format!("{shown}: {}", text(answer))
            }
        };
        answers.push(answer);
    }
    answers.extend(watch(channel, kv, &mut random, base, newest).await);
    answers
}

/// Watches several ranges over one stream, until each has told of a last change.
async fn watch(
    channel: Channel,
    mut kv: KvClient<Channel>,
    random: &mut Rng,
    base: i64,
    newest: i64,
) -> Vec<String> {
    let (requests, sent) = mpsc::unbounded_channel();
    let send = |request| {
        requests.send(WatchRequest { request_union: Some(request) }).unwrap();
    };
    let mut answers = Vec::new();
    let mut client = WatchClient::new(channel);
    let begun = client.watch(UnboundedReceiverStream::new(sent));
    // A server may answer with headers only when there is something to say.
    let create = |random: &mut Rng, watch_id| WatchCreateRequest {
        key: Bytes::from_static(&[0]),
        range_end: Bytes::from_static(&[0]),
        start_revision: if random.bool() { base + 1 + random.i64(0..=newest) } else { 0 },
        progress_notify: false,
        filters: if random.u32(..3) == 0 { vec![random.i32(0..2)] } else { Vec::new() },
        prev_kv: random.bool(),
        watch_id,
    };
    let first = create(random, 0);
    let (from, filters) = (first.start_revision, first.filters.clone());
    answers.push(format!(
        "{:?}",
        WatchCreateRequest { start_revision: from.max(base) - base, ..first.clone() }
    ));
    send(RequestUnion::CreateRequest(first));
    let mut stream = begun.await.unwrap().into_inner();
    let mut next = async || stream.message().await.unwrap().unwrap();
    // A last change of each kind, so that every filter lets one of them pass.
    let created = next().await;
    answers.push(shown(created, base));
    for value in ["last", "very last"] {
        let put = PutRequest { key: "~".into(), value: value.into(), ..PutRequest::default() };
        kv.put(put).await.unwrap();
        let delete = DeleteRangeRequest { key: "~".into(), ..DeleteRangeRequest::default() };
        kv.delete_range(delete).await.unwrap();
    }
    // A put, a deletion, a put and a deletion: the last that the filter lets pass.
    let last = newest + if filters == [FilterType::Nodelete as i32] { 3 } else { 4 };
    let mut events = Vec::new();
    let is_last = |event: &Event| event.kv.as_ref().unwrap().mod_revision >= last;
    while !events.last().is_some_and(is_last) {
        let response = next().await;
        assert!(!response.canceled && response.watch_id == 0, "{response:?}");
        events.extend(response.events.into_iter().map(|event| event_since(base, event)));
    }
    answers.extend(events.iter().map(|event| format!("{event:?}")));
    // A second watcher under a number of its own, under the same number, and cancelled.
    for _ in 0..2 {
        let again = WatchCreateRequest { start_revision: 0, ..create(random, 7) };
        send(RequestUnion::CreateRequest(again));
        answers.push(shown(until(&mut next, |response| response.created).await, base));
    }
    send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 7 }));
    answers.push(shown(until(&mut next, |response| response.canceled).await, base));
    send(RequestUnion::ProgressRequest(WatchProgressRequest {}));
    let progress = until(&mut next, |response| response.events.is_empty()).await;
    answers.push(format!("progress {}", at(&progress.header) - base));
    answers
}

async fn until(
    next: &mut impl AsyncFnMut() -> WatchResponse,
    is_it: impl Fn(&WatchResponse) -> bool,
) -> WatchResponse {
    loop {
        let response = next().await;
        if is_it(&response) {
            return response;
        }
    }
}

async fn clear(kv: &mut KvClient<Channel>) {
    let key = Bytes::from_static(&[0]);
    let all = DeleteRangeRequest { range_end: key.clone(), key, ..DeleteRangeRequest::default() };
    kv.delete_range(all).await.unwrap();
}

async fn revision(kv: &mut KvClient<Channel>) -> i64 {
    let request = RangeRequest { key: "k".into(), ..RangeRequest::default() };
    at(&kv.range(request).await.unwrap().into_inner().header)
}

fn key(random: &mut Rng) -> Bytes {
    let keys = ["", "a", "a/", "a/b", "b", "c", "\u{0}"];
    keys[if random.u32(..20) == 0 { 0 } else { random.usize(1..keys.len()) }].into()
}

fn range(random: &mut Rng) -> (Bytes, Bytes) {
    let end = match random.u32(..4) {
        0 => key(random),
        1 => Bytes::from_static(&[0]),
        _ => Bytes::new(),
    };
    (key(random), end)
}

fn put(random: &mut Rng) -> PutRequest {
    let ignore_value = random.u32(..8) == 0;
    let value = if ignore_value { String::new() } else { format!("{}", random.u32(0..100)) };
    PutRequest {
        key: key(random),
        value: value.into(),
        lease: if random.u32(..30) == 0 { 77 } else { 0 },
        prev_kv: random.bool(),
        ignore_value,
        ignore_lease: random.u32(..8) == 0,
    }
}

/// A range whose revisions count from the first.
fn read(random: &mut Rng, newest: i64) -> RangeRequest {
    let (key, range_end) = range(random);
    let mut some = |most: i64| if random.u32(..3) == 0 { random.i64(0..=most) } else { 0 };
    RangeRequest {
        key,
        range_end,
        limit: some(4),
        revision: some(newest + 1),
        min_mod_revision: some(newest),
        max_mod_revision: some(newest),
        min_create_revision: some(newest),
        max_create_revision: some(newest),
        sort_order: some(2) as i32,
        sort_target: some(4) as i32,
        keys_only: some(1) == 1,
        count_only: some(1) == 1,
    }
}

fn absolute(request: RangeRequest, base: i64) -> RangeRequest {
    let absolute = |revision: i64| if revision == 0 { 0 } else { base + revision };
    RangeRequest {
        revision: absolute(request.revision),
        min_mod_revision: absolute(request.min_mod_revision),
        max_mod_revision: absolute(request.max_mod_revision),
        min_create_revision: absolute(request.min_create_revision),
        max_create_revision: absolute(request.max_create_revision),
        ..request
    }
}

fn since(base: i64, kv: KeyValue) -> KeyValue {
    let since = |revision| if revision == 0 { 0 } else { revision - base };
    KeyValue {
        create_revision: since(kv.create_revision),
        mod_revision: since(kv.mod_revision),
        ..kv
    }
}

fn event_since(base: i64, event: Event) -> Event {
    let since = |kv: Option<KeyValue>| kv.map(|kv| since(base, kv));
    Event { kv: since(event.kv), prev_kv: since(event.prev_kv), ..event }
}

fn shown(response: WatchResponse, base: i64) -> String {
    let WatchResponse { header, watch_id, created, canceled, cancel_reason, .. } = response;
    let revision = at(&header) - base;
    format!("{revision} {watch_id} {created} {canceled} {cancel_reason:?}")
}

fn at(header: &Option<ResponseHeader>) -> i64 {
    header.as_ref().unwrap().revision
}

fn text(answer: Result<String, Status>) -> String {
    answer.unwrap_or_else(|status| format!("{:?} {}", status.code(), status.message()))
}
