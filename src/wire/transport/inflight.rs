//! What a request holds until its service has it.
//!
//! A message is collected in memory before it is decoded. Its size is limited, but a client can
//! begin as many messages as it can open streams, and never finish one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

use super::{
    account::{Account, Charge},
    compression::{PREFIX_BYTES, prefix},
    endpoint::RequestBody,
};

/// A request's body. What it holds is charged until it is dropped: a handler drops it when it has
/// the message.
///
/// It holds the request itself, the first message and what has come of a later one. A later message
/// that is complete is taken by the service before it asks for more.
pub(super) struct MeteredBody {
    body: Incoming,
    charge: Charge,
    messages: Messages,
    /// Complete messages after the first one, until the service asks for more.
    passing: usize,
    /// The first compressed message was replaced.
    keeps_first: bool,
}

/// Follows the messages of a body.
#[derive(Debug, Default)]
struct Messages {
    /// The beginning of the message that is not complete.
    prefix: [u8; PREFIX_BYTES],
    /// How much of it has come, and how much of it is missing once the prefix has come.
    come: usize,
    missing: usize,
    /// How many are complete.
    complete: usize,
}

impl MeteredBody {
    /// The body of a request for which something is charged.
    pub(super) fn new(body: Incoming, charge: Charge) -> Self {
        Self { body, charge, messages: Messages::default(), passing: 0, keeps_first: false }
    }

    /// Counts the bytes of a decompressed message instead of the compressed ones.
    ///
    /// # Errors
    ///
    /// When the client holds too much.
    pub(super) fn replace(&mut self, compressed: usize, message: usize) -> Result<(), Status> {
        self.charge.add(message)?;
        if self.keeps_first {
            self.passing += message;
        } else {
            self.keeps_first = true;
            self.charge.remove(compressed);
        }
        Ok(())
    }
}

impl Messages {
    /// Goes through the next bytes; returns how many belong to messages after the first one that
    /// are complete now, from their beginning.
    fn advance(&mut self, mut bytes: &[u8]) -> usize {
        let mut completed = 0;
        while !bytes.is_empty() {
            let next = if self.come < PREFIX_BYTES {
                let next = bytes.len().min(PREFIX_BYTES - self.come);
                self.prefix[self.come..][..next].copy_from_slice(&bytes[..next]);
                if self.come + next == PREFIX_BYTES {
                    self.missing = prefix(&self.prefix).map_or(0, |(_, length)| length);
                }
                next
            } else {
                let next = bytes.len().min(self.missing);
                self.missing -= next;
                next
            };
            self.come += next;
            bytes = &bytes[next..];
            if self.come >= PREFIX_BYTES && self.missing == 0 {
                if self.complete > 0 {
                    completed += self.come;
                }
                self.complete += 1;
                self.come = 0;
            }
        }
        completed
    }
}

impl RequestBody for MeteredBody {
    fn account(&self) -> &Account {
        self.charge.account()
    }
}

impl http_body::Body for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.passing > 0 {
            let passed = std::mem::take(&mut self.passing);
            self.charge.remove(passed);
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref() {
            self.charge.add(data.len())?;
            self.passing = self.messages.advance(data);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_after_the_first_one_are_complete_at_their_last_byte(
            lengths in prop::collection::vec(0..100usize, 1..10),
            cut in 1..50usize,
        ) {
            let framed = |length: usize| [&[0][..], &(length as u32).to_be_bytes(), &vec![9; length]].concat();
            let bytes: Vec<u8> = lengths.iter().copied().flat_map(framed).collect();
            let (mut messages, mut completed, mut come) = (Messages::default(), 0, 0);
            for part in bytes.chunks(cut) {
                completed += messages.advance(part);
                come += part.len();
                let ends = lengths.iter().scan(0, |end, length| {
                    *end += PREFIX_BYTES + length;
                    Some(*end)
                });
                let complete = ends.filter(|end| *end <= come).last().unwrap_or(0);
                let first = (PREFIX_BYTES + lengths[0]).min(complete);
                prop_assert_eq!(completed, complete - first);
            }
            prop_assert_eq!(messages.complete, lengths.len());
        }
    }
}
