//! Who is wrong when members differ.
//!
//! Members that applied the same entries hold the same state, so a difference at one index is proof
//! that somebody's state is damaged; whose is a question of majority. What more than half of the
//! voters hold is the truth, since it is what a quorum acknowledged, and whoever differs from it is
//! named. Without such a majority everybody who answered is named: any of them may be wrong. Members
//! that could not answer, or not about the same index, say nothing and are not named.

use std::collections::{BTreeMap, BTreeSet};

/// What a comparison came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nobody differs.
    Agreed,
    /// Somebody does.
    Differ {
        /// Whose state may be wrong.
        named: BTreeSet<u64>,
        /// A majority agrees, so it certainly is.
        certain: bool,
    },
}

/// Compares what members answered to the same question; `voters` are all that vote, whether they
/// answered or not.
pub fn judge<T: Ord>(answers: &BTreeMap<u64, T>, voters: &BTreeSet<u64>) -> Verdict {
    let mut groups: BTreeMap<&T, BTreeSet<u64>> = BTreeMap::new();
    for (member, answer) in answers {
        groups.entry(answer).or_default().insert(*member);
    }
    if groups.len() <= 1 {
        return Verdict::Agreed;
    }
    let is_quorum = |group: &BTreeSet<u64>| 2 * group.intersection(voters).count() > voters.len();
    let truth = groups.values().find(|group| is_quorum(group));
    let everybody = answers.keys().copied();
    match truth {
        Some(truth) => Verdict::Differ {
            named: everybody.filter(|member| !truth.contains(member)).collect(),
            certain: true,
        },
        None => Verdict::Differ { named: everybody.collect(), certain: false },
    }
}

/// What to compare of the fingerprints that members hold: each one's at the index that the most of
/// them have, the newest of several. Nothing when no two have an index in common.
pub fn in_common(held: &BTreeMap<u64, BTreeMap<u64, u64>>) -> Option<(u64, BTreeMap<u64, u64>)> {
    let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
    for index in held.values().flat_map(BTreeMap::keys) {
        *holders.entry(*index).or_default() += 1;
    }
    let most = holders.iter().max_by_key(|(index, count)| (**count, **index));
    let (index, _) = most.filter(|(_, count)| **count > 1)?;
    let at = |(member, held): (&u64, &BTreeMap<u64, u64>)| Some((*member, *held.get(index)?));
    Some((*index, held.iter().filter_map(at).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(answers: &[(u64, &str)], voters: &[u64]) -> Verdict {
        judge(&answers.iter().copied().collect(), &voters.iter().copied().collect())
    }

    fn differ(named: &[u64], certain: bool) -> Verdict {
        Verdict::Differ { named: named.iter().copied().collect(), certain }
    }

    #[test]
    fn the_majority_of_the_voters_is_right() {
        let three = [1, 2, 3];
        assert_eq!(verdict(&[], &three), Verdict::Agreed);
        assert_eq!(verdict(&[(1, "a"), (2, "a"), (3, "a")], &three), Verdict::Agreed);
        assert_eq!(verdict(&[(1, "a"), (2, "b"), (3, "a")], &three), differ(&[2], true));
        assert_eq!(verdict(&[(1, "a"), (2, "b"), (3, "c")], &three), differ(&[1, 2, 3], false));
        assert_eq!(verdict(&[(1, "a"), (2, "b")], &three), differ(&[1, 2], false), "one is down");
        assert_eq!(verdict(&[(1, "a"), (2, "b")], &[1, 2]), differ(&[1, 2], false));
    }

    #[test]
    fn a_learner_is_named_and_does_not_count() {
        let voters = [1, 2, 3];
        assert_eq!(verdict(&[(1, "a"), (2, "a"), (9, "b")], &voters), differ(&[9], true));
        assert_eq!(verdict(&[(1, "a"), (8, "b"), (9, "b")], &voters), differ(&[1, 8, 9], false));
    }

    #[test]
    fn what_most_hold_is_compared_and_the_newest_of_it() {
        let held = |of: &[u64]| of.iter().map(|index| (*index, index * 10)).collect();
        let all = BTreeMap::from([(1, held(&[4, 5, 6])), (2, held(&[3, 4, 5])), (3, held(&[9]))]);
        assert_eq!(in_common(&all), Some((5, [(1, 50), (2, 50)].into())));
        assert_eq!(in_common(&BTreeMap::from([(1, held(&[4])), (2, held(&[5]))])), None);
        assert_eq!(in_common(&BTreeMap::from([(1, held(&[4]))])), None, "alone");
    }
}
