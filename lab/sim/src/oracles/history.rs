//! What clients may see, according to a naive store that is fed with the committed log.
//!
//! The model is a few maps and no cleverness: every version of every key, every change of every
//! revision. It is told each entry by the member that applies it first, and from then on knows what
//! every member must answer to it. It judges:
//!
//! | property | says | where from |
//! |---|---|---|
//! | `operation-applied-once` | copies of an operation have no effect after the first | traps.md B5 |
//! | `same-answer-everywhere` | revision and success of an entry are the model's, on each member | B14 |
//! | `read-of-a-real-state` | a read at revision R is the model's state at R: no phantom, no hole | B1, B3 |
//! | `acknowledged-writes-are-seen` | a linearizable read is no older than any write acknowledged before | B1, B2 |
//! | `revisions-never-go-back` | for one session | B13 |
//! | `watch-without-gap` | events are the model's changes: ordered, unique, complete | B9, B10 |
//! | (the same) | a write under a guard goes through exactly with the holder's token | fencing |
//! | `lease-lives-its-time` | no expiry earlier than the last answer promised | B7 |

use crate::oracles::members::Members;
use crate::oracles::{Violation, expect};
use bytes::Bytes;
use quorate_base::NodeId;
use quorate_raft::LogId;
use quorate_store::{
    Action, Command, CompareTarget, Event, GuardChange, KeyRange, KeyValue, OpId, Outcome, Put,
    Txn, TxnOp,
};
use std::collections::{BTreeMap, BTreeSet};

/// What an entry must come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Expected {
    /// It was the first copy of its operation, or is never deduplicated.
    fresh: bool,
    ok: bool,
    revision: i64,
}

/// The naive store.
#[derive(Clone, Debug)]
pub struct History {
    revision: i64,
    compacted: i64,
    /// Versions of each key: from which revision on, and what; nothing after a delete.
    versions: BTreeMap<Bytes, Vec<(i64, Option<KeyValue>)>>,
    /// Changed keys by revision.
    changes: BTreeMap<i64, Vec<Bytes>>,
    leases: BTreeMap<i64, BTreeSet<Bytes>>,
    /// Guarded prefixes with their locks.
    guards: BTreeMap<Bytes, Bytes>,
    members: Members,
    /// Operations that were applied, and the revision after them.
    done: BTreeMap<(u64, u64), i64>,
    floors: BTreeMap<u64, u64>,
    /// Element `i` is entry `i + 1`; nothing for one without a command.
    expected: Vec<Option<Expected>>,
}

impl Default for History {
    fn default() -> History {
        History {
            revision: 1,
            compacted: -1,
            versions: BTreeMap::new(),
            changes: BTreeMap::new(),
            leases: BTreeMap::new(),
            guards: BTreeMap::new(),
            members: Members::default(),
            done: BTreeMap::new(),
            floors: BTreeMap::new(),
            expected: Vec::new(),
        }
    }
}

impl History {
    /// The newest revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The revision after an operation, if it was applied.
    pub fn done(&self, id: OpId) -> Option<i64> {
        self.done.get(&(id.origin, id.seq)).copied()
    }

    /// Who belongs to the cluster, as the log says.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The leases that exist.
    pub fn leases(&self) -> impl Iterator<Item = i64> {
        self.leases.keys().copied()
    }

    /// The newest version of a key.
    pub fn newest(&self, key: &[u8]) -> Option<&KeyValue> {
        self.versions.get(key)?.last()?.1.as_ref()
    }

    /// A member applied an entry. True when it was the first to do so.
    pub fn applied(
        &mut self,
        node: NodeId,
        at: LogId,
        command: Option<&Command>,
        outcome: Option<&Outcome>,
    ) -> Result<bool, Violation> {
        let first = at.index as usize == self.expected.len() + 1;
        if first {
            let expected = command.map(|command| self.perform(at.term, command));
            self.expected.push(expected);
        }
        let known = self.expected.get(at.index as usize - 1);
        let known = known.expect("somebody applied every entry before any state was sent");
        let Some(expected) = known else { return Ok(first) };
        let id = command.map(|command| command.id).unwrap_or_default();
        expect(expected.fresh || outcome.is_none(), "operation-applied-once", || {
            format!("{node} applies operation {id:?} again at {}", at.index)
        })?;
        let right = match outcome {
            None => !expected.fresh,
            Some(outcome) => {
                outcome.revision == expected.revision && outcome.result.is_ok() == expected.ok
            }
        };
        expect(right, "same-answer-everywhere", || {
            format!("{node} answers {outcome:?} at {}, not {expected:?}: {command:?}", at.index)
        })?;
        Ok(first)
    }

