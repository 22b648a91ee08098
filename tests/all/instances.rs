//! An instance's own address answers any gRPC method.

use std::{
    io::{Read, Write},
    time::Duration,
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use hyperfake_proto::worker::StartResponse;
use hyperfake_worker::clock::precise;
use tokio::io::AsyncWriteExt;
use tonic::{Code, Request, Status};

use crate::{
    hostile::wire::{
        DATA, END_STREAM, Frame, HEADERS, PING, RST_STREAM, Wire, frame, request, stream,
    },
    support::{TestWorker, code, constant, eventually, framed},
    today::{Leaf, METHOD, Raw, connect, unary, unary_within, until},
};

const MS: Duration = Duration::from_millis(1);
const PATH: PathAndQuery = PathAndQuery::from_static(METHOD);

async fn instance(json: &str, options: &str) -> (TestWorker, Leaf, StartResponse) {
    let worker = TestWorker::start(&[("image", json)], options).await;
    let leaf = Leaf::of(&worker).await;
    let function = worker.register("image").await;
    let instance = leaf.start(&function).await.unwrap();
    (worker, leaf, instance)
}

/// A model whose answer is this.
fn answering(response: &str) -> String {
    constant(Duration::ZERO).replace('{', &format!(r#"{{"response": "{response}", "#))
}

#[tokio::test]
async fn methods_of_all_kinds_are_answered_after_their_first_message() {
    let (_worker, _leaf, instance) = instance(&answering("echo"), "").await;
    let mut client = connect(&instance).await;
    let messages = || tokio_stream::iter(["one", "two", "three"].map(Bytes::from));
    // One that is never closed: its end is not waited for.
    let open = || tokio_stream::StreamExt::chain(messages(), tokio_stream::pending());

    assert_eq!(unary(client.clone(), "one").await.unwrap().get_ref(), "one");
    for request in [Request::new(messages())] {
        client.ready().await.unwrap();
        let answer = client.client_streaming(request, PATH, Raw).await.unwrap();
        assert_eq!(answer.get_ref(), "one");
    }
    client.ready().await.unwrap();
    let answer = client.client_streaming(Request::new(open()), PATH, Raw).await.unwrap();
    assert_eq!(answer.get_ref(), "one");

    client.ready().await.unwrap();
    let request = Request::new(Bytes::from_static(b"one"));
    let mut answers = client.server_streaming(request, PATH, Raw).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), "one");
    assert_eq!(answers.message().await.unwrap(), None);
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("instanceid").unwrap(), &*instance.instance_id);

    client.ready().await.unwrap();
    let mut answers = client.streaming(Request::new(open()), PATH, Raw).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), "one");
    assert_eq!(answers.message().await.unwrap(), None);

    // A stream that ends without a message.
    client.ready().await.unwrap();
    let request = Request::new(tokio_stream::empty());
    assert_eq!(client.client_streaming(request, PATH, Raw).await.unwrap().get_ref(), "");
}

#[tokio::test]
async fn a_request_that_ends_soon_after_its_message_is_not_reset() {
    let (_worker, _leaf, instance) = instance(&constant(Duration::ZERO), "").await;
    let mut wire = Wire::connect(&instance.instance_internal_ip, &[]).await;
    let clock = precise::start();
    let mut resets = 0;
    for number in 0..20 {
        let stream = stream(number);
        let message = frame(DATA, 0, stream, &[0; 5]);
        wire.writer.write_all(&[request(stream, "Any"), message].concat()).await.unwrap();
        // Long enough for the worker to see the message without its end, but for the first one or two. On a busy
        // machine it may be too long, but not half of the time.
        clock.sleep_until(clock.now() + 2 * MS).await;
        wire.writer.write_all(&frame(DATA, END_STREAM, stream, &[])).await.unwrap();
        let is_trailers = |frame: &Frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0;
        wire.read_until(|frame| frame.stream == stream && is_trailers(frame)).await;
        // A reset would come before what the worker sends next.
        wire.writer.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
        let mut is_reset = false;
        wire.read_until(|frame| {
            is_reset |= frame.stream == stream && frame.kind == RST_STREAM;
            frame.kind == PING && frame.payload == [7; 8]
        })
        .await;
        resets += u32::from(is_reset);
    }
    assert!(resets <= 10, "{resets} of 20 requests were reset");
}

#[tokio::test]
async fn an_answer_is_what_the_model_or_the_option_says_and_parses_as_any_type() {
    for (json, options, expected) in [
        (constant(Duration::ZERO), "", 0),
        (constant(Duration::ZERO), "--response random:700", 700),
        (answering("random:70000"), "--response echo", 70_000),
        (answering("random:3"), "", 3),
        (answering("empty"), "--response echo", 0),
    ] {
        let (_worker, _leaf, instance) = instance(&json, options).await;
        let answer = unary(connect(&instance).await, "request").await.unwrap().into_inner();
        assert_eq!(answer.len(), expected);
        <() as prost::Message>::decode(answer).unwrap();
    }
}

#[tokio::test]
async fn the_model_is_told_the_bytes_of_the_message() {
    let linear = r#"{"kind": "linear", "runtime_ns": {"request_bytes": 1000}, "cpu_cores": {},
        "ram_bytes": {}}"#;
    let (_worker, _leaf, instance) = instance(linear, "").await;
    let answer = unary(connect(&instance).await, vec![7; 4000]).await.unwrap();
    assert_eq!(answer.metadata().get("functionprocessingtime").unwrap(), "4000000");
}

