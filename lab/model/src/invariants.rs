//! What must hold in every state, each with its source.
//!
//! | property | says | source |
//! |---|---|---|
//! | `one-vote-per-term` | a member votes once in a term, over all its lives | paper 5.2 |
//! | `election-safety` | at most one leader in a term | paper 5.2, `ElectionSafety` |
//! | `log-matching` | logs that agree on index and term agree on everything before | paper 5.3, `LogMatching` |
//! | `leader-completeness` | who leads a later term holds what was committed before; and nobody who lacks it could win | paper 5.4, `LeaderCompleteness` |
//! | `state-machine-safety` | an index is committed with one entry, for ever | paper 5.4.3, `StateMachineSafety` |
//! | `configuration-safety` | of two configurations in a row, every two quorums meet | paper 6, diss. 4.3 |
//! | `committed-on-quorum` | what is committed is on a majority of disks, for ever | paper 5.3, diss. 10.2.1 |
//! | `monotone` | within a life, term and commit index never go back | traps 23, 24 |
//!
//! The second half of leader completeness is the step of its proof that most bugs break first: a vote
//! goes only to a log at least as complete (paper 5.4.1), so a member that lacks a committed entry must
//! find no majority of logs, its own included, that are not ahead of its own.

use crate::member::Member;
use crate::world::anonymous;
use bytes::Bytes;
use quorate_base::NodeId;
use quorate_raft::{Canon, LogId, Membership, Message, Write};
use quorate_sim::oracles::config;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which one.
    pub property: &'static str,
    /// How.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.detail)
    }
}

fn expect(
    holds: bool,
    property: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { property, detail: detail() }) }
}

/// An entry that was committed, and the term of the member that said so first.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Committed {
    term: u64,
    in_term: u64,
    /// One of these was in force when it was counted.
    configs: Vec<Membership>,
}

/// What the judges remember of the way to a state. It is part of the state: two ways that remember
/// different things are not the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judges {
    votes: BTreeMap<(NodeId, u64), NodeId>,
    leaders: BTreeMap<u64, NodeId>,
    /// By index and term.
    payloads: BTreeMap<(u64, u64), Bytes>,
    /// Element `i` is entry `i + 1`.
    committed: Vec<Committed>,
}

