//! Changing who takes part: joint consensus (paper 6, diss. 4.3) and learners (diss. 4.2.1).
//!
//! The host names the configuration that it wants; the leader gets there by entries of the log.
//!
//! - *Learners come and go* with one entry: nothing that counts is different before and after.
//! - *Voters change* with two. The first makes old and new configuration hold together, so that at
//!   no moment two majorities can decide apart, however many members change at once. When it is
//!   committed, the leader appends the second, which lets the old one go, exactly once (trap 47):
//!   by appending it, the configuration in force is no longer joint. A leader that takes over in
//!   between does the same.
//! - *One change at a time*: none begins while the newest configuration is not committed or is joint,
//!   and none before the leader has committed an entry of its own term (trap 43).
//! - *Nobody votes who is not there yet*: a member becomes a voter only after it was a learner and
//!   holds nine tenths of the leader's log (trap 48, as etcd asks of a promotion): a voter that
//!   must still catch up counts in the majority and cannot help it.
//! - *A leader may remove itself.* It then no longer counts its own copy (trap 45), leads until the
//!   second entry is committed, tells everybody, asks the best of the others to campaign and
//!   steps down. On its way out it is a voter of the old configuration and may be elected
//!   (trap 46), and also after its last entry, as long as that is not committed.
//! - *Whoever leaves is told*: the leader goes on to send to a removed member until it knows that its
//!   removal is committed, or is silent for an election timeout. So a member ends because it
//!   knows, and not only because nobody speaks to it any more.

use crate::leader::Leader;
use crate::node::{Raft, State};
use crate::progress::{Flow, Progress};
use crate::{Entry, Event, Membership, Message};
use quorate_base::{Instant, NodeId, Out, mutant};

/// Why a change of configuration cannot begin now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hurdle {
    /// This member does not lead.
    NotLeader,
    /// Leadership is being handed over.
    Transferring,
    /// The leader has not committed an entry of its own term yet.
    TooEarly,
    /// Another change is not over.
    Pending,
    /// A group without voters could never decide anything again.
    NoVoters,
    /// This member would become a voter, but is no learner that keeps up with the leader.
    NotCaughtUp(NodeId),
    /// It is the configuration in force.
    NoChange,
}

impl Raft {
    /// Why `target` cannot be entered now; `None` when it can. Its `outgoing` is not looked at.
    pub fn hurdle(&self, target: &Membership) -> Option<Hurdle> {
        let Some(leader) = self.leading() else { return Some(Hurdle::NotLeader) };
        let current = self.membership();
        let decides = self.log.term_at(self.commit) == Some(self.term);
        let early = !decides && !mutant!(RAFT_43_CHANGE_BEFORE_FIRST_COMMIT);
        let pending = current.is_joint() || self.log.roster().index() > self.commit;
        let mut fresh = target.voters.difference(&current.voters);
        let behind = fresh.find(|node| !self.is_caught_up(**node));
        if leader.transfer_target().is_some() {
            Some(Hurdle::Transferring)
        } else if early {
            Some(Hurdle::TooEarly)
        } else if pending {
            Some(Hurdle::Pending)
        } else if target.voters.is_empty() {
            Some(Hurdle::NoVoters)
        } else if let Some(node) = behind.filter(|_| !mutant!(RAFT_48_STRANGER_VOTES)) {
            Some(Hurdle::NotCaughtUp(*node))
        } else {
            (target.leave() == *current).then_some(Hurdle::NoChange)
        }
    }

    /// Whether this member leads and knows that a learner holds nine tenths of its log and gets the
    /// rest as it comes (etcd's measure for a promotion).
    pub fn is_caught_up(&self, learner: NodeId) -> bool {
        let peer = self.leading().and_then(|leader| leader.peers.get(&learner));
        let last = self.log.last().index;
        self.membership().learners.contains(&learner)
            && peer.is_some_and(|peer| {
                if mutant!(RAFT_48_STRANGER_VOTES) {
                    return true;
                }
                peer.matched.saturating_mul(10) >= last.saturating_mul(9)
                    && peer.flow == Flow::Replicate
            })
    }

    /// The host wants another configuration.
    pub(crate) fn reconfigure(&mut self, now: Instant, target: &Membership, out: &mut Out<Raft>) {
        match self.hurdle(target) {
            None => {
                let next = self.membership().enter(target);
                self.configure(now, &next);
            }
            Some(why) => out.event(Event::ChangeRefused { why }),
        }
    }

