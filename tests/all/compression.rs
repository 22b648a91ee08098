//! Compressed messages, in both directions.

use std::{io::Write, time::Duration};

use flate2::{
    Compression,
    write::{GzDecoder, GzEncoder},
};
use hyperfake_proto::controller::{
    Event, MetricsRequest, StatusRequest,
    common::{CallRequest, CallResponse, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use prost::Message;
use tonic::{Code, codec::CompressionEncoding, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::support::{TestWorker, call, channel, constant, framed, raw, request};

const ENCODINGS: [CompressionEncoding; 2] =
    [CompressionEncoding::Gzip, CompressionEncoding::Deflate];

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Echoes the request; its RAM is the length of the request's data.
const ECHO: &str = r#"{"kind": "linear", "response": "echo", "runtime_ns": {"intercept": 0},
    "cpu_cores": {}, "ram_bytes": {"request_bytes": 1}}"#;

/// A call with data that compress well.
fn zeros(function: &str, bytes: usize) -> CallRequest {
    request(function, function, &vec![0; bytes])
}

#[tokio::test]
async fn compressed_requests_are_accepted_on_every_method() {
    let (worker, function, _) = TestWorker::with_instance(ECHO, "").await;
    for encoding in ENCODINGS {
        let client = worker.client.clone().send_compressed(encoding);
        let compressed = || -> ControllerClient<Channel> { client.clone() };
        let status = StatusRequest { node_id: format!("{encoding}") };
        let mut events = compressed().status(status).await.unwrap().into_inner();
        let answer = call(compressed(), zeros(&function, 100_000)).await.unwrap();
        assert_eq!(answer.response.data, vec![0; 100_000], "{encoding}");
        assert_eq!(answer.trailers.ram_bytes, Some(100_000), "{encoding}");
        let function = FunctionId { id: function.clone() };
        let started = compressed().start(function).await.unwrap().into_inner();
        let instance = started.instance_id.unwrap();
        assert_eq!(compressed().stop(instance.clone()).await.unwrap().into_inner(), instance);
        compressed().metrics(MetricsRequest { node_id: "n".repeat(1000) }).await.unwrap();
        while events.message().await.unwrap().unwrap().event() != Event::Stop {}

        let mut health = HealthClient::new(channel(&worker.app).await).send_compressed(encoding);
        let request = HealthCheckRequest { service: "worker".into() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);
        let mut reflection = ServerReflectionClient::new(channel(&worker.app).await);
        reflection = reflection.send_compressed(encoding);
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answer = reflection.server_reflection_info(tokio_stream::once(request)).await;
        assert!(answer.unwrap().into_inner().message().await.unwrap().is_some(), "{encoding}");
    }
}

#[tokio::test]
async fn response_is_compressed_on_request_if_enabled() {
    for (option, asked, expected) in [
        ("", "gzip", None),
        ("--compress-answers", "", None),
        ("--compress-answers", "identity", None),
        ("--compress-answers", "br, gzip", Some("gzip")),
        ("--compress-answers", "deflate,gzip", Some("deflate")),
        ("--compress-answers=false", "gzip", None),
    ] {
        let (worker, function, _) = TestWorker::with_instance(ECHO, option).await;
        let asked: Vec<_> = Some(asked).filter(|asked| !asked.is_empty()).into_iter().collect();
        let headers: Vec<_> = asked.iter().map(|asked| ("grpc-accept-encoding", *asked)).collect();
        for (method, message) in
            [("Call", zeros(&function, 10_000).encode_to_vec()), ("Metrics", Vec::new())]
        {
            let answer = raw(&worker, method, &headers, &framed(false, &message)).await;
            assert_eq!(answer.header("grpc-encoding"), expected, "{option} {asked:?} {method}");
            assert_eq!(answer.header("content-type"), Some("application/grpc"));
            assert_eq!(answer.body[0], u8::from(expected.is_some()), "{option} {asked:?} {method}");
            if (method, expected) == ("Call", Some("gzip")) {
                let mut decoder = GzDecoder::new(Vec::new());
                decoder.write_all(&answer.body[5..]).unwrap();
                let answer = CallResponse::decode(&*decoder.finish().unwrap()).unwrap();
                assert_eq!(answer.data, vec![0; 10_000]);
            }
        }
    }
}

#[tokio::test]
async fn compressed_response_keeps_its_trailers() {
    let (worker, function, _) = TestWorker::with_instance(ECHO, "--compress-answers").await;
    for encoding in ENCODINGS {
        let client = worker.client.clone().send_compressed(encoding).accept_compressed(encoding);
        for bytes in [0, 10, 100_000] {
            let answer = call(client.clone(), zeros(&function, bytes)).await.unwrap();
            assert_eq!(answer.response.data.len(), bytes, "{encoding}");
            assert_eq!(answer.trailers.ram_bytes, Some(bytes as u64), "{encoding}");
        }
        let status = call(client, zeros("nobody", 1000)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn message_limit_applies_to_the_decompressed_size() {
    let limit = "--max-message-size 64KiB --max-partial-size 64KiB";
    let (worker, function, _) = TestWorker::with_instance(ECHO, limit).await;
    for encoding in ENCODINGS {
        let client = worker.client.clone().send_compressed(encoding);
        let status = call(client.clone(), zeros(&function, 100_000)).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{encoding}: {status}");
        assert!(status.message().starts_with("--max-message-size: found more than 65536 bytes"));
        let long = FunctionId { id: "x".repeat(100_000) };
        let status = client.clone().start(long).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{encoding}: {status}");
        // Handled requests are no longer in flight.
        for _ in 0..10 {
            call(client.clone(), zeros(&function, 60_000)).await.unwrap();
            client.clone().metrics(MetricsRequest { node_id: "n".repeat(60_000) }).await.unwrap();
        }
    }
    // The limit applies to the compressed length as well.
    let announced = [&[1, 0, 1, 0, 1][..], b"few"].concat();
    let answer = raw(&worker, "Call", &[("grpc-encoding", "gzip")], &announced).await;
    assert_eq!(answer.header("grpc-status"), Some("8"), "{answer:?}");
    worker.call(&function, &[0; 60_000]).await.unwrap();
}

#[tokio::test]
async fn request_with_a_wrong_encoding_is_refused() {
    let (worker, function, instance) = TestWorker::with_instance(ECHO, "").await;
    let message = zeros(&function, 5000).encode_to_vec();
    let compressed = gzip(&message);
    let cut = &compressed[..compressed.len() - 4];
    let mut changed = compressed.clone();
    *changed.last_mut().unwrap() ^= 1;
    for (headers, body, expected) in [
        // A compressed request may contain uncompressed messages.
        (Some("gzip"), framed(true, &compressed), None),
        (Some("gzip"), framed(false, &message), None),
        (Some("identity"), framed(false, &message), None),
        (None, framed(true, &compressed), Some("13")),
        (Some("identity"), framed(true, &compressed), Some("13")),
        (Some("gzip"), framed(true, &message), Some("13")),
        (Some("gzip"), framed(true, cut), Some("13")),
        (Some("gzip"), framed(true, &changed), Some("13")),
        (Some("gzip"), framed(true, b""), Some("13")),
        (Some("gzip"), framed(true, &compressed)[..100.min(compressed.len())].to_vec(), Some("13")),
        (Some("gzip"), vec![], Some("13")),
        (Some("deflate"), framed(true, &compressed), Some("13")),
        (Some("snappy"), framed(true, b"x"), Some("12")),
    ] {
        let headers: Vec<_> = headers.iter().map(|name| ("grpc-encoding", *name)).collect();
        let answer = raw(&worker, "Call", &headers, &body).await;
        assert_eq!(answer.header("grpc-status"), expected, "{headers:?}: {answer:?}");
        if expected == Some("12") {
            let accepted = answer.header("grpc-accept-encoding").unwrap();
            assert_eq!(accepted, "identity,deflate,gzip");
        }
    }
    let stop = gzip(&InstanceId { id: instance }.encode_to_vec());
    let answer = raw(&worker, "Stop", &[("grpc-encoding", "gzip")], &framed(true, &stop)).await;
    assert_eq!(answer.header("grpc-status"), None, "{answer:?}");
}

#[tokio::test]
async fn compressed_call_takes_the_predicted_time() {
    let model = constant(Duration::from_millis(20));
    let (worker, function, _) = TestWorker::with_instance(&model, "").await;
    let client = worker.client.clone().send_compressed(CompressionEncoding::Gzip);
    let answer = call(client, zeros(&function, 1000)).await.unwrap();
    assert_eq!(answer.trailers.runtime, Duration::from_millis(20));
    assert!(answer.trailers.took() >= Duration::from_millis(20));
    worker.is_idle().await;
}
