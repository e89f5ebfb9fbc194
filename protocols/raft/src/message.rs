//! What members of a Raft group say to each other, and what they tell and ask their hosts.

use crate::{Hurdle, Membership};
use bytes::Bytes;
use quorate_base::NodeId;
use std::time::Duration;

/// One place in the replicated log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// Its position; the first entry of a group has index 1.
    pub index: u64,
    /// The term of the leader that appended it.
    pub term: u64,
    /// Opaque to consensus, except for a configuration ([`Membership::of_payload`]). Empty is the
    /// no-op with which each leader opens its term (diss. 6.4).
    pub payload: Bytes,
}

/// Identifies an entry: two logs that agree here agree on everything before (Log Matching, paper
/// 5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogId {
    /// Compared first: a log with the greater last term is more up to date (paper 5.4.1).
    pub term: u64,
    /// Position within the log.
    pub index: u64,
}

/// Names a snapshot: the state after applying everything up to `last`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SnapshotMeta {
    /// The newest entry that the snapshot covers.
    pub last: LogId,
    /// The configuration in force at that entry.
    pub membership: Membership,
}

/// What members say to each other. Every message carries its sender's term.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // Each variant's line tells of its fields.
pub enum Message {
    /// Would you vote for me in `term`? Changes nobody's term (diss. 9.6).
    PreVote { term: u64, last: LogId },
    /// `term` is the asked-for term when granted, the responder's own when refused.
    PreVoteReply { term: u64, granted: bool },
    /// Vote for me in `term` (paper 5.2). `transfer` skips the stickiness check: the leader itself
    /// asked for this election (diss. 3.10).
    Vote { term: u64, last: LogId, transfer: bool },
    /// The answer to `Vote`, sent after the vote is durable.
    VoteReply { term: u64, granted: bool },
    /// Replicates entries after `prev` (paper 5.3). Empty entries make it a probe or carry a commit
    /// index.
    Append { term: u64, prev: LogId, entries: Vec<Entry>, commit: u64 },
    /// Everything up to `matched` is durable on the sender and equal to the leader's log.
    Appended { term: u64, matched: u64 },
    /// `prev` did not match. `prev_index` names the refused append; `hint` is the newest place
    /// where the logs may still agree: the follower's entry at or before it with the greatest term
    /// not above the refused one (etcd's refinement of paper 5.3's conflict search).
    AppendRefused { term: u64, prev_index: u64, hint: LogId },
    /// Leadership beacon and read round: the answer is free, it never waits for a disk (diss. 6.4).
    /// `commit` never exceeds what the leader knows the receiver to hold.
    Heartbeat { term: u64, round: u64, commit: u64 },
    /// Proof that the sender followed this leader when it saw `round`.
    HeartbeatReply { term: u64, round: u64 },
    /// A follower asks for a read index; `token` is never reused by its sender (trap 37).
    ReadIndex { term: u64, token: u64 },
    /// State applied up to `index` answers any read that began before the request.
    ReadIndexReply { term: u64, token: u64, index: u64 },
    /// Part of a snapshot: state after position `after` (opaque to Raft), up to position `next`.
    SnapshotChunk {
        term: u64,
        meta: SnapshotMeta,
        after: Bytes,
        next: Bytes,
        data: Bytes,
        done: bool,
    },
    /// The receiver holds everything up to `cursor` and wants what follows (empty: from the start).
    SnapshotAck { term: u64, last: LogId, cursor: Bytes },
    /// Start an election now: the leader hands over (diss. 3.10).
    TimeoutNow { term: u64 },
}

impl Message {
    /// The term that the message carries: its sender's, except that a pre-vote and its grant name
    /// the term that the election would have.
    pub fn term(&self) -> u64 {
        match self {
            Message::PreVote { term, .. }
            | Message::PreVoteReply { term, .. }
            | Message::Vote { term, .. }
            | Message::VoteReply { term, .. }
            | Message::Append { term, .. }
            | Message::Appended { term, .. }
            | Message::AppendRefused { term, .. }
            | Message::Heartbeat { term, .. }
            | Message::HeartbeatReply { term, .. }
            | Message::ReadIndex { term, .. }
            | Message::ReadIndexReply { term, .. }
            | Message::SnapshotChunk { term, .. }
            | Message::SnapshotAck { term, .. }
            | Message::TimeoutNow { term } => *term,
        }
    }
}

