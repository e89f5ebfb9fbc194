//! Elections: asking whether one could win, asking for votes, giving them.
//!
//! Three protections work together (Cloudflare's outage of 2020 shows what happens without, trap
//! 16):
//! - **pre-vote** (diss. 9.6): a member raises its term only when a quorum says it could win, so a
//!   member that cannot hear the leader does not depose it;
//! - **stickiness** (diss. 6.2, 4.2.3): who heard a leader within the least election timeout grants
//!   neither pre-votes nor votes, except to that leader itself (trap 13) and in a handover;
//! - **check-quorum** (diss. 6.2, in leader.rs): a leader that cannot hear a quorum steps down, so
//!   stickiness cannot protect a leader that is of no use.
//!
//! Nobody's vote counts before it is durable, the candidate's own included (traps 2, 4, 7). The
//! candidate also asks for votes only after that write: the log that it advertises is then durable
//! too, and an answer that arrives after its crash cannot elect it with a shorter one.

use crate::node::{Raft, State};
use crate::quorum::Tally;
use crate::{LogId, Message};
use quorate_base::{Instant, NodeId, Out, Ticket, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// The answers to one campaign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ballot {
    pub(crate) answers: BTreeMap<NodeId, bool>,
    /// The write after which the candidate's own vote counts.
    pub(crate) own_vote: Ticket,
}

impl Raft {
    /// Draws a new wait in `[t, 2t)` for a sign of a leader (trap 19: every wait is drawn anew).
    pub(crate) fn wait_for_leader(&mut self, now: Instant) {
        let least = u64::try_from(self.config.election_timeout.as_nanos()).unwrap_or(u64::MAX);
        let fixed = least == 0 || mutant!(RAFT_19_SYNCHRONISED_TIMERS);
        let jitter = if fixed { 0 } else { self.dice.below(least) };
        self.election_at = now + self.config.election_timeout + Duration::from_nanos(jitter);
    }

    /// Becomes a follower in `term`, of `leader` if one is known. The vote is forgotten only when
    /// the term changes (trap 3).
    pub(crate) fn become_follower(
        &mut self,
        now: Instant,
        term: u64,
        leader: Option<NodeId>,
        out: &mut Out<Raft>,
    ) {
        assert!(term >= self.term, "term went back from {} to {term}", self.term);
        let was_follower = matches!(self.state, State::Follower);
        if let State::Leader(old) = std::mem::replace(&mut self.state, State::Follower) {
            self.release_leadership(old, out);
        }
        if term > self.term || mutant!(RAFT_03_VOTE_ERASED) {
            self.term = term;
            self.vote = None;
            self.vote_unwritten = true;
        }
        if !was_follower || leader.is_some() {
            self.wait_for_leader(now);
        }
        self.change_leader(leader);
    }

    /// Notes who leads. What was agreed with, or asked of, the previous leader is void.
    pub(crate) fn change_leader(&mut self, leader: Option<NodeId>) {
        self.leader = leader;
        self.agreed = self.commit;
        self.ack_due = false;
        if !mutant!(RAFT_38_READ_OUTLIVES_LEADER) {
            self.dropped_reads.extend(self.forwarded.take_all());
        }
    }

    /// A message of `term` arrived from a leader. False when it is stale and was answered so
    /// that the sender learns of the newer term (trap 12).
    pub(crate) fn follow(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        out: &mut Out<Raft>,
    ) -> bool {
        if term < self.term {
            return false;
        }
        let known = term == self.term && self.leader == Some(from);
        if !known {
            assert!(
                term > self.term || (self.leader.is_none() && !self.is_leader()),
                "two leaders in term {term}: {from} and {:?}",
                self.leader
            );
            self.become_follower(now, term, Some(from), out);
        }
        self.leader_heard_at = now;
        self.wait_for_leader(now);
        true
    }

    /// True while a leader is fresh enough that nobody else may be helped to replace it.
    fn sticks_to_leader(&self, now: Instant, candidate: NodeId) -> bool {
        if mutant!(RAFT_116_NO_STICKINESS) {
            return false;
        }
        if self.is_leader() {
            return true;
        }
        self.leader.is_some_and(|leader| leader != candidate || mutant!(RAFT_13_OWN_LEADER_REFUSED))
            && now < self.leader_heard_at + self.config.election_timeout
    }

