//! Judges over a whole cluster: what must hold between members, after every step.
//!
//! Each has the name it has in the Raft paper (figure 3) and a way to be wrong that a broken host
//! or a broken protocol would show. Violations are collected, not thrown, so that a test can
//! demand one.

use crate::disk::Platter;
use bytes::Bytes;
use quorate_base::NodeId;
use quorate_raft::{Entry, Membership, Message, Raft, Write};
use std::collections::{BTreeMap, BTreeSet};

/// What the judges remember.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    leaders: BTreeMap<u64, NodeId>,
    votes: BTreeMap<(NodeId, u64), NodeId>,
    entries: BTreeMap<(u64, u64), (Bytes, u64)>,
    /// Everything ever committed, from index 1 on.
    pub committed: Vec<Entry>,
    read_floors: BTreeMap<(NodeId, u64), u64>,
    /// What went wrong, in order.
    pub violations: Vec<String>,
}

impl Oracle {
    fn claim(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }

    /// Election Safety and Leader Completeness: looks at a member after each of its steps.
    pub fn see_member(&mut self, raft: &Raft) {
        if !raft.is_leader() {
            return;
        }
        let (id, term) = (raft.id(), raft.term());
        let first = *self.leaders.entry(term).or_insert(id);
        self.claim(first == id, || {
            format!("election safety: {first} and {id} lead in term {term}")
        });
        let base = raft.base().index as usize;
        let lost = self
            .committed
            .iter()
            .skip(base)
            .find(|entry| entry.term < term && raft.term_at(entry.index) != Some(entry.term));
        let lost = lost.map(|entry| (entry.index, entry.term));
        self.claim(lost.is_none(), || {
            format!("leader completeness: {id} leads in term {term} without {lost:?}")
        });
    }

    /// One vote per member and term, for ever: looks at each vote that leaves.
    pub fn see_send(&mut self, from: NodeId, to: NodeId, message: &Message) {
        if let Message::VoteReply { term, granted: true } = message {
            let first = *self.votes.entry((from, *term)).or_insert(to);
            self.claim(first == to, || {
                format!("one vote per term: {from} voted for {first} and {to} in term {term}")
            });
        }
    }

    /// Log Matching, by induction: an index and term name one payload and one predecessor.
    pub fn see_write(&mut self, raft: &Raft, write: &Write) {
        let Write::Append(entries) = write else { return };
        for entry in entries {
            let Some(before) = raft.term_at(entry.index - 1) else { continue };
            let content = (entry.payload.clone(), before);
            let first = self.entries.entry((entry.index, entry.term)).or_insert(content.clone());
            let same = *first == content;
            self.claim(same, || format!("log matching: {entry:?} is two entries"));
        }
    }

    /// State Machine Safety, and that what is committed is on a quorum of disks and stays so.
    pub fn see_committed(
        &mut self,
        id: NodeId,
        entries: &[Entry],
        quorum_holds: impl Fn(&Entry) -> bool,
    ) {
        for entry in entries {
            let at = entry.index as usize - 1;
            match self.committed.get(at) {
                Some(known) => {
                    let same = known == entry;
                    let known = known.clone();
                    self.claim(same, || {
                        format!("state machine safety: {id} applies {entry:?}, others {known:?}")
                    });
                }
                None => {
                    let contiguous = at == self.committed.len();
                    self.claim(contiguous, || format!("{id} commits {entry:?} out of order"));
                    let durable = quorum_holds(entry);
                    self.claim(durable, || {
                        format!("durability: {id} commits {entry:?}, which no quorum has on disk")
                    });
                    if contiguous {
                        self.committed.push(entry.clone());
                    }
                }
            }
        }
    }

    /// A read begins: it must see at least what any member has given out by now.
    pub fn see_read(&mut self, id: NodeId, token: u64) {
        self.read_floors.insert((id, token), self.committed.len() as u64);
    }

    /// A read is answered at `index`.
    pub fn see_read_ready(&mut self, id: NodeId, token: u64, index: u64) {
        let floor = self.read_floors.remove(&(id, token));
        self.claim(floor.is_some_and(|floor| index >= floor), || {
            format!("linearizable read: {id} reads {token} at {index}, floor {floor:?}")
        });
    }

    /// A majority of the voters, and during a change of those before as well: counted here, not by
    /// the code that is judged.
    pub fn is_quorum(membership: &Membership, holders: &BTreeSet<NodeId>) -> bool {
        let most = |half: &BTreeSet<NodeId>| 2 * half.intersection(holders).count() > half.len();
        let Membership { voters, outgoing, .. } = membership;
        most(voters) && (outgoing.is_empty() || most(outgoing))
    }

    /// Counts whether a platter, or the saved state over it, holds an entry.
    pub fn holds(platter: &Platter, saved: usize, entry: &Entry) -> bool {
        entry.index <= platter.base.index
            || saved as u64 >= entry.index
            || platter.term_at(entry.index) == Some(entry.term)
    }
}
