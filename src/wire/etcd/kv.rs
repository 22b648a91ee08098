use std::cmp::Ordering;

use hyperfake_proto::etcd::{
    DeleteRangeRequest, DeleteRangeResponse, KeyValue, PutRequest, PutResponse, RangeRequest,
    RangeResponse, kv_server,
    range_request::{SortOrder, SortTarget},
};
use tonic::{Request, Response, Status};

use super::{header, status, without_value};
use crate::functions::kv::{Keys, Query, Refusal, Store};

/// The service `etcdserverpb.KV`.
#[derive(Debug, Clone)]
pub(super) struct Kv(pub(super) Store);

#[tonic::async_trait]
impl kv_server::Kv for Kv {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let request = request.into_inner();
        let keys = Keys::new(request.key.clone(), request.range_end.clone());
        let limit = usize::try_from(request.limit).unwrap_or(0);
        let choice = Choice::new(&request)?;
        let query = Query {
            revision: request.revision.max(0),
            // What is sorted or left out is only known when all are there. One more tells whether
            // there are more; so etcd does it, also where it sorts what it has then.
            limit: if choice.needs_all || limit == 0 { 0 } else { limit + 1 },
            count_only: request.count_only,
        };
        let found = self.0.range(&keys, query).map_err(|refusal| status(&refusal))?;
        let mut kvs = found.kvs;
        choice.apply(&mut kvs);
        let more = limit > 0 && kvs.len() > limit;
        if more {
            kvs.truncate(limit);
        }
        if request.keys_only {
            kvs = kvs.into_iter().map(without_value).collect();
        }
        let count = found.count as i64;
        Ok(Response::new(RangeResponse { header: header(found.revision), kvs, more, count }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease } =
            request.into_inner();
        let invalid = |message: &str| Err(Status::invalid_argument(message));
        if key.is_empty() {
            return Err(status(&Refusal::NoKey));
        }
        if ignore_value && !value.is_empty() {
            return invalid("etcdserver: value is provided");
        }
        if lease != 0 {
            return match ignore_lease {
                true => invalid("etcdserver: lease is provided"),
                // There are no leases.
                false => Err(Status::not_found("etcdserver: requested lease not found")),
            };
        }
        // A message's fields are parts of a larger buffer, and are kept for long.
        let copied = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
        let value = (!ignore_value).then(|| copied(&value));
        let written = self.0.put(copied(&key), value, ignore_lease).await;
        let written = written.map_err(|refusal| status(&refusal))?;
        let prev_kv = written.before.into_iter().next().filter(|_| prev_kv);
        Ok(Response::new(PutResponse { header: header(written.revision), prev_kv }))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let DeleteRangeRequest { key, range_end, prev_kv } = request.into_inner();
        let deleted = self.0.delete(Keys::new(key, range_end)).await;
        let deleted = deleted.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(DeleteRangeResponse {
            header: header(deleted.revision),
            deleted: deleted.before.len() as i64,
            prev_kvs: if prev_kv { deleted.before } else { Vec::new() },
        }))
    }
}

/// Which keys of a range are wanted, and in which order.
struct Choice {
    order: SortOrder,
    target: SortTarget,
    mod_revisions: (i64, i64),
    create_revisions: (i64, i64),
    /// Whether the limit counts only what is wanted, in its order.
    needs_all: bool,
}

impl Choice {
    fn new(request: &RangeRequest) -> Result<Self, Status> {
        let unknown = |_| Status::invalid_argument("etcdserver: invalid sort option");
        let order = SortOrder::try_from(request.sort_order).map_err(unknown)?;
        let target = SortTarget::try_from(request.sort_target).map_err(unknown)?;
        // Keys are in their own order anyway; another target without an order is in ascending order.
        let order = match (order, target) {
            (SortOrder::None, SortTarget::Key) => SortOrder::None,
            (SortOrder::None, _) => SortOrder::Ascend,
            (SortOrder::Ascend, SortTarget::Key) => SortOrder::None,
            (order, _) => order,
        };
        let needs_all = request.sort_order != 0
            || request.min_mod_revision != 0
            || request.max_mod_revision != 0
            || request.min_create_revision != 0
            || request.max_create_revision != 0;
        let bounds = |least, most| (least, if most == 0 { i64::MAX } else { most });
        Ok(Self {
            order,
            target,
            mod_revisions: bounds(request.min_mod_revision, request.max_mod_revision),
            create_revisions: bounds(request.min_create_revision, request.max_create_revision),
            needs_all,
        })
    }

    fn apply(&self, kvs: &mut Vec<KeyValue>) {
        let is_within = |(least, most): (i64, i64), revision| least <= revision && revision <= most;
        kvs.retain(|kv| {
            is_within(self.mod_revisions, kv.mod_revision)
                && is_within(self.create_revisions, kv.create_revision)
        });
        let compare = |a: &KeyValue, b: &KeyValue| -> Ordering {
            match self.target {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            }
        };
        match self.order {
            SortOrder::None => {}
            SortOrder::Ascend => kvs.sort_by(compare),
            SortOrder::Descend => kvs.sort_by(|a, b| compare(b, a)),
        }
    }
}
