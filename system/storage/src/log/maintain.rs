//! Garbage collection and preparation: everything that may wait until the log is idle.
//!
//! The oldest segment can go when no live entry lies in it: every entry there is compacted, was
//! replaced, or has been rewritten forward. The facts of the groups are no obstacle, since every
//! newer segment opens with them. Segments go strictly oldest first, one durable directory change
//! each, so that a crash never leaves a hole in the row of epochs.
//!
//! A busy group compacts and moves on; an idle one would pin the segment with its last entries
//! for ever. Once the log keeps more than a bound, and what is needed of the oldest segment is
//! little, `maintain` copies those entries to the end of the log. When it is much, the host is
//! told who pins ([`Log::pinned_by`]): it flushes that group's state and compacts.

use crate::disk::Disk;
use crate::log::batch::HEADER;
use crate::log::error::{LogError, ReadError};
use crate::log::record::{Entries, GroupId, RecordRef};
use crate::log::segment::{Segment, Spare, segment_name, spare_name};
use crate::log::writer::{Log, create_spare};
use std::sync::Arc;

/// Payload bytes copied at a time when a group is rewritten forward.
const COPY_BYTES: usize = 1 << 20;

/// A group whose entries keep the oldest segment alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The group.
    pub group: GroupId,
    /// Bytes that its live entries take in the oldest segment.
    pub bytes: u64,
}

/// What one call of [`Log::maintain`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maintenance {
    /// Segments that were recycled or removed.
    pub released: usize,
    /// Groups whose entries in the oldest segment were copied forward.
    pub rewritten: Vec<GroupId>,
    /// True when there is more to prepare: call again when convenient.
    pub more: bool,
    /// True when there was no space to prepare a segment. Nothing is lost yet, but an append that
    /// needs a new segment will fail: raise the alarm.
    pub space_short: bool,
}

impl<D: Disk> Log<D> {
    /// Does a bounded piece of housekeeping: rewrites small groups that pin the oldest segment,
    /// releases segments, prepares a spare, marks the log's synced end. Call it when there is
    /// nothing else to write, or now and then between batches.
    ///
    /// # Errors
    /// Fatal, all of them.
    pub fn maintain(&mut self) -> Result<Maintenance, LogError> {
        self.check_poison()?;
        self.guard(|log| {
            let rewritten = log.rewrite_small_pins()?;
            let released = log.release_unpinned()?;
            let mut done = Maintenance { released, rewritten, ..Maintenance::default() };
            log.prepare_spare(&mut done)?;
            log.mark()?;
            Ok(done)
        })
    }

    /// Releases every oldest segment that no live entry pins; answers how many.
    ///
    /// # Errors
    /// Fatal, all of them.
    pub fn release(&mut self) -> Result<usize, LogError> {
        self.check_poison()?;
        self.guard(Log::release_unpinned)
    }

    /// Who keeps the oldest segment from being released, the largest first. Empty when nobody
    /// does or when there is only one segment.
    pub fn pinned_by(&self) -> Vec<Pin> {
        let catalog = self.shared.catalog();
        let Some((&oldest, _)) = catalog.segments.first_key_value() else { return Vec::new() };
        if oldest == self.active.segment.epoch {
            return Vec::new();
        }
        let mut pins = Vec::new();
        for (&group, index) in &catalog.groups {
            let bytes = index.in_segment(oldest).map(|point| u64::from(point.bytes)).sum();
            if index.in_segment(oldest).next().is_some() {
                pins.push(Pin { group, bytes });
            }
        }
        pins.sort_by_key(|pin| (std::cmp::Reverse(pin.bytes), pin.group));
        pins
    }

    /// Copies the group's entries in the oldest segment to the end of the log and syncs, so that
    /// this group does not pin that segment any more. Does nothing when it does not.
    ///
    /// # Errors
    /// Fatal, all of them.
    pub fn rewrite(&mut self, group: GroupId) -> Result<(), LogError> {
        self.check_poison()?;
        self.guard(|log| {
            log.rewrite_group(group)?;
            log.flush()?;
            log.sync_active()
        })
    }

    fn rewrite_small_pins(&mut self) -> Result<Vec<GroupId>, LogError> {
        if self.retained_bytes() <= self.options.retain_bytes {
            return Ok(Vec::new());
        }
        let pins = self.pinned_by();
        let bytes: u64 = pins.iter().map(|pin| pin.bytes).sum();
        // Copying some of them is no use while others stay: all, or none until the host helped.
        if bytes > self.options.rewrite_bytes {
            return Ok(Vec::new());
        }
        for pin in &pins {
            self.rewrite_group(pin.group)?;
        }
        self.flush()?;
        self.sync_active()?;
        Ok(pins.into_iter().map(|pin| pin.group).collect())
    }

