//! What a reader reads: the memtables and the list of tables, as of one sequence number.

use super::memtable::Memtable;
use super::merge::{Merge, Origin};
use super::tables::Tables;
use super::{MARK_KEY, StateError};
use bytes::Bytes;
use quorate_store::{EngineError, EngineRead, Pair};
use std::path::Path;
use std::sync::Arc;

/// The parts that hold the data, from newest to oldest. Never changed once shared: the writer makes
/// another one when it seals a memtable or takes over new tables.
#[derive(Clone)]
pub(crate) struct State {
    pub active: Arc<Memtable>,
    /// Full memtables on their way to disk, newest first.
    pub sealed: Vec<Arc<Memtable>>,
    pub tables: Arc<Tables>,
    pub dir: Arc<Path>,
}

impl State {
    pub fn get(&self, key: &[u8], seq: u64) -> Result<Option<Bytes>, EngineError> {
        if key == MARK_KEY {
            return Ok(None);
        }
        for memtable in std::iter::once(&self.active).chain(&self.sealed) {
            if let Some(found) = memtable.get(key, seq) {
                return Ok(found);
            }
        }
        let found = self.tables.get(key);
        let found = found.map_err(|e| StateError::tables("read tables in", &self.dir, e))?;
        Ok(found.flatten())
    }

    pub fn range<'a>(&'a self, from: &[u8], to: Option<&[u8]>, seq: u64) -> Merge<'a> {
        let dir = &*self.dir;
        if to.is_some_and(|to| to <= from) {
            return Merge::new(std::iter::empty(), dir);
        }
        let memory = std::iter::once(&self.active).chain(&self.sealed);
        let memory = memory
            .filter(|memtable| !memtable.is_empty())
            .map(|memtable| Origin::Memory(memtable.range(from, to, seq)));
        let disk = self.tables.ranges(from, to).into_iter().map(Origin::Disk);
        Merge::new(memory.chain(disk), dir)
    }
}

/// A state as it was published. Holding one keeps the tables and memtables of its moment, and
/// nothing that came later.
#[derive(Clone)]
pub struct View {
    pub(super) state: Arc<State>,
    /// Writes below this number are part of the view. The writer keeps versions for as long as the
    /// number is shared.
    pub(super) pin: Arc<u64>,
    pub(super) mark: u64,
}

impl View {
    /// The mark it was published with.
    pub fn mark(&self) -> u64 {
        self.mark
    }
}

impl EngineRead for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.state.get(key, *self.pin)
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a> {
        Box::new(self.state.range(from, to, *self.pin))
    }
}
