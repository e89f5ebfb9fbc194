//! A large answer, made while its client takes it.
//!
//! A range is one message, and gRPC wants to know how long it is before its first byte. What pairs
//! weigh is added up while they are written, so for the newest revision that is known without reading
//! them ([`View::measure`](quorate_store::View::measure)). Of an older one, or of keys alone, it is found
//! out by reading all of it once, holding none of it ([`Survey`]). Then it is read, a
//! [page](quorate_store::Page) at a time, whenever the client has taken what was made of the page
//! before. What was measured is of the same revision, so it is the same bytes.
//!
//! # What it costs
//!
//! While it is read, a page: [`PAGE`] bytes, or one value if that is larger. For this an answer has
//! [`ROOM`] in the [budget](crate::budget). When the client takes nothing for
//! [`PATIENCE`](crate::pinned::PATIENCE), page, room and [view](crate::pinned) are let go, and all
//! that is left are two pieces of 64 KiB, one here and one with HTTP/2; when the client comes back,
//! the answer is read on from where it stopped. That can fail, as a message that ends in its
//! middle: there may be no room in time, the revision may be compacted, or its caller may have lost
//! the right to read it.
//!
//! An answer in another order than that of its keys is in memory before it is sent ([`of_pairs`]).
//! Its pairs are let go as they are sent, and all of them when nothing is taken for [`UNTAKEN`].

use crate::budget::{Permit, SMALL_ANSWER};
use crate::caller::Known;
use crate::errors;
use crate::kv::unreadable;
use crate::pieces::{Pieces, encoded_len};
use crate::pinned::{PATIENCE, Pinned};
use crate::service::Service;
use crate::standing::Standing;
use bytes::Bytes;
use prost::Message;
use quorate_host::View;
use quorate_store::{KeyRange, KeyValue, Measure, Range, RangeAnswer, ReadError, Sum};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::flow::Flow;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Bytes of keys and values after which a page is full.
const PAGE: usize = SMALL_ANSWER as usize;

/// An answer whose pairs have at most so many bytes is kept from the survey, so that it is read
/// once.
pub const KEPT: u64 = 2 << 20;

/// What an answer that is made while it is taken needs room for: the pairs that a survey keeps, or
/// a page, and its pieces.
pub const ROOM: u64 = 4 << 20;

/// How long an answer that is in memory as a whole is kept for a client that takes nothing.
const UNTAKEN: Duration = Duration::from_secs(60);

/// Where pieces go.
type Places = mpsc::Sender<Result<Bytes, Status>>;

/// How long an answer is, and what it says besides its pairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pairs: u64,
    bytes: u64,
    more: bool,
    count: i64,
}

impl From<Measure> for Extent {
    fn from(Measure { pairs, count }: Measure) -> Extent {
        let Sum { keys, bytes } = pairs;
        Extent { pairs: keys, bytes, more: count > keys, count: count as i64 }
    }
}

/// What a survey comes to.
pub enum Surveyed {
    /// It was not so large: this is the answer.
    Kept(RangeAnswer),
    /// It is so large.
    Measured(Extent),
}

/// The key right after this one.
pub fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// A walk over the pairs of a range, from view to view.
struct Walk {
    /// What is left: of `ask` the range begins where the next page does.
    ask: Range,
    /// Pairs still wanted.
    wanted: u64,
}

impl Walk {
    fn new(ask: Range) -> Walk {
        let wanted = u64::try_from(ask.limit).ok().filter(|limit| *limit > 0);
        Walk { ask, wanted: wanted.unwrap_or(u64::MAX) }
    }

    /// The next pairs, as they stand in the answer, and whether there are more in the range.
    fn page(&mut self, view: &View) -> Result<(Vec<KeyValue>, bool), ReadError> {
        let Range { range, revision, .. } = &self.ask;
        let limit = usize::try_from(self.wanted).unwrap_or(usize::MAX);
        let mut page = view.page(range, *revision, limit, PAGE)?;
        self.wanted -= page.kvs.len() as u64;
        if let Some(last) = page.kvs.last() {
            self.ask.range.key = after(&last.key);
        }
        self.ask.leave_out(&mut page.kvs);
        Ok((page.kvs, page.more))
    }

