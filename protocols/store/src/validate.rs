//! What the API refuses before anything goes into the log, as pure functions.
//!
//! The order of the checks is part of the contract: a request that is wrong twice gets the same
//! error as from etcd.

use crate::{Action, Delete, GuardChange, KeyRange, Put, Range, Txn, TxnOp};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fmt;

/// The longest key that can be written, in bytes (differs from etcd: see docs/etcd-differences.md).
///
/// The state engine's own keys have at most 65,535 bytes, and in the history a zero byte of a key
/// takes two; this leaves room for what stands around it.
pub const MAX_KEY_BYTES: usize = 32_000;
/// The greatest number of compares, or of operations in a branch, by default (contract item 21).
pub const MAX_TXN_OPS: usize = 128;
/// The longest time to live of a lease, in seconds (contract item 55).
pub const MAX_LEASE_TTL: i64 = 9_000_000_000;

/// Why a request is refused; nothing happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum ValidationError {
    /// A key is empty.
    EmptyKey,
    /// `ignore_value` with a value.
    ValueProvided,
    /// `ignore_lease` with a lease.
    LeaseProvided,
    /// More operations than `limit`, which shrinks with each level of nesting.
    TooManyOps { ops: usize, limit: usize },
    /// The key is put twice, or put and deleted, on one path through a transaction.
    DuplicateKey { key: Bytes },
    /// The sort order or target is none of ours; for the decoder to use.
    InvalidSortOption,
    /// An operation of a transaction holds no request; for the decoder to use (contract item 23).
    EmptyOp,
    /// A guard names no lock.
    EmptyLock,
    /// The time to live is beyond [`MAX_LEASE_TTL`].
    LeaseTtlTooLarge { asked: i64 },
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValidationError::EmptyKey => write!(f, "a key is empty"),
            ValidationError::ValueProvided => write!(f, "a value to ignore is given"),
            ValidationError::LeaseProvided => write!(f, "a lease to ignore is given"),
            ValidationError::TooManyOps { ops, limit } => {
                write!(f, "{ops} operations in a transaction, at most {limit} are allowed")
            }
            ValidationError::DuplicateKey { key } => {
                write!(f, "{key:?} would be changed twice by one transaction")
            }
            ValidationError::InvalidSortOption => write!(f, "unknown sort order or target"),
            ValidationError::EmptyOp => write!(f, "an operation of a transaction is empty"),
            ValidationError::EmptyLock => write!(f, "a guard names no lock"),
            ValidationError::LeaseTtlTooLarge { asked } => {
                write!(f, "a time to live of {asked} s, at most {MAX_LEASE_TTL} s are allowed")
            }
        }
    }
}

impl std::error::Error for ValidationError {}

fn check_key(key: &Bytes) -> Result<(), ValidationError> {
    if key.is_empty() { Err(ValidationError::EmptyKey) } else { Ok(()) }
}

/// Checks a range.
pub fn check_range(range: &Range) -> Result<(), ValidationError> {
    check_key(&range.range.key)
}

/// Checks a put.
pub fn check_put(put: &Put) -> Result<(), ValidationError> {
    check_key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(ValidationError::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(ValidationError::LeaseProvided);
    }
    Ok(())
}

/// Checks a delete.
pub fn check_delete(delete: &Delete) -> Result<(), ValidationError> {
    check_key(&delete.range.key)
}

/// Checks a transaction with at most `max_ops` operations (see [`MAX_TXN_OPS`]).
pub fn check_txn(txn: &Txn, max_ops: usize) -> Result<(), ValidationError> {
    check_txn_ops(txn, max_ops)?;
    for branch in [&txn.success, &txn.failure] {
        // One plain operation cannot collide with itself.
        let trivial = branch.len() < 2 && !branch.iter().any(|op| matches!(op, TxnOp::Txn(_)));
        if !trivial {
            Touched::of(branch)?;
        }
    }
    Ok(())
}

fn check_txn_ops(txn: &Txn, limit: usize) -> Result<(), ValidationError> {
    let ops = txn.compares.len().max(txn.success.len()).max(txn.failure.len());
    if ops > limit {
        return Err(ValidationError::TooManyOps { ops, limit });
    }
    for compare in &txn.compares {
        check_key(&compare.range.key)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            TxnOp::Range(range) => check_range(range)?,
            TxnOp::Put(put) => check_put(put)?,
            TxnOp::Delete(delete) => check_delete(delete)?,
            TxnOp::Txn(nested) => check_txn_ops(nested, limit - ops)?,
        }
    }
    Ok(())
}

