//! Frames that cost the server more than the client.

use crate::{
    attacker::{Attacker, pause},
    cases,
    frames::{
        CONTINUATION, DATA, HEADERS, INITIAL_WINDOW, PING, PRIORITY, begun, block, call_message,
        field, frame, framed, path, settings, stream, window_update,
    },
    rig::{Form, Rig},
};

cases! {
    short:
        settings_that_visit_every_half_open_stream,
        pings,
        continuation_without_end;
    long:
        settings_that_visit_every_running_call,
        settings_without_a_value,
        priorities,
        window_updates,
        unknown_frames,
        empty_data,
        answers_that_are_taken_one_byte_at_a_time;
}

/// Sends the same frames again and again, over one connection after another.
async fn flood(form: Form, frames: Vec<u8>) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let mut attacker = Attacker::connect(rig.address).await;
        while !rig.is_over() {
            if !attacker.send(&frames).await {
                attacker = Attacker::connect(rig.address).await;
            }
        }
        attacker
    })
    .await;
}

/// Changes the window of all streams to and fro.
pub(crate) async fn change_windows(rig: &Rig, attacker: &Attacker) {
    let both = [settings(&[(INITIAL_WINDOW, 1000)]), settings(&[(INITIAL_WINDOW, 100_000)])];
    let many = both.concat().repeat(300);
    while !rig.is_over() && attacker.send(&many).await {}
    rig.wait().await;
}

/// Begins requests whose messages do not come.
pub(crate) async fn begin_requests(rig: &Rig, attacker: &Attacker, count: usize) {
    for first in (0..count).step_by(500) {
        let requests = (first..first + 500).flat_map(|number| begun(number, "Call"));
        if rig.is_over() || !attacker.send(&requests.collect::<Vec<_>>()).await {
            return;
        }
    }
}

async fn settings_that_visit_every_half_open_stream(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        begin_requests(rig, &attacker, 30_000).await;
        change_windows(rig, &attacker).await;
        attacker
    })
    .await;
}

async fn settings_that_visit_every_running_call(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        for first in (0..20_000).step_by(500) {
            let calls = (first..first + 500).flat_map(|n| crate::frames::call(n, &rig.slow));
            if rig.is_over() || !attacker.send(&calls.collect::<Vec<_>>()).await {
                break;
            }
        }
        change_windows(rig, &attacker).await;
        attacker
    })
    .await;
}

async fn pings(form: Form) {
    flood(form, frame(PING, 0, 0, &[0; 8]).repeat(1000)).await;
}

async fn settings_without_a_value(form: Form) {
    flood(form, settings(&[]).repeat(1000)).await;
}

async fn priorities(form: Form) {
    let priorities = (0..1000).flat_map(|n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 1]));
    flood(form, priorities.collect()).await;
}

async fn window_updates(form: Form) {
    flood(form, window_update(0, 1).repeat(1000)).await;
}

async fn unknown_frames(form: Form) {
    flood(form, frame(77, 0, 0, &[b'x'; 50]).repeat(1000)).await;
}

async fn empty_data(form: Form) {
    let begun = begun(0, "Call");
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let mut attacker = Attacker::connect(rig.address).await;
        let mut is_fresh = true;
        while !rig.is_over() {
            let request = if is_fresh { &begun[..] } else { &[] };
            is_fresh =
                !attacker.send(&[request, &frame(DATA, 0, 1, &[]).repeat(1000)].concat()).await;
            if is_fresh {
                attacker = Attacker::connect(rig.address).await;
            }
        }
        attacker
    })
    .await;
}

async fn continuation_without_end(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let full = field("n", &"x".repeat(100), false).repeat(100);
        let parts = [vec![], vec![0x82], full];
        for part in parts.iter().cycle() {
            if rig.is_over() {
                return;
            }
            let attacker = Attacker::connect(rig.address).await;
            let begin = frame(HEADERS, 0, 1, &block(&path("Call")));
            let more = frame(CONTINUATION, 0, 1, part).repeat(500);
            let mut bytes = [begin, more.clone()].concat();
            while !rig.is_over() && attacker.send(&bytes).await {
                bytes.clone_from(&more);
            }
        }
    })
    .await;
}

async fn answers_that_are_taken_one_byte_at_a_time(form: Form) {
    let rig = Rig::start(form, "--response echo").await;
    rig.attacked(async |rig| {
        let attacker = Attacker::connect_with(rig.address, &[(INITIAL_WINDOW, 0)]).await;
        attacker.send(&begun(0, "Call")).await;
        let message = framed(&call_message(&rig.zero, 4_000_000));
        attacker.data(stream(0), &message, true).await;
        let updates = window_update(stream(0), 1).repeat(500);
        while !rig.is_over() && attacker.send(&updates).await {
            pause(std::time::Duration::from_millis(1)).await;
        }
        attacker
    })
    .await;
}
