//! One member: its state, the dispatch of inputs, and what is said once per turn.

use crate::election::Ballot;
use crate::leader::Leader;
use crate::log::Log;
use crate::read::Forwarded;
use crate::roster::Roster;
use crate::snapshot::Install;
use crate::{Config, Event, LogId, Message, Request, Restored, Role, Write};
use bytes::Bytes;
use quorate_base::{Dice, Input, Instant, NodeId, Out, Protocol, Ticket, mutant};

/// Bounds of one [`Event::Committed`], so that a restart with a long log does not hand it all over
/// in one piece.
const COMMITTED_EVENT_BYTES: usize = 4 << 20;
const COMMITTED_EVENT_ENTRIES: u64 = 1_000;

/// One member of a Raft group, as a value. See the crate's essay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) dice: Dice,

    // Durable, through `Write`.
    pub(crate) term: u64,
    pub(crate) vote: Option<NodeId>,
    pub(crate) log: Log,

    // Volatile.
    pub(crate) state: State,
    pub(crate) leader: Option<NodeId>,
    pub(crate) commit: u64,
    /// What was given out in [`Event::Committed`].
    pub(crate) emitted: u64,
    /// The newest commit index that was written as a hint.
    pub(crate) commit_hint: u64,
    /// Up to here this log is known to equal the current leader's: what a beacon's commit index
    /// may commit, and what an acknowledgement may promise.
    pub(crate) agreed: u64,
    /// The current leader waits for an acknowledgement; it leaves when the turn's write is said.
    pub(crate) ack_due: bool,
    /// Term or vote changed since they were written.
    pub(crate) vote_unwritten: bool,
    /// The newest write of term and vote.
    pub(crate) vote_ticket: Ticket,
    pub(crate) durable: Ticket,
    /// A state that arrives in chunks and will replace ours.
    pub(crate) install: Option<Install>,
    /// Reads that wait for the leader's answer.
    pub(crate) forwarded: Forwarded,
    /// Reads that nobody will answer, told at the end of the turn.
    pub(crate) dropped_reads: Vec<u64>,

    /// When to campaign, unless leading.
    pub(crate) election_at: Instant,
    /// When the current leader last spoke.
    pub(crate) leader_heard_at: Instant,

    /// What the last [`Event::Status`] said.
    told: (Role, u64, Option<NodeId>),
    /// Term, commit and emitted after the previous step: they never go back.
    pub(crate) before: (u64, u64, u64),
}

/// What a member is, with what it needs for that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Follower,
    PreCandidate(Ballot),
    Candidate(Ballot),
    Leader(Leader),
}

impl Raft {
    /// A member as it comes up with what it found on its disk. It starts as a follower without a
    /// leader; a sole voter campaigns at once.
    ///
    /// # Panics
    /// When `restored` contradicts itself: entries missing after `applied`, terms that do not
    /// cover the log, an applied index beyond its end.
    pub fn new(config: Config, restored: Restored, dice: Dice, now: Instant) -> Raft {
        assert!(
            config.heartbeat_interval * 3 <= config.election_timeout,
            "a heartbeat interval of {:?} is more than a third of the election timeout {:?}",
            config.heartbeat_interval,
            config.election_timeout
        );
        let Restored {
            term,
            vote,
            commit,
            applied,
            base,
            membership,
            configs,
            term_starts,
            last_index,
            entries,
        } = restored;
        let applied = applied.max(base.index);
        assert!(applied <= last_index, "applied {applied} beyond the end {last_index} of the log");
        let roster = Roster::new(base.index, membership, configs);
        let mut log = Log::restore(base, roster, term_starts, last_index, entries, applied);
        assert!(log.last().term <= term, "the log is ahead of the restored term {term}");
        // The hint may be newer than the entries that survived; never older than what was applied
        // (trap 33).
        let commit = commit.min(last_index).max(applied);
        if mutant!(RAFT_33_ROLLED_BACK_AT_RESTART) && commit < last_index {
            log.truncate(commit + 1);
        }
        let mut raft = Raft {
            config,
            dice,
            term,
            vote,
            log,
            state: State::Follower,
            leader: None,
            commit,
            emitted: applied,
            commit_hint: commit,
            agreed: commit,
            ack_due: false,
            vote_unwritten: false,
            vote_ticket: Ticket(0),
            durable: Ticket(0),
            install: None,
            forwarded: Forwarded::default(),
            dropped_reads: Vec::new(),
            election_at: now,
            leader_heard_at: now,
            told: (Role::Follower, term, None),
            before: (term, commit, applied),
        };
        if !raft.log.quorum().is_sole_voter(raft.config.id) {
            raft.wait_for_leader(now);
        }
        raft
    }

