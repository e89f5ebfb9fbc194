//! The writer: encodes records into batches, writes them, syncs, and rolls to the next segment.

use crate::disk::Disk;
use crate::log::batch::{self, BatchPlace, HEADER};
use crate::log::error::LogError;
use crate::log::index::{IndexChange, Place};
use crate::log::reader::LogReader;
use crate::log::record::{Entries, GroupId, MAX_PAYLOAD_BYTES, Record, RecordRef, SegmentHead};
use crate::log::segment::{Segment, Shared, Spare, segment_name, spare_name};
use crate::log::state::GroupState;
use crate::log::{LogOptions, Recovered, recover};
use bytes::Bytes;
use quorate_base::mutant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A batch is closed when it has this many bytes; one larger record still fits.
const BATCH_BYTES: usize = 256 << 10;
/// Entries of one append are spread over records of about this size, so that batches, segments
/// and index points stay near their target sizes.
const RECORD_BYTES: usize = 64 << 10;
/// The buffer is written out when it holds this much, and shrunk when one append made it larger.
const BUFFER_BYTES: usize = 4 << 20;

/// The log of one data directory: the only writer of its segments.
pub struct Log<D: Disk> {
    pub(super) options: LogOptions,
    pub(super) shared: Arc<Shared<D>>,
    pub(super) states: BTreeMap<GroupId, GroupState>,
    pub(super) active: Active<D::File>,
    pub(super) spares: VecDeque<Spare<D::File>>,
    pub(super) next_spare: u64,
    pub(super) stats: LogStats,
    /// Batches that are encoded and not yet written, the first of them for `active.offset`.
    buffer: Vec<u8>,
    open: Option<OpenBatch>,
    /// What the buffered records will change in the readers' index once they are written.
    changes: Vec<(GroupId, IndexChange, Place)>,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Active<F> {
    pub segment: Arc<Segment<F>>,
    /// Everything before is written.
    pub offset: u64,
    /// Everything before is synced.
    pub synced: u64,
    /// The number of the next batch.
    pub sequence: u64,
    /// True when no batch says yet that the last one with records was synced.
    pub unmarked: bool,
}

/// A batch in the buffer that still takes records.
#[derive(Clone, Copy, Debug)]
struct OpenBatch {
    start: usize,
    count: u32,
}

/// Counters since the log was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogStats {
    /// Bytes written, framing included.
    pub bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Calls of `write_at` for them.
    pub writes: u64,
    /// Syncs of segment contents.
    pub syncs: u64,
    /// Segments begun.
    pub rolls: u64,
    /// Segments whose file was recycled or removed.
    pub released: u64,
}

impl<D: Disk> Log<D> {
    /// Opens or creates the log in `disk`'s directory, cuts a torn tail, and makes durable
    /// whatever it reports. Idempotent: a crash inside loses nothing.
    pub fn open(disk: D, options: LogOptions) -> Result<(Log<D>, Recovered), LogError> {
        recover::open(disk, options)
    }

    pub(super) fn assemble(
        options: LogOptions,
        shared: Arc<Shared<D>>,
        states: BTreeMap<GroupId, GroupState>,
        active: Active<D::File>,
        spares: VecDeque<Spare<D::File>>,
        next_spare: u64,
    ) -> Log<D> {
        let (stats, buffer, changes) = (LogStats::default(), Vec::new(), Vec::new());
        let open = None;
        Log { options, shared, states, active, spares, next_spare, stats, buffer, open, changes }
    }

    /// Writes the records, in order, as one write (more at the end of a segment or beyond
    /// 4 MiB). They are durable after the next [`Log::sync`]; readers see them at once.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] when a payload or configuration exceeds [`MAX_PAYLOAD_BYTES`]:
    /// nothing was written, the log goes on. Everything else is fatal.
    ///
    /// # Panics
    /// When a record breaks a rule of the log (a gap, a term that falls, a vote taken back, a
    /// committed entry replaced): a broken protocol must not reach the disk.
    pub fn append(&mut self, records: &[Record]) -> Result<(), LogError> {
        self.check_poison()?;
        records.iter().try_for_each(check_sizes)?;
        self.guard(|log| {
            records.iter().try_for_each(|record| log.push_record(record))?;
            log.flush()
        })
    }

