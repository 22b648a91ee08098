//! What a client makes the server hold: answers, headers, parts of messages, requests of calls.

use std::time::Duration;

use crate::{
    attacker::{Attacker, pause},
    cases,
    frames::{
        DATA, END_HEADERS, HEADERS, INITIAL_WINDOW, begun, block, call_message, field, frame,
        framed, path, stream,
    },
    rig::{Form, Rig},
};

cases! {
    short:
        answers_that_nobody_reads,
        headers_of_one_byte_on_half_open_streams,
        messages_that_are_consumed_are_not_counted_for_ever;
    long:
        headers_of_many_names_on_half_open_streams,
        parts_of_messages,
        long_calls_with_much_data;
}

/// Calls with 4 MB each whose answers are not taken.
pub(crate) async fn echo_unread(rig: &Rig) -> Attacker {
    let attacker = Attacker::connect_with(rig.address, &[(INITIAL_WINDOW, 0)]).await;
    send_calls(rig, &attacker, &rig.zero).await;
    attacker
}

async fn send_calls(rig: &Rig, attacker: &Attacker, function: &str) {
    let message = framed(&call_message(function, 4_000_000));
    for number in 0.. {
        if rig.is_over()
            || !attacker.send(&begun(number, "Call")).await
            || !attacker.data(stream(number), &message, true).await
        {
            return rig.wait().await;
        }
    }
}

async fn answers_that_nobody_reads(form: Form) {
    let rig = Rig::start(form, "--response echo").await;
    rig.attacked(echo_unread).await;
}

/// Half-open streams whose headers are `more` than those of a call.
async fn open_with(rig: &Rig, attacker: &Attacker, more: &[u8]) {
    let headers = [&block(&path("Call"))[..], more].concat();
    for first in (1..32_000).step_by(200) {
        let requests =
            (first..first + 200).flat_map(|n| frame(HEADERS, END_HEADERS, stream(n), &headers));
        if rig.is_over() || !attacker.send(&requests.collect::<Vec<_>>()).await {
            break;
        }
    }
    rig.wait().await;
}

/// An empty field of the dynamic table, named by one byte again and again.
pub(crate) async fn bloat_headers(rig: &Rig) -> Attacker {
    let attacker = Attacker::connect(rig.address).await;
    let first = [block(&path("Call")), field("x", "", true)].concat();
    attacker.send(&frame(HEADERS, END_HEADERS, stream(0), &first)).await;
    open_with(rig, &attacker, &[0xbe; 470]).await;
    attacker
}

async fn headers_of_one_byte_on_half_open_streams(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(bloat_headers).await;
}

async fn headers_of_many_names_on_half_open_streams(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        let names = (0..110).flat_map(|number| field(&format!("{number:02x}"), "", true));
        let first = [block(&path("Call")), names.collect()].concat();
        attacker.send(&frame(HEADERS, END_HEADERS, stream(0), &first)).await;
        let each: Vec<_> = (0..64).map(|number| 0x80 | (62 + number)).collect();
        open_with(rig, &attacker, &each.repeat(6)).await;
        attacker
    })
    .await;
}

async fn parts_of_messages(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        let whole = framed(&vec![0; 4_100_000]);
        for number in 0.. {
            if rig.is_over()
                || !attacker.send(&begun(number, "Call")).await
                || !attacker.data(stream(number), &whole[..4_000_000], false).await
            {
                break;
            }
        }
        rig.wait().await;
        attacker
    })
    .await;
}

/// One stream sends one whole message after another, where one is expected; meanwhile others send
/// calls of 100 kB, which need a place among the bytes of partial messages.
async fn messages_that_are_consumed_are_not_counted_for_ever(form: Form) {
    let rig = Rig::start(form, "--max-partial-size 16MiB").await;
    let function = rig.zero.clone();
    rig.attacked(async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        attacker.send(&begun(0, "Call")).await;
        let message = framed(&call_message(&function, 1_000_000));
        for _ in 0..40 {
            if rig.is_over() || !attacker.data(stream(0), &message, false).await {
                break;
            }
        }
        pause(Duration::from_millis(100)).await;
        let mut client = rig.client().await;
        for _ in 0..20 {
            let request = hyperfake_proto::controller::common::CallRequest {
                data: vec![1; 100_000].into(),
                function_id: Some(hyperfake_proto::controller::common::FunctionId {
                    id: function.clone(),
                }),
                ..Default::default()
            };
            client.call(request).await.expect("a call of 100 kB is refused");
        }
        // A small whole message, whose end comes in a frame of its own, as tonic's client sends it.
        let other = Attacker::connect(rig.address).await;
        let small = framed(&call_message(&function, 0));
        let bytes = [
            begun(0, "Call"),
            frame(DATA, 0, stream(0), &small),
            frame(DATA, crate::frames::END_STREAM, stream(0), &[]),
        ];
        other.send(&bytes.concat()).await;
        assert!(other.wait_for(DATA, 1).await, "a small whole message is refused");
        attacker
    })
    .await;
}

async fn long_calls_with_much_data(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let attacker = Attacker::connect(rig.address).await;
        send_calls(rig, &attacker, &rig.slow).await;
        attacker
    })
    .await;
}
