//! Replay: the batches of every segment, oldest first, become states and indexes; the newest
//! segment's tail is judged and repaired. The rule is told in [`super::recover`].

use crate::disk::Disk;
use crate::log::batch::{self, BatchFault, BatchHeader, Expected, HEADER};
use crate::log::error::LogError;
use crate::log::index::{GroupIndex, IndexChange, Indexes, Place};
use crate::log::record::{GroupId, RecordRef};
use crate::log::recover::{Cut, Loaded, Recovered, RecoveredGroup, RecoveryReport, fault_error};
use crate::log::segment::{Segment, corruption, segment_name};
use crate::log::state::GroupState;
use crate::log::window::Window;
use crate::log::writer::Active;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes read from a segment at a time.
const PIECE: usize = 1 << 20;

/// The replay of all segments into states and indexes.
pub(super) struct Replay<'d, D: Disk> {
    disk: &'d D,
    identity: u64,
    pub states: BTreeMap<GroupId, GroupState>,
    pub groups: Indexes,
    report: RecoveryReport,
}

/// Where the replay of a segment stopped.
struct Stop {
    offset: u64,
    sequence: u64,
    /// The greatest offset that a batch so far called synced.
    synced: u64,
    /// Why there is no batch at `offset`.
    problem: String,
}

impl<'d, D: Disk> Replay<'d, D> {
    pub fn new(disk: &'d D, identity: u64) -> Replay<'d, D> {
        let (states, groups) = (BTreeMap::new(), Indexes::new());
        Replay { disk, identity, states, groups, report: RecoveryReport::default() }
    }

    /// Replays the segments in order and repairs the newest one's tail.
    pub fn run(&mut self, segments: &[Loaded<D::File>]) -> Result<Active<D::File>, LogError> {
        let mut active = None;
        for (number, loaded) in segments.iter().enumerate() {
            let segment = &loaded.segment;
            self.enter(loaded, number == 0)?;
            let end = segments.get(number + 1).map(|next| next.head.previous_end);
            let stop = self.replay_batches(loaded, end.unwrap_or(segment.capacity))?;
            self.report.segments += 1;
            match segments.get(number + 1) {
                Some(next) => {
                    let (end, sequence) = (next.head.previous_end, next.opening.sequence);
                    if stop.offset != end {
                        return Err(self.corrupt(segment, stop.offset, stop.problem));
                    }
                    if stop.sequence != sequence {
                        let problem = format!(
                            "the segment ends with batch {} and the next one opens with {sequence}",
                            stop.sequence - 1
                        );
                        return Err(self.corrupt(segment, stop.offset, problem));
                    }
                }
                None => active = Some(self.repair_tail(segment, stop)?),
            }
        }
        Ok(active.expect("there is at least one segment"))
    }

    fn corrupt(&self, segment: &Segment<D::File>, offset: u64, problem: String) -> LogError {
        corruption(self.disk, &segment_name(segment.epoch), offset, problem).into()
    }

    /// Takes over the facts of the oldest segment's opening; checks those of every other.
    fn enter(&mut self, loaded: &Loaded<D::File>, oldest: bool) -> Result<(), LogError> {
        let segment = &loaded.segment;
        let name = segment_name(segment.epoch);
        let mut window = Window::new(self.disk, segment.file.clone(), segment.capacity, HEADER);
        let expected = self.expected(segment, loaded.opening.sequence, 0, segment.capacity);
        let fault = |fault| fault_error(self.disk, &name, 0, fault);
        let (_, payload) = batch::read_batch(&mut window, expected).map_err(fault)?;
        let mut states = BTreeMap::new();
        for item in batch::records(payload).skip(1) {
            match item.map_err(fault)? {
                (RecordRef::Group { group, state }, _) => {
                    states.insert(group, state);
                }
                (other, _) => {
                    let problem = format!("{other:?} in a segment's opening");
                    return Err(self.corrupt(segment, 0, problem));
                }
            }
        }
        if oldest {
            for (group, state) in &states {
                let index = GroupIndex::bare(state.prefix.index, state.last.index);
                self.groups.insert(*group, index);
            }
            self.states = states;
        } else if states != self.states {
            let problem = "the opening disagrees with the segments before it".to_owned();
            return Err(self.corrupt(segment, 0, problem));
        }
        Ok(())
    }

    fn expected(&self, on: &Segment<D::File>, sequence: u64, offset: u64, end: u64) -> Expected {
        let (epoch, identity, sequence) = (on.epoch, self.identity, Some(sequence));
        Expected { epoch, identity, sequence, offset, end }
    }

    /// Replays batches from behind the opening up to `end`, or to the first that is not good.
    fn replay_batches(&mut self, loaded: &Loaded<D::File>, end: u64) -> Result<Stop, LogError> {
        let segment = &loaded.segment;
        let name = segment_name(segment.epoch);
        let mut window = Window::new(self.disk, segment.file.clone(), end, PIECE);
        let start = loaded.opening.span();
        let sequence = loaded.opening.sequence + 1;
        let problem = "the segment ends here".to_owned();
        let mut stop = Stop { offset: start, sequence, synced: start, problem };
        while stop.offset < end {
            let offset = stop.offset;
            let expected = self.expected(segment, stop.sequence, offset, end);
            match batch::read_batch(&mut window, expected) {
                Ok((header, payload)) => {
                    for item in batch::records(payload) {
                        let (record, bytes) =
                            item.map_err(|fault| fault_error(self.disk, &name, offset, fault))?;
                        let place = Place { epoch: segment.epoch, offset, bytes };
                        self.apply(&record, place).map_err(|problem| {
                            LogError::from(corruption(self.disk, &name, offset, problem))
                        })?;
                    }
                    stop.offset += header.span();
                    stop.sequence += 1;
                    stop.synced = stop.synced.max(header.synced);
                    self.report.batches += 1;
                    self.report.bytes += header.span();
                }
                Err(BatchFault::Damaged(problem)) => {
                    stop.problem = problem;
                    break;
                }
                Err(fault @ (BatchFault::Disk(_) | BatchFault::Unknown(_))) => {
                    return Err(fault_error(self.disk, &name, offset, fault));
                }
            }
        }
        Ok(stop)
    }

    fn apply(&mut self, record: &RecordRef<'_>, place: Place) -> Result<(), String> {
        let group = match record {
            RecordRef::Vote { group, .. } | RecordRef::Commit { group, .. } => *group,
            RecordRef::Entries { group, .. } | RecordRef::Moved { group, .. } => *group,
            RecordRef::Snapshot { group, .. } | RecordRef::Compact { group, .. } => *group,
            RecordRef::Group { group, .. } => *group,
            RecordRef::Segment(_) => return Err("an opening in the middle of a segment".into()),
        };
        let state = self.states.entry(group).or_default();
        state.apply(record).map_err(|violation| format!("group {group}: {violation}"))?;
        self.groups.entry(group).or_default().apply(IndexChange::of(record), place);
        Ok(())
    }

    /// Decides between crash and corruption, cuts, writes the unproven part again, and syncs.
    fn repair_tail(
        &mut self,
        segment: &Arc<Segment<D::File>>,
        stop: Stop,
    ) -> Result<Active<D::File>, LogError> {
        let behind = self.scan_behind(segment, stop.offset)?;
        let synced = stop.synced.max(behind.synced);
        if synced > stop.offset {
            let problem = format!(
                "{}; this was synced once (the segment was, up to offset {synced})",
                stop.problem
            );
            return Err(self.corrupt(segment, stop.offset, problem));
        }
        if !behind.headers.is_empty() {
            for offset in &behind.headers {
                self.disk.write_at(&segment.file, *offset, &[0; HEADER])?;
            }
            self.report.cut = Some(Cut {
                file: self.disk.path(&segment_name(segment.epoch)),
                offset: stop.offset,
                batches: behind.headers.len(),
                problem: stop.problem,
            });
        }
        self.rewrite(segment, stop.synced, stop.offset)?;
        if stop.synced < stop.offset || !behind.headers.is_empty() {
            self.disk.sync(&segment.file)?;
        }
        // The newest segment may have its name in the cache only.
        self.disk.sync_dir()?;
        Ok(Active {
            segment: segment.clone(),
            offset: stop.offset,
            synced: stop.offset,
            sequence: stop.sequence,
            unmarked: stop.synced < stop.offset,
        })
    }

    /// Looks for this segment's batch headers from `offset` to the end of the file.
    fn scan_behind(&self, segment: &Segment<D::File>, offset: u64) -> Result<Behind, LogError> {
        let mut behind = Behind { headers: Vec::new(), synced: 0 };
        let mut window = Window::new(self.disk, segment.file.clone(), segment.capacity, PIECE);
        let mut at = offset;
        while at + HEADER as u64 <= window.end() {
            let header = BatchHeader::decode(window.slice(at, HEADER)?);
            let ours = header.filter(|h| h.epoch == segment.epoch && h.identity == self.identity);
            if let Some(header) = ours {
                // A misdirected header cannot come back to life, but what it says is true.
                behind.synced = behind.synced.max(header.synced);
                if header.offset == at {
                    behind.headers.push(at);
                }
            }
            at += HEADER as u64;
        }
        Ok(behind)
    }

    fn rewrite(&mut self, segment: &Segment<D::File>, from: u64, to: u64) -> Result<(), LogError> {
        let mut buffer = vec![0; PIECE.min((to - from) as usize)];
        let mut at = from;
        while at < to {
            let piece = &mut buffer[..PIECE.min((to - at) as usize)];
            self.disk.read_at(&segment.file, at, piece)?;
            self.disk.write_at(&segment.file, at, piece)?;
            at += piece.len() as u64;
        }
        self.report.rewritten = to - from;
        Ok(())
    }

    /// Every live entry must lie somewhere: else an old segment was taken away too early.
    pub fn check_complete(&self, oldest: u64) -> Result<(), LogError> {
        for (group, index) in &self.groups {
            if let Some(missing) = index.first_missing() {
                let problem = format!(
                    "entry {missing} of group {group} is in no segment, although the log of the \
                     group is {}..={}: an older segment is missing",
                    index.prefix + 1,
                    index.last
                );
                return Err(corruption(self.disk, &segment_name(oldest), 0, problem).into());
            }
        }
        Ok(())
    }

    pub fn recovered(&self) -> Recovered {
        let groups = self.states.iter().map(|(group, state)| {
            let GroupState { term, vote, commit, prefix, last, config } = state.clone();
            (*group, RecoveredGroup { term, vote, commit, prefix, last, config })
        });
        Recovered { groups: groups.collect(), report: self.report.clone() }
    }
}

/// What lies behind the end of the log.
struct Behind {
    /// Offsets of headers that could come back to life.
    headers: Vec<u64>,
    /// The greatest offset that one of them calls synced.
    synced: u64,
}
