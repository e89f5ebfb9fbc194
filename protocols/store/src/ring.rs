//! The newest changes, encoded once for all watchers.
//!
//! The applier's host pushes each published batch; every watcher that keeps up is served from here
//! without touching the engine. The ring holds whole revisions and drops the oldest when it is
//! over its bound of bytes; a watcher that falls behind it reads the engine instead. So a slow
//! watcher costs a cursor and not a queue, and a delete of a million keys leaves nothing here.

use crate::{Event, Unlisted};
use bytes::Bytes;
use std::collections::VecDeque;

/// What the ring itself costs per event, in bytes, besides what is encoded.
const OVERHEAD: usize = 160;

/// One change, in the host's encoding.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The key that changed.
    pub key: Bytes,
    /// True for a delete.
    pub delete: bool,
    /// Roughly the bytes that it takes on the wire, the pair before included.
    pub size: usize,
    /// What the host made of the event.
    pub encoded: T,
}

impl<T> Entry<T> {
    pub(crate) fn new(event: &Event, encode: &impl Fn(&Event) -> T) -> Entry<T> {
        Entry {
            key: event.kv.key.clone(),
            delete: event.delete,
            size: size_of(event),
            encoded: encode(event),
        }
    }
}

/// What an event takes in a ring, in bytes.
pub(crate) fn cost_of(event: &Event) -> usize {
    size_of(event) + OVERHEAD
}

fn size_of(event: &Event) -> usize {
    let prev = event.prev.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len());
    event.kv.key.len() + event.kv.value.len() + prev + 32
}

/// Recent changes by revision: the revisions `first..=last`, without gaps.
#[derive(Debug)]
pub struct Ring<T> {
    revisions: VecDeque<Vec<Entry<T>>>,
    /// The revision of the front.
    first: i64,
    bytes: usize,
    limit: usize,
}

impl<T> Ring<T> {
    /// An empty ring that will hold what comes after `revision` (the view's, when it is made), up
    /// to about `limit` bytes.
    pub fn after(revision: i64, limit: usize) -> Ring<T> {
        Ring { revisions: VecDeque::new(), first: revision + 1, bytes: 0, limit }
    }

    /// The oldest revision held; the next to come when there is none.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// The newest revision that was pushed.
    pub fn last(&self) -> i64 {
        self.first + self.revisions.len() as i64 - 1
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the events of a published batch, calling `encode` once for each that there is room for.
    /// What came before a revision that is not listed is dropped: the ring has no gaps.
    ///
    /// # Panics
    /// When a revision is missing or comes twice: a watcher would miss it or see it twice.
    pub fn push(&mut self, events: &[Event], unlisted: &[Unlisted], encode: impl Fn(&Event) -> T) {
        let mut unlisted = unlisted.iter().map(|named| named.revision).peekable();
        for revision in events.chunk_by(|a, b| a.kv.mod_revision == b.kv.mod_revision) {
            let number = revision[0].kv.mod_revision;
            while let Some(named) = unlisted.next_if(|named| *named < number) {
                self.pass_over(named);
            }
            let bytes: usize = revision.iter().map(cost_of).sum();
            if bytes > self.limit {
                self.pass_over(number);
                continue;
            }
            assert_eq!(number, self.last() + 1, "revisions come one after the other");
            self.bytes += bytes;
            self.revisions.push_back(revision.iter().map(|e| Entry::new(e, &encode)).collect());
        }
        unlisted.for_each(|named| self.pass_over(named));
        while self.bytes > self.limit {
            let oldest = self.revisions.pop_front().expect("bytes are of revisions");
            self.bytes -= cost(&oldest);
            self.first += 1;
        }
    }

    fn pass_over(&mut self, revision: i64) {
        assert_eq!(revision, self.last() + 1, "revisions come one after the other");
        (self.first, self.bytes) = (revision + 1, 0);
        self.revisions.clear();
    }

    /// The changes of a revision, if it is held.
    pub fn get(&self, revision: i64) -> Option<&[Entry<T>]> {
        let at = usize::try_from(revision - self.first).ok()?;
        self.revisions.get(at).map(Vec::as_slice)
    }
}

fn cost<T>(entries: &[Entry<T>]) -> usize {
    entries.iter().map(|entry| entry.size + OVERHEAD).sum()
}
