//! Guarded prefixes: writes that need the token of a lock, whoever sends them.
//!
//! # What it promises
//!
//! A guard says that keys under a prefix belong to whoever holds a lock. Every member judges every
//! command when it is applied, at its place in the log: a put, a delete or a transaction that
//! touches the prefix, and a client's revoke of a lease with keys there, is refused unless the
//! command carries the token of the lock's holder *at that place*
//! ([`Caller::fences`](crate::Caller)). A holder that was paused for longer than its lease, and
//! wakes up believing, is refused like anybody else; no client has to remember to check.
//!
//! # Who holds a lock
//!
//! Locks are those of etcd's recipe and of the Lock and Election services: all keys under `NAME/`
//! are a line, and the oldest of them is the holder's. Its create revision is the token. It only
//! grows from holder to holder, and when the line is empty there is no token, so that nobody
//! writes. (Keys that one transaction puts into a line are of one age, and share the token.)
//!
//! # The edges
//!
//! - A delete of a range touches a prefix when some key could be in both, whether or not one is.
//! - Of a transaction, the operations on the path that it takes count, at any depth.
//! - The token is looked at before the command changes anything: a transaction may give the lock
//!   back and write once more.
//! - A lease that *expires* takes its keys with it, guarded or not: it is what ends a hold, and a
//!   dead client must not leave keys for ever. So does a member's revoke for it.
//! - The keys of a lock's own line are not guarded by that lock, even where its guard covers them:
//!   otherwise nobody could ever take it. The guards of other locks do cover them.
//! - Reading, comparing and watching are free.
//! - Guards overlap: a write needs the token of each that it touches.
//!
//! # What it costs
//!
//! Nothing while there are no guards. Otherwise the lines of the locks that guard something are
//! kept in memory (rebuilt when the state is opened), and a write looks at each guard: they are
//! limited to [`MAX_GUARDS`].

use crate::applier::Applier;
use crate::engine::{Engine, EngineError, EngineRead};
use crate::layout::{self, CURRENT, GUARD, Header};
use crate::reader::{ReadError, bounds};
use crate::txn::{self, Path};
use crate::{Action, Answer, Fence, KeyRange, StoreError, Txn, TxnOp};
use bytes::Bytes;
use quorate_base::mutant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Prefixes that can be guarded at a time.
pub const MAX_GUARDS: usize = 1_000;

/// A change of what is guarded.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum GuardChange {
    /// Writes under `prefix` need the token of `lock`. A prefix has one guard.
    Set { prefix: Bytes, lock: Bytes },
    /// They need it no longer.
    Remove { prefix: Bytes },
}

/// A guarded prefix.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Guard {
    /// All keys that start with it.
    pub prefix: Bytes,
    /// The lock's name.
    pub lock: Bytes,
}

/// What is guarded, by prefix.
pub type GuardTable = BTreeMap<Bytes, Bytes>;

/// Why a write was refused: what it lacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fenced {
    /// The guard.
    pub guard: Guard,
    /// The token of the lock's holder; `None` when nobody holds it.
    pub current: Option<i64>,
    /// The newest token of this lock that the command carried, if any.
    pub given: Option<i64>,
}

/// The guards with the lines of their locks.
#[derive(Debug)]
pub(crate) struct Guards {
    table: Arc<GuardTable>,
    /// For each lock that guards something, its line: create revisions with their keys.
    lines: BTreeMap<Bytes, BTreeSet<(i64, Bytes)>>,
}

/// All keys in line for a lock.
fn line_of(lock: &[u8]) -> KeyRange {
    KeyRange::prefix([lock, b"/"].concat())
}

/// The guards that lie in an engine.
pub(crate) fn load<R: EngineRead>(engine: &R) -> Result<GuardTable, EngineError> {
    let pairs = engine.range(&[GUARD], Some(&[GUARD + 1]));
    pairs.map(|pair| pair.map(|(key, lock)| (key.slice(1..), lock))).collect()
}

