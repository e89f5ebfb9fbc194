//! Answers that may be large find room before they are read.
//!
//! A range is tried first: if its pairs fit into a small answer, that is the answer, at no further
//! cost. Otherwise how large it is is measured, where that can be told without reading it
//! ([`View::measure`](quorate_store::View::measure)), or guessed from the state's sums and the range's own
//! first pairs. A guess can be wrong: when the answer turns out larger, it takes the rest of its room
//! late, and those who come after it wait.
//!
//! A plain range, one that is answered in the order of its keys, needs no more room than
//! [`outflow::ROOM`], however large it is: it is made while its client takes it. A range in another
//! order or with filters, a transaction's, and what the JSON gateway asks for are in memory as a whole.
//!
//! What has to be read as a whole before it can be answered is read [aside](crate::aside), and so are
//! keys of an older revision counted. Meanwhile the thread that serves the client serves its other
//! clients. How many keys there are now, and what they weigh, takes reading some hundred kilobytes at
//! most, or a value at either end of the range if these are larger.

use crate::budget::{Permit, SMALL_ANSWER};
use crate::kv::unreadable;
use crate::outflow::{self, Extent, Survey, Surveyed};
use crate::service::Service;
use quorate_host::View;
use quorate_store::{KeyRange, KeyValue, Range, RangeAnswer, SortOrder, Sum, Txn, TxnOp, UpTo};
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

/// What pairs that come to this take in memory.
fn in_memory(pairs: Sum) -> u64 {
    pairs.bytes.saturating_add(pairs.keys.saturating_mul(OVERHEAD))
}

/// Reads a range, with room for its answer; all of it if it is to be `whole`.
pub async fn range(
    service: &Service,
    view: &Arc<View>,
    ask: &Range,
    whole: bool,
) -> Result<Found, Status> {
    if ask.is_plain() && !whole && is_surely_large(view, ask) {
        return flowing(service, view, ask, outflow::ROOM).await;
    }
    let counts = ask.count_only || ask.limit > 0;
    let tried = if counts && view.cost_of_count(&ask.range, ask.revision) > SMALL_ANSWER {
        let (view, ask) = (view.clone(), ask.clone());
        service.aside.run(move || view.range_up_to(&ask, SMALL_ANSWER)).await
    } else {
        view.range_up_to(ask, SMALL_ANSWER)
    };
    let (pairs, bytes) = match tried.map_err(unreadable)? {
        UpTo::Whole(answer) => return Ok(Found::Small(answer)),
        UpTo::More { pairs, bytes } => (pairs, bytes),
    };
    let most = view.at_most(&ask.range);
    let each = bytes / pairs.max(1) + OVERHEAD;
    let all = if ask.keys_only { each.saturating_mul(most.keys) } else { in_memory(most) };
    // What is asked for in an order is fetched whole before it is cut.
    let limit = u64::try_from(ask.limit).ok().filter(|limit| *limit > 0);
    let limit = limit.filter(|_| ask.order == SortOrder::None);
    let guessed = limit.map_or(all, |limit| {
        let average = in_memory(most) / most.keys.max(1);
        all.min(limit.saturating_mul(each.max(average)))
    });
    if ask.is_plain() && !whole {
        return flowing(service, view, ask, guessed).await;
    }
    let permit = service.budget.reserve(guessed).await?;
    let (view, ask) = (view.clone(), ask.clone());
    let answer = service.aside.run(move || view.range(&ask)).await.map_err(unreadable)?;
    let permit = service.budget.correct(permit, guessed, bytes_of(&answer.kvs));
    Ok(Found::Large(answer, permit))
}

/// Whether an answer is too large to be kept, for which nothing has to be read.
fn is_surely_large(view: &View, ask: &Range) -> bool {
    let newest = ask.revision <= 0 || ask.revision == view.revision();
    let all = newest && ask.limit <= 0 && !ask.keys_only;
    all && view.at_least(&ask.range).bytes > outflow::KEPT
}

