//! Answers that may be large find room before they are read.
//!
//! How many keys a range holds is known without walking it, and how large they are is guessed from
//! the state's average and from the range's own first page, whichever is more. A guess can be wrong:
//! when the answer turns out larger, it takes the rest of its room late, and those who come after it
//! wait. Single keys and answers that fit into one page pass at no cost.

use crate::budget::{Permit, SMALL_ANSWER};
use crate::kv::unreadable;
use crate::service::Service;
use quorate_host::View;
use quorate_store::{KeyRange, KeyValue, Range, RangeAnswer, SortOrder, Txn, TxnOp};
use tonic::Status;

/// What a pair costs besides its key and value.
const OVERHEAD: u64 = 64;

fn bytes_of(pairs: &[KeyValue]) -> u64 {
    pairs.iter().map(|pair| (pair.key.len() + pair.value.len()) as u64 + OVERHEAD).sum()
}

/// Bytes of one pair on the average.
fn average(view: &View) -> u64 {
    view.size().live / view.keys().max(1) + OVERHEAD
}

/// Reads a range, with room for its answer.
pub async fn range(
    service: &Service,
    view: &View,
    ask: &Range,
) -> Result<(RangeAnswer, Option<Permit>), Status> {
    let read = |ask: &Range| view.range(ask).map_err(unreadable);
    if ask.range.end.is_empty() || ask.count_only || view.size().live <= SMALL_ANSWER {
        return Ok((read(ask)?, None));
    }
    let page = i64::try_from(SMALL_ANSWER / average(view)).unwrap_or(i64::MAX).max(1);
    let is_limited = (1..=page).contains(&ask.limit);
    // What is asked for in an order is fetched whole before it is cut.
    let is_plain = ask.order == SortOrder::None;
    let mut each = average(view);
    let mut count = None;
    if is_plain {
        let first =
            read(&Range { limit: if is_limited { ask.limit } else { page }, ..ask.clone() })?;
        if is_limited || !first.more {
            return Ok((first, None));
        }
        each = each.max(bytes_of(&first.kvs) / (first.kvs.len() as u64).max(1));
        count = Some(first.count);
    }
    let count = match count {
        Some(count) => count,
        None => count_of(view, &ask.range)?,
    };
    let wanted = if is_plain && ask.limit > 0 { count.min(ask.limit) } else { count };
    let guessed = each.saturating_mul(wanted.unsigned_abs());
    let permit = service.budget.reserve(guessed).await?;
    let answer = read(ask)?;
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