fn load_line<R: EngineRead>(
    engine: &R,
    lock: &[u8],
) -> Result<BTreeSet<(i64, Bytes)>, EngineError> {
    let line = line_of(lock);
    let (from, to) = bounds(&line);
    let low = layout::plain(CURRENT, from);
    let high = to.map_or_else(|| vec![CURRENT + 1], |to| layout::plain(CURRENT, to));
    let pairs = engine.range(&low, Some(&high));
    pairs
        .map(|pair| {
            let (key, record) = pair?;
            Ok((Header::read(&record)?.create, key.slice(1..)))
        })
        .collect()
}

impl Guards {
    pub fn open<R: EngineRead>(engine: &R) -> Result<Guards, EngineError> {
        let table = load(engine)?;
        let mut lines = BTreeMap::new();
        for lock in table.values() {
            if !lines.contains_key(lock) {
                lines.insert(lock.clone(), load_line(engine, lock)?);
            }
        }
        Ok(Guards { table: Arc::new(table), lines })
    }

    /// What is guarded, for readers.
    pub fn table(&self) -> &Arc<GuardTable> {
        &self.table
    }

    fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A key came into being.
    pub fn born(&mut self, key: &Bytes, created: i64) {
        for (lock, line) in &mut self.lines {
            if stands_in(key, lock) {
                line.insert((created, key.clone()));
            }
        }
    }

    /// A key is gone.
    pub fn died(&mut self, key: &Bytes, created: i64) {
        for (lock, line) in &mut self.lines {
            if stands_in(key, lock) {
                line.remove(&(created, key.clone()));
            }
        }
    }

    /// The token of a lock's holder.
    fn current(&self, lock: &Bytes) -> Option<i64> {
        self.lines.get(lock)?.first().map(|(created, _)| *created)
    }

    /// Refuses a write of `range` that lacks a token.
    fn check(&self, fences: &[Fence], range: &KeyRange) -> Result<(), StoreError> {
        for (prefix, lock) in self.table.iter() {
            if !touches(range, prefix) || range.is_within(&line_of(lock)) {
                continue;
            }
            let current = self.current(lock);
            let given = fences.iter().filter(|fence| fence.lock == *lock).map(|fence| fence.token);
            if !given.clone().any(|token| Some(token) == current) {
                let guard = Guard { prefix: prefix.clone(), lock: lock.clone() };
                let fenced = Fenced { guard, current, given: given.max() };
                return Err(StoreError::Fenced(Box::new(fenced)));
            }
        }
        Ok(())
    }

    fn check_path(&self, fences: &[Fence], txn: &Txn, path: &mut Path) -> Result<(), StoreError> {
        let succeeded = path.next();
        for op in txn::branch(txn, succeeded) {
            match op {
                TxnOp::Range(_) => {}
                TxnOp::Put(put) => self.check(fences, &KeyRange::single(put.key.clone()))?,
                TxnOp::Delete(delete) => self.check(fences, &delete.range)?,
                TxnOp::Txn(nested) if mutant!(GUARD_331_SKIPS_NESTED) => path.skip(nested),
                TxnOp::Txn(nested) => self.check_path(fences, nested, path)?,
            }
        }
        Ok(())
    }
}

fn stands_in(key: &[u8], lock: &[u8]) -> bool {
    key.strip_prefix(lock).is_some_and(|rest| rest.first() == Some(&b'/'))
}

fn touches(range: &KeyRange, prefix: &Bytes) -> bool {
    if range.is_single() {
        return range.key.starts_with(prefix);
    }
    KeyRange::prefix(prefix.clone()).overlaps(range)
}

