//! A client's bytes at a pace at which it cannot hold its call thread.
//!
//! HTTP/2 lets a client send frames that cost the server far more than the client, and the library
//! works through all frames that have come before the thread does anything else. So this stands
//! between the connection and the library and counts frames by their heads. It decodes nothing: to
//! the library it is a connection that delivers a little later.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    account::{Account, Charge, REQUEST_BYTES},
    frames::{ACK, CONTINUATION, GOAWAY, HEADERS, Head, SETTINGS, Scanner},
};
use crate::clock::{Clock, Moment, Sleep};

/// A connection whose client is held to a pace.
pub(super) struct Paced<S> {
    stream: S,
    clock: Clock,
    activity: Arc<Activity>,
    scanner: Scanner,
    visits: Visits,
    withheld: Option<Box<Withheld>>,
    /// Requests that came while nothing could be written: their answers may be waiting in the
    /// library, which holds them without a limit of its own.
    unread: Charge,
    /// Nothing can be written at the moment.
    is_blocked: bool,
    /// The client has to read before it sends more.
    is_full: bool,
}

/// What the task of a connection and its stream tell each other.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// What was done since the task was woken.
    turn: AtomicUsize,
    /// How often something was written.
    writes: AtomicUsize,
}

/// Bytes that were read and are not delivered before a moment.
struct Withheld {
    bytes: Vec<u8>,
    delivered: usize,
    until: Sleep,
}

/// A limit on frames for which the library visits every open stream: SETTINGS, because the initial
/// window may have changed, and GOAWAY.
#[derive(Debug, Default)]
struct Visits {
    /// When all that came would have been due at the steady pace.
    due: Moment,
}

/// The work in one turn, after which others have theirs: 256 frames, or 16 KiB of headers. Headers
/// can grow a hundredfold when they are decoded, and requests wait together until the turn is over.
const TURN: usize = 16 << 10;
const FRAME: usize = TURN / 256;
/// That the turn is over and the next one was asked for.
const OVER: usize = usize::MAX >> 1;
/// Frames that visit every stream may come at this distance, and this many of them at once. Clients
/// send a few in the first seconds, when they adapt their windows.
const VISIT_EVERY: Duration = Duration::from_millis(100);
const VISITS_AT_ONCE: u32 = 10;
/// A request whose answer waits is taken for answered after so many bytes; an answer has at least
/// some tens.
const WRITTEN_FOR_ONE: usize = 128;

