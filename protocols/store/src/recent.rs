//! The changes of a batch, gathered for those who watch.
//!
//! They are listed one by one, with the pairs before and after, so that nobody who keeps up has to read the
//! engine. A revision that changes very much (a delete of a million keys) would hold all of it in memory for
//! watchers that may not exist: such a revision is only *named*, with the keys between which it changed
//! something, and its watchers read it from the log of changes at their own pace.

use crate::Event;
use crate::ring::cost_of;
use bytes::Bytes;

/// A revision that changed too much to be listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unlisted {
    /// Its number.
    pub revision: i64,
    /// The first key that it changed, in the order of keys.
    pub first: Bytes,
    /// The last one.
    pub last: Bytes,
}

impl Unlisted {
    fn widen(&mut self, key: &Bytes) {
        if *key < self.first {
            self.first = key.clone();
        }
        if *key > self.last {
            self.last = key.clone();
        }
    }
}

/// What happened since the last publish.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    pub listed: Vec<Event>,
    pub unlisted: Vec<Unlisted>,
    /// The revision that is being gathered, where its events begin, and their bytes.
    revision: i64,
    begins: usize,
    bytes: usize,
}

impl Recent {
    /// Adds a change of `revision`, the newest or a newer one; `event` is made if it is listed: the events of
    /// a revision take `limit` bytes at most.
    pub fn add(&mut self, revision: i64, key: &Bytes, limit: usize, event: impl FnOnce() -> Event) {
        if self.revision != revision {
            (self.revision, self.begins, self.bytes) = (revision, self.listed.len(), 0);
        }
        let newest = self.unlisted.last_mut();
        if let Some(named) = newest.filter(|named| named.revision == revision) {
            return named.widen(key);
        }
        let event = event();
        self.bytes += cost_of(&event);
        self.listed.push(event);
        if self.bytes > limit {
            let mut keys = self.listed.drain(self.begins..).map(|event| event.kv.key);
            let key = keys.next().expect("one was just added");
            let mut named = Unlisted { revision, first: key.clone(), last: key };
            keys.for_each(|key| named.widen(&key));
            self.unlisted.push(named);
        }
    }

    /// Gives out everything.
    pub fn take(&mut self) -> (Vec<Event>, Vec<Unlisted>) {
        self.revision = 0;
        (std::mem::take(&mut self.listed), std::mem::take(&mut self.unlisted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyValue;

    fn event(revision: i64, key: &'static str, bytes: usize) -> Event {
        let (key, value) = (Bytes::from(key), vec![0; bytes].into());
        let kv = KeyValue { key, value, mod_revision: revision, ..KeyValue::default() };
        Event { delete: false, kv, prev: None }
    }

    #[test]
    fn a_large_revision_is_named_and_its_neighbours_are_listed() {
        let mut recent = Recent::default();
        let changes = [(2, "z", 10), (3, "m", 900), (3, "b", 900), (3, "x", 10), (4, "a", 999)];
        for (revision, key, bytes) in changes {
            let event = event(revision, key, bytes);
            recent.add(revision, &event.kv.key.clone(), 1_500, || event);
        }
        let (listed, unlisted) = recent.take();
        let listed: Vec<_> = listed.iter().map(|event| event.kv.mod_revision).collect();
        assert_eq!(listed, [2, 4]);
        assert_eq!(unlisted, [Unlisted { revision: 3, first: "b".into(), last: "x".into() }]);
        assert_eq!(recent.take(), (Vec::new(), Vec::new()));
    }
}
