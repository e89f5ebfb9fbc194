//! Which watchers want a key, without asking each of them.
//!
//! Watchers are told apart by what they watch. One key is a look-up. A prefix, which is what nearly
//! everybody else watches, is a look-up for each *length* of prefix that somebody watches, and
//! there are few. Only other ranges are tried one by one.

use crate::KeyRange;
use crate::range::successor_of_prefix;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Watchers by what they watch; `I` names one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interests<I> {
    keys: BTreeMap<Bytes, BTreeSet<I>>,
    prefixes: BTreeMap<Bytes, BTreeSet<I>>,
    /// How many of `prefixes` have each length.
    lengths: BTreeMap<usize, usize>,
    ranges: BTreeMap<KeyRange, BTreeSet<I>>,
}

impl<I> Default for Interests<I> {
    fn default() -> Interests<I> {
        Interests {
            keys: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            lengths: BTreeMap::new(),
            ranges: BTreeMap::new(),
        }
    }
}

/// The prefix that a range is, if it is one.
fn prefix_of(range: &KeyRange) -> Option<&Bytes> {
    if range.is_unbounded() {
        return None;
    }
    (successor_of_prefix(&range.key)? == range.end).then_some(&range.key)
}

impl<I: Ord + Copy> Interests<I> {
    /// Notes that `id` watches `range`; the same twice is once.
    pub fn add(&mut self, range: &KeyRange, id: I) {
        if range.is_single() {
            self.keys.entry(range.key.clone()).or_default().insert(id);
        } else if let Some(prefix) = prefix_of(range) {
            let length = prefix.len();
            let ids = self.prefixes.entry(prefix.clone()).or_default();
            if ids.is_empty() {
                *self.lengths.entry(length).or_default() += 1;
            }
            ids.insert(id);
        } else {
            self.ranges.entry(range.clone()).or_default().insert(id);
        }
    }

    /// Forgets that `id` watches `range`.
    pub fn remove(&mut self, range: &KeyRange, id: I) {
        if range.is_single() {
            drop_from(&mut self.keys, &range.key, id);
        } else if let Some(prefix) = prefix_of(range) {
            if drop_from(&mut self.prefixes, prefix, id) {
                let left = self.lengths.get_mut(&prefix.len()).expect("counted when added");
                *left -= 1;
                if *left == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        } else {
            drop_from(&mut self.ranges, range, id);
        }
    }

    /// Calls `found` for every watcher of `key`; for one that watches it in two ways, twice.
    pub fn each(&self, key: &[u8], mut found: impl FnMut(I)) {
        let mut all = |ids: Option<&BTreeSet<I>>| {
            ids.into_iter().flatten().for_each(|id| found(*id));
        };
        all(self.keys.get(key));
        for length in self.lengths.keys().take_while(|length| **length <= key.len()) {
            all(self.prefixes.get(&key[..*length]));
        }
        for (range, ids) in &self.ranges {
            if range.contains(key) {
                all(Some(ids));
            }
        }
    }
}

impl<I: Ord + Copy> Interests<I> {
    /// Calls `found` for every watcher of any key from `first` to `last`, both included; for one that
    /// watches them in several ways, as often.
    pub fn each_between(&self, first: &[u8], last: &[u8], mut found: impl FnMut(I)) {
        let between = (Bound::Included(first), Bound::Included(last));
        let inside = self.keys.range::<[u8], _>(between);
        inside.flat_map(|(_, ids)| ids).for_each(|id| found(*id));
        let inside = self.prefixes.range::<[u8], _>(between);
        inside.flat_map(|(_, ids)| ids).for_each(|id| found(*id));
        // A shorter prefix of the first key sorts before it.
        for length in self.lengths.keys().take_while(|length| **length < first.len()) {
            let ids = self.prefixes.get(&first[..*length]);
            ids.into_iter().flatten().for_each(|id| found(*id));
        }
        for (range, ids) in &self.ranges {
            let begins = range.key[..] <= *last && !range.is_empty();
            if begins && (range.is_unbounded() || range.end[..] > *first) {
                ids.iter().for_each(|id| found(*id));
            }
        }
    }
}

/// True when that was the last one of `key`.
fn drop_from<K: Ord, I: Ord>(map: &mut BTreeMap<K, BTreeSet<I>>, key: &K, id: I) -> bool {
    let Some(ids) = map.get_mut(key) else { return false };
    ids.remove(&id);
    let last = ids.is_empty();
    if last {
        map.remove(key);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::Dice;

    #[test]
    fn it_finds_exactly_the_watchers_whose_range_holds_the_key() {
        let mut dice = Dice::new(5);
        let word = |dice: &mut Dice, max: u64| -> Bytes {
            let alphabet = [0, b'a', b'b', 0xff];
            (0..=dice.below(max)).map(|_| alphabet[dice.below(4) as usize]).collect()
        };
        let (mut interests, mut all) = (Interests::default(), BTreeMap::new());
        for id in 0..3_000u64 {
            let key = word(&mut dice, 3);
            let range = match dice.below(4) {
                0 => KeyRange::single(key),
                1 | 2 => KeyRange::prefix(key),
                _rest => KeyRange { key, end: word(&mut dice, 3) },
            };
            interests.add(&range, id);
            all.insert(id, range);
            if dice.chance(600_000) {
                let (id, range) = all.pop_first().expect("one was just added");
                interests.remove(&range, id);
                interests.remove(&range, id);
            }
            let key = word(&mut dice, 4);
            let mut found = BTreeSet::new();
            interests.each(&key, |id| assert!(found.insert(id)));
            let expected: BTreeSet<_> =
                all.iter().filter(|(_, range)| range.contains(&key)).map(|(id, _)| *id).collect();
            assert_eq!(found, expected, "{key:?}");

            let other = word(&mut dice, 4);
            let (first, last) = (key.clone().min(other.clone()), key.max(other));
            let mut found = BTreeSet::new();
            interests.each_between(&first, &last, |id| assert!(found.insert(id)));
            let between = |range: &KeyRange| match range.is_single() {
                true => first <= range.key && range.key <= last,
                false => range.contains(&range.key.clone().max(first.clone())) && range.key <= last,
            };
            let expected: BTreeSet<_> =
                all.iter().filter(|(_, range)| between(range)).map(|(id, _)| *id).collect();
            assert_eq!(found, expected, "{first:?} to {last:?}");
        }
        all.iter().for_each(|(id, range)| interests.remove(range, *id));
        assert_eq!(interests, Interests::default());
    }
}