    /// Makes everything appended so far durable, with one fdatasync, or none if nothing is new.
    ///
    /// # Errors
    /// Fatal, all of them: nobody knows what is on the disk. The process must exit.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.check_poison()?;
        self.guard(Log::sync_active)
    }

    /// A handle that reads entries, from any thread.
    pub fn reader(&self) -> LogReader<D> {
        LogReader::new(self.shared.clone())
    }

    /// Counters since the log was opened.
    pub fn stats(&self) -> LogStats {
        self.stats
    }

    /// Bytes of all segment files that the log keeps.
    pub fn retained_bytes(&self) -> u64 {
        self.shared.catalog().segments.values().map(|segment| segment.capacity).sum()
    }

    pub(super) fn check_poison(&self) -> Result<(), LogError> {
        match self.shared.poison() {
            None => Ok(()),
            Some(cause) => Err(LogError::Poisoned { cause: cause.to_owned() }),
        }
    }

    /// Runs a change of the disk; its failure is the log's end.
    pub(super) fn guard<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let result = change(self);
        if let Err(error) = &result {
            self.shared.set_poison(error.to_string());
        }
        result
    }

    fn push_record(&mut self, record: &Record) -> Result<(), LogError> {
        match record {
            Record::Vote { group, term, vote } => {
                self.push(RecordRef::Vote { group: *group, term: *term, vote: *vote })
            }
            Record::Commit { group, index } => {
                self.push(RecordRef::Commit { group: *group, index: *index })
            }
            Record::Snapshot { group, index, term, config } => {
                let at = super::EntryId { index: *index, term: *term };
                self.push(RecordRef::Snapshot { group: *group, at, config })
            }
            Record::Compact { group, index, term, config } => {
                let at = super::EntryId { index: *index, term: *term };
                self.push(RecordRef::Compact { group: *group, at, config: config.as_deref() })
            }
            Record::Entries { group, first_index, entries } => {
                let group = *group;
                self.each_run(*first_index, entries, |log, first, run| {
                    let entries = Entries::Shared(run);
                    log.push(RecordRef::Entries { group, first, entries })
                })
            }
        }
    }

    /// Cuts entries into runs of about [`RECORD_BYTES`]; at least one run, even if empty, so that
    /// the rules see it.
    pub(super) fn each_run(
        &mut self,
        mut first: u64,
        mut entries: &[(u64, Bytes)],
        mut push: impl FnMut(&mut Self, u64, &[(u64, Bytes)]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let limit = RECORD_BYTES.min(self.options.segment_bytes as usize / 8);
        loop {
            let (mut count, mut bytes) = (0, 0);
            while count < entries.len() && (count == 0 || bytes + entries[count].1.len() <= limit) {
                bytes += entries[count].1.len() + crate::log::record::ENTRY_PREFIX;
                count += 1;
            }
            let (run, rest) = entries.split_at(count);
            push(self, first, run)?;
            if rest.is_empty() {
                return Ok(());
            }
            first += count as u64;
            entries = rest;
        }
    }

    /// Adds one record to the open batch, after making room for it.
    pub(super) fn push(&mut self, record: RecordRef<'_>) -> Result<(), LogError> {
        let group = group_of(&record);
        let length = record.encoded_len();
        let last = self.states.get(&group).map_or(0, |state| state.last.index);
        let replaces = match &record {
            RecordRef::Entries { first, .. } => *first <= last,
            RecordRef::Snapshot { .. } => true,
            RecordRef::Vote { .. } | RecordRef::Commit { .. } | RecordRef::Compact { .. } => false,
            RecordRef::Moved { .. } => false,
            RecordRef::Segment(_) | RecordRef::Group { .. } => false,
        };
        if let Some(open) = self.open {
            let full = self.buffer.len() - open.start + length > HEADER + BATCH_BYTES;
            // A reader that walks forward from a batch must not meet two versions of an index.
            if full || replaces {
                self.close();
            }
        }
        self.make_room(length)?;
        let state = self.states.entry(group).or_default();
        if let Err(violation) = state.apply(&record) {
            panic!("group {group} broke a rule of the log: {violation}");
        }
        let start = match self.open {
            Some(open) => open.start,
            None => {
                let start = self.buffer.len();
                self.buffer.resize(start + HEADER, 0);
                start
            }
        };
        let count = self.open.map_or(0, |open| open.count) + 1;
        self.open = Some(OpenBatch { start, count });
        record.encode(&mut self.buffer);
        let offset = self.active.offset + start as u64;
        let place = Place { epoch: self.active.segment.epoch, offset, bytes: length };
        self.changes.push((group, IndexChange::of(&record), place));
        Ok(())
    }

    /// Sees to it that a record of `length` bytes fits behind what is buffered: closes the batch,
    /// writes the buffer out, or begins the next segment.
    fn make_room(&mut self, length: usize) -> Result<(), LogError> {
        let start = self.open.map_or(self.buffer.len(), |open| open.start);
        let records = self.open.map_or(0, |_| self.buffer.len() - start - HEADER);
        let end = self.active.offset + start as u64 + batch::span(records + length);
        if end > self.active.segment.capacity {
            self.flush()?;
            // Closing the open batch may have been enough only for a batch of its own.
            if self.active.offset + batch::span(length) > self.active.segment.capacity {
                self.roll(batch::span(length))?;
            }
        } else if self.open.is_none() && self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the open batch.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let place = BatchPlace {
            epoch: self.active.segment.epoch,
            sequence: self.active.sequence,
            offset: self.active.offset + open.start as u64,
            synced: self.active.synced,
            identity: self.shared.identity,
        };
        batch::seal(&mut self.buffer, open.start, open.count, place);
        self.active.sequence += 1;
        self.active.unmarked |= open.count > 0;
        self.stats.batches += 1;
    }

    /// Writes everything buffered, and shows it to the readers.
    pub(super) fn flush(&mut self) -> Result<(), LogError> {
        self.close();
        if self.buffer.is_empty() {
            return Ok(());
        }
        let segment = &self.active.segment;
        let end = self.active.offset + self.buffer.len() as u64;
        assert!(end <= segment.capacity, "a batch ends at {end} of {}", segment.capacity);
        self.shared.disk.write_at(&segment.file, self.active.offset, &self.buffer)?;
        self.active.offset = end;
        self.stats.writes += 1;
        self.stats.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        let mut catalog = self.shared.catalog_mut();
        for (group, change, place) in self.changes.drain(..) {
            catalog.groups.entry(group).or_default().apply(change, place);
        }
        Ok(())
    }

    /// Writes an empty batch, which says that everything before it was synced.
    pub(super) fn write_mark(&mut self) -> Result<(), LogError> {
        assert_eq!(self.active.offset, self.active.synced, "a mark vouches for what is synced");
        self.buffer.resize(HEADER, 0);
        self.open = Some(OpenBatch { start: 0, count: 0 });
        self.flush()?;
        self.active.unmarked = false;
        Ok(())
    }

    pub(super) fn sync_active(&mut self) -> Result<(), LogError> {
        let unsynced = self.active.offset - self.active.synced;
        let least = if mutant!(DISK_201_SMALL_SYNC_SKIPPED) { 2 * HEADER as u64 } else { 0 };
        if unsynced > least {
            let synced = self.shared.disk.sync(&self.active.segment.file);
            if !mutant!(DISK_202_FAILED_SYNC_PASSES) {
                synced?;
            }
            self.active.synced = self.active.offset;
            self.stats.syncs += 1;
        }
        Ok(())
    }

    /// Begins the next segment, with room for `bytes` after its opening batch.
    fn roll(&mut self, bytes: u64) -> Result<(), LogError> {
        assert!(self.buffer.is_empty() && self.open.is_none(), "roll with an empty buffer");
        // Every segment but the newest is durable to its end: recovery relies on it.
        if !mutant!(DISK_203_ROLL_WITHOUT_SYNC) {
            self.sync_active()?;
        }
        let spare = self.take_spare(opening_span(&self.states) + bytes)?;
        let previous = (self.active.segment.epoch, self.active.offset);
        let opening = Opening {
            epoch: previous.0 + 1,
            sequence: self.active.sequence,
            identity: self.shared.identity,
            previous,
            states: &self.states,
        };
        let Opened { segment, end } = open_segment(&self.shared.disk, spare, &opening)?;
        let sequence = self.active.sequence + 1;
        let (synced, unmarked) = (end, false);
        self.active = Active { segment: segment.clone(), offset: end, synced, sequence, unmarked };
        self.stats.rolls += 1;
        self.shared.catalog_mut().segments.insert(segment.epoch, segment);
        Ok(())
    }

    /// A file of at least `room` bytes: a prepared one, or one allocated now.
    fn take_spare(&mut self, room: u64) -> Result<Spare<D::File>, LogError> {
        let capacity = self.options.segment_bytes.max(room.next_multiple_of(4096));
        assert!(capacity < 1 << 32, "a segment of {capacity} bytes");
        let prepared =
            if capacity == self.options.segment_bytes { self.spares.pop_front() } else { None };
        let disk = &self.shared.disk;
        let number = self.next_spare;
        let mut spare = match prepared {
            Some(spare) => spare,
            None => {
                self.next_spare += 1;
                create_spare(disk, number)?
            }
        };
        if spare.length < capacity {
            if let Err(error) = disk.allocate(&spare.file, capacity) {
                // Give the space back; the log is lost for this process either way.
                let _tried = disk.remove(&spare.name);
                return Err(error.into());
            }
            spare.length = capacity;
        }
        Ok(spare)
    }
}

