//! Sets of keys: what etcd's `key` and `range_end` mean, in one place.
//!
//! An empty end is the one key; an end of `\0` is every key from the first on; otherwise the set is
//! half open (contract item 2). A range whose end is not above its first key is empty: reading it
//! finds nothing, watching it is refused.

use crate::KeyRange;
use bytes::Bytes;

impl KeyRange {
    /// The one key.
    pub fn single(key: impl Into<Bytes>) -> KeyRange {
        KeyRange { key: key.into(), end: Bytes::new() }
    }

    /// Every key that starts with `prefix`; every key when it is empty.
    pub fn prefix(prefix: impl Into<Bytes>) -> KeyRange {
        let prefix = prefix.into();
        match successor_of_prefix(&prefix) {
            Some(end) => KeyRange { key: prefix, end },
            None if prefix.is_empty() => KeyRange::all(),
            None => KeyRange { key: prefix, end: Bytes::from_static(b"\0") },
        }
    }

    /// Every key there can be.
    pub fn all() -> KeyRange {
        KeyRange { key: Bytes::from_static(b"\0"), end: Bytes::from_static(b"\0") }
    }

    /// True when this is one key and not a range.
    pub fn is_single(&self) -> bool {
        self.end.is_empty()
    }

    /// True when this has no upper end.
    pub fn is_unbounded(&self) -> bool {
        self.end[..] == [0]
    }

    /// True when no key can be in it.
    pub fn is_empty(&self) -> bool {
        !self.is_single() && !self.is_unbounded() && self.key >= self.end
    }

    /// True when `key` is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        if self.is_single() {
            return self.key == key;
        }
        self.key[..] <= *key && (self.is_unbounded() || key < &self.end[..])
    }

    /// True when every key that can be in it is in `other` too.
    pub fn is_within(&self, other: &KeyRange) -> bool {
        if self.is_single() {
            return other.contains(&self.key);
        }
        let begins = self.is_empty() || other.contains(&self.key);
        let ends = self.is_empty()
            || other.is_unbounded()
            || (!other.is_single() && !self.is_unbounded() && self.end <= other.end);
        begins && ends
    }

    /// True when some key could be in both.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        if self.is_empty() || other.is_empty() {
            return false;
        }
        if self.is_single() {
            return other.contains(&self.key);
        }
        if other.is_single() {
            return self.contains(&other.key);
        }
        let starts_below = |a: &KeyRange, b: &KeyRange| b.is_unbounded() || a.key < b.end;
        starts_below(self, other) && starts_below(other, self)
    }
}

/// The smallest key above every key that starts with `prefix`, if there is one.
pub(crate) fn successor_of_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static [u8], end: &'static [u8]) -> KeyRange {
        KeyRange { key: Bytes::from_static(key), end: Bytes::from_static(end) }
    }

    #[test]
    fn the_two_special_ends_and_the_plain_one() {
        assert!(range(b"a", b"").contains(b"a") && !range(b"a", b"").contains(b"a\0"));
        assert!(range(b"b", b"\0").contains(b"zzz") && !range(b"b", b"\0").contains(b"a"));
        assert!(range(b"a", b"c").contains(b"b") && !range(b"a", b"c").contains(b"c"));
        assert!(range(b"\0", b"\0").contains(b"\0"));
        assert!(range(b"b", b"a").is_empty() && range(b"b", b"b").is_empty());
    }

    #[test]
    fn a_prefix_carries_over_0xff() {
        assert_eq!(KeyRange::prefix(&b"a\xff"[..]), range(b"a\xff", b"b"));
        assert_eq!(KeyRange::prefix(&b"\xff\xff"[..]), range(b"\xff\xff", b"\0"));
        assert_eq!(KeyRange::prefix(&b""[..]), KeyRange::all());
    }

    #[test]
    fn overlap_agrees_with_trying_every_short_key() {
        let letters: &[&'static [u8]] = &[b"", b"\0", b"a", b"b", b"c", b"d"];
        let keys: &[&'static [u8]] = &[b"a", b"a\0", b"b", b"b\0", b"c", b"c\0", b"d", b"e"];
        for (ak, ae) in letters[2..].iter().flat_map(|k| letters.iter().map(move |e| (*k, *e))) {
            for (bk, be) in letters[2..].iter().flat_map(|k| letters.iter().map(move |e| (*k, *e)))
            {
                let (a, b) = (range(ak, ae), range(bk, be));
                let both = keys.iter().any(|key| a.contains(key) && b.contains(key));
                assert_eq!(a.overlaps(&b), both, "{a:?} {b:?}");
                // The keys tried are not all there are: a range of two may end between them.
                if a.is_within(&b) {
                    assert!(
                        keys.iter().all(|key| !a.contains(key) || b.contains(key)),
                        "{a:?} {b:?}"
                    );
                }
            }
        }
    }
}