    fn receive(&mut self, now: Instant, from: NodeId, message: Message, out: &mut Out<Raft>) {
        // A message from itself is a forgery or a wiring fault: it has no effect (trap 35).
        if from == self.config.id && !mutant!(RAFT_35_FORGED_SELF) {
            return;
        }
        match message {
            Message::PreVote { term, last } => self.on_pre_vote(now, from, term, last, out),
            Message::PreVoteReply { term, granted } => {
                self.on_pre_vote_reply(now, from, term, granted, out);
            }
            Message::Vote { term, last, transfer } => {
                self.on_vote(now, from, term, last, transfer, out);
            }
            Message::VoteReply { term, granted } => {
                self.on_vote_reply(now, from, term, granted, out);
            }
            Message::Append { term, prev, entries, commit } => {
                self.on_append(now, from, term, prev, entries, commit, out);
            }
            Message::Heartbeat { term, round, commit } => {
                self.on_heartbeat(now, from, term, round, commit, out);
            }
            Message::SnapshotChunk { term, meta, after, next, data, done } => {
                let chunk = crate::snapshot::Chunk { meta, after, next, data, done };
                self.on_chunk(now, from, term, chunk, out);
            }
            Message::TimeoutNow { term } => self.on_timeout_now(now, from, term, out),
            Message::ReadIndexReply { term, token, index } => {
                self.on_read_index_reply(from, term, token, index, out);
            }
            Message::Appended { .. }
            | Message::AppendRefused { .. }
            | Message::HeartbeatReply { .. }
            | Message::SnapshotAck { .. }
            | Message::ReadIndex { .. } => self.receive_as_leader(now, from, message, out),
        }
    }

    fn request(&mut self, now: Instant, request: Request, out: &mut Out<Raft>) {
        match request {
            Request::Propose(payload) => self.propose(payload, out),
            Request::Read { token } => self.read(now, token, out),
            Request::Applied { index } => {
                assert!(index <= self.emitted, "{index} applied, {} given out", self.emitted);
                self.log.set_applied(index);
                self.trim_log();
            }
            Request::Compact { index } => self.compact(index, out),
            Request::LogRead { to, entries } => self.on_log_read(to, entries, out),
            Request::Chunk { to, index, after, next, data, done } => {
                self.on_chunk_read(to, index, after, next, data, done, out);
            }
            Request::ChunkStored { last, cursor } => self.on_chunk_stored(last, cursor, out),
            Request::Installed { last } => self.on_installed(last, out),
            Request::Transfer { to } => self.transfer(now, to, out),
            Request::Reconfigure(target) => self.reconfigure(now, &target, out),
            Request::Unreachable { peer } => self.on_unreachable(now, peer),
            Request::Campaign => self.campaign_politely(now, out),
        }
    }

    fn on_durable(&mut self, now: Instant, ticket: Ticket, out: &mut Out<Raft>) {
        self.durable = self.durable.max(ticket);
        if self.log.durable(ticket)
            && let State::Leader(leader) = &mut self.state
        {
            leader.commit_may_move = true;
        }
        self.count_own_vote(now, out);
    }

