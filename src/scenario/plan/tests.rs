//! How faults end calls.

use super::*;
use crate::scenario::{InstanceView, Scenario, Seed};

const MS: Duration = Duration::from_millis(1);

/// The plan of a call of 100 ms, in a scenario with these sections and with this fault header.
fn planned(sections: &str, header: Option<&str>) -> Plan {
    let spec = FunctionSpec { image: "image".into(), ..FunctionSpec::default() };
    let scenario = Scenario::parse(&format!("version: 1\n{sections}")).unwrap();
    let behaviour = scenario.behaviour(0, "f", &spec.image, &spec).unwrap();
    let prediction = Prediction { runtime: 100 * MS, cpu_cores: 0.5, ram_bytes: 1 << 20 };
    plan(&CallInput {
        behaviour: Some(&behaviour),
        function: &spec,
        features: &Features::IDLE,
        prediction: &prediction,
        draws: Seed::new(14).worker(0).function("f"),
        number: 3,
        instance: InstanceView {
            number: 0,
            speed: 1.0,
            age: Duration::ZERO,
            ram_in_use: 0,
            running: 0,
        },
        since_start: Duration::ZERO,
        fault_header: header,
    })
}

#[test]
fn delays_add_up_and_the_first_end_counts() {
    let plan = planned(
        "faults: [{name: a, delay: 50ms}, {name: b, status: 14}, {name: c, delay: 10ms}, \
         {name: d, kill: crash}]",
        None,
    );
    assert_eq!((plan.run_time, plan.reason), (160 * MS, Cause::Fault("b".into())));
    assert_eq!(plan.end, End::Status(StatusCode::UNAVAILABLE));
    // A delay needs no CPU.
    assert!((plan.cpu_cores * 0.16 - 0.05).abs() < 1e-12);
    let delayed = planned("faults: [{name: a, delay: 50ms}]", None);
    assert_eq!((delayed.end, delayed.reason), (End::Answer, Cause::Fault("a".into())));
}

#[test]
fn a_time_limit_ends_calls_that_are_late_or_hang() {
    let limit = "defaults: {timeout: 120ms}\n";
    let late = planned(&format!("{limit}faults: [{{name: a, delay: 50ms}}]"), None);
    assert_eq!((late.run_time, late.reason), (120 * MS, Cause::TimeLimit));
    let hangs = planned(&format!("{limit}faults: [{{name: a, kill: hang}}]"), None);
    assert_eq!(hangs.run_time, 120 * MS);
    assert_eq!(hangs.end, End::Status(StatusCode::DEADLINE_EXCEEDED));
    let crashes = planned(&format!("{limit}faults: [{{name: a, kill: crash}}]"), None);
    assert_eq!((crashes.run_time, crashes.end), (100 * MS, End::Kill(Kill::Crash)));
    let for_ever = planned("faults: [{name: a, kill: hang}]", None);
    assert_eq!(for_ever.end, End::Hang);
}

#[test]
fn a_call_that_hangs_is_killed_when_memory_grows_short() {
    let plan = planned(
        "defaults: {memory: {limit: 2MiB, growth: 1MiB/s}}\nfaults: [{name: a, kill: hang}]",
        None,
    );
    assert_eq!((plan.run_time, plan.end), (1000 * MS, End::Kill(Kill::OutOfMemory)));
}

#[test]
fn a_caller_asks_for_a_fault_by_a_header() {
    let asked = "faults: [{name: on demand, header: x-fault}]";
    let plan = |value| planned(asked, value);
    assert_eq!((plan(None).end, plan(None).reason), (End::Answer, Cause::None));
    let plan = planned(asked, Some("delay=200ms,status=UNAVAILABLE"));
    assert_eq!(plan.run_time, 300 * MS);
    assert_eq!(plan.end, End::Status(StatusCode::UNAVAILABLE));
    assert_eq!(plan.reason, Cause::Fault("on demand".into()));
    let refused = planned(asked, Some("status=0"));
    assert_eq!((refused.run_time, refused.reason), (Duration::ZERO, Cause::Client));
    let End::Refused(text) = refused.end else { panic!("{:?}", refused.end) };
    assert!(text.starts_with("x-fault: found 'status=0', expected"), "{text}");
}

#[test]
fn without_a_behaviour_a_call_does_what_is_predicted() {
    let spec = FunctionSpec::default();
    let prediction = Prediction { runtime: 7 * MS, cpu_cores: 0.3, ram_bytes: 5 };
    let plan = plan(&CallInput {
        behaviour: None,
        function: &spec,
        features: &Features::IDLE,
        prediction: &prediction,
        draws: Seed::new(1).worker(0).function("f"),
        number: 0,
        instance: InstanceView { number: 0, speed: 2.0, age: MS, ram_in_use: 9, running: 9 },
        since_start: MS,
        fault_header: Some("status=14"),
    });
    assert_eq!(plan, Plan::of(&prediction));
}
