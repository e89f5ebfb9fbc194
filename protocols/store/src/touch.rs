//! Which keys a request touches, and how: one recursive walk for all who need to know.
//!
//! Rights, guards of prefixes, the audit log and the checks of a request all ask this, so that none
//! of them can know of an operation that another has forgotten. Contract items 64 and 65 are here:
//!
//! | operation | touches |
//! |---|---|
//! | put | WRITE on its key; WRITE on all keys of its lease; READ on its key for `prev_kv` |
//! | delete | WRITE on its range; READ on it for `prev_kv` |
//! | range, compare | READ on its range |
//! | transaction | all of its compares, then both branches, nested ones included |
//! | end of a lease | WRITE on all of its keys |

use crate::{Action, Compare, Delete, KeyRange, Put, Txn, TxnOp};

/// A set of keys, borrowed from a request: see [`KeyRange`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span<'a> {
    /// First key.
    pub key: &'a [u8],
    /// End, with etcd's two special values.
    pub end: &'a [u8],
}

impl<'a> Span<'a> {
    /// One key.
    pub fn key(key: &'a [u8]) -> Span<'a> {
        Span { key, end: &[] }
    }

    /// True when there is no last key.
    pub fn is_unbounded(self) -> bool {
        self.end == [0]
    }
}

impl<'a> From<&'a KeyRange> for Span<'a> {
    fn from(range: &'a KeyRange) -> Span<'a> {
        Span { key: &range.key, end: &range.end }
    }
}

/// What is needed on keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Right {
    Read,
    Write,
}

/// Which operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum By {
    Put,
    Delete,
    Range,
    Compare,
}

/// One touch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Touch<'a> {
    /// Keys that the request names.
    Keys { span: Span<'a>, right: Right, by: By },
    /// WRITE on every key that is attached to a lease when the request is applied.
    LeaseKeys { id: i64 },
}

/// Walks over everything that an action touches, in a fixed order, until `see` fails.
///
/// # Errors
/// The one of `see`.
pub fn visit<'a, E>(
    action: &'a Action,
    see: &mut impl FnMut(Touch<'a>) -> Result<(), E>,
) -> Result<(), E> {
    match action {
        Action::Put(put) => visit_put(put, see),
        Action::Delete(delete) => visit_delete(delete, see),
        Action::Txn(txn) => visit_txn(txn, see),
        Action::LeaseRevoke { id, .. } => see(Touch::LeaseKeys { id: *id }),
        Action::Compact { .. }
        | Action::LeaseGrant { .. }
        | Action::LeaseCheckpoint { .. }
        | Action::Alarm { .. }
        | Action::Guard(_)
        | Action::Member(_)
        | Action::Auth(_)
        | Action::Downgrade(_)
        | Action::AuditCheckpoint { .. } => Ok(()),
    }
}

/// [`visit`] for a transaction that is not an action yet.
///
/// # Errors
/// The one of `see`.
pub fn visit_txn<'a, E>(
    txn: &'a Txn,
    see: &mut impl FnMut(Touch<'a>) -> Result<(), E>,
) -> Result<(), E> {
    for Compare { range, .. } in &txn.compares {
        see(Touch::Keys { span: range.into(), right: Right::Read, by: By::Compare })?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            TxnOp::Range(range) => {
                let span = (&range.range).into();
                see(Touch::Keys { span, right: Right::Read, by: By::Range })?;
            }
            TxnOp::Put(put) => visit_put(put, see)?,
            TxnOp::Delete(delete) => visit_delete(delete, see)?,
            TxnOp::Txn(nested) => visit_txn(nested, see)?,
        }
    }
    Ok(())
}

fn visit_put<'a, E>(
    put: &'a Put,
    see: &mut impl FnMut(Touch<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let span = Span::key(&put.key);
    see(Touch::Keys { span, right: Right::Write, by: By::Put })?;
    if put.lease != 0 {
        // Who may not end the lease must not hang keys on it either.
        see(Touch::LeaseKeys { id: put.lease })?;
    }
    if put.prev_kv {
        see(Touch::Keys { span, right: Right::Read, by: By::Put })?;
    }
    Ok(())
}

fn visit_delete<'a, E>(
    delete: &'a Delete,
    see: &mut impl FnMut(Touch<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let span = (&delete.range).into();
    see(Touch::Keys { span, right: Right::Write, by: By::Delete })?;
    if delete.prev_kv {
        see(Touch::Keys { span, right: Right::Read, by: By::Delete })?;
    }
    Ok(())
}

/// True when the action can take space: it puts something, on whichever path.
pub fn puts(action: &Action) -> bool {
    let found = visit(action, &mut |touch| match touch {
        Touch::Keys { by: By::Put, .. } => Err(()),
        Touch::Keys { by: By::Delete | By::Range | By::Compare, .. } | Touch::LeaseKeys { .. } => {
            Ok(())
        }
    });
    found.is_err()
}