    fn on_timeout(&mut self, now: Instant, out: &mut Out<Raft>) {
        let waited = self.config.election_timeout;
        let expired = self.forwarded.take_expired(now, waited);
        self.dropped_reads.extend(expired);
        match &self.state {
            State::Leader(_) => self.beat_if_due(now, out),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                if now >= self.election_at {
                    self.campaign_politely(now, out);
                }
            }
        }
    }

    /// Writes term and vote if they changed; one record holds both (trap 1).
    pub(crate) fn write_vote(&mut self, out: &mut Out<Raft>) {
        if self.vote_unwritten {
            self.vote_unwritten = false;
            let (term, vote) = (self.term, self.vote);
            if mutant!(RAFT_04_OWN_VOTE_NOT_WRITTEN) && vote == Some(self.config.id) {
                self.vote_ticket = out.write(Write::Vote { term, vote: None });
                return;
            }
            if mutant!(RAFT_01_TWO_WRITES) {
                self.vote_ticket = out.write(Write::Vote { term, vote: None });
                out.write(Write::Vote { term, vote });
                return;
            }
            self.vote_ticket = out.write(Write::Vote { term, vote });
        }
    }

    /// Writes the entries of this turn; the commit index rides along, since it costs no sync of
    /// its own there.
    pub(crate) fn write_log(&mut self, out: &mut Out<Raft>) {
        let entries = self.log.take_unwritten();
        let Some(last) = entries.last() else { return };
        let index = last.index;
        let ticket = out.write(Write::Append(entries));
        self.log.written(ticket, index);
        if self.commit > self.commit_hint {
            self.commit_hint = self.commit;
            out.write(Write::Commit(self.commit));
        }
    }

    /// Gives out what is committed and durable here, each entry once.
    ///
    /// An entry may be committed by others before this disk has it. It is held back until then, so
    /// that no state machine is ever ahead of its own log after a crash.
    fn emit_committed(&mut self, out: &mut Out<Raft>) {
        if self.is_finishing_install() {
            return;
        }
        let until = self.commit.min(self.log.stable());
        while self.emitted < until {
            let to = until.min(self.emitted + COMMITTED_EVENT_ENTRIES);
            let entries = self
                .log
                .slice(self.emitted + 1, to, COMMITTED_EVENT_BYTES)
                .expect("entries to apply stay in memory");
            let last = entries.last().expect("the range is not empty").index;
            assert!(last > self.emitted, "given out twice");
            self.emitted = if mutant!(RAFT_31_PAGE_SKIPS) { until } else { last };
            out.event(Event::Committed(entries));
        }
    }

    fn compact(&mut self, index: u64, out: &mut Out<Raft>) {
        let index = index.min(self.log.applied()).min(self.held_after());
        if index > self.log.base().index {
            let base = self.log.compact(index);
            out.write(Write::Compact(base));
        }
    }

    fn tell_status(&mut self, out: &mut Out<Raft>) {
        let status = (self.role(), self.term, self.leader);
        if status != self.told {
            self.told = status;
            let (role, term, leader) = status;
            out.event(Event::Status { role, term, leader });
        }
    }

    /// The role at the moment.
    pub fn role(&self) -> Role {
        match &self.state {
            State::Follower => Role::Follower,
            State::PreCandidate(_) => Role::PreCandidate,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// Hands a payload back to its proposer: certainly not appended.
    pub(crate) fn refuse(&self, payload: Bytes, out: &mut Out<Raft>) {
        out.event(Event::NotLeader(payload));
    }

    pub(crate) fn last(&self) -> LogId {
        self.log.last()
    }
}

impl Protocol for Raft {
    type Message = Message;
    type Request = Request;
    type Write = Write;
    type Event = Event;

    fn step(&mut self, now: Instant, input: Input<Raft>, out: &mut Out<Raft>) {
        match input {
            Input::Received { from, message } => self.receive(now, from, message, out),
            Input::Request(request) => self.request(now, request, out),
            Input::Durable(ticket) => self.on_durable(now, ticket, out),
            Input::Timeout => self.on_timeout(now, out),
        }
        self.write_vote(out);
        self.tell_status(out);
        self.check();
    }

    fn settle(&mut self, now: Instant, out: &mut Out<Raft>) {
        self.advance_commit();
        self.leave_joint(now);
        self.write_log(out);
        self.send_ack(out);
        self.settle_reads(out);
        self.replicate(out);
        self.retire(now, out);
        self.emit_committed(out);
        if !self.dropped_reads.is_empty() {
            out.event(Event::ReadDropped(std::mem::take(&mut self.dropped_reads)));
        }
        self.tell_status(out);
        self.check();
    }

    fn next_timeout(&self) -> Option<Instant> {
        let role = match &self.state {
            State::Leader(leader) => Some(leader.wakes_at()),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                self.may_stand().then_some(self.election_at)
            }
        };
        let reads = self.forwarded.expires_at(self.config.election_timeout);
        match (role, reads) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
