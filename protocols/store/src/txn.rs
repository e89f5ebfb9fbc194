//! The decisions of a transaction, all made before anything is written.
//!
//! First every compare of the tree that can matter is evaluated, nested ones included, on the state
//! before the transaction (contract item 24); the result is a [`Path`]: which branch each
//! transaction on the way takes. Then the operations on that path are checked (item 26), so that a
//! transaction that fails has changed nothing. Only then are they done.

use crate::engine::EngineRead;
use crate::reader::{ReadError, Reader};
use crate::{Answer, Fenced, Guard, Put, Range, StoreError, Txn, TxnOp};
use quorate_base::mutant;
use std::collections::VecDeque;

/// Which branch is taken by each transaction that is reached, in the order in which execution
/// reaches them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Path(VecDeque<bool>);

impl Path {
    /// Passes over the choices of a transaction that is not looked at.
    pub fn skip(&mut self, txn: &Txn) {
        let succeeded = self.next();
        for op in branch(txn, succeeded) {
            match op {
                TxnOp::Txn(nested) => self.skip(nested),
                TxnOp::Range(_) | TxnOp::Put(_) | TxnOp::Delete(_) => {}
            }
        }
    }

    /// The choice of the transaction that execution reaches next.
    pub fn next(&mut self) -> bool {
        self.0.pop_front().expect("the path has a choice for every transaction on it")
    }
}

/// The operations of the branch.
pub(crate) fn branch(txn: &Txn, succeeded: bool) -> &[TxnOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

/// Evaluates the compares.
pub(crate) fn decide<R: EngineRead>(
    reader: &Reader<'_, R>,
    txn: &Txn,
    path: &mut Path,
) -> Result<(), ReadError> {
    let mut succeeded = true;
    for compare in &txn.compares {
        if !reader.holds(compare)? {
            succeeded = false;
            break;
        }
    }
    path.0.push_back(succeeded);
    for op in branch(txn, succeeded) {
        match op {
            TxnOp::Txn(nested) => decide(reader, nested, path)?,
            TxnOp::Range(_) | TxnOp::Put(_) | TxnOp::Delete(_) => {}
        }
    }
    Ok(())
}

/// Checks the operations on the path; `check_put` is the writer's.
pub(crate) fn check<R: EngineRead>(
    reader: &Reader<'_, R>,
    txn: &Txn,
    path: &mut Path,
    check_put: &impl Fn(&Put) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let succeeded = path.next();
    for op in branch(txn, succeeded) {
        match op {
            TxnOp::Range(_) if mutant!(STORE_315_RANGES_NOT_CHECKED) => {}
            // Alone, a negative revision is the newest; in a transaction etcd takes it by its number.
            TxnOp::Range(Range { revision: asked @ ..0, .. }) => {
                let compacted = reader.compacted;
                return Err(StoreError::Compacted { asked: *asked, compacted }.into());
            }
            TxnOp::Range(range) => reader.check_revision(range.revision)?,
            TxnOp::Put(put) => check_put(put)?,
            TxnOp::Delete(_) => {}
            TxnOp::Txn(nested) => check(reader, nested, path, check_put)?,
        }
    }
    Ok(())
}

/// Answers a transaction that only reads.
pub(crate) fn read<R: EngineRead>(reader: &Reader<'_, R>, txn: &Txn) -> Result<Answer, ReadError> {
    let mut path = Path::default();
    decide(reader, txn, &mut path)?;
    let never = |_: &Put| -> Result<(), ReadError> { unreachable!("checked to have no put") };
    check(reader, txn, &mut path.clone(), &never)?;
    read_branch(reader, txn, &mut path)
}

fn read_branch<R: EngineRead>(
    reader: &Reader<'_, R>,
    txn: &Txn,
    path: &mut Path,
) -> Result<Answer, ReadError> {
    let succeeded = path.next();
    let ops = branch(txn, succeeded);
    let mut answers = Vec::with_capacity(ops.len());
    for op in ops {
        answers.push(match op {
            TxnOp::Range(range) => Answer::Range(reader.range(range)?),
            TxnOp::Txn(nested) => read_branch(reader, nested, path)?,
            TxnOp::Put(_) | TxnOp::Delete(_) => unreachable!("checked to have no write"),
        });
    }
    Ok(Answer::Txn { succeeded, answers })
}

impl From<crate::layout::Malformed> for crate::EngineError {
    fn from(error: crate::layout::Malformed) -> crate::EngineError {
        crate::EngineError(error.0.into())
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::KeyNotFound => write!(f, "the key does not exist"),
            StoreError::LeaseNotFound => write!(f, "the lease does not exist"),
            StoreError::LeaseExists => write!(f, "a lease with this id exists"),
            StoreError::Compacted { asked, compacted } => {
                write!(f, "revision {asked} was compacted away, the oldest left is {compacted}")
            }
            StoreError::FutureRevision { asked, current } => {
                write!(f, "revision {asked} does not exist yet, the newest is {current}")
            }
            StoreError::NoSpace => write!(f, "the NOSPACE alarm is on"),
            StoreError::Corrupt => write!(f, "the CORRUPT alarm is on"),
            StoreError::MemberExists { id } => {
                write!(f, "member {id:x} exists, or existed: an id is never used again")
            }
            StoreError::MemberNotFound { id } => write!(f, "there is no member {id:x}"),
            StoreError::PeerUrlExists => write!(f, "another member has one of these peer URLs"),
            StoreError::NotALearner { id } => write!(f, "member {id:x} votes already"),
            StoreError::TooManyLearners { limit } => {
                write!(f, "there are {limit} learners, as many as there may be")
            }
            StoreError::LastMember { id } => {
                write!(f, "member {id:x} is the last that votes: nothing could be decided after it")
            }
            StoreError::Auth(error) => write!(f, "{error}"),
            StoreError::Fenced(fenced) => {
                let Fenced { guard: Guard { prefix, lock }, current, given } = &**fenced;
                write!(f, "{prefix:?} is guarded by {lock:?}: token {given:?} is not {current:?}")
            }
            StoreError::GuardExists(guard) => {
                write!(f, "{:?} is guarded by {:?} already", guard.prefix, guard.lock)
            }
            StoreError::GuardNotFound { prefix } => write!(f, "{prefix:?} is not guarded"),
            StoreError::DowngradeInProcess => write!(f, "a downgrade is under way"),
            StoreError::NoDowngrade => write!(f, "no downgrade is under way"),
            StoreError::TooManyGuards { limit } => {
                write!(f, "there are {limit} guards, the limit")
            }
        }
    }
}

impl std::error::Error for StoreError {}