    fn is_over(&self, more: bool) -> bool {
        !more || self.wanted == 0
    }
}

/// Finds out how long the answer to a range is that [`Range::is_plain`].
pub struct Survey {
    ask: Range,
    walk: Walk,
    /// All pairs so far, while they are few.
    kept: Option<Vec<KeyValue>>,
    extent: Extent,
}

impl Survey {
    /// Nothing is read yet.
    pub fn new(ask: &Range) -> Survey {
        let extent = Extent { pairs: 0, bytes: 0, more: false, count: 0 };
        let walk = Walk::new(ask.clone());
        Survey { ask: ask.clone(), walk, kept: Some(Vec::new()), extent }
    }

    /// Whether it turned out to be too large to be kept.
    pub fn is_large(&self) -> bool {
        self.kept.is_none()
    }

    /// Reads a page; true when it was the last.
    ///
    /// # Errors
    /// Those of [`View::range`].
    pub fn step(&mut self, view: &View) -> Result<bool, ReadError> {
        let (pairs, more) = self.walk.page(view)?;
        self.extent.pairs += pairs.len() as u64;
        self.extent.bytes += encoded_len(&pairs);
        if self.extent.bytes > KEPT {
            self.kept = None;
        } else if let Some(kept) = &mut self.kept {
            kept.extend(pairs);
        }
        self.extent.more = more;
        Ok(self.walk.is_over(more))
    }

    /// Reads what is left; `None` when nobody holds what `asker` refers to any more.
    ///
    /// # Errors
    /// Those of [`View::range`].
    pub fn finish(mut self, view: &View, asker: &Weak<()>) -> Result<Option<Surveyed>, ReadError> {
        while asker.strong_count() > 0 {
            if self.step(view)? {
                return self.result(view).map(Some);
            }
        }
        Ok(None)
    }

    /// What it came to, after the last page.
    ///
    /// # Errors
    /// Those of [`View::range`].
    pub fn result(self, view: &View) -> Result<Surveyed, ReadError> {
        let mut extent = self.extent;
        extent.count = if extent.more {
            view.range(&Range { count_only: true, ..self.ask })?.count
        } else {
            extent.pairs as i64
        };
        Ok(match self.kept {
            Some(kvs) => {
                Surveyed::Kept(RangeAnswer { kvs, more: extent.more, count: extent.count })
            }
            None => Surveyed::Measured(extent),
        })
    }
}

/// An answer whose pairs are in memory already; each is let go when its bytes are made. `permit` is
/// the room for all of them.
///
/// # Errors
/// The answer is too long for a message.
pub fn of_pairs(
    header: Option<pb::ResponseHeader>,
    answer: RangeAnswer,
    permit: Option<Permit>,
) -> Result<Flow, Status> {
    let RangeAnswer { kvs, more, count } = answer;
    let head = pb::RangeResponse { header, kvs: Vec::new(), more, count };
    let (places, receiver) = mpsc::channel(1);
    let pieces = Box::pin(ReceiverStream::new(receiver));
    let flow = Flow::new(&head.encode_to_vec(), encoded_len(&kvs), pieces)?;
    tokio::spawn(give_out(Pieces::new(kvs), permit, places, UNTAKEN));
    Ok(flow)
}

/// Makes a piece whenever there is a place for one. What was read in another order than that of the
/// keys has no place to go on from, so when nothing was taken for so long, that is the end.
async fn give_out(mut pieces: Pieces, permit: Option<Permit>, places: Places, untaken: Duration) {
    loop {
        let Ok(place) = tokio::time::timeout(untaken, places.reserve()).await else {
            drop((pieces, permit));
            // Whoever comes back is told.
            return drop(places.send(Err(errors::not_taken())).await);
        };
        match (place, pieces.next_piece()) {
            (Ok(place), Some(piece)) => place.send(Ok(piece)),
            (Err(_), _) | (Ok(_), None) => return,
        }
    }
}

