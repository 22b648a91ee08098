//! Many connections, and threads that are held.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    attacker::{Attacker, pause},
    cases,
    floods::{begin_requests, change_windows},
    frames::{PREFACE, SETTINGS},
    rig::{Form, Rig},
};

cases! {
    short:
        a_thread_that_is_held_does_not_stop_the_others,
        connections_of_one_peer;
    long:
        connections_that_come_and_go,
        connections_that_say_nothing;
}

/// The descriptors that the server has.
const DESCRIPTORS: usize = 1024;

async fn a_thread_that_is_held_does_not_stop_the_others(form: Form) {
    let rig = Rig::start(form, "--max-connections 2000").await;
    rig.attacked(async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        begin_requests(rig, &attacker, 30_000).await;
        let newcomers = async {
            let mut served = Vec::new();
            for number in 0..600 {
                let from = [127, 0, 1 + (number / 100) as u8, 1];
                let newcomer = Attacker::connect_from(from, rig.address).await;
                served.push(newcomer.expect("a newcomer cannot connect"));
            }
            for (number, newcomer) in served.iter().enumerate() {
                assert!(newcomer.wait_for(SETTINGS, 1).await, "newcomer {number} is not served");
            }
            served
        };
        let (_, newcomers) = tokio::join!(change_windows(rig, &attacker), newcomers);
        (attacker, newcomers)
    })
    .await;
}

/// One peer opens as many connections as it can: another client is still served.
pub(crate) async fn crowd(rig: &Rig) -> Vec<Attacker> {
    let mut crowd = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        if rig.is_over() {
            break;
        }
        crowd.extend(Attacker::connect_from([127, 0, 0, 9], rig.address).await);
    }
    assert!(rig.descriptors() < DESCRIPTORS - 32, "{} descriptors are in use", rig.descriptors());
    let other = Attacker::connect_from([127, 0, 0, 2], rig.last).await;
    let is_served = other.expect("another peer cannot connect").wait_for(SETTINGS, 1).await;
    assert!(is_served, "another peer is not served");
    crowd
}

async fn connections_of_one_peer(form: Form) {
    let rig = Rig::start_with(form, "", Some(DESCRIPTORS)).await;
    rig.attacked(crowd).await;
}

async fn connections_that_come_and_go(form: Form) {
    let rig = Rig::start_with(form, "", Some(DESCRIPTORS)).await;
    rig.attacked(async |rig| {
        while !rig.is_over() {
            if let Ok(mut connection) = TcpStream::connect(rig.address).await {
                let _ = connection.write_all(PREFACE).await;
            }
        }
    })
    .await;
}

async fn connections_that_say_nothing(form: Form) {
    let rig = Rig::start_with(form, "", Some(DESCRIPTORS)).await;
    rig.attacked(async |rig| {
        let mut silent = Vec::new();
        while !rig.is_over() && silent.len() < 2 * DESCRIPTORS {
            if let Ok(connection) = TcpStream::connect(rig.address).await {
                silent.push(connection);
            }
        }
        rig.wait().await;
        pause(Duration::from_millis(10)).await;
        silent
    })
    .await;
}
