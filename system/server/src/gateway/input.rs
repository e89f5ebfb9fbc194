//! A stream of JSON objects as the body of a call.

use super::transcode::Splitter;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::Status;

/// The objects in a request's body, each made into one message of a call as soon as it is there.
pub struct Documents<F> {
    body: Incoming,
    buffer: BytesMut,
    splitter: Splitter,
    limit: usize,
    convert: F,
    ended: bool,
}

impl<F: Fn(&[u8]) -> Result<Bytes, Status>> Documents<F> {
    /// No object may have more than `limit` bytes.
    pub fn new(body: Incoming, limit: usize, convert: F) -> Documents<F> {
        let (buffer, splitter) = (BytesMut::new(), Splitter::default());
        Documents { body, buffer, splitter, limit, convert, ended: false }
    }
}

impl<F: Fn(&[u8]) -> Result<Bytes, Status> + Unpin> Body for Documents<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            match this.splitter.next(&mut this.buffer) {
                Ok(Some(json)) => {
                    let message = (this.convert)(&json);
                    this.ended = message.is_err();
                    return Poll::Ready(Some(message.map(Frame::data)));
                }
                Ok(None) if this.buffer.len() <= this.limit => {}
                Ok(None) => {
                    this.ended = true;
                    let why = format!("grpc: received message larger than max {}", this.limit);
                    return Poll::Ready(Some(Err(Status::resource_exhausted(why))));
                }
                Err(status) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => {
                    this.ended = true;
                    let why = "the request ended before its end";
                    return Poll::Ready(Some(Err(Status::cancelled(why))));
                }
                None => {
                    this.ended = true;
                    if !this.buffer.is_empty() {
                        let why = Status::invalid_argument("unexpected EOF");
                        return Poll::Ready(Some(Err(why)));
                    }
                }
            }
        }
    }
}
