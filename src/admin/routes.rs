use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};

use super::{
    api,
    cache::Cache,
    changes,
    config::Config,
    extract::Segment,
    guard::{Guard, Refusal, harden},
    metrics::Metrics,
    paced::Paced,
    page,
    stream::Stream,
    table,
    view::View,
};

/// What the handlers of requests share.
pub(super) struct Shared {
    pub(super) view: Arc<View>,
    admin: bool,
    metrics: Metrics,
    stream: Stream,
    state: Cache<String>,
    functions: Cache<String>,
    calls: Cache<String>,
    table: Cache<String>,
    instances: Paced<api::Asked, String>,
}

type Served = State<Arc<Shared>>;

/// All that is served, to those who may have it.
pub(super) fn router(view: Arc<View>, config: &Config, guard: Guard) -> Router {
    let shared = Shared {
        admin: config.admin,
        metrics: Metrics::new(Arc::clone(&view), &config.names),
        view,
        stream: Stream::new(),
        state: Cache::new(),
        functions: Cache::new(),
        calls: Cache::new(),
        table: Cache::new(),
        instances: Paced::new(),
    };
    Router::new()
        .route("/", get(index))
        .route("/{file}", get(file))
        .route("/table", get(show_table))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/api/v1/state", get(state))
        .route("/api/v1/stream", get(stream))
        .route("/api/v1/functions", get(functions))
        .route("/api/v1/instances", get(instances))
        .route("/api/v1/calls", get(calls))
        .route("/api/v1/faults", get(faults))
        .route("/api/v1/faults/{name}", patch(changes::switch))
        .route("/api/v1/scenario", get(scenario).post(changes::replace))
        .route("/api/v1/scenario/check", post(changes::check))
        .route("/api/v1/instances/{id}/kill", post(changes::kill))
        .route("/api/v1/workers/{index}/drain", post(changes::drain))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::new(guard), check))
        .with_state(Arc::new(shared))
}

async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let refusal = guard.refuse(&request);
    harden(match refusal {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    })
}

async fn index(headers: HeaderMap) -> Response {
    page::file("", &headers).unwrap_or_else(not_found)
}

async fn file(Segment(name): Segment, headers: HeaderMap) -> Response {
    page::file(&name, &headers).unwrap_or_else(not_found)
}

async fn show_table(State(shared): Served) -> Response {
    let page = shared.table.get(&shared.view.clock, || table::page(&shared.view));
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

async fn metrics(State(shared): Served, headers: HeaderMap) -> Response {
    shared.metrics.page(&headers)
}

/// Whether every worker takes calls.
async fn ready(State(shared): Served) -> Response {
    let closed = shared.view.fleet.workers.iter().filter(|worker| !worker.is_open()).count();
    match closed {
        0 => "ok\n".into_response(),
        closed => {
            let text = format!("found {closed} workers that take no calls\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn state(State(shared): Served) -> Response {
    let Shared { view, admin, .. } = &*shared;
    json(shared.state.get(&view.clock, || api::state(view, *admin)))
}

async fn stream(State(shared): Served) -> Response {
    shared.stream.open(&shared.view)
}

async fn functions(State(shared): Served) -> Response {
    json(shared.functions.get(&shared.view.clock, || api::functions(&shared.view)))
}

async fn calls(State(shared): Served) -> Response {
    json(shared.calls.get(&shared.view.clock, || api::calls(&shared.view)))
}

async fn faults(State(shared): Served) -> Response {
    json(api::faults(&shared.view))
}

async fn scenario(State(shared): Served) -> Response {
    json(api::scenario(&shared.view))
}

async fn instances(State(shared): Served, RawQuery(query): RawQuery) -> Response {
    let Shared { view, instances, .. } = &*shared;
    match api::Asked::parse(&query.unwrap_or_default()) {
        Ok(asked) => {
            json(instances.get(&view.clock, asked, |asked| api::instances(view, asked)).await)
        }
        Err(text) => Refusal::new(StatusCode::BAD_REQUEST, text).into_response(),
    }
}

async fn unknown() -> Response {
    not_found()
}

async fn wrong_method() -> Response {
    let text = "found a method that is not served here, expected another one";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}

fn not_found() -> Response {
    let text = "found a path that is not served, expected / or one of docs/guide/watching.md";
    Refusal::new(StatusCode::NOT_FOUND, text).into_response()
}

pub(super) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
