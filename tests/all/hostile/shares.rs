//! What one client may hold, and that others are served whatever it holds.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyperfake_worker::functions::http::HttpStore;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{
    ends_stream, gzipped,
    siege::Siege,
    wire::{
        ACK, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PREFACE, SETTINGS,
        WINDOW_UPDATE, Wire, call, frame, message, message_of, request, request_with, stream,
    },
};
use crate::support;

/// A `--max-partial-size` of which one connection has a half.
const LIMIT: &str = "--max-rpcs 0 --max-partial-size 4MiB --max-message-size 1MiB";
const SHARE: usize = 2 << 20;

/// Reads until so many streams ended without data, which is how a request is refused.
async fn until_refused(wire: &mut Wire, enough: usize) {
    let mut refused = HashSet::new();
    wire.read_until(|frame| {
        if frame.kind == HEADERS && ends_stream(frame) {
            refused.insert(frame.stream);
        }
        refused.len() >= enough
    })
    .await;
    assert!(refused.len() >= enough, "only {} requests were refused", refused.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_requests_are_open_before_their_first_message_comes() {
    let siege = Siege::begin("").await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let requests = (0..20_000).flat_map(|number| request(stream(number), "Call"));
    wire.writer.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
    siege.honest_answers(50).await;
    let function = siege.function.clone();
    let mut writer = wire.writer;
    let writing = tokio::spawn(async move {
        let messages = (0..20_000).flat_map(|number| message_of(stream(number), &function, 0));
        writer.write_all(&messages.collect::<Vec<_>>()).await.unwrap();
        writer
    });
    let (mut answered, mut left) = (0, 20_000);
    while left > 0 {
        let frame = wire.reader.frame().await.unwrap();
        answered += usize::from(frame.kind == DATA);
        left -= usize::from(ends_stream(&frame));
    }
    assert_eq!(answered, 20_000);
    drop(writing.await.unwrap());
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_visit_every_stream_do_not_hold_the_thread() {
    const CHANGES: usize = 4000;
    let siege = Siege::begin("").await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let requests = (0..5000).flat_map(|number| request(stream(number), "Call"));
    wire.writer.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
    siege.honest_answers(50).await;
    let window = |bytes: u32| {
        let value = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &bytes.to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, &value)
    };
    let changes = [window(1000), window(100_000)].concat().repeat(CHANGES / 2);
    wire.writer.write_all(&changes).await.unwrap();
    let applied = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&applied);
    let reading = tokio::spawn(async move {
        wire.read_until(|frame| {
            let is_applied = frame.kind == SETTINGS && frame.flags & ACK != 0;
            counted.fetch_add(usize::from(is_applied), Ordering::Relaxed) == CHANGES
        })
        .await;
    });
    siege.honest_answers(200).await;
    let applied = applied.load(Ordering::Relaxed);
    assert!(applied < CHANGES / 4, "{applied} changes came before 200 calls of another client");
    reading.abort();
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_changes_of_settings_are_applied_at_once() {
    let siege = Siege::begin("").await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let changes = (1..=5_u32).flat_map(|step| {
        let value = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &(step << 16).to_be_bytes()];
        frame(SETTINGS, 0, 0, &value.concat())
    });
    wire.writer.write_all(&changes.collect::<Vec<_>>()).await.unwrap();
    let mut applied = 0;
    wire.read_until(|frame| {
        applied += usize::from(frame.kind == SETTINGS && frame.flags & ACK != 0);
        applied == 5
    })
    .await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_half_open_requests_are_bounded() {
    let siege = Siege::begin("").await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let block = request(stream(0), "Call").split_off(9);
    // A field that enters the table of the connection, and is named by one byte from then on.
    let named = [&block[..], &[0x40, 1, b'x', 0]].concat();
    wire.writer.write_all(&frame(HEADERS, END_HEADERS, stream(0), &named)).await.unwrap();
    let bomb = [&block[..], &[0xbe; 470]].concat();
    for batch in (1..10_000).collect::<Vec<_>>().chunks(1000) {
        let requests =
            batch.iter().flat_map(|number| frame(HEADERS, END_HEADERS, stream(*number), &bomb));
        wire.writer.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
    }
    wire.writer.write_all(&call(stream(10_000), &siege.function, 0)).await.unwrap();
    wire.read_until(|frame| frame.stream == stream(10_000) && ends_stream(frame)).await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_requests_beyond_the_share_of_their_connection_are_refused() {
    let siege = Siege::begin(LIMIT).await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let requests = (0..1000).flat_map(|number| request(stream(number), "Call"));
    wire.writer.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
    // Each counts some KiB.
    until_refused(&mut wire, 1000 - (SHARE >> 12)).await;
    siege.honest_answers(200).await;
    drop(wire);
    // Everything was given back.
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let calls = (0..300).flat_map(|number| call(stream(number), &siege.function, 0));
    wire.writer.write_all(&calls.collect::<Vec<_>>()).await.unwrap();
    let mut answered = 0;
    wire.read_until(|frame| {
        answered += usize::from(frame.kind == DATA);
        answered == 300
    })
    .await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_read_are_refused_beyond_the_share_of_their_connection() {
    const BYTES: usize = 15_000;
    let siege = Siege::begin(&format!("{LIMIT} --max-runtime 2ms --response echo")).await;
    let mut wire = Wire::connect(siege.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let function = siege.function.clone();
    let calls = (0..1000).flat_map(move |number| call(stream(number), &function, BYTES));
    wire.writer.write_all(&calls.collect::<Vec<_>>()).await.unwrap();
    until_refused(&mut wire, 1000 - SHARE / BYTES - 10).await;
    siege.honest_answers(200).await;
    // The answers that fit are sent when the client reads.
    let window = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &(1u32 << 20).to_be_bytes()].concat();
    wire.writer.write_all(&frame(SETTINGS, 0, 0, &window)).await.unwrap();
    let mut come = 0;
    wire.read_until(|frame| {
        come += if frame.kind == DATA { frame.payload.len() } else { 0 };
        come > SHARE / 2
    })
    .await;
    // Then others fit.
    wire.writer.write_all(&call(stream(1000), &siege.function, BYTES)).await.unwrap();
    wire.read_until(|frame| frame.stream == stream(1000) && frame.kind == DATA).await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_calls_keep_their_request_only_for_an_echo() {
    // 300 MB of requests.
    const CALLS: u32 = 20_000;
    let siege = Siege::begin("").await;
    let wire = Wire::connect(siege.address(), &[]).await.read_on();
    for number in 0..CALLS {
        wire.write(&call(stream(number), &siege.function, 15_000)).await;
    }
    siege.until_running(|calls| calls >= CALLS as usize).await;
    drop(wire);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_echoes_count_what_they_keep() {
    let siege = Siege::begin(&format!("{LIMIT} --response echo")).await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let calls = (0..400).flat_map(|number| call(stream(number), &siege.function, 15_000));
    wire.writer.write_all(&calls.collect::<Vec<_>>()).await.unwrap();
    until_refused(&mut wire, 400 - SHARE / 15_000 - 3).await;
    siege.honest_answers(200).await;
    drop(wire);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_taken_are_not_counted() {
    let siege = Siege::begin(LIMIT).await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let whole = |bytes, flags| {
        let message = message_of(stream(0), &siege.function, bytes).split_off(9);
        frame(DATA, flags, stream(0), &message)
    };
    let opened = [request(stream(0), "Call"), whole(0, 0)].concat();
    wire.writer.write_all(&opened).await.unwrap();
    // 6 MB of messages where one is expected: the first one decides, and the others are dropped.
    // The client keeps to the window of a stream, 1 MiB.
    let mut window = 1 << 20;
    for _ in 0..400 {
        let message = whole(15_000, 0);
        while window < 2 * message.len() {
            wire.read_until(|frame| {
                let is_window = frame.kind == WINDOW_UPDATE && frame.stream == stream(0);
                window += if is_window { frame.increment() } else { 0 };
                is_window || frame.kind == HEADERS
            })
            .await;
        }
        wire.writer.write_all(&message).await.unwrap();
        window -= message.len();
    }
    wire.writer.write_all(&whole(0, END_STREAM)).await.unwrap();
    wire.read_until(|frame| frame.stream == stream(0) && frame.kind == DATA).await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_messages_are_accepted_whatever_other_clients_hold() {
    let siege = Siege::begin(LIMIT).await;
    // Two connections hold all that is for this address.
    let mut held = Vec::new();
    let begun = [&[0][..], &(1u32 << 20).to_be_bytes(), &[0; 16_000]].concat();
    for _ in 0..2 {
        let mut wire = Wire::connect(siege.address(), &[]).await;
        let requests = (0..400).flat_map(|number| {
            [request(stream(number), "Call"), frame(DATA, 0, stream(number), &begun)].concat()
        });
        wire.writer.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
        until_refused(&mut wire, 400 - SHARE / 16_000).await;
        held.push(wire);
    }
    // A long message is refused now.
    let long = support::request(&siege.function, &siege.function, &vec![0; 900_000]);
    let status = support::call(siege.client.clone(), long).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert!(status.message().contains("--max-partial-size"), "{status}");
    // The end of a stream may come in a frame of its own, also after a compressed message.
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let plain = message_of(stream(0), &siege.function, 0).split_off(9);
    let packed = gzipped(&plain[5..]);
    let end = |number| frame(DATA, END_STREAM, stream(number), &[]);
    let calls = [
        request(stream(0), "Call"),
        frame(DATA, 0, stream(0), &plain),
        end(0),
        request_with(stream(1), "Call", &[("grpc-encoding", "gzip")]),
        frame(DATA, 0, stream(1), &packed),
        end(1),
    ];
    wire.writer.write_all(&calls.concat()).await.unwrap();
    let mut answered = HashSet::new();
    wire.read_until(|frame| {
        if frame.kind == DATA {
            answered.insert(frame.stream);
        }
        answered.len() == 2
    })
    .await;
    // When the requests are cancelled, a long call is accepted again.
    drop(held);
    let (client, function) = (siege.client.clone(), siege.function.clone());
    let runs = tokio::spawn(async move {
        let long = support::request(&function, &function, &vec![0; 900_000]);
        while let Err(status) = support::call(client.clone(), long.clone()).await {
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        }
    });
    siege.until_running(|calls| calls == 2).await;
    runs.abort();
    siege.end().await;
}

/// Whether a server answers a client with this address.
async fn greets(from: &str, server: &str) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut client = socket.connect(server.parse().unwrap()).await.unwrap();
    let greeting = [&PREFACE[..], &frame(SETTINGS, 0, 0, &[])].concat();
    let _ = client.write_all(&greeting).await;
    client.read_exact(&mut [0; 9]).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_three_quarters_of_the_connections() {
    let siege = Siege::begin("--max-connections 8").await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(TcpStream::connect(siege.address()).await.unwrap());
    }
    assert!(!greets("127.0.0.1", siege.address()).await, "one address got all connections");
    assert!(greets("127.0.0.2", siege.address()).await);
    siege.honest_answers(50).await;
    drop(crowd);
    let log = siege.end().await;
    assert!(log.contains("--max-connections has a share of 6 for 127.0.0.1"), "{log}");
}

/// A worker without connections has about 20.
const DESCRIPTORS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_descriptors_for_everything_else() {
    let mut limited = std::process::Command::new("sh");
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    limited.args(["-c", &script, env!("CARGO_BIN_EXE_hyperfake")]);
    let siege = Siege::begin_as(limited, "").await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(siege.address()).await.unwrap());
    }
    // A quarter of the descriptors are for connections, and three quarters of these for one address.
    assert!(!greets("127.0.0.1", siege.address()).await, "one address got all connections");
    assert!(greets("127.0.0.2", siege.address()).await);
    siege.honest_answers(50).await;
    let registry = HttpStore::new(siege.database().parse().unwrap()).unwrap();
    registry.register("image").await.unwrap();
    let long = support::request(&siege.function, &siege.function, &[0; 1]);
    support::call(siege.client.clone(), long).await.unwrap();
    drop(crowd);
    let log = siege.end().await;
    assert!(log.contains("ulimit -n"), "{log}");
    assert!(log.contains("fewer connections than --max-connections"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_does_not_wait_for_clients_that_read_nothing_or_finish_nothing() {
    let siege = Siege::begin("--shutdown-grace 1h").await;
    let mut listener = Wire::connect(siege.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let listen = [request(stream(0), "Status"), message(stream(0), &[0x0a, 1, b'n'])];
    listener.writer.write_all(&listen.concat()).await.unwrap();
    listener.read_until(|frame| frame.kind == HEADERS).await;
    let mut half = Wire::connect(siege.address(), &[]).await;
    half.writer.write_all(&request(stream(0), "Call")).await.unwrap();
    // Handled when the next call is answered.
    half.writer.write_all(&call(stream(1), &siege.function, 0)).await.unwrap();
    half.read_until(|frame| frame.stream == stream(1) && frame.kind == DATA).await;
    // They answer pings.
    let clients = [listener, half]
        .map(|mut wire| tokio::spawn(async move { wire.read_until(|_| false).await }));
    // In a task of its own, because it waits for the process with its thread.
    let ended = tokio::time::timeout(Duration::from_secs(30), tokio::spawn(siege.end())).await;
    ended.expect("the worker waits for its clients").unwrap();
    clients.iter().for_each(tokio::task::JoinHandle::abort);
}
