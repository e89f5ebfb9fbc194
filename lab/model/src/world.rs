//! A small cluster at one moment: members, letters under way, and what the judges remember.

use crate::act::{Act, Cause};
use crate::fingerprint::fingerprint;
use crate::invariants::{Broken, Judges};
use crate::member::Member;
use bytes::Bytes;
use quorate_base::{Input, NodeId};
use quorate_raft::{Canon, Entry, Membership, Message, Raft, Request};
use std::rc::Rc;

/// How far an exploration goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Voters, at most five.
    pub members: u8,
    /// Nobody campaigns beyond this term.
    pub terms: u8,
    /// Values proposed, over all terms.
    pub proposals: u8,
    /// Crashes of each member.
    pub crashes: u8,
    /// Changes of members, over all terms: one voter leaves with each.
    pub changes: u8,
    /// Learners that wait to take the place of whoever leaves, beside the voters.
    pub learners: u8,
    /// Whether one append may carry several entries; one at a time shows what lies between.
    pub entries_at_once: bool,
    /// States after which the exploration gives up: each takes about 40 bytes for ever and some
    /// thousand while it waits for its turn.
    pub states: u64,
}

impl Bounds {
    /// What runs with every test: some seconds.
    pub const SMALL: Bounds = Bounds {
        members: 3,
        terms: 2,
        proposals: 1,
        crashes: 1,
        changes: 0,
        learners: 0,
        entries_at_once: true,
        states: 4_000_000,
    };
}

/// A message on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Letter {
    pub from: NodeId,
    pub to: NodeId,
    pub message: Message,
    /// The message in canonical bytes; it names nobody.
    body: Vec<u8>,
}

/// See the module's essay. Members and letters are shared between worlds that have them in common.
#[derive(Clone, Debug)]
pub struct World {
    members: Vec<Rc<Member>>,
    wire: Vec<Rc<Letter>>,
    judges: Rc<Judges>,
    proposed: u8,
    changed: u8,
    entries_at_once: bool,
}

impl World {
    /// Members with empty disks, nothing under way.
    pub fn new(bounds: &Bounds) -> World {
        let (voters, all) = (bounds.members, bounds.members + bounds.learners);
        assert!((1..=5).contains(&voters) && all <= 6, "{voters} of {all} members");
        let names = (1..=u64::from(all)).map(NodeId);
        let learners = names.clone().skip(usize::from(voters)).collect();
        let voters = Membership::of(names.clone().take(usize::from(voters)));
        let membership = Membership { learners, ..voters };
        let at_once = bounds.entries_at_once;
        let members = names.map(|id| Rc::new(Member::new(id, &membership, at_once))).collect();
        World {
            members,
            wire: Vec::new(),
            judges: Rc::default(),
            proposed: 0,
            changed: 0,
            entries_at_once: at_once,
        }
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.iter().map(Rc::as_ref)
    }

    pub(crate) fn letters(&self) -> usize {
        self.wire.len()
    }

    pub(crate) fn letter(&self, at: u8) -> &Letter {
        &self.wire[usize::from(at)]
    }

    pub(crate) fn proposed(&self) -> u8 {
        self.proposed
    }

    pub(crate) fn changed(&self) -> u8 {
        self.changed
    }

    /// What a leader is told when it is to let a voter go.
    fn target(&self, at: u8, gone: u8) -> Membership {
        let raft = self.members[usize::from(at)].raft();
        let mut target = raft.membership().clone();
        target.outgoing.clear();
        target.voters.remove(&NodeId(u64::from(gone) + 1));
        if let Some(learner) = target.learners.pop_first() {
            target.voters.insert(learner);
        }
        target
    }

    /// Whether a leader would let a voter go now.
    pub(crate) fn may_change(&self, at: u8, gone: u8) -> bool {
        let raft = self.members[usize::from(at)].raft();
        let votes = raft.membership().voters.contains(&NodeId(u64::from(gone) + 1));
        votes && raft.hurdle(&self.target(at, gone)).is_none()
    }

