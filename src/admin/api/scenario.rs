use serde::Serialize;

use crate::admin::{scenario, view::View};

#[derive(Debug, Serialize)]
struct Faults {
    version: u64,
    faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
struct Fault {
    name: String,
    on: bool,
    fired: u64,
    what: &'static str,
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    name: String,
    text: Option<&'a str>,
}

pub(in crate::admin) fn faults(view: &View) -> String {
    let faults = scenario::faults(&view.fleet);
    let faults = faults.iter().map(|fault| Fault {
        name: fault.name().to_owned(),
        on: fault.is_on(),
        fired: fault.fired(),
        what: fault.what(),
    });
    let faults = Faults { version: view.scenario.version(&view.fleet), faults: faults.collect() };
    serde_json::to_string(&faults).unwrap_or_default()
}

pub(in crate::admin) fn scenario(view: &View) -> String {
    let (name, scenario) = (view.scenario.name(&view.fleet), scenario::current(&view.fleet));
    let text = scenario.as_ref().and_then(|scenario| scenario.text());
    serde_json::to_string(&Text { name, text }).unwrap_or_default()
}
