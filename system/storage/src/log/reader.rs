//! Reading entries back, from any thread: for slow followers, and for the replay at a restart.
//!
//! A reader looks runs up in the shared index, lets go of the lock, and walks the batches of each
//! run with all their checksums. It holds on to the segments it reads, which keeps the writer
//! from recycling their files under it. What it returns was the log at the moment of the look-up;
//! entries that the writer replaces meanwhile are the caller's to notice, as in any asynchronous
//! read.

use crate::disk::Disk;
use crate::log::batch::{BatchFault, Expected, read_batch, records};
use crate::log::error::{Corruption, ReadError};
use crate::log::index::Point;
use crate::log::record::{Entries, GroupId, RecordRef};
use crate::log::segment::{Segment, Shared};
use crate::log::window::Window;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes read from the disk at a time.
const PIECE: usize = 64 << 10;
/// Payload bytes that [`LogEntries`] holds at a time.
const REPLAY_BYTES: usize = 1 << 20;

/// An entry of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place in its group's log.
    pub index: u64,
    /// The term of the leader that proposed it.
    pub term: u64,
    /// What was proposed, opaque here.
    pub payload: Bytes,
}

/// A handle that reads the log from any thread. Clones are cheap.
#[derive(Debug)]
pub struct LogReader<D: Disk> {
    shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> LogReader<D> {
        LogReader { shared: self.shared.clone() }
    }
}

type Run<F> = (Point, Arc<Segment<F>>);

impl<D: Disk> LogReader<D> {
    pub(super) fn new(shared: Arc<Shared<D>>) -> LogReader<D> {
        LogReader { shared }
    }

    /// The first and the last index that the group's log holds, the first being one more than the
    /// last when it is empty. `None` for a group that the log never heard of.
    pub fn bounds(&self, group: GroupId) -> Option<(u64, u64)> {
        let catalog = self.shared.catalog();
        catalog.groups.get(&group).map(|index| (index.prefix + 1, index.last))
    }

    /// The entries `from..to`, as many as fit into `max_bytes` of payload, but at least one.
    /// Entries that are written but not yet synced are included.
    ///
    /// # Errors
    /// When part of the range is compacted or not there yet, or the disk fails.
    pub fn read(
        &self,
        group: GroupId,
        from: u64,
        to: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        if let Some(cause) = self.shared.poison() {
            return Err(ReadError::Poisoned { cause: cause.to_owned() });
        }
        if from >= to {
            return Ok(Vec::new());
        }
        let mut found = Found { entries: Vec::new(), bytes: 0, max_bytes, full: false };
        for (point, segment) in self.look_up(group, from, to - 1, max_bytes)? {
            self.walk(group, &point, &segment, from, to - 1, &mut found)?;
            if found.full {
                break;
            }
        }
        Ok(found.entries)
    }

    /// All entries that the group's log holds now, read piece by piece.
    pub fn entries(&self, group: GroupId) -> LogEntries<D> {
        let (first, last) = self.bounds(group).unwrap_or((1, 0));
        LogEntries { reader: self.clone(), group, next: first, last, ahead: VecDeque::new() }
    }

    /// The runs that hold `from..=to`, no more of them than `max_bytes` can take.
    fn look_up(
        &self,
        group: GroupId,
        from: u64,
        to: u64,
        max_bytes: usize,
    ) -> Result<Vec<Run<D::File>>, ReadError> {
        let catalog = self.shared.catalog();
        let Some(index) = catalog.groups.get(&group) else {
            return Err(ReadError::UnknownGroup { group });
        };
        if from <= index.prefix {
            return Err(ReadError::Compacted { group, index: from, first: index.prefix + 1 });
        }
        if to > index.last {
            return Err(ReadError::Beyond { group, index: to, last: index.last });
        }
        let mut runs = Vec::new();
        let mut bytes = 0;
        for point in index.covering(from, to) {
            let segment = catalog.segments.get(&point.epoch);
            let segment = segment.expect("a segment with live entries is kept");
            runs.push((*point, segment.clone()));
            // The first run may be entered in its middle, so its bytes promise nothing.
            if bytes > max_bytes {
                break;
            }
            bytes += if runs.len() == 1 { 0 } else { point.bytes as usize };
        }
        Ok(runs)
    }

