//! `hyperfake call` and `hyperfake load` against a server that means harm.

use std::{convert::Infallible, ffi::OsString, future::pending};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyperfake_predictor::Result;
use hyperfake_proto::controller::{StartResponse, common::InstanceId};
use hyperfake_worker::{
    args::{Cli, Command},
    commands::{Output, call, load},
    functions::embedded::{self, EmbeddedStore},
};
use tokio::net::TcpListener;

use crate::support::framed;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a method answers.
#[derive(Debug, Clone)]
enum Answer {
    /// This message, and these trailers.
    Message(Vec<u8>, Vec<(&'static str, String)>),
    /// Headers, and nothing more.
    HeadersAlone,
    /// The headers and the beginning of a message that is said to have so many bytes.
    Beginning(u32),
    /// One message after the other.
    EndlessMessages,
    /// Nothing.
    Silence,
}

/// A server that answers each method as it was told, in a registry's company.
struct Harmful {
    address: String,
    database: String,
}

impl Harmful {
    async fn start(start: Answer, call: Answer, stop: Answer) -> Self {
        let registry = embedded::bind("127.0.0.1", 0).await.unwrap();
        let database = format!("http://{}", registry[0].local_addr().unwrap());
        EmbeddedStore::default().serve(registry, "127.0.0.1", None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answers = [start.clone(), call.clone(), stop.clone()];
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let [start, call, stop] = answers.clone();
                    let answer = match request.uri().path().rsplit('/').next() {
                        Some("Start") => start,
                        Some("Call") => call,
                        _ => stop,
                    };
                    async move { Ok::<_, Infallible>(respond(answer).await) }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, database }
    }

    /// Starts and stops instances as it should.
    async fn that_answers_calls_with(answer: Answer) -> Self {
        Self::start(started("i", "n"), answer, message(&InstanceId { id: "i".into() })).await
    }

    async fn call(&self, options: &str) -> Result<Output> {
        match self.command("call image", options) {
            Command::Call(args) => call::run(*args).await,
            other => panic!("{other:?}"),
        }
    }

    async fn load(&self, options: &str) -> Result<Output> {
        match self.command("load --functions image", options) {
            Command::Load(args) => load::run(*args).await,
            other => panic!("{other:?}"),
        }
    }

    fn command(&self, command: &str, options: &str) -> Command {
        let Self { address, database } = self;
        let line = format!(
            "hyperfake {command} --address {address} --database-address {database} {options}"
        );
        Cli::read(line.split_whitespace().map(OsString::from)).unwrap().command
    }
}

async fn respond(answer: Answer) -> Response<Body> {
    let body: Body = match answer {
        Answer::Silence => pending().await,
        Answer::Message(message, trailers) => {
            let mut sent = HeaderMap::new();
            sent.insert("grpc-status", HeaderValue::from_static("0"));
            for (name, value) in trailers {
                sent.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let message = Full::new(Bytes::from(framed(false, &message)));
            message.with_trailers(async move { Some(Ok(sent)) }).boxed_unsync()
        }
        Answer::HeadersAlone => stream(tokio_stream::pending()),
        Answer::Beginning(length) => {
            let beginning = [&[0][..], &length.to_be_bytes(), b"beginning"].concat();
            let beginning = tokio_stream::once(Bytes::from(beginning));
            stream(tokio_stream::StreamExt::chain(beginning, tokio_stream::pending()))
        }
        Answer::EndlessMessages => {
            let message = Bytes::from(framed(false, &[]));
            stream(tokio_stream::iter(std::iter::repeat(message)))
        }
    };
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

fn stream(data: impl tokio_stream::Stream<Item = Bytes> + Send + 'static) -> Body {
    let frames = tokio_stream::StreamExt::map(data, |data| Ok(Frame::data(data)));
    StreamBody::new(frames).boxed_unsync()
}

fn message(message: &impl prost::Message) -> Answer {
    Answer::Message(message.encode_to_vec(), Vec::new())
}

fn started(id: &str, name: &str) -> Answer {
    message(&StartResponse {
        instance_id: Some(InstanceId { id: id.into() }),
        instance_name: name.into(),
        ..StartResponse::default()
    })
}

/// An answer to a call with the trailers of the platform, one of them changed.
fn called(changed: &'static str, value: &str) -> Answer {
    let mut trailers = vec![
        ("callqueuedtimestamp", "1".to_owned()),
        ("gotresponsetimestamp", "2".to_owned()),
        ("functionprocessingtime", "1".to_owned()),
    ];
    trailers.retain(|(name, _)| *name != changed);
    trailers.push((changed, value.to_owned()));
    Answer::Message(Vec::new(), trailers)
}

#[tokio::test]
async fn a_deadline_ends_every_wait_for_a_server() {
    // The tests end: that is what they show.
    let stop = || message(&InstanceId::default());
    for silent in [Answer::Silence, Answer::HeadersAlone, Answer::Beginning(100)] {
        let server = Harmful::start(silent.clone(), Answer::Silence, stop()).await;
        let error = server.call("--deadline 200ms").await.unwrap_err().to_string();
        let expected = "the worker refused Start: DeadlineExceeded: no answer within 200 ms";
        assert_eq!(error, expected, "{silent:?}");

        let server = Harmful::start(started("i", "n"), silent.clone(), silent.clone()).await;
        let output = server.call("--deadline 200ms").await.unwrap();
        let expected = "1 x DeadlineExceeded: no answer within 200 ms";
        assert!(output.text.contains(expected) && !output.succeeded, "{silent:?}: {output:?}");

        let options = "--deadline 200ms --rate 50 --duration 200ms --no-warm-up";
        let output = server.load(options).await.unwrap();
        assert!(output.text.contains(" x DeadlineExceeded"), "{silent:?}: {output:?}");

        let server = Harmful::start(started("i", "n"), called("x", "1"), silent.clone()).await;
        let output = server.call("--deadline 200ms").await.unwrap();
        assert!(output.succeeded, "{silent:?}: {output:?}");
    }
    let server = Harmful::that_answers_calls_with(Answer::EndlessMessages).await;
    let output = server.call("--deadline 200ms").await.unwrap();
    assert!(output.text.contains("DeadlineExceeded"), "{output:?}");
}

#[tokio::test]
async fn a_deadline_ends_the_wait_for_a_registry_and_for_a_handshake() {
    // Connections are established, and they are not read.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deaf = deaf.local_addr().map(|address| (address, deaf)).unwrap();
    let server = Harmful::that_answers_calls_with(called("x", "1")).await;

    let registry = Harmful { database: format!("http://{}", deaf.0), ..server };
    let error = registry.call("--deadline 100ms").await.unwrap_err().to_string();
    let expected = "--database-address: the function registry does not answer within 100 ms";
    assert_eq!(error, expected);

    let worker = Harmful { address: format!("https://{}", deaf.0), ..registry };
    let ca = crate::tls::Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let options = format!("--deadline 100ms --tls-ca {}", ca_file.display());
    let error = worker.call(&options).await.unwrap_err().to_string();
    let expected = format!("--address: no worker answers at https://{} within 100 ms", deaf.0);
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_message_larger_than_the_limit_is_an_error() {
    let server = Harmful::that_answers_calls_with(Answer::Beginning(u32::MAX)).await;
    let output = server.call("").await.unwrap();
    assert!(output.text.contains("the limit is: 67108864 bytes"), "{output:?}");

    let large = Answer::Message(vec![0; 2000], Vec::new());
    let server = Harmful::that_answers_calls_with(large.clone()).await;
    let output = server.call("--max-message-size 1kB").await.unwrap();
    assert!(output.text.contains("found 2000 bytes, the limit is: 1000 bytes"), "{output:?}");

    // The limit for an answer that carries no data is no option.
    let server = Harmful::start(Answer::Beginning(1 << 20), large, Answer::Silence).await;
    let error = server.call("").await.unwrap_err().to_string();
    assert!(error.contains("the limit is: 65536 bytes"), "{error}");
}

#[tokio::test]
async fn text_from_a_server_cannot_steer_a_terminal() {
    let steering = "\x1b[2J\x1b]0;title\x07\r\nfailed      0 x forged\u{9b}31m\u{202e}";
    let is_harmless = |text: &str| {
        let only_lines = text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}'));
        only_lines && !text.contains("\nfailed      0 x")
    };
    let encoded = "%1B[2J%0D%0Afailed      0 x forged%C2%9B31m%E2%80%AE";
    let refusal = |mut trailers: Vec<(&'static str, String)>| {
        trailers.push(("grpc-message", encoded.to_owned()));
        Answer::Message(Vec::new(), trailers)
    };

    let refused = refusal(vec![("grpc-status", "13".to_owned())]);
    let start = started(steering, steering);
    let server = Harmful::start(start, refused.clone(), Answer::Silence).await;
    for options in ["--deadline 1s", "--deadline 1s --json"] {
        let output = server.call(options).await.unwrap();
        assert!(is_harmless(&output.text), "{:?}", output.text);
        assert!(output.text.contains("u{1b}[2J"), "{:?}", output.text);
    }
    let server = Harmful::start(refused, Answer::Silence, Answer::Silence).await;
    let error = server.call("--deadline 1s").await.unwrap_err().to_string();
    assert!(is_harmless(&error) && error.contains("u{1b}[2J"), "{error:?}");
}

#[tokio::test]
async fn a_trailer_that_no_worker_sends_is_one_clear_error() {
    let whole = "a whole number below 2^64";
    for (trailer, value, expected) in [
        ("functionprocessingtime", "-5", format!("found '-5', expected nanoseconds, {whole}")),
        ("coldstarttime", "1e3", format!("found '1e3', expected nanoseconds, {whole}")),
        (
            "callqueuedtimestamp",
            "99999999999999999999",
            format!("found '99999999999999999999', expected nanoseconds, {whole}"),
        ),
        ("functionrambytes", "é", format!(r"found '\xc3\xa9', expected bytes, {whole}")),
        ("functioncpucores", "inf", "found 'inf', expected cores, a number from 0 on".into()),
    ] {
        let server = Harmful::that_answers_calls_with(called(trailer, value)).await;
        let output = server.call("").await.unwrap();
        let expected = format!("1 x Internal: the trailer '{trailer}': {expected}");
        assert!(output.text.contains(&expected) && !output.succeeded, "{output:?}");
    }
    // The largest number that there is.
    let most = u64::MAX.to_string();
    let server = Harmful::that_answers_calls_with(called("coldstarttime", &most)).await;
    assert!(server.call("").await.unwrap().succeeded);
    server.load("--rate 50 --duration 100ms").await.unwrap();
}