    fn perform(&mut self, term: u64, command: &Command) -> Expected {
        let OpId { origin, seq, floor } = command.id;
        if seq > 0 {
            let least = self.floors.entry(origin).or_default();
            let fresh = seq >= *least && !self.done.contains_key(&(origin, seq));
            *least = floor.max(*least);
            if !fresh {
                return Expected { fresh, ok: true, revision: self.revision };
            }
        }
        let ok = !self.is_fenced(command) && self.act(term, &command.action);
        if seq > 0 {
            self.done.insert((origin, seq), self.revision);
        }
        Expected { fresh: true, ok, revision: self.revision }
    }

    /// The token of the one who holds a lock.
    pub fn token(&self, lock: &[u8]) -> Option<i64> {
        let line = KeyRange::prefix([lock, b"/"].concat());
        self.keys(&line, self.revision).iter().map(|kv| kv.create_revision).min()
    }

    /// Whether a command writes where it may not.
    fn is_fenced(&self, command: &Command) -> bool {
        let writes: Vec<Bytes> = match &command.action {
            Action::Put(put) => vec![put.key.clone()],
            Action::Delete(delete) => vec![delete.range.key.clone()],
            Action::Txn(txn) => {
                let puts = self.branch(txn).iter().map(|op| match op {
                    TxnOp::Put(put) => Some(put.key.clone()),
                    TxnOp::Range(_) | TxnOp::Delete(_) | TxnOp::Txn(_) => None,
                });
                puts.flatten().collect()
            }
            Action::LeaseRevoke { id, term: None } => {
                self.leases.get(id).into_iter().flatten().cloned().collect()
            }
            _ => Vec::new(),
        };
        self.guards.iter().any(|(prefix, lock)| {
            let carries = command
                .caller
                .fences
                .iter()
                .any(|fence| fence.lock == *lock && Some(fence.token) == self.token(lock));
            let line = [&lock[..], b"/"].concat();
            let guarded = |key: &Bytes| key.starts_with(prefix) && !key.starts_with(&line);
            !carries && writes.iter().any(guarded)
        })
    }

    fn act(&mut self, term: u64, action: &Action) -> bool {
        match action {
            Action::Put(put) => self.put(put),
            Action::Delete(delete) => {
                let keys = self.keys(&delete.range, self.revision);
                let keys: Vec<Bytes> = keys.into_iter().map(|kv| kv.key).collect();
                self.remove(keys);
                true
            }
            Action::Txn(txn) => self.txn(txn),
            Action::Compact { revision } => {
                let ok = *revision > self.compacted && *revision <= self.revision;
                self.compacted = if ok { *revision } else { self.compacted };
                ok
            }
            Action::LeaseGrant { id, .. } => {
                let ok = !self.leases.contains_key(id);
                self.leases.entry(*id).or_default();
                ok
            }
            Action::LeaseRevoke { id, term: named } => {
                if named.is_some_and(|named| named != term) {
                    return true;
                }
                let Some(keys) = self.leases.remove(id) else { return false };
                self.remove(keys.into_iter().collect());
                true
            }
            Action::Guard(GuardChange::Set { prefix, lock }) => {
                *self.guards.entry(prefix.clone()).or_insert_with(|| lock.clone()) == *lock
            }
            Action::Guard(GuardChange::Remove { prefix }) => self.guards.remove(prefix).is_some(),
            Action::LeaseCheckpoint { .. }
            | Action::Alarm { .. }
            | Action::Auth(_)
            | Action::Downgrade(_)
            | Action::AuditCheckpoint { .. } => true,
            Action::Member(action) => self.members.change(action),
        }
    }