    fn rewrite_group(&mut self, group: GroupId) -> Result<(), LogError> {
        let runs: Vec<(u64, u64)> = {
            let catalog = self.shared.catalog();
            let Some((&oldest, _)) = catalog.segments.first_key_value() else { return Ok(()) };
            if oldest == self.active.segment.epoch {
                return Ok(());
            }
            let Some(index) = catalog.groups.get(&group) else { return Ok(()) };
            index.in_segment(oldest).map(|point| (point.first, point.end)).collect()
        };
        let reader = self.reader();
        for (first, end) in runs {
            let mut next = first;
            while next <= end {
                let read = reader.read(group, next, end + 1, COPY_BYTES).map_err(fatal)?;
                let entries: Vec<_> = read.into_iter().map(|e| (e.term, e.payload)).collect();
                self.each_run(next, &entries, |log, first, run| {
                    let entries = Entries::Shared(run);
                    log.push(RecordRef::Moved { group, first, entries })
                })?;
                next += entries.len() as u64;
            }
        }
        Ok(())
    }

    fn release_unpinned(&mut self) -> Result<usize, LogError> {
        let mut released = 0;
        loop {
            let oldest = {
                let catalog = self.shared.catalog();
                let Some((&oldest, _)) = catalog.segments.first_key_value() else { break };
                let mut groups = catalog.groups.values();
                let pinned = groups.any(|index| index.in_segment(oldest).next().is_some());
                if pinned || oldest == self.active.segment.epoch {
                    break;
                }
                oldest
            };
            // What freed the segment (compactions, replacements, copies) must be durable first.
            self.sync_active()?;
            let segment = self.shared.catalog_mut().segments.remove(&oldest);
            self.retire(segment.expect("the oldest segment was there"))?;
            released += 1;
            self.stats.released += 1;
        }
        Ok(released)
    }

    /// Takes a segment's name away, durably, and keeps its file as a spare if it is wanted.
    fn retire(&mut self, segment: Arc<Segment<D::File>>) -> Result<(), LogError> {
        let disk = &self.shared.disk;
        let name = segment_name(segment.epoch);
        // A reader that still walks the segment must not see it change: it keeps the old file.
        let segment = Arc::try_unwrap(segment).ok();
        let wanted = self.spares.len() < self.options.spare_segments;
        match segment.filter(|s| wanted && s.capacity == self.options.segment_bytes) {
            Some(segment) => {
                let spare = spare_name(self.next_spare);
                self.next_spare += 1;
                disk.rename(&name, &spare)?;
                disk.sync_dir()?;
                let length = segment.capacity;
                self.spares.push_front(Spare { name: spare, file: segment.file, length });
            }
            None => {
                disk.remove(&name)?;
                disk.sync_dir()?;
            }
        }
        Ok(())
    }

    /// Allocates the next piece of a spare, unless there are enough.
    fn prepare_spare(&mut self, done: &mut Maintenance) -> Result<(), LogError> {
        let full = self.options.segment_bytes;
        let partial = self.spares.back().is_some_and(|spare| spare.length < full);
        if !partial && self.spares.len() >= self.options.spare_segments {
            return Ok(());
        }
        let disk = &self.shared.disk;
        if !partial {
            match create_spare(disk, self.next_spare) {
                Ok(spare) => self.spares.push_back(spare),
                Err(LogError::Full(_)) => {
                    done.space_short = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            self.next_spare += 1;
        }
        let Some(spare) = self.spares.back_mut() else { return Ok(()) };
        let length = full.min(spare.length + self.options.prepare_bytes.max(4096));
        match disk.allocate(&spare.file, length) {
            Ok(()) => {
                spare.length = length;
                done.more = length < full;
            }
            // Nothing of the log is in that file: lack of space here is news, not an accident.
            Err(error) if error.is_full() => {
                done.space_short = true;
                let Some(spare) = self.spares.pop_back() else { return Ok(()) };
                disk.remove(&spare.name)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Says on the disk that the last records were synced, once they were.
    fn mark(&mut self) -> Result<(), LogError> {
        let active = &self.active;
        let room = active.segment.capacity - active.offset >= HEADER as u64;
        if active.unmarked && active.synced == active.offset && room {
            self.write_mark()
        } else {
            Ok(())
        }
    }
}

/// A read that fails inside the writer is the writer's failure.
fn fatal(error: ReadError) -> LogError {
    match error {
        ReadError::Disk(error) => LogError::Disk(error),
        ReadError::Corrupt(corruption) => LogError::Corrupt(corruption),
        ReadError::Poisoned { cause } => LogError::Poisoned { cause },
        ReadError::UnknownGroup { .. } | ReadError::Compacted { .. } | ReadError::Beyond { .. } => {
            unreachable!("the writer reads what its index holds: {error}")
        }
    }
}
