//! Answers that may be large find room before they are read.
//!
//! A range is tried first: if its pairs fit into a small answer, that is the answer, at no further
//! cost. Otherwise how large it is is guessed: from the number of its keys, and from the state's
//! average and its own first pairs, whichever is more. A guess can be wrong: when the answer turns
//! out larger, it takes the rest of its room late, and those who come after it wait.
//!
//! A plain range, one that is answered in the order of its keys, needs no more room than
//! [`outflow::ROOM`], however large it is: it is made while its client takes it. A range in another
//! order or with filters, a transaction's, and what the JSON gateway asks for are in memory as a whole.
//!
//! A large answer is read [aside](crate::aside), and so are keys counted for it: to count some hundred
//! keys with values of a megabyte is to read all of them. Meanwhile the thread that serves the client
//! serves its other clients.

use crate::budget::{Permit, SMALL_ANSWER};
use crate::kv::unreadable;
use crate::outflow::{self, Extent, Survey, Surveyed};
use crate::service::Service;
use quorate_host::View;
use quorate_store::{KeyRange, KeyValue, Range, RangeAnswer, SortOrder, Txn, TxnOp, UpTo};
use std::sync::Arc;
use tonic::Status;

/// In the extensions of a request: its caller takes the answer at once and keeps all of it, so that
/// making it piece by piece would only hide what it costs.
#[derive(Clone, Copy, Debug)]
pub struct TakenWhole;

/// The answer to a range.
pub enum Found {
    /// It is small.
    Small(RangeAnswer),
    /// It is large, and has room.
    Large(RangeAnswer, Option<Permit>),
    /// It is too large to be in memory, and was measured; [`outflow::of_view`] makes it.
    Flowing(Extent, Option<Permit>),
}

/// What a pair costs besides its key and value.
const OVERHEAD: u64 = 64;

fn bytes_of(pairs: &[KeyValue]) -> u64 {
    pairs.iter().map(|pair| (pair.key.len() + pair.value.len()) as u64 + OVERHEAD).sum()
}

/// Bytes of one pair on the average.
fn average(view: &View) -> u64 {
    view.size().live / view.keys().max(1) + OVERHEAD
}

/// Reads a range, with room for its answer; all of it if it is to be `whole`.
pub async fn range(
    service: &Service,
    view: &Arc<View>,
    ask: &Range,
    whole: bool,
) -> Result<Found, Status> {
    let (pairs, bytes) = match view.range_up_to(ask, SMALL_ANSWER).map_err(unreadable)? {
        UpTo::Whole(answer) => return Ok(Found::Small(answer)),
        UpTo::More { pairs, bytes } => (pairs, bytes),
    };
    let seen = bytes / pairs.max(1) + OVERHEAD;
    let each = if ask.keys_only { seen } else { seen.max(average(view)) };
    let guess = |count: u64| {
        // What is asked for in an order is fetched whole before it is cut.
        let limit = u64::try_from(ask.limit).ok().filter(|limit| *limit > 0);
        let limit = limit.filter(|_| ask.order == SortOrder::None);
        each.saturating_mul(limit.map_or(count, |limit| count.min(limit)))
    };
    if ask.is_plain() && !whole {
        return flowing(service, view, ask, guess(view.keys_at_most(&ask.range))).await;
    }
    let (counted, range) = (view.clone(), ask.range.clone());
    let count = service.aside.run(move || count_of(&counted, &range)).await?;
    let guessed = guess(count);
    let permit = service.budget.reserve(guessed).await?;
    let (view, ask) = (view.clone(), ask.clone());
    let answer = service.aside.run(move || view.range(&ask)).await.map_err(unreadable)?;
    let permit = service.budget.correct(permit, guessed, bytes_of(&answer.kvs));
    Ok(Found::Large(answer, permit))
}

