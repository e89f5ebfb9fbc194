//! The judges: each names the promise that it watches, and costs little enough to run on every step.
//!
//! | property | says | where from |
//! |---|---|---|
//! | `election-safety` | at most one leader per term | paper 5.2, `ElectionSafety` |
//! | `one-vote-per-term` | a member votes once in a term, over all its lives | paper 5.2 |
//! | `log-matching` | same index and term: same payload, same predecessor | paper 5.3, `LogMatching` |
//! | `leader-completeness` | a new leader holds what earlier terms committed | paper 5.4, `LeaderCompleteness` |
//! | `committed-immutable` | an index is committed with one term, for ever | paper 5.4.3 |
//! | `committed-on-quorum` | what is committed survives a power failure on a majority | paper 5.3, diss. 10.2.1 |
//! | `state-machine-safety` | all apply the same entry at an index, and come to the same state | paper 5.4.3, `StateMachineSafety` |
//! | `fingerprints-agree` | the fingerprints that members compare are equal at every index, and of the state | traps.md B14 |
//! | `state-ordering` | base <= applied <= committed <= last, base <= synced state | traps.md B28 |
//! | `monotone` | term, commit and applied never go back within a life | traps 23, 24 |
//! | `synced-writes-survive` | what a sync covered is there after a crash | traps.md B16 |
//! | `recovery-after-any-crash` | the shipped recovery always comes up | traps.md B17 |
//! | `configuration-safety` | of two configurations in a row every two quorums meet, and who leads has a quorum of its own | paper 6, diss. 4.3 |
//! | `voters-hold-the-log` | who becomes a voter holds nine tenths of the log | diss. 4.2.1, trap 48 |
//! | `removed-stay-out` | who was removed is not elected, seated or started again | trap 49 |
//! | `liveness` | in peace there is a leader, clients finish, members agree | paper 5.6 |
//!
//! What clients see is judged in [`history`], against a naive model fed by the committed log.

pub mod config;
pub mod consensus;
pub mod history;
pub mod members;

use consensus::Consensus;
use quorate_base::NodeId;
use quorate_raft::{Entry, Message, Raft, Write};
use std::collections::BTreeMap;
use std::fmt;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which one.
    pub property: &'static str,
    /// How.
    pub detail: String,
}

impl Violation {
    /// Names what was broken and how.
    pub fn new(property: &'static str, detail: String) -> Violation {
        Violation { property, detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.detail)
    }
}

/// Fails with a property's name unless a condition holds.
pub(crate) fn expect(
    holds: bool,
    property: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(property, detail())) }
}

/// The judges of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Oracles {
    consensus: Consensus,
    /// The state's fingerprint by applied index, and who told it first.
    states: BTreeMap<u64, (u64, NodeId)>,
    /// The fingerprints that members compare, by applied index, and who took each first.
    fingerprints: BTreeMap<u64, (u64, NodeId)>,
}

impl Oracles {
    /// A member says a write; its log is as it is after that.
    pub fn wrote(&mut self, node: NodeId, raft: &Raft, write: &Write) -> Result<(), Violation> {
        self.consensus.wrote(node, write, |index| raft.term_at(index))
    }

    /// The same write, for the configurations in it; `held` tells how much of the log a member holds
    /// durably.
    pub fn configured(
        &mut self,
        raft: &Raft,
        write: &Write,
        held: impl Fn(NodeId) -> u64,
    ) -> Result<(), Violation> {
        config::wrote(raft, write, held)
    }

    /// Who led a term first, if anybody did.
    pub fn leader_of(&self, term: u64) -> Option<NodeId> {
        self.consensus.leader_of(term)
    }

    /// A member's message is released.
    pub fn sent(&mut self, from: NodeId, to: NodeId, message: &Message) -> Result<(), Violation> {
        self.consensus.sent(from, to, message)
    }

    /// A member comes up: within a life nothing goes back, between two of them something may.
    pub fn born(&mut self, node: NodeId) {
        self.consensus.born(node);
    }

    /// A member made a step. Answers the newest entry that nobody knew to be committed before.
    pub fn stepped(
        &mut self,
        node: NodeId,
        raft: &Raft,
        applied: u64,
        synced: u64,
    ) -> Result<Option<(u64, u64)>, Violation> {
        self.consensus.stepped(node, raft, applied, synced)
    }

    /// A member is about to apply an entry.
    pub fn applying(&mut self, node: NodeId, entry: &Entry) -> Result<(), Violation> {
        self.consensus.applying(node, entry)
    }

    /// A member's state after applying up to `index`.
    pub fn state(&mut self, node: NodeId, index: u64, hash: u64) -> Result<(), Violation> {
        let (known, by) = *self.states.entry(index).or_insert((hash, node));
        expect(known == hash, "state-machine-safety", || {
            format!("{node} has state {hash:x} after {index}, {by} had {known:x}")
        })
    }

    /// A member took fingerprints.
    pub fn fingerprints(&mut self, node: NodeId, taken: &[(u64, u64)]) -> Result<(), Violation> {
        for (index, value) in taken {
            let (known, by) = *self.fingerprints.entry(*index).or_insert((*value, node));
            expect(known == *value, "fingerprints-agree", || {
                format!("{node} has fingerprint {value:x} after {index}, {by} had {known:x}")
            })?;
        }
        Ok(())
    }

    /// A member counted its state anew, and got what it had kept up, or not.
    pub fn sound(&self, node: NodeId, index: u64, sound: bool) -> Result<(), Violation> {
        expect(sound, "fingerprints-agree", || {
            format!("after {index} the state of {node} is not what its fingerprint says")
        })
    }

    /// The newest index known committed.
    pub fn committed(&self) -> u64 {
        self.consensus.committed()
    }
}