    /// The member that a cause concerns.
    pub(crate) fn subject(&self, cause: Cause) -> &Member {
        match cause {
            Cause::Campaign(at) | Cause::Propose(at) | Cause::Idle(at) | Cause::Change(at, _) => {
                &self.members[usize::from(at)]
            }
            Cause::Deliver(at) => &self.members[self.letter(at).to.0 as usize - 1],
        }
    }

    /// Lets something happen. Says how many writes the first turn asked for: a crash may lose them.
    ///
    /// # Errors
    /// The promise that the new world breaks.
    pub fn act(&mut self, act: Act) -> Result<u8, Broken> {
        let subject = self.subject(act.cause);
        let at = subject.id.0 as usize - 1;
        let inputs = match act.cause {
            Cause::Idle(_) => Vec::new(),
            Cause::Campaign(_) => subject.campaign(),
            Cause::Propose(_) => {
                self.proposed += 1;
                let value = Bytes::from(vec![self.proposed]);
                vec![Input::Request(Request::Propose(value))]
            }
            Cause::Change(at, gone) => {
                let target = self.target(at, gone);
                self.changed += 1;
                vec![Input::Request(Request::Reconfigure(target))]
            }
            Cause::Deliver(letter) => vec![arrival(self.letter(letter))],
        };
        self.step(at, inputs, act.crash)
    }

    fn step(
        &mut self,
        at: usize,
        inputs: Vec<Input<Raft>>,
        crash: Option<u8>,
    ) -> Result<u8, Broken> {
        let before = self.members[at].clone();
        let member = Rc::make_mut(&mut self.members[at]);
        let said = member.step(inputs, crash);
        if crash.is_some() {
            member.crash(self.entries_at_once);
        }
        let from = member.id;
        Judges::wrote(&mut self.judges, member, &said.writes)?;
        for (to, message) in said.sends {
            Judges::sent(&mut self.judges, from, to, &message)?;
            if !self.members[to.0 as usize - 1].is_dead(&message) {
                let mut bytes = Canon::default();
                body(&message, &mut bytes);
                let body = bytes.into_bytes();
                let letter = Letter { from, to, message, body };
                if !self.wire.iter().any(|known| **known == letter) {
                    self.wire.push(Rc::new(letter));
                }
            }
        }
        let members = &self.members;
        self.wire.retain(|l| !members[l.to.0 as usize - 1].is_dead(&l.message));
        Judges::look(&mut self.judges, &self.members, &before)?;
        Ok(u8::try_from(said.at_once).expect("few writes"))
    }

    /// What stands for this state: equal for worlds that differ only in names.
    pub(crate) fn fingerprint(&self) -> u128 {
        let mut order: Vec<(u64, usize)> =
            self.members.iter().enumerate().map(|(at, m)| (m.signature, at)).collect();
        order.sort_unstable();
        let mut least = u128::MAX;
        let mut names = vec![0; order.len()];
        self.each_naming(&order, 0, &mut names, &mut |names| {
            least = least.min(fingerprint(&self.canonical(names)));
        });
        least
    }

    /// Calls `visit` with every way to name the members that keeps signatures ascending: members of
    /// one signature may be named in any order.
    fn each_naming(
        &self,
        order: &[(u64, usize)],
        next: usize,
        names: &mut Vec<u64>,
        visit: &mut impl FnMut(&[u64]),
    ) {
        let Some((signature, _)) = order.first().copied() else { return visit(names) };
        let ties = order.iter().take_while(|(other, _)| *other == signature).count();
        for pick in 0..ties {
            let mut rest = order.to_vec();
            let (_, member) = rest.remove(pick);
            names[member] = next as u64;
            self.each_naming(&rest, next + 1, names, visit);
        }
    }

