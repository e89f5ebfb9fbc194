//! A leader: appends, replicates, counts copies, keeps its office only while a quorum answers.

use crate::gray::Slow;
use crate::log::Log;
use crate::node::{Raft, State};
use crate::progress::{Flow, Progress};
use crate::quorum::Quorum;
use crate::read::Reads;
use crate::snapshot::Stream;
use crate::{Config, Entry, Event, LogId, Membership, Message};
use bytes::Bytes;
use quorate_base::{Instant, NodeId, Out, mutant};
use std::collections::BTreeMap;

/// What only a leader needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Leader {
    /// Everyone else's progress; for a while also of those who left.
    pub(crate) peers: BTreeMap<NodeId, Progress>,
    /// Those among them who left, with the configuration that they shall hear of.
    pub(crate) leaving: BTreeMap<NodeId, u64>,
    pub(crate) reads: Reads,
    transfer: Option<Transfer>,
    /// What this member's own disk is busy with; see `gray.rs`.
    pub(crate) slow: Option<Slow>,
    /// When to send the next beacons.
    beat_at: Instant,
    /// A copy became durable somewhere since the commit index was last computed.
    pub(crate) commit_may_move: bool,
}

/// A handover under way.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Transfer {
    to: NodeId,
    /// When to give up and take proposals again.
    gives_up_at: Instant,
    asked: bool,
}

impl Leader {
    pub(crate) fn transfer_target(&self) -> Option<NodeId> {
        self.transfer.as_ref().map(|transfer| transfer.to)
    }

    pub(crate) fn wakes_at(&self) -> Instant {
        match &self.transfer {
            Some(transfer) => self.beat_at.min(transfer.gives_up_at),
            None => self.beat_at,
        }
    }

    /// Tells everyone who leads, and asks for proof of the newest read round.
    pub(crate) fn beacon(&self, term: u64, commit: u64, out: &mut Out<Raft>) {
        let round = self.reads.round;
        for (to, peer) in &self.peers {
            let commit = commit.min(peer.matched);
            out.send(*to, Message::Heartbeat { term, round, commit });
        }
    }
}

impl Raft {
    pub(crate) fn leading(&self) -> Option<&Leader> {
        match &self.state {
            State::Leader(leader) => Some(leader),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => None,
        }
    }

    /// Opens the term with an empty entry: only when one of its own entries is committed does a
    /// leader know what is committed (paper 5.4.2, diss. 6.4).
    pub(crate) fn become_leader(&mut self, now: Instant) {
        assert_eq!(self.vote, Some(self.config.id), "a leader voted for itself");
        assert!(self.vote_ticket <= self.durable, "and its vote is durable");
        assert!(!self.is_finishing_install());
        let next = self.last().index + 1;
        let others = self.membership().members().into_iter().filter(|id| *id != self.config.id);
        let peers = others.map(|id| (id, Progress::new(next, now))).collect();
        self.state = State::Leader(Leader {
            peers,
            leaving: BTreeMap::new(),
            reads: Reads::default(),
            transfer: None,
            slow: None,
            beat_at: now + self.config.heartbeat_interval,
            commit_may_move: true,
        });
        self.change_leader(Some(self.config.id));
        self.log.append(Entry { index: next, term: self.term, payload: Bytes::new() });
    }

    /// Gives back what a leader holds: its own readers' hope, its followers' pinned states.
    pub(crate) fn release_leadership(&mut self, leader: Leader, out: &mut Out<Raft>) {
        for (to, peer) in &leader.peers {
            if let Flow::Snapshot(_) = peer.flow {
                out.event(Event::ChunksDone { to: *to });
            }
        }
        self.dropped_reads.extend(leader.reads.tokens_of(self.config.id));
    }

