//! Compressed messages: those of requests are decompressed before a service sees them.
//!
//! tonic can decompress too, but then a large message in few bytes would count as those few bytes
//! until the request has arrived completely (see [`super::inflight`]).

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use flate2::{
    Compression, Decompress, FlushDecompress, Status as Inflated,
    bufread::MultiGzDecoder,
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use tonic::{Status, metadata::MetadataValue};

use super::{account::Account, endpoint::RequestBody, inflight::MeteredBody};
use crate::wire::status::message_too_large;

/// The header that names the encoding of a request's or a response's messages.
pub(in crate::wire) static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// The header with the encodings that a client accepts for answers.
pub(super) static GRPC_ACCEPT_ENCODING: HeaderName =
    HeaderName::from_static("grpc-accept-encoding");
/// The encodings that are accepted, for the refusal of another one.
const ACCEPTED: &str = "identity,deflate,gzip";
/// A byte that says whether the message is compressed, and four with its length.
pub(in crate::wire) const PREFIX_BYTES: usize = 5;

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Encoding {
    Gzip,
    /// The zlib format (RFC 1950), which HTTP and gRPC call deflate.
    Deflate,
}

impl Encoding {
    /// The encoding of a request with these headers, if it is compressed.
    ///
    /// # Errors
    ///
    /// `Unimplemented`, with the encodings that are accepted, for any other encoding.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
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

    /// The first encoding that a client with these headers accepts for answers, if there is one.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(&GRPC_ACCEPT_ENCODING)?.to_str().ok()?;
        accepted.split(',').find_map(|name| match name.trim() {
            "gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        })
    }

    /// Its name in a header.
    pub(in crate::wire) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }

    /// Compresses a message, and returns it with its prefix.
    pub(in crate::wire) fn compress(self, message: &[u8]) -> io::Result<Bytes> {
        let (framed, level) = (vec![1; PREFIX_BYTES], Compression::default());
        let mut framed = match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(framed, level);
                encoder.write_all(message)?;
                encoder.finish()?
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(framed, level);
                encoder.write_all(message)?;
                encoder.finish()?
            }
        };
        let length = framed.len() - PREFIX_BYTES;
        framed[1..PREFIX_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
        Ok(framed.into())
    }

    /// Decompresses a message, and returns it with a new prefix. `None` when it is longer than
    /// `max_bytes`; little more than that is decompressed.
    fn decompress(self, compressed: &[u8], max_bytes: usize) -> io::Result<Option<Bytes>> {
        let mut message = vec![0; PREFIX_BYTES];
        let limit = max_bytes.saturating_add(1);
        match self {
            Self::Gzip => {
                let decoder = MultiGzDecoder::new(compressed);
                decoder.take(limit as u64).read_to_end(&mut message)?;
            }
            Self::Deflate => inflate(compressed, &mut message, limit)?,
        }
        let length = message.len() - PREFIX_BYTES;
        message[1..PREFIX_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
        Ok((length <= max_bytes).then(|| message.into()))
    }
}

/// Appends the contents of a zlib stream, up to `limit` bytes or a little more. flate2's own reader
/// accepts a stream that ends too early.
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
                false => Err(io::Error::other("found bytes after the compressed data")),
            };
        }
        if after == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A request's body with its messages decompressed.
pub(super) struct Decompressed {
    body: MeteredBody,
    encoding: Encoding,
    max_message_bytes: usize,
    /// The received part of the next message.
    partial: BytesMut,
}

impl Decompressed {
    /// The messages of this body, each of at most this many bytes.
    pub(super) fn new(body: MeteredBody, encoding: Encoding, max_message_bytes: usize) -> Self {
        Self { body, encoding, max_message_bytes, partial: BytesMut::new() }
    }

