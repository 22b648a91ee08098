//! A client that writes any frames of HTTP/2, valid or not.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
    task::JoinHandle,
};

/// Frame types (RFC 9113, section 6) that the tests send or read.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags: of DATA and HEADERS, of HEADERS, and of SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// Error codes (section 7).
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Settings: the initial window of each stream.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Both sides of a connection.
pub(crate) struct Wire {
    pub(crate) reader: Reader,
    pub(crate) writer: OwnedWriteHalf,
}

pub(crate) struct Reader(OwnedReadHalf);

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Wire {
    /// Connects, and waits until the server has enlarged the connection's window of 64 KiB.
    pub(crate) async fn connect(address: &str, settings: &[(u16, u32)]) -> Self {
        let mut wire = Self::greet(address, settings).await;
        wire.read_until(|frame| frame.kind == WINDOW_UPDATE).await;
        wire
    }

    /// Connects and sends the preface with these settings, without waiting for an answer.
    pub(crate) async fn greet(address: &str, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        // What is written is sent at once, also while nothing acknowledges what was written before.
        stream.set_nodelay(true).unwrap();
        let (reader, mut writer) = stream.into_split();
        let values = settings.iter().flat_map(|(setting, value)| {
            setting.to_be_bytes().into_iter().chain(value.to_be_bytes())
        });
        let settings = frame(SETTINGS, 0, 0, &values.collect::<Vec<_>>());
        // The largest window for the connection.
        let all = frame(WINDOW_UPDATE, 0, 0, &(u32::MAX / 2 - 65_535).to_be_bytes());
        writer.write_all(&[&PREFACE[..], &settings, &all].concat()).await.unwrap();
        Self { reader: Reader(reader), writer }
    }

    /// Reads frames, and acknowledges settings and pings, until `enough` or until the server closes
    /// the connection.
    pub(crate) async fn read_until(&mut self, mut enough: impl FnMut(&Frame) -> bool) {
        let reading = async {
            while let Some(frame) = self.reader.frame().await {
                if [SETTINGS, PING].contains(&frame.kind) && frame.flags & ACK == 0 {
                    let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
                    let _ = self.writer.write_all(&answer(frame.kind, payload)).await;
                }
                if enough(&frame) {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), reading).await;
        waited.expect("the server did not send what was expected");
    }

    /// Reads and ignores everything except pings. The connection is closed when the returned writer
    /// is dropped.
    pub(crate) fn read_on(self) -> Writer {
        let Self { mut reader, writer } = self;
        let writer = Arc::new(Mutex::new(writer));
        let shared = Arc::clone(&writer);
        let reading = tokio::spawn(async move {
            while let Some(frame) = reader.frame().await {
                assert_ne!(
                    frame.kind,
                    GOAWAY,
                    "the server closed the connection: error {}",
                    frame.error()
                );
                if frame.kind == PING && frame.flags & ACK == 0 {
                    let writer = Arc::clone(&shared);
                    // In a task of its own: reading must not wait for writing.
                    tokio::spawn(async move {
                        let pong = answer(PING, &frame.payload);
                        let _ = writer.lock().await.write_all(&pong).await;
                    });
                }
            }
        });
        Writer { writer, reading }
    }
}

/// The writing side of a connection whose other side is read in the background.
pub(crate) struct Writer {
    writer: Arc<Mutex<OwnedWriteHalf>>,
    reading: JoinHandle<()>,
}

impl Writer {
    pub(crate) async fn write(&self, bytes: &[u8]) {
        self.writer.lock().await.write_all(bytes).await.unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Reader {
    /// The next frame; `None` when the server closed the connection.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }
}

impl Frame {
    /// The error code with which the server ends a stream (RST_STREAM) or the connection (GOAWAY).
    pub(crate) fn error(&self) -> u32 {
        let start = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[start..start + 4].try_into().unwrap())
    }
}

impl Frame {
    /// By how much the server enlarges a window (WINDOW_UPDATE).
    pub(crate) fn increment(&self) -> usize {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap()) as usize
    }
}

fn answer(kind: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind, ACK, 0, payload)
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let stream = stream.to_be_bytes();
    [&[a, b, c, kind, flags], &stream[..], payload].concat()
}

/// The client's stream with this number, from 0.
pub(crate) fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// The headers of a request for one of the worker's methods.
pub(crate) fn request(stream: u32, method: &str) -> Vec<u8> {
    request_with(stream, method, &[])
}

/// The same with more headers.
pub(crate) fn request_with(stream: u32, method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // POST and http are in HPACK's table (RFC 7541); everything else is a literal.
    let mut block = vec![0x83, 0x86];
    let path = format!("/controller.Controller/{method}");
    let fields = [
        (":authority", "a"),
        (":path", &path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in fields.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A complete call of a function, with this many bytes.
pub(crate) fn call(stream: u32, function: &str, bytes: usize) -> Vec<u8> {
    [request(stream, "Call"), message_of(stream, function, bytes)].concat()
}

/// The message of a call of a function, with this many bytes.
pub(crate) fn message_of(stream: u32, function: &str, bytes: usize) -> Vec<u8> {
    message(stream, &call_request(function, bytes))
}

/// The one message of a request.
pub(crate) fn message(stream: u32, message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    frame(DATA, END_STREAM, stream, &[&[0], &length[..], message].concat())
}

/// A `CallRequest` with data (field 3) and the function's id (field 4).
fn call_request(function: &str, bytes: usize) -> Vec<u8> {
    assert!(bytes < 1 << 14, "a longer length has more than two bytes");
    let mut message = vec![0x1a, 0x80 | (bytes & 0x7f) as u8, (bytes >> 7) as u8];
    message.extend(vec![0; bytes]);
    message.extend([0x22, function.len() as u8 + 2, 0x0a, function.len() as u8]);
    message.extend(function.as_bytes());
    message
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}
