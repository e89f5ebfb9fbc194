//! A large answer that exists as a whole, while its client takes it.
//!
//! It has room in the [budget](crate::budget), which it gives back when its last byte has left, or its
//! client has gone. HTTP/2 queues whatever it is given, so such an answer is given out in parts:
//! queued whole, it would have given its room back before anybody had read it. And nobody may keep
//! room by reading nothing: when no part is taken for some time, the answer is let go, and its client
//! gets an error where the rest would have been.

use crate::budget::Permit;
use crate::errors;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tonic::Status;

/// Bytes of a part.
const PART: usize = 64 << 10;

/// How long an answer is kept for a client that takes nothing; twice as long at most.
pub const UNTAKEN: Duration = Duration::from_secs(60);

/// What is being sent, and its room.
struct Load {
    body: tonic::body::Body,
    /// What is left of a piece of the body.
    rest: Bytes,
    _room: Permit,
}

#[derive(Default)]
struct Shared {
    load: Mutex<Option<Load>>,
    /// How many parts were taken.
    taken: AtomicU64,
}

impl Shared {
    fn load(&self) -> MutexGuard<'_, Option<Load>> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of such an answer.
pub struct Kept {
    shared: Arc<Shared>,
    /// Whether the end of a body may say that it is not the end of the answer.
    has_trailers: bool,
    is_over: bool,
}

impl Kept {
    /// The body, which has `room`, for a client that takes something every `patience`. Without trailers the
    /// connection is cut where the rest would have been.
    pub fn new(
        body: tonic::body::Body,
        room: Permit,
        has_trailers: bool,
        patience: Duration,
    ) -> Kept {
        let load = Mutex::new(Some(Load { body, rest: Bytes::new(), _room: room }));
        let shared = Arc::new(Shared { load, taken: AtomicU64::new(0) });
        let watched = Arc::downgrade(&shared);
        tokio::spawn(async move {
            let mut seen = 0;
            loop {
                tokio::time::sleep(patience).await;
                let Some(shared) = watched.upgrade() else { return };
                let taken = shared.taken.load(Ordering::Relaxed);
                if std::mem::replace(&mut seen, taken + 1) == taken + 1 {
                    return drop(shared.load().take());
                }
            }
        });
        Kept { shared, has_trailers, is_over: false }
    }

    /// The end of an answer that was let go.
    fn cut(&self) -> Result<Frame<Bytes>, Status> {
        let status = errors::not_taken();
        if !self.has_trailers {
            return Err(status);
        }
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl Body for Kept {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        this.shared.taken.fetch_add(1, Ordering::Relaxed);
        let mut slot = this.shared.load();
        let Some(load) = &mut *slot else {
            drop(slot);
            this.is_over = true;
            return Poll::Ready(Some(this.cut()));
        };
        if load.rest.is_empty() {
            match ready!(Pin::new(&mut load.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => load.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => {
                    *slot = None;
                    drop(slot);
                    this.is_over = true;
                    return Poll::Ready(end);
                }
            }
        }
        let part = load.rest.len().min(PART);
        Poll::Ready(Some(Ok(Frame::data(load.rest.split_to(part)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use http_body_util::{BodyExt, Full};

    fn body(bytes: usize) -> tonic::body::Body {
        let body = Full::new(Bytes::from(vec![7; bytes]));
        tonic::body::Body::new(body.map_err(|never| match never {}))
    }

    async fn kept(budget: &Budget, has_trailers: bool, patience: Duration) -> Kept {
        let room = budget.reserve(1 << 20).await.expect("room").expect("it is large");
        Kept::new(body(1 << 20), room, has_trailers, patience)
    }

    #[tokio::test]
    async fn it_comes_in_parts_and_keeps_its_room_to_the_end() {
        let budget = Budget::new(8 << 20, Duration::ZERO);
        let mut kept = kept(&budget, true, UNTAKEN).await;
        for _ in 0..16 {
            assert!(budget.held() > 0);
            let part = kept.frame().await.expect("a part").expect("no error");
            assert_eq!(part.into_data().expect("data").len(), PART);
        }
        assert!(kept.frame().await.is_none());
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn what_nobody_takes_is_let_go_and_its_client_is_told() {
        let budget = Budget::new(8 << 20, Duration::ZERO);
        let short = Duration::from_millis(20);
        let (mut told, mut cut) =
            (kept(&budget, true, short).await, kept(&budget, false, short).await);
        told.frame().await.expect("a part").expect("no error");
        while budget.held() > 0 {
            tokio::time::sleep(short).await;
        }
        let trailers = told.frame().await.expect("an end").expect("which is not the connection's");
        let status = Status::from_header_map(trailers.trailers_ref().expect("trailers"));
        assert_eq!(status.expect("a status").code(), tonic::Code::DeadlineExceeded);
        assert!(told.frame().await.is_none());
        assert!(cut.frame().await.expect("an end").is_err());
    }
}
