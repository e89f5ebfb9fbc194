//! Recovery: from files to facts, and the rule that tells a crash from corruption.
//!
//! Segments are replayed oldest first. Each but the newest was synced to its end before its
//! successor began, and the successor says where that end is: anything bad in it is corruption.
//! So is a hole in the row of epochs, a file shorter than its segment says, or an opening that
//! disagrees with what the segments before it add up to.
//!
//! The newest segment may end torn. Replay stops at the first bad batch, at offset `x`. Every
//! header with a good checksum and this segment's epoch, before or *behind* `x`, says up to where
//! the segment was synced when it was written. If one of them is greater than `x`, the batch at
//! `x` was durable once and is damaged now: corruption. Otherwise it was never acknowledged, and
//! the log ends at `x`:
//!
//! 1. Headers behind `x` are overwritten with zeros. Else a batch written there before the crash
//!    could follow on, with the right number, after new batches fill the gap.
//! 2. What lies between the greatest synced offset and `x` is read and written again. It may be
//!    right in the page cache only: when a sync fails, kernels mark pages clean (Rebello et al.,
//!    ATC 2020), and a sync of clean pages proves nothing.
//! 3. The file and the directory are synced, before anything recovered is told to anyone.
//!
//! Each step leaves a state from which the same recovery comes to the same log.

use crate::disk::Disk;
use crate::log::LogOptions;
use crate::log::batch::{self, BatchFault, BatchHeader, Expected, FORMAT, HEADER};
use crate::log::error::LogError;
use crate::log::index::Indexes;
use crate::log::record::{GroupId, RecordRef, SegmentHead};
use crate::log::replay::Replay;
use crate::log::segment::{
    Catalog, Segment, Shared, Spare, corruption, segment_epoch, segment_name, spare_number,
};
use crate::log::state::EntryId;
use crate::log::window::Window;
use crate::log::writer::{Active, Log, Opening, create_spare, open_segment};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Everything that the log knew before it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The facts of every group, durable now. Entries are read with [`crate::LogReader`].
    pub groups: BTreeMap<GroupId, RecoveredGroup>,
    /// What recovery saw and did.
    pub report: RecoveryReport,
}

/// The durable facts of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecoveredGroup {
    /// The current term.
    pub term: u64,
    /// The vote in it.
    pub vote: Option<u64>,
    /// A lower bound of the committed index.
    pub commit: u64,
    /// The entry before the first one in the log: where the last snapshot or compaction ended.
    pub prefix: EntryId,
    /// The last entry, equal to the prefix when the log is empty.
    pub last: EntryId,
    /// The membership at the prefix, empty when it was never told.
    pub config: Bytes,
}

impl RecoveredGroup {
    /// The index of the first entry in the log, if there is one.
    pub fn first_index(&self) -> u64 {
        self.prefix.index + 1
    }
}

/// What recovery saw and did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecoveryReport {
    /// Segments replayed.
    pub segments: usize,
    /// Batches replayed.
    pub batches: u64,
    /// Bytes replayed.
    pub bytes: u64,
    /// Bytes written again because nothing proved that they were synced.
    pub rewritten: u64,
    /// The torn tail that was cut, if there was one.
    pub cut: Option<Cut>,
}

/// A torn tail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The newest segment's file.
    pub file: String,
    /// Where the log ends now.
    pub offset: u64,
    /// How many batches from there on had a header.
    pub batches: usize,
    /// What was wrong with the first of them.
    pub problem: String,
}

/// Opens or creates the log in `disk`'s directory.
pub(super) fn open<D: Disk>(disk: D, options: LogOptions) -> Result<(Log<D>, Recovered), LogError> {
    let names = disk.list()?;
    let mut epochs: Vec<u64> = names.iter().filter_map(|name| segment_epoch(name)).collect();
    epochs.sort_unstable();
    let (spares, next_spare) = collect_spares(&disk, &options, &names)?;
    if epochs.is_empty() {
        if options.must_exist {
            return Err(LogError::Missing { directory: disk.path("") });
        }
        return create(disk, options, spares, next_spare);
    }
    let segments = open_segments(&disk, &options, &epochs)?;
    let mut replay = Replay::new(&disk, options.identity);
    let active = replay.run(&segments)?;
    replay.check_complete(epochs[0])?;
    let recovered = replay.recovered();
    let Replay { states, groups, .. } = replay;
    let segments = segments.into_iter().map(|s| (s.segment.epoch, s.segment)).collect();
    let shared = Arc::new(Shared::new(disk, options.identity, Catalog { segments, groups }));
    Ok((Log::assemble(options, shared, states, active, spares, next_spare), recovered))
}

/// A first start. A crash before the first segment has its name starts over.
fn create<D: Disk>(
    disk: D,
    options: LogOptions,
    mut spares: Spares<D>,
    mut next_spare: u64,
) -> Result<(Log<D>, Recovered), LogError> {
    let mut spare = match spares.pop_front() {
        Some(spare) => spare,
        None => {
            next_spare += 1;
            create_spare(&disk, next_spare - 1)?
        }
    };
    disk.allocate(&spare.file, options.segment_bytes)?;
    spare.length = options.segment_bytes;
    let states = BTreeMap::new();
    let (identity, previous) = (options.identity, (0, 0));
    let opening = Opening { epoch: 1, sequence: 1, identity, previous, states: &states };
    let opened = open_segment(&disk, spare, &opening)?;
    let active = Active {
        segment: opened.segment.clone(),
        offset: opened.end,
        synced: opened.end,
        sequence: 2,
        unmarked: false,
    };
    let segments = BTreeMap::from([(1, opened.segment)]);
    let catalog = Catalog { segments, groups: Indexes::new() };
    let shared = Arc::new(Shared::new(disk, identity, catalog));
    let log = Log::assemble(options, shared, states, active, spares, next_spare);
    Ok((log, Recovered { groups: BTreeMap::new(), report: RecoveryReport::default() }))
}

