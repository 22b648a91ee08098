//! Compressed requests: their messages are decompressed before a service sees them.
//!
//! tonic decompresses as well, but what it makes of a few bytes would count as those few bytes until
//! the request has arrived whole (see [`super::inflight`]).

use std::{
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status as Inflated, bufread::MultiGzDecoder};
use http::{HeaderMap, HeaderName};
use http_body::Frame;
use tonic::{Status, metadata::MetadataValue};

use super::inflight::Counted;

/// The header that says how the messages of a request or an answer are compressed.
pub(crate) static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// What a refusal says is taken instead.
const ACCEPTED: &str = "identity,deflate,gzip";
/// A byte that says whether the message is compressed, and four with its length.
pub(crate) const PREFIX: usize = 5;

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// The zlib format (RFC 1950), whatever gRPC calls it.
    Deflate,
}

impl Encoding {
    /// That of a request with these headers, if it is compressed.
    ///
    /// # Errors
    ///
    /// `Unimplemented`, with the encodings that are taken, for any other.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let Some(name) = headers.get(&GRPC_ENCODING) else { return Ok(None) };
        match name.as_bytes() {
            b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"deflate" => Ok(Some(Self::Deflate)),
            other => {
                let other = String::from_utf8_lossy(other);
                let message = format!("grpc-encoding: found '{other}', expected one of {ACCEPTED}");
                let mut status = Status::unimplemented(message);
                let accepted = MetadataValue::from_static(ACCEPTED);
                status.metadata_mut().insert("grpc-accept-encoding", accepted);
                Err(status)
            }
        }
    }

    /// A whole message with its prefix: that of these compressed bytes. `None` when it is longer than
    /// `max_bytes`; little more than that is decompressed.
    fn decompress(self, compressed: &[u8], max_bytes: usize) -> io::Result<Option<Bytes>> {
        let mut message = vec![0; PREFIX];
        let limit = max_bytes.saturating_add(1);
        match self {
            Self::Gzip => {
                let decoder = MultiGzDecoder::new(compressed);
                decoder.take(limit as u64).read_to_end(&mut message)?;
            }
            Self::Deflate => inflate(compressed, &mut message, limit)?,
        }
        let length = message.len() - PREFIX;
        message[1..PREFIX].copy_from_slice(&(length as u32).to_be_bytes());
        Ok((length <= max_bytes).then(|| message.into()))
    }
}

