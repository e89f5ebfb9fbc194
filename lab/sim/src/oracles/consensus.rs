//! What must hold over the members of one Raft group, whatever happened so far.

use crate::oracles::config::is_quorum;
use crate::oracles::{Violation, expect};
use crate::trace::hash;
use quorate_base::NodeId;
use quorate_raft::{Entry, Membership, Message, Raft, Role, Write};
use std::collections::{BTreeMap, BTreeSet};

/// Where a life of a member stood at its last step.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    term: u64,
    commit: u64,
    applied: u64,
    /// Commits up to here were compared with what everybody committed.
    compared: u64,
    led: u64,
}

/// An entry that is committed.
#[derive(Clone, Copy, Debug)]
struct Committed {
    term: u64,
    /// The term of the member that said so first: no smaller than the one in which it committed.
    in_term: u64,
}

/// An entry as somebody wrote it.
#[derive(Clone, Copy, Debug)]
struct Written {
    term: u64,
    payload: u64,
    /// The term of the entry before, where it was seen.
    before: Option<u64>,
}

/// Everything that was ever true of the group.
#[derive(Clone, Debug, Default)]
pub struct Consensus {
    leaders: BTreeMap<u64, NodeId>,
    votes: BTreeMap<(NodeId, u64), NodeId>,
    /// Element `i` is entry `i + 1` in the term in which it was seen first ...
    entries: Vec<Option<Written>>,
    /// ... and here, by index and term, are those of other terms.
    others: BTreeMap<(u64, u64), Written>,
    /// Element `i` is entry `i + 1`.
    committed: Vec<Committed>,
    /// Configurations that were committed, by the entry that brought them.
    configs: BTreeMap<u64, Membership>,
    /// By node, less one.
    seen: Vec<Seen>,
}

fn digest(entry: &Entry) -> u64 {
    hash(0x9e37_79b9, &entry.payload)
}

impl Consensus {
    /// A new life begins.
    pub fn born(&mut self, node: NodeId) {
        *self.seen_mut(node) = Seen::default();
    }

    fn seen_mut(&mut self, node: NodeId) -> &mut Seen {
        let at = node.0 as usize;
        if self.seen.len() < at {
            self.seen.resize(at, Seen::default());
        }
        &mut self.seen[at - 1]
    }

    /// Who led a term first, if anybody did.
    pub fn leader_of(&self, term: u64) -> Option<NodeId> {
        self.leaders.get(&term).copied()
    }

    /// What is known of an entry; what is new when nothing is.
    fn known(&mut self, index: u64, fresh: Written) -> &mut Written {
        let at = index as usize - 1;
        if self.entries.len() <= at {
            self.entries.resize(at + 1, None);
        }
        let first = self.entries[at].get_or_insert(fresh);
        if first.term == fresh.term {
            // Looked at again, since a borrow that is returned here would last for the other way.
            return self.entries[at].as_mut().expect("put there above");
        }
        self.others.entry((index, fresh.term)).or_insert(fresh)
    }

    /// The newest committed index.
    pub fn committed(&self) -> u64 {
        self.committed.len() as u64
    }

    /// Two logs that agree in index and term agree in payload and predecessor; by induction, in
    /// everything before.
    pub fn wrote(
        &mut self,
        node: NodeId,
        write: &Write,
        term_at: impl Fn(u64) -> Option<u64>,
    ) -> Result<(), Violation> {
        let Write::Append(entries) = write else { return Ok(()) };
        let mut before = match entries[0].index - 1 {
            0 => Some(0),
            index => term_at(index),
        };
        for entry in entries {
            let fresh = Written { term: entry.term, payload: digest(entry), before };
            let known = self.known(entry.index, fresh);
            let same_before = known.before.is_none() || before.is_none() || known.before == before;
            expect(known.payload == fresh.payload && same_before, "log-matching", || {
                let (index, term) = (entry.index, entry.term);
                format!("{node} writes another entry {index} of term {term}, or after another one")
            })?;
            known.before = known.before.or(before);
            before = Some(entry.term);
        }
        Ok(())
    }

    /// A vote that leaves is given for good.
    pub fn sent(&mut self, from: NodeId, to: NodeId, message: &Message) -> Result<(), Violation> {
        let Message::VoteReply { term, granted: true } = message else { return Ok(()) };
        let first = *self.votes.entry((from, *term)).or_insert(to);
        expect(first == to, "one-vote-per-term", || {
            format!("{from} votes for {first} and for {to} in term {term}")
        })
    }

