//! A member's state as bytes, without what cannot matter: for whoever explores all of them.
//!
//! Two members with the same canonical bytes answer the same inputs in the same way, up to names,
//! times and tickets. Left out or made relative:
//!
//! - **tickets** count from the newest durable one: only their order and whether they wait matters;
//! - **times** become truths about `now`: is the timer due, is the leader fresh, is a beacon due, was
//!   a quorum heard;
//! - **dice** are gone: they only choose times;
//! - **names** are given by the caller, so that worlds that differ only in who is called what can
//!   have the same bytes;
//! - **reads** are left out, and with them the rounds of beacons and what an acknowledgement proves
//!   about them: states are equal for those who do not read;
//! - what follows from the rest (byte counters, what the last step looked like) is not repeated.
//!
//! Bytes are of a variable length and prefix-free: a list says how long it is.

use crate::election::Ballot;
use crate::leader::Leader;
use crate::node::{Raft, State};
use crate::progress::Flow;
use quorate_base::{Instant, NodeId, Ticket};

/// Collects canonical bytes. Numbers below 255 take one byte.
#[derive(Clone, Debug, Default)]
pub struct Canon {
    bytes: Vec<u8>,
}

impl Canon {
    /// Empty, with the memory of a former one.
    pub fn reuse(mut bytes: Vec<u8>) -> Canon {
        bytes.clear();
        Canon { bytes }
    }

    /// A number.
    pub fn number(&mut self, value: u64) {
        match u8::try_from(value) {
            Ok(small) if small < u8::MAX => self.bytes.push(small),
            Ok(_) | Err(_) => {
                self.bytes.push(u8::MAX);
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// Bytes of any length.
    pub fn blob(&mut self, blob: &[u8]) {
        self.number(blob.len() as u64);
        self.bytes.extend_from_slice(blob);
    }

    /// A yes or no.
    pub fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    /// A member's name, or nobody's.
    pub fn name(&mut self, node: Option<NodeId>, name: impl Fn(NodeId) -> u64) {
        self.number(node.map_or(0, |node| name(node) + 1));
    }

    /// What was collected.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was collected, for good.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Raft {
    /// Writes this member's canonical bytes; see the module's essay. A snapshot that arrives is part
    /// of them only by being there.
    pub fn canonical(&self, now: Instant, name: &impl Fn(NodeId) -> u64, out: &mut Canon) {
        out.number(self.term);
        out.name(self.vote, name);
        out.name(self.leader, name);
        out.number(self.commit);
        out.number(self.emitted);
        out.number(self.commit_hint);
        out.number(self.agreed);
        out.flag(self.ack_due);
        out.flag(self.vote_unwritten);
        out.number(self.waits(self.vote_ticket));
        self.log.canonical(self.durable, name, out);
        out.flag(self.install.is_some());
        out.flag(self.is_finishing_install());
        out.flag(self.election_at <= now);
        out.flag(now < self.leader_heard_at + self.config.election_timeout);
        match &self.state {
            State::Follower => out.number(0),
            State::PreCandidate(ballot) => self.ballot(1, ballot, name, out),
            State::Candidate(ballot) => self.ballot(2, ballot, name, out),
            State::Leader(leader) => {
                out.number(3);
                self.office(leader, now, name, out);
            }
        }
    }

    /// How far behind the newest durable write a ticket lies; 0 when it does not wait.
    fn waits(&self, ticket: Ticket) -> u64 {
        ticket.0.saturating_sub(self.durable.0)
    }

    fn ballot(&self, kind: u64, ballot: &Ballot, name: &impl Fn(NodeId) -> u64, out: &mut Canon) {
        out.number(kind);
        out.number(self.waits(ballot.own_vote));
        // In the order of the names, not of the ids: one number per voter.
        let mut answers: Vec<(u64, bool)> =
            ballot.answers.iter().map(|(node, granted)| (name(*node), *granted)).collect();
        answers.sort_unstable();
        out.number(answers.len() as u64);
        for (node, granted) in answers {
            out.number(node);
            out.flag(granted);
        }
    }

    fn office(
        &self,
        leader: &Leader,
        now: Instant,
        name: &impl Fn(NodeId) -> u64,
        out: &mut Canon,
    ) {
        out.flag(leader.wakes_at() <= now);
        out.name(leader.transfer_target(), name);
        out.flag(leader.commit_may_move);
        out.number(leader.leaving.len() as u64);
        let mut leaving: Vec<_> = leader.leaving.iter().map(|(id, at)| (name(*id), *at)).collect();
        leaving.sort_unstable();
        leaving.into_iter().flat_map(|(id, at)| [id, at]).for_each(|number| out.number(number));
        let mut peers: Vec<_> = leader.peers.iter().map(|(id, peer)| (name(*id), peer)).collect();
        peers.sort_unstable_by_key(|(id, _)| *id);
        for (id, peer) in peers {
            out.number(id);
            out.flag(peer.heard_at + self.config.election_timeout < now);
            let flow = match &peer.flow {
                Flow::Probe { sent } => u64::from(*sent),
                Flow::Replicate => 2,
                Flow::Snapshot(_) => 3,
            };
            out.number(flow);
            peer.canonical(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_numbers_are_prefix_free() {
        let bytes = |fill: &dyn Fn(&mut Canon)| {
            let mut canon = Canon::default();
            fill(&mut canon);
            canon.into_bytes()
        };
        let two = bytes(&|canon| {
            canon.blob(b"a");
            canon.blob(b"");
        });
        let one = bytes(&|canon| canon.blob(b"a\0"));
        assert_ne!(two, one);
        assert_eq!(bytes(&|canon| canon.number(254)).len(), 1);
        assert_eq!(bytes(&|canon| canon.number(255)).len(), 9);
    }
}
