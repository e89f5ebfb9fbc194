//! The host beside a node: the real [`Applier`] over an engine in memory, and who waits for what.
//!
//! It does the same as `system/host` does with a disk and threads: numbers the operations of its
//! clients, applies what is committed, tells the node what was answered and what became of leases,
//! and after a snapshot gives up on whatever was still open, since its answer may lie inside.

use super::command::{self, operation, origin};
use super::tagged;
use crate::Fallible;
use crate::player::Served;
use bytes::Bytes;
use quorate_base::NodeId;
use quorate_node::{LeaseChange, Node, Request, Tagged};
use quorate_raft::{self as raft, Entry, Membership};
use quorate_store::{
    Action, Applier, Command, KeyRange, MemEngine, MemView, OpId, Options, Range, View,
};
use std::collections::{BTreeMap, BTreeSet};

const MEMORY: &str = "memory does not fail";

/// See the module's essay.
#[derive(Debug)]
pub struct Desk {
    origin: u64,
    next_seq: u64,
    /// Operations whose callers wait.
    open: BTreeSet<u64>,
    applier: Applier<MemEngine>,
    view: View<MemView>,
    /// What callers were told, by sequence.
    pub(super) answers: BTreeMap<u64, String>,
    /// Copies of operations that the applier passed over.
    pub(super) copies: Vec<String>,
    /// Answers to lease questions in seconds, by token; `None` when nobody answered.
    pub(super) told: BTreeMap<u64, Option<i64>>,
    /// Lists of leases, by token.
    pub(super) listed: BTreeMap<u64, Vec<i64>>,
    /// What the member wanted in the log as the leader.
    pub(super) wanted: Vec<String>,
}

impl Default for Desk {
    fn default() -> Desk {
        Desk::new(NodeId(0), 0)
    }
}

fn empty() -> (Applier<MemEngine>, View<MemView>) {
    let mut applier = Applier::open(MemEngine::new(), Options::default()).expect(MEMORY);
    let view = applier.publish().expect(MEMORY).view;
    (applier, view)
}

impl Desk {
    /// The desk of a member that has applied nothing, in one of its lives.
    pub(super) fn new(id: NodeId, life: u64) -> Desk {
        let (applier, view) = empty();
        Desk {
            origin: origin(id, life),
            next_seq: 1,
            open: BTreeSet::new(),
            applier,
            view,
            answers: BTreeMap::new(),
            copies: Vec::new(),
            told: BTreeMap::new(),
            listed: BTreeMap::new(),
            wanted: Vec::new(),
        }
    }

    /// A client's operation begins.
    ///
    /// # Errors
    /// When the words are no command.
    pub(super) fn propose(&mut self, words: &[u8]) -> Fallible<Tagged<Request>> {
        let seq = self.next_seq;
        let action = command::parse(words)?.action;
        let id = OpId { origin: self.origin, seq, floor: 0 };
        self.next_seq += 1;
        self.open.insert(seq);
        let payload = Bytes::from(command::write(&Command::new(id, action)));
        Ok(tagged(Request::Propose { seq, payload }))
    }

    /// A client gave up.
    pub(super) fn forget(&mut self, seq: u64) -> Tagged<Request> {
        self.open.remove(&seq);
        tagged(Request::Forget { seq })
    }

    /// The leader wants something in the log for its own reasons: guarded by its term, not by an id.
    pub(super) fn want(&mut self, action: Action) -> Tagged<Request> {
        let words = command::write(&Command::new(OpId::default(), action));
        self.wanted.push(words.clone());
        tagged(Request::Propose { seq: 0, payload: Bytes::from(words) })
    }

    /// Applies entries and says what the node must know.
    pub(super) fn apply(&mut self, entries: &[Entry]) -> Served<Node> {
        let (mut answered, mut leases, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            let command = (!entry.payload.is_empty() && !Membership::is_payload(&entry.payload))
                .then(|| command::parse(&entry.payload).expect("only commands are proposed"));
            let outcome =
                self.applier.apply(entry.index, entry.term, command.as_ref()).expect(MEMORY);
            let Some(command) = command else { continue };
            let Some(outcome) = outcome else {
                self.copies.push(operation(command.id));
                notes.push(format!("passes over {} at {}", operation(command.id), entry.index));
                continue;
            };
            if outcome.result.is_ok() {
                LeaseChange::note(&command.action, entry.term, &mut leases);
            }
            let OpId { origin, seq, .. } = command.id;
            if origin == self.origin && seq != 0 {
                answered.push(seq);
                if self.open.remove(&seq) {
                    let answer = match outcome.result {
                        Ok(_) => format!("revision {}", outcome.revision),
                        Err(error) => format!("{error:?}"),
                    };
                    notes.push(format!("answers operation {seq}: {answer}"));
                    self.answers.insert(seq, answer);
                }
            }
        }
        self.view = self.applier.publish().expect(MEMORY).view;
        let index = self.view.applied().0;
        Served { requests: vec![tagged(Request::Applied { index, answered, leases })], notes }
    }

    /// The state is this one from now on. Says how the node's table of leases is made anew.
    pub(super) fn replace(&mut self, state: &[Entry]) -> Tagged<Request> {
        (self.applier, self.view) = empty();
        // Nobody waits for answers of a state that was taken as a whole.
        let open = std::mem::take(&mut self.open);
        self.apply(state);
        self.open = open;
        self.copies.clear();
        let (index, _) = self.view.applied();
        let leases = vec![LeaseChange::Reset { leases: self.view.leases().expect(MEMORY) }];
        tagged(Request::Applied { index, answered: Vec::new(), leases })
    }

    /// A leader's state takes the place of the member's own.
    pub(super) fn install(&mut self, told: raft::Request, state: &[Entry]) -> Served<Node> {
        let leases = self.replace(state);
        let mut requests = vec![tagged(Request::Raft(told))];
        let mut notes = Vec::new();
        for seq in std::mem::take(&mut self.open) {
            notes.push(format!("cannot know what became of operation {seq}"));
            self.answers.insert(seq, "unknown".to_string());
            requests.push(tagged(Request::Forget { seq }));
        }
        requests.push(leases);
        Served { requests, notes }
    }

    /// The store's revision.
    pub(super) fn revision(&self) -> i64 {
        self.view.revision()
    }

    /// All keys, in order.
    pub(super) fn keys(&self) -> Vec<String> {
        let all = Range { range: KeyRange::all(), ..Range::default() };
        let answer = self.view.range(&all).expect("the newest revision can be read");
        answer.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect()
    }

    /// The leases of the state, by id.
    pub(super) fn leases(&self) -> Vec<i64> {
        self.view.leases().expect(MEMORY).iter().map(|lease| lease.id).collect()
    }
}
