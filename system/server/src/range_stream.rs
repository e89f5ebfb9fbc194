//! `KV/RangeStream`: a range of any size in pieces of about one request (contract item 12).
//!
//! The whole stream is of one revision, the newest when it began or the one that was asked for, and
//! only its last piece carries the header, `more` and `count`. A piece has ten pairs at first; the
//! number doubles or halves from piece to piece until a piece weighs about as much as a request may.
//! However many pairs it was to have, a piece ends when it weighs that much: what a stream costs is
//! bounded, also where small values are followed by large ones. Pieces are in the order of the keys
//! whatever the sort target (etcd sorts each piece by itself, and loses its place).
//!
//! # What a slow reader costs
//!
//! At most one piece waits for the reader, and after [`PATIENCE`] nothing but a place. A reader that
//! comes back later is served from the newest view at the stream's revision, and is told so
//! (`compacted`) if that was compacted meanwhile, as with etcd: see [`crate::pinned`].

use crate::caller::Known;
use crate::outflow::after;
use crate::pinned::{PATIENCE, Pinned};
use crate::service::Service;
use crate::standing::Standing;
use crate::{convert, errors, kv, large};
use quorate_host::View;
use quorate_store::{KeyRange, Page, Range, SortOrder, SortTarget};
use quorate_wire::etcd::etcdserverpb as pb;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

type Piece = Result<pb::RangeStreamResponse, Status>;

/// Pairs of the first piece.
const FIRST_PIECE: usize = 10;

/// Bytes that a pair takes besides its key and value, about.
const PAIR_BYTES: usize = 48;

/// Refuses what cannot be streamed; clients then fall back on `Range`.
pub fn check(range: &Range) -> Result<(), Status> {
    let by_key = range.target == SortTarget::Key && range.order == SortOrder::Ascend;
    if range.order != SortOrder::None && !by_key {
        return Err(errors::stream_of_custom_order());
    }
    let Range { min_mod_revision, max_mod_revision, .. } = range;
    let Range { min_create_revision, max_create_revision, .. } = range;
    let bounds = [min_mod_revision, max_mod_revision, min_create_revision, max_create_revision];
    if bounds.into_iter().any(|bound| *bound != 0) {
        return Err(errors::stream_of_filters());
    }
    Ok(())
}

/// Starts a stream over `view`, for a caller who may read what it names.
pub fn open(
    service: Arc<Service>,
    known: Known,
    range: Range,
    view: Arc<View>,
) -> ReceiverStream<Piece> {
    let (pieces, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut reading = Reading::new(service, known, range, view);
        if let Err(error) = reading.run(&pieces).await {
            // A reader that has gone away needs no reason.
            let _ = pieces.send(Err(error)).await;
        }
    });
    ReceiverStream::new(receiver)
}

/// A stream under way.
struct Reading {
    service: Arc<Service>,
    /// What is left to read; its revision is the stream's.
    rest: Range,
    state: Pinned,
    /// The revision of the state when the stream began.
    header: i64,
    /// Pairs still wanted; `None` is all.
    wanted: Option<usize>,
    sent: usize,
    standing: Standing,
    /// The range as it was asked for: what its caller must have a right on.
    asked: KeyRange,
}

impl Reading {
    fn new(service: Arc<Service>, known: Known, range: Range, view: Arc<View>) -> Reading {
        let (standing, asked) = (Standing::of(known, &view), range.range.clone());
        let header = view.revision();
        let wanted = usize::try_from(range.limit).ok().filter(|limit| *limit > 0);
        let revision = if range.revision > 0 { range.revision } else { header };
        let rest = Range { revision, limit: 0, ..range };
        let state = Pinned::new(view, revision);
        Reading { service, rest, state, header, wanted, sent: 0, standing, asked }
    }

