//! A fleet of a hundred workers, of which the first is attacked; the honest clients call the last.

use crate::{
    attacker::Attacker,
    cases, connections,
    floods::{begin_requests, change_windows},
    frames::{call, reset},
    held,
    rig::{Form, Rig},
    state,
};

cases! {
    short:
        settings_at_one_worker,
        unread_answers_of_one_worker,
        connections_to_one_worker;
    long:
        resets_at_one_worker,
        headers_at_one_worker,
        listeners_of_one_worker;
}

/// Attacks the first worker of a fleet with this option.
async fn one_of_many<T>(form: Form, options: &str, attack: impl AsyncFnOnce(&Rig) -> T) {
    let fleet = format!("--fleet-addresses 127.4.0.0/24 --fleet 100 {options}");
    let rig = Rig::start_with(form, &fleet, Some(1024)).await;
    let last = rig.last;
    assert_ne!(rig.address, last);
    rig.attacked_beside(last, attack).await;
}

async fn settings_at_one_worker(form: Form) {
    one_of_many(form, "", async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        begin_requests(rig, &attacker, 30_000).await;
        change_windows(rig, &attacker).await;
        attacker
    })
    .await;
}

async fn resets_at_one_worker(form: Form) {
    one_of_many(form, "", async |rig| {
        while !rig.is_over() {
            let attacker = Attacker::connect(rig.address).await;
            for first in (0..1_000_000).step_by(200) {
                let calls = (first..first + 200)
                    .flat_map(|number| [call(number, &rig.slow), reset(number)].concat());
                if rig.is_over() || !attacker.send(&calls.collect::<Vec<_>>()).await {
                    break;
                }
            }
        }
    })
    .await;
}

async fn unread_answers_of_one_worker(form: Form) {
    one_of_many(form, "--response echo", held::echo_unread).await;
}

async fn headers_at_one_worker(form: Form) {
    one_of_many(form, "", held::bloat_headers).await;
}

async fn listeners_of_one_worker(form: Form) {
    let options = "--auto-remove --idle-timeout 3s";
    one_of_many(form, options, state::listen_without_reading).await;
}

async fn connections_to_one_worker(form: Form) {
    one_of_many(form, "", connections::crowd).await;
}
