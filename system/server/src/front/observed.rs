//! Bodies that are looked at as they pass: how many messages, and how the call ended.

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
    /// Held until the last byte has left or the client has gone.
    until_sent: Option<crate::budget::Permit>,
    /// What is left of a piece that is given out in parts.
    rest: Bytes,
}

/// A large answer is given out in parts of so many bytes: HTTP/2 queues whatever it is given, and an
/// answer that it has queued whole would have given its room back before its client has read it.
const PART: usize = 64 << 10;

impl Sent {
    /// A body that belongs to no call.
    pub fn plain(inner: tonic::body::Body) -> Sent {
        Sent { inner, call: None, until_sent: None, rest: Bytes::new() }
    }

    /// The answer to `call`; settles it now if the headers already say how it ends.
    pub fn answer(
        mut response: http::Response<tonic::body::Body>,
        mut call: Option<Call>,
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
        let until_sent = response.extensions_mut().remove::<crate::budget::Permit>();
        response.map(|inner| Sent { inner, call, until_sent, rest: Bytes::new() })
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
        if !this.rest.is_empty() {
            let part = this.rest.len().min(PART);
            return Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(part)))));
        }
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some((call, counter))) = (&polled, &mut this.call) {
            if let Some(data) = frame.data_ref() {
                counter.pass(data);
            } else if let Some(code) = frame.trailers_ref().and_then(code_of) {
                call.ends_with(code);
            }
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) if this.until_sent.is_some() => {
                Poll::Ready(Some(Ok(frame.map_data(|mut data| {
                    this.rest = data.split_off(data.len().min(PART));
                    data
                }))))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
