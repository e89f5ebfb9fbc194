//! What members say to each other about a group, and what they tell and ask their hosts.

use bytes::Bytes;
use quorate_base::NodeId;
use quorate_raft as raft;
use quorate_store::{Action, Lease};
use std::fmt;
use std::time::Duration;

/// Names a consensus group of the cluster. Group 0 holds the catalogue and the default keyspace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

/// Something said about one group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tagged<T> {
    /// Which group.
    pub group: GroupId,
    /// What about it.
    pub body: T,
}

/// A question that only the leader can answer: only it counts down leases, and only it knows how far
/// the others are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ask {
    /// Start the lease's time anew. Answered with its full time to live, 0 when there is no such
    /// lease (contract item 56).
    Renew(i64),
    /// How many seconds has the lease left? Answered with -1 when there is no such lease.
    Remaining(i64),
    /// Does this learner hold nine tenths of the log? Answered with 1 or 0.
    CaughtUp(u64),
}

/// What members of a strong group say to each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// Consensus.
    Raft(raft::Message),
    /// Commands for the leader to append. Nothing is promised: the sender asks again until it sees
    /// them applied, and their operation ids keep a doubled one from being applied twice.
    Forward(Vec<Bytes>),
    /// Lease questions for the leader, each with a token of the asker. `applied` is what the asker
    /// has applied: the answer comes from a state at least that new, so that a lease just granted
    /// through the asker is known.
    Ask { applied: u64, asks: Vec<(u64, Ask)> },
    /// The answers, in seconds, by token.
    Told(Vec<(u64, i64)>),
}

/// What the local host asks of a strong group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// Get this command into the log. It is retried, also with another leader, until
    /// `answered` or [`Request::Forget`] names its `seq`.
    Propose { seq: u64, payload: Bytes },
    /// Stop retrying: its asker has given up. It may still be applied.
    Forget { seq: u64 },
    /// A linearizable read begins. Answered by [`Event::ReadReady`] or [`Event::ReadFailed`].
    Read { token: u64 },
    /// A question about a lease. Answered by [`Event::Told`] or [`Event::AskFailed`].
    Ask { token: u64, ask: Ask },
    /// Which leases does this member know? Answered by [`Event::Leases`].
    ListLeases { token: u64 },
    /// Entries up to `index` are applied; `answered` names the local proposals among them and
    /// `leases` what they changed.
    Applied { index: u64, answered: Vec<u64>, leases: Vec<LeaseChange> },
    /// The state engine holds everything up to here durably.
    Synced { index: u64 },
    /// The disk is nearly full: keep only a few entries for slow followers, who get the state instead.
    Trim,
    /// This is who shall take part from now on, as the applied table of members says: said at a start
    /// and after each change, and only once there is a table.
    Members(Vec<Seat>),
    /// For consensus itself: log reads, snapshot chunks, transfer.
    Raft(raft::Request),
}

/// A member that shall take part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Seat {
    /// Its id.
    pub id: NodeId,
    /// It shall not vote.
    pub learner: bool,
}

/// What applying did to a lease.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LeaseChange {
    /// It exists from now on, with `ttl` seconds.
    Granted { id: i64, ttl: i64 },
    /// It is gone.
    Revoked { id: i64 },
    /// A checkpoint remembered its remaining seconds.
    Checkpointed { id: i64, remaining: i64 },
    /// These are all (at a start, and after a snapshot was installed).
    Reset { leases: Vec<Lease> },
}

/// What the local host must know.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// Apply these, in order.
    Committed(Vec<raft::Entry>),
    /// Reads begun with these tokens are linearizable at state applied up to `index`.
    ReadReady { tokens: Vec<u64>, index: u64 },
    /// No leader could confirm these reads in time.
    ReadFailed { tokens: Vec<u64> },
    /// The answer to a lease question, in seconds.
    Told { token: u64, seconds: i64 },
    /// The leases that this member knows: at the leader, first to expire first.
    Leases { token: u64, ids: Vec<i64> },
    /// No leader answered in time.
    AskFailed { token: u64 },
    /// Encode this and propose it with sequence 0: the leader wants it in the log.
    Act(Action),
    /// Role, term or known leader changed.
    Status { role: raft::Role, term: u64, leader: Option<NodeId> },
    /// For the parts of the host that serve consensus: log reads and snapshots.
    Raft(raft::Event),
}

/// What a strong group is told once, at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Of the consensus below.
    pub raft: raft::Config,
    /// Entries that stay in the log behind a durable state, for followers that are a little slow.
    pub catchup_entries: u64,
    /// A question without an answer for so long has failed.
    pub patience: Duration,
    /// As the leader, ask for the promotion of learners that have caught up.
    pub promotes_learners: bool,
}