/// Prepared files, the next to be used in front.
type Spares<D> = VecDeque<Spare<<D as Disk>::File>>;

/// Keeps prepared files that fit the options, removes the others; also answers the next number.
fn collect_spares<D: Disk>(
    disk: &D,
    options: &LogOptions,
    names: &[String],
) -> Result<(Spares<D>, u64), LogError> {
    let (mut spares, mut next) = (VecDeque::new(), 1);
    for name in names {
        let Some(number) = spare_number(name) else { continue };
        next = next.max(number.saturating_add(1));
        let file = disk.open(name)?;
        let length = disk.len(&file)?;
        if length > options.segment_bytes || spares.len() >= options.spare_segments {
            disk.remove(name)?;
        } else {
            spares.push_back(Spare { name: name.clone(), file, length });
        }
    }
    Ok((spares, next))
}

/// A named segment whose opening batch is good.
pub(super) struct Loaded<F> {
    pub segment: Arc<Segment<F>>,
    pub head: SegmentHead,
    pub opening: BatchHeader,
}

fn open_segments<D: Disk>(
    disk: &D,
    options: &LogOptions,
    epochs: &[u64],
) -> Result<Vec<Loaded<D::File>>, LogError> {
    let mut loaded: Vec<Loaded<D::File>> = Vec::with_capacity(epochs.len());
    for &epoch in epochs {
        let Some(before) = loaded.last() else {
            loaded.push(load_segment(disk, options, epoch)?);
            continue;
        };
        let wanted = before.segment.epoch + 1;
        if epoch != wanted {
            let problem = format!("the segment is missing, although segment {epoch} exists");
            return Err(corruption(disk, &segment_name(wanted), 0, problem).into());
        }
        let next = load_segment(disk, options, epoch)?;
        let (head, capacity) = (next.head, before.segment.capacity);
        if head.previous_epoch != before.segment.epoch || head.previous_end > capacity {
            let problem = format!("the opening names {head:?} as its predecessor's end");
            return Err(corruption(disk, &segment_name(epoch), 0, problem).into());
        }
        loaded.push(next);
    }
    Ok(loaded)
}

/// Opens one segment and checks its opening batch and its length.
fn load_segment<D: Disk>(
    disk: &D,
    options: &LogOptions,
    epoch: u64,
) -> Result<Loaded<D::File>, LogError> {
    let name = segment_name(epoch);
    let corrupt = |offset: u64, problem: String| -> LogError {
        corruption(disk, &name, offset, problem).into()
    };
    let file = disk.open(&name)?;
    let length = disk.len(&file)?;
    if length < HEADER as u64 {
        return Err(corrupt(length, "the file ends before its first batch".into()));
    }
    let mut window = Window::new(disk, file.clone(), length, HEADER);
    check_origin(disk, &name, options.identity, window.slice(0, HEADER)?)?;
    let identity = options.identity;
    let expected = Expected { epoch, identity, sequence: None, offset: 0, end: length };
    let fault = |fault| fault_error(disk, &name, 0, fault);
    let (opening, payload) = batch::read_batch(&mut window, expected).map_err(fault)?;
    let head = match batch::records(payload).next() {
        Some(Ok((RecordRef::Segment(head), _))) => head,
        Some(Ok(_)) | Some(Err(_)) | None => {
            return Err(corrupt(0, "the first batch does not open a segment".into()));
        }
    };
    if length < head.capacity {
        let problem = format!("the file is cut: it has {length} bytes of {}", head.capacity);
        return Err(corrupt(length, problem));
    }
    if head.capacity < opening.span() || head.capacity >= 1 << 32 {
        return Err(corrupt(0, format!("a segment of {} bytes cannot be", head.capacity)));
    }
    let segment = Arc::new(Segment { epoch, file, capacity: head.capacity });
    Ok(Loaded { segment, head, opening })
}

/// Tells a foreign or newer segment from a damaged one.
fn check_origin<D: Disk>(
    disk: &D,
    name: &str,
    identity: u64,
    bytes: &[u8],
) -> Result<(), LogError> {
    let Some(header) = BatchHeader::decode(bytes) else { return Ok(()) };
    if header.format != FORMAT {
        let (found, supported) = (header.format, FORMAT);
        return Err(LogError::Format { file: disk.path(name), found, supported });
    }
    if header.identity != identity {
        let (found, expected) = (header.identity, identity);
        return Err(LogError::Foreign { file: disk.path(name), found, expected });
    }
    Ok(())
}

pub(super) fn fault_error<D: Disk>(
    disk: &D,
    name: &str,
    offset: u64,
    fault: BatchFault,
) -> LogError {
    match fault {
        BatchFault::Disk(error) => error.into(),
        BatchFault::Damaged(problem) | BatchFault::Unknown(problem) => {
            corruption(disk, name, offset, problem).into()
        }
    }
}
