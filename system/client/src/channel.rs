//! The connection to one endpoint, as the calls see it: tonic's, with requests that go out in one piece.
//!
//! Tonic's body of a single message does not say with its only frame that it is the last. So an empty frame follows that
//! does, with a write of its own here and a read and a wake-up at the server: with many connections that send one request
//! at a time, a third of all system calls.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel as Transport;

/// See the module's essay.
#[derive(Debug, Clone)]
pub(crate) struct Channel(pub(crate) Transport);

impl tower::Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Transport as tower::Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request.map(|body| Body::new(Whole::of(body))))
    }
}

/// A body that was asked for its first frame, and for what comes after it, before anybody wants them.
struct Whole {
    first: Option<Frame<Bytes>>,
    failed: Option<Status>,
    /// `None` when there is nothing but the first.
    rest: Option<Body>,
}

impl Whole {
    fn of(mut body: Body) -> Whole {
        // What is not ready now is polled again by whoever sends it, with a waker that counts.
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = || pin!(&mut body).poll_frame(&mut context);
        let (first, failed, ended) = match poll() {
            Poll::Pending => (None, None, false),
            Poll::Ready(None) => (None, None, true),
            Poll::Ready(Some(Err(status))) => (None, Some(status), true),
            Poll::Ready(Some(Ok(frame))) => match poll() {
                Poll::Pending => (Some(frame), None, false),
                Poll::Ready(None) => (Some(frame), None, true),
                Poll::Ready(Some(Err(status))) => (Some(frame), Some(status), true),
                Poll::Ready(Some(Ok(second))) => return Whole::two(frame, second, body),
            },
        };
        Whole { first, failed, rest: (!ended).then_some(body) }
    }

    /// A body that has more to say at once: what was taken out goes before the rest.
    fn two(first: Frame<Bytes>, second: Frame<Bytes>, body: Body) -> Whole {
        let after = Whole { first: Some(second), failed: None, rest: Some(body) };
        Whole { first: Some(first), failed: None, rest: Some(Body::new(after)) }
    }
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(status) = self.failed.take() {
            return Poll::Ready(Some(Err(status)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
            && self.failed.is_none()
            && self.rest.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A body of these frames, `None` for a moment without one.
    struct Script(VecDeque<Option<Result<&'static str, Status>>>);

    impl http_body::Body for Script {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(frame)) => Poll::Ready(Some(frame.map(|word| Frame::data(word.into())))),
            }
        }
    }

    /// What a sender sees: words, `.` for a wait, `!` for an error, and `|` where the end is known with what came last.
    fn told(script: &[Option<Result<&'static str, Status>>]) -> String {
        let mut body = Whole::of(Body::new(Script(script.iter().cloned().collect())));
        let mut told = String::new();
        loop {
            match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => told.push('.'),
                Poll::Ready(None) => return told,
                Poll::Ready(Some(Err(_))) => told.push('!'),
                Poll::Ready(Some(Ok(frame))) => {
                    told.push_str(std::str::from_utf8(frame.data_ref().expect("data")).unwrap());
                }
            }
            if body.is_end_stream() {
                told.push('|');
            }
        }
    }

    #[test]
    fn a_single_message_is_known_to_be_the_last_and_a_stream_goes_on() {
        let error = || Some(Err(Status::internal("")));
        assert_eq!(told(&[Some(Ok("a"))]), "a|");
        assert_eq!(told(&[]), "");
        // The moments that nobody waited for are over; those after them are seen by the sender.
        assert_eq!(told(&[None, Some(Ok("a")), None, Some(Ok("b"))]), "a.b");
        assert_eq!(told(&[Some(Ok("a")), None, None, Some(Ok("b"))]), "a.b");
        assert_eq!(told(&[Some(Ok("a")), Some(Ok("b")), Some(Ok("c")), None]), "abc.");
        assert_eq!(told(&[error()]), "!|");
        assert_eq!(told(&[Some(Ok("a")), error()]), "a!|");
    }
}
