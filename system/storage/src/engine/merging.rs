//! The thread that merges tables: when, which, and when it had better not.

use super::StateError;
use super::tables::Tables;
use super::worker::{CALM, Queue, RETIRE_EVERY, Shared, lock};
use lsm_tree::compaction::Leveled;
use lsm_tree::{AbstractTree, SeqNo};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Merges start when this many flushed tables lie side by side.
const YOUNG_TABLES_BEFORE_MERGE: u8 = 4;

/// The same while flushes follow one another within [`CALM`]: a table that waits for more of its kind is
/// merged once where it would have been merged twice, and the processor is wanted elsewhere just now.
const YOUNG_TABLES_WHILE_BUSY: u8 = 8;

/// Deletes below this many are not worth a merge of their own.
const TOMBSTONES_WORTH_A_MERGE: u64 = 10_000;

/// Trees up to this size are merged in one go when deletes weigh too much; larger ones in steps.
const WHOLE_MERGE_BYTES: u64 = 256 << 20;

/// Free bytes that a merge leaves to flushes.
const MERGE_RESERVE: u64 = 32 << 20;

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
            if !self.has_room_to_merge() {
                let mut queue = lock(&self.queue);
                (queue.put_off, queue.busy_until) = (true, Some(Instant::now() + CALM));
                continue;
            }
            if let Err(error) = self.merge(young, table_bytes) {
                let error = StateError::tables("merge tables in", &self.dir, error);
                self.fail(error.into());
                return;
            }
        }
    }

    /// Whether the disk has room for the tables of the largest merge there might be, beside those that it
    /// replaces. Without it the tables stay as they are, which costs readers time; a merge that fills the
    /// disk would end the member, and every restart after it.
    fn has_room_to_merge(&self) -> bool {
        let needed = Tables::of(&self.tree, &[]).merged_bytes + MERGE_RESERVE;
        // Where nobody can tell, the merge finds out.
        rustix::fs::statvfs(&*self.dir)
            .map_or(true, |stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= needed)
    }

    /// Merges until the levels are in shape and deletes do not weigh too much.
    fn merge(&self, young: u8, table_bytes: u64) -> lsm_tree::Result<()> {
        let leveled =
            Leveled::default().with_l0_threshold(young).with_table_target_size(table_bytes);
        self.merge_steps(leveled)?;
        let tables = Tables::of(&self.tree, &[]);
        let heavy =
            tables.tombstones > TOMBSTONES_WORTH_A_MERGE && tables.tombstones * 10 > tables.items;
        if !heavy || self.stopped() {
            return Ok(());
        }
        if tables.disk_bytes <= WHOLE_MERGE_BYTES {
            self.tree.major_compact(table_bytes, SeqNo::MAX)?;
            self.install(|_| None);
            return Ok(());
        }
        // Levels whose targets are tiny send their tables, the smallest merge first, to the last
        // level, which is the only one where a delete may be forgotten.
        self.merge_steps(
            Leveled::default()
                .with_l0_threshold(1)
                .with_table_target_size(table_bytes / 2)
                .with_level_ratio_policy(vec![0.001]),
        )
    }

    fn merge_steps(&self, strategy: Leveled) -> lsm_tree::Result<()> {
        let strategy = Arc::new(strategy);
        while !self.stopped() {
            let before = self.tree.current_version().id();
            self.tree.compact(strategy.clone(), SeqNo::MAX)?;
            if self.tree.current_version().id() == before {
                return Ok(());
            }
            self.install(|_| None);
        }
        Ok(())
    }
}
