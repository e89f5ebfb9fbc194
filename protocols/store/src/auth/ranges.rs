//! Unions of key ranges, and whether one contains a range.
//!
//! Neighbours that touch are one: `[a, b)` and `[b, c)` together contain `[a, c)`, as in etcd,
//! whichever roles they come from. A single key is the range up to the key that follows it, `key`
//! with a zero byte added.

use crate::KeyRange;
use crate::touch::Span;
use bytes::Bytes;
use std::cmp::Ordering;

/// Keys as disjoint ranges, ascending, that do not touch each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RangeSet(Vec<(Bytes, End)>);

/// Where a range ends: before a key, or never.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    Before(Bytes),
    Open,
}

impl End {
    /// The end of a range with a first key; one without any keys ends where it begins.
    fn of(range: &KeyRange) -> End {
        match (range.is_single(), range.is_unbounded()) {
            (true, _) => End::Before([&range.key[..], &[0]].concat().into()),
            (_, true) => End::Open,
            (false, false) => End::Before(range.end.clone()),
        }
    }

    fn compare(&self, other: &End) -> Ordering {
        match (self, other) {
            (End::Open, End::Open) => Ordering::Equal,
            (End::Open, End::Before(_)) => Ordering::Greater,
            (End::Before(_), End::Open) => Ordering::Less,
            (End::Before(mine), End::Before(other)) => mine.cmp(other),
        }
    }

    /// True when a range that begins at `key` touches or overlaps one that ends here.
    fn reaches(&self, key: &[u8]) -> bool {
        match self {
            End::Open => true,
            End::Before(end) => &end[..] >= key,
        }
    }

    fn is_after(&self, key: &[u8]) -> bool {
        match self {
            End::Open => true,
            End::Before(end) => &end[..] > key,
        }
    }
}

impl RangeSet {
    /// The union of ranges.
    pub fn of<'a>(ranges: impl Iterator<Item = &'a KeyRange>) -> RangeSet {
        let mut all: Vec<(Bytes, End)> =
            ranges.map(|range| (range.key.clone(), End::of(range))).collect();
        all.retain(|(key, end)| end.is_after(key));
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let mut union: Vec<(Bytes, End)> = Vec::new();
        for (key, end) in all {
            match union.last_mut() {
                Some((_, last)) if last.reaches(&key) => {
                    if end.compare(last) == Ordering::Greater {
                        *last = end;
                    }
                }
                Some(_) | None => union.push((key, end)),
            }
        }
        RangeSet(union)
    }

    /// True when all keys of a span are in the set. A span that holds no key, its end not being
    /// after its first key, counts as its first key: etcd decides so too.
    pub fn contains(&self, span: Span<'_>) -> bool {
        let after = self.0.partition_point(|(key, _)| &key[..] <= span.key);
        let Some((_, end)) = after.checked_sub(1).map(|at| &self.0[at]) else { return false };
        end.is_after(span.key)
            && match (end, span.is_unbounded()) {
                (End::Open, _) => true,
                (End::Before(_), true) => false,
                (End::Before(end), false) => &end[..] >= span.end,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::Dice;

    fn key(dice: &mut Dice) -> Bytes {
        let len = 1 + dice.below(2) as usize;
        (0..len).map(|_| [0, 1, b'a', 0xff][dice.below(4) as usize]).collect()
    }

    fn range(dice: &mut Dice) -> KeyRange {
        let end = match dice.below(4) {
            0 => Bytes::new(),
            1 => Bytes::from_static(&[0]),
            _ => key(dice),
        };
        KeyRange { key: key(dice), end }
    }

    /// Every key of up to three bytes over an alphabet that holds the bytes used above, and one
    /// between any two of them.
    fn universe() -> Vec<Vec<u8>> {
        let letters = [0, 1, 2, b'a', b'b', 0xff];
        let mut all: Vec<Vec<u8>> = letters.iter().map(|a| vec![*a]).collect();
        for a in letters {
            for b in letters {
                all.push(vec![a, b]);
                all.extend(letters.map(|c| vec![a, b, c]));
            }
        }
        all
    }

    #[test]
    fn a_set_contains_what_its_keys_say() {
        let (mut dice, universe) = (Dice::new(7), universe());
        for _ in 0..3_000 {
            let ranges: Vec<KeyRange> = (0..dice.below(5)).map(|_| range(&mut dice)).collect();
            let set = RangeSet::of(ranges.iter());
            let asked = range(&mut dice);
            let held = |key: &[u8]| ranges.iter().any(|range| range.contains(key));
            let mut inside = universe.iter().filter(|key| asked.contains(key)).peekable();
            let expected = match inside.peek() {
                None => held(&asked.key),
                Some(_) => {
                    // Beyond the universe an open range goes on for ever.
                    let last = [0xff; 9];
                    let open = asked.is_unbounded();
                    inside.all(|key| held(key)) && (!open || held(&last))
                }
            };
            let span = Span { key: &asked.key, end: &asked.end };
            assert_eq!(set.contains(span), expected, "{asked:?} in {ranges:?}");
        }
    }

    #[test]
    fn neighbours_that_touch_are_one() {
        let of =
            |key: &'static str, end: &'static str| KeyRange { key: key.into(), end: end.into() };
        let set = RangeSet::of([of("a", "b"), of("b", "c"), of("c", "")].iter());
        assert!(set.contains(Span { key: b"a", end: b"c\0" }));
        assert!(!set.contains(Span { key: b"a", end: b"c\0\0" }));
        assert!(!set.contains(Span { key: b"a", end: b"\0" }));
        assert!(RangeSet::of([of("a", "\0")].iter()).contains(Span { key: b"b", end: b"\0" }));
    }
}