    pub(crate) fn propose(&mut self, payload: Bytes, out: &mut Out<Raft>) {
        // Who takes part is not for proposers to say: a forged or confused payload.
        let full = self.is_full(payload.len()) || Membership::is_payload(&payload);
        match &self.state {
            State::Leader(leader) if leader.transfer.is_none() && !full => {
                let index = self.last().index + 1;
                self.log.append(Entry { index, term: self.term, payload });
            }
            State::Leader(_) | State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                self.refuse(payload, out);
            }
        }
    }

    /// Answers that only a leader of their term can use; a newer term ends this one.
    pub(crate) fn receive_as_leader(
        &mut self,
        now: Instant,
        from: NodeId,
        message: Message,
        out: &mut Out<Raft>,
    ) {
        let term = message.term();
        if term > self.term {
            return self.become_follower(now, term, None, out);
        }
        let State::Leader(leader) = &mut self.state else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        if term < self.term && !mutant!(RAFT_25_STALE_ACK) {
            return;
        }
        peer.heard_at = now;
        match message {
            Message::Appended { matched, .. } => self.on_appended(from, matched, out),
            Message::AppendRefused { hint, .. } if mutant!(RAFT_30_REFUSAL_ACKNOWLEDGES) => {
                self.on_appended(from, hint.index, out);
            }
            Message::AppendRefused { prev_index, hint, .. } => {
                if peer.may_refuse(prev_index) {
                    let agree = self.log.newest_not_above(hint.index, hint.term);
                    let agree = agree.map_or(0, |id| id.index);
                    // Strictly back, so that the search ends whatever the hint says.
                    peer.probe((agree + 1).min(prev_index));
                }
            }
            Message::HeartbeatReply { round, .. } => self.on_heartbeat_reply(from, round, out),
            Message::SnapshotAck { last, cursor, .. } => {
                self.on_snapshot_ack(from, last, cursor, out);
            }
            Message::ReadIndex { token, .. } => self.on_read_index(from, token),
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Vote { .. }
            | Message::VoteReply { .. }
            | Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::ReadIndexReply { .. }
            | Message::SnapshotChunk { .. }
            | Message::TimeoutNow { .. } => unreachable!("dispatched elsewhere: {message:?}"),
        }
    }

    fn on_appended(&mut self, from: NodeId, matched: u64, out: &mut Out<Raft>) {
        let base = self.log.base().index;
        let State::Leader(leader) = &mut self.state else { return };
        let peer = leader.peers.get_mut(&from).expect("the caller found it");
        // Nobody can hold more of this log than there is: a forged or confused answer.
        if matched > self.log.last().index {
            return;
        }
        if peer.acknowledge(matched) {
            leader.commit_may_move = true;
        }
        if let Flow::Snapshot(stream) = &mut peer.flow {
            if peer.matched >= base {
                // It came, by whatever way, to where the log can serve it.
                peer.streamed(self.log.last().index);
                out.event(Event::ChunksDone { to: from });
            } else if stream.is_behind(peer.matched) {
                **stream = Stream::open(from, out);
            }
        }
        self.trim_log();
        self.hand_over(out);
    }

    fn on_heartbeat_reply(&mut self, from: NodeId, round: u64, out: &mut Out<Raft>) {
        let State::Leader(leader) = &mut self.state else { return };
        // A round that was not begun proves nothing: a forged or confused answer.
        let round = if round <= leader.reads.round { round } else { 0 };
        let peer = leader.peers.get_mut(&from).expect("the caller found it");
        peer.round = peer.round.max(round);
        if peer.lost() {
            match &mut peer.flow {
                Flow::Probe { .. } | Flow::Replicate => peer.probe(peer.matched + 1),
                Flow::Snapshot(stream) => stream.resend(self.term, from, out),
            }
        }
        if let Some(transfer) = &mut leader.transfer
            && transfer.to == from
        {
            transfer.asked = false;
        }
        self.hand_over(out);
    }

    /// Commits what a quorum holds durably, if it ends in an entry of this term (paper 5.4.2,
    /// trap 21). The leader counts itself only up to its own durable index (diss. 10.2.1).
    pub(crate) fn advance_commit(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        let may_move = std::mem::take(&mut leader.commit_may_move);
        if !may_move && !mutant!(RAFT_34_OWN_COPY_NOT_DURABLE) {
            return;
        }
        let (me, mut stable, peers) = (self.config.id, self.log.stable(), &leader.peers);
        if mutant!(RAFT_34_OWN_COPY_NOT_DURABLE) {
            stable = self.log.last().index;
        }
        let mut held = self.log.quorum().reached(|node| match peers.get(&node) {
            Some(peer) => peer.matched,
            None if node == me => stable,
            None => 0,
        });
        if mutant!(RAFT_45_REMOVED_LEADER_COUNTS_ITSELF) {
            let mut before = self.log.quorum().membership().clone();
            before.voters.insert(me);
            let mark = |node| peers.get(&node).map_or(stable, |peer| peer.matched);
            held = held.max(Quorum::new(before).reached(mark));
        }
        let own_term = self.log.term_at(held) == Some(self.term);
        if held > self.commit && (own_term || mutant!(RAFT_21_COMMIT_BY_COUNTING)) {
            self.commit_up_to(held);
        }
    }

    /// Sends each follower what it lacks, as far as its flow allows.
    pub(crate) fn replicate(&mut self, out: &mut Out<Raft>) {
        let State::Leader(leader) = &mut self.state else { return };
        let feed = Feed {
            log: &self.log,
            config: &self.config,
            term: self.term,
            commit: self.commit,
            round: leader.reads.round,
        };
        for (to, peer) in &mut leader.peers {
            feed.run(*to, peer, out);
        }
        leader.dismiss(|peer, index| peer.matched >= index && peer.commit_told >= index, out);
    }

    /// The host read entries for a follower.
    pub(crate) fn on_log_read(&mut self, to: NodeId, entries: Vec<Entry>, out: &mut Out<Raft>) {
        let State::Leader(leader) = &mut self.state else { return };
        let Some(peer) = leader.peers.get_mut(&to) else { return };
        let Some(from) = peer.reading.take() else { return };
        // The follower may have been rewound, or the log replaced, while the disk was read.
        if peer.next != from || peer.flow != Flow::Replicate {
            return;
        }
        let fits = |(at, entry): &(usize, Entry)| {
            let id = LogId { term: entry.term, index: entry.index };
            entry.index == from + *at as u64 && self.log.holds(id)
        };
        let entries: Vec<Entry> =
            entries.into_iter().enumerate().take_while(fits).map(|(_, entry)| entry).collect();
        if entries.is_empty() {
            return peer.stream(Stream::open(to, out));
        }
        let feed = Feed {
            log: &self.log,
            config: &self.config,
            term: self.term,
            commit: self.commit,
            round: leader.reads.round,
        };
        feed.send(to, peer, entries, out);
    }

    /// The entry after which a compaction leaves all others for followers that take the state, or
    /// have just taken it: else they would need another, again and again (see `progress.rs` for how
    /// long they may ask for that).
    pub(crate) fn held_after(&self) -> u64 {
        let State::Leader(leader) = &self.state else { return u64::MAX };
        let held = leader.peers.values().filter_map(Progress::holds).min();
        let most = self.log.applied().saturating_sub(self.config.max_held_entries);
        held.map_or(u64::MAX, |held| held.max(most))
    }

    /// Keeps in memory what some follower that keeps up still needs, within the limit.
    pub(crate) fn trim_log(&mut self) {
        let needed_after = match &self.state {
            State::Leader(leader) => {
                let behind = leader.peers.values().filter(|peer| peer.flow == Flow::Replicate);
                behind.map(|peer| peer.matched).min().unwrap_or(u64::MAX)
            }
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => u64::MAX,
        };
        self.log.trim(needed_after, self.config.max_cached_bytes);
    }

    /// Whether this member leads and a quorum, itself included, spoke to it within an election
    /// timeout: only then it is certain that nobody was elected in its place long ago.
    pub fn hears_quorum(&self, now: Instant) -> bool {
        let State::Leader(leader) = &self.state else { return false };
        let (me, peers) = (self.config.id, &leader.peers);
        let heard_at = Instant(self.log.quorum().reached(|node| match peers.get(&node) {
            Some(peer) => peer.heard_at.0,
            None if node == me => now.0,
            None => 0,
        }));
        heard_at + self.config.election_timeout >= now
    }

    /// Beacons, the check that a quorum still answers, and the end of a handover that failed.
    pub(crate) fn beat_if_due(&mut self, now: Instant, out: &mut Out<Raft>) {
        let State::Leader(leader) = &mut self.state else { return };
        if leader.transfer.as_ref().is_some_and(|transfer| transfer.gives_up_at <= now) {
            leader.transfer = None;
        }
        if now < leader.beat_at {
            return;
        }
        leader.beat_at = now + self.config.heartbeat_interval;
        let alone = !self.hears_quorum(now);
        let State::Leader(leader) = &mut self.state else { return };
        if alone && !mutant!(RAFT_16_NO_CHECK_QUORUM) {
            return self.become_follower(now, self.term, None, out);
        }
        let patience = self.config.election_timeout * 10;
        for (to, peer) in &mut leader.peers {
            peer.beat();
            if let Flow::Snapshot(_) = peer.flow
                && peer.heard_at + patience < now
            {
                // Nobody is there: its pinned state is released until it speaks again.
                peer.probe(self.log.last().index + 1);
                out.event(Event::ChunksDone { to: *to });
            }
        }
        let silence = self.config.election_timeout;
        leader.dismiss(|peer, _| peer.heard_at + silence < now, out);
        leader.beacon(self.term, self.commit, out);
        self.leave_a_hung_disk(now, out);
    }

    /// Begins to hand leadership to `to` (diss. 3.10). No effect unless leading, or when `to` is
    /// not another voter.
    pub(crate) fn transfer(&mut self, now: Instant, to: NodeId, out: &mut Out<Raft>) {
        let is_voter = self.membership().voters.contains(&to);
        let State::Leader(leader) = &mut self.state else { return };
        if !is_voter || to == self.config.id || leader.transfer_target() == Some(to) {
            return;
        }
        let gives_up_at = now + self.config.election_timeout;
        leader.transfer = Some(Transfer { to, gives_up_at, asked: false });
        self.hand_over(out);
    }

    /// Asks the target to campaign as soon as all of the log is durable there.
    fn hand_over(&mut self, out: &mut Out<Raft>) {
        let last = self.last().index;
        let State::Leader(leader) = &mut self.state else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let caught_up = leader.peers.get(&transfer.to).is_some_and(|peer| peer.matched == last);
        if caught_up && !transfer.asked {
            transfer.asked = true;
            out.send(transfer.to, Message::TimeoutNow { term: self.term });
        }
    }
}

