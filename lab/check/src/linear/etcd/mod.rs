//! A store with etcd's semantics: revisions tell the order of writes, so they are witnesses for or against a history.
//!
//! | `f` | invoked with | `ok` with |
//! |---|---|---|
//! | `put` | key and value | `{revision}` |
//! | `get` | key | `{revision value mod_revision create_revision version}`, value nil if the key is not there |
//! | `delete` | key | `{revision deleted}` |
//! | `txn` | `{compare then else}` | `{revision succeeded answers}` |
//!
//! The key is the event's `key`; a transaction has none. `compare` is a list of `[key target relation operand]`, where
//! the target is `value`, `mod`, `create` or `version` and the relation `=`, `!=`, `<` or `>`; `then` and `else` are
//! lists of `[put key value]`, `[get key]` and `[delete key]`; `answers` is the list of their answers. Every field of
//! an answer may be missing, and then says nothing; `revision` is the one of the answer's header. A `fail` did not
//! happen.
//!
//! The store is one object: revisions count all keys, so a history is not split. It is empty at revision 1, unless an
//! event of the process `nemesis` with the function `start` and the value `{revision}` says at which revision it
//! begins.
//!
//! ```json
//! {"process":0,"type":"invoke","f":"put","key":"a","value":"x"}
//! {"process":0,"type":"ok","f":"put","key":"a","value":{"revision":2}}
//! {"process":1,"type":"invoke","f":"get","key":"a","value":null}
//! {"process":1,"type":"ok","f":"get","key":"a","value":{"revision":2,"value":"x","mod_revision":2,"version":1}}
//! ```

mod read;
mod store;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use super::interner::Interner;
use super::spec::{Item, Object, Part, Spec};
use crate::history::{History, Operation};
use crate::verdict::HistoryError;

pub use store::{
    Action, Answer, Compare, Entry, Op, Operand, Relation, Reply, Request, State, Target,
};

/// The revision of a store that nobody has written to.
pub const REVISION_EMPTY: i64 = 1;

/// A store, and what the whole history says about its revisions.
#[derive(Clone, Debug, Default)]
pub struct Etcd {
    /// The revision in the beginning.
    pub begin: i64,
    /// Revisions that completed writes were answered: no other operation made them.
    claimed: BTreeSet<i64>,
    /// What somebody read of a revision: it wrote this value to this key.
    facts: BTreeMap<i64, Vec<(u32, u32)>>,
    names: Interner,
}

impl Etcd {
    /// A store that begins empty at a revision.
    pub fn new(begin: i64) -> Etcd {
        Etcd { begin, ..Etcd::default() }
    }

    /// Whether a state that was just written is what others saw of its revision.
    fn agrees(&self, state: &State, is_known: bool) -> bool {
        if !is_known && self.claimed.contains(&state.revision) {
            return false;
        }
        let facts = self.facts.get(&state.revision).map_or(&[][..], Vec::as_slice);
        facts.iter().all(|(key, value)| {
            let entry = state.keys.get(key);
            entry.is_some_and(|entry| entry.value == *value && entry.modified == state.revision)
        })
    }
}

impl Spec for Etcd {
    type Op = Op;
    type State = State;

    fn initial(&self) -> State {
        State { revision: self.begin, keys: BTreeMap::new() }
    }

    fn step(&self, state: &State, op: &Op) -> Option<State> {
        let is_claimed = || self.claimed.contains(&(state.revision + 1));
        let is_late = op.answer.is_none() && op.surely_writes() && is_claimed();
        if is_late || !op.can_follow(state.revision) {
            return None;
        }
        let mut next = state.clone();
        let is_possible = next.apply(op);
        let is_write = next.revision != state.revision;
        (is_possible && (!is_write || self.agrees(&next, op.answer.is_some()))).then_some(next)
    }

    fn allows(&self, state: &State, op: &Op) -> bool {
        match &op.request {
            Request::One(Action::Get { key }) => {
                let is_possible = op.can_follow(state.revision);
                is_possible && op.replies().all(|(_, reply)| reply.fits(state.keys.get(key)))
            }
            Request::One(_) | Request::Txn { .. } => self.step(state, op).is_some(),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        op.never_writes()
    }

    /// Collects what the answers say about revisions. It holds in every linearization, since completed operations are
    /// in all of them.
    fn learn(&mut self, items: &[Item<Op>]) {
        self.claimed.clear();
        self.facts.clear();
        for Item { op, .. } in items.iter().filter(|item| item.is_known()) {
            let Some(answer) = &op.answer else { continue };
            if let Some(revision) = answer.revision.filter(|_| op.surely_writes()) {
                self.claimed.insert(revision);
            }
            if !op.never_writes() {
                // What a transaction reads of its own writes may not be what it leaves.
                continue;
            }
            for (action, reply) in op.replies() {
                let Reply::Present { value: Some(value), modified: Some(revision), .. } = reply
                else {
                    continue;
                };
                let facts = self.facts.entry(*revision).or_default();
                if !facts.contains(&(action.key(), *value)) {
                    facts.push((action.key(), *value));
                }
            }
        }
    }

    /// What makes no revision changes nothing, so an unknown operation is of use only where a revision is missing.
    fn may_be_unknown(&self, state: &State) -> bool {
        !self.claimed.contains(&(state.revision + 1))
    }

    fn heap_bytes(&self, state: &State) -> usize {
        // B-tree nodes are two thirds full on average.
        state.keys.len() * (size_of::<u32>() + size_of::<Entry>()) * 3 / 2
    }

    fn show(&self, state: &State) -> String {
        let show = |(key, entry): (&u32, &Entry)| {
            let (key, value) = (self.names.value(*key), self.names.value(entry.value));
            format!("{key} = {value} @{}", entry.modified)
        };
        let keys: Vec<String> = state.keys.iter().map(show).collect();
        format!("revision {}: {}", state.revision, keys.join(", "))
    }
}

impl Object for Etcd {
    fn read(history: &History, operations: &[Operation]) -> Result<Vec<Part<Etcd>>, HistoryError> {
        read::read(history, operations).map(|part| vec![part])
    }

    fn shortcut(&self, items: &[Item<Op>]) -> Option<bool> {
        witness::decide(self, items)
    }
}
