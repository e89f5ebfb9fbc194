//! A stretch of the log of changes: read once, for every watcher that stands there.
//!
//! Watchers that come back after a while stand at about the same place, behind the ring of recent
//! events, and each wants the few changes of its own keys out of all that happened. So what they share
//! is the reading: a stretch holds some thousand changes with their keys, in order and by key, and a
//! watcher finds its own in it without looking at the others. Who keeps stretches, and for how long, is
//! the host's affair ([`Past`]); in the simulator nobody does.

use crate::KeyRange;
use crate::engine::{EngineError, EngineRead};
use crate::layout::Change;
use crate::reader;
use crate::ring::Entry;
use crate::view::View;
use bytes::Bytes;

/// Changes after which a stretch ends, where a revision does.
const CHANGES: usize = 5_000;

/// A revision with more changes than this is part of no stretch.
const LARGE: usize = 5_000;

/// Whole revisions of the log of changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stretch {
    first: i64,
    next: i64,
    changes: Vec<Change>,
    /// The places of the changes in the order of their keys.
    by_key: Vec<u32>,
}

impl Stretch {
    /// Whether it tells what happened at a revision.
    pub fn covers(&self, revision: i64) -> bool {
        self.first <= revision && revision < self.next
    }

    /// The first revision that it does not tell of.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// How many changes it holds: about a hundred bytes each, besides their keys.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// True when nothing changed in it.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes of a range from a revision on, in order, with their places.
    pub(crate) fn of<'a>(
        &'a self,
        range: &KeyRange,
        from: i64,
    ) -> impl Iterator<Item = (usize, &'a Change)> + use<'a> {
        let (low, high) = match range.is_single() {
            true => (&range.key[..], Some([&range.key[..], &[0]].concat())),
            false => {
                let (low, high) = reader::bounds(range);
                (low, high.map(<[u8]>::to_vec))
            }
        };
        let key = |at: &u32| &self.changes[*at as usize].key[..];
        let first = self.by_key.partition_point(|at| key(at) < low);
        let end = high.map_or(self.by_key.len(), |high| {
            self.by_key.partition_point(|at| key(at) < &high[..])
        });
        let mut places = self.by_key[first..end.max(first)].to_vec();
        places.sort_unstable();
        let found = places.into_iter().map(|at| (at as usize, &self.changes[at as usize]));
        found.skip_while(move |(_, change)| change.at.revision < from)
    }
}

impl<V: EngineRead> View<V> {
    /// The log of changes from a revision on, until it is long enough, ends, or comes to a revision
    /// that changed so much that nobody should keep it in memory; `None` when that is the first.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn stretch(&self, from: i64) -> Result<Option<Stretch>, EngineError> {
        let (mut changes, mut next) = (Vec::<Change>::new(), self.revision() + 1);
        // Where the revision that is being read begins.
        let mut begins = 0;
        for change in self.reader().changes(from, self.revision()) {
            let change = change?;
            let revision = change.at.revision;
            if changes.last().is_some_and(|last| last.at.revision < revision) {
                begins = changes.len();
                if begins >= CHANGES {
                    next = revision;
                    break;
                }
            }
            if changes.len() - begins == LARGE {
                (next, _) = (revision, changes.truncate(begins));
                break;
            }
            // A copy: what was read is a part of something larger, which need not stay.
            changes.push(Change { key: Bytes::copy_from_slice(&change.key), ..change });
        }
        if next <= from {
            return Ok(None);
        }
        let mut by_key: Vec<u32> = (0..).take(changes.len()).collect();
        by_key.sort_by(|a, b| changes[*a as usize].key.cmp(&changes[*b as usize].key));
        Ok(Some(Stretch { first: from, next, changes, by_key }))
    }
}

/// What watchers share of what is read for them.
pub trait Past<V: EngineRead, T> {
    /// A stretch, and what was made of it.
    type Held;

    /// The stretch of what is held.
    fn stretch<'a>(&self, held: &'a Self::Held) -> &'a Stretch;

    /// A stretch that covers a revision of the view, which is not compacted there; `None` when that
    /// revision is too large for one. It may have been read from another view.
    ///
    /// # Errors
    /// When the engine fails.
    fn hold(&self, view: &View<V>, from: i64) -> Result<Option<Self::Held>, EngineError>;

    /// The event of the change at a place, with the pair before it or without: made now, unless
    /// somebody else had it made.
    ///
    /// # Errors
    /// That of `make`.
    fn entry(
        &self,
        held: &Self::Held,
        at: usize,
        prev: bool,
        make: impl FnOnce() -> Result<Option<Entry<T>>, EngineError>,
    ) -> Result<Option<Entry<T>>, EngineError>;
}

/// Nothing is shared: every watcher reads for itself.
#[derive(Clone, Copy, Debug)]
pub struct Unshared;

impl<V: EngineRead, T> Past<V, T> for Unshared {
    type Held = Stretch;

    fn stretch<'a>(&self, held: &'a Stretch) -> &'a Stretch {
        held
    }

    fn hold(&self, view: &View<V>, from: i64) -> Result<Option<Stretch>, EngineError> {
        view.stretch(from)
    }

    fn entry(
        &self,
        _: &Stretch,
        _: usize,
        _: bool,
        make: impl FnOnce() -> Result<Option<Entry<T>>, EngineError>,
    ) -> Result<Option<Entry<T>>, EngineError> {
        make()
    }
}
