//! The newest writes, in memory: an ordered map that one thread writes and any thread reads.
//!
//! Each key has one place in a [tree](super::sorted), and there its versions, newest first, each with the number of the batch
//! that wrote it. A reader at number `s` sees, of each key, the newest version with a number below
//! `s`; so it sees no part of a batch that was not published when it began. A delete is a version
//! without a value, because a table beneath may still hold the key.
//!
//! The writer drops versions that no view can see any more when it writes the key again: a counter
//! written a million times has one or two versions here, not a million for every range to step over.

use super::sorted::Tree;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A key and its value, or the fact that it was deleted.
pub(crate) type Slot = (Bytes, Option<Bytes>);

/// What a key costs beside its bytes: its head, two handles, and room in its arrays.
const NODE_BYTES: usize = 160;

/// What a further version of a key costs beside its bytes.
const VERSION_BYTES: usize = 40;

/// Keys and values are copied into shared pieces of this size: one allocation for dozens of writes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Values above this have an allocation of their own, so that a reader who keeps one pins no more.
const OWN_ALLOCATION_BYTES: usize = 2 * 1024;

struct Version {
    seq: u64,
    value: Option<Bytes>,
}

/// What was written under one key.
struct Versions {
    newest: Version,
    /// Ascending, all before the newest; most keys have none and pay no allocation.
    older: Vec<Version>,
}

impl Versions {
    /// What a reader at `seq` sees.
    fn at(&self, seq: u64) -> Option<&Version> {
        if self.newest.seq < seq {
            return Some(&self.newest);
        }
        let seen = self.older.partition_point(|version| version.seq < seq);
        self.older[..seen].last()
    }

    /// Adds a version and drops those that no reader at `oldest_view` or later can see.
    fn push(&mut self, version: Version, oldest_view: u64) {
        assert!(version.seq >= self.newest.seq, "batches are numbered upwards");
        if version.seq == self.newest.seq {
            self.newest = version;
            return;
        }
        let before = std::mem::replace(&mut self.newest, version);
        self.older.push(before);
        // The oldest view sees the last version before it; what that one replaced is out of sight.
        let seen = self.older.partition_point(|version| version.seq < oldest_view);
        let unseen =
            if self.newest.seq < oldest_view { self.older.len() } else { seen.saturating_sub(1) };
        self.older.drain(..unseen);
    }
}

/// The ordered map of recent writes.
pub(crate) struct Memtable {
    /// Counts memtables of one engine, oldest first.
    pub id: u64,
    /// The writer holds the lock for one write, a reader for one look-up or one leaf of a walk.
    tree: RwLock<Tree<Versions>>,
    bytes: AtomicUsize,
}