/// Creates an empty file for a later segment. A leftover of that name is not part of the log.
pub(super) fn create_spare<D: Disk>(disk: &D, number: u64) -> Result<Spare<D::File>, LogError> {
    let name = spare_name(number);
    let file = disk.create(&name)?;
    Ok(Spare { name, file, length: 0 })
}

/// Everything that a segment's opening batch says.
pub(super) struct Opening<'a> {
    pub epoch: u64,
    pub sequence: u64,
    pub identity: u64,
    /// Epoch and end of the segment before.
    pub previous: (u64, u64),
    pub states: &'a BTreeMap<GroupId, GroupState>,
}

/// The records of an opening batch.
fn opening_records(
    head: SegmentHead,
    states: &BTreeMap<GroupId, GroupState>,
) -> impl Iterator<Item = RecordRef<'static>> {
    let groups = states.iter();
    let groups = groups.map(|(&group, state)| RecordRef::Group { group, state: state.clone() });
    std::iter::once(RecordRef::Segment(head)).chain(groups)
}

/// The bytes that an opening batch takes.
fn opening_span(states: &BTreeMap<GroupId, GroupState>) -> u64 {
    let head = SegmentHead { capacity: 0, previous_epoch: 0, previous_end: 0 };
    batch::span(opening_records(head, states).map(|record| record.encoded_len()).sum())
}

