use http::HeaderMap;
use tonic::codec::CompressionEncoding;

use super::compression::Encoding;

/// The limits of a server and of each of its endpoints.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Threads that run calls.
    pub threads: usize,
    /// The limits of each message.
    pub messages: MessageLimits,
    /// The most bytes that all clients hold of requests that have not arrived completely and of
    /// answers that are not sent; more are refused. A connection has a half of them and a peer three
    /// quarters.
    pub max_inflight_bytes: usize,
    /// The most concurrent requests on one connection; a client delays further ones.
    pub max_streams: u32,
    /// The most connections of one endpoint; further ones are closed at once. A peer has three
    /// quarters of them, and of those for which the process has descriptors.
    pub max_connections: usize,
}

/// The limits of each message.
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    /// The most bytes of a request's message, decompressed.
    pub max_bytes: usize,
    /// Whether responses are compressed for a client that accepts it.
    pub compress_responses: bool,
}

impl MessageLimits {
    /// The encodings of responses, for a client that accepts one of them.
    pub(crate) fn response_encodings(self) -> impl Iterator<Item = CompressionEncoding> {
        let encodings = [CompressionEncoding::Gzip, CompressionEncoding::Deflate];
        encodings.into_iter().filter(move |_| self.compress_responses)
    }

    /// That of the response to a request with these headers, if it is compressed.
    pub(in crate::wire) fn response_encoding(self, request: &HeaderMap) -> Option<Encoding> {
        self.compress_responses.then(|| Encoding::accepted(request)).flatten()
    }
}