/// An answer that is read from the state while it is taken: what was measured of `ask` in `view`. `permit` is its [`ROOM`].
///
/// # Errors
/// The answer is too long for a message.
pub fn of_view(
    service: &Arc<Service>,
    known: Known,
    view: Arc<View>,
    ask: Range,
    extent: Extent,
    permit: Option<Permit>,
) -> Result<Flow, Status> {
    let Extent { bytes, more, count, .. } = extent;
    let header = service.header(view.revision());
    let head = pb::RangeResponse { header, kvs: Vec::new(), more, count };
    let revision = if ask.revision > 0 { ask.revision } else { view.revision() };
    let reading = Reading {
        service: service.clone(),
        standing: Standing::of(known, &view),
        asked: ask.range.clone(),
        state: Pinned::new(view, revision),
        walk: Walk::new(Range { revision, ..ask }),
        pieces: Pieces::default(),
        taken: 0,
        more: true,
        permit,
    };
    let (pieces, receiver) = mpsc::channel(1);
    let flow = Flow::new(&head.encode_to_vec(), bytes, Box::pin(ReceiverStream::new(receiver)))?;
    tokio::spawn(reading.run(pieces));
    Ok(flow)
}

/// An answer on its way.
struct Reading {
    service: Arc<Service>,
    standing: Standing,
    /// The range as it was asked for: what its caller must have a right on.
    asked: KeyRange,
    state: Pinned,
    walk: Walk,
    /// The page that is being given out.
    pieces: Pieces,
    /// How many bytes of the next page's first pair were given out from an earlier page.
    taken: usize,
    /// Whether there are pages left.
    more: bool,
    permit: Option<Permit>,
}

impl Reading {
    /// Makes a piece whenever there is a place for one, to the end or until nobody takes them.
    async fn run(mut self, places: Places) {
        loop {
            let place = match tokio::time::timeout(PATIENCE, places.reserve()).await {
                Ok(place) => place,
                Err(_) => {
                    self.let_go();
                    places.reserve().await
                }
            };
            // Without anybody who takes pieces, this is over.
            let Ok(place) = place else { return };
            match self.next_piece().await {
                Ok(Some(piece)) => place.send(Ok(piece)),
                Ok(None) => return,
                Err(status) => return place.send(Err(status)),
            }
        }
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, Status> {
        if let Some(piece) = self.pieces.next_piece() {
            return Ok(Some(piece));
        }
        if !self.more {
            self.let_go();
            return Ok(None);
        }
        if self.permit.is_none() {
            self.permit = self.service.budget.reserve(ROOM).await?;
        }
        let now = self.service.view();
        if self.standing.is_outdated(&now) {
            self.standing.may_read(&self.service, &now, (&self.asked).into())?;
        }
        let view = self.state.view(&self.service);
        let (pairs, more) = self.walk.page(&view).map_err(unreadable)?;
        self.more = !self.walk.is_over(more);
        self.pieces = Pieces::after(pairs, std::mem::take(&mut self.taken));
        Ok(self.pieces.next_piece())
    }

    /// Keeps nothing but the place where the answer goes on.
    fn let_go(&mut self) {
        if let Some((key, taken)) = self.pieces.place() {
            self.walk.ask.range.key = key.clone();
            self.walk.wanted = self.walk.wanted.saturating_add(self.pieces.pairs() as u64);
            (self.taken, self.more) = (taken, true);
        }
        self.pieces = Pieces::default();
        self.state.let_go();
        self.permit = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    #[tokio::test]
    async fn an_answer_in_memory_that_nobody_takes_gives_its_room_back() {
        let budget = Budget::new(8 << 20, Duration::ZERO);
        let permit = budget.reserve(1 << 20).await.expect("room");
        let value = vec![0; 1 << 20];
        let pairs = vec![KeyValue { key: "k".into(), value: value.into(), ..KeyValue::default() }];
        let (places, mut taken) = mpsc::channel(1);
        let short = Duration::from_millis(20);
        let task = tokio::spawn(give_out(Pieces::new(pairs), permit, places, short));
        assert!(budget.held() > 0);
        let first = taken.recv().await.expect("a piece").expect("no error");
        assert!(!first.is_empty());
        while budget.held() > 0 {
            tokio::time::sleep(short).await;
        }
        // A second piece was waiting; then it is said why there are no more.
        taken.recv().await.expect("a piece").expect("no error");
        let status = taken.recv().await.expect("an end").expect_err("an error");
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        task.await.expect("it ends");
    }
}
