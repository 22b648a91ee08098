use std::sync::Arc;

use super::*;
use crate::scenario::{Kill, Scenario, Seed};

const SECOND: Duration = Duration::from_secs(1);

fn faults(list: &str) -> Vec<Arc<Fault>> {
    Scenario::parse(&format!("version: 1\nfaults: {list}")).unwrap().faults().to_vec()
}

fn fault(keys: &str) -> Arc<Fault> {
    faults(&format!("[{{name: a, {keys}}}]")).remove(0)
}

fn draws() -> Draws {
    Seed::new(14).worker(0).function("f")
}

fn call(number: u64) -> Subject {
    Subject { number, instance: 0, age: Duration::ZERO, since_start: Duration::ZERO }
}

#[test]
fn each_key_is_another_effect() {
    for (keys, effect) in [
        ("delay: 3s", Effect::Delay(Distribution::fixed(3 * SECOND))),
        ("status: 14", Effect::End(End::Status(StatusCode::UNAVAILABLE))),
        ("status: unavailable", Effect::End(End::Status(StatusCode::UNAVAILABLE))),
        ("error: out of cheese", Effect::End(End::Error("out of cheese".into()))),
        ("kill: crash", Effect::End(End::Kill(Kill::Crash))),
        ("kill: oom", Effect::End(End::Kill(Kill::OutOfMemory))),
        ("kill: hang", Effect::End(End::Hang)),
        ("drop: connection", Effect::End(End::DropConnection)),
        ("start: {fail: INTERNAL}", Effect::Start(StartFault::Fail(StatusCode::INTERNAL))),
        ("start: {slow: 3s}", Effect::Start(StartFault::Slow(Distribution::fixed(3 * SECOND)))),
        ("header: X-Fault", Effect::Header("x-fault".into())),
    ] {
        assert_eq!(fault(keys).effect, effect, "{keys}");
    }
}

#[test]
fn it_happens_to_its_percentage_and_independently_of_other_faults() {
    let list = "[{name: a, percent: 20, kill: hang}, {name: b, percent: 20, kill: hang}]";
    let faults = faults(list);
    let fired = |at: usize| -> Vec<_> {
        (0..10_000).map(|number| faults[at].fires(draws(), &call(number))).collect()
    };
    let (one, other) = (fired(0), fired(1));
    let both = one.iter().zip(&other).filter(|(one, other)| **one && **other).count();
    // 2000 and 400, with standard deviations of 40 and 20.
    assert!(faults[0].fired().abs_diff(2000) < 200, "{}", faults[0].fired());
    assert!(both.abs_diff(400) < 100, "{both}");
    assert!(!fault("percent: 0, kill: hang").fires(draws(), &call(0)));
}

#[test]
fn it_happens_in_its_window_which_repeats() {
    let at = |fault: &Fault, seconds: u32| {
        fault.fires(draws(), &Subject { since_start: seconds * SECOND, ..call(0) })
    };
    let once = fault("from: 60s, to: 120s, kill: hang");
    let fired: Vec<_> = (0..300).filter(|seconds| at(&once, *seconds)).collect();
    assert_eq!(fired, (60..120).collect::<Vec<_>>());
    let again = fault("from: 60s, to: 120s, every: 200s, kill: hang");
    let fired: Vec<_> = (0..400).filter(|seconds| at(&again, *seconds)).collect();
    assert_eq!(fired, (60..120).chain(260..320).collect::<Vec<_>>());
    let open = fault("from: 60s, kill: hang");
    assert!(!at(&open, 59) && at(&open, 60) && at(&open, 1_000_000));
}

#[test]
fn it_happens_at_most_so_many_times_and_only_while_it_is_on() {
    let rare = fault("at_most: 3, kill: hang");
    let fired: Vec<_> = (0..10).filter(|number| rare.fires(draws(), &call(*number))).collect();
    assert_eq!((fired, rare.fired()), (vec![0, 1, 2], 3));
    let off = fault("enabled: false, kill: hang");
    assert!(!off.is_on() && !off.fires(draws(), &call(0)));
    off.set_on(true);
    assert!(off.fires(draws(), &call(0)));
    off.set_on(false);
    assert!(!off.fires(draws(), &call(0)) && off.fired() == 1);
}

#[test]
fn it_concerns_instances_by_number_and_age() {
    let third = fault("instances: {every_nth: 3}, kill: hang");
    let instance = |instance| Subject { instance, ..call(0) };
    let fired: Vec<_> = (0..9).filter(|number| third.fires(draws(), &instance(*number))).collect();
    assert_eq!(fired, [2, 5, 8]);
    let old = fault("instances: {older_than: 10s}, kill: hang");
    assert!(!old.fires(draws(), &Subject { age: 10 * SECOND, ..call(0) }));
    assert!(old.fires(draws(), &Subject { age: 11 * SECOND, ..call(0) }));
}