/// What sending appends needs to know, borrowed apart from the followers' progress.
struct Feed<'a> {
    log: &'a Log,
    config: &'a Config,
    term: u64,
    commit: u64,
    round: u64,
}

impl Feed<'_> {
    /// Sends what `peer` lacks until its window is full, the log ends, or the disk must be asked.
    fn run(&self, to: NodeId, peer: &mut Progress, out: &mut Out<Raft>) {
        loop {
            match &peer.flow {
                Flow::Snapshot(_) | Flow::Probe { sent: true } => return,
                Flow::Probe { sent: false } => return self.probe(to, peer, out),
                Flow::Replicate => {}
            }
            let exhausted = peer.next > self.log.last().index || peer.reading.is_some();
            if exhausted || peer.is_full(self.config.max_inflight_appends) {
                break;
            }
            let max_bytes = self.config.max_append_bytes;
            match self.log.slice(peer.next, u64::MAX, max_bytes) {
                Some(entries) => self.send(to, peer, entries, out),
                None if peer.next <= self.log.base().index => {
                    if mutant!(RAFT_52_EMPTY_FOLLOWER_FORGOTTEN) {
                        return;
                    }
                    peer.stream(Stream::open(to, out));
                }
                None => {
                    peer.reading = Some(peer.next);
                    out.event(Event::ReadLog { to, from: peer.next, max_bytes });
                }
            }
        }
        // Followers answer clients of their own: they learn of commits at once.
        if peer.commit_told < self.commit {
            self.send(to, peer, Vec::new(), out);
        }
    }

    /// One append to find out whether the logs agree before `next`; with entries if they are at
    /// hand.
    fn probe(&self, to: NodeId, peer: &mut Progress, out: &mut Out<Raft>) {
        let entries = self.log.slice(peer.next, u64::MAX, self.config.max_append_bytes);
        self.send(to, peer, entries.unwrap_or_default(), out);
    }

    /// Sends one append. Where the place before it is compacted away no term can be compared, and a
    /// snapshot must help (traps 28, 52).
    fn send(&self, to: NodeId, peer: &mut Progress, entries: Vec<Entry>, out: &mut Out<Raft>) {
        let index = peer.next - 1;
        let zero = mutant!(RAFT_28_TERM_ZERO_PROBE).then_some(0);
        let Some(term) = self.log.term_at(index).or(zero) else {
            if mutant!(RAFT_52_EMPTY_FOLLOWER_FORGOTTEN) {
                return;
            }
            return peer.stream(Stream::open(to, out));
        };
        let prev = LogId { term, index };
        let last = entries.last().map_or(index, |entry| entry.index);
        peer.sent(last, !entries.is_empty(), self.round);
        peer.commit_told = peer.commit_told.max(self.commit);
        out.send(to, Message::Append { term: self.term, prev, entries, commit: self.commit });
    }
}