#[tokio::test]
async fn messages_above_the_limit_are_refused_in_both_directions() {
    let (worker, _leaf, small) = instance(&answering("echo"), "").await;
    let client = connect(&small).await.max_decoding_message_size(usize::MAX);
    let most = 4 << 20;
    let answer = unary(client.clone(), vec![7; most]).await.unwrap().into_inner();
    assert!(answer == vec![7; most], "the largest message came back changed");
    let refused = unary(client.clone(), vec![7; most + 1]).await;
    assert_eq!(code(refused), Code::ResourceExhausted);
    unary(client, "the connection goes on").await.unwrap();
    worker.is_idle().await;

    let (_worker, _leaf, large) = instance(&answering("random:4194305"), "").await;
    let refused = unary(connect(&large).await, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("an answer of 4194305 bytes"), "{refused}");
}

#[tokio::test]
async fn the_largest_message_counts_once() {
    let options = "--max-message-size 1MiB --max-partial-size 1MiB";
    let (worker, _leaf, instance) = instance(&constant(Duration::ZERO), options).await;
    unary(connect(&instance).await, vec![7; 1 << 20]).await.unwrap();
    worker.is_idle().await;
}

#[tokio::test]
async fn a_deadline_and_a_cancelled_call_give_everything_back() {
    let (worker, leaf, instance) = instance(&constant(Duration::from_secs(600)), "").await;
    let mut events = leaf.listen("leaf").await;
    let client = connect(&instance).await;
    let late = unary_within(client.clone(), 20 * MS).await;
    assert!(matches!(code(late), Code::DeadlineExceeded | Code::Cancelled));
    worker.is_idle().await;
    let call = tokio::spawn(unary(client, ""));
    eventually("the call runs", || worker.worker().usage().ram_bytes > 0).await;
    call.abort();
    worker.is_idle().await;
    until(&mut events, hyperfake_proto::worker::Event::ResponseUnspecified).await;
}

/// Sends this body as a method to an instance.
async fn raw(
    instance: &StartResponse,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> crate::support::Raw {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let mut request = client.post(format!("http://{}{METHOD}", instance.instance_internal_ip));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.header("te", "trailers").body(body).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    assert!(status == 200 || status == 415, "{status}");
    crate::support::Raw { headers, body: answer.bytes().await.unwrap() }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

#[tokio::test]
async fn requests_may_be_compressed_and_answers_never_are() {
    let options = "--compress-answers";
    let (_worker, _leaf, instance) = instance(&answering("echo"), options).await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&[b'x'; 5000]).unwrap();
    let compressed = gzip.finish().unwrap();
    let headers = [GRPC, ("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")];
    let answer = raw(&instance, &headers, framed(true, &compressed)).await;
    assert_eq!(answer.header("grpc-encoding"), None);
    assert_eq!(answer.body, framed(false, &[b'x'; 5000]));
    // What the header does not name cannot be read.
    let answer = raw(&instance, &[GRPC], framed(true, &compressed)).await;
    assert_eq!(answer.header("grpc-status"), Some("13"));
    let mut read = Vec::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut read).unwrap();
    assert_eq!(read.len(), 5000);
}

#[tokio::test]
async fn what_is_not_grpc_is_refused_as_http() {
    let (_worker, _leaf, instance) = instance(&answering("echo"), "").await;
    for content in ["text/html", "application/json"] {
        let answer = raw(&instance, &[("content-type", content)], framed(false, b"x")).await;
        assert_eq!(answer.body, "");
    }
    let answer = raw(&instance, &[GRPC], vec![0, 0, 0]).await;
    assert_eq!(answer.header("grpc-status"), Some("13"), "half a message");
}

#[tokio::test]
async fn a_method_whose_message_never_comes_ends_with_its_instance() {
    let (_worker, leaf, instance) = instance(&answering("echo"), "").await;
    let mut client = connect(&instance).await;
    let silent = tokio::spawn({
        let mut client = client.clone();
        client.ready().await.unwrap();
        async move {
            let request = Request::new(tokio_stream::pending::<Bytes>());
            client.client_streaming(request, PATH, Raw).await
        }
    });
    // Answered behind the silent one, on the same connection.
    client.ready().await.unwrap();
    client.unary(Request::new(Bytes::new()), PATH, Raw).await.unwrap();
    leaf.stop(&instance.instance_id).await.unwrap();
    assert_eq!(code(silent.await.unwrap()), Code::Unavailable);
}

/// Whether a call that runs when its instance is stopped ends well.
async fn stop_while_a_call_runs(options: &str) -> Result<(), Status> {
    let (worker, leaf, instance) = instance(&constant(600 * MS), options).await;
    let call = tokio::spawn(unary(connect(&instance).await, ""));
    eventually("the call runs", || worker.worker().usage().ram_bytes > 0).await;
    leaf.stop(&instance.instance_id).await.unwrap();
    let ended = call.await.unwrap().map(drop);
    worker.is_idle().await;
    ended
}

#[tokio::test]
async fn calls_that_run_on_a_stopped_instance_finish_or_are_cut() {
    stop_while_a_call_runs("").await.unwrap();
    stop_while_a_call_runs("--on-stop finish").await.unwrap();
    let cut = stop_while_a_call_runs("--on-stop cut").await.unwrap_err();
    assert!(matches!(cut.code(), Code::Unavailable | Code::Unknown | Code::Internal), "{cut}");
}
