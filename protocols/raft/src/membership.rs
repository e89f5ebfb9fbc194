//! Who takes part, and in which role; and how a change of that lies in the log.
//!
//! A configuration travels in a log entry like any other, so that it is agreed upon like any other;
//! but consensus must read it back, so this is the one payload that is not opaque here. It begins
//! with [`MARK`], which no host's commands may begin with, and is followed by the same bytes that
//! storage keeps as the configuration at the log's base: counts and ids, each seven bits a byte,
//! least first. A configuration without a change under way and without learners is written as its
//! voters alone, which is what releases before learners wrote.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorate_base::{NodeId, mutant};
use std::collections::BTreeSet;

/// What the payload of a configuration begins with; its last byte is the version.
const MARK: &[u8; 8] = b"\xc1config\x01";

/// The members of a group. While `outgoing` is not empty, two configurations hold together (joint
/// consensus, paper 6, diss. 4.3): every decision takes a majority of both.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Membership {
    /// The members whose votes and copies count.
    pub voters: BTreeSet<NodeId>,
    /// Those whose votes and copies count as well until the change to `voters` is over.
    pub outgoing: BTreeSet<NodeId>,
    /// Members that get entries and states and count nowhere. One that is still in `outgoing`
    /// counts there: it becomes a learner when the change is over.
    pub learners: BTreeSet<NodeId>,
}

impl Membership {
    /// A configuration of these voters alone.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        Membership { voters: voters.into_iter().collect(), ..Membership::default() }
    }

    /// True while a change of voters is under way.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// True when this member's votes and copies count somewhere: one that is on its way out still
    /// votes, for itself too (trap 46).
    pub fn is_voter(&self, node: NodeId) -> bool {
        let leaves = self.outgoing.contains(&node) && !mutant!(RAFT_46_DEMOTED_CANNOT_VOTE);
        leaves || self.voters.contains(&node)
    }

    /// True for voters and learners.
    pub fn contains(&self, node: NodeId) -> bool {
        let sets = [&self.voters, &self.outgoing, &self.learners];
        sets.into_iter().any(|set| set.contains(&node))
    }

    /// Everybody, each once.
    pub fn members(&self) -> BTreeSet<NodeId> {
        let others = self.outgoing.iter().chain(&self.learners);
        self.voters.iter().chain(others).copied().collect()
    }

    /// Everybody whose vote is asked for, each once.
    pub(crate) fn electorate(&self) -> BTreeSet<NodeId> {
        self.voters.union(&self.outgoing).copied().collect()
    }

    /// The groups of which each must have a majority: one, or two during a change.
    pub(crate) fn halves(&self) -> impl Iterator<Item = &BTreeSet<NodeId>> {
        let outgoing = &self.outgoing;
        let old = (!outgoing.is_empty() && !mutant!(RAFT_149_OLD_HALF_IGNORED)).then_some(outgoing);
        [&self.voters].into_iter().filter(|half| !half.is_empty()).chain(old)
    }

    /// The configuration that a change of voters begins with.
    pub(crate) fn enter(&self, target: &Membership) -> Membership {
        let outgoing =
            if self.voters == target.voters { BTreeSet::new() } else { self.voters.clone() };
        Membership { outgoing, ..target.clone() }
    }

    /// The configuration that a change of voters ends with.
    pub(crate) fn leave(&self) -> Membership {
        Membership { outgoing: BTreeSet::new(), ..self.clone() }
    }

    /// As bytes, for a label on a disk or a snapshot.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.put(&mut out);
        out.freeze()
    }

    /// What [`Membership::encode`] wrote, or a release before learners; `None` for other bytes.
    pub fn decode(mut input: Bytes) -> Option<Membership> {
        let voters = get_set(&mut input)?;
        if input.is_empty() {
            return Some(Membership::of(voters));
        }
        let outgoing = get_set(&mut input)?;
        let learners = get_set(&mut input)?;
        input.is_empty().then_some(Membership { voters, outgoing, learners })
    }

    /// As the payload of a log entry.
    pub(crate) fn to_payload(&self) -> Bytes {
        let mut out = BytesMut::from(&MARK[..]);
        self.put(&mut out);
        out.freeze()
    }

    /// True for payloads that only consensus itself may append.
    pub fn is_payload(payload: &[u8]) -> bool {
        payload.starts_with(MARK)
    }

    /// The configuration that an entry holds, if it holds one.
    ///
    /// # Panics
    /// When the payload is marked as a configuration and is none: a leader of another release
    /// wrote what this one cannot follow, and guessing who votes would be worse than stopping.
    pub fn of_payload(payload: &Bytes) -> Option<Membership> {
        if !Membership::is_payload(payload) {
            return None;
        }
        let membership = Membership::decode(payload.slice(MARK.len()..));
        Some(membership.expect("a configuration in the log that this release can read"))
    }

    fn put(&self, out: &mut BytesMut) {
        put_set(out, &self.voters);
        if self.is_joint() || !self.learners.is_empty() {
            put_set(out, &self.outgoing);
            put_set(out, &self.learners);
        }
    }
}

fn put_set(out: &mut BytesMut, set: &BTreeSet<NodeId>) {
    put_number(out, set.len() as u64);
    set.iter().for_each(|node| put_number(out, node.0));
}

fn get_set(input: &mut Bytes) -> Option<BTreeSet<NodeId>> {
    let count = get_number(input)?;
    (0..count).map(|_| get_number(input).map(NodeId)).collect()
}

fn put_number(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn get_number(input: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        if input.is_empty() {
            return None;
        }
        let byte = input.get_u8();
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Membership {
        let set = |ids: &[u64]| ids.iter().copied().map(NodeId).collect();
        Membership {
            voters: set(&[1, 127, 128, 1 << 40, u64::MAX]),
            outgoing: set(&[1, 2]),
            learners: set(&[300]),
        }
    }

    #[test]
    fn configurations_round_trip_and_torn_ones_are_refused() {
        for membership in [some(), some().leave(), Membership::of(some().voters)] {
            let bytes = membership.encode();
            assert_eq!(Membership::decode(bytes.clone()), Some(membership.clone()));
            let ends = (0..bytes.len()).filter(|end| {
                let read = Membership::decode(bytes.slice(..*end));
                read.is_some_and(|read| read != Membership::of(membership.voters.clone()))
            });
            assert_eq!(ends.count(), 0, "a torn configuration is another one");
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Membership::decode(longer.into()), None, "bytes after the end");
            let payload = membership.to_payload();
            assert_eq!(Membership::of_payload(&payload), Some(membership));
        }
        assert_eq!(Membership::of_payload(&Bytes::from_static(b"put")), None);
    }

    #[test]
    fn the_encoding_is_pinned_by_the_format() {
        let old = Membership::of([NodeId(1), NodeId(300)]);
        assert_eq!(&old.encode()[..], [2, 1, 0xac, 2], "as releases before learners wrote it");
        let new = Membership { learners: [NodeId(3)].into(), ..old };
        assert_eq!(&new.encode()[..], [2, 1, 0xac, 2, 0, 1, 3]);
    }

    #[test]
    fn a_change_of_voters_is_joint_and_a_change_of_learners_is_not() {
        let three = Membership::of([1, 2, 3].map(NodeId));
        let learner = Membership { learners: [NodeId(4)].into(), ..three.clone() };
        assert_eq!(three.enter(&learner), learner);
        let four = Membership::of([1, 2, 3, 4].map(NodeId));
        let joint = learner.enter(&four);
        assert_eq!((&joint.voters, &joint.outgoing), (&four.voters, &three.voters));
        assert_eq!(joint.leave(), four);
    }
}
