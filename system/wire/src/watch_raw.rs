//! A server of `etcdserverpb.Watch` whose answers carry events that are encoded already.
//!
//! With the generated server each watcher's answer owns its events, and each is encoded once per watcher. Here an event
//! is encoded once per kind of watcher (with or without the previous pair), by [`crate::raw::append_watch_event`], and
//! its bytes are shared: the answer to one of a thousand watchers is a head of some twenty bytes and a handle. On the
//! wire nothing differs: the path is `/etcdserverpb.Watch/Watch` and the bytes are those of a `WatchResponse`.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http, tokio_stream::Stream};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use crate::codec::{Piecewise, PiecewiseCodec};
use crate::etcd::etcdserverpb::{WatchRequest, WatchResponse};
use crate::raw::pieces_len;

/// A `WatchResponse` in two parts: what concerns this watcher, and events encoded elsewhere.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RawWatchResponse {
    /// Everything but the events; events put here come before the encoded ones.
    pub head: WatchResponse,
    /// Pieces written by [`crate::raw::append_watch_event`], each holding any number of whole events, in order.
    pub events: Vec<Bytes>,
}

impl From<WatchResponse> for RawWatchResponse {
    fn from(head: WatchResponse) -> Self {
        Self { head, events: Vec::new() }
    }
}

impl Piecewise for RawWatchResponse {
    fn encoded_len(&self) -> usize {
        self.head.encoded_len() + pieces_len(&self.events)
    }

    fn encode_into(&self, buffer: &mut impl BufMut) {
        self.head.encode_raw(buffer);
        self.events.iter().for_each(|piece| buffer.put_slice(piece));
    }
}

/// What a Watch server does: like the generated trait, with [`RawWatchResponse`] as the answer.
pub trait RawWatch: Send + Sync + 'static {
    /// The answers of one stream.
    type WatchStream: Stream<Item = Result<RawWatchResponse, Status>> + Send + 'static;

    /// Serves one stream of watchers until either side ends it.
    fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> impl Future<Output = Result<Response<Self::WatchStream>, Status>> + Send;
}

/// The service to register with tonic's router, in place of the generated `WatchServer`.
#[derive(Debug)]
pub struct RawWatchServer<T> {
    inner: Arc<T>,
    max_decoding_message_size: Option<usize>,
}

impl<T> RawWatchServer<T> {
    /// Serves from `inner`.
    pub fn new(inner: Arc<T>) -> Self {
        Self { inner, max_decoding_message_size: None }
    }

    /// Most bytes of one request; 4 MiB if not set. A larger one fails the stream.
    #[must_use]
    pub fn max_decoding_message_size(self, limit: usize) -> Self {
        Self { max_decoding_message_size: Some(limit), ..self }
    }
}

impl<T> Clone for RawWatchServer<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            max_decoding_message_size: self.max_decoding_message_size,
        }
    }
}

impl<T> NamedService for RawWatchServer<T> {
    const NAME: &'static str = "etcdserverpb.Watch";
}

/// The one method of the service, as tonic wants it.
struct WatchMethod<T>(Arc<T>);

impl<T: RawWatch> StreamingService<WatchRequest> for WatchMethod<T> {
    type Response = RawWatchResponse;
    type ResponseStream = T::WatchStream;
    type Future = BoxFuture<Response<T::WatchStream>, Status>;

    fn call(&mut self, request: Request<Streaming<WatchRequest>>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.watch(request).await })
    }
}

impl<T, B> Service<http::Request<B>> for RawWatchServer<T>
where
    T: RawWatch,
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
        if request.uri().path() != "/etcdserverpb.Watch/Watch" {
            let status = Status::unimplemented("the Watch service has one method, Watch");
            return Box::pin(async move { Ok(status.into_http()) });
        }
        let method = WatchMethod(Arc::clone(&self.inner));
        let limit = self.max_decoding_message_size;
        Box::pin(async move {
            let codec = PiecewiseCodec::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(limit, None);
            Ok(grpc.streaming(method, request).await)
        })
    }
}
