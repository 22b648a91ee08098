//! The functions as their callers see them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

fn functions() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_functions"));
    command.env_remove("CONTROLLER_ADDRESS");
    command
}

/// A function that runs until it is dropped.
struct Running(Child, u16);

impl Running {
    fn start(name: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child =
            functions().arg(name).env("PORT", port.to_string()).stdout(Stdio::null()).spawn();
        Self(child.unwrap(), port)
    }

    /// The answer to an HTTP POST, as soon as it takes connections.
    fn post(&mut self, body: &[u8]) -> Vec<u8> {
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.1)) {
                Ok(stream) => break stream,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            assert_eq!(self.0.try_wait().unwrap(), None, "it has ended");
        };
        let head = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_function_answers_an_http_post() {
    for (name, body, expected) in [("echo", "hello", "hello"), ("sleep", "1ms", "HTTP/1.1")] {
        let answer = Running::start(name).post(body.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{name}");
        // Answers come in chunks, so that there is more around what they say.
        assert!(String::from_utf8_lossy(&answer).contains(expected), "{name}");
    }
    for name in ["compress", "thumbnail"] {
        let answer = Running::start(name).post(&[b'x'; 20_000]);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{name}");
    }
}

#[test]
fn what_is_no_function_is_refused_in_one_line() {
    let run = |argument: &[&str], port: &str| {
        let output = functions().args(argument).env("PORT", port).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let expected = "expected echo, compress, thumbnail or sleep\n";
    assert_eq!(run(&["nosuch"], "1"), format!("error: found 'nosuch', {expected}"));
    assert!(run(&[], "1").starts_with("error: found 0 arguments, expected one"));
    assert_eq!(run(&["echo"], "x"), "error: PORT: found 'x', expected a port\n");
}

#[test]
fn a_function_that_cannot_say_that_it_is_ready_ends() {
    // Bound and closed again: it refuses connections.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let worker = format!("127.0.0.1:{port}");
    let output = functions()
        .arg("echo")
        .env("PORT", "0")
        .env("CONTROLLER_ADDRESS", &worker)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = format!("error: CONTROLLER_ADDRESS: {worker}: cannot call SignalReady: ");
    assert!(error.starts_with(&expected) && error.lines().count() == 1, "{error}");
}