impl<E: Engine> Applier<E> {
    /// Refuses an action that writes where it may not. Of a transaction, see
    /// [`Applier::check_guarded_path`].
    pub(crate) fn check_guards(&self, fences: &[Fence], action: &Action) -> Result<(), ReadError> {
        if self.guards.is_empty() || mutant!(GUARD_330_NOT_AT_APPLY) {
            return Ok(());
        }
        let single = |key: &Bytes| self.guards.check(fences, &KeyRange::single(key.clone()));
        match action {
            Action::Put(put) => single(&put.key)?,
            Action::Delete(delete) => self.guards.check(fences, &delete.range)?,
            // A client's revoke is a delete of the keys; what expires goes.
            Action::LeaseRevoke { id, term: None } => {
                for key in crate::lease::load_keys(&self.engine, *id)? {
                    single(&key)?;
                }
            }
            Action::Txn(_)
            | Action::LeaseRevoke { term: Some(_), .. }
            | Action::Compact { .. }
            | Action::LeaseGrant { .. }
            | Action::LeaseCheckpoint { .. }
            | Action::Alarm { .. }
            | Action::Guard(_)
            | Action::Member(_)
            | Action::Auth(_)
            | Action::Downgrade(_)
            | Action::AuditCheckpoint { .. } => {}
        }
        Ok(())
    }

    /// Refuses a transaction whose path writes where it may not.
    pub(crate) fn check_guarded_path(
        &self,
        fences: &[Fence],
        txn: &Txn,
        path: &Path,
    ) -> Result<(), StoreError> {
        if self.guards.is_empty() || mutant!(GUARD_330_NOT_AT_APPLY) {
            return Ok(());
        }
        self.guards.check_path(fences, txn, &mut path.clone())
    }

    /// Sets or removes a guard. No revision: no key changes.
    pub(crate) fn change_guard(&mut self, change: &GuardChange) -> Result<Answer, ReadError> {
        match change {
            GuardChange::Set { prefix, lock } => self.set_guard(prefix, lock)?,
            GuardChange::Remove { prefix } => {
                let table = Arc::make_mut(&mut self.guards.table);
                let Some(lock) = table.remove(prefix) else {
                    return Err(StoreError::GuardNotFound { prefix: prefix.clone() }.into());
                };
                if !table.values().any(|other| *other == lock) {
                    self.guards.lines.remove(&lock);
                }
                self.set(&layout::plain(GUARD, prefix), None)?;
            }
        }
        Ok(Answer::Guard)
    }

    fn set_guard(&mut self, prefix: &Bytes, lock: &Bytes) -> Result<(), ReadError> {
        match self.guards.table.get(prefix) {
            Some(known) if known == lock => return Ok(()),
            Some(known) => {
                let guard = Guard { prefix: prefix.clone(), lock: known.clone() };
                return Err(StoreError::GuardExists(Box::new(guard)).into());
            }
            None if self.guards.table.len() >= MAX_GUARDS => {
                return Err(StoreError::TooManyGuards { limit: MAX_GUARDS }.into());
            }
            None => {}
        }
        let line = load_line(&self.engine, lock)?;
        self.guards.lines.insert(lock.clone(), line);
        Arc::make_mut(&mut self.guards.table).insert(prefix.clone(), lock.clone());
        self.set(&layout::plain(GUARD, prefix), Some(lock))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_everything_under_the_name_and_a_slash() {
        assert!(stands_in(b"lock/1", b"lock") && stands_in(b"lock/", b"lock"));
        assert!(!stands_in(b"lock", b"lock") && !stands_in(b"lock2/1", b"lock"));
        for key in [&b"lock/"[..], b"lock/a", b"lock0", b"loc", b"lock"] {
            assert_eq!(stands_in(key, b"lock"), line_of(b"lock").contains(key), "{key:?}");
        }
    }

    #[test]
    fn ranges_touch_what_they_could_share_a_key_with() {
        let touches = |key: &'static [u8], end: &'static [u8], prefix: &'static [u8]| {
            let range = KeyRange { key: Bytes::from_static(key), end: Bytes::from_static(end) };
            touches(&range, &Bytes::from_static(prefix))
        };
        assert!(touches(b"p/1", b"", b"p/") && !touches(b"p", b"", b"p/"));
        assert!(touches(b"a", b"z", b"p/") && touches(b"\0", b"\0", b"p/"));
        assert!(!touches(b"a", b"p/", b"p/") && touches(b"a", b"p/\0", b"p/"));
        assert!(!touches(b"z", b"a", b"p/"), "an empty range touches nothing");
        assert!(touches(b"x", b"", b"") && touches(b"a", b"b", b""), "no prefix is every key");
    }
}
