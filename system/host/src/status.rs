//! What the rest of the process may know of the core, without asking it.

use crate::Failure;
use quorate_base::NodeId;
use quorate_node::{GroupId, Node};
use quorate_raft::{Membership, Restored, Role};
use std::sync::Mutex;
use std::time::Instant;
use tokio::sync::watch;

/// The default group as its core sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// What this member is.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Whom it follows.
    pub leader: Option<NodeId>,
    /// Its newest log index.
    pub last_index: u64,
    /// Its commit index.
    pub commit: u64,
    /// The index before the first one in its log.
    pub base_index: u64,
    /// Peers that it has a connection to.
    pub connected_peers: Vec<NodeId>,
    /// Times that the known leader changed.
    pub leader_changes: u64,
    /// Since when no leader is known.
    pub leaderless_since: Option<Instant>,
}

/// A board that the core writes and everyone reads.
pub struct StatusBoard {
    status: Mutex<Status>,
    leader: watch::Sender<Option<NodeId>>,
    /// The configuration in force, and the newest committed one.
    roles: watch::Sender<(Membership, Membership)>,
}

impl StatusBoard {
    /// A board of a member that has just begun with what its disk held, and knows no leader.
    pub fn new(restored: &Restored) -> StatusBoard {
        let status = Status {
            role: Role::Follower,
            term: restored.term,
            leader: None,
            last_index: restored.last_index,
            commit: restored.commit.max(restored.applied),
            base_index: restored.base.index,
            connected_peers: Vec::new(),
            leader_changes: 0,
            leaderless_since: Some(Instant::now()),
        };
        StatusBoard {
            status: Mutex::new(status),
            leader: watch::Sender::new(None),
            roles: watch::Sender::default(),
        }
    }

    /// Follows the configuration in force and the newest committed one.
    pub fn roles(&self) -> watch::Receiver<(Membership, Membership)> {
        self.roles.subscribe()
    }

    /// Looks at the configuration in force.
    pub fn with_membership<T>(&self, look: impl FnOnce(&Membership) -> T) -> T {
        look(&self.roles.borrow().0)
    }

    /// The core tells who takes part.
    pub fn configured(&self, now: Membership, committed: Membership) {
        self.roles.send_replace((now, committed));
    }

    /// The newest status.
    pub fn get(&self) -> Status {
        self.status.lock().expect("no holder of this lock panics").clone()
    }

    /// The term, which every answer carries.
    pub fn term(&self) -> u64 {
        self.status.lock().expect("no holder of this lock panics").term
    }

    /// The commit index.
    pub fn commit(&self) -> u64 {
        self.status.lock().expect("no holder of this lock panics").commit
    }

    /// Follows changes of the known leader.
    pub fn leader(&self) -> watch::Receiver<Option<NodeId>> {
        self.leader.subscribe()
    }

    /// The core tells of a new role, term or leader.
    pub fn changed(&self, role: Role, term: u64, leader: Option<NodeId>) {
        {
            let mut status = self.status.lock().expect("no holder of this lock panics");
            if leader != status.leader {
                status.leader_changes += u64::from(leader.is_some());
                status.leaderless_since = leader.is_none().then(Instant::now);
            }
            (status.role, status.term, status.leader) = (role, term, leader);
        }
        self.leader.send_if_modified(|known| std::mem::replace(known, leader) != leader);
    }

    /// The core tells how far its log is.
    pub fn publish(&self, node: &Node, connected_peers: impl Iterator<Item = NodeId>) {
        let raft = node.group(GroupId(0)).expect("group 0 is always there").raft();
        let (last_index, commit, base) = (raft.last_id().index, raft.commit(), raft.base());
        let mut status = self.status.lock().expect("no holder of this lock panics");
        status.last_index = last_index;
        status.commit = commit;
        status.base_index = base.index;
        status.connected_peers.clear();
        status.connected_peers.extend(connected_peers);
    }

    /// Why a question stayed without an answer.
    pub fn why_no_answer(&self) -> Failure {
        match self.get().leader {
            Some(_) => Failure::Timeout,
            None => Failure::TimeoutNoLeader,
        }
    }
}