/// What the local host asks of its Raft group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // Each variant's line tells of its fields.
pub enum Request {
    /// Append this if leader; otherwise it comes back in [`Event::NotLeader`].
    Propose(Bytes),
    /// Find a read index. Answered by [`Event::ReadReady`] or [`Event::ReadDropped`]. Tokens must
    /// never be used twice by one process.
    Read { token: u64 },
    /// The state machine has applied everything up to here.
    Applied { index: u64 },
    /// State up to here is durable outside the log: the log may forget it, once applied.
    Compact { index: u64 },
    /// Answer to [`Event::ReadLog`]: entries from the log on disk, contiguous from the asked index;
    /// empty when they are gone or unreadable.
    LogRead { to: NodeId, entries: Vec<Entry> },
    /// Answer to [`Event::ChunkNeeded`]. `index` is the applied index of the pinned state.
    Chunk { to: NodeId, index: u64, after: Bytes, next: Bytes, data: Bytes, done: bool },
    /// Answer to [`Event::InstallChunk`] with `done` false: stored, durable enough to resume from.
    ChunkStored { last: LogId, cursor: Bytes },
    /// Answer to [`Event::InstallChunk`] with `done` true: the whole state is durable and switched
    /// to.
    Installed { last: LogId },
    /// Hand leadership to this voter (diss. 3.10).
    Transfer { to: NodeId },
    /// Make this the configuration; its `outgoing` is not looked at. Has an effect only on a leader
    /// that may begin a change now ([`crate::Raft::hurdle`]); otherwise [`Event::ChangeRefused`].
    Reconfigure(Membership),
    /// The connection on which this peer spoke has ended. A hint, never a proof: a follower whose
    /// leader it was asks soon whether an election could succeed, and no longer tells others that
    /// it has one.
    Unreachable { peer: NodeId },
    /// Start a campaign now (tests and golden stories).
    Campaign,
}

/// What must survive a crash, in ticket order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // Each variant's line tells of its fields.
pub enum Write {
    /// Term and vote, one record (trap 1).
    Vote { term: u64, vote: Option<NodeId> },
    /// Entries; they replace everything at and after the first one's index.
    Append(Vec<Entry>),
    /// A hint that saves work after a restart. Nothing is ever gated on it.
    Commit(u64),
    /// The log restarts after this snapshot. Entries after `last` survive only when the log held
    /// `last` itself.
    Snapshot(SnapshotMeta),
    /// Entries up to here are no longer needed; the configuration is the one in force there.
    Compact(SnapshotMeta),
}

/// What the local host must know.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // Each variant's line tells of its fields.
pub enum Event {
    /// Committed entries, contiguous, each exactly once in the life of this value, from the
    /// restored applied index on.
    Committed(Vec<Entry>),
    /// Role, term or known leader changed.
    Status { role: Role, term: u64, leader: Option<NodeId> },
    /// A read begun with this token is linearizable at state applied up to `index`.
    ReadReady { token: u64, index: u64 },
    /// No leader confirmed these reads: ask again with new tokens.
    ReadDropped(Vec<u64>),
    /// This member cannot append now (not the leader, or handing over); certainly not applied.
    NotLeader(Bytes),
    /// A change of configuration cannot begin now.
    ChangeRefused { why: Hurdle },
    /// Read `from..` from the log on disk, at most `max_bytes` but at least one entry, for a
    /// follower.
    ReadLog { to: NodeId, from: u64, max_bytes: usize },
    /// Produce the chunk of the newest pinned state that follows `after` (empty: pin anew).
    ChunkNeeded { to: NodeId, after: Bytes },
    /// The receiver `to` needs no more chunks: release its pinned state.
    ChunksDone { to: NodeId },
    /// Store this chunk of the state that will replace ours.
    InstallChunk { meta: SnapshotMeta, after: Bytes, next: Bytes, data: Bytes, done: bool },
}

/// What a member is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could succeed.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Appends and commits.
    Leader,
}

/// What a member is told once, at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This member.
    pub id: NodeId,
    /// Least time without a leader before a campaign; each wait is drawn from `[t, 2t)`.
    pub election_timeout: Duration,
    /// Time between beacons; at most a third of the election timeout.
    pub heartbeat_interval: Duration,
    /// Bytes of entries in one append.
    pub max_append_bytes: usize,
    /// Appends under way to one follower before it acknowledges.
    pub max_inflight_appends: usize,
    /// Bytes of entries kept in memory beyond what is applied and replicated; a follower takes no
    /// more, a leader refuses proposals beyond it.
    pub max_cached_bytes: usize,
    /// A compaction leaves at most so many applied entries for followers that are being sent the
    /// state.
    pub max_held_entries: u64,
}

/// What a member finds on its disk at its start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    /// The newest durable term.
    pub term: u64,
    /// Whom this member voted for in it.
    pub vote: Option<NodeId>,
    /// A lower bound of the commit index.
    pub commit: u64,
    /// What the state machine has applied durably; entries after it are given out again.
    pub applied: u64,
    /// The entry before the first one in the log.
    pub base: LogId,
    /// The configuration in force at `base` (the initial one when the log is whole). Empty when it
    /// is not known: a member that joined later learns it from the log or from a snapshot.
    pub membership: Membership,
    /// The configurations in the entries after `base`, by ascending index
    /// ([`Membership::of_payload`]).
    pub configs: Vec<(u64, Membership)>,
    /// Where each term begins: `(first index, term)`, ascending, for all entries after `base`.
    pub term_starts: Vec<(u64, u64)>,
    /// The newest entry's index (`base.index` when the log is empty).
    pub last_index: u64,
    /// The tail of the log: at least all entries after `applied`, contiguous up to `last_index`.
    pub entries: Vec<Entry>,
}
