use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Protobuf, with buffers for small messages.
///
/// tonic allocates a buffer of 8 KiB for every message in each direction, while the platform's
/// messages have some tens of bytes. The buffer of a longer message grows once, because gRPC sends a
/// message's length before the message.
#[derive(Debug, Clone, Copy)]
pub struct SmallMessages<T, U>(PhantomData<(T, U)>);

/// Room for a message with two ids and a little data.
const BUFFER_BYTES: usize = 192;
/// The most bytes that are sent at once: tonic's own default.
const YIELD_BYTES: usize = 32 * 1024;

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

impl<T, U> Default for SmallMessages<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SmallMessages<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(settings())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}