impl<S> Paced<S> {
    /// A connection that counts for this account and whose task has this activity.
    pub(super) fn new(stream: S, account: &Account, clock: Clock, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            clock,
            activity,
            scanner: Scanner::new(),
            visits: Visits::default(),
            withheld: None,
            unread: account.nothing(),
            is_blocked: false,
            is_full: false,
        }
    }

    /// Goes through bytes that are to be delivered; returns how many are, and from when on the others
    /// may be.
    fn admit(&mut self, bytes: &[u8]) -> (usize, Option<Moment>) {
        let Self { scanner, visits, clock, unread, is_blocked, is_full, activity, .. } = self;
        let (mut work, mut wait) = (0, None);
        let delivered = scanner.scan(bytes, |head| {
            work += FRAME;
            match head {
                Head { kind: HEADERS | CONTINUATION, length, .. } => {
                    work += length;
                    if *is_blocked && head.kind == HEADERS {
                        *is_full |= unread.add(REQUEST_BYTES).is_err();
                    }
                }
                Head { kind: SETTINGS | GOAWAY, flags, length } if length > 0 => {
                    let is_answer = head.kind == SETTINGS && flags & ACK != 0;
                    wait = (!is_answer).then(|| visits.count(clock.now())).flatten();
                }
                _ => {}
            }
            wait.is_some()
        });
        activity.worked(work);
        (delivered, wait)
    }

    /// Delivers withheld bytes, if there are any and their time has come.
    fn poll_withheld(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<bool> {
        let Some(mut withheld) = self.withheld.take() else { return Poll::Ready(false) };
        if Pin::new(&mut withheld.until).poll(context).is_pending() {
            self.withheld = Some(withheld);
            return Poll::Pending;
        }
        let rest = &withheld.bytes[withheld.delivered..];
        if rest.is_empty() {
            return Poll::Ready(false);
        }
        let rest = &rest[..rest.len().min(buffer.remaining())];
        let (delivered, wait) = self.admit(rest);
        buffer.put_slice(&rest[..delivered]);
        withheld.delivered += delivered;
        if let Some(until) = wait {
            withheld.until = self.clock.sleep_until(until);
        }
        self.withheld = Some(withheld);
        Poll::Ready(true)
    }

    /// An error if the service closes the connection. To the library it is one that broke.
    fn check_cut(&self) -> io::Result<()> {
        match self.unread.account().is_cut() {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_blocked = written.is_pending();
        if let Poll::Ready(Ok(bytes)) = written {
            self.activity.writes.fetch_add(1, Relaxed);
            self.is_full = false;
            if self.unread.bytes() > 0 {
                self.unread.remove((bytes / WRITTEN_FOR_ONE + 1) * REQUEST_BYTES);
            }
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        me.check_cut()?;
        if me.activity.is_over(context) {
            return Poll::Pending;
        }
        if me.is_full && me.is_blocked {
            // The task is woken when something can be written.
            return Poll::Pending;
        }
        if ready!(me.poll_withheld(context, buffer)) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut me.stream).poll_read(context, buffer))?;
        let (delivered, wait) = me.admit(&buffer.filled()[before..]);
        if let Some(until) = wait {
            let bytes = buffer.filled()[before + delivered..].to_vec();
            buffer.set_filled(before + delivered);
            let until = me.clock.sleep_until(until);
            me.withheld = Some(Box::new(Withheld { bytes, delivered: 0, until }));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        me.check_cut()?;
        let written = Pin::new(&mut me.stream).poll_write(context, bytes);
        me.wrote(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        me.check_cut()?;
        let written = Pin::new(&mut me.stream).poll_write_vectored(context, slices);
        me.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl Activity {
    /// Runs what uses the connection, as the task that it tells its turns.
    pub(super) async fn in_turns<F: Future>(&self, mut serving: Pin<&mut F>) -> F::Output {
        poll_fn(|context| {
            self.turn.store(0, Relaxed);
            serving.as_mut().poll(context)
        })
        .await
    }

    /// How often something was written.
    pub(super) fn writes(&self) -> usize {
        self.writes.load(Relaxed)
    }

    fn worked(&self, work: usize) {
        self.turn.fetch_add(work, Relaxed);
    }

    /// Whether enough was done in this turn; then the task is woken for the next one.
    fn is_over(&self, context: &mut Context<'_>) -> bool {
        let turn = self.turn.load(Relaxed);
        if (TURN..OVER).contains(&turn) {
            self.turn.store(OVER, Relaxed);
            context.waker().wake_by_ref();
        }
        turn >= TURN
    }
}

impl Visits {
    /// Counts a frame that came at this moment; returns from when on it may be delivered, if that is
    /// later.
    fn count(&mut self, now: Moment) -> Option<Moment> {
        self.due = self.due.max(now) + VISIT_EVERY;
        let at = self.due - VISIT_EVERY * VISITS_AT_ONCE;
        (at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::{
        super::{
            account::{Budget, Shares},
            frames::PREFACE_BYTES,
        },
        *,
    };
    use crate::clock::manual::ManualClock;

    const PING: u8 = 6;

    fn frames(kind: u8, length: usize, count: usize) -> Vec<u8> {
        let [_, a, b, c] = (length as u32).to_be_bytes();
        [&[a, b, c, kind, 0, 0, 0, 0, 0][..], &vec![0; length]].concat().repeat(count)
    }

    /// A connection with its client, who has sent the preface and these frames.
    struct Connected {
        client: DuplexStream,
        paced: Paced<DuplexStream>,
        time: ManualClock,
    }

    impl Connected {
        async fn new(frames: &[u8]) -> Self {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            client.write_all(&[0; PREFACE_BYTES]).await.unwrap();
            client.write_all(frames).await.unwrap();
            let time = ManualClock::new();
            let budget = Budget::new(Shares::of(1 << 20, 1 << 10));
            let account = Account::new(&budget, [127, 0, 0, 1].into());
            let paced = Paced::new(server, &account, time.clock(), Arc::default());
            Self { client, paced, time }
        }

        /// How much is delivered in one turn.
        async fn turn(&mut self) -> usize {
            // tokio lets a task read only so much without a break.
            tokio::task::yield_now().await;
            let activity = Arc::clone(&self.paced.activity);
            let mut delivered = 0;
            let serving = pin!(poll_fn(|context| {
                loop {
                    let mut space = [0; 1000];
                    let mut buffer = ReadBuf::new(&mut space);
                    let read = Pin::new(&mut self.paced).poll_read(context, &mut buffer);
                    match (read, buffer.filled().len()) {
                        (Poll::Ready(Ok(())), 1..) => delivered += buffer.filled().len(),
                        _ => return Poll::Ready(delivered),
                    }
                }
            }));
            activity.in_turns(serving).await
        }
    }

    #[tokio::test]
    async fn work_beyond_a_turn_waits_for_the_next_one() {
        for (sent, in_one_turn) in
            [(frames(PING, 8, 2000), 256 * 17), (frames(HEADERS, 500, 200), TURN)]
        {
            let mut connected = Connected::new(&sent).await;
            let mut delivered = 0;
            while delivered < PREFACE_BYTES + sent.len() {
                let turn = connected.turn().await;
                assert!((1..in_one_turn + 1100).contains(&turn), "{turn} bytes in a turn");
                delivered += turn;
            }
        }
    }

    #[tokio::test]
    async fn settings_beyond_their_pace_wait_and_nothing_is_lost() {
        let sent = [frames(SETTINGS, 6, 12), frames(PING, 8, 3), frames(SETTINGS, 6, 1)].concat();
        let mut connected = Connected::new(&sent).await;
        // Ten, and the head of the one that is too early.
        assert_eq!(connected.turn().await, PREFACE_BYTES + 10 * 15 + 9);
        assert_eq!(connected.turn().await, 0);
        connected.time.advance(VISIT_EVERY);
        assert_eq!(connected.turn().await, 6 + 9);
        connected.time.advance(VISIT_EVERY);
        assert_eq!(connected.turn().await, 6 + 3 * 17 + 9);
        connected.time.advance(VISIT_EVERY);
        assert_eq!(connected.turn().await, 6);
        // After a pause ten are delivered at once again.
        connected.time.advance(VISIT_EVERY * VISITS_AT_ONCE);
        connected.client.write_all(&frames(SETTINGS, 6, 10)).await.unwrap();
        assert_eq!(connected.turn().await, 10 * 15);
        // The end of the connection is seen.
        drop(connected.client);
        assert_eq!(connected.paced.read(&mut [0; 9]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_not_read_for_ever() {
        let mut connected = Connected::new(&[]).await;
        connected.turn().await;
        let unread = 1 << 20;
        connected.paced.write_all(&vec![0; unread]).await.unwrap();
        let blocked = poll_fn(|context| {
            Poll::Ready(Pin::new(&mut connected.paced).poll_write(context, &[0]).is_pending())
        });
        assert!(blocked.await);
        // A connection has half a mebibyte here, and a request counts five kibibytes of it.
        let request = 9 + 10;
        connected.client.write_all(&frames(HEADERS, 10, 1000)).await.unwrap();
        let mut delivered = 0;
        loop {
            match connected.turn().await {
                0 => break,
                more => delivered += more,
            }
        }
        assert!((100 * request..200 * request).contains(&delivered), "{delivered} bytes");
        // It is read on when it reads.
        connected.client.read_exact(&mut vec![0; unread]).await.unwrap();
        connected.paced.write_all(&[0]).await.unwrap();
        assert!(connected.turn().await > 0);
    }
}