    fn put(&mut self, put: &Put) -> bool {
        if put.lease != 0 && !self.leases.contains_key(&put.lease) {
            return false;
        }
        self.revision += 1;
        let old = self.newest(&put.key).cloned();
        if let Some(keys) = old.as_ref().and_then(|old| self.leases.get_mut(&old.lease)) {
            keys.remove(&put.key);
        }
        if let Some(keys) = self.leases.get_mut(&put.lease) {
            keys.insert(put.key.clone());
        }
        let new = KeyValue {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: old.as_ref().map_or(self.revision, |old| old.create_revision),
            mod_revision: self.revision,
            version: old.as_ref().map_or(1, |old| old.version + 1),
            lease: put.lease,
        };
        self.set(put.key.clone(), Some(new));
        true
    }

    fn branch<'a>(&self, txn: &'a Txn) -> &'a [TxnOp] {
        let holds = txn.compares.iter().all(|compare| {
            let found = self.newest(&compare.range.key).map_or(0, |kv| kv.mod_revision);
            compare.target == CompareTarget::Mod(found)
        });
        if holds { &txn.success } else { &txn.failure }
    }

    /// The clients' only transaction: one compare of a revision, then one put or nothing.
    fn txn(&mut self, txn: &Txn) -> bool {
        self.branch(txn).iter().all(|op| match op {
            TxnOp::Put(put) => self.put(put),
            TxnOp::Range(_) => true,
            TxnOp::Delete(_) | TxnOp::Txn(_) => unreachable!("no client asks for it"),
        })
    }

    fn remove(&mut self, keys: Vec<Bytes>) {
        if keys.is_empty() {
            return;
        }
        self.revision += 1;
        for key in keys {
            if let Some(lease) = self.newest(&key).map(|kv| kv.lease)
                && let Some(attached) = self.leases.get_mut(&lease)
            {
                attached.remove(&key);
            }
            self.set(key, None);
        }
    }

    fn set(&mut self, key: Bytes, new: Option<KeyValue>) {
        self.changes.entry(self.revision).or_default().push(key.clone());
        self.versions.entry(key).or_default().push((self.revision, new));
    }

    fn at(&self, key: &[u8], revision: i64) -> Option<&KeyValue> {
        let versions = self.versions.get(key)?;
        let after = versions.partition_point(|(from, _)| *from <= revision);
        versions[after.checked_sub(1)?].1.as_ref()
    }

    fn keys(&self, range: &KeyRange, revision: i64) -> Vec<KeyValue> {
        let keys = self.versions.keys().filter(|key| range.contains(key));
        keys.filter_map(|key| self.at(key, revision)).cloned().collect()
    }

    /// A read at a revision gives the state that was there.
    pub fn read(
        &self,
        node: NodeId,
        range: &KeyRange,
        revision: i64,
        found: &[KeyValue],
    ) -> Result<(), Violation> {
        let real = revision <= self.revision && self.keys(range, revision) == found;
        expect(real, "read-of-a-real-state", || {
            let was = self.keys(range, revision.min(self.revision));
            format!("{node} reads {found:?} at {revision}, it was {was:?}")
        })
    }

    /// A watcher got everything of the revisions `from..next` and nothing else.
    pub fn watched<'a>(
        &self,
        node: NodeId,
        range: &KeyRange,
        from: i64,
        next: i64,
        events: impl Iterator<Item = &'a Event>,
    ) -> Result<(), Violation> {
        let bounded = from <= next && next <= self.revision + 1;
        let mut wanted = Vec::new();
        for (revision, keys) in self.changes.range(from..next.max(from)) {
            for key in keys.iter().filter(|key| range.contains(key)) {
                wanted.push((*revision, key.clone(), self.at(key, *revision).cloned()));
            }
        }
        let got: Vec<_> = events
            .map(|event| {
                let kv = Some(event.kv.clone()).filter(|_| !event.delete);
                (event.kv.mod_revision, event.kv.key.clone(), kv)
            })
            .collect();
        expect(bounded && got == wanted, "watch-without-gap", || {
            format!("{node} tells of {from}..{next}: {got:?}, it was {wanted:?}")
        })
    }
}
