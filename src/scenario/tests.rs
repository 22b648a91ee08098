//! What a scenario's text does to starts and calls.

use std::time::Duration;

use hyperfake_predictor::{Features, Prediction};

use super::{
    behaviour::{Memory, Queue},
    *,
};
use crate::functions::FunctionSpec;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn scenario(text: &str) -> Scenario {
    Scenario::parse(&format!("version: 1\n{text}")).unwrap()
}

fn spec() -> FunctionSpec {
    FunctionSpec {
        image: "hyperfaas-echo:latest".into(),
        memory_limit: Some(256 << 20),
        cpu_limit: Some(0.5),
        cpu_period: Some(100 * MS),
        max_concurrency: Some(4),
        ..FunctionSpec::default()
    }
}

fn behaviour(text: &str) -> std::sync::Arc<Behaviour> {
    let spec = spec();
    scenario(text).behaviour(0, "f", &spec.image, &spec).unwrap()
}

fn draws() -> Draws {
    Seed::new(14).worker(0).function("f")
}

/// A call of 100 ms on one core with 64 MiB, changed by `change`.
fn planned(behaviour: &Behaviour, change: impl FnOnce(&mut CallInput<'_>)) -> Plan {
    let (spec, features) = (spec(), Features::IDLE);
    let prediction = Prediction { runtime: 100 * MS, cpu_cores: 1.0, ram_bytes: 64 << 20 };
    let mut input = CallInput {
        behaviour: Some(behaviour),
        function: &spec,
        features: &features,
        prediction: &prediction,
        draws: draws(),
        number: 0,
        instance: InstanceView {
            number: 0,
            speed: 1.0,
            age: Duration::ZERO,
            ram_in_use: 0,
            running: 0,
        },
        since_start: Duration::ZERO,
        fault_header: None,
    };
    change(&mut input);
    plan(&input)
}

/// Every call of a number, one after the other.
fn calls(behaviour: &Behaviour, count: u64) -> Vec<Plan> {
    (0..count).map(|number| planned(behaviour, |input| input.number = number)).collect()
}

#[test]
fn nothing_is_changed_by_the_plain_scenario_or_for_functions_that_are_not_meant() {
    let spec = spec();
    let behaviour = |text: &str| scenario(text).behaviour(0, "f", &spec.image, &spec);
    assert!(Scenario::plain().behaviour(0, "f", &spec.image, &spec).is_none());
    assert!(behaviour("").is_none());
    assert!(behaviour("functions: {other-*: {timeout: 1s}}").is_none());
    let faults = "faults: [{name: a, functions: [other], status: INTERNAL}, \
                  {name: b, workers: [1], status: INTERNAL}]";
    assert!(behaviour(faults).is_none());
    assert!(scenario(faults).behaviour(1, "f", &spec.image, &spec).is_some());
    assert!(behaviour("functions: {hyperfaas-echo: {timeout: 1s}}").is_some());
    assert!(behaviour("functions: {f: {timeout: 1s}}").is_some());
}

#[test]
fn later_sections_that_match_count_before_earlier_ones_and_those_before_the_defaults() {
    let behaviour = behaviour(
        "defaults: {timeout: 1s, concurrency: 7, noise: {sigma: 0.3}, cpu: registered}\n\
         functions:\n  \
           hyperfaas-*: {timeout: 2s, queue: {depth: 3, timeout: 5s}}\n  \
           '*-echo': {timeout: 3s, run_time: 50ms, cpu: none}\n  \
           other: {concurrency: 9}\n",
    );
    assert_eq!(behaviour.timeout, Some(3 * SECOND));
    assert_eq!(behaviour.concurrency, Some(7));
    assert_eq!(behaviour.queue, Queue { depth: 3, timeout: Some(5 * SECOND) });
    assert_eq!((behaviour.noise_sigma, behaviour.quota), (0.0, None));
}

#[test]
fn limits_are_those_of_the_file_or_as_registered() {
    let registered = behaviour(
        "defaults: {concurrency: registered, cpu: registered, memory: registered, queue: {depth: 10x}}",
    );
    assert_eq!(registered.concurrency, Some(4));
    assert_eq!(registered.queue.depth, 40);
    assert_eq!(registered.quota, Some(Quota { cores: 0.5, period: 100 * MS }));
    let memory = Memory { limit: 256 << 20, growth_per_second: 0.0 };
    assert_eq!(registered.memory, Some(memory));
    let stated = behaviour(
        "defaults: {concurrency: 2, cpu: {quota: 1.5, period: 20ms}, \
         memory: {limit: 128MiB, growth: 60KiB/min}}",
    );
    assert_eq!((stated.concurrency, stated.queue.depth), (Some(2), 20));
    assert_eq!(stated.quota, Some(Quota { cores: 1.5, period: 20 * MS }));
    let memory = Memory { limit: 128 << 20, growth_per_second: 1024.0 };
    assert_eq!(stated.memory, Some(memory));
    assert_eq!(stated.overload, StatusCode::RESOURCE_EXHAUSTED);
}

#[test]
fn a_call_of_120_ms_of_cpu_takes_220_ms_with_half_a_core() {
    let behaviour = behaviour("defaults: {cpu: {quota: 0.5, period: 100ms}, run_time: 120ms}");
    let plan = planned(&behaviour, |_| {});
    assert_eq!((plan.run_time, &plan.end), (220 * MS, &End::Answer));
    // It holds its CPU time on average, not what it wanted.
    assert!((plan.cpu_cores * 0.22 - 0.12).abs() < 1e-12, "{}", plan.cpu_cores);
    let other = planned(&behaviour, |input| input.instance.running = 1);
    // 25 ms of each period: four periods and 20 ms.
    assert_eq!(other.run_time, 420 * MS);
}

#[test]
fn noise_and_speed_change_run_times_and_keep_their_mean() {
    let noisy = behaviour("defaults: {noise: {sigma: 0.2}, instance_speed: {sigma: 0.06}}");
    let plans = calls(&noisy, 100_000);
    let mean = plans.iter().map(|plan| plan.run_time.as_secs_f64()).sum::<f64>() / 1e5;
    assert!((mean / 0.1 - 1.0).abs() < 0.005, "{mean}");
    let start = |number| noisy.start(draws(), number, 0, SECOND, Duration::ZERO);
    let slowness = (0..100_000).map(|number| 1.0 / start(number).speed).sum::<f64>() / 1e5;
    assert!((slowness - 1.0).abs() < 0.005, "{slowness}");
    let fast = planned(&behaviour("defaults: {timeout: 9s}"), |input| input.instance.speed = 2.0);
    assert_eq!(fast.run_time, 50 * MS);
}

#[test]
fn a_call_ends_at_its_time_limit() {
    let behaviour = behaviour("defaults: {timeout: 60ms}");
    let plan = planned(&behaviour, |_| {});
    assert_eq!(plan.run_time, 60 * MS);
    assert_eq!(plan.end, End::Status(StatusCode::DEADLINE_EXCEEDED));
    assert_eq!(plan.reason, Cause::TimeLimit);
}

#[test]
fn an_instance_is_killed_when_its_memory_is_short() {
    let behaviour = behaviour("defaults: {memory: {limit: 128MiB, growth: 1MiB/s}, run_time: 5s}");
    let killed = |plan: &Plan| plan.end == End::Kill(Kill::OutOfMemory);
    let with = |ram: u64, age: u64| {
        planned(&behaviour, |input| {
            (input.instance.ram_in_use, input.instance.age) = (ram << 20, age as u32 * SECOND);
        })
    };
    // 64 MiB of the call, and nothing else.
    let fits = with(0, 0);
    assert_eq!((fits.run_time, fits.end), (5 * SECOND, End::Answer));
    // What is left lasts for 4 seconds, half of it used by age.
    let grows = with(60, 0);
    assert!(killed(&grows), "{grows:?}");
    assert_eq!((grows.run_time, grows.reason), (4 * SECOND, Cause::OutOfMemory));
    assert_eq!(with(60, 2).run_time, 2 * SECOND);
    // The call itself does not fit.
    assert_eq!(with(65, 0).run_time, Duration::ZERO);
}

#[test]
fn starts_are_drawn_slowed_down_and_fail() {
    let behaviour = behaviour(
        "defaults: {cold_start: 200ms, starts: {slow_down: 0.1, fail_percent: 25}}\n\
         faults: [{name: slow, percent: 50, start: {slow: 1s}}]",
    );
    let start = |number, starts| behaviour.start(draws(), number, starts, SECOND, Duration::ZERO);
    let plans: Vec<_> = (0..1000).map(|number| start(number, 5)).collect();
    let failed: Vec<_> = plans.iter().filter(|plan| plan.fails.is_some()).collect();
    assert!(failed.len().abs_diff(250) < 60, "{}", failed.len());
    assert!(failed.iter().all(|plan| plan.fails == Some(StatusCode::INTERNAL)));
    // A start that fails is not slow as well.
    assert!(failed.iter().all(|plan| plan.reason == Cause::StartFailed));
    for plan in &plans {
        let slow = matches!(plan.reason, Cause::Fault(_));
        assert_eq!(plan.cold_start, if slow { 1300 * MS } else { 300 * MS });
    }
    let fired = behaviour.faults[0].fired();
    assert!(fired.abs_diff(375) < 70, "{fired}");
}

#[test]
fn without_a_stated_time_a_start_takes_what_it_took() {
    let behaviour = behaviour("defaults: {timeout: 1s}");
    let start = behaviour.start(draws(), 0, 9, 541 * MS, Duration::ZERO);
    let expected = StartPlan { cold_start: 541 * MS, fails: None, speed: 1.0, reason: Cause::None };
    assert_eq!(start, expected);
}

#[test]
fn overrides_count_before_the_scenario() {
    let text = "worker: {contention: absolute}\n\
                defaults: {cold_start: 200ms, run_time: 100ms, starts: {slow_down: 1}}";
    let overrides = Overrides {
        contention: Some(Contention::Relative),
        cold_start: true,
        time_scale: "0.5".parse().unwrap(),
    };
    let scenario = scenario(text).with(&overrides);
    assert_eq!(scenario.worker().contention, Contention::Relative);
    let spec = spec();
    let behaviour = scenario.behaviour(0, "f", &spec.image, &spec).unwrap();
    let start = behaviour.start(draws(), 0, 1, 70 * MS, Duration::ZERO);
    assert_eq!(start.cold_start, 140 * MS);
    assert_eq!(planned(&behaviour, |_| {}).run_time, 50 * MS);
}

#[test]
fn the_same_input_gives_the_same_plan_and_another_seed_another_one() {
    let text = "defaults: {run_time: {p50: 100ms, p99: 1s}, noise: {sigma: 0.2}}\n\
                faults: [{name: a, percent: 10, delay: {p50: 1ms, p99: 1s}}]";
    let (one, other) = (behaviour(text), behaviour(text));
    let plans = calls(&one, 1000);
    assert_eq!(plans, calls(&other, 1000));
    let again = planned(&one, |input| {
        (input.draws, input.number) = (Seed::new(15).worker(0).function("f"), 7);
    });
    assert_ne!(plans[7].run_time, again.run_time);
}
