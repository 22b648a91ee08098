//! OpenTelemetry's conventions for functions (semantic conventions 1.44, in development), as its
//! exporter for Prometheus spells them. `faas.invocations` are those that were answered.

use std::fmt;

use super::{
    Sample,
    family::{Families, Family, Labels},
};
use crate::admin::observe::{FunctionTotal, Outcome};

const SECONDS: Option<&str> = Some("seconds");

pub(super) fn encode(sample: &Sample<'_>, families: &mut Families<'_>) -> fmt::Result {
    let functions = || sample.totals.functions.iter().map(|function| (labels(function), function));
    let help = "Duration of the function's logic";
    families.histogram(
        Family { name: "faas_invoke_duration", unit: SECONDS, help },
        functions().map(|(labels, function)| (labels, &function.run)),
    )?;
    let help = "Duration of the function's initialization, such as a cold start";
    families.histogram(
        Family { name: "faas_init_duration", unit: SECONDS, help },
        functions().map(|(labels, function)| (labels, &function.cold_start)),
    )?;
    let help = "Cold starts";
    let starts = functions();
    families.counter(
        Family { name: "faas_coldstarts", unit: None, help },
        starts.map(|(labels, function)| (labels, function.cold_start.count())),
    )?;
    let help = "Invocations that failed";
    let failed =
        [Outcome::Error, Outcome::Overload, Outcome::OutOfMemory, Outcome::Crash, Outcome::Fault];
    families.counter(Family { name: "faas_errors", unit: None, help }, counts(sample, &failed))?;
    let help = "Invocations that succeeded";
    let name = "faas_invocations";
    families.counter(Family { name, unit: None, help }, counts(sample, &[Outcome::Ok]))?;
    let help = "Invocations that exceeded their time limit";
    let name = "faas_timeouts";
    families.counter(Family { name, unit: None, help }, counts(sample, &[Outcome::Timeout]))
}

fn counts<'a>(
    sample: &Sample<'a>,
    outcomes: &[Outcome],
) -> impl Iterator<Item = (Labels<'a>, u64)> {
    sample.totals.functions.iter().map(move |function| {
        let counts = outcomes.iter().map(|outcome| function.calls[*outcome as usize]);
        (labels(function), counts.sum::<u64>())
    })
}

fn labels(function: &FunctionTotal) -> Labels<'_> {
    // As in spans: the conventions name no trigger for gRPC, and those of HTTP are about requests with
    // a method and a route.
    vec![("faas_name", &*function.id), ("faas_trigger", "other")]
}
