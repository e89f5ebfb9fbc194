//! Forgetting: at once for readers, in small pieces for the engine.
//!
//! A compaction moves the compacted revision when it is applied; from then on older revisions are
//! refused, whatever still lies in the engine. The removal follows in steps that the host takes
//! between batches. Members may be at different points of it: no answer and no fingerprint depends
//! on that.
//!
//! The sweep reads the log of changes only. A change at or below the compacted revision ended a
//! version that nobody can ask for any more, and names it exactly. Its own log entry goes too,
//! unless it is *at* the compacted revision: a watch may start there and must see it, deletes
//! included (contract items 33 and 43; etcd#18089, #19179). Such an entry is marked as swept
//! instead, so that the next compaction removes it without counting its version twice.

use crate::applier::Applier;
use crate::change::LOG_ENTRY;
use crate::engine::{Engine, EngineError};
use crate::layout::{self, Change, HISTORY, LOG, Meta, Stamp};
use crate::reader::ReadError;
use crate::{Answer, StoreError};
use quorate_base::mutant;

impl Meta {
    /// True when nothing is left to remove.
    fn is_swept(&self) -> bool {
        self.sweep.revision > self.compacted
    }

    /// The compaction whose sweep is complete, -1 when there is none.
    pub(crate) fn swept(&self) -> i64 {
        if self.is_swept() { self.compacted } else { self.swept_before.min(self.compacted) }
    }
}

impl<E: Engine> Applier<E> {
    pub(crate) fn compact(&mut self, revision: i64) -> Result<Answer, ReadError> {
        let Meta { compacted, revision: current, .. } = self.meta;
        if revision <= compacted {
            return Err(StoreError::Compacted { asked: revision, compacted }.into());
        }
        if revision > current {
            return Err(StoreError::FutureRevision { asked: revision, current }.into());
        }
        // Entries at the old compacted revision were kept for watchers: the sweep begins with
        // them again.
        if self.meta.sweep.revision >= compacted {
            self.meta.swept_before = self.meta.swept();
            self.meta.sweep = Stamp { revision: compacted.max(0), sub: 0 };
        }
        self.meta.compacted = revision;
        Ok(Answer::Compact)
    }

    /// Removes at most `budget` entries that compaction made unreachable; true when none is left.
    /// What it did is published with the next batch.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn compact_step(&mut self, budget: usize) -> Result<bool, EngineError> {
        if self.meta.is_swept() {
            return Ok(true);
        }
        let target = self.meta.compacted;
        let mut low = vec![LOG];
        self.meta.sweep.write(&mut low);
        let beyond = 1 + i64::from(mutant!(STORE_303_COMPACTION_TAKES_TOO_MUCH));
        let high = layout::plain(LOG, &(target + beyond).to_be_bytes());
        let mut changes = Vec::new();
        for pair in self.engine.range(&low, Some(&high)).take(budget) {
            let (key, value) = pair?;
            changes.push(Change::read(&key, &value)?);
        }
        let done = changes.len() < budget;
        for change in &changes {
            self.sweep(change, target);
        }
        if done {
            self.meta.sweep = Stamp { revision: target + 1, sub: 0 };
        } else if let Some(last) = changes.last() {
            self.meta.sweep = Stamp { sub: last.at.sub + 1, ..last.at };
        }
        Ok(done)
    }

    fn sweep(&mut self, change: &Change, target: i64) {
        if change.ended > 0 && !change.swept {
            layout::begin(&mut self.key, HISTORY);
            layout::escape(&change.key, &mut self.key);
            change.at.write(&mut self.key);
            self.engine.delete(&self.key);
            self.meta.past_bytes -= change.key.len() as u64 + u64::from(change.ended);
        }
        layout::begin(&mut self.key, LOG);
        change.at.write(&mut self.key);
        let own = change.at.revision == target && mutant!(STORE_304_TOMBSTONE_COMPACTED);
        if change.at.revision < target || own {
            self.engine.delete(&self.key);
            self.meta.past_bytes -= LOG_ENTRY + change.key.len() as u64;
        } else if !change.swept {
            self.value.clear();
            Change { swept: true, ..change.clone() }.write_value(&mut self.value);
            self.engine.put(&self.key, &self.value);
        }
    }
}
