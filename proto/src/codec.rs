use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Protobuf, with buffers for small messages.
///
/// tonic begins every message with a buffer of 8 KiB on each side. The platform's are some ten
/// bytes; a call with a long body finds its buffer growing once, because gRPC says how long a
/// message is before it comes.
#[derive(Debug, Clone, Copy)]
pub struct SmallMessages<T, U>(PhantomData<(T, U)>);

/// Room for a message whose body is as long as two ids.
const BUFFER_BYTES: usize = 192;
/// As tonic has it: what is sent at once, at most.
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
