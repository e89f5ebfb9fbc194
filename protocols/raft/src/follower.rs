//! A follower: compares, stores, acknowledges.
//!
//! Its whole safety argument: an acknowledgement promises only what was compared with this leader's
//! log (`agreed`), and leaves only when the writes of those entries and of the term are durable
//! (`send_ack`).

use crate::log::cost;
use crate::node::Raft;
use crate::{Entry, LogId, Message};
use quorate_base::{Instant, NodeId, Out, Ticket, mutant};

impl Raft {
    #[allow(clippy::too_many_arguments)] // The fields of one message.
    pub(crate) fn on_append(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        prev: LogId,
        entries: Vec<Entry>,
        commit: u64,
        out: &mut Out<Raft>,
    ) {
        if !self.follow(now, from, term, out) {
            if mutant!(RAFT_112_STALE_LEADER_IGNORED) {
                return;
            }
            let (term, prev_index) = (self.term, prev.index);
            let hint = LogId::default();
            return out.send(from, Message::AppendRefused { term, prev_index, hint });
        }
        // The host is switching to another state: until it has, entries would be applied to the
        // wrong one. The leader sends them again.
        if self.is_finishing_install() || !is_well_formed(term, prev, &entries) {
            return;
        }
        // What is committed here is in every later leader's log (Leader Completeness, paper 5.4):
        // it needs no comparison, and its terms may be gone (traps 28, 29).
        if prev.index >= self.commit && !self.log.holds(prev) {
            let hint = self.log.newest_not_above(prev.index, prev.term);
            let (term, prev_index) = (self.term, prev.index);
            let hint = hint.unwrap_or(self.log.base());
            return out.send(from, Message::AppendRefused { term, prev_index, hint });
        }
        let Some(matched) = self.accept(prev.index, entries) else { return };
        self.agreed = self.agreed.max(matched).max(self.commit);
        self.commit_up_to(commit.min(matched));
        self.ack_due = true;
    }

    /// Stores what is new of `entries`, which follow `prev_index`. Says up to where this log now
    /// equals the leader's; `None` when nothing of it could be taken.
    ///
    /// Entries that match are passed over and what follows them is kept: a late append must not
    /// truncate what a newer one brought (trap 22).
    fn accept(&mut self, prev_index: u64, entries: Vec<Entry>) -> Option<u64> {
        let mut matched = prev_index;
        let offered = !entries.is_empty();
        for entry in entries {
            let index = entry.index;
            let known = index <= self.commit || self.log.term_at(index) == Some(entry.term);
            if !known {
                let conflicts = index <= self.log.last().index;
                if conflicts {
                    self.log.truncate(index);
                } else if self.commit > self.log.applied() && self.is_full(cost(&entry)) {
                    // As if lost: the leader sends it again when more is applied. While nothing
                    // waits to be applied, refusing would wait for ever: the entries that fill
                    // the memory may commit only through this one.
                    break;
                }
                self.log.append(entry);
            }
            matched = index;
        }
        if mutant!(RAFT_22_LATE_APPEND_TRUNCATES) {
            let kept = matched.max(self.commit).max(self.log.applied());
            if kept < self.log.last().index {
                self.log.truncate(kept + 1);
                self.agreed = self.agreed.min(kept);
            }
        }
        (matched > prev_index || !offered).then_some(matched)
    }

    /// True when an entry of this size must wait until more of the log is applied.
    pub(crate) fn is_full(&self, bytes: usize) -> bool {
        let waiting = self.log.unapplied_bytes();
        waiting > 0 && waiting + bytes > self.config.max_cached_bytes
    }

    /// Commits up to `index`, which must lie in the part that is known to equal the leader's log.
    /// Never goes back (trap 24).
    pub(crate) fn commit_up_to(&mut self, index: u64) {
        assert!(index <= self.log.last().index, "commit {index} beyond {:?}", self.log.last());
        let back = mutant!(RAFT_24_COMMIT_GOES_BACK);
        self.commit = if back { index } else { self.commit.max(index) };
    }

    pub(crate) fn on_heartbeat(
        &mut self,
        now: Instant,
        from: NodeId,
        term: u64,
        round: u64,
        commit: u64,
        out: &mut Out<Raft>,
    ) {
        if self.follow(now, from, term, out) && !self.is_finishing_install() {
            // The leader claims no more than this member has acknowledged in this term, durably, so
            // the claim outlives a restart here. One beyond our log comes from nowhere, or this
            // disk was replaced: it must move nothing (trap 35).
            if commit <= self.log.last().index {
                self.commit_up_to(commit);
                self.agreed = self.agreed.max(commit);
            }
        }
        if term < self.term && mutant!(RAFT_112_STALE_LEADER_IGNORED) {
            return;
        }
        out.send(from, Message::HeartbeatReply { term: self.term, round });
    }

    /// Acknowledges once per turn, after the writes it depends on are durable.
    pub(crate) fn send_ack(&mut self, out: &mut Out<Raft>) {
        if !std::mem::take(&mut self.ack_due) {
            return;
        }
        let leader = self.leader.expect("an acknowledgement is owed to a leader");
        let mut gate = self.log.gate(self.agreed);
        if !mutant!(RAFT_10_EMPTY_APPEND_NOT_GATED) {
            gate = gate.max(self.vote_ticket);
        }
        if mutant!(RAFT_02_ANSWER_BEFORE_DISK) {
            gate = Ticket(0);
        }
        let reply = Message::Appended { term: self.term, matched: self.agreed };
        out.send_after(gate, leader, reply);
    }
}

/// True when the entries follow `prev` without gaps and in terms that a leader of `term` can hold.
fn is_well_formed(term: u64, prev: LogId, entries: &[Entry]) -> bool {
    let mut before = prev;
    entries.iter().all(|entry| {
        let fits = entry.index == before.index + 1 && entry.term >= before.term;
        before = LogId { term: entry.term, index: entry.index };
        fits
    }) && before.term <= term
}
