//! An answer that is never in memory as a whole.
//!
//! gRPC says how long a message is before its first byte, and then nothing stands in the way of making the message while
//! it is being sent: HTTP/2 asks a body for its next piece when the client has room for it. A [`Flow`] is one message of
//! known length in pieces that do not exist yet. A service leaves it in the extensions of an answer whose own message is
//! empty; the server puts it in the place of the answer's body ([`Flow::replace`]).
//!
//! The client gets the message whole or an error. A flow that fails half-way ends with the error in its trailers, and so
//! does one whose pieces come to another length than was said: fewer bytes than announced are no message for any gRPC
//! library, whatever the status.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::codegen::BoxStream;
use tonic::codegen::http::{HeaderMap, Response};

/// Bytes in front of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// One message that is made while it is sent. Clones share it; the first that is used has it.
#[derive(Clone)]
pub struct Flow(Arc<Mutex<Option<FlowBody>>>);

impl Flow {
    /// The message is `head` and then `rest` bytes, which the pieces come to. Pieces are asked for one at a time, when the
    /// client has taken what came before, and dropped when it goes away.
    ///
    /// # Errors
    /// When the message is longer than gRPC can say (4 GiB).
    pub fn new(head: &[u8], rest: u64, pieces: BoxStream<Bytes>) -> Result<Flow, Status> {
        let length = rest.saturating_add(head.len() as u64);
        let Ok(told) = u32::try_from(length) else {
            return Err(Status::resource_exhausted(format!(
                "the answer has {length} bytes, and a message has at most {}: ask for less at a time (limit) or for a stream",
                u32::MAX
            )));
        };
        let mut first = BytesMut::with_capacity(PREFIX + head.len());
        first.put_u8(0);
        first.put_u32(told);
        first.extend_from_slice(head);
        let body = FlowBody { first: Some(first.freeze()), left: rest, pieces: Some(pieces) };
        Ok(Flow(Arc::new(Mutex::new(Some(body)))))
    }

    /// The answer with its flow, if it has one in its extensions, as its body.
    #[must_use]
    pub fn replace(mut response: Response<tonic::body::Body>) -> Response<tonic::body::Body> {
        let Some(Flow(flow)) = response.extensions_mut().remove::<Flow>() else { return response };
        let body = flow.lock().expect("no holder of this lock panics").take();
        match body {
            Some(body) => response.map(|_| tonic::body::Body::new(body)),
            None => Status::internal("the answer was sent already").into_http(),
        }
    }
}

/// The body: the prefix and the head, the pieces, the status.
struct FlowBody {
    first: Option<Bytes>,
    left: u64,
    /// `None` when everything was said.
    pieces: Option<BoxStream<Bytes>>,
}

impl FlowBody {
    /// The last frame. What made the pieces is let go at once.
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.pieces = None;
        let mut trailers = HeaderMap::new();
        // A message that no header can carry is left out; the code is always there.
        if status.add_header(&mut trailers).is_err() {
            trailers.insert(Status::GRPC_STATUS, i32::from(status.code()).into());
        }
        Frame::trailers(trailers)
    }
}

impl Body for FlowBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(pieces) = &mut this.pieces else { return Poll::Ready(None) };
        let frame = match ready!(pieces.as_mut().poll_next(context)) {
            Some(Ok(piece)) if piece.len() as u64 <= this.left => {
                this.left -= piece.len() as u64;
                Frame::data(piece)
            }
            Some(Ok(_)) => this.end(&Status::internal("the answer is longer than it was to be")),
            Some(Err(status)) => this.end(&status),
            None if this.left == 0 => this.end(&Status::ok("")),
            None => this.end(&Status::internal("the answer is shorter than it was to be")),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.pieces.is_none()
    }
}