/// Checks a command's action.
pub fn check(action: &Action, max_ops: usize) -> Result<(), ValidationError> {
    match action {
        Action::Put(put) => check_put(put),
        Action::Delete(delete) => check_delete(delete),
        Action::Txn(txn) => check_txn(txn, max_ops),
        Action::LeaseGrant { ttl, .. } if *ttl > MAX_LEASE_TTL => {
            Err(ValidationError::LeaseTtlTooLarge { asked: *ttl })
        }
        Action::LeaseGrant { .. }
        | Action::Compact { .. }
        | Action::LeaseRevoke { .. }
        | Action::LeaseCheckpoint { .. }
        | Action::Alarm { .. }
        | Action::Member(_)
        | Action::Auth(_)
        | Action::Downgrade(_)
        | Action::AuditCheckpoint { .. } => Ok(()),
        Action::Guard(GuardChange::Set { lock, .. }) if lock.is_empty() => {
            Err(ValidationError::EmptyLock)
        }
        Action::Guard(_) => Ok(()),
    }
}

/// What a list of operations may change, whichever branches are taken.
#[derive(Default)]
struct Touched<'a> {
    puts: BTreeSet<&'a Bytes>,
    deletes: Vec<&'a KeyRange>,
}

impl<'a> Touched<'a> {
    fn of(ops: &'a [TxnOp]) -> Result<Touched<'a>, ValidationError> {
        let mut all = Touched::default();
        for op in ops {
            match op {
                TxnOp::Range(_) => {}
                TxnOp::Put(put) => {
                    all.check_put(&put.key)?;
                    all.puts.insert(&put.key);
                }
                // etcd passes over a delete of the tail here, and clients lean on it.
                TxnOp::Delete(delete) if delete.range.is_unbounded() => {}
                TxnOp::Delete(delete) => {
                    all.check_delete(&delete.range)?;
                    all.deletes.push(&delete.range);
                }
                TxnOp::Txn(nested) => {
                    // Only one of the two branches is taken: they may touch the same key.
                    let mut either = Touched::of(&nested.success)?;
                    let other = Touched::of(&nested.failure)?;
                    either.puts.extend(other.puts);
                    either.deletes.extend(other.deletes);
                    all.join(either)?;
                }
            }
        }
        Ok(all)
    }

    fn check_put(&self, key: &Bytes) -> Result<(), ValidationError> {
        let deleted = || self.deletes.iter().any(|range| range.contains(key));
        if self.puts.contains(key) || deleted() {
            return Err(ValidationError::DuplicateKey { key: key.clone() });
        }
        Ok(())
    }

    /// Two deletes may overlap; a delete and a put may not.
    fn check_delete(&self, range: &KeyRange) -> Result<(), ValidationError> {
        match self.puts.iter().find(|key| range.contains(key)) {
            Some(key) => Err(ValidationError::DuplicateKey { key: (*key).clone() }),
            None => Ok(()),
        }
    }

    fn join(&mut self, other: Touched<'a>) -> Result<(), ValidationError> {
        for key in &other.puts {
            self.check_put(key)?;
        }
        for range in &other.deletes {
            self.check_delete(range)?;
        }
        self.puts.extend(other.puts);
        self.deletes.extend(other.deletes);
        Ok(())
    }
}

/// True when it can be answered from a view: ranges only, in both branches. A nested transaction
/// makes it one that writes, whatever is in it (contract item 29).
pub fn is_read_only(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).all(|op| match op {
        TxnOp::Range(_) => true,
        TxnOp::Put(_) | TxnOp::Delete(_) | TxnOp::Txn(_) => false,
    })
}

/// True when a read-only transaction needs no leader: every range in it asks for that, and there is
/// one. Without any, etcd takes its compares for serializable too, so that its answer can be
/// stale; here it is not (contract item 29).
pub fn is_serializable(range_flags: impl IntoIterator<Item = bool>) -> bool {
    let mut any = false;
    range_flags.into_iter().all(|flag| {
        any = true;
        flag
    }) && any
}

/// Bytes that an action is charged against the quota (contract item 36).
pub fn cost(action: &Action) -> u64 {
    match action {
        Action::Put(put) => cost_put(put),
        Action::Txn(txn) => cost_txn(txn),
        Action::LeaseGrant { .. } => 64,
        Action::Delete(_)
        | Action::Compact { .. }
        | Action::LeaseRevoke { .. }
        | Action::LeaseCheckpoint { .. }
        | Action::Alarm { .. }
        | Action::Guard(_)
        | Action::Member(_)
        | Action::Auth(_)
        | Action::Downgrade(_)
        | Action::AuditCheckpoint { .. } => 0,
    }
}

fn cost_put(put: &Put) -> u64 {
    256 + put.key.len() as u64 + put.value.len() as u64
}

/// Only one branch is done: the dearer one counts.
fn cost_txn(txn: &Txn) -> u64 {
    let branch = |ops: &[TxnOp]| -> u64 {
        ops.iter()
            .map(|op| match op {
                TxnOp::Put(put) => cost_put(put),
                TxnOp::Txn(nested) => cost_txn(nested),
                TxnOp::Range(_) | TxnOp::Delete(_) => 0,
            })
            .sum()
    };
    branch(&txn.success).max(branch(&txn.failure))
}
