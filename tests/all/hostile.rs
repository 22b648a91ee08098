//! Adversarial clients, which send HTTP/2 frames that no library would send. Each test has a worker
//! in a process of its own; an honest client of that worker must not notice the attack.

mod shares;
mod siege;
pub(crate) mod wire;

use std::{collections::HashSet, io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use self::{
    siege::Siege,
    wire::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, Frame,
        GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE, REFUSED_STREAM, RST_STREAM, SETTINGS,
        STREAM_CLOSED, Wire, call, frame, message, request, request_with, reset, stream,
    },
};

use crate::support;

/// Bytes of a call that runs for ten minutes, which is longer than any test.
const FOREVER: usize = 600;

fn ends_stream(frame: &Frame) -> bool {
    frame.kind == RST_STREAM
        || [DATA, HEADERS].contains(&frame.kind) && frame.flags & END_STREAM != 0
}

/// A compressed message.
fn gzipped(message: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(message).unwrap();
    support::framed(true, &gzip.finish().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_concurrent_streams_are_served_below_the_limit() {
    let siege = Siege::begin("--max-rpcs 0").await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let calls = (0..10_000).flat_map(|number| call(stream(number), &siege.function, 2));
    wire.writer.write_all(&calls.collect::<Vec<_>>()).await.unwrap();
    let (mut answered, mut left) = (0, 10_000);
    wire.read_until(|frame| {
        answered += usize::from(frame.kind == HEADERS && ends_stream(frame));
        left -= usize::from(ends_stream(frame));
        left == 0
    })
    .await;
    assert_eq!(answered, 10_000);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_above_the_limit_are_refused_and_those_below_it_are_served() {
    let siege = Siege::begin("--max-rpcs 0 --max-streams 100").await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    // The client ignores the limit that the server announced.
    let calls = (0..2000).flat_map(|number| call(stream(number), &siege.function, FOREVER));
    wire.writer.write_all(&calls.collect::<Vec<_>>()).await.unwrap();
    let mut refused = HashSet::new();
    wire.read_until(|frame| {
        if frame.kind == RST_STREAM {
            // Refused, or already refused when its message arrived.
            assert!([REFUSED_STREAM, STREAM_CLOSED].contains(&frame.error()));
            refused.insert(frame.stream);
        }
        refused.len() == 1900
    })
    .await;
    siege.until_running(|calls| calls >= 100).await;
    assert!(siege.running().await <= 101, "more calls run than the limit and the honest client's");
    // Another call of the connection is served once one of them has ended.
    wire.writer.write_all(&reset(stream(0))).await.unwrap();
    wire.writer.write_all(&call(stream(2000), &siege.function, 0)).await.unwrap();
    wire.read_until(|frame| frame.stream == stream(2000) && frame.kind == DATA).await;
    // A client that continues like this is disconnected.
    let calls = (2001..10_000).flat_map(|number| call(stream(number), &siege.function, FOREVER));
    let _ = wire.writer.write_all(&calls.collect::<Vec<_>>()).await;
    let mut reason = None;
    wire.read_until(|frame| {
        reason = (frame.kind == GOAWAY).then(|| frame.error());
        reason.is_some()
    })
    .await;
    assert_eq!(reason, Some(ENHANCE_YOUR_CALM));
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_stream_resets_do_not_affect_other_clients() {
    let siege = Siege::begin("").await;
    for bytes in [None, Some(0), Some(FOREVER)] {
        let Wire { mut reader, mut writer } = Wire::connect(siege.address(), &[]).await;
        let reading = tokio::spawn(async move { while reader.frame().await.is_some() {} });
        for number in 0..50_000 {
            let opened = match bytes {
                None => request(stream(number), "Call"),
                Some(bytes) => call(stream(number), &siege.function, bytes),
            };
            // The server may close the connection, which ends this attack.
            if writer.write_all(&[opened, reset(stream(number))].concat()).await.is_err() {
                break;
            }
        }
        drop(writer);
        reading.await.unwrap();
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_release_everything() {
    let siege = Siege::begin("--max-rpcs 0").await;
    let connection = Wire::connect(siege.address(), &[]).await.read_on();
    for batch in (0..20_000).collect::<Vec<_>>().chunks(1000) {
        let calls = batch.iter().flat_map(|number| call(stream(*number), &siege.function, FOREVER));
        connection.write(&calls.collect::<Vec<_>>()).await;
        siege.until_running(|calls| calls >= 1000).await;
        let resets = batch.iter().flat_map(|number| reset(stream(*number)));
        connection.write(&resets.collect::<Vec<_>>()).await;
        siege.until_running(|calls| calls <= 1).await;
    }
    // The last calls are cancelled by closing the connection.
    let last = (20_000..21_000).flat_map(|number| call(stream(number), &siege.function, FOREVER));
    connection.write(&last.collect::<Vec<_>>()).await;
    siege.until_running(|calls| calls >= 1000).await;
    drop(connection);
    siege.end().await;
}

/// Writes some bytes at once, and others one a second, until the server closes the connection.
#[expect(clippy::disallowed_methods, reason = "the exact interval does not matter")]
async fn trickle(address: String, at_once: Vec<u8>, slowly: Vec<u8>) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(&at_once).await.unwrap();
    let mut slowly = slowly.into_iter();
    loop {
        let mut answer = [0; 1024];
        tokio::select! {
            read = connection.read(&mut answer) => if !matches!(read, Ok(1..)) { return },
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                let _ = connection.write_all(slowly.next().as_slice()).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_or_very_slow_client_is_disconnected() {
    let siege = Siege::begin("").await;
    let greeting = [&PREFACE[..], &frame(SETTINGS, 0, 0, &[])].concat();
    let call = call(stream(0), &siege.function, 0);
    let clients = [
        (vec![], vec![]),
        (vec![], [&greeting[..], &call].concat()),
        (greeting.clone(), vec![]),
        (greeting.clone(), call),
    ];
    for disconnected in clients
        .map(|(at_once, slowly)| tokio::spawn(trickle(siege.address().to_owned(), at_once, slowly)))
    {
        let disconnected = tokio::time::timeout(Duration::from_secs(60), disconnected).await;
        disconnected.expect("a silent client stays connected").unwrap();
    }
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_requests_hold_only_the_bytes_that_were_sent() {
    let siege = Siege::begin("").await;
    let mut wire = Wire::connect(siege.address(), &[]).await;
    // Almost 4 MiB are announced, and a few bytes of them are sent.
    let announced = [&[0][..], &(4u32 << 20).saturating_sub(1).to_be_bytes(), &[0; 100]].concat();
    let requests = (0..10_000).flat_map(|number| {
        let stream = stream(number);
        [request(stream, "Call"), frame(DATA, 0, stream, &announced)].concat()
    });
    wire.writer.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
    // When this last call is answered, everything before was handled.
    wire.writer.write_all(&call(stream(10_000), &siege.function, 0)).await.unwrap();
    wire.read_until(|frame| frame.stream == stream(10_000) && ends_stream(frame)).await;
    drop(wire);
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_compressed_requests_count_decompressed() {
    const HELD: usize = 1 << 20;
    let siege = Siege::begin("--max-partial-size 8MiB --max-message-size 4MiB").await;
    // A complete message with a megabyte of zeros as its data (field 3, a length of three bytes),
    // compressed to a thousand bytes.
    let compressed = gzipped(&[&[0x1a, 0x80, 0x80, 0x40][..], &[0; HELD]].concat());
    assert!(compressed.len() < 2000, "{}", compressed.len());
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let requests = (0..1000).flat_map(|number| {
        let method = if number % 2 == 0 { "Call" } else { "Metrics" };
        let request = request_with(stream(number), method, &[("grpc-encoding", "gzip")]);
        [request, frame(DATA, 0, stream(number), &compressed)].concat()
    });
    wire.writer.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
    // Four fit into the half that a connection has; five exceed it.
    let mut refused = HashSet::new();
    wire.read_until(|frame| {
        if frame.kind == HEADERS {
            refused.insert(frame.stream);
        }
        refused.len() == 1000 - 4
    })
    .await;
    siege.honest_answers(200).await;
    // When the requests are cancelled, a long call is accepted again.
    drop(wire);
    let long = || support::request(&siege.function, &siege.function, &vec![0; 3 << 20]);
    let client = siege.client.clone();
    let long = long();
    let runs = tokio::spawn(async move {
        while let Err(status) = support::call(client.clone(), long.clone()).await {
            assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        }
    });
    siege.until_running(|calls| calls == 2).await;
    runs.abort();
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_responses_use_bounded_memory() {
    let siege = Siege::begin("--max-rpcs 0 --max-streams 1000").await;
    let flood = async |bytes: &[u8]| {
        let mut wire = Wire::connect(siege.address(), &[]).await;
        // Until the server reads no more, or disconnects the client.
        while let Ok(Ok(())) =
            { tokio::time::timeout(Duration::from_secs(2), wire.writer.write_all(bytes)).await }
        {
        }
        wire
    };
    let calls = (0..100_000).flat_map(|number| call(stream(number), &siege.function, 0));
    let calls = flood(&calls.collect::<Vec<_>>()).await;
    let pings = flood(&frame(PING, 0, 0, &[0; 8]).repeat(1 << 16)).await;
    let settings = flood(&frame(SETTINGS, 0, 0, &[]).repeat(1 << 16)).await;
    siege.honest_answers(200).await;
    drop((calls, pings, settings));
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_that_never_reads_loses_events() {
    let siege = Siege::begin("--update-buffer-size 100").await;
    let mut wire = Wire::connect(siege.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let node = [&[0x0a, 1][..], b"n"].concat();
    let listen = [request(stream(0), "Status"), message(stream(0), &node)].concat();
    wire.writer.write_all(&listen).await.unwrap();
    // The listener is subscribed once its stream has response headers. Then it answers pings.
    wire.read_until(|frame| frame.kind == HEADERS).await;
    let listening = tokio::spawn(async move {
        wire.read_until(|frame| frame.kind == DATA).await;
        wire
    });
    siege.honest_answers(2000).await;
    assert!(!listening.is_finished(), "events arrived although the window is closed");
    listening.abort();
    let log = siege.end().await;
    assert!(log.contains("a listener is too slow"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_long_frames_and_headers_close_the_connection() {
    let siege = Siege::begin("").await;
    // A frame of 16 MiB is announced: its length has three bytes.
    let mut wire = Wire::connect(siege.address(), &[]).await;
    wire.writer.write_all(&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]).await.unwrap();
    let mut reason = None;
    wire.read_until(|frame| {
        reason = (frame.kind == GOAWAY).then(|| frame.error());
        reason.is_some()
    })
    .await;
    assert_eq!(reason, Some(FRAME_SIZE_ERROR));
    // Endless headers, each with a name of four bytes and a value of 112.
    let field = [&[0, 4][..], b"name", &[112], &[b'x'; 112]].concat();
    let block = field.repeat(100);
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let _ = wire.writer.write_all(&frame(HEADERS, 0, stream(0), &block)).await;
    let more = frame(CONTINUATION, 0, stream(0), &block).repeat(40_000);
    assert!(wire.writer.write_all(&more).await.is_err(), "500 MB of headers were accepted");
    // Headers slightly above the limit of 16 KiB end only their request.
    let mut wire = Wire::connect(siege.address(), &[]).await;
    let long = [
        frame(HEADERS, 0, stream(0), &block),
        frame(CONTINUATION, END_HEADERS, stream(0), &block),
        call(stream(1), &siege.function, 0),
    ];
    wire.writer.write_all(&long.concat()).await.unwrap();
    wire.read_until(|frame| frame.stream == stream(1) && frame.kind == DATA).await;
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_above_the_limit_is_refused_before_it_is_stored() {
    let siege = Siege::begin("--max-message-size 1MiB").await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/controller.Controller/Call", siege.address());
    let too_long = 500 << 20;
    let refusals = [
        // 4 GiB are announced, and five bytes are sent.
        vec![0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5],
        // 500 MiB are announced and sent.
        [&[0][..], &(too_long as u32).to_be_bytes(), &vec![0; too_long]].concat(),
    ];
    for body in refusals {
        let request = client.post(&url).header("content-type", "application/grpc");
        let answer = request.header("te", "trailers").body(body).send().await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "8");
    }
    siege.end().await;
}
