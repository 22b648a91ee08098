use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use serde::Serialize;

use crate::{
    admin::{
        fleet::{self, unix},
        snapshot::place,
        view::View,
    },
    clock::Moment,
    worker::{Instance, InstanceId},
};

/// Which instances are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Asked {
    worker: Option<usize>,
    function: Option<String>,
    limit: usize,
}

#[derive(Debug, Serialize)]
struct Instances {
    total: usize,
    instances: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    name: String,
    worker: usize,
    function: u32,
    state: &'static str,
    created: f64,
    ready: f64,
    last_work: f64,
}

/// When an instance was made, its id and its worker.
type Key = (Moment, InstanceId, usize);

const DEFAULT_LIMIT: usize = 200;
const MAX_LIMIT: usize = 1000;

impl Asked {
    /// Of the query of a request.
    ///
    /// # Errors
    ///
    /// One line about a part that is not as expected.
    pub(in crate::admin) fn parse(query: &str) -> Result<Self, String> {
        let mut asked = Self { worker: None, function: None, limit: DEFAULT_LIMIT };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let number = || {
                let number = value.parse::<usize>();
                number.map_err(|_| format!("{name}: found {value:?}, expected a whole number"))
            };
            match &*name {
                "worker" => asked.worker = Some(number()?),
                "function" => asked.function = Some(value.into_owned()),
                "limit" => asked.limit = number()?.min(MAX_LIMIT),
                _ => {
                    return Err(format!("found {name:?}, expected worker, function or limit"));
                }
            }
        }
        Ok(asked)
    }
}

pub(in crate::admin) fn instances(view: &View, asked: &Asked) -> String {
    // Of very many, only those that are shown are kept: the newest, of which the oldest is on top.
    let mut newest = BinaryHeap::<Reverse<(Key, usize)>>::new();
    let mut found = Vec::<Arc<Instance>>::new();
    let mut total = 0;
    for (worker, of) in view.fleet.workers.iter().enumerate() {
        if asked.worker.is_some_and(|asked| asked != worker) {
            continue;
        }
        of.each_instance(|instance| {
            if asked.function.as_ref().is_some_and(|asked| **asked != *instance.function().id) {
                return;
            }
            total += 1;
            let key = (instance.created, instance.id, worker);
            let place = match newest.peek() {
                _ if newest.len() < asked.limit => {
                    found.push(Arc::clone(instance));
                    found.len() - 1
                }
                Some(Reverse((oldest, place))) if key > *oldest => {
                    let place: usize = *place;
                    newest.pop();
                    found[place] = Arc::clone(instance);
                    place
                }
                _ => return,
            };
            newest.push(Reverse((key, place)));
        });
    }
    let (now, state) = (view.clock.now(), view.up_to_date());
    let show = |Reverse(((_, _, worker), at)): Reverse<(Key, usize)>| {
        let instance: &Instance = &found[at];
        Shown {
            id: instance.id.text(),
            name: instance.id.name(),
            worker,
            function: place(&state.observed.totals, &instance.function().id),
            state: fleet::name(instance.state(now)),
            created: unix(&view.clock, instance.created),
            ready: unix(&view.clock, instance.ready_at),
            last_work: unix(&view.clock, instance.last_work()),
        }
    };
    let instances = newest.into_sorted_vec().into_iter().map(show).collect();
    serde_json::to_string(&Instances { total, instances }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_or_refused_with_a_reason() {
        let all = Asked { worker: None, function: None, limit: DEFAULT_LIMIT };
        assert_eq!(Asked::parse(""), Ok(all));
        let function = Some("a b".to_owned());
        let some = Asked { worker: Some(3), function, limit: MAX_LIMIT };
        assert_eq!(Asked::parse("worker=3&function=a+b&limit=5000"), Ok(some));
        let error = Asked::parse("worker=-1").unwrap_err();
        assert_eq!(error, "worker: found \"-1\", expected a whole number");
        let error = Asked::parse("workers=1").unwrap_err();
        assert_eq!(error, "found \"workers\", expected worker, function or limit");
    }
}
