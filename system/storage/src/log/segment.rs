//! Segments: files of a fixed length, named by epoch, and what readers and the writer share.
//!
//! The epoch is the segment's place in the log and its name; it rises by one per segment and is
//! never used again. A file prepared or recycled for later has another suffix and is no part of
//! the log, whatever its bytes say. A segment gets its name only after its opening batch is
//! durable, so a named segment without a good opening is corruption, never a crash.

use crate::disk::Disk;
use crate::log::error::Corruption;
use crate::log::index::Indexes;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

const SEGMENT_SUFFIX: &str = ".seg";
const SPARE_SUFFIX: &str = ".spare";

/// The file name of the segment with this epoch.
pub(crate) fn segment_name(epoch: u64) -> String {
    format!("{epoch:016}{SEGMENT_SUFFIX}")
}

/// The file name of a file prepared for later.
pub(crate) fn spare_name(number: u64) -> String {
    format!("{number:016}{SPARE_SUFFIX}")
}

/// The epoch of a segment's file name.
pub(crate) fn segment_epoch(name: &str) -> Option<u64> {
    let epoch = name.strip_suffix(SEGMENT_SUFFIX)?.parse().ok()?;
    (name == segment_name(epoch)).then_some(epoch)
}

/// The number of a prepared file's name.
pub(crate) fn spare_number(name: &str) -> Option<u64> {
    name.strip_suffix(SPARE_SUFFIX)?.parse().ok()
}

/// One file of the log.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub epoch: u64,
    pub file: F,
    /// The file's length in bytes.
    pub capacity: u64,
}

/// A file of zeros, or of a past segment's bytes, that waits to become a segment.
#[derive(Debug)]
pub(crate) struct Spare<F> {
    pub name: String,
    pub file: F,
    /// How much of it is allocated so far.
    pub length: u64,
}

/// What the writer publishes and every reader looks at.
#[derive(Debug)]
pub(crate) struct Shared<D: Disk> {
    pub disk: D,
    pub identity: u64,
    catalog: RwLock<Catalog<D::File>>,
    poison: OnceLock<String>,
}

/// Segments by epoch, and where each group's entries lie in them.
#[derive(Debug)]
pub(crate) struct Catalog<F> {
    pub segments: BTreeMap<u64, Arc<Segment<F>>>,
    pub groups: Indexes,
}

impl<D: Disk> Shared<D> {
    pub fn new(disk: D, identity: u64, catalog: Catalog<D::File>) -> Shared<D> {
        Shared { disk, identity, catalog: RwLock::new(catalog), poison: OnceLock::new() }
    }

    /// The catalog, to look things up.
    pub fn catalog(&self) -> RwLockReadGuard<'_, Catalog<D::File>> {
        self.catalog.read().unwrap_or_else(|_| unreachable_lock())
    }

    /// The catalog, to change it. Only the writer does.
    pub fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog<D::File>> {
        self.catalog.write().unwrap_or_else(|_| unreachable_lock())
    }

    /// The writer's first error, if there was one.
    pub fn poison(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// Refuses everything from now on. The first cause stays.
    pub fn set_poison(&self, cause: String) {
        // A second failure adds nothing: the process is already on its way out.
        let _kept = self.poison.set(cause);
    }

    /// A corruption of the segment `epoch`.
    pub fn corruption(&self, epoch: u64, offset: u64, problem: String) -> Corruption {
        corruption(&self.disk, &segment_name(epoch), offset, problem)
    }
}

/// A corruption of the file `name`, described with its full path.
pub(crate) fn corruption<D: Disk>(
    disk: &D,
    name: &str,
    offset: u64,
    problem: String,
) -> Corruption {
    Corruption { file: disk.path(name), offset, problem }
}

/// A thread panicked while it held the catalog: its state is unknown, so nobody may go on.
fn unreachable_lock() -> ! {
    panic!("a thread panicked while it changed the log's catalog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_segments() {
        assert_eq!(segment_epoch(&segment_name(7)), Some(7));
        assert_eq!(segment_epoch("7.seg"), None);
        assert_eq!(segment_epoch("+000000000000007.seg"), None);
        assert_eq!(segment_epoch(&spare_name(7)), None);
        assert_eq!(spare_number(&spare_name(7)), Some(7));
        assert!(segment_name(9) < segment_name(10));
    }
}
