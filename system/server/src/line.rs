//! Standing in line: what locks and elections have in common (contract items 61 to 63).
//!
//! A line is all keys under `NAME/`. Whoever wants to be first puts a key of its own there, named by
//! its lease, and stands where its create revision puts it: the order in which the log took the
//! requests, so the line is fair and the same for every member and every client, those that use
//! etcd's recipes on their own side included. Each waits for the one before it alone, so that a
//! place that becomes free wakes one caller into asking.
//!
//! Waiting reads this member's own state: a delete that comes here late makes a caller late, never
//! early. Whoever is first is asked once more, linearizably, whether it still stands there.
//!
//! # When the caller goes away
//!
//! Putting the key is a write under way that cannot be taken back, so a call works in a task of its
//! own ([`to_the_end`]) that outlives its caller and gives the place up when nobody wants it any
//! more. A member that dies meanwhile leaves the place to the lease.
//!
//! # When the caller's rights go away
//!
//! Users and roles may change while a caller waits. Its key was put when it was allowed; whether it
//! still is, is asked again when its turn has come ([`Claim`]). A place that is not wanted any more
//! is given up by the member itself, for its caller may not even delete by then, and those who
//! stand behind would wait for the end of a lease.

use crate::audit;
use crate::caller::Known;
use crate::errors;
use crate::follow::{Follow, News};
use crate::kv::{settled, unreadable};
use crate::lease;
use crate::service::Service;
use crate::standing::Standing;
use bytes::Bytes;
use quorate_host::View;
use quorate_store::touch::Span;
use quorate_store::{
    Action, Answer, Caller, Compare, CompareResult, CompareTarget, Delete, KeyRange, KeyValue,
    MAX_KEY_BYTES, Put, Range, SortOrder, SortTarget, Txn, TxnOp,
};
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Request, Status};

/// Seconds of the lease of a caller that brings none; nobody renews it.
const SESSION_TTL: i64 = 60;

/// Resolves when the caller has gone.
pub type Gone = oneshot::Receiver<()>;

/// The lease that bounds a stay in line.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Its id.
    pub lease: i64,
    /// It was granted for this call.
    pub ours: bool,
}

impl Session {
    /// The caller's lease, or a new one if it is 0.
    pub async fn of(service: &Service, caller: &Caller, lease: i64) -> Result<Session, Status> {
        if lease != 0 {
            return Ok(Session { lease, ours: false });
        }
        let granted = lease::grant(service, caller, 0, SESSION_TTL).await?;
        Ok(Session { lease: granted.id, ours: true })
    }
}

/// Who wants to stand in line, now and when its turn has come.
pub struct Claim {
    /// What entries name.
    pub caller: Caller,
    standing: Standing,
}

impl Claim {
    /// The caller of a request.
    ///
    /// # Errors
    /// When it claims to be what it cannot show.
    pub fn of<T>(service: &Service, request: &Request<T>) -> Result<Claim, Status> {
        let caller = service.caller(request)?;
        let standing = Standing::of(Known::of(request), &service.view());
        Ok(Claim { caller, standing })
    }

    /// Whether it may still do what it did to get its place.
    fn holds(&mut self, service: &Service, view: &View, place: &Place) -> Result<(), Status> {
        self.standing.may_read(service, view, (&place.line).into())?;
        self.standing.may_write(service, view, Span::key(&place.key))
    }
}

/// A place in line.
#[derive(Clone, Debug)]
pub struct Place {
    /// All keys of the line.
    pub line: KeyRange,
    /// The caller's.
    pub key: Bytes,
    /// When it was created: the fencing token.
    pub created: i64,
    /// What bounds it.
    pub session: Session,
    /// Who asked for it.
    pub caller: Caller,
}

/// The keys of the line called `name`.
pub fn line(name: &[u8]) -> KeyRange {
    KeyRange::prefix([name, b"/"].concat())
}

/// The key of a lease in the line called `name`.
pub fn key_of(name: &[u8], lease: i64) -> Bytes {
    // As Go prints a signed number.
    let sign = if lease < 0 { "-" } else { "" };
    [name, format!("/{sign}{:x}", lease.unsigned_abs()).as_bytes()].concat().into()
}

/// The condition that the key was created at `revision`; 0 is that it is not there.
pub fn created_at(key: &Bytes, revision: i64) -> Compare {
    Compare {
        range: KeyRange::single(key.clone()),
        result: CompareResult::Equal,
        target: CompareTarget::Create(revision),
    }
}

/// Reads the first in line.
pub fn first(line: &KeyRange) -> Range {
    let (order, target) = (SortOrder::Ascend, SortTarget::Create);
    Range { range: line.clone(), limit: 1, order, target, ..Range::default() }
}

/// Reads one key.
pub fn one(key: &Bytes) -> Range {
    Range { range: KeyRange::single(key.clone()), ..Range::default() }
}

/// A put of the caller's key.
pub fn put(key: &Bytes, value: Bytes, lease: i64) -> TxnOp {
    TxnOp::Put(Put { key: key.clone(), value, lease, ..Put::default() })
}

/// A transaction's answers with the revision after it.
pub struct Ran {
    /// The compares held.
    pub succeeded: bool,
    /// The answers of its ranges, in order.
    pub ranges: Vec<Vec<KeyValue>>,
    /// For the header.
    pub revision: i64,
}

