//! Answers that may be large find room before they are read.
//!
//! A range is tried first: if its pairs fit into a small answer, that is the answer, at no further
//! cost. Otherwise how many keys it holds is known without walking it, and how large they are is
//! guessed from the state's average and from its own first pairs, whichever is more. A guess can be
//! wrong: when the answer turns out larger, it takes the rest of its room late, and those who come
//! after it wait.
//!
//! A large answer is read and encoded on a thread of its own, few at a time: meanwhile the thread
//! that serves its client serves its other clients.

use crate::budget::{Permit, SMALL_ANSWER};
use crate::kv::unreadable;
use crate::service::Service;
use quorate_host::View;
use quorate_store::{KeyRange, KeyValue, Range, RangeAnswer, SortOrder, Txn, TxnOp, UpTo};
use std::sync::Arc;
use tonic::Status;

/// What a pair costs besides its key and value.
const OVERHEAD: u64 = 64;

fn bytes_of(pairs: &[KeyValue]) -> u64 {
    pairs.iter().map(|pair| (pair.key.len() + pair.value.len()) as u64 + OVERHEAD).sum()
}

/// Does long work beside the threads that serve clients, few at a time.
pub async fn aside<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let turn = service.budget.turn().await;
    let done = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(turn);
        result
    });
    match done.await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Bytes of one pair on the average.
fn average(view: &View) -> u64 {
    view.size().live / view.keys().max(1) + OVERHEAD
}

/// Reads a range, with room for its answer.
pub async fn range(
    service: &Service,
    view: &Arc<View>,
    ask: &Range,
) -> Result<(RangeAnswer, Option<Permit>), Status> {
    let (pairs, bytes) = match view.range_up_to(ask, SMALL_ANSWER).map_err(unreadable)? {
        UpTo::Whole(answer) => return Ok((answer, None)),
        UpTo::More { pairs, bytes } => (pairs, bytes),
    };
    let seen = bytes / pairs.max(1) + OVERHEAD;
    let each = if ask.keys_only { seen } else { seen.max(average(view)) };
    let count = count_of(view, &ask.range)?;
    // What is asked for in an order is fetched whole before it is cut.
    let is_plain = ask.order == SortOrder::None;
    let wanted = if is_plain && ask.limit > 0 { count.min(ask.limit) } else { count };
    let guessed = each.saturating_mul(wanted.unsigned_abs());
    let permit = service.budget.reserve(guessed).await?;
    let (view, ask) = (view.clone(), ask.clone());
    let answer = aside(service, move || view.range(&ask)).await.map_err(unreadable)?;
    let permit = service.budget.correct(permit, guessed, bytes_of(&answer.kvs));
    Ok((answer, permit))
}

fn count_of(view: &View, range: &KeyRange) -> Result<i64, Status> {
    let ask = Range { range: range.clone(), count_only: true, ..Range::default() };
    Ok(view.range(&ask).map_err(unreadable)?.count)
}

/// Room for the pairs that a transaction may answer with, over its whole tree: of its two branches
/// the larger one counts.
pub async fn room_for_txn(
    service: &Service,
    view: &View,
    txn: &Txn,
) -> Result<Option<Permit>, Status> {
    if view.size().live <= SMALL_ANSWER {
        return Ok(None);
    }
    service.budget.reserve(guess(view, txn)?).await
}

/// Room for the pairs that a delete answers with.
pub async fn room_for_deleted(
    service: &Service,
    view: &View,
    range: &KeyRange,
) -> Result<Option<Permit>, Status> {
    if view.size().live <= SMALL_ANSWER {
        return Ok(None);
    }
    service.budget.reserve(pairs_in(view, range, 0)?).await
}

fn guess(view: &View, txn: &Txn) -> Result<u64, Status> {
    let branch = |ops: &[TxnOp]| {
        ops.iter().try_fold(0u64, |sum, op| {
            let more = match op {
                TxnOp::Put(_) => 0,
                TxnOp::Delete(delete) if delete.prev_kv => pairs_in(view, &delete.range, 0)?,
                TxnOp::Delete(_) => 0,
                TxnOp::Range(range) if range.count_only => 0,
                TxnOp::Range(range) => pairs_in(view, &range.range, range.limit)?,
                TxnOp::Txn(inner) => guess(view, inner)?,
            };
            Ok::<_, Status>(sum.saturating_add(more))
        })
    };
    Ok(branch(&txn.success)?.max(branch(&txn.failure)?))
}

/// About how many bytes the pairs of a range have.
fn pairs_in(view: &View, range: &KeyRange, limit: i64) -> Result<u64, Status> {
    if range.end.is_empty() {
        return Ok(0);
    }
    let count = count_of(view, range)?;
    let count = if limit > 0 { count.min(limit) } else { count };
    Ok(average(view).saturating_mul(count.unsigned_abs()))
}