    /// The leader's connection ended: most likely its process did. Waiting for the whole timeout
    /// would only prolong the time without writes. A wrong hint is harmless: the leader and whoever
    /// still hears it refuse the pre-vote, and its next beacon is followed again.
    pub(crate) fn on_unreachable(&mut self, now: Instant, peer: NodeId) {
        if !matches!(self.state, State::Follower) || self.leader != Some(peer) {
            return;
        }
        self.leader_heard_at = now - self.config.election_timeout;
        // Spread, so that the first to ask is elected before the second begins.
        let spread = u64::try_from(self.config.election_timeout.as_nanos()).unwrap_or(u64::MAX) / 4;
        let soon = now + Duration::from_nanos(self.dice.below(spread.max(1)));
        self.election_at = self.election_at.min(soon);
    }

    /// Starts with the question whether an election could succeed. No effect on a leader, a
    /// member without a vote, one whose own vote is still on its way to the disk (trap 7: its term
    /// would climb for nothing), or one whose state is just being replaced.
    pub(crate) fn campaign_politely(&mut self, now: Instant, out: &mut Out<Raft>) {
        self.wait_for_leader(now);
        let leads = self.is_leader() && !mutant!(RAFT_15_LEADER_CAMPAIGNS);
        if leads || !self.may_campaign() {
            return;
        }
        if self.log.quorum().is_sole_voter(self.config.id) {
            return self.campaign(now, false, out);
        }
        // A pre-candidate follows nobody and starts with no answers but its own (trap 12).
        let mut answers = BTreeMap::from([(self.config.id, true)]);
        if mutant!(RAFT_12_OLD_PRE_VOTES)
            && let State::PreCandidate(before) = &self.state
        {
            answers.extend(before.answers.iter().map(|(node, granted)| (*node, *granted)));
        }
        self.state = State::PreCandidate(Ballot { answers, own_vote: Ticket(0) });
        self.change_leader(None);
        let message = Message::PreVote { term: self.term + 1, last: self.last() };
        self.ask_all(Ticket(0), message, out);
    }

    fn may_campaign(&self) -> bool {
        let own_vote_pending = match &self.state {
            State::Candidate(ballot) if !mutant!(RAFT_07_SINGLE_VOTER_CLIMBS) => {
                ballot.own_vote > self.durable
            }
            State::Candidate(_) => false,
            State::Follower | State::PreCandidate(_) | State::Leader(_) => false,
        };
        let votes = self.may_stand() || mutant!(RAFT_18_OUTSIDER_CAMPAIGNS);
        votes && !own_vote_pending && !self.is_finishing_install()
    }

    /// Raises the term, votes for itself and asks the others (paper 5.2).
    fn campaign(&mut self, now: Instant, transfer: bool, out: &mut Out<Raft>) {
        assert!(!self.is_leader() && self.may_campaign());
        self.change_leader(None);
        self.wait_for_leader(now);
        self.term += 1;
        self.vote = Some(self.config.id);
        self.vote_unwritten = true;
        // Entries of this turn go first, so that the vote's ticket covers the advertised log.
        self.write_log(out);
        self.write_vote(out);
        self.state =
            State::Candidate(Ballot { answers: BTreeMap::new(), own_vote: self.vote_ticket });
        let message = Message::Vote { term: self.term, last: self.last(), transfer };
        self.ask_all(self.vote_ticket, message, out);
    }

    fn ask_all(&self, gate: Ticket, message: Message, out: &mut Out<Raft>) {
        for voter in self.log.quorum().membership().electorate() {
            if voter != self.config.id {
                out.send_after(gate, voter, message.clone());
            }
        }
    }

    /// The candidate's own vote counts once it is durable (traps 4, 7).
    pub(crate) fn count_own_vote(&mut self, now: Instant, out: &mut Out<Raft>) {
        let me = self.config.id;
        if let State::Candidate(ballot) = &mut self.state
            && ballot.own_vote <= self.durable
            && ballot.answers.insert(me, true).is_none()
        {
            self.count_votes(now, out);
        }
    }

