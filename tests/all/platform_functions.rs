//! The platform's own functions, called at their instances' addresses as their clients call them.

use bytes::Bytes;
use http::uri::PathAndQuery;
use hyperfake_proto::worker::{Event, StartResponse, Status as EventStatus};
use prost::encoding;
use tonic::{Code, Request, Response, Status};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    support::{TestWorker, channel_to, code, eventually},
    today::{Leaf, Raw, connect, until},
};

/// A worker with the sample functions, and an instance of one.
async fn instance_of(image: &str) -> (TestWorker, Leaf, StartResponse) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models/functions");
    let worker = TestWorker::start(&[], &format!("--models-dir {folder}")).await;
    let leaf = Leaf::of(&worker).await;
    let function = worker.register(&format!("hyperfaas-{image}:latest")).await;
    let instance = leaf.start(&function).await.unwrap();
    (worker, leaf, instance)
}

async fn call(
    instance: &StartResponse,
    path: &'static str,
    message: impl Into<Bytes>,
) -> Result<Response<Bytes>, Status> {
    let mut client = connect(instance).await;
    client.ready().await.unwrap();
    client.unary(Request::new(message.into()), PathAndQuery::from_static(path), Raw).await
}

fn text(number: u32, text: &str) -> Vec<u8> {
    let mut message = Vec::new();
    encoding::string::encode(number, &text.to_owned(), &mut message);
    message
}

#[tokio::test]
async fn a_function_answers_its_methods_and_no_others() {
    let (_worker, _leaf, instance) = instance_of("grpc-proxy-greeter").await;
    let greet = "/examples.greeter.v1.Greeter/SayHello";
    let answer = call(&instance, greet, text(1, "Ada")).await.unwrap();
    assert_eq!(answer.get_ref()[..], text(1, "Hello, Ada!"));
    let answer = call(&instance, greet, Bytes::new()).await.unwrap();
    assert_eq!(answer.get_ref()[..], text(1, "Hello, world!"));
    let unknown = call(&instance, "/examples.greeter.v1.Greeter/SayBye", Bytes::new()).await;
    assert_eq!(code(unknown), Code::Unimplemented);
    // Field 1 is cut short.
    assert_eq!(code(call(&instance, greet, &b"\x0a\xff"[..]).await), Code::Internal);
}

#[tokio::test]
async fn a_run_time_that_the_request_states_takes_the_place_of_the_models() {
    let (_worker, _leaf, instance) = instance_of("sleep").await;
    let mut request = Vec::new();
    encoding::int64::encode(1, &30_000_000, &mut request);
    let answer = call(&instance, "/examples.sleep.v1.Sleep/Sleep", request).await.unwrap();
    assert_eq!(answer.get_ref()[..], text(1, "Finished Sleeping"));
    assert_eq!(answer.metadata().get("functionprocessingtime").unwrap(), "30000000");
}

#[tokio::test]
async fn a_crash_ends_the_instance_with_its_calls_and_is_told() {
    let (worker, leaf, instance) = instance_of("crash").await;
    let mut events = leaf.listen("leaf").await;
    let path = "/examples.crash.v1.Crash/Crash";
    // The second one runs when the first one crashes.
    let (first, second) = tokio::join!(call(&instance, path, Bytes::new()), async {
        eventually("the first call runs", || worker.worker().usage().ram_bytes > 0).await;
        call(&instance, path, Bytes::new()).await
    });
    for ended in [first, second] {
        let code = code(ended);
        assert!(matches!(code, Code::Unavailable | Code::Unknown | Code::Internal), "{code:?}");
    }
    let down = until(&mut events, Event::Down).await;
    assert_eq!(down.instance_id, instance.instance_id);
    assert_eq!(down.status(), EventStatus::Failed);
    worker.is_idle().await;
    // Nobody lives there any more, and the address still does not refuse.
    assert_eq!(code(call(&instance, path, Bytes::new()).await), Code::Unavailable);
}

#[tokio::test]
async fn reflection_at_an_instance_lists_the_functions_own_services() {
    let (_worker, _leaf, instance) = instance_of("hello").await;
    let channel = channel_to(instance.instance_internal_ip.parse().unwrap()).await;
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let services: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(services.contains(&"examples.hello.v1.Hello".to_owned()), "{services:?}");
}