    fn canonical(&self, names: &[u64]) -> Vec<u8> {
        let name = |node: NodeId| names[node.0 as usize - 1];
        let mut out = Canon::default();
        let mut members: Vec<&Rc<Member>> = self.members.iter().collect();
        members.sort_unstable_by_key(|member| name(member.id));
        members.iter().for_each(|member| member.canonical(&name, &mut out));
        let mut letters: Vec<(u64, u64, &[u8])> =
            self.wire.iter().map(|l| (name(l.from), name(l.to), &l.body[..])).collect();
        letters.sort_unstable();
        out.number(letters.len() as u64);
        for (from, to, body) in letters {
            out.number(from);
            out.number(to);
            out.blob(body);
        }
        self.judges.canonical(&name, &mut out);
        out.number(u64::from(self.proposed));
        out.number(u64::from(self.changed));
        out.into_bytes()
    }

    /// One line per member, for the end of a story.
    pub fn tell(&self) -> String {
        let line = |member: &Member| {
            let s = member.raft().status();
            let terms = (s.base.index + 1..=s.last.index).filter_map(|i| member.raft().term_at(i));
            let log: Vec<String> = terms.map(|term| term.to_string()).collect();
            let disk: Vec<String> =
                member.disk.platter.entries.iter().map(|entry| entry.term.to_string()).collect();
            format!(
                "{} {} term={} vote={} commit={} log=[{}] on disk: term={} log=[{}]",
                s.id,
                quorate_script::show::role(s.role),
                s.term,
                s.vote.map_or("-".to_owned(), |vote| vote.to_string()),
                s.commit,
                log.join(" "),
                member.disk.platter.term,
                disk.join(" "),
            )
        };
        self.members().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A letter as its receiver gets it. No leader is so fresh that a candidate is turned away for it:
/// votes come as those of a handover do.
fn arrival(letter: &Letter) -> Input<Raft> {
    let mut message = letter.message.clone();
    if let Message::Vote { transfer, .. } = &mut message {
        *transfer = true;
    }
    Input::Received { from: letter.from, message }
}

/// Entries in canonical bytes.
pub(crate) fn entries(list: &[Entry], out: &mut Canon) {
    out.number(list.len() as u64);
    for entry in list {
        out.number(entry.index);
        out.number(entry.term);
        out.blob(anonymous(&entry.payload));
    }
}

/// A payload without what it says of anybody: what a configuration says is in the judges' part of a
/// state, by its index and term, which name it.
pub(crate) fn anonymous(payload: &[u8]) -> &[u8] {
    if Membership::is_payload(payload) { &[] } else { payload }
}

/// A message in canonical bytes.
pub(crate) fn body(message: &Message, out: &mut Canon) {
    let (kind, fields): (u64, [u64; 4]) = match message {
        Message::PreVote { term, last } => (0, [*term, last.index, last.term, 0]),
        Message::PreVoteReply { term, granted } => (1, [*term, u64::from(*granted), 0, 0]),
        Message::Vote { term, last, transfer } => {
            (2, [*term, last.index, last.term, u64::from(*transfer)])
        }
        Message::VoteReply { term, granted } => (3, [*term, u64::from(*granted), 0, 0]),
        Message::Append { term, prev, entries: _, commit } => {
            (4, [*term, prev.index, prev.term, *commit])
        }
        Message::Appended { term, matched } => (5, [*term, *matched, 0, 0]),
        Message::AppendRefused { term, prev_index, hint } => {
            (6, [*term, *prev_index, hint.index, hint.term])
        }
        Message::Heartbeat { term, round, commit } => (7, [*term, *round, *commit, 0]),
        Message::HeartbeatReply { term, round } => (8, [*term, *round, 0, 0]),
        Message::TimeoutNow { term } => (9, [*term, 0, 0, 0]),
        Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::SnapshotChunk { .. }
        | Message::SnapshotAck { .. } => unreachable!("nobody reads or compacts here"),
    };
    out.number(kind);
    fields.iter().for_each(|field| out.number(*field));
    if let Message::Append { entries: list, .. } = message {
        entries(list, out);
    }
}
