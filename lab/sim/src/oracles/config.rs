//! What must hold of configurations: two that could decide side by side would be two clusters.
//!
//! Told in the plainest way: quorums are sets, and whether two of them can miss each other is found
//! out by trying. The protocol's own counting is not asked.

use crate::oracles::{Violation, expect};
use quorate_base::NodeId;
use quorate_raft::{Membership, Raft, Write};
use std::collections::BTreeSet;

/// More members than this are too many to try all sets of.
const MOST: usize = 12;

/// A majority of the voters, and during a change of those before as well.
pub fn is_quorum(config: &Membership, holders: &BTreeSet<NodeId>) -> bool {
    let most = |half: &BTreeSet<NodeId>| 2 * half.intersection(holders).count() > half.len();
    most(&config.voters) && (config.outgoing.is_empty() || most(&config.outgoing))
}

/// The configurations of which one was in force when this entry was counted: the newest one up to it,
/// and the next, which is appended when the one before it is committed, and so after its entry.
pub fn in_force(raft: &Raft, index: u64) -> Vec<Membership> {
    let all: Vec<(u64, &Membership)> = raft.configurations().collect();
    let at = all.iter().rposition(|(first, _)| *first <= index).unwrap_or(0);
    let mut found = vec![all[at].1.clone()];
    if all[at].0 < index
        && let Some((_, next)) = all.get(at + 1)
    {
        found.push((*next).clone());
    }
    found
}

/// Two disjoint sets of which each is a quorum of its configuration, if there are any.
pub fn apart(one: &Membership, other: &Membership) -> Option<[BTreeSet<NodeId>; 2]> {
    let voters = |config: &Membership| &config.voters | &config.outgoing;
    let all: Vec<NodeId> = (&voters(one) | &voters(other)).into_iter().collect();
    assert!(all.len() <= MOST, "{} voters are too many to try", all.len());
    (0u32..1 << all.len()).find_map(|set| {
        let of = |wanted: u32| {
            let inside = all.iter().enumerate().filter(|(at, _)| set >> at & 1 == wanted);
            inside.map(|(_, node)| *node).collect::<BTreeSet<NodeId>>()
        };
        let (inside, outside) = (of(1), of(0));
        (is_quorum(one, &inside) && is_quorum(other, &outside)).then_some([inside, outside])
    })
}

/// A member writes entries: each configuration among them agrees with the one before it, and the leader
/// that it comes from gives no vote to a member that does not hold the log.
pub fn wrote(raft: &Raft, write: &Write, held: impl Fn(NodeId) -> u64) -> Result<(), Violation> {
    let Write::Append(entries) = write else { return Ok(()) };
    let configs = entries.iter().filter(|entry| Membership::is_payload(&entry.payload));
    for entry in configs {
        let all: Vec<(u64, &Membership)> = raft.configurations().collect();
        let at = all.iter().position(|(index, _)| *index == entry.index);
        let Some(at) = at.filter(|at| *at > 0) else { continue };
        let (before, now) = (all[at - 1].1, all[at].1);
        let apart = apart(before, now);
        expect(apart.is_none(), "configuration-safety", || {
            format!("{before:?} and {now:?} of entry {} can decide apart: {apart:?}", entry.index)
        })?;
        if !raft.is_leader() || raft.term() != entry.term {
            continue;
        }
        let known = &before.voters | &before.outgoing;
        let last = entry.index - 1;
        let behind = now.voters.difference(&known).find(|voter| held(**voter) * 10 < last * 9);
        expect(behind.is_none(), "voters-hold-the-log", || {
            let held = behind.map(|voter| held(*voter));
            format!("{behind:?} becomes a voter with {held:?} of {last} entries")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(voters: &[u64], outgoing: &[u64]) -> Membership {
        let set = |ids: &[u64]| ids.iter().copied().map(NodeId).collect();
        Membership { voters: set(voters), outgoing: set(outgoing), learners: BTreeSet::new() }
    }

    #[test]
    fn joint_configurations_meet_both_neighbours_and_leaps_do_not() {
        let (old, joint, new) =
            (of(&[1, 2, 3], &[]), of(&[4, 5, 6], &[1, 2, 3]), of(&[4, 5, 6], &[]));
        assert_eq!(apart(&old, &joint), None);
        assert_eq!(apart(&joint, &new), None);
        assert!(apart(&old, &new).is_some());
        assert_eq!(apart(&old, &of(&[1, 2, 3, 4], &[])), None, "one more is safe by itself");
        assert!(apart(&old, &of(&[1, 2, 3, 4, 5], &[])).is_some(), "two more are not");
    }
}
