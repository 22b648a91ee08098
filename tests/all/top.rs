//! `hyperfake top` beside a worker: as text, and in a terminal of its own, which `script` makes.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use predicates::prelude::*;
use tokio::net::TcpListener;

use crate::{
    program::hyperfake,
    support::{LOOKS, TestWorker, constant, deaf_port, eventually, pause},
};

const HTTP: &str = "--http 127.0.0.1:0";
/// What ends the use of a terminal's second screen.
const LEFT: &str = "\u{1b}[?1049l";

/// Runs `hyperfake top`, whose output is no terminal.
#[expect(clippy::disallowed_methods, reason = "no call runs here")]
async fn top(line: String) -> assert_cmd::assert::Assert {
    let run = move || {
        let mut command = assert_cmd::Command::from_std(hyperfake());
        command.arg("top").args(line.split_whitespace()).assert()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_snapshot_as_text_has_the_workers_numbers_and_functions() {
    let model = constant(Duration::from_millis(2));
    let (worker, function, _) = TestWorker::with_instance(&model, HTTP).await;
    let address = worker.app.http_address().unwrap();
    worker.call(&function, b"").await.unwrap();
    // A snapshot is up to a second old.
    let idle = "instances   0 starting, 1 idle, 0 busy, 0 stopping";
    let mut shown = String::new();
    for _ in 0..LOOKS / 50 {
        let output = top(format!("--once --http {address}")).await.success();
        shown = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        if shown.contains(idle) {
            break;
        }
    }
    for expected in [
        idle,
        &format!("worker      http://{address}/, version"),
        "cpu         0.000 of 4 cores",
        &format!("  {function} image"),
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[tokio::test]
async fn a_page_with_a_token_is_read_with_it_alone() {
    let token = "0123456789abcdef";
    let options = format!("{HTTP} --http-token {token}");
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], &options).await;
    let at = format!("--http {}", worker.app.http_address().unwrap());
    top(format!("{at} --http-token {token}")).await.success();
    for (given, expected) in
        [("", "asks for a token"), ("--http-token x", "asks for another token")]
    {
        let said = predicate::str::contains(expected).and(predicate::str::contains(token).not());
        top(format!("{at} {given}")).await.code(1).stderr(said);
    }
}

#[tokio::test]
async fn where_no_page_is_one_line_says_so() {
    let (_socket, port) = deaf_port();
    let one_line = predicate::str::is_match("^error: --http: http://127.0.0.1:.*\n$").unwrap();
    let refused = one_line.clone().and(predicate::str::contains("refused"));
    top(format!("--http 127.0.0.1:{port}")).await.code(1).stderr(refused);
    // The API is another port.
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], HTTP).await;
    for address in [worker.app.address().to_string(), worker.database.clone()] {
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        top(format!("--http {address}")).await.code(1).stderr(one_line.clone());
    }
}

#[tokio::test]
async fn a_page_that_never_ends_its_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        _ = stream.read(&mut [0; 1024]).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"run\": \"";
        stream.write_all(head.as_bytes()).await.unwrap();
        // Until the other side has had enough.
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
    });
    // Whichever a busy machine reaches first.
    let said = predicate::str::contains("length limit exceeded")
        .or(predicate::str::contains("does not answer within"));
    top(format!("--http {address}")).await.code(1).stderr(said);
    serving.await.unwrap();
}

/// `hyperfake top` in a terminal of its own.
struct InTerminal {
    process: Child,
    /// Of the program itself.
    pid: String,
    shown: Arc<Mutex<String>>,
}

impl InTerminal {
    async fn start(address: SocketAddr) -> Self {
        let program = env!("CARGO_BIN_EXE_hyperfake");
        let line =
            format!("stty rows 40 cols 160; echo pid=$$; exec {program} top --http {address}");
        let mut process = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = process.stdout.take().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut part) {
                all.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..length]));
            }
        });
        let mut terminal = Self { process, pid: String::new(), shown };
        terminal.until("calls/s").await;
        let shown = terminal.shown.lock().unwrap().clone();
        let pid = shown.split("pid=").nth(1).unwrap();
        terminal.pid = pid.chars().take_while(char::is_ascii_digit).collect();
        terminal
    }

    async fn until(&self, text: &str) {
        eventually(text, || self.shown.lock().unwrap().contains(text)).await;
    }

    /// The exit code, and that the terminal is as it was.
    async fn end(mut self) -> Option<i32> {
        for _ in 0..LOOKS {
            if let Some(status) = self.process.try_wait().unwrap() {
                self.until(LEFT).await;
                return status.code();
            }
            pause().await;
        }
        panic!("it does not end: {}", self.shown.lock().unwrap());
    }
}

impl Drop for InTerminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_terminal_shows_calls_and_is_given_back_however_the_program_ends() {
    let model = constant(Duration::from_millis(2));
    let (worker, function, instance) = TestWorker::with_instance(&model, HTTP).await;
    let address = worker.app.http_address().unwrap();
    worker.call(&function, b"").await.unwrap();
    let terminal = InTerminal::start(address).await;
    terminal.until(&instance).await;
    terminal.until(&function).await;
    terminal.process.stdin.as_ref().unwrap().write_all(b"q").unwrap();
    assert_eq!(terminal.end().await, Some(0));
    for signal in ["-TERM", "-INT", "-HUP"] {
        let terminal = InTerminal::start(address).await;
        assert!(Command::new("kill").args([signal, &terminal.pid]).status().unwrap().success());
        assert_eq!(terminal.end().await, Some(0), "{signal}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_worker_that_ends_and_comes_back_is_followed_again() {
    let model = constant(Duration::ZERO);
    let first = TestWorker::start(&[("image", &model)], HTTP).await;
    let address = first.app.http_address().unwrap();
    let terminal = InTerminal::start(address).await;
    first.app.shut_down(std::future::ready(())).await;
    terminal.until("trying again").await;
    let options = format!("--http {address}");
    let (worker, function, instance) = TestWorker::with_instance(&model, &options).await;
    worker.call(&function, b"").await.unwrap();
    assert_eq!(worker.app.http_address(), Some(address));
    terminal.until(&instance).await;
    terminal.process.stdin.as_ref().unwrap().write_all(b"q").unwrap();
    assert_eq!(terminal.end().await, Some(0));
}
