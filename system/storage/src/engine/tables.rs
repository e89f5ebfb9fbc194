//! The sorted tables on disk, as they were at one moment.
//!
//! `lsm-tree` keeps the tables, their manifest and their compaction. A reader holds this frozen list
//! instead of asking the tree, whose one lock is held across several fsyncs whenever a flush or a
//! compaction installs its result; so no reader and no writer ever waits for the manifest's disk.
//! A table that compaction replaced is unlinked when the last list naming it is dropped.
//!
//! Tables hold published writes only, one per key and table, and every reader of this list began
//! after they were published: nothing here needs a sequence number to be told apart.

use super::memtable::Slot;
use bytes::Bytes;
use lsm_tree::table::filter::standard_bloom::Builder as KeyHash;
use lsm_tree::{AbstractTree, AnyTree, InternalValue, SeqNo, Table, UserKey};
use std::ops::Bound;

type TableWalk = Box<dyn DoubleEndedIterator<Item = lsm_tree::Result<InternalValue>>>;

/// Deletes below this many are not worth a merge of their own.
const TOMBSTONES_WORTH_A_MERGE: u64 = 10_000;

/// Runs of tables, newest first. Within a run, tables are in key order and do not overlap.
#[derive(Default)]
pub(crate) struct Tables {
    runs: Vec<Vec<Table>>,
    /// How many runs the youngest level holds: reads and compaction fall behind as it grows.
    pub young_runs: usize,
    pub items: u64,
    pub tombstones: u64,
    pub disk_bytes: u64,
    /// Bytes of the youngest level and of the first one below that holds anything: what a merge of the
    /// youngest may have to write at once. 0 when that level is empty.
    pub young_merge_bytes: u64,
}

impl Tables {
    /// The tree's tables of this moment, and above them the runs that were spilled.
    pub fn of(tree: &AnyTree, spilled: &[Vec<Table>]) -> Tables {
        let version = tree.current_version();
        let mut tables = Tables::spilled(spilled.to_vec());
        let mut is_below = false;
        for (depth, level) in version.iter_levels().enumerate() {
            let before = tables.disk_bytes;
            for run in level.iter() {
                let run: Vec<Table> = run.iter().cloned().collect();
                for table in &run {
                    tables.items += table.metadata.item_count;
                    tables.tombstones += table.metadata.tombstone_count;
                    tables.disk_bytes += table.metadata.file_size;
                }
                tables.young_runs += usize::from(depth == 0);
                tables.runs.push(run);
            }
            if tables.young_runs > 0 && !is_below {
                tables.young_merge_bytes = tables.disk_bytes;
                is_below = depth > 0 && tables.disk_bytes > before;
            }
        }
        tables
    }

    /// These runs alone, newest first.
    pub fn spilled(runs: Vec<Vec<Table>>) -> Tables {
        Tables { runs, ..Tables::default() }
    }

    /// Whether deletes weigh so much that it pays to merge them with what they delete.
    pub fn is_heavy(&self) -> bool {
        self.tombstones > TOMBSTONES_WORTH_A_MERGE && self.tombstones * 10 > self.items
    }

    /// What the newest table that knows the key says of it.
    pub fn get(&self, key: &[u8]) -> lsm_tree::Result<Option<Option<Bytes>>> {
        let hash = KeyHash::get_hash(key);
        for run in &self.runs {
            let at = run.partition_point(|table| **max(table) < *key);
            let Some(table) = run.get(at).filter(|table| **min(table) <= *key) else { continue };
            if let Some(item) = table.get(key, SeqNo::MAX, hash)? {
                return Ok(Some(slot(item).1));
            }
        }
        Ok(None)
    }

    /// One walk per run, newest first, over `from <= key < to`.
    pub fn ranges(&self, from: &[u8], to: Option<&[u8]>) -> Vec<RunRange<'_>> {
        let overlapping = self.runs.iter().filter_map(|run| {
            let first = run.partition_point(|table| **max(table) < *from);
            let last = to.map_or(run.len(), |to| run.partition_point(|table| **min(table) < *to));
            let overlap = run.get(first..last).filter(|tables| !tables.is_empty())?;
            Some(RunRange {
                waiting: overlap,
                from: Bytes::copy_from_slice(from),
                to: to.map(Bytes::copy_from_slice),
                front: None,
                back: None,
            })
        });
        overlapping.collect()
    }
}

fn min(table: &Table) -> &UserKey {
    table.metadata.key_range.min()
}

fn max(table: &Table) -> &UserKey {
    table.metadata.key_range.max()
}

fn slot(item: InternalValue) -> Slot {
    let deleted = item.is_tombstone();
    (item.key.user_key.into(), (!deleted).then(|| item.value.into()))
}

/// A walk over the tables of one run, opening each only when it is reached.
pub(crate) struct RunRange<'a> {
    waiting: &'a [Table],
    from: Bytes,
    to: Option<Bytes>,
    front: Option<TableWalk>,
    back: Option<TableWalk>,
}

impl RunRange<'_> {
    fn open(&self, table: &Table) -> TableWalk {
        let from = if self.from.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Included(UserKey::from(self.from.clone()))
        };
        let to = self.to.clone().map_or(Bound::Unbounded, |to| Bound::Excluded(UserKey::from(to)));
        Box::new(table.range((from, to)))
    }
}

impl Iterator for RunRange<'_> {
    type Item = lsm_tree::Result<Slot>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.front.as_mut().and_then(Iterator::next) {
                return Some(found.map(slot));
            }
            match self.waiting.split_first() {
                Some((table, rest)) => {
                    self.front = Some(self.open(table));
                    self.waiting = rest;
                }
                // What is left lies in the table that the other end has open.
                None => return self.back.as_mut()?.next().map(|found| found.map(slot)),
            }
        }
    }
}

impl DoubleEndedIterator for RunRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.back.as_mut().and_then(DoubleEndedIterator::next_back) {
                return Some(found.map(slot));
            }
            match self.waiting.split_last() {
                Some((table, rest)) => {
                    self.back = Some(self.open(table));
                    self.waiting = rest;
                }
                None => return self.front.as_mut()?.next_back().map(|found| found.map(slot)),
            }
        }
    }
}
