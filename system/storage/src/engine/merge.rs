//! One ordered walk over memtables and tables, from both ends.
//!
//! Sources are given newest first. When several hold a key, the newest speaks and the others are
//! stepped past it; a delete hides what lies beneath and is not given out. There are about ten
//! sources at most, so the smallest key is found by looking at each.

use super::memtable::{MemRange, Slot};
use super::tables::RunRange;
use super::{MARK_KEY, StateError};
use bytes::Bytes;
use quorate_store::{EngineError, Pair};
use std::path::Path;

/// Where slots come from.
pub(crate) enum Origin<'a> {
    Memory(MemRange<'a>),
    Disk(RunRange<'a>),
}

struct Source<'a> {
    origin: Origin<'a>,
    /// What was taken from either end and not yet given out.
    front: Option<Slot>,
    back: Option<Slot>,
    dry: bool,
}

impl Source<'_> {
    /// The key at the front, fetched if need be.
    fn fill_front(&mut self) -> lsm_tree::Result<()> {
        if self.front.is_none() && !self.dry {
            self.front = match &mut self.origin {
                Origin::Memory(range) => range.next(),
                Origin::Disk(range) => range.next().transpose()?,
            };
            self.dry = self.front.is_none();
        }
        Ok(())
    }

    fn fill_back(&mut self) -> lsm_tree::Result<()> {
        if self.back.is_none() && !self.dry {
            self.back = match &mut self.origin {
                Origin::Memory(range) => range.next_back(),
                Origin::Disk(range) => range.next_back().transpose()?,
            };
            self.dry = self.back.is_none();
        }
        Ok(())
    }

    fn first(&self) -> Option<&Bytes> {
        self.front.as_ref().or(self.back.as_ref()).map(|slot| &slot.0)
    }

    fn last(&self) -> Option<&Bytes> {
        self.back.as_ref().or(self.front.as_ref()).map(|slot| &slot.0)
    }

    fn take_first(&mut self) -> Option<Slot> {
        self.front.take().or_else(|| self.back.take())
    }

    fn take_last(&mut self) -> Option<Slot> {
        self.back.take().or_else(|| self.front.take())
    }
}

/// The merged walk.
pub(crate) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    dir: &'a Path,
    failed: bool,
}

impl<'a> Merge<'a> {
    /// Sources come newest first. The directory is named when a table cannot be read.
    pub fn new(origins: impl Iterator<Item = Origin<'a>>, dir: &'a Path) -> Merge<'a> {
        let source = |origin| Source { origin, front: None, back: None, dry: false };
        Merge { sources: origins.map(source).collect(), dir, failed: false }
    }

    /// Everything, deletes and the engine's own mark too.
    pub fn slots(mut self) -> impl Iterator<Item = lsm_tree::Result<Slot>> {
        std::iter::from_fn(move || self.step().transpose())
    }

    fn step(&mut self) -> lsm_tree::Result<Option<Slot>> {
        let mut least: Option<usize> = None;
        for at in 0..self.sources.len() {
            self.sources[at].fill_front()?;
            let Some(key) = self.sources[at].first() else { continue };
            if least.is_none_or(|least| self.sources[least].first().is_some_and(|l| key < l)) {
                least = Some(at);
            }
        }
        let Some(least) = least else { return Ok(None) };
        let slot = self.sources[least].take_first();
        if let Some((key, _)) = &slot {
            for older in &mut self.sources[least + 1..] {
                if older.first() == Some(key) {
                    older.take_first();
                }
            }
        }
        Ok(slot)
    }

    fn step_back(&mut self) -> lsm_tree::Result<Option<Slot>> {
        let mut most: Option<usize> = None;
        for at in 0..self.sources.len() {
            self.sources[at].fill_back()?;
            let Some(key) = self.sources[at].last() else { continue };
            if most.is_none_or(|most| self.sources[most].last().is_some_and(|m| key > m)) {
                most = Some(at);
            }
        }
        let Some(most) = most else { return Ok(None) };
        let slot = self.sources[most].take_last();
        if let Some((key, _)) = &slot {
            for older in &mut self.sources[most + 1..] {
                if older.last() == Some(key) {
                    older.take_last();
                }
            }
        }
        Ok(slot)
    }

    /// Steps until something is there to give out: deletes and the engine's own mark are not.
    fn seek(&mut self, step: impl Fn(&mut Self) -> lsm_tree::Result<Option<Slot>>) -> Option<Pair> {
        if self.failed {
            return None;
        }
        loop {
            match step(self) {
                Ok(None) => return None,
                Ok(Some((key, Some(value)))) if key != MARK_KEY => return Some(Ok((key, value))),
                Ok(Some(_)) => {}
                Err(error) => {
                    // A walk with a hole in it must not look complete: it ends here.
                    self.failed = true;
                    let error = StateError::tables("read tables in", self.dir, error);
                    return Some(Err(EngineError::from(error)));
                }
            }
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        self.seek(Merge::step)
    }
}

impl DoubleEndedIterator for Merge<'_> {
    fn next_back(&mut self) -> Option<Pair> {
        self.seek(Merge::step_back)
    }
}