    /// The next message with its prefix, if it has arrived completely.
    fn message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((is_compressed, length)) = prefix(&self.partial) else { return Ok(None) };
        if length > self.max_message_bytes {
            let (found, most) = (length, self.max_message_bytes);
            return Err(message_too_large(format!("found {found} bytes, expected at most {most}")));
        }
        if self.partial.len() - PREFIX_BYTES < length {
            return Ok(None);
        }
        let message = self.partial.split_to(PREFIX_BYTES + length).freeze();
        if !is_compressed {
            return Ok(Some(message));
        }
        match self.encoding.decompress(&message[PREFIX_BYTES..], self.max_message_bytes) {
            Ok(Some(decompressed)) => {
                self.body.replace(message.len(), decompressed.len())?;
                Ok(Some(decompressed))
            }
            Ok(None) => {
                let most = self.max_message_bytes;
                let found = format!("found more than {most} bytes in a compressed message");
                Err(message_too_large(found))
            }
            Err(error) => Err(Status::internal(format!("cannot decompress the message: {error}"))),
        }
    }
}

impl RequestBody for Decompressed {
    fn account(&self) -> &Account {
        self.body.account()
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
                return Poll::Ready(match self.partial.is_empty() {
                    true => None,
                    false => Some(Err(Status::internal("the request ends inside a message"))),
                });
            };
            match frame.into_data() {
                Ok(data) => self.partial.extend_from_slice(&data),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.partial.is_empty() && self.body.is_end_stream()
    }
}

/// Whether the message that begins with these bytes is compressed, and its length.
pub(super) fn prefix(message: &[u8]) -> Option<(bool, usize)> {
    let (first, length) = message.first_chunk::<PREFIX_BYTES>()?.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    Some((*first == 1, length as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compress(encoding: Encoding, data: &[u8]) -> Vec<u8> {
        let framed = encoding.compress(data).unwrap();
        assert_eq!(prefix(&framed), Some((true, framed.len() - PREFIX_BYTES)));
        framed[PREFIX_BYTES..].to_vec()
    }

    const ENCODINGS: [Encoding; 2] = [Encoding::Gzip, Encoding::Deflate];

    proptest! {
        #[test]
        fn decompression_restores_the_message(data in prop::collection::vec(0..4u8, 0..50_000)) {
            for encoding in ENCODINGS {
                let compressed = compress(encoding, &data);
                let message = encoding.decompress(&compressed, data.len()).unwrap().unwrap();
                prop_assert_eq!(prefix(&message), Some((false, data.len())));
                prop_assert_eq!(&message[PREFIX_BYTES..], &data[..]);
            }
        }

        #[test]
        fn arbitrary_bytes_are_decompressed_or_refused(data in prop::collection::vec(any::<u8>(), 0..300)) {
            for encoding in ENCODINGS {
                let _ = encoding.decompress(&data, 1000);
            }
        }
    }

    #[test]
    fn an_answer_has_the_first_encoding_that_is_known_and_accepted() {
        let accepted = |text: &str| {
            Encoding::accepted(&HeaderMap::from_iter([(
                GRPC_ACCEPT_ENCODING.clone(),
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(accepted("identity,deflate, gzip"), Some(Encoding::Deflate));
        assert_eq!(accepted("zstd , gzip,deflate"), Some(Encoding::Gzip));
        for text in ["", "identity", "gzipped", "GZIP"] {
            assert_eq!(accepted(text), None, "{text}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), None);
    }

    #[test]
    fn message_above_the_limit_is_not_decompressed() {
        for encoding in ENCODINGS {
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
    fn truncated_or_extended_stream_is_refused() {
        for encoding in ENCODINGS {
            let complete = compress(encoding, &[b'x'; 5000]);
            for cut in 0..complete.len() {
                assert!(
                    encoding.decompress(&complete[..cut], 1 << 20).is_err(),
                    "{encoding:?} {cut}"
                );
            }
            assert!(encoding.decompress(&[&complete[..], b"x"].concat(), 1 << 20).is_err());
        }
        // gzip allows several members: their contents one after the other (RFC 1952, section 2.2).
        let two = [compress(Encoding::Gzip, b"ab"), compress(Encoding::Gzip, b"cd")].concat();
        let message = Encoding::Gzip.decompress(&two, 10).unwrap().unwrap();
        assert_eq!(&message[PREFIX_BYTES..], b"abcd");
    }
}
