use axum::{body::Bytes, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Short times, so that a test sees what happens after them.
const LIMITS: Limits = Limits {
    connections: 8,
    peer_connections: 4,
    body_bytes: 100,
    head_time: Duration::from_millis(200),
    body_time: Duration::from_millis(200),
    idle_time: Duration::from_millis(200),
};

/// Long enough for a slow machine: what is waited for comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page of many bytes, to which bodies may be posted.
async fn served(limits: Limits) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let long = || async { vec![b'x'; 32 << 20] };
    let endless = || async {
        let parts = std::iter::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 1 << 16]));
        Body::from_stream(tokio_stream::iter(parts))
    };
    let router = Router::new()
        .route("/", get(|| async { "page" }).post(|body: Bytes| async move { body }))
        .route("/long", get(long))
        .route("/endless", get(endless));
    serve("the test", vec![listener], router, limits, None);
    address
}

async fn connect(address: std::net::SocketAddr, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream
}

/// Everything that the server sends until it closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset is closed as well.
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server does not close the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The first line of what the server sends.
async fn status(stream: &mut TcpStream) -> String {
    let mut answer = [0; 1024];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_head_that_does_not_come_whole_ends_its_connection() {
    let address = served(LIMITS).await;
    for begun in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let answer = rest(connect(address, begun).await).await;
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_and_ends_its_connection() {
    // Only the wait for the body ends.
    let limits = Limits { head_time: PATIENCE, idle_time: PATIENCE, ..LIMITS };
    let address = served(limits).await;
    for head in ["content-length: 10\r\n\r\n", "transfer-encoding: chunked\r\n\r\n5\r\nab"] {
        let begun = format!("POST / HTTP/1.1\r\nhost: a\r\n{head}");
        let answer = rest(connect(address, &begun).await).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
        let expected =
            "{\"error\": \"found a part of the request's body, expected all of it within 0 s\"}";
        assert!(answer.ends_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection() {
    let address = served(LIMITS).await;
    let stream = connect(address, "GET /long HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // The server's side ends while nothing is read, so that only what the system holds arrives.
    pause(LIMITS.idle_time * 10).await;
    let answer = rest(stream).await;
    assert!(answer.len() < 32 << 20, "all {} bytes arrived", answer.len());
}

#[tokio::test]
async fn an_answer_without_an_end_goes_on_for_as_long_as_it_is_read() {
    let address = served(LIMITS).await;
    let request = "GET /endless HTTP/1.1\r\nhost: a\r\n\r\n";
    let unread = connect(address, request).await;
    let mut stream = connect(address, request).await;
    let mut part = vec![0; 4 << 20];
    // Much longer than the time after which a connection of no use is closed.
    for _ in 0..100 {
        stream.read_exact(&mut part).await.expect("the connection is closed");
        pause(LIMITS.idle_time / 10).await;
    }
    // Ends, after what the system holds of it.
    rest(unread).await;
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let address = served(Limits { idle_time: PATIENCE, ..LIMITS }).await;
    let long = "x".repeat(101);
    let post = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 101\r\n\r\n{long}");
    assert!(status(&mut connect(address, &post).await).await.contains("413"));
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(2 * BUFFER));
    assert!(status(&mut connect(address, &head).await).await.contains("431"));
    let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    assert!(status(&mut connect(address, &head).await).await.contains("431"));
}

#[tokio::test]
async fn a_client_is_served_while_another_one_holds_all_connections() {
    let patient =
        Limits { head_time: PATIENCE, body_time: PATIENCE, idle_time: PATIENCE, ..LIMITS };
    let address = served(patient).await;
    let mut used = connect(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(status(&mut used).await.contains("200"));
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(
            connect(address, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n").await,
        );
        let mut honest = connect(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(status(&mut honest).await.contains("200"));
    }
    // Those that were held the longest are closed.
    for stream in held.drain(..10) {
        assert_eq!(rest(stream).await, "");
    }
}

#[expect(clippy::disallowed_methods, reason = "more than a moment is all that is meant")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