/// Puts a transaction through the log.
///
/// # Errors
/// Also when it puts a key that no store takes: names come from requests, and an entry that no
/// engine can hold would stop every member at the same place.
pub async fn run(service: &Service, caller: &Caller, txn: Txn) -> Result<Ran, Status> {
    let puts = txn.success.iter().filter_map(|op| match op {
        TxnOp::Put(put) => Some(put.key.len()),
        TxnOp::Range(_) | TxnOp::Delete(_) | TxnOp::Txn(_) => None,
    });
    for bytes in puts {
        if bytes == 0 {
            return Err(errors::empty_key());
        }
        if bytes > MAX_KEY_BYTES {
            return Err(errors::key_too_long(bytes, MAX_KEY_BYTES));
        }
    }
    match settled(service.write(caller.clone(), Action::Txn(txn)).await?)? {
        (Answer::Txn { succeeded, answers }, revision) => {
            let pairs = answers.into_iter().filter_map(|answer| match answer {
                Answer::Range(range) => Some(range.kvs),
                Answer::Put { .. }
                | Answer::Delete { .. }
                | Answer::Txn { .. }
                | Answer::Compact
                | Answer::LeaseGrant { .. }
                | Answer::LeaseRevoke
                | Answer::LeaseCheckpoint
                | Answer::Alarm { .. }
                | Answer::Guard
                | Answer::Members(_)
                | Answer::Auth
                | Answer::Authenticate { .. }
                | Answer::Downgrade
                | Answer::AuditCheckpoint => None,
            });
            Ok(Ran { succeeded, ranges: pairs.collect(), revision })
        }
        (other, _) => Err(Status::internal(format!("a transaction answered {other:?}"))),
    }
}

/// Gives a place up on behalf of its caller, if it is still the same one.
///
/// # Errors
/// When the caller may not, or nobody knows.
pub async fn leave(service: &Service, place: &Place) -> Result<Ran, Status> {
    leave_as(service, &place.caller, place).await
}

/// Gives up a place that nobody wants any more. A lease granted for it goes with it.
pub async fn give_up(service: &Service, place: &Place) {
    let caller = Caller { fences: place.caller.fences.clone(), ..service.host.myself() };
    // If it fails, the lease ends the place.
    let _ = leave_as(service, &caller, place).await;
    if place.session.ours {
        // It would end by itself a minute later.
        let revoke = Action::LeaseRevoke { id: place.session.lease, term: None };
        let _ = service.write(caller, revoke).await;
    }
}

async fn leave_as(service: &Service, caller: &Caller, place: &Place) -> Result<Ran, Status> {
    let delete = Delete { range: KeyRange::single(place.key.clone()), prev_kv: false };
    let compares = vec![created_at(&place.key, place.created)];
    let success = vec![TxnOp::Delete(delete)];
    run(service, caller, Txn { compares, success, failure: Vec::new() }).await
}

/// Runs a call to its end, whether or not its caller waits for that.
pub async fn to_the_end<T, W>(work: impl FnOnce(Gone) -> W) -> Result<T, Status>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Status>> + Send + 'static,
{
    let (here, gone) = oneshot::channel();
    let done = tokio::spawn(audit::carried(work(gone))).await;
    drop(here);
    done.unwrap_or_else(|_| Err(errors::stopped()))
}

/// Waits until the place is the first in line, and returns the state in which it was found there.
/// On an error, and when the caller has gone, the place is given up.
///
/// # Errors
/// `lost` when the place was lost while it waited: its lease ended, or somebody deleted its key; and
/// why its caller may not be there any more.
pub async fn wait(
    service: &Arc<Service>,
    claim: &mut Claim,
    place: &Place,
    gone: &mut Gone,
    lost: fn() -> Status,
) -> Result<Arc<View>, Status> {
    let waited = tokio::select! {
        biased;
        _ = gone => Err(errors::canceled()),
        waited = until_first(service, claim, place, lost) => waited,
    };
    if waited.is_err() {
        give_up(service, place).await;
    }
    waited
}

async fn until_first(
    service: &Arc<Service>,
    claim: &mut Claim,
    place: &Place,
    lost: fn() -> Status,
) -> Result<Arc<View>, Status> {
    loop {
        let view = service.view();
        if !stands(&view, place)? {
            return Err(lost());
        }
        let Some(before) = one_before(&view, place)? else { break };
        // These two alone: whoever else comes and goes in a long line wakes nobody here.
        let keys = [before, place.key.clone()].map(KeyRange::single);
        until_deleted(&mut Follow::after(service, keys, view.revision())).await?;
    }
    let view = service.linearizable().await?;
    claim.holds(service, &view, place)?;
    if stands(&view, place)? { Ok(view) } else { Err(lost()) }
}

fn stands(view: &View, place: &Place) -> Result<bool, Status> {
    let found = view.range(&one(&place.key)).map_err(unreadable)?.kvs;
    Ok(found.first().is_some_and(|pair| pair.create_revision == place.created))
}

/// The key that stands directly before the place.
fn one_before(view: &View, place: &Place) -> Result<Option<Bytes>, Status> {
    if place.created <= 1 {
        return Ok(None);
    }
    let range = Range {
        order: SortOrder::Descend,
        max_create_revision: place.created - 1,
        ..first(&place.line)
    };
    Ok(view.range(&range).map_err(unreadable)?.kvs.into_iter().next().map(|pair| pair.key))
}

/// Returns when one of the keys was deleted, or when what happened can no longer be told.
async fn until_deleted(follow: &mut Follow) -> Result<(), Status> {
    loop {
        match follow.next().await? {
            News::Compacted => return Ok(()),
            News::Events { events, .. } => {
                if events.iter().any(|delivery| delivery.encoded.event().delete) {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_as_etcds_recipes_name_them() {
        assert_eq!(key_of(b"lock", 0x694d_5765), "lock/694d5765");
        assert_eq!(key_of(b"lock", -1), "lock/-1");
        assert!(line(b"lock").contains(b"lock/a") && !line(b"lock").contains(b"lock0"));
    }
}
