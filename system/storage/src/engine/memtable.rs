//! The newest writes, in memory: an ordered map that one thread writes and any thread reads.
//!
//! Each key has one node, and the node its versions, newest first, each with the number of the batch
//! that wrote it. A reader at number `s` sees, of each key, the newest version with a number below
//! `s`; so it sees no part of a batch that was not published when it began. A delete is a version
//! without a value, because a table beneath may still hold the key.
//!
//! The writer drops versions that no view can see any more when it writes the key again: a counter
//! written a million times has one or two versions here, not a million for every range to step over.

use bytes::{Bytes, BytesMut};
use crossbeam_skiplist::SkipMap;
use crossbeam_skiplist::map::Entry;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A key and its value, or the fact that it was deleted.
pub(crate) type Slot = (Bytes, Option<Bytes>);

/// What a node costs beside its bytes: its tower, two handles and a lock.
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

type Node<'a> = Entry<'a, Bytes, Mutex<Versions>>;

fn versions<'n>(node: &'n Node<'_>) -> MutexGuard<'n, Versions> {
    // Nothing panics half-way through a change of the versions.
    node.value().lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ordered map of recent writes.
pub(crate) struct Memtable {
    /// Counts memtables of one engine, oldest first.
    pub id: u64,
    map: SkipMap<Bytes, Mutex<Versions>>,
    bytes: AtomicUsize,
}

impl Memtable {
    pub fn new(id: u64) -> Memtable {
        Memtable { id, map: SkipMap::new(), bytes: AtomicUsize::new(0) }
    }

    /// Adds a write. Only the engine's one writer calls this; no reader before `oldest_view` is left.
    pub fn insert(&self, key: Bytes, seq: u64, value: Option<Bytes>, oldest_view: u64) {
        let mut bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
        let mut version = Some(Version { seq, value });
        let fresh = || {
            let newest = version.take().expect("called at most once");
            Mutex::new(Versions { newest, older: Vec::new() })
        };
        let node = self.map.get_or_insert_with(key, fresh);
        match version {
            Some(version) => {
                versions(&node).push(version, oldest_view);
                bytes += VERSION_BYTES;
            }
            None => bytes += NODE_BYTES,
        }
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Roughly what it holds in memory. Versions that were dropped still count: their bytes share
    /// pieces of memory with others.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// What a reader at `seq` finds under the key: a value, a delete, or no word of it.
    pub fn get(&self, key: &[u8], seq: u64) -> Option<Option<Bytes>> {
        let node = self.map.get(key)?;
        let versions = versions(&node);
        versions.at(seq).map(|version| version.value.clone())
    }

    /// Every key as its newest write left it, in order, with the number of that write.
    pub fn newest(&self) -> impl Iterator<Item = (Slot, u64)> + '_ {
        self.map.iter().map(|node| {
            let versions = versions(&node);
            ((node.key().clone(), versions.newest.value.clone()), versions.newest.seq)
        })
    }

    /// The slots of `from <= key < to` that a reader at `seq` sees, from both ends.
    pub fn range(&self, from: &[u8], to: Option<&[u8]>, seq: u64) -> MemRange<'_> {
        MemRange {
            table: self,
            seq,
            from: Bytes::copy_from_slice(from),
            to: to.map(Bytes::copy_from_slice),
            front: None,
            back: None,
            done: false,
        }
    }
}

/// A walk over a memtable as of one batch number.
pub(crate) struct MemRange<'a> {
    table: &'a Memtable,
    seq: u64,
    from: Bytes,
    to: Option<Bytes>,
    /// The last node looked at from either end.
    front: Option<Node<'a>>,
    back: Option<Node<'a>>,
    done: bool,
}

impl MemRange<'_> {
    fn visible(&self, node: &Node<'_>) -> Option<Slot> {
        let versions = versions(node);
        versions.at(self.seq).map(|version| (node.key().clone(), version.value.clone()))
    }
}

impl Iterator for MemRange<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        while !self.done {
            let node = match &self.front {
                None => self.table.map.lower_bound(Bound::Included(&self.from[..])),
                Some(last) => last.next(),
            };
            let node = node.filter(|node| {
                self.to.as_ref().is_none_or(|to| node.key() < to)
                    && self.back.as_ref().is_none_or(|back| node.key() < back.key())
            });
            let found = node.as_ref().and_then(|node| self.visible(node));
            self.done = node.is_none();
            self.front = node.or(self.front.take());
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

impl DoubleEndedIterator for MemRange<'_> {
    fn next_back(&mut self) -> Option<Slot> {
        while !self.done {
            let node = match (&self.back, &self.to) {
                (Some(last), _) => last.prev(),
                (None, Some(to)) => self.table.map.upper_bound(Bound::Excluded(&to[..])),
                (None, None) => self.table.map.back(),
            };
            let node = node.filter(|node| {
                node.key() >= &self.from
                    && self.front.as_ref().is_none_or(|front| node.key() > front.key())
            });
            let found = node.as_ref().and_then(|node| self.visible(node));
            self.done = node.is_none();
            self.back = node.or(self.back.take());
            if found.is_some() {
                return found;
            }
        }
        None
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
        1 + versions(&table.map.get(key).unwrap()).older.len()
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
