//! A stream of JSON objects as the body of a call.

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::Status;

/// Finds where an object ends, however its bytes are cut.
#[derive(Default, Debug)]
struct Splitter {
    /// Bytes that were looked at.
    seen: usize,
    depth: usize,
    in_text: bool,
    after_backslash: bool,
}

impl Splitter {
    /// Takes the next whole object off the front of `buffer`.
    fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Status> {
        if self.depth == 0 {
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            buffer.advance(blank);
            self.seen = 0;
            match buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(other) => {
                    let other = char::from(*other);
                    let why = format!("proto: syntax error: unexpected token {other:?}");
                    return Err(Status::invalid_argument(why));
                }
            }
        }
        while let Some(byte) = buffer.get(self.seen) {
            self.seen += 1;
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' if self.in_text => self.after_backslash = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                return Ok(Some(buffer.split_to(std::mem::take(&mut self.seen)).freeze()));
            }
        }
        Ok(None)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_however_they_are_cut() {
        let text = br#" {"a":"}\"{"}{"b":[{}, {"c":1}]}
            {}"#;
        for size in 1..text.len() {
            let (mut splitter, mut buffer, mut found) =
                (Splitter::default(), BytesMut::new(), Vec::new());
            for piece in text.chunks(size) {
                buffer.extend_from_slice(piece);
                while let Some(object) = splitter.next(&mut buffer).expect("well-formed") {
                    found.push(object);
                }
            }
            assert_eq!(found, [&br#"{"a":"}\"{"}"#[..], br#"{"b":[{}, {"c":1}]}"#, b"{}"]);
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn anything_but_an_object_is_refused_at_once() {
        for text in ["x", "[]", "1", "{} x"] {
            let (mut splitter, mut buffer) = (Splitter::default(), BytesMut::from(text));
            let mut outcome = splitter.next(&mut buffer);
            if text.starts_with('{') {
                outcome = splitter.next(&mut buffer);
            }
            assert!(outcome.is_err(), "{text}");
        }
    }
}
