//! What a member shows to whoever asks: numbers for people, dashboards and tests.

use crate::leader::Leader;
use crate::node::{Raft, State};
use crate::progress::Flow;
use crate::{LogId, Membership, Role};
use quorate_base::{Instant, NodeId};

/// A member's state at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// This member.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// The newest term it knows.
    pub term: u64,
    /// Whom it voted for in this term.
    pub vote: Option<NodeId>,
    /// Whom it follows; itself when it leads.
    pub leader: Option<NodeId>,
    /// The newest entry known committed.
    pub commit: u64,
    /// The newest entry that the state machine reported applied.
    pub applied: u64,
    /// The newest entry of the log.
    pub last: LogId,
    /// The newest entry durable on this member's disk.
    pub stable: u64,
    /// The entry before the first one kept.
    pub base: LogId,
    /// Bytes of entries held in memory, overhead included.
    pub cached_bytes: usize,
    /// Bytes of entries held in memory that are not applied yet; proposals are refused beyond
    /// [`Config::max_cached_bytes`](crate::Config::max_cached_bytes).
    pub unapplied_bytes: usize,
    /// To whom leadership is being handed.
    pub transfer: Option<NodeId>,
    /// A leader's knowledge of its followers; empty otherwise.
    pub peers: Vec<PeerStatus>,
}

/// A leader's knowledge of one follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerStatus {
    /// The follower.
    pub id: NodeId,
    /// Everything up to here is durable there.
    pub matched: u64,
    /// The next entry to send.
    pub next: u64,
    /// How it is sent to.
    pub flow: FlowKind,
    /// Appends under way.
    pub in_flight: usize,
    /// When it last spoke in this term.
    pub heard_at: Instant,
}

/// How a leader sends to a follower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FlowKind {
    /// One append at a time, looking for where the logs agree.
    Probe,
    /// Pipelined appends.
    Replicate,
    /// Chunks of state.
    Snapshot,
}

impl Raft {
    /// Everything worth showing.
    pub fn status(&self) -> Status {
        let leading = self.leading();
        Status {
            id: self.config.id,
            role: self.role(),
            term: self.term,
            vote: self.vote,
            leader: self.leader,
            commit: self.commit,
            applied: self.log.applied(),
            last: self.log.last(),
            stable: self.log.stable(),
            base: self.log.base(),
            cached_bytes: self.log.cached_bytes(),
            unapplied_bytes: self.log.unapplied_bytes(),
            transfer: leading.and_then(Leader::transfer_target),
            peers: leading.map(peers).unwrap_or_default(),
        }
    }

    /// True while this member believes that it leads. Another may already have been elected: ask
    /// with a read, not with this.
    pub fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader(_))
    }

    /// Whom this member follows; itself when it leads.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// This member's name.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// The newest term it knows.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The newest entry known committed.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// The newest entry that the state machine reported applied.
    pub fn applied(&self) -> u64 {
        self.log.applied()
    }

    /// The newest entry of its log.
    pub fn last_id(&self) -> LogId {
        self.log.last()
    }

    /// The entry before the first one that its log keeps.
    pub fn base(&self) -> LogId {
        self.log.base()
    }

    /// The term of an entry; `None` before the base and after the end.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        self.log.term_at(index)
    }

    /// Who takes part: the newest configuration of its log, committed or not.
    pub fn membership(&self) -> &Membership {
        self.log.quorum().membership()
    }

    /// The newest configuration that is known committed.
    pub fn committed_membership(&self) -> &Membership {
        self.log.roster().at(self.commit).1
    }

    /// Every configuration that the log knows, oldest first, with the entry that brought it; the first is
    /// the one at the log's base. The last is in force.
    pub fn configurations(&self) -> impl ExactSizeIterator<Item = (u64, &Membership)> {
        self.log.roster().all()
    }

    /// The entries that brought the configuration in force and the newest one known committed: who
    /// takes part is the same while these are.
    pub fn config_indexes(&self) -> (u64, u64) {
        (self.log.roster().index(), self.log.roster().at(self.commit).0)
    }
}

fn peers(leader: &Leader) -> Vec<PeerStatus> {
    let show = |(id, peer): (&NodeId, &crate::progress::Progress)| PeerStatus {
        id: *id,
        matched: peer.matched,
        next: peer.next,
        flow: match peer.flow {
            Flow::Probe { .. } => FlowKind::Probe,
            Flow::Replicate => FlowKind::Replicate,
            Flow::Snapshot(_) => FlowKind::Snapshot,
        },
        in_flight: peer.in_flight(),
        heard_at: peer.heard_at,
    };
    leader.peers.iter().map(show).collect()
}
