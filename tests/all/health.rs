//! `hyperfake health`, run as the probe of a container runs it.

use predicates::{prelude::*, str::contains};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::{ServingStatus, server::health_reporter};

use crate::{
    program::{Served, hyperfake},
    support::deaf_port,
};

fn health(options: &str) -> assert_cmd::assert::Assert {
    let words = ["health"].into_iter().chain(options.split_whitespace());
    assert_cmd::Command::from_std(hyperfake()).args(words).assert()
}

#[test]
fn a_worker_that_serves_is_healthy_and_so_is_each_of_its_services() {
    let server = Served::start("-m models/hyperfaas-echo.onnx");
    let at = format!("--address {}", server.address);
    for service in ["", "--service worker", "--service worker.Worker"] {
        health(&format!("{at} {service}")).success().stdout("SERVING\n");
    }
    // The variable that the server reads, too.
    let mut command = hyperfake();
    command.env("HYPERFAKE_ADDRESS", &server.address).arg("health");
    assert_cmd::Command::from_std(command).assert().success().stdout("SERVING\n");

    let expected = contains(format!("the server at {} has no service 'leaf'", server.address));
    health(&format!("{at} --service leaf")).code(1).stderr(expected.and(contains("--service")));
    health(&format!("{at} --tls-server-name a"))
        .code(1)
        .stderr(contains("expected https:// in front of it for --tls-server-name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_serve_is_not_healthy() {
    let (reporter, service) = health_reporter();
    reporter.set_service_status("", ServingStatus::NotServing).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    health(&format!("--address {address}")).code(1).stdout("NOT_SERVING\n").stderr("");
}

#[test]
fn a_server_that_is_not_there_or_silent_is_not_healthy() {
    let (_socket, port) = deaf_port();
    let expected = format!("no worker answers at 127.0.0.1:{port}");
    health(&format!("--address 127.0.0.1:{port}")).code(1).stdout("").stderr(contains(expected));

    // It takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let expected = format!("--timeout: no worker answers at {address} within 50 ms");
    health(&format!("--address {address} --timeout 50ms")).code(1).stderr(contains(expected));
}