    async fn run(&mut self, pieces: &mpsc::Sender<Piece>) -> Result<(), Status> {
        let target = self.service.limits.max_request_bytes;
        let mut limit = FIRST_PIECE;
        loop {
            let Some(place) = self.place(pieces).await else { return Ok(()) };
            let now = self.service.view();
            if self.standing.is_outdated(&now) {
                self.standing.may_read(&self.service, &now, (&self.asked).into())?;
            }
            let view = self.state.view(&self.service);
            let (piece, bytes, done) = if self.rest.count_only {
                (self.last_piece(&view, Page::default()).await?, 0, true)
            } else {
                let limit = self.wanted.map_or(limit, |wanted| limit.min(wanted - self.sent));
                let Range { range, revision, .. } = &self.rest;
                let page = view.page(range, *revision, limit, target).map_err(kv::unreadable)?;
                self.piece(&view, page).await?
            };
            place.send(Ok(pb::RangeStreamResponse { range_response: Some(piece) }));
            if done {
                return Ok(());
            }
            limit = adapt(limit, bytes, target);
            tokio::task::yield_now().await;
        }
    }

    /// Room for the next piece; `None` when the reader has gone. Lets go of the view if that takes
    /// long.
    async fn place<'a>(
        &mut self,
        pieces: &'a mpsc::Sender<Piece>,
    ) -> Option<mpsc::Permit<'a, Piece>> {
        match tokio::time::timeout(PATIENCE, pieces.reserve()).await {
            Ok(place) => place.ok(),
            Err(_) => {
                self.state.let_go();
                pieces.reserve().await.ok()
            }
        }
    }

    /// The page as a piece, what it weighs, and whether it is the last.
    async fn piece(
        &mut self,
        view: &Arc<View>,
        mut page: Page,
    ) -> Result<(pb::RangeResponse, usize, bool), Status> {
        self.sent += page.kvs.len();
        if let Some(last) = page.kvs.last() {
            self.rest.range.key = after(&last.key);
        }
        let bytes = page.bytes + page.kvs.len() * PAIR_BYTES;
        self.rest.leave_out(&mut page.kvs);
        let full = self.wanted.is_some_and(|wanted| self.sent >= wanted);
        if page.more && !full {
            let kvs = page.kvs.into_iter().map(convert::key_value).collect();
            return Ok((pb::RangeResponse { kvs, ..Default::default() }, bytes, false));
        }
        Ok((self.last_piece(view, page).await?, bytes, true))
    }

    /// The piece that carries the header, and the count: what was sent and what is left.
    async fn last_piece(&self, view: &Arc<View>, page: Page) -> Result<pb::RangeResponse, Status> {
        let mut count = self.sent as i64;
        if page.more || self.rest.count_only {
            count += large::count(&self.service, view, &self.rest).await?;
        }
        let kvs = page.kvs.into_iter().map(convert::key_value).collect();
        let (header, more) = (self.service.header(self.header), page.more);
        Ok(pb::RangeResponse { header, kvs, more, count })
    }
}

/// The pairs of the next piece, so that it weighs between half and twice the target.
fn adapt(pairs: usize, bytes: usize, target: usize) -> usize {
    let next = if bytes < target / 2 {
        pairs.saturating_mul(2)
    } else if bytes > target.saturating_mul(2) {
        pairs / 2
    } else {
        pairs
    };
    next.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_and_shrink_towards_the_target() {
        assert_eq!(adapt(10, 100, 1000), 20);
        assert_eq!(adapt(10, 500, 1000), 10);
        assert_eq!(adapt(10, 2000, 1000), 10);
        assert_eq!(adapt(10, 2001, 1000), 5);
        assert_eq!(adapt(1, 9999, 1000), 1, "a piece has at least one pair");
    }

    #[test]
    fn what_needs_all_of_it_first_is_refused() {
        let by = |order, target| Range { order, target, ..Range::default() };
        assert!(check(&by(SortOrder::None, SortTarget::Mod)).is_ok());
        assert!(check(&by(SortOrder::Ascend, SortTarget::Key)).is_ok());
        assert!(check(&by(SortOrder::Descend, SortTarget::Key)).is_err());
        assert!(check(&by(SortOrder::Ascend, SortTarget::Mod)).is_err());
        assert!(check(&Range { max_create_revision: 1, ..Range::default() }).is_err());
    }
}
