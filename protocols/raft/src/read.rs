//! Linearizable reads without a log entry (ReadIndex, diss. 6.4).
//!
//! A read may be answered at the commit index that the leader had when the read arrived, once the
//! leader has proof that it still led *after* the read arrived. All reads of a turn share one
//! *round*: a number that beacons carry and followers repeat. Several rounds may be under way; a
//! quorum's answers to a round prove all earlier ones too. An acknowledged append proves the round
//! that was current when its index was first sent.
//!
//! Before it has committed an entry of its own term, a leader does not know what is committed, and
//! reads wait (trap 36). Rounds start at zero with each leadership and answers carry the term, and
//! nobody leads twice in one term, so an old answer never confirms a new read (trap 37).
//!
//! A follower forwards only the question. It drops it when leader or term changes, or after an
//! election timeout without an answer: no read waits for ever (its message may have been lost).

use crate::node::{Raft, State};
use crate::{Event, Message};
use quorate_base::{Instant, NodeId, Out, mutant};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Who waits for a read index: a member (possibly this one) and its token.
type Reader = (NodeId, u64);

/// The reads that a leader works on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reads {
    /// The newest round.
    pub(crate) round: u64,
    /// Reads that belong to no round yet.
    held: Vec<Reader>,
    /// Rounds without a quorum's proof, ascending.
    rounds: VecDeque<Round>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Round {
    round: u64,
    index: u64,
    readers: Vec<Reader>,
}

impl Reads {
    /// The tokens of `node`'s own reads among those that wait.
    pub(crate) fn tokens_of(self, node: NodeId) -> impl Iterator<Item = u64> {
        let rounds = self.rounds.into_iter().flat_map(|round| round.readers);
        rounds.chain(self.held).filter(move |reader| reader.0 == node).map(|reader| reader.1)
    }
}

/// Reads that a follower forwarded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Forwarded {
    asked_at: BTreeMap<u64, Instant>,
    /// In the order of asking; answered ones are skipped when they come to the front.
    order: VecDeque<u64>,
}

impl Forwarded {
    fn ask(&mut self, token: u64, now: Instant) {
        assert!(self.asked_at.insert(token, now).is_none(), "read token {token} was used twice");
        self.order.push_back(token);
    }

    fn answer(&mut self, token: u64) -> bool {
        let known = self.asked_at.remove(&token).is_some();
        self.skip_answered();
        known
    }

    fn skip_answered(&mut self) {
        while self.order.front().is_some_and(|token| !self.asked_at.contains_key(token)) {
            self.order.pop_front();
        }
    }

    pub(crate) fn take_all(&mut self) -> Vec<u64> {
        self.order.clear();
        std::mem::take(&mut self.asked_at).into_keys().collect()
    }

    pub(crate) fn take_expired(&mut self, now: Instant, patience: Duration) -> Vec<u64> {
        let mut expired = Vec::new();
        while self.expires_at(patience).is_some_and(|at| at <= now) {
            let token = self.order.pop_front().expect("the oldest was just looked at");
            self.asked_at.remove(&token);
            self.skip_answered();
            expired.push(token);
        }
        expired
    }

    pub(crate) fn expires_at(&self, patience: Duration) -> Option<Instant> {
        self.order.front().map(|token| self.asked_at[token] + patience)
    }
}

impl Raft {
    /// The local host asks for a read index.
    pub(crate) fn read(&mut self, now: Instant, token: u64, out: &mut Out<Raft>) {
        let me = self.config.id;
        if let State::Leader(leader) = &mut self.state {
            return leader.reads.held.push((me, token));
        }
        match self.leader {
            Some(leader) => {
                self.forwarded.ask(token, now);
                out.send(leader, Message::ReadIndex { term: self.term, token });
            }
            None => self.dropped_reads.push(token),
        }
    }

    /// A follower asks for a read index. Only its leader answers: nobody forwards for others, so a
    /// question is asked once (trap 41).
    pub(crate) fn on_read_index(&mut self, from: NodeId, token: u64) {
        if let State::Leader(leader) = &mut self.state {
            leader.reads.held.push((from, token));
        }
    }

    pub(crate) fn on_read_index_reply(
        &mut self,
        from: NodeId,
        term: u64,
        token: u64,
        index: u64,
        out: &mut Out<Raft>,
    ) {
        if term == self.term && self.leader == Some(from) && self.forwarded.answer(token) {
            out.event(Event::ReadReady { token, index });
        }
    }

    /// Opens a round for the reads of this turn and answers those that are proven.
    pub(crate) fn settle_reads(&mut self, out: &mut Out<Raft>) {
        let me = self.config.id;
        let State::Leader(leader) = &mut self.state else { return };
        let knows_commit = self.log.term_at(self.commit) == Some(self.term)
            || mutant!(RAFT_36_READ_BEFORE_FIRST_COMMIT);
        if !leader.reads.held.is_empty() && knows_commit {
            let reused = mutant!(RAFT_37_ROUND_REUSED) && leader.reads.round > 0;
            leader.reads.round += u64::from(!reused);
            let round = leader.reads.round;
            let readers = std::mem::take(&mut leader.reads.held);
            leader.reads.rounds.push_back(Round { round, index: self.commit, readers });
            leader.beacon(self.term, self.commit, out);
        }
        if leader.reads.rounds.is_empty() {
            return;
        }
        let peers = &leader.peers;
        let proven = self.log.quorum().reached(|node| match peers.get(&node) {
            Some(peer) => peer.round,
            None if node == me => u64::MAX,
            None => 0,
        });
        while leader.reads.rounds.front().is_some_and(|round| round.round <= proven) {
            let round = leader.reads.rounds.pop_front().expect("front was just looked at");
            let index = round.index;
            for (reader, token) in round.readers {
                if reader == me {
                    out.event(Event::ReadReady { token, index });
                } else {
                    let term = self.term;
                    out.send(reader, Message::ReadIndexReply { term, token, index });
                }
            }
        }
    }
}