/// Measures a plain range, and keeps its pairs if they turn out to be few.
async fn flowing(
    service: &Service,
    view: &Arc<View>,
    ask: &Range,
    guessed: u64,
) -> Result<Found, Status> {
    let guessed = guessed.min(outflow::ROOM);
    let permit = service.budget.reserve(guessed).await?;
    let measure = view.measure(ask).map_err(unreadable)?;
    if let Some(measure) = measure.filter(|measure| measure.pairs.bytes > outflow::KEPT) {
        let permit = service.budget.correct(permit, guessed, outflow::ROOM);
        return Ok(Found::Flowing(measure.into(), permit));
    }
    let read = measure.map_or_else(|| view.at_most(&ask.range), |measure| measure.pairs).bytes;
    let here = read.saturating_add(view.cost_of_count(&ask.range, ask.revision)) <= outflow::KEPT;
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
            service.surveys.count();
            let permit = service.budget.correct(permit, guessed, outflow::ROOM);
            Ok(Found::Flowing(extent, permit))
        }
        None => Err(crate::errors::canceled()),
    }
}

/// How many keys a range holds at a revision, counted aside if that may be to read much.
pub async fn count(service: &Service, view: &Arc<View>, ask: &Range) -> Result<i64, Status> {
    let ask = Range { count_only: true, ..ask.clone() };
    let answer = if view.cost_of_count(&ask.range, ask.revision) > SMALL_ANSWER {
        let view = view.clone();
        service.aside.run(move || view.range(&ask)).await
    } else {
        view.range(&ask)
    };
    Ok(answer.map_err(unreadable)?.count)
}

/// How the pairs of a range with a limit are weighed: by a bound at once, or exactly.
type Weigh = fn(&View, &KeyRange, i64) -> Result<u64, Status>;

fn at_most(view: &View, range: &KeyRange, _: i64) -> Result<u64, Status> {
    Ok(in_memory(view.at_most(range)))
}

fn exactly(view: &View, range: &KeyRange, limit: i64) -> Result<u64, Status> {
    let ask = Range { range: range.clone(), limit, ..Range::default() };
    let measure = view.measure(&ask).map_err(unreadable)?;
    measure.map_or_else(|| at_most(view, range, limit), |measure| Ok(in_memory(measure.pairs)))
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
    room_for(service, view, move |view, weigh| guess(view, &txn, weigh)).await
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
    room_for(service, view, move |view, weigh| pairs_in(view, &range, 0, weigh)).await
}

/// Room for what a guess comes to when the pairs are weighed: aside if that may be to read much.
async fn room_for(
    service: &Service,
    view: &Arc<View>,
    guess: impl Fn(&View, Weigh) -> Result<u64, Status> + Send + 'static,
) -> Result<Option<Permit>, Status> {
    let guessed = if guess(view, at_most)? <= outflow::ROOM {
        guess(view, exactly)?
    } else {
        let view = view.clone();
        service.aside.run(move || guess(&view, exactly)).await?
    };
    service.budget.reserve(guessed).await
}

fn guess(view: &View, txn: &Txn, weigh: Weigh) -> Result<u64, Status> {
    let branch = |ops: &[TxnOp]| {
        ops.iter().try_fold(0u64, |sum, op| {
            let more = match op {
                TxnOp::Put(_) => 0,
                TxnOp::Delete(delete) if delete.prev_kv => pairs_in(view, &delete.range, 0, weigh)?,
                TxnOp::Delete(_) => 0,
                TxnOp::Range(range) if range.count_only => 0,
                TxnOp::Range(range) => {
                    // In another order than that of its keys all of it is fetched before it is cut.
                    let limit = if range.is_plain() { range.limit } else { 0 };
                    pairs_in(view, &range.range, limit, weigh)?
                }
                TxnOp::Txn(inner) => guess(view, inner, weigh)?,
            };
            Ok::<_, Status>(sum.saturating_add(more))
        })
    };
    Ok(branch(&txn.success)?.max(branch(&txn.failure)?))
}

/// What the pairs of a range take in memory.
fn pairs_in(view: &View, range: &KeyRange, limit: i64, weigh: Weigh) -> Result<u64, Status> {
    if range.is_single() { Ok(0) } else { weigh(view, range, limit) }
}
