//! Listeners, instances and functions.

use std::time::Duration;

use tokio::net::TcpListener;

use crate::{
    attacker::{Attacker, pause},
    cases,
    frames::{DATA, HEADERS, INITIAL_WINDOW, SETTINGS, id_message, request, reset},
    rig::{Form, Rig},
};

cases! {
    short:
        listeners_that_do_not_read,
        starts_of_functions_that_nobody_knows;
    long:
        listeners_that_come_and_go,
        starts_of_instances;
}

/// Starts instances; a connection takes 10,000.
async fn start_instances(rig: &Rig, function: &str, held: &mut Vec<Attacker>, most: usize) {
    let mut started = 0;
    while !rig.is_over() && started < most {
        let attacker = Attacker::connect(rig.address).await;
        for first in (0..10_000).step_by(500) {
            let starts = (first..first + 500)
                .flat_map(|number| request(number, "Start", &id_message(function)));
            if rig.is_over()
                || !attacker.send(&starts.collect::<Vec<_>>()).await
                || !attacker.wait_for(DATA, first + 500).await
            {
                break;
            }
            started += 500;
        }
        held.push(attacker);
    }
}

/// As many listeners as there may be, none of which reads, while instances are started.
pub(crate) async fn listen_without_reading(rig: &Rig) -> Vec<Attacker> {
    let deaf = Attacker::connect_with(rig.address, &[(INITIAL_WINDOW, 0)]).await;
    let listen = (0..256)
        .flat_map(|number| request(number, "Status", &id_message(&format!("deaf{number}"))));
    deaf.send(&listen.collect::<Vec<_>>()).await;
    assert!(deaf.wait_for(HEADERS, 256).await, "the listeners are not served");
    let mut held = vec![deaf];
    start_instances(rig, &rig.slow, &mut held, 33_000).await;
    rig.wait().await;
    held
}

async fn listeners_that_do_not_read(form: Form) {
    let rig = Rig::start(form, "--auto-remove --idle-timeout 3s").await;
    rig.attacked(listen_without_reading).await;
}

async fn listeners_that_come_and_go(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let mut attacker = Attacker::connect(rig.address).await;
        let mut first = 0;
        while !rig.is_over() {
            let listen = (first..first + 50).flat_map(|number| {
                let node = id_message(&format!("node{number}"));
                [request(number, "Status", &node), reset(number)].concat()
            });
            first += 50;
            if !attacker.send(&listen.collect::<Vec<_>>()).await {
                attacker = Attacker::connect(rig.address).await;
                first = 0;
            }
        }
        attacker
    })
    .await;
}

async fn starts_of_instances(form: Form) {
    let rig = Rig::start(form, "--auto-remove --idle-timeout 3s").await;
    rig.attacked(async |rig| {
        let mut held = Vec::new();
        start_instances(rig, &rig.slow, &mut held, usize::MAX).await;
        held
    })
    .await;
}

/// A registry that accepts and never answers: a Start is not a connection to it each.
async fn starts_of_functions_that_nobody_knows(form: Form) {
    let registry = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = registry.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = registry.accept().await {
            held.push(connection);
        }
    });
    let options = format!("--database-type http --database-address http://{place}");
    let rig = Rig::start_with(form, &options, Some(1024)).await;
    let attacker = Attacker::connect(rig.address).await;
    let starts = (0..4000)
        .flat_map(|number| request(number, "Start", &id_message(&format!("unknown{number}"))));
    attacker.send(&starts.collect::<Vec<_>>()).await;
    let mut most = 0;
    while !rig.is_over() {
        most = rig.descriptors().max(most);
        pause(Duration::from_millis(20)).await;
    }
    assert!(most < 512, "{most} descriptors were in use");
    let newcomer = Attacker::connect(rig.address).await;
    assert!(newcomer.wait_for(SETTINGS, 1).await, "a newcomer is not served");
    drop((attacker, newcomer));
    accepting.abort();
    rig.gives_everything_back().await;
    rig.end();
}
