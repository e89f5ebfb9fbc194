//! How many is enough: the one place that knows what a majority is.
//!
//! Everything that counts (votes, copies, read rounds, silence) asks this type, so that joint
//! consensus (two majorities at once, diss. 4.3) and learners (copies that do not count) will
//! change this file and none of its callers.

use crate::Membership;
use quorate_base::{NodeId, mutant};

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
        self.membership.voters.contains(&node)
    }

    /// True when `node` decides alone.
    pub(crate) fn is_sole_voter(&self, node: NodeId) -> bool {
        self.membership.voters.len() == 1 && self.is_voter(node)
    }

    /// The smallest number of voters that intersects every other such number.
    fn majority(&self) -> usize {
        self.membership.voters.len() / 2 + 1
    }

    /// Counts a ballot. Answers of members that do not vote are not asked for (trap 18).
    pub(crate) fn tally(&self, answer: impl Fn(NodeId) -> Option<bool>) -> Tally {
        let voters = &self.membership.voters;
        let yes = voters.iter().filter(|voter| answer(**voter) == Some(true)).count();
        let no = voters.iter().filter(|voter| answer(**voter) == Some(false)).count();
        if yes >= self.majority() {
            Tally::Won
        } else if no > voters.len() - self.majority() {
            Tally::Lost
        } else {
            Tally::Open
        }
    }

    /// The greatest value that a quorum has reached; zero without voters.
    ///
    /// It compares each voter with all others instead of sorting: groups are small, nothing is
    /// allocated, and there is no order to get wrong (trap 26).
    pub(crate) fn reached(&self, value: impl Fn(NodeId) -> u64) -> u64 {
        let voters = &self.membership.voters;
        if mutant!(RAFT_26_UNSORTED_QUORUM) {
            return voters.iter().nth(self.majority() - 1).map_or(0, |voter| value(*voter));
        }
        voters
            .iter()
            .map(|voter| value(*voter))
            .filter(|mark| {
                voters.iter().filter(|other| value(**other) >= *mark).count() >= self.majority()
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum(size: u64) -> Quorum {
        Quorum::new(Membership { voters: (1..=size).map(NodeId).collect() })
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
}