impl Memtable {
    pub fn new(id: u64) -> Memtable {
        Memtable { id, tree: RwLock::new(Tree::new()), bytes: AtomicUsize::new(0) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Tree<Versions>> {
        // A writer that panicked half-way leaves a state that its engine never publishes.
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a write. Only the engine's one writer calls this; no reader before `oldest_view` is left.
    pub fn insert(&self, key: Bytes, seq: u64, value: Option<Bytes>, oldest_view: u64) {
        let mut bytes = key.len() + value.as_ref().map_or(0, Bytes::len) + VERSION_BYTES;
        let change = |versions: &mut Versions, version| versions.push(version, oldest_view);
        let fresh = |newest| {
            bytes += NODE_BYTES - VERSION_BYTES;
            Versions { newest, older: Vec::new() }
        };
        let mut tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        tree.upsert(key, Version { seq, value }, change, fresh);
        drop(tree);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Roughly what it holds in memory. Versions that were dropped still count: their bytes share
    /// pieces of memory with others.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// What a reader at `seq` finds under the key: a value, a delete, or no word of it.
    pub fn get(&self, key: &[u8], seq: u64) -> Option<Option<Bytes>> {
        let tree = self.read();
        tree.get(key)?.at(seq).map(|version| version.value.clone())
    }

    /// Lends every key as its newest write left it, in order, with the number of that write. For
    /// memtables that nobody writes any more: a writer would wait.
    pub fn with_newest<R>(
        &self,
        take: impl FnOnce(&mut dyn Iterator<Item = (&Bytes, Option<&Bytes>, u64)>) -> R,
    ) -> R {
        let tree = self.read();
        let mut all = tree
            .iter()
            .map(|(key, Versions { newest, .. })| (key, newest.value.as_ref(), newest.seq));
        take(&mut all)
    }

    /// The slots of `from <= key < to` that a reader at `seq` sees, from both ends.
    pub fn range(&self, from: &[u8], to: Option<&[u8]>, seq: u64) -> MemRange<'_> {
        MemRange {
            table: self,
            seq,
            from: Bytes::copy_from_slice(from),
            from_given_out: false,
            to: to.map(Bytes::copy_from_slice),
            front: VecDeque::new(),
            back: VecDeque::new(),
            done: false,
        }
    }
}

/// A walk over a memtable as of one batch number. It takes a leaf at a time, so that it neither
/// searches for each key nor keeps the writer waiting.
pub(crate) struct MemRange<'a> {
    table: &'a Memtable,
    seq: u64,
    /// What is left to look at lies from here, or after here, ...
    from: Bytes,
    from_given_out: bool,
    /// ... to before here.
    to: Option<Bytes>,
    /// Taken and not yet given out, in the order of giving.
    front: VecDeque<Slot>,
    back: VecDeque<Slot>,
    done: bool,
}

impl MemRange<'_> {
    fn fill_front(&mut self) {
        while self.front.is_empty() && !self.done {
            let tree = self.table.read();
            let mut last = None;
            for (key, versions) in tree.run_from(&self.from, !self.from_given_out) {
                if self.to.as_ref().is_some_and(|to| key >= to) {
                    last = None;
                    break;
                }
                last = Some(key);
                if let Some(version) = versions.at(self.seq) {
                    self.front.push_back((key.clone(), version.value.clone()));
                }
            }
            // A leaf that reached over the end, or none at all: there is nothing more.
            match last {
                Some(last) => (self.from, self.from_given_out) = (last.clone(), true),
                None => self.done = true,
            }
        }
    }

    fn fill_back(&mut self) {
        while self.back.is_empty() && !self.done {
            let tree = self.table.read();
            let mut last = None;
            for (key, versions) in tree.run_before(self.to.as_deref()) {
                if key < &self.from || (self.from_given_out && key == &self.from) {
                    last = None;
                    break;
                }
                last = Some(key);
                if let Some(version) = versions.at(self.seq) {
                    self.back.push_back((key.clone(), version.value.clone()));
                }
            }
            match last {
                Some(last) => self.to = Some(last.clone()),
                None => self.done = true,
            }
        }
    }
}

impl Iterator for MemRange<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        self.fill_front();
        // What the other end took is all that is left.
        self.front.pop_front().or_else(|| self.back.pop_back())
    }
}

impl DoubleEndedIterator for MemRange<'_> {
    fn next_back(&mut self) -> Option<Slot> {
        self.fill_back();
        self.back.pop_front().or_else(|| self.front.pop_back())
    }
}

/// Copies keys and values into shared pieces of memory.
pub(crate) struct Copier(BytesMut);

impl Copier {
    pub fn new() -> Copier {
        Copier(BytesMut::new())
    }

    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() > OWN_ALLOCATION_BYTES {
            return Bytes::copy_from_slice(bytes);
        }
        if self.0.capacity() < bytes.len() {
            self.0 = BytesMut::with_capacity(CHUNK_BYTES);
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(table: &Memtable, key: &[u8]) -> usize {
        1 + table.read().get(key).unwrap().older.len()
    }

    #[test]
    fn versions_that_no_view_sees_are_dropped() {
        let table = Memtable::new(1);
        let write = |seq: u64, oldest_view| {
            let value = Some(Bytes::copy_from_slice(&seq.to_be_bytes()));
            table.insert(Bytes::from_static(b"counter"), seq, value, oldest_view);
        };
        // Each batch is published before the next, and nobody keeps a view: the writer keeps what
        // the last published state shows, and what it is writing.
        (1..1000).for_each(|seq| write(seq, seq));
        assert_eq!(count(&table, b"counter"), 2);
        // A view of batch 999 is held: it, and all since, stay until it goes.
        (1000..1100).for_each(|seq| write(seq, 1000));
        assert_eq!(count(&table, b"counter"), 101);
        let at = |seq: u64| table.get(b"counter", seq).unwrap().unwrap();
        assert_eq!(at(1000), &999u64.to_be_bytes()[..]);
        assert_eq!(at(1050), &1049u64.to_be_bytes()[..]);
        assert_eq!(at(u64::MAX), &1099u64.to_be_bytes()[..]);
        assert!(table.get(b"counter", 999).is_none(), "dropped: no view is that old");
        write(1100, 1100);
        assert_eq!(count(&table, b"counter"), 2);
    }

    #[test]
    fn writing_twice_in_a_batch_keeps_the_last() {
        let table = Memtable::new(1);
        table.insert(Bytes::from_static(b"k"), 5, Some(Bytes::from_static(b"a")), 5);
        table.insert(Bytes::from_static(b"k"), 5, None, 5);
        assert_eq!(count(&table, b"k"), 1);
        assert_eq!(table.get(b"k", 6), Some(None));
        assert_eq!(table.get(b"k", 5), None);
    }
}
