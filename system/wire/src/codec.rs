//! How a message becomes the bytes of a call, and back.
//!
//! tonic's stock codec sets aside 8 KiB for every call in each direction. Most calls of the etcd API carry less than a
//! few hundred bytes, so this codec starts with [`CALL_BUFFER`] and asks for exactly what a larger message needs before it
//! encodes it: a range of a hundred keys is written into one allocation instead of a row of doublings.
//!
//! Decoding shares: a `bytes` field of a decoded message is a slice of the received buffer. Whoever keeps a key or a
//! value for long should copy it, or it keeps its neighbours alive.

use std::marker::PhantomData;

use bytes::BufMut;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes set aside for each direction of a call before anything is known about its messages.
pub const CALL_BUFFER: usize = 1024;

/// A stream that has this many encoded bytes ready hands them to HTTP/2 before it encodes more.
pub const YIELD_THRESHOLD: usize = 64 * 1024;

/// The buffer settings of every codec of this crate.
fn buffer_settings() -> BufferSettings {
    BufferSettings::new(CALL_BUFFER, YIELD_THRESHOLD)
}

/// The codec of all generated clients and servers: protobuf in `application/grpc`.
#[derive(Debug, Clone)]
pub struct EtcdCodec<E, D> {
    types: PhantomData<(E, D)>,
}

impl<E, D> Default for EtcdCodec<E, D> {
    fn default() -> Self {
        Self { types: PhantomData }
    }
}

impl<E, D> Codec for EtcdCodec<E, D>
where
    E: Message + Send + 'static,
    D: Message + Default + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = MessageEncoder<E>;
    type Decoder = MessageDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        MessageEncoder { item: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder { item: PhantomData }
    }
}

/// Writes one message, after reserving its exact length.
#[derive(Debug, Clone)]
pub struct MessageEncoder<E> {
    item: PhantomData<E>,
}

impl<E: Message> Encoder for MessageEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // `encode_raw` and not `encode`, which would compute the length a second time.
        buffer.reserve(item.encoded_len());
        item.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

/// An answer that is put together from pieces instead of being one message: [`crate::watch_raw`], [`crate::range_raw`].
pub trait Piecewise {
    /// Bytes that [`Piecewise::encode_into`] will write.
    fn encoded_len(&self) -> usize;

    /// Appends the pieces; together they are one protobuf message.
    fn encode_into(&self, buffer: &mut impl BufMut);
}

/// A server's codec for calls whose request is a message and whose answer is [`Piecewise`].
#[derive(Debug, Clone)]
pub struct PiecewiseCodec<E, D> {
    types: PhantomData<(E, D)>,
}

impl<E, D> Default for PiecewiseCodec<E, D> {
    fn default() -> Self {
        Self { types: PhantomData }
    }
}

impl<E, D> Codec for PiecewiseCodec<E, D>
where
    E: Piecewise + Send + 'static,
    D: Message + Default + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = PiecewiseEncoder<E>;
    type Decoder = MessageDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        PiecewiseEncoder { item: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder { item: PhantomData }
    }
}

/// Writes the pieces of one answer, after reserving their exact length.
#[derive(Debug, Clone)]
pub struct PiecewiseEncoder<E> {
    item: PhantomData<E>,
}

impl<E: Piecewise> Encoder for PiecewiseEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        item.encode_into(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

/// Transactions may be nested so deep: the library that decodes stops at a hundred messages within each other, and a
/// transaction and its operation are two.
pub const MAX_TXN_DEPTH: usize = 49;

/// Why a message was refused. The library names the way to the place, message by message: its end says enough.
fn refusal(why: &str) -> Status {
    const LONGEST: usize = 300;
    if why.contains("recursion limit") {
        let limit = format!("transactions can be nested {MAX_TXN_DEPTH} deep at most");
        return Status::invalid_argument(format!("etcdserver: {limit}"));
    }
    let cut = why.len().saturating_sub(LONGEST);
    let cut = (cut..why.len()).find(|at| why.is_char_boundary(*at)).unwrap_or(0);
    Status::internal(format!("cannot decode the message: {}", &why[cut..]))
}

/// Reads one message; a message that is no protobuf of the expected type fails the call with `Internal`, one that is nested
/// too deep with `InvalidArgument`.
#[derive(Debug, Clone)]
pub struct MessageDecoder<D> {
    item: PhantomData<D>,
}

impl<D: Message + Default> Decoder for MessageDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        match D::decode(buffer) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(refusal(&error.to_string())),
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}