/// Appends what a zlib stream holds, and stops once that is `limit` bytes. flate2's own reader takes
/// a stream that ends too early for a whole one.
fn inflate(compressed: &[u8], message: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    let mut stream = Decompress::new(true);
    let mut chunk = [0; 8 << 10];
    loop {
        let before = (stream.total_in(), stream.total_out());
        let rest = &compressed[before.0 as usize..];
        let status = stream.decompress(rest, &mut chunk, FlushDecompress::None)?;
        let after = (stream.total_in(), stream.total_out());
        message.extend_from_slice(&chunk[..(after.1 - before.1) as usize]);
        if after.1 >= limit as u64 {
            return Ok(());
        }
        if status == Inflated::StreamEnd {
            return match after.0 as usize == compressed.len() {
                true => Ok(()),
                false => Err(io::Error::other("bytes behind the compressed data")),
            };
        }
        if after == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A request's body with its messages decompressed.
pub(crate) struct Decompressed {
    body: Counted,
    encoding: Encoding,
    max_message_bytes: usize,
    /// What came of a message that has not come whole.
    begun: BytesMut,
}

impl Decompressed {
    /// The messages of this body, each of at most this many bytes.
    pub(crate) fn new(body: Counted, encoding: Encoding, max_message_bytes: usize) -> Self {
        Self { body, encoding, max_message_bytes, begun: BytesMut::new() }
    }

    /// The next message with its prefix, if it has come.
    fn message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((is_compressed, length)) = prefix(&self.begun) else { return Ok(None) };
        if length > self.max_message_bytes {
            let (found, most) = (length, self.max_message_bytes);
            return Err(too_large(format!("found {found} bytes, expected at most {most}")));
        }
        if self.begun.len() - PREFIX < length {
            return Ok(None);
        }
        let message = self.begun.split_to(PREFIX + length).freeze();
        if !is_compressed {
            return Ok(Some(message));
        }
        match self.encoding.decompress(&message[PREFIX..], self.max_message_bytes) {
            Ok(Some(decompressed)) => {
                self.body.replace(message.len(), decompressed.len())?;
                Ok(Some(decompressed))
            }
            Ok(None) => {
                let most = self.max_message_bytes;
                Err(too_large(format!("found more than {most} bytes in a compressed message")))
            }
            Err(error) => Err(Status::internal(format!("cannot decompress the message: {error}"))),
        }
    }
}

impl http_body::Body for Decompressed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(message) = self.message()? {
                return Poll::Ready(Some(Ok(Frame::data(message))));
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else {
                return Poll::Ready(match self.begun.is_empty() {
                    true => None,
                    false => Some(Err(Status::internal("the request ends in a message"))),
                });
            };
            match frame.into_data() {
                Ok(data) => self.begun.extend_from_slice(&data),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.body.is_end_stream()
    }
}

/// Whether the message that begins with these bytes is compressed, and its length.
pub(crate) fn prefix(begun: &[u8]) -> Option<(bool, usize)> {
    let (first, length) = begun.first_chunk::<PREFIX>()?.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    Some((*first == 1, length as usize))
}

/// How gRPC refuses a message that is too large.
pub(crate) fn too_large(what: impl std::fmt::Display) -> Status {
    Status::resource_exhausted(format!("--max-message-size: {what}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;

    use super::*;

    fn compress(encoding: Encoding, data: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Deflate];

    proptest! {
        #[test]
        fn what_was_compressed_is_what_comes_out(data in prop::collection::vec(0..4u8, 0..50_000)) {
            for encoding in BOTH {
                let compressed = compress(encoding, &data);
                let message = encoding.decompress(&compressed, data.len()).unwrap().unwrap();
                prop_assert_eq!(prefix(&message), Some((false, data.len())));
                prop_assert_eq!(&message[PREFIX..], &data[..]);
            }
        }

        #[test]
        fn any_bytes_are_decompressed_or_refused(data in prop::collection::vec(any::<u8>(), 0..300)) {
            for encoding in BOTH {
                let _ = encoding.decompress(&data, 1000);
            }
        }
    }

    #[test]
    fn a_message_that_is_longer_than_allowed_is_not_made() {
        for encoding in BOTH {
            // A megabyte of zeros in some thousand bytes.
            let bomb = compress(encoding, &vec![0; 1 << 20]);
            assert!(bomb.len() < 2000);
            assert!(encoding.decompress(&bomb, 1 << 20).unwrap().is_some());
            assert!(encoding.decompress(&bomb, (1 << 20) - 1).unwrap().is_none());
            assert!(encoding.decompress(&bomb, 0).unwrap().is_none());
            assert_eq!(
                encoding.decompress(&compress(encoding, b""), 0).unwrap().unwrap(),
                [0; 5][..]
            );
        }
    }

    #[test]
    fn a_stream_that_ends_too_early_or_too_late_is_refused() {
        for encoding in BOTH {
            let whole = compress(encoding, &[b'x'; 5000]);
            for cut in 0..whole.len() {
                assert!(encoding.decompress(&whole[..cut], 1 << 20).is_err(), "{encoding:?} {cut}");
            }
            assert!(encoding.decompress(&[&whole[..], b"x"].concat(), 1 << 20).is_err());
        }
        // gzip allows several members: their contents one after the other (RFC 1952, section 2.2).
        let two = [compress(Encoding::Gzip, b"ab"), compress(Encoding::Gzip, b"cd")].concat();
        let message = Encoding::Gzip.decompress(&two, 10).unwrap().unwrap();
        assert_eq!(&message[PREFIX..], b"abcd");
    }
}