    pub(crate) fn on_pre_vote(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        last: LogId,
        out: &mut Out<Raft>,
    ) {
        // Granting changes nothing here, not even the timer (trap 14). A refusal carries our term:
        // a member left behind catches up with it instead of being ignored for ever (trap 11).
        let granted = term > self.term && last >= self.last() && !self.sticks_to_leader(now, from);
        if granted && mutant!(RAFT_14_PRE_VOTE_RESETS_TIMER) {
            self.wait_for_leader(now);
        }
        if term <= self.term && mutant!(RAFT_11_LOWER_TERM_IGNORED) {
            return;
        }
        let term = if granted { term } else { self.term };
        out.send(from, Message::PreVoteReply { term, granted });
    }

    pub(crate) fn on_pre_vote_reply(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        granted: bool,
        out: &mut Out<Raft>,
    ) {
        if !granted && term > self.term {
            return self.become_follower(now, term, None, out);
        }
        // Only an answer to the question being asked counts; a leader asks none (trap 15).
        let asked = if granted { self.term + 1 } else { self.term };
        let State::PreCandidate(ballot) = &mut self.state else { return };
        if term != asked {
            return;
        }
        ballot.answers.insert(from, granted);
        let answers = &ballot.answers;
        match self.log.quorum().tally(|node| answers.get(&node).copied()) {
            Tally::Won => self.campaign(now, false, out),
            Tally::Lost => self.become_follower(now, self.term, None, out),
            Tally::Open => {}
        }
    }

    pub(crate) fn on_vote(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        last: LogId,
        transfer: bool,
        out: &mut Out<Raft>,
    ) {
        let higher = term > self.term;
        if higher {
            if !transfer && self.sticks_to_leader(now, from) {
                return;
            }
            // Seeing a higher term is not granting it (trap 6): that is decided below.
            self.become_follower(now, term, None, out);
        }
        let free = match self.vote {
            None => self.leader.is_none(),
            // The same candidate asks again after a lost answer (trap 5).
            Some(candidate) => candidate == from && !mutant!(RAFT_05_REPEATED_VOTE_REFUSED),
        };
        let complete = last >= self.last() || (higher && mutant!(RAFT_06_HIGHER_TERM_GRANTS));
        // Whether this member votes is not asked: it may not know of its promotion yet (trap 17).
        let voter = self.log.quorum().is_voter(self.config.id);
        let may_vote = voter || !mutant!(RAFT_17_LEARNER_REFUSES_TO_VOTE);
        if term == self.term && free && complete && may_vote {
            if self.vote.is_none() {
                self.vote = Some(from);
                self.vote_unwritten = true;
                self.write_vote(out);
            }
            if let State::PreCandidate(_) = self.state {
                // It has just helped another: its own question is moot.
                self.state = State::Follower;
            }
            self.wait_for_leader(now);
            let reply = Message::VoteReply { term, granted: true };
            let early = mutant!(RAFT_02_ANSWER_BEFORE_DISK);
            let gate = if early { Ticket(0) } else { self.vote_ticket };
            out.send_after(gate, from, reply);
        } else {
            out.send(from, Message::VoteReply { term: self.term, granted: false });
        }
    }

    pub(crate) fn on_vote_reply(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        granted: bool,
        out: &mut Out<Raft>,
    ) {
        if term > self.term {
            return self.become_follower(now, term, None, out);
        }
        let State::Candidate(ballot) = &mut self.state else { return };
        if term == self.term {
            ballot.answers.insert(from, granted);
            self.count_votes(now, out);
        }
    }

    fn count_votes(&mut self, now: Instant, out: &mut Out<Raft>) {
        let State::Candidate(ballot) = &self.state else { return };
        if ballot.own_vote > self.durable {
            return;
        }
        match self.log.quorum().tally(|node| ballot.answers.get(&node).copied()) {
            Tally::Won => self.become_leader(now),
            Tally::Lost => self.become_follower(now, self.term, None, out),
            Tally::Open => {}
        }
    }

    /// The leader hands over: campaign at once, without asking whether it could succeed.
    pub(crate) fn on_timeout_now(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        out: &mut Out<Raft>,
    ) {
        if term != self.term || self.leader != Some(from) || !self.may_campaign() {
            return;
        }
        self.campaign(now, true, out);
    }
}
