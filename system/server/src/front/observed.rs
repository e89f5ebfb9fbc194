//! Bodies that are looked at as they pass: how many messages, and how the call ended.

use super::kept::{Kept, UNTAKEN};
use crate::budget::Permit;
use crate::metrics::calls::{Call, MessageCounter};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::{Code, Status};

/// The body of a request on its way to a service.
pub struct Received<B> {
    inner: B,
    counter: Option<MessageCounter>,
}

impl<B> Received<B> {
    /// Counts what passes, if somebody wants to know.
    pub fn new(inner: B, counter: Option<MessageCounter>) -> Received<B> {
        Received { inner, counter }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Received<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(counter)) = (&polled, self.counter.as_mut())
            && let Some(data) = frame.data_ref()
        {
            counter.pass(data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer on its way to a client.
pub struct Sent {
    inner: tonic::body::Body,
    call: Option<(Call, MessageCounter)>,
    /// The room of an answer that is not sent as it is.
    room: Option<Permit>,
}

impl Sent {
    /// A body that belongs to no call.
    pub fn plain(inner: tonic::body::Body) -> Sent {
        Sent { inner, call: None, room: None }
    }

    /// The answer to `call`; settles it now if the headers already say how it ends. What room a large
    /// answer has is [kept](Kept) until it was sent, unless it will be `taken_whole` and made into
    /// something else.
    pub fn answer(
        mut response: http::Response<tonic::body::Body>,
        mut call: Option<Call>,
        taken_whole: bool,
    ) -> http::Response<Sent> {
        if let Some(call) = &mut call
            && let Some(code) = code_of(response.headers())
        {
            call.ends_with(code);
        }
        let call = call.map(|call| {
            let counter = call.sent();
            (call, counter)
        });
        let room = response.extensions_mut().remove::<Permit>();
        response.map(|inner| match room {
            Some(room) if !taken_whole => {
                let kept = Kept::new(inner, room, true, UNTAKEN);
                Sent { inner: tonic::body::Body::new(kept), call, room: None }
            }
            room => Sent { inner, call, room },
        })
    }

    /// The room of an answer that is taken whole.
    pub fn take_room(&mut self) -> Option<Permit> {
        self.room.take()
    }
}

fn code_of(headers: &http::HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get("grpc-status")?.as_bytes()))
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some((call, counter))) = (&polled, &mut this.call) {
            if let Some(data) = frame.data_ref() {
                counter.pass(data);
            } else if let Some(code) = frame.trailers_ref().and_then(code_of) {
                call.ends_with(code);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
