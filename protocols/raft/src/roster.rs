//! Which configuration holds: the newest one in the log, committed or not.
//!
//! A configuration counts from the moment its entry is appended (paper 6), so it comes and goes with
//! the log: truncation brings back the one before, a snapshot replaces all that it covers, and
//! compaction keeps the one in force at the new base (trap 44: a copy kept beside the log is
//! forgotten in one of these places). That is why the roster is a part of [`crate::log::Log`] and
//! is changed by nothing else.

use crate::Membership;
use crate::quorum::Quorum;
use quorate_base::mutant;
use std::collections::VecDeque;

/// Every configuration that the kept log knows: that of its base, then one per entry that holds one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Roster {
    /// By ascending index; never empty.
    configs: VecDeque<(u64, Quorum)>,
}

impl Roster {
    /// The configurations of a log that rests on `base`.
    pub(crate) fn new(
        base: u64,
        membership: Membership,
        later: impl IntoIterator<Item = (u64, Membership)>,
    ) -> Roster {
        let mut roster = Roster { configs: [(base, Quorum::new(membership))].into() };
        later.into_iter().for_each(|(index, membership)| roster.append(index, membership));
        roster
    }

    /// The configuration in force.
    pub(crate) fn quorum(&self) -> &Quorum {
        &self.configs.back().expect("never empty").1
    }

    /// The index of the entry that brought it; that of the base when it is older.
    pub(crate) fn index(&self) -> u64 {
        self.configs.back().expect("never empty").0
    }

    /// The configuration in force at an index that the log keeps, and the entry that brought it.
    pub(crate) fn at(&self, index: u64) -> (u64, &Membership) {
        let known = self.configs.iter().rev().find(|(first, _)| *first <= index);
        let (first, quorum) = known.unwrap_or(&self.configs[0]);
        (*first, quorum.membership())
    }

    /// An entry with a configuration joined the log.
    pub(crate) fn append(&mut self, index: u64, membership: Membership) {
        assert!(index > self.index(), "configurations come in the order of the log");
        self.configs.push_back((index, Quorum::new(membership)));
    }

    /// Entries from `from` on left the log.
    pub(crate) fn truncate(&mut self, from: u64) {
        if mutant!(RAFT_44_CONFIG_SURVIVES_TRUNCATION) {
            // It holds on, but under an index that still exists.
            let index = from.saturating_sub(1);
            self.configs.iter_mut().for_each(|config| config.0 = config.0.min(index));
            let kept = self.configs.pop_back().expect("never empty");
            self.configs.retain(|config| config.0 < kept.0);
            return self.configs.push_back(kept);
        }
        while self.configs.len() > 1 && self.index() >= from {
            self.configs.pop_back();
        }
    }

    /// The log begins after `base` from now on and keeps what follows.
    pub(crate) fn compact(&mut self, base: u64) {
        let at = self.at(base).1.clone();
        self.restart(base, at, true);
    }

    /// The log begins after a snapshot.
    pub(crate) fn reset(&mut self, base: u64, membership: Membership, keeps_tail: bool) {
        if mutant!(RAFT_144_SNAPSHOT_KEEPS_CONFIG) {
            let kept = self.quorum().membership().clone();
            return self.restart(base, kept, keeps_tail);
        }
        self.restart(base, membership, keeps_tail);
    }

    fn restart(&mut self, base: u64, membership: Membership, keeps_tail: bool) {
        self.configs.retain(|(index, _)| keeps_tail && *index > base);
        self.configs.push_front((base, Quorum::new(membership)));
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = (u64, &Membership)> {
        self.configs.iter().map(|(index, quorum)| (*index, quorum.membership()))
    }

    /// What must hold after every step.
    pub(crate) fn check(&self, base: u64, last: u64) {
        assert!(self.configs[0].0 <= base, "the base has no configuration");
        assert!(self.index() <= last, "a configuration beyond the log");
        let pairs = self.configs.iter().zip(self.configs.iter().skip(1));
        assert!(pairs.clone().all(|(a, b)| a.0 < b.0), "configurations must ascend");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::NodeId;

    fn of(count: u64) -> Membership {
        Membership::of((1..=count).map(NodeId))
    }

    #[test]
    fn a_configuration_comes_and_goes_with_its_entry() {
        let mut roster = Roster::new(0, of(1), [(3, of(2))]);
        roster.append(7, of(3));
        assert_eq!((roster.index(), roster.quorum().membership()), (7, &of(3)));
        assert_eq!(roster.at(6), (3, &of(2)));
        roster.truncate(7);
        assert_eq!((roster.index(), roster.quorum().membership()), (3, &of(2)));
        roster.compact(5);
        assert_eq!((roster.index(), roster.at(5)), (5, (5, &of(2))));
        roster.append(9, of(4));
        roster.reset(8, of(3), true);
        assert_eq!((roster.at(8), roster.quorum().membership()), ((8, &of(3)), &of(4)));
        roster.reset(20, of(5), false);
        assert_eq!(roster.all().collect::<Vec<_>>(), [(20, &of(5))]);
    }
}
