//! What a person may change while the worker runs: each change is a line in the log and a mark in the
//! curves.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hyperfake_predictor::Error;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    extract::{Segment, Whole},
    guard::Refusal,
    routes::{Shared, json as answer},
    scenario,
    view::View,
};
use crate::worker::InstanceId;

/// Ends an instance as a crash of its program does.
pub(super) async fn kill(State(shared): State<Arc<Shared>>, Segment(id): Segment) -> Response {
    let view = &shared.view;
    let now = view.clock.now();
    let parsed = id.parse::<InstanceId>().ok();
    let is_killed = |id| view.fleet.workers.iter().any(|worker| worker.kill_instance(id, now));
    match parsed.filter(|id| is_killed(*id)) {
        Some(id) => {
            changed(view, format!("killed the instance {id}"));
            answer(json!({"id": id.text()}).to_string())
        }
        None => {
            let text = format!("found the instance {id:?}, expected the id of a live one");
            Refusal::new(StatusCode::NOT_FOUND, text).into_response()
        }
    }
}

/// Lets a worker take no more calls and starts.
pub(super) async fn drain(State(shared): State<Arc<Shared>>, Segment(index): Segment) -> Response {
    let view = &shared.view;
    let worker = index.parse().ok().and_then(|index: usize| {
        Some((index, view.fleet.workers.get(index)?, view.fleet.names.get(index)?))
    });
    match worker {
        Some((index, worker, name)) => {
            worker.close();
            changed(view, format!("worker {name} takes no more calls"));
            answer(json!({"worker": index}).to_string())
        }
        None => {
            let count = view.fleet.workers.len();
            let text = format!("found the worker {index:?}, expected a number below {count}");
            Refusal::new(StatusCode::NOT_FOUND, text).into_response()
        }
    }
}

/// What a fault's switch is set to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

/// Switches a fault.
pub(super) async fn switch(
    State(shared): State<Arc<Shared>>,
    Segment(name): Segment,
    Whole(body): Whole,
) -> Response {
    let view = &shared.view;
    // By itself, a struct would be read from a list as well.
    let object = serde_json::from_slice::<Map<String, Value>>(&body);
    let Switch { on } = match object.and_then(|object| Switch::deserialize(Value::Object(object))) {
        Ok(switch) => switch,
        Err(error) => {
            let text =
                format!("found a body that is no switch ({error}), expected {{\"on\": true}}");
            return Refusal::new(StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let faults = scenario::faults(&view.fleet);
    let Some(fault) = faults.iter().find(|fault| fault.name() == name) else {
        let known: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
        let text = match known[..] {
            [] => format!("found the fault {name:?}, but the scenario has none"),
            _ => format!("found the fault {name:?}, expected one of {}", known.join(", ")),
        };
        return Refusal::new(StatusCode::NOT_FOUND, text).into_response();
    };
    if fault.is_on() != on {
        fault.set_on(on);
        changed(view, format!("fault {name} {}", if on { "on" } else { "off" }));
    }
    answer(json!({"name": name, "on": on, "fired": fault.fired()}).to_string())
}

/// Says whether a text is a scenario.
pub(super) async fn check(Whole(body): Whole) -> Response {
    match text(&body).and_then(|text| scenario::check(text).map_err(Mistake::from)) {
        Ok(_) => answer(json!({"ok": true}).to_string()),
        Err(mistake) => mistake.into_response(),
    }
}

/// Lets the workers obey another scenario.
pub(super) async fn replace(State(shared): State<Arc<Shared>>, Whole(body): Whole) -> Response {
    let view = &shared.view;
    let now = view.clock.now();
    let replaced = text(&body)
        .and_then(|text| view.scenario.replace(&view.fleet, text, now).map_err(Mistake::from));
    match replaced {
        Ok(()) => {
            changed(view, "another scenario".to_owned());
            answer(json!({"name": scenario::EDITED}).to_string())
        }
        Err(mistake) => mistake.into_response(),
    }
}

/// What is wrong with a scenario, and where.
struct Mistake {
    text: String,
    position: Option<(u64, u64)>,
}

fn text(body: &[u8]) -> Result<&str, Mistake> {
    std::str::from_utf8(body).map_err(|_| Mistake {
        text: "found a byte that is not UTF-8, expected text".to_owned(),
        position: None,
    })
}

impl From<Error> for Mistake {
    /// An error of a scenario begins with the line and the column.
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let mut parts = text.splitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.trim().parse::<u64>().ok());
        let position = number().zip(number());
        Self { position, text }
    }
}

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        let Self { text, position } = self;
        let (line, column) = position.unzip();
        let body = json!({"error": text, "line": line, "column": column}).to_string();
        (StatusCode::UNPROCESSABLE_ENTITY, answer(body)).into_response()
    }
}

/// Notes a change.
fn changed(view: &View, what: String) {
    tracing::info!(what, "changed over HTTP");
    view.mark(what);
}
