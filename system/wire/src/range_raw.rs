//! A server of `etcdserverpb.KV` whose Range answers are encoded where the data lies.
//!
//! A range of a hundred pairs through the generated messages is a hundred structures with two handles each, filled,
//! walked for their length, walked again for their bytes. Here the reader of the store appends each pair to one buffer
//! ([`crate::raw::append_range_kv`]) and the answer is that buffer behind a head with the header, `more` and `count`. All
//! other calls of the service go to the generated server; on the wire nothing differs.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};

use crate::codec::{Piecewise, PiecewiseCodec};
use crate::etcd::etcdserverpb::kv_server::{Kv, KvServer};
use crate::etcd::etcdserverpb::{RangeRequest, RangeResponse};
use crate::flow::Flow;
use crate::raw::pieces_len;

/// A `RangeResponse` in two parts: the small fields, and pairs encoded elsewhere.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RawRangeResponse {
    /// Everything but the pairs; pairs put here come before the encoded ones.
    pub head: RangeResponse,
    /// Pieces written by [`crate::raw::append_range_kv`], each holding any number of whole pairs, in order.
    pub kvs: Vec<Bytes>,
}

impl From<RangeResponse> for RawRangeResponse {
    fn from(head: RangeResponse) -> Self {
        Self { head, kvs: Vec::new() }
    }
}

impl Piecewise for RawRangeResponse {
    fn encoded_len(&self) -> usize {
        self.head.encoded_len() + pieces_len(&self.kvs)
    }

    fn encode_into(&self, buffer: &mut impl BufMut) {
        self.head.encode_raw(buffer);
        self.kvs.iter().for_each(|piece| buffer.put_slice(piece));
    }
}

/// What the server does for `KV/Range`; everything else it does as the generated trait says. `Kv::range` itself is then
/// never called over the wire.
pub trait RawKv: Kv {
    /// Answers one range request. An answer that is too large to be made before it is sent is a
    /// [`Flow`] in the extensions of an empty one.
    fn raw_range(
        &self,
        request: Request<RangeRequest>,
    ) -> impl Future<Output = Result<Response<RawRangeResponse>, Status>> + Send;
}

/// The service to register with tonic's router, in place of the generated `KvServer`.
pub struct RawKvServer<T> {
    inner: Arc<T>,
    rest: KvServer<T>,
    max_decoding_message_size: Option<usize>,
}

impl<T> RawKvServer<T> {
    /// Serves from `inner`.
    pub fn new(inner: Arc<T>) -> Self {
        let rest = KvServer::from_arc(Arc::clone(&inner));
        Self { inner, rest, max_decoding_message_size: None }
    }

    /// Most bytes of one request; 4 MiB if not set. A larger one fails the call.
    #[must_use]
    pub fn max_decoding_message_size(self, limit: usize) -> Self {
        let rest = self.rest.max_decoding_message_size(limit);
        Self { rest, max_decoding_message_size: Some(limit), ..self }
    }
}

impl<T> Clone for RawKvServer<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            rest: self.rest.clone(),
            max_decoding_message_size: self.max_decoding_message_size,
        }
    }
}

impl<T> NamedService for RawKvServer<T> {
    const NAME: &'static str = "etcdserverpb.KV";
}

/// The one method served here, as tonic wants it.
struct RangeMethod<T>(Arc<T>);

impl<T: RawKv> UnaryService<RangeRequest> for RangeMethod<T> {
    type Response = RawRangeResponse;
    type Future = BoxFuture<Response<RawRangeResponse>, Status>;

    fn call(&mut self, request: Request<RangeRequest>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.raw_range(request).await })
    }
}

impl<T, B> Service<http::Request<B>> for RawKvServer<T>
where
    T: RawKv,
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != "/etcdserverpb.KV/Range" {
            let rest = self.rest.call(request);
            return Box::pin(async move { Ok(name_the_limit(rest.await?)) });
        }
        let method = RangeMethod(Arc::clone(&self.inner));
        let limit = self.max_decoding_message_size;
        Box::pin(async move {
            let codec = PiecewiseCodec::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(limit, None);
            Ok(Flow::replace(name_the_limit(grpc.unary(method, request).await)))
        })
    }
}

/// A message above the receiver's limit is ResourceExhausted in every gRPC library that etcd's
/// clients use, and they take it for final; tonic says OutOfRange.
fn name_the_limit(
    mut response: http::Response<tonic::body::Body>,
) -> http::Response<tonic::body::Body> {
    const OUT_OF_RANGE: &[u8] = b"11";
    const RESOURCE_EXHAUSTED: &str = "8";
    let header = |name: &str| response.headers().get(name).map(http::HeaderValue::as_bytes);
    let is_out_of_range = header("grpc-status").is_some_and(|code| code == OUT_OF_RANGE);
    let text = b"Error,%20decoded%20message%20length%20too%20large";
    if is_out_of_range && header("grpc-message").is_some_and(|message| message.starts_with(text)) {
        let code = http::HeaderValue::from_static(RESOURCE_EXHAUSTED);
        response.headers_mut().insert("grpc-status", code);
    }
    response
}
