//! Signals while clients are stuck.

use std::time::Duration;

use crate::{
    attacker::{Attacker, pause},
    frames::{HEADERS, INITIAL_WINDOW, begun, call, id_message, request},
    rig::{Form, Rig},
};

/// A server ends within this when no call runs: far below the time that calls are given.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_does_not_read_and_a_half_request_do_not_hold_the_end() {
    let mut rig = Rig::start(Form::Short, "--shutdown-grace 20s").await;
    let deaf = Attacker::connect_with(rig.address, &[(INITIAL_WINDOW, 0)]).await;
    deaf.send(&request(0, "Status", &id_message("deaf"))).await;
    assert!(deaf.wait_for(HEADERS, 1).await);
    // Something for it to read.
    rig.victim(rig.address, Duration::from_millis(200)).judge();
    let half = Attacker::connect(rig.address).await;
    half.send(&begun(0, "Call")).await;
    pause(Duration::from_millis(200)).await;
    let took = rig.time_to_end();
    assert!(took < SOON, "the end took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_run_are_given_their_time_and_no_more() {
    let mut rig = Rig::start(Form::Short, "--shutdown-grace 1s").await;
    let attacker = Attacker::connect(rig.address).await;
    let calls = (0..5000).flat_map(|number| call(number, &rig.slow));
    attacker.send(&calls.collect::<Vec<_>>()).await;
    pause(Duration::from_millis(300)).await;
    let took = rig.time_to_end();
    assert!(took >= Duration::from_millis(900), "the calls had {took:?}, expected a second");
    assert!(took < SOON, "the end took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_for_a_moment_goes_on() {
    let rig = Rig::start(Form::Short, "").await;
    let listener = Attacker::connect(rig.address).await;
    listener.send(&request(0, "Status", &id_message("node"))).await;
    assert!(listener.wait_for(HEADERS, 1).await);
    let victim = rig.victim(rig.address, Duration::from_secs(3));
    pause(Duration::from_millis(500)).await;
    rig.signal("-STOP");
    pause(Duration::from_secs(1)).await;
    rig.signal("-CONT");
    // Its calls wait, and none fails.
    victim.judge();
    assert!(!listener.is_closed(), "the listener lost its stream");
    drop(listener);
    rig.gives_everything_back().await;
    rig.end();
}
