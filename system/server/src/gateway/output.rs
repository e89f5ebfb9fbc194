//! The answers of a call as JSON.

use super::error::{ending, http_status, refusal, said};
use super::transcode::json;
use crate::budget::{Permit, SMALL_ANSWER};
use crate::front::Sent;
use crate::front::kept::{Kept, UNTAKEN};
use crate::service::Service;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use prost_reflect::MessageDescriptor;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::Status;

/// The headers of every answer that is not a refusal.
fn answered(body: tonic::body::Body) -> Response<Sent> {
    let mut response = Response::new(Sent::plain(body));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let of_the_call = HeaderName::from_static("grpc-metadata-content-type");
    headers.insert(of_the_call, HeaderValue::from_static("application/grpc"));
    response
}

/// The answer of a call that has one.
pub async fn one(
    service: &Service,
    output: MessageDescriptor,
    answer: Response<Sent>,
) -> Response<Sent> {
    match the_one(service, output, answer).await {
        Ok((json, room)) => {
            let body = Full::new(Bytes::from(json)).map_err(|never| match never {});
            let body = tonic::body::Body::new(body);
            answered(match room {
                None => body,
                Some(room) => tonic::body::Body::new(Kept::new(body, room, false, UNTAKEN)),
            })
        }
        Err(status) => refusal(&status),
    }
}

/// The answer as JSON, with the room for it if it is large.
async fn the_one(
    service: &Service,
    output: MessageDescriptor,
    answer: Response<Sent>,
) -> Result<(Vec<u8>, Option<Permit>), Status> {
    let (head, mut body) = answer.into_parts();
    if let Some(Err(status)) = ending(&head.headers) {
        return Err(status);
    }
    let room = body.take_room();
    let collected = body.collect().await?;
    if let Some(Err(status)) = collected.trailers().and_then(ending) {
        return Err(status);
    }
    let mut buffer = BytesMut::from(collected.to_bytes());
    let Some(message) = take_message(&mut buffer) else {
        return Err(Status::internal("the answer has no message"));
    };
    let bytes = message.len() as u64;
    let json = if bytes <= SMALL_ANSWER {
        json(&output, message)?
    } else {
        service.aside.run(move || json(&output, message)).await?
    };
    // In this form it stays until its client has taken it.
    let room = service.budget.correct(room, bytes, json.len() as u64);
    Ok((json, room))
}

/// Takes the next whole message off the front of a gRPC body.
fn take_message(buffer: &mut BytesMut) -> Option<Bytes> {
    let length: [u8; 4] = buffer.get(1..5)?.try_into().expect("four bytes");
    let length = u32::from_be_bytes(length) as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    buffer.advance(5);
    Some(buffer.split_to(length).freeze())
}

/// The answers of a stream: a line each, `{"result":{…}}`, and the error that ends it, if one does.
/// A call that fails before its first answer fails as a call with one answer would.
pub async fn stream(output: MessageDescriptor, answer: Response<Sent>) -> Response<Sent> {
    let (head, body) = answer.into_parts();
    if let Some(Err(status)) = ending(&head.headers) {
        return refusal(&status);
    }
    let mut lines =
        Lines { body, buffer: BytesMut::new(), output, ready: VecDeque::new(), ended: false };
    // The status of the answer waits for the first line.
    let first = std::future::poll_fn(|context| lines.poll_line(context)).await;
    let mut status = http::StatusCode::OK;
    match first {
        Some(Ok(line)) => lines.ready.push_front(line),
        Some(Err(error)) => {
            status = http_status(error.code());
            lines.ready.push_front(last_line(&error));
            lines.ended = true;
        }
        None => lines.ended = true,
    }
    let mut response = answered(tonic::body::Body::new(lines));
    *response.status_mut() = status;
    response
}

fn last_line(status: &Status) -> Bytes {
    format!("{}\n", serde_json::json!({ "error": said(status) })).into()
}

/// The body of a stream's answers.
struct Lines {
    body: Sent,
    buffer: BytesMut,
    output: MessageDescriptor,
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Lines {
    /// The next line, or how the call ended.
    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            if let Some(message) = take_message(&mut self.buffer) {
                let line = json(&self.output, message)
                    .map(|json| [&b"{\"result\":"[..], &json, b"}\n"].concat().into());
                return Poll::Ready(Some(line));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        if let Some(Err(status)) = frame.trailers_ref().and_then(ending) {
                            return Poll::Ready(Some(Err(status)));
                        }
                    }
                },
            }
        }
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(line) = this.ready.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(line))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(this.poll_line(context)) {
            None => None,
            Some(Ok(line)) => Some(Ok(Frame::data(line))),
            Some(Err(status)) => {
                this.ended = true;
                Some(Ok(Frame::data(last_line(&status))))
            }
        })
    }
}