/// Measures a plain range, and keeps its pairs if they turn out to be few.
async fn flowing(
    service: &Service,
    view: &Arc<View>,
    ask: &Range,
    guessed: u64,
) -> Result<Found, Status> {
    let (here, guessed) = (guessed <= outflow::KEPT, guessed.min(outflow::ROOM));
    let permit = service.budget.reserve(guessed).await?;
    let mut survey = Survey::new(ask);
    let mut is_over = false;
    // A few pages, and others are served between them: that is not worth waiting behind those who
    // ask for a gigabyte.
    while here && !is_over && !survey.is_large() {
        is_over = survey.step(view).map_err(unreadable)?;
        tokio::task::yield_now().await;
    }
    let surveyed = if is_over {
        survey.result(view).map(Some)
    } else {
        // Goes with this future: a survey ends when nobody waits for it.
        let asker = Arc::new(());
        let (view, waiting) = (view.clone(), Arc::downgrade(&asker));
        service.aside.run(move || survey.finish(&view, &waiting)).await
    };
    match surveyed.map_err(unreadable)? {
        Some(Surveyed::Kept(answer)) => {
            let permit = service.budget.correct(permit, guessed, bytes_of(&answer.kvs));
            Ok(Found::Large(answer, permit))
        }
        Some(Surveyed::Measured(extent)) => {
            let permit = service.budget.correct(permit, guessed, outflow::ROOM);
            Ok(Found::Flowing(extent, permit))
        }
        None => Err(crate::errors::canceled()),
    }
}

fn count_of(view: &View, range: &KeyRange) -> Result<u64, Status> {
    let ask = Range { range: range.clone(), count_only: true, ..Range::default() };
    Ok(view.range(&ask).map_err(unreadable)?.count.unsigned_abs())
}

/// How keys are counted: a bound at once, or exactly.
type Count = fn(&View, &KeyRange) -> Result<u64, Status>;

fn at_most(view: &View, range: &KeyRange) -> Result<u64, Status> {
    Ok(view.keys_at_most(range))
}

/// Room for the pairs that a transaction may answer with, over its whole tree: of its two branches
/// the larger one counts.
pub async fn room_for_txn(
    service: &Service,
    view: &Arc<View>,
    txn: &Txn,
) -> Result<Option<Permit>, Status> {
    if view.size().live <= SMALL_ANSWER || guess(view, txn, at_most)? <= SMALL_ANSWER {
        return Ok(None);
    }
    let txn = txn.clone();
    room_for(service, view, move |view, count| guess(view, &txn, count)).await
}

/// Room for the pairs that a delete answers with.
pub async fn room_for_deleted(
    service: &Service,
    view: &Arc<View>,
    range: &KeyRange,
) -> Result<Option<Permit>, Status> {
    if view.size().live <= SMALL_ANSWER || pairs_in(view, range, 0, at_most)? <= SMALL_ANSWER {
        return Ok(None);
    }
    let range = range.clone();
    room_for(service, view, move |view, count| pairs_in(view, &range, 0, count)).await
}

/// Room for what a guess comes to when the keys are counted: aside if that may be to read much.
async fn room_for(
    service: &Service,
    view: &Arc<View>,
    guess: impl Fn(&View, Count) -> Result<u64, Status> + Send + 'static,
) -> Result<Option<Permit>, Status> {
    let guessed = if guess(view, at_most)? <= outflow::ROOM {
        guess(view, count_of)?
    } else {
        let view = view.clone();
        service.aside.run(move || guess(&view, count_of)).await?
    };
    service.budget.reserve(guessed).await
}

fn guess(view: &View, txn: &Txn, count: Count) -> Result<u64, Status> {
    let branch = |ops: &[TxnOp]| {
        ops.iter().try_fold(0u64, |sum, op| {
            let more = match op {
                TxnOp::Put(_) => 0,
                TxnOp::Delete(delete) if delete.prev_kv => pairs_in(view, &delete.range, 0, count)?,
                TxnOp::Delete(_) => 0,
                TxnOp::Range(range) if range.count_only => 0,
                TxnOp::Range(range) => pairs_in(view, &range.range, range.limit, count)?,
                TxnOp::Txn(inner) => guess(view, inner, count)?,
            };
            Ok::<_, Status>(sum.saturating_add(more))
        })
    };
    Ok(branch(&txn.success)?.max(branch(&txn.failure)?))
}

/// About how many bytes the pairs of a range have.
fn pairs_in(view: &View, range: &KeyRange, limit: i64, count: Count) -> Result<u64, Status> {
    if range.is_single() {
        return Ok(0);
    }
    let count = count(view, range)?;
    let count = if limit > 0 { count.min(limit.unsigned_abs()) } else { count };
    Ok(average(view).saturating_mul(count))
}
