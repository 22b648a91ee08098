//! The function registry and the metrics page.

use std::{net::SocketAddr, time::Duration};

use hyperfake_worker::functions::http::HttpStore;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    cases,
    rig::{Form, Rig},
};

cases! {
    short:
        half_requests_to_the_registry,
        half_requests_to_the_metrics_page;
    long:
        functions_without_number,
        readers_of_the_metrics_page_that_do_not_read;
}

/// The descriptors that the server has.
const DESCRIPTORS: usize = 1024;

fn place(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

/// Opens connections that send this, and holds them.
async fn hold(rig: &Rig, address: SocketAddr, sent: &[u8]) -> Vec<TcpStream> {
    let mut held = Vec::new();
    while !rig.is_over() && held.len() < 4 * DESCRIPTORS {
        if let Ok(Ok(mut connection)) =
            timeout(Duration::from_secs(1), TcpStream::connect(address)).await
        {
            let _ = connection.write_all(sent).await;
            held.push(connection);
        }
    }
    held
}

async fn half_requests_to_the_registry(form: Form) {
    let rig = Rig::start_with(form, "", Some(DESCRIPTORS)).await;
    rig.attacked(async |rig| {
        let begun = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{";
        let held = hold(rig, place(&rig.database), begun).await;
        let registry = HttpStore::new(rig.database.parse().unwrap()).unwrap();
        registry.register("fast").await.expect("nobody else can register a function");
        held
    })
    .await;
}

async fn functions_without_number(form: Form) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        let function = br#"{"image_tag":"fast"}"#;
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", function.len());
        let request = [head.as_bytes(), function].concat().repeat(50);
        let mut connection = TcpStream::connect(place(&rig.database)).await.unwrap();
        let mut answers = vec![0; 1 << 16];
        while !rig.is_over() {
            let sent = connection.write_all(&request).await;
            let read = timeout(Duration::from_secs(2), connection.read(&mut answers)).await;
            if sent.is_err() || !matches!(read, Ok(Ok(1..))) {
                connection = TcpStream::connect(place(&rig.database)).await.unwrap();
            }
        }
    })
    .await;
}

async fn half_requests_to_the_metrics_page(form: Form) {
    let (rig, page) = with_page(form, "").await;
    rig.attacked(async |rig| {
        let held = hold(rig, page, b"GET /metrics HTTP/1.1\r\nHost: a\r\n").await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{page}/metrics")).send().await;
        assert_eq!(answer.expect("nobody else can read the page").status(), 200);
        held
    })
    .await;
}

async fn readers_of_the_metrics_page_that_do_not_read(form: Form) {
    let (rig, page) = with_page(form, "--fleet-addresses 127.3.0.0/24").await;
    rig.attacked(async |rig| {
        let request = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
        hold(rig, page, &request).await
    })
    .await;
}

/// A server with a metrics page, and where the page is.
async fn with_page(form: Form, options: &str) -> (Rig, SocketAddr) {
    // The page's port is not in the lines that are read at the start.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = format!("{options} --metrics-address {free}");
    (Rig::start_with(form, &options, Some(DESCRIPTORS)).await, free)
}
