use serde::Serialize;

use crate::admin::{observe::Outcome, view::View};

/// What the places of functions stand for, and their calls since the start.
#[derive(Debug, Serialize)]
struct Functions<'a> {
    version: u64,
    functions: Vec<Function<'a>>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    id: &'a str,
    image: &'a str,
    calls: [u64; Outcome::COUNT],
}

pub(in crate::admin) fn functions(view: &View) -> String {
    let state = view.up_to_date();
    let totals = &state.observed.totals;
    let functions = totals.functions.iter();
    let functions = functions.map(|function| Function {
        id: &function.id,
        image: &function.image,
        calls: function.calls,
    });
    let functions = Functions { version: totals.version, functions: functions.collect() };
    serde_json::to_string(&functions).unwrap_or_default()
}