    /// Walks the batches of one run and collects the entries of `from..=to` in it.
    fn walk(
        &self,
        group: GroupId,
        point: &Point,
        segment: &Segment<D::File>,
        from: u64,
        to: u64,
        found: &mut Found,
    ) -> Result<(), ReadError> {
        let (mut want, stop) = (point.first.max(from), point.end.min(to));
        let disk = &self.shared.disk;
        let mut window = Window::new(disk, segment.file.clone(), segment.capacity, PIECE);
        let (mut offset, mut sequence) = (u64::from(point.offset), None);
        while want <= stop && !found.full {
            let (epoch, identity, end) = (segment.epoch, self.shared.identity, segment.capacity);
            let expected = Expected { epoch, identity, sequence, offset, end };
            let (header, payload) = read_batch(&mut window, expected)
                .map_err(|fault| self.fault(fault, epoch, offset))?;
            for item in records(payload) {
                let (record, _) = item.map_err(|fault| self.fault(fault, epoch, offset))?;
                match record {
                    RecordRef::Entries { group: of, first, entries }
                    | RecordRef::Moved { group: of, first, entries } => {
                        if of == group && (first..first + entries.count()).contains(&want) {
                            want = found.take(first, &entries, want, stop);
                        }
                    }
                    RecordRef::Vote { .. } | RecordRef::Commit { .. } => {}
                    RecordRef::Snapshot { .. } | RecordRef::Compact { .. } => {}
                    RecordRef::Segment(_) | RecordRef::Group { .. } => {}
                }
            }
            sequence = Some(header.sequence + 1);
            offset += header.span();
        }
        Ok(())
    }

    fn fault(&self, fault: BatchFault, epoch: u64, offset: u64) -> ReadError {
        match fault {
            BatchFault::Disk(error) => ReadError::Disk(error),
            BatchFault::Damaged(problem) | BatchFault::Unknown(problem) => {
                let corruption: Corruption = self.shared.corruption(epoch, offset, problem);
                ReadError::Corrupt(corruption)
            }
        }
    }
}

/// Entries found so far, within a budget.
struct Found {
    entries: Vec<Entry>,
    bytes: usize,
    max_bytes: usize,
    full: bool,
}

impl Found {
    /// Takes the entries `want..=stop` of a record that starts at `first`; answers the next index
    /// that is wanted.
    fn take(&mut self, first: u64, entries: &Entries<'_>, mut want: u64, stop: u64) -> u64 {
        let mut index = first;
        entries.for_each(|term, payload| {
            if index == want && want <= stop && !self.full {
                let fits = self.bytes.saturating_add(payload.len()) <= self.max_bytes;
                if fits || self.entries.is_empty() {
                    self.bytes = self.bytes.saturating_add(payload.len());
                    let payload = Bytes::copy_from_slice(payload);
                    self.entries.push(Entry { index, term, payload });
                    want += 1;
                } else {
                    self.full = true;
                }
            }
            index += 1;
        });
        want
    }
}

/// Iterates over the entries of one group, holding about a mebibyte at a time.
#[derive(Debug)]
pub struct LogEntries<D: Disk> {
    reader: LogReader<D>,
    group: GroupId,
    next: u64,
    last: u64,
    ahead: VecDeque<Entry>,
}

impl<D: Disk> Iterator for LogEntries<D> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Result<Entry, ReadError>> {
        if self.ahead.is_empty() {
            if self.next > self.last {
                return None;
            }
            match self.reader.read(self.group, self.next, self.last + 1, REPLAY_BYTES) {
                Ok(entries) => {
                    assert!(!entries.is_empty(), "a range that is there has at least one entry");
                    self.next += entries.len() as u64;
                    self.ahead.extend(entries);
                }
                Err(error) => {
                    // One error ends the walk: the same read would only fail again.
                    self.next = self.last + 1;
                    return Some(Err(error));
                }
            }
        }
        self.ahead.pop_front().map(Ok)
    }
}
