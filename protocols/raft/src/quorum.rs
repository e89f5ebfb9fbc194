//! How many is enough: the one place that knows what a majority is.
//!
//! Everything that counts (votes, copies, read rounds, silence) asks this type, so that nobody else
//! must think of joint consensus (two majorities at once, diss. 4.3) or of learners (whose copies do
//! not count).

use crate::Membership;
use quorate_base::{NodeId, mutant};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What the answers to a ballot amount to so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tally {
    /// A quorum said yes.
    Won,
    /// A quorum can no longer say yes.
    Lost,
    /// Not decided yet.
    Open,
}

impl Tally {
    /// Both must be won; one that is lost decides.
    fn and(self, other: Tally) -> Tally {
        match (self, other) {
            (Tally::Lost, _) | (_, Tally::Lost) => Tally::Lost,
            (Tally::Won, Tally::Won) => Tally::Won,
            (Tally::Open, _) | (_, Tally::Open) => Tally::Open,
        }
    }
}

/// The members whose voice counts, and how many of them make a quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Quorum {
    membership: Membership,
}

impl Quorum {
    pub(crate) fn new(membership: Membership) -> Quorum {
        Quorum { membership }
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(crate) fn is_voter(&self, node: NodeId) -> bool {
        self.membership.is_voter(node)
    }

    /// True when `node` decides alone.
    pub(crate) fn is_sole_voter(&self, node: NodeId) -> bool {
        let alone = |half: &BTreeSet<NodeId>| half.len() == 1 && half.contains(&node);
        !self.membership.voters.is_empty() && self.membership.halves().all(alone)
    }

    /// Counts a ballot. Answers of members that do not vote are not asked for (trap 18).
    pub(crate) fn tally(&self, answer: impl Fn(NodeId) -> Option<bool>) -> Tally {
        let verdicts = self.halves().map(|half| tally_half(&half, &answer));
        verdicts.reduce(Tally::and).unwrap_or(Tally::Open)
    }

    /// The greatest value that a quorum has reached; zero without voters.
    pub(crate) fn reached(&self, value: impl Fn(NodeId) -> u64) -> u64 {
        self.halves().map(|half| reached_by(&half, &value)).min().unwrap_or(0)
    }

    /// What must have a majority: the voters, and during a change those before it as well.
    fn halves(&self) -> impl Iterator<Item = Cow<'_, BTreeSet<NodeId>>> {
        let learners = mutant!(RAFT_118_LEARNER_COUNTS);
        self.membership.halves().map(move |half| match learners {
            false => Cow::Borrowed(half),
            true => Cow::Owned(half | &self.membership.learners),
        })
    }
}

/// The smallest number of voters that intersects every other such number.
fn majority(voters: &BTreeSet<NodeId>) -> usize {
    voters.len() / 2 + 1
}

fn tally_half(voters: &BTreeSet<NodeId>, answer: impl Fn(NodeId) -> Option<bool>) -> Tally {
    let yes = voters.iter().filter(|voter| answer(**voter) == Some(true)).count();
    let no = voters.iter().filter(|voter| answer(**voter) == Some(false)).count();
    if yes >= majority(voters) {
        Tally::Won
    } else if no > voters.len() - majority(voters) {
        Tally::Lost
    } else {
        Tally::Open
    }
}

/// It compares each voter with all others instead of sorting: groups are small, nothing is
/// allocated, and there is no order to get wrong (trap 26).
fn reached_by(voters: &BTreeSet<NodeId>, value: impl Fn(NodeId) -> u64) -> u64 {
    if mutant!(RAFT_26_UNSORTED_QUORUM) {
        return voters.iter().nth(majority(voters) - 1).map_or(0, |voter| value(*voter));
    }
    voters
        .iter()
        .map(|voter| value(*voter))
        .filter(|mark| {
            voters.iter().filter(|other| value(**other) >= *mark).count() >= majority(voters)
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum(size: u64) -> Quorum {
        Quorum::new(Membership::of((1..=size).map(NodeId)))
    }

    #[test]
    fn reached_is_the_majority_th_greatest_value_in_any_order() {
        // Trap 26: the answer must not depend on how the values lie.
        let cases: [(&[u64], u64); 6] = [
            (&[7], 7),
            (&[7, 3], 3),
            (&[1, 9, 5], 5),
            (&[9, 5, 1], 5),
            (&[2, 2, 8, 9], 2),
            (&[10, 1, 30, 20, 2], 10),
        ];
        for (values, want) in cases {
            let got = quorum(values.len() as u64).reached(|node| values[node.0 as usize - 1]);
            assert_eq!(got, want, "{values:?}");
        }
        assert_eq!(quorum(0).reached(|_| 7), 0, "nobody is no quorum");
    }

    #[test]
    fn tally_decides_as_soon_as_it_can_and_not_before() {
        let count = |answers: &[Option<bool>]| {
            quorum(answers.len() as u64).tally(|node| answers[node.0 as usize - 1])
        };
        let (yes, no, open) = (Some(true), Some(false), None);
        assert_eq!(count(&[yes]), Tally::Won);
        assert_eq!(count(&[yes, open, open]), Tally::Open);
        assert_eq!(count(&[yes, open, yes]), Tally::Won);
        assert_eq!(count(&[yes, no, open]), Tally::Open);
        assert_eq!(count(&[yes, no, no]), Tally::Lost);
        assert_eq!(count(&[yes, yes, no, no]), Tally::Lost, "half of four is no majority");
        assert_eq!(count(&[yes, yes, no, open]), Tally::Open);
    }
    #[test]
    fn a_change_under_way_takes_both_majorities() {
        let joint = Membership {
            voters: [1, 2, 3].map(NodeId).into(),
            outgoing: [3, 4, 5].map(NodeId).into(),
            learners: [6].map(NodeId).into(),
        };
        let quorum = Quorum::new(joint);
        let ballot = |yes: &[u64], no: &[u64]| {
            quorum.tally(|node| {
                yes.contains(&node.0).then_some(true).or(no.contains(&node.0).then_some(false))
            })
        };
        assert_eq!(ballot(&[1, 2, 6], &[]), Tally::Open, "one half, and a learner");
        assert_eq!(ballot(&[1, 2, 4], &[]), Tally::Open);
        assert_eq!(ballot(&[1, 3, 4], &[]), Tally::Won, "a member of both counts in both");
        assert_eq!(ballot(&[1, 2], &[4, 5]), Tally::Lost);
        assert_eq!(quorum.reached(|node| node.0 * 10), 20, "the smaller of both halves");
        assert!(quorum.is_voter(NodeId(4)) && !quorum.is_voter(NodeId(6)));
        assert_eq!(Quorum::new(Membership::default()).tally(|_| Some(true)), Tally::Open);
    }
}
