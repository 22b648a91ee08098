//! A connection that sends any frames, reads what comes, and keeps to the windows when told to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

use crate::frames::{
    ACK, DATA, END_STREAM, GOAWAY, INITIAL_WINDOW, PING, PREFACE, SETTINGS, WINDOW_UPDATE, frame,
    settings, window_update,
};

type Writer = Arc<tokio::sync::Mutex<OwnedWriteHalf>>;

/// Its connection is closed when it is dropped.
pub(crate) struct Attacker {
    writer: Writer,
    seen: Arc<Mutex<Seen>>,
    /// Told when the server's windows may have room.
    room: Arc<Notify>,
    reading: JoinHandle<()>,
}

/// What the server has sent.
#[derive(Default)]
struct Seen {
    /// Frames by their kinds.
    frames: HashMap<u8, usize>,
    is_closed: bool,
    /// What the server's windows have room for: a new stream's, the connection's, each stream's.
    initial: i64,
    connection: i64,
    streams: HashMap<u32, i64>,
}

/// The longest payload that every server takes.
const FRAME: usize = 16_384;
/// A server that takes nothing for so long has stopped this client.
const STUCK: Duration = Duration::from_secs(2);

impl Attacker {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).await
    }

    /// Connects with these settings.
    pub(crate) async fn connect_with(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        Self::greet(TcpStream::connect(address).await.unwrap(), values).await
    }

    /// Connects from this address, if the server takes the connection.
    pub(crate) async fn connect_from(from: [u8; 4], to: SocketAddr) -> Option<Self> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let connected = timeout(STUCK, socket.connect(to)).await.ok()?.ok()?;
        Some(Self::greet(connected, &[]).await)
    }

    async fn greet(connection: TcpStream, values: &[(u16, u32)]) -> Self {
        let (reader, mut writer) = connection.into_split();
        let all = window_update(0, i32::MAX as u32 - 65_535);
        // A server that refuses the connection may have closed it.
        let _ = writer.write_all(&[PREFACE, &settings(values), &all].concat()).await;
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        let seen = Seen { initial: 65_535, connection: 65_535, ..Seen::default() };
        let seen = Arc::new(Mutex::new(seen));
        let room = Arc::new(Notify::new());
        let reading = read(reader, Arc::clone(&writer), Arc::clone(&seen), Arc::clone(&room));
        let reading = tokio::spawn(reading);
        Self { writer, seen, room, reading }
    }

    /// Sends bytes; false when the server has closed the connection or takes no more.
    pub(crate) async fn send(&self, bytes: &[u8]) -> bool {
        let sent = timeout(STUCK, async { self.writer.lock().await.write_all(bytes).await });
        matches!(sent.await, Ok(Ok(()))) && !self.is_closed()
    }

    /// Sends data on a stream as the server's windows allow it; false when they do not.
    pub(crate) async fn data(&self, stream: u32, data: &[u8], end: bool) -> bool {
        let mut rest = data;
        while !rest.is_empty() {
            let room = self.take_room(stream, rest.len().min(16 * FRAME));
            if room == 0 {
                let is_stuck = timeout(STUCK, self.room.notified()).await.is_err();
                if is_stuck || self.is_closed() {
                    return false;
                }
                continue;
            }
            let (part, left) = rest.split_at(room);
            rest = left;
            let is_last = end && rest.is_empty();
            let frames = part.chunks(FRAME).enumerate().flat_map(|(number, chunk)| {
                let is_last = is_last && (number + 1) * FRAME >= part.len();
                frame(DATA, if is_last { END_STREAM } else { 0 }, stream, chunk)
            });
            if !self.send(&frames.collect::<Vec<_>>()).await {
                return false;
            }
        }
        true
    }

    fn take_room(&self, stream: u32, most: usize) -> usize {
        let mut seen = self.seen.lock().unwrap();
        let initial = seen.initial;
        let connection = seen.connection;
        let window = seen.streams.entry(stream).or_insert(0);
        let room = (initial + *window).min(connection).clamp(0, most as i64);
        *window -= room;
        seen.connection -= room;
        room as usize
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.seen.lock().unwrap().is_closed
    }

    /// How many frames of this kind the server has sent.
    pub(crate) fn frames(&self, kind: u8) -> usize {
        self.seen.lock().unwrap().frames.get(&kind).copied().unwrap_or_default()
    }

    /// Waits until there are so many frames of this kind; false when they do not come.
    pub(crate) async fn wait_for(&self, kind: u8, count: usize) -> bool {
        for _ in 0..4000 {
            if self.frames(kind) >= count {
                return true;
            }
            if self.is_closed() {
                return false;
            }
            pause(Duration::from_millis(5)).await;
        }
        false
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads to the end, and answers settings and pings.
async fn read(
    mut reader: OwnedReadHalf,
    writer: Writer,
    seen: Arc<Mutex<Seen>>,
    room: Arc<Notify>,
) {
    while let Some((kind, flags, stream, payload)) = next(&mut reader).await {
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        {
            let mut seen = seen.lock().unwrap();
            *seen.frames.entry(kind).or_default() += 1;
            match kind {
                WINDOW_UPDATE if stream == 0 => seen.connection += i64::from(number(0)),
                WINDOW_UPDATE => *seen.streams.entry(stream).or_default() += i64::from(number(0)),
                SETTINGS if flags & ACK == 0 => {
                    for at in (0..payload.len()).step_by(6) {
                        if payload[at..at + 2] == INITIAL_WINDOW.to_be_bytes() {
                            seen.initial = i64::from(number(at + 2));
                        }
                    }
                }
                GOAWAY => seen.is_closed = true,
                _ => {}
            }
        }
        if [WINDOW_UPDATE, SETTINGS, GOAWAY].contains(&kind) {
            room.notify_one();
        }
        if [SETTINGS, PING].contains(&kind) && flags & ACK == 0 {
            let answer = frame(kind, ACK, 0, if kind == PING { &payload } else { &[] });
            let writer = Arc::clone(&writer);
            // Reading must not wait for writing.
            tokio::spawn(async move {
                let _ = writer.lock().await.write_all(&answer).await;
            });
        }
    }
    seen.lock().unwrap().is_closed = true;
    room.notify_one();
}

async fn next(reader: &mut OwnedReadHalf) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    reader.read_exact(&mut payload).await.ok()?;
    Some((kind, flags, u32::from_be_bytes(stream), payload))
}

pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