impl Opening<'_> {
    fn encode(&self, capacity: u64) -> Vec<u8> {
        let (previous_epoch, previous_end) = self.previous;
        let head = SegmentHead { capacity, previous_epoch, previous_end };
        let mut buffer = vec![0; HEADER];
        let mut count = 0;
        for record in opening_records(head, self.states) {
            record.encode(&mut buffer);
            count += 1;
        }
        let (epoch, sequence, identity) = (self.epoch, self.sequence, self.identity);
        let place = BatchPlace { epoch, sequence, offset: 0, synced: 0, identity };
        batch::seal(&mut buffer, 0, count, place);
        buffer
    }
}

/// A segment just opened, and where its next batch goes.
pub(super) struct Opened<F> {
    pub segment: Arc<Segment<F>>,
    pub end: u64,
}

/// Makes a spare the segment of `opening`: opening batch, sync, name, sync of the name. A crash
/// before the name is durable leaves a spare, after it a whole segment.
pub(super) fn open_segment<D: Disk>(
    disk: &D,
    spare: Spare<D::File>,
    opening: &Opening<'_>,
) -> Result<Opened<D::File>, LogError> {
    let bytes = opening.encode(spare.length);
    let end = bytes.len() as u64;
    assert!(end <= spare.length, "the opening of {end} bytes fits the segment");
    disk.write_at(&spare.file, 0, &bytes)?;
    disk.sync(&spare.file)?;
    let name = segment_name(opening.epoch);
    disk.rename(&spare.name, &name)?;
    if !mutant!(DISK_204_NAME_NOT_DURABLE) {
        disk.sync_dir()?;
    }
    // Opened again under its name, so that every later error names the segment.
    let file = disk.open(&name)?;
    let segment = Segment { epoch: opening.epoch, file, capacity: spare.length };
    Ok(Opened { segment: Arc::new(segment), end })
}

fn group_of(record: &RecordRef<'_>) -> GroupId {
    match record {
        RecordRef::Vote { group, .. } | RecordRef::Commit { group, .. } => *group,
        RecordRef::Entries { group, .. } | RecordRef::Moved { group, .. } => *group,
        RecordRef::Snapshot { group, .. } | RecordRef::Compact { group, .. } => *group,
        RecordRef::Group { group, .. } => *group,
        RecordRef::Segment(_) => unreachable!("the writer never pushes a segment's opening"),
    }
}

fn check_sizes(record: &Record) -> Result<(), LogError> {
    let (limit, group) = (MAX_PAYLOAD_BYTES, record_group(record));
    let check = |what: &'static str, size: usize| {
        if size <= limit { Ok(()) } else { Err(LogError::TooLarge { what, group, size, limit }) }
    };
    match record {
        Record::Entries { entries, .. } => {
            entries.iter().try_for_each(|(_, payload)| check("an entry", payload.len()))
        }
        Record::Snapshot { config, .. } => check("a configuration", config.len()),
        Record::Compact { config, .. } => {
            check("a configuration", config.as_ref().map_or(0, Bytes::len))
        }
        Record::Vote { .. } | Record::Commit { .. } => Ok(()),
    }
}

fn record_group(record: &Record) -> GroupId {
    match record {
        Record::Vote { group, .. } | Record::Commit { group, .. } => *group,
        Record::Entries { group, .. } | Record::Snapshot { group, .. } => *group,
        Record::Compact { group, .. } => *group,
    }
}