    /// Appends a configuration, which holds from now on.
    fn configure(&mut self, now: Instant, membership: &Membership) {
        let index = self.last().index + 1;
        let payload = membership.to_payload();
        self.log.append(Entry { index, term: self.term, payload });
        let State::Leader(leader) = &mut self.state else { unreachable!("only a leader appends") };
        leader.adjust(now, self.config.id, index, membership);
    }

    /// A joint configuration that is committed has done its work (trap 47).
    pub(crate) fn leave_joint(&mut self, now: Instant) {
        let Some(_) = self.leading() else { return };
        let (entered, mut membership) = (self.log.roster().index(), self.membership());
        if mutant!(RAFT_47_LEAVES_AGAIN) {
            membership = self.log.roster().at(self.commit).1;
        }
        // Even the bug has to end: a disk that is done at once would call it again for ever.
        let again = mutant!(RAFT_47_LEAVES_AGAIN) && self.last().index < self.commit + 8;
        let done = entered <= self.commit || again;
        if membership.is_joint() && done && self.log.term_at(self.commit) == Some(self.term) {
            let next = membership.leave();
            self.configure(now, &next);
        }
    }

    /// A leader whose removal is committed has told everybody and steps down.
    pub(crate) fn retire(&mut self, now: Instant, out: &mut Out<Raft>) {
        let me = self.config.id;
        let (entered, membership) = (self.log.roster().index(), self.membership());
        let over = entered <= self.commit && !membership.voters.contains(&me);
        let State::Leader(leader) = &self.state else { return };
        if !over || membership.is_joint() {
            return;
        }
        let best = membership.voters.iter().filter_map(|voter| leader.peers.get_key_value(voter));
        if let Some((to, _)) = best.max_by_key(|(_, peer)| peer.matched) {
            out.send(*to, Message::TimeoutNow { term: self.term });
        }
        self.become_follower(now, self.term, None, out);
    }

    /// Whether this member asks for votes: it has one now, or had one in the newest configuration that
    /// is known committed. Who left by an entry that only it holds must still be elected to bring
    /// that entry to the others, whose logs are shorter (diss. 4.2.2); its own vote counts for nothing.
    pub(crate) fn may_stand(&self) -> bool {
        let me = self.config.id;
        let had = self.committed_membership().is_voter(me);
        self.membership().is_voter(me) || (had && !mutant!(RAFT_46_DEMOTED_CANNOT_VOTE))
    }

    /// True when it is committed that this member takes no part any more. One that has not reached its
    /// own addition yet is not removed.
    pub fn is_removed(&self) -> bool {
        let me = self.config.id;
        let committed = self.committed_membership();
        let out = !committed.contains(me) && !self.membership().contains(me);
        out && self.log.roster().all().any(|(_, membership)| membership.contains(me))
    }

    /// Everybody whom this leader speaks to, those who leave included; nobody when it does not lead.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.leading().into_iter().flat_map(|leader| leader.peers.keys().copied())
    }
}

impl Leader {
    /// Begins to speak to members that are new and remembers who leaves.
    fn adjust(&mut self, now: Instant, me: NodeId, index: u64, membership: &Membership) {
        for id in membership.members().into_iter().filter(|id| *id != me) {
            self.leaving.remove(&id);
            self.peers.entry(id).or_insert_with(|| Progress::new(index, now));
        }
        for id in self.peers.keys().filter(|id| !membership.contains(**id)) {
            self.leaving.entry(*id).or_insert(index);
        }
        // Who counts is different: what was not enough may be enough now.
        self.commit_may_move = true;
    }

    /// Lets those go who know that they left, or do not answer any more.
    pub(crate) fn dismiss(&mut self, gone: impl Fn(&Progress, u64) -> bool, out: &mut Out<Raft>) {
        let peers = &mut self.peers;
        self.leaving.retain(|id, index| {
            let Some(peer) = peers.get(id) else { return false };
            let gone = gone(peer, *index);
            if gone {
                if let Flow::Snapshot(_) = peer.flow {
                    out.event(Event::ChunksDone { to: *id });
                }
                peers.remove(id);
            }
            !gone
        });
    }
}