impl Judges {
    /// A message is released: votes are given for good. Who asks for votes has voted for itself.
    pub fn sent(
        this: &mut Rc<Judges>,
        from: NodeId,
        to: NodeId,
        message: &Message,
    ) -> Result<(), Broken> {
        let (term, candidate) = match message {
            Message::VoteReply { term, granted: true } => (*term, to),
            Message::Vote { term, .. } => (*term, from),
            Message::VoteReply { granted: false, .. }
            | Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Append { .. }
            | Message::Appended { .. }
            | Message::AppendRefused { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::SnapshotChunk { .. }
            | Message::SnapshotAck { .. }
            | Message::TimeoutNow { .. } => return Ok(()),
        };
        let known = this.votes.get(&(from, term)).copied();
        let first = known.unwrap_or(candidate);
        if known.is_none() {
            Rc::make_mut(this).votes.insert((from, term), candidate);
        }
        expect(first == candidate, "one-vote-per-term", || {
            format!("{from} votes for {first} and for {candidate} in term {term}")
        })
    }

    /// A member writes: an index and a term name one payload.
    pub fn wrote(this: &mut Rc<Judges>, member: &Member, writes: &[Write]) -> Result<(), Broken> {
        for write in writes {
            let Write::Append(entries) = write else { continue };
            for entry in entries {
                let at = (entry.index, entry.term);
                configurations_meet(member, entry.index)?;
                match this.payloads.get(&at) {
                    Some(first) => expect(*first == entry.payload, "log-matching", || {
                        format!("{} writes another entry {} of term {}", member.id, at.0, at.1)
                    })?,
                    None => {
                        Rc::make_mut(this).payloads.insert(at, entry.payload.clone());
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks at all members after a step of one of them, which was `before`.
    pub fn look(
        this: &mut Rc<Judges>,
        members: &[Rc<Member>],
        before: &Member,
    ) -> Result<(), Broken> {
        let stepped = &members[before.id.0 as usize - 1];
        never_back(before, stepped)?;
        Judges::commits(this, stepped)?;
        Judges::leads(this, stepped)?;
        for member in members {
            this.could_lead(member, members)?;
            if member.id != stepped.id {
                logs_match(stepped, member)?;
            }
        }
        this.on_quorum(members)
    }

    fn commits(this: &mut Rc<Judges>, member: &Member) -> Result<(), Broken> {
        let raft = member.raft();
        for index in 1..=raft.commit() {
            let term = raft.term_at(index).unwrap_or(0);
            match this.committed.get(index as usize - 1) {
                Some(known) => expect(known.term == term, "state-machine-safety", || {
                    let (id, known) = (member.id, known.term);
                    format!("{id} commits {index} of term {term}, it was committed of term {known}")
                })?,
                None => {
                    let (in_term, configs) = (raft.term(), config::in_force(raft, index));
                    let committed = Committed { term, in_term, configs };
                    Rc::make_mut(this).committed.push(committed);
                }
            }
        }
        Ok(())
    }

    fn leads(this: &mut Rc<Judges>, member: &Member) -> Result<(), Broken> {
        let raft = member.raft();
        if !raft.is_leader() {
            return Ok(());
        }
        let (id, term) = (member.id, raft.term());
        let known = this.leaders.get(&term).copied();
        if known.is_none() {
            Rc::make_mut(this).leaders.insert(term, id);
        }
        let first = known.unwrap_or(id);
        expect(first == id, "election-safety", || format!("{first} and {id} lead term {term}"))?;
        for (at, known) in this.committed.iter().enumerate() {
            let index = at as u64 + 1;
            let holds = known.in_term >= term || raft.term_at(index) == Some(known.term);
            expect(holds, "leader-completeness", || {
                format!("{id} leads term {term} without entry {index} of term {}", known.term)
            })?;
        }
        Ok(())
    }

    /// Nobody who lacks what is committed finds a majority that would vote for it.
    fn could_lead(&self, member: &Member, members: &[Rc<Member>]) -> Result<(), Broken> {
        let raft = member.raft();
        let lacks = |(at, known): (usize, &Committed)| {
            (raft.term_at(at as u64 + 1) != Some(known.term)).then_some(at + 1)
        };
        let Some(index) = self.committed.iter().enumerate().find_map(lacks) else { return Ok(()) };
        let would = |other: &&Rc<Member>| other.raft().last_id() <= raft.last_id();
        let votes: BTreeSet<NodeId> = members.iter().filter(would).map(|m| m.id).collect();
        expect(!config::is_quorum(raft.membership(), &votes), "leader-completeness", || {
            format!(
                "{} lacks the committed entry {index}, and {votes:?} would vote for it",
                member.id
            )
        })
    }

    fn on_quorum(&self, members: &[Rc<Member>]) -> Result<(), Broken> {
        for (at, known) in self.committed.iter().enumerate() {
            let index = at as u64 + 1;
            let holds = |m: &&Rc<Member>| m.disk.platter.term_at(index) == Some(known.term);
            let holders: BTreeSet<NodeId> = members.iter().filter(holds).map(|m| m.id).collect();
            let enough = known.configs.iter().any(|config| config::is_quorum(config, &holders));
            expect(enough, "committed-on-quorum", || {
                let term = known.term;
                format!("the committed entry {index} of term {term} is on the disks of {holders:?}")
            })?;
        }
        Ok(())
    }

    /// The judges' part of a state. What follows from the members' own bytes is left out.
    pub fn canonical(&self, name: &impl Fn(NodeId) -> u64, out: &mut Canon) {
        let mut votes: Vec<(u64, u64, u64)> = self
            .votes
            .iter()
            .map(|((node, term), candidate)| (name(*node), *term, name(*candidate)))
            .collect();
        votes.sort_unstable();
        out.number(votes.len() as u64);
        for (node, term, candidate) in votes {
            out.number(node);
            out.number(term);
            out.number(candidate);
        }
        out.number(self.leaders.len() as u64);
        for (term, leader) in &self.leaders {
            out.number(*term);
            out.name(Some(*leader), name);
        }
        out.number(self.payloads.len() as u64);
        for ((index, term), payload) in &self.payloads {
            out.number(*index);
            out.number(*term);
            out.blob(anonymous(payload));
            if let Some(config) = Membership::of_payload(payload) {
                write_config(&config, name, out);
            }
        }
        out.number(self.committed.len() as u64);
        for known in &self.committed {
            out.number(known.term);
            out.number(known.in_term);
            out.number(known.configs.len() as u64);
            known.configs.iter().for_each(|config| write_config(config, name, out));
        }
    }
}

fn write_config(config: &Membership, name: &impl Fn(NodeId) -> u64, out: &mut Canon) {
    for set in [&config.voters, &config.outgoing, &config.learners] {
        let mut names: Vec<u64> = set.iter().map(|node| name(*node)).collect();
        names.sort_unstable();
        out.number(names.len() as u64);
        names.into_iter().for_each(|name| out.number(name));
    }
}

/// A configuration that a member writes, and the one before it, cannot decide apart.
fn configurations_meet(member: &Member, index: u64) -> Result<(), Broken> {
    let all: Vec<(u64, &Membership)> = member.raft().configurations().collect();
    let Some(at) = all.iter().position(|(first, _)| *first == index).filter(|at| *at > 0) else {
        return Ok(());
    };
    let (before, now) = (all[at - 1].1, all[at].1);
    let apart = config::apart(before, now);
    expect(apart.is_none(), "configuration-safety", || {
        format!("{before:?} and {now:?} of entry {index} can decide apart: {apart:?}")
    })
}

/// Within a life, term and commit index only rise.
fn never_back(before: &Member, after: &Member) -> Result<(), Broken> {
    let (old, new) = (before.raft(), after.raft());
    let back = new.term() < old.term() || new.commit() < old.commit();
    expect(before.crashes != after.crashes || !back, "monotone", || {
        let from = (old.term(), old.commit());
        format!(
            "{} goes back from term and commit {from:?} to {:?}",
            after.id,
            (new.term(), new.commit())
        )
    })
}

/// Log Matching between two members: below the last place where they agree, they agree everywhere.
fn logs_match(a: &Member, b: &Member) -> Result<(), Broken> {
    let (left, right) = (a.raft(), b.raft());
    let LogId { index: last, .. } = left.last_id().min(right.last_id());
    let last = last.min(left.last_id().index).min(right.last_id().index);
    let same = |index: &u64| left.term_at(*index) == right.term_at(*index);
    let agreed = (1..=last).rev().find(same).unwrap_or(0);
    let odd = (1..agreed).find(|index| !same(index));
    expect(odd.is_none(), "log-matching", || {
        format!("{} and {} agree on {agreed} and differ before it, at {odd:?}", a.id, b.id)
    })
}