    /// Compares a member with all that is known. Answers the newest index that became known as
    /// committed with this step, and its term.
    pub fn stepped(
        &mut self,
        node: NodeId,
        raft: &Raft,
        applied: u64,
        synced: u64,
    ) -> Result<Option<(u64, u64)>, Violation> {
        let mut seen = *self.seen_mut(node);
        let (term, commit, last) = (raft.term(), raft.commit(), raft.last_id());
        let base = raft.base().index;
        let told = raft.applied();
        let back = term < seen.term || commit < seen.commit || applied < seen.applied;
        expect(!back, "monotone", || {
            format!("{node} goes back from {seen:?} to {term}, {commit}, {applied}")
        })?;
        let ordered = base <= told && told <= applied && told <= commit && commit <= last.index;
        expect(ordered && base <= synced, "state-ordering", || {
            let last = last.index;
            format!(
                "{node}: base {base}, told {told}, commit {commit}, last {last}, synced {synced}"
            )
        })?;
        if raft.role() == Role::Leader && seen.led < term {
            seen.led = term;
            self.elected(node, raft)?;
        }
        let news = self.compare(node, raft, seen.compared.max(base) + 1)?;
        let compared = commit;
        *self.seen_mut(node) = Seen { term, commit, applied, compared, ..seen };
        Ok(news)
    }

    fn elected(&mut self, node: NodeId, raft: &Raft) -> Result<(), Violation> {
        let term = raft.term();
        let first = *self.leaders.entry(term).or_insert(node);
        expect(first == node, "election-safety", || {
            format!("{first} and {node} lead term {term}")
        })?;
        self.had_quorum(node, raft)?;
        let from = raft.base().index;
        for (at, entry) in self.committed.iter().enumerate().skip(from as usize) {
            let index = at as u64 + 1;
            if entry.in_term >= term {
                continue;
            }
            let held = raft.term_at(index);
            expect(held == Some(entry.term), "leader-completeness", || {
                let known = entry.term;
                format!("{node} leads {term} with {held:?} at {index}, committed with term {known}")
            })?;
        }
        Ok(())
    }

    /// Who leads was voted for by a quorum of the configuration that it has, and votes in the newest one
    /// that was committed before, or in one after it. Unless everybody who voted has lost, with the power, that it was
    /// committed: whoever leaves and holds the entry that lets it go is then still needed, and may lead
    /// until that entry is committed again (dissertation, 4.2.2).
    fn had_quorum(&self, node: NodeId, raft: &Raft) -> Result<(), Violation> {
        let (term, config) = (raft.term(), raft.membership());
        let given = self.votes.iter().filter(|((_, of), to)| *of == term && **to == node);
        let mut voters: BTreeSet<NodeId> = given.map(|((from, _), _)| *from).collect();
        voters.insert(node);
        expect(is_quorum(config, &voters), "configuration-safety", || {
            format!("{node} leads {term} by the votes of {voters:?}, no quorum of {config:?}")
        })?;
        let before = self.configs.iter().rev().find(|(index, _)| {
            self.committed.get(**index as usize - 1).is_some_and(|entry| entry.in_term < term)
        });
        let newest = raft.config_indexes().0;
        let knows = |voter: &NodeId, index: u64| {
            self.seen.get(voter.0 as usize - 1).is_some_and(|seen| seen.commit >= index)
        };
        let there = before.is_none_or(|(index, known)| {
            let forgotten = newest == *index && !voters.iter().any(|voter| knows(voter, *index));
            let needed = raft.committed_membership();
            let still = needed.voters.contains(&node) || needed.outgoing.contains(&node);
            let later = newest > *index && config.is_voter(node);
            known.is_voter(node) || later || forgotten && still
        });
        expect(there, "removed-stay-out", || {
            format!("{node} leads {term} and is no voter of {before:?}, which was committed before")
        })
    }

    fn compare(
        &mut self,
        node: NodeId,
        raft: &Raft,
        from: u64,
    ) -> Result<Option<(u64, u64)>, Violation> {
        let mut news = None;
        for index in from..=raft.commit() {
            let Some(term) = raft.term_at(index) else { continue };
            match self.committed.get(index as usize - 1) {
                Some(known) => expect(known.term == term, "committed-immutable", || {
                    let known = known.term;
                    format!(
                        "{node} commits {index} with term {term}, it was committed with {known}"
                    )
                })?,
                None => {
                    expect(index == self.committed() + 1, "committed-immutable", || {
                        format!("{node} commits {index}, nobody knows what came before")
                    })?;
                    self.committed.push(Committed { term, in_term: raft.term() });
                    news = Some((index, term));
                }
            }
        }
        if news.is_some() {
            let fresh = raft.configurations().filter(|(at, _)| (from..=raft.commit()).contains(at));
            self.configs.extend(fresh.map(|(at, config)| (at, config.clone())));
        }
        Ok(news)
    }

    /// All members apply the entry that was committed, and no other.
    pub fn applying(&self, node: NodeId, entry: &Entry) -> Result<(), Violation> {
        let known = self.committed.get(entry.index as usize - 1).map(|known| known.term);
        let first = self.entries.get(entry.index as usize - 1).copied().flatten();
        let same = first.filter(|written| written.term == entry.term);
        let written = same.or_else(|| self.others.get(&(entry.index, entry.term)).copied());
        let written = written.map(|written| written.payload);
        let right = known == Some(entry.term) && written == Some(digest(entry));
        expect(right, "state-machine-safety", || {
            let (index, term) = (entry.index, entry.term);
            format!("{node} applies entry {index} of term {term}, which was not what is committed")
        })
    }
}
