//! The thread that merges tables: when, which, and when it had better not.

use super::StateError;
use super::tables::Tables;
use super::worker::{CALM, Queue, RETIRE_EVERY, Shared, lock};
use lsm_tree::compaction::Leveled;
use lsm_tree::{AbstractTree, SeqNo};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Merges start when this many flushed tables lie side by side.
const YOUNG_TABLES_BEFORE_MERGE: u8 = 4;

/// The same while flushes follow one another within [`CALM`]: a table that waits for more of its kind is
/// merged once where it would have been merged twice, and the processor is wanted elsewhere just now.
const YOUNG_TABLES_WHILE_BUSY: u8 = 8;

/// Trees of up to so many full tables are merged in one go when deletes weigh too much; larger ones in steps, and in one go
/// only when that was in vain.
const TABLES_OF_A_WHOLE_MERGE: u64 = 16;

/// Free bytes that a merge leaves to flushes.
const MERGE_RESERVE: u64 = 48 << 20;

/// Below the youngest level a merge takes a table and those of the next level that overlap with it: about so many.
const TABLES_OF_A_MERGE: u64 = 4;

/// How a merge ended.
enum End {
    Done,
    /// It, or the rest of it, waits until the disk has room.
    NoRoom,
}

impl Shared {
    pub(super) fn merge_loop(&self, table_bytes: u64) {
        // A merge competes with the threads that answer clients: it yields to them. On
        // Linux this touches the calling thread only.
        // Where that is refused the merge still does its work.
        let _ = rustix::process::setpriority_process(None, 5);
        while !self.stopped() {
            let young = {
                let due = |queue: &Queue| queue.merge_wanted || (queue.put_off && queue.is_calm());
                let mut queue = lock(&self.queue);
                let was_busy = std::mem::take(&mut queue.merging);
                if !due(&queue) {
                    if was_busy {
                        self.changed.notify_all();
                    }
                    let waited = self.changed.wait_timeout(queue, RETIRE_EVERY);
                    queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                if !due(&queue) {
                    continue;
                }
                queue.merge_wanted = false;
                queue.merging = true;
                queue.put_off = !queue.is_calm();
                if queue.put_off { YOUNG_TABLES_WHILE_BUSY } else { YOUNG_TABLES_BEFORE_MERGE }
            };
            match self.merge(young, table_bytes) {
                Ok(End::Done) => {}
                Ok(End::NoRoom) => {
                    let mut queue = lock(&self.queue);
                    (queue.put_off, queue.busy_until) = (true, Some(Instant::now() + CALM));
                }
                Err(error) => {
                    let error = StateError::tables("merge tables in", &self.dir, error);
                    self.fail(error.into());
                    return;
                }
            }
        }
    }

    /// Whether the disk has room for what a merge writes, beside the tables that it replaces, and nobody
    /// else needs it at this moment. Without it the tables stay as they are, which costs readers time; a merge
    /// that fills the disk would end the member, and every restart after it.
    fn has_room(&self, needed: u64) -> bool {
        // A batch that is being spilled is about to be written once more.
        let is_spilling = !lock(&self.spilled).is_empty();
        // Where nobody can tell, the merge finds out.
        let free = crate::free_bytes(&self.dir).unwrap_or(u64::MAX);
        !is_spilling && free >= needed + MERGE_RESERVE
    }

    /// Merges until the levels are in shape and deletes do not weigh too much.
    fn merge(&self, young: u8, table_bytes: u64) -> lsm_tree::Result<End> {
        let leveled =
            Leveled::default().with_l0_threshold(young).with_table_target_size(table_bytes);
        if let End::NoRoom = self.merge_steps(leveled, table_bytes)? {
            return Ok(End::NoRoom);
        }
        let tables = Tables::of(&self.tree, &[]);
        if !tables.is_heavy() || self.stopped() {
            return Ok(End::Done);
        }
        if tables.disk_bytes <= TABLES_OF_A_WHOLE_MERGE * table_bytes {
            return self.merge_whole(&tables, table_bytes);
        }
        // Levels whose targets are tiny send their tables, the smallest merge first, to the last
        // level, which is the only one where a delete may be forgotten.
        let tiny = Leveled::default()
            .with_l0_threshold(1)
            .with_table_target_size(table_bytes / 2)
            .with_level_ratio_policy(vec![0.001]);
        let end = self.merge_steps(tiny, table_bytes)?;
        let tables = Tables::of(&self.tree, &[]);
        // A table of deletes may reach over more tables than a step takes. To write a large tree anew
        // costs much, so a quarter of it has to be won.
        if tables.tombstones * 4 > tables.items && !self.stopped() {
            return self.merge_whole(&tables, table_bytes);
        }
        Ok(end)
    }

    /// Merges everything into one level; what is left needs no more room than the caller of the engine
    /// said that it holds.
    fn merge_whole(&self, tables: &Tables, table_bytes: u64) -> lsm_tree::Result<End> {
        if !self.has_room(tables.disk_bytes.min(self.held_bytes.load(Ordering::Relaxed))) {
            return Ok(End::NoRoom);
        }
        self.tree.major_compact(table_bytes, SeqNo::MAX)?;
        self.install(|_| None);
        Ok(End::Done)
    }

    fn merge_steps(&self, strategy: Leveled, table_bytes: u64) -> lsm_tree::Result<End> {
        let strategy = Arc::new(strategy);
        while !self.stopped() {
            let before = self.tree.current_version().id();
            let tables = Tables::of(&self.tree, &[]);
            let older = tables.disk_bytes.min(TABLES_OF_A_MERGE * table_bytes);
            if !self.has_room(tables.young_merge_bytes.max(older)) {
                return Ok(End::NoRoom);
            }
            self.tree.compact(strategy.clone(), SeqNo::MAX)?;
            if self.tree.current_version().id() == before {
                break;
            }
            self.install(|_| None);
        }
        Ok(End::Done)
    }
}
