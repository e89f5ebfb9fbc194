//! Where the entries of a group lie: a sparse index from log index to segment and offset.
//!
//! One [`Point`] stands for a run of consecutive entries in one segment. It gives the offset of
//! the batch in which the run begins; a reader walks the batches from there and skips what is not
//! its own. A new point is made only for a new segment, for a run that does not continue the last
//! one, or after [`POINT_DISTANCE`] bytes of segment, so the index takes at most 32 bytes per
//! group and 32 KiB of log, however small the entries are.
//!
//! Walking forward is unambiguous because the writer opens a new batch before it replaces
//! entries: within a run, the first record seen that holds the wanted index is the right one.

use crate::log::record::{GroupId, RecordRef};
use std::collections::{BTreeMap, VecDeque};

/// A run is not extended over more than this many bytes of a segment.
pub(crate) const POINT_DISTANCE: u64 = 32 << 10;

/// A run of consecutive entries of one group in one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Point {
    pub first: u64,
    pub end: u64,
    pub epoch: u64,
    /// Offset of the batch in which the run begins; `first` is in it or in one that follows.
    pub offset: u32,
    /// Bytes that the run's records take, for the accounts of garbage collection.
    pub bytes: u32,
}

/// What a record changes in the index. Small, so that a writer can keep it until the bytes are
/// written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IndexChange {
    None,
    Append { first: u64, end: u64 },
    Moved { first: u64, end: u64 },
    Restart { prefix: u64 },
    Compact { prefix: u64 },
}

impl IndexChange {
    pub fn of(record: &RecordRef<'_>) -> IndexChange {
        match record {
            RecordRef::Entries { first, entries, .. } => {
                IndexChange::Append { first: *first, end: first + entries.count() - 1 }
            }
            RecordRef::Moved { first, entries, .. } => {
                IndexChange::Moved { first: *first, end: first + entries.count() - 1 }
            }
            RecordRef::Snapshot { at, .. } => IndexChange::Restart { prefix: at.index },
            RecordRef::Compact { at, .. } => IndexChange::Compact { prefix: at.index },
            RecordRef::Vote { .. } | RecordRef::Commit { .. } => IndexChange::None,
            RecordRef::Segment(_) | RecordRef::Group { .. } => IndexChange::None,
        }
    }
}

/// Where a record was put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub epoch: u64,
    /// Offset of its batch.
    pub offset: u64,
    /// Its own size in bytes.
    pub bytes: usize,
}

/// The index of one group.
#[derive(Clone, Default, Debug)]
pub(crate) struct GroupIndex {
    /// The last index before the log's first entry.
    pub prefix: u64,
    /// The last index.
    pub last: u64,
    /// Disjoint and ascending. May begin above `prefix + 1` during recovery only.
    points: VecDeque<Point>,
}

impl GroupIndex {
    /// An index that knows the bounds but not yet where anything lies.
    pub fn bare(prefix: u64, last: u64) -> GroupIndex {
        GroupIndex { prefix, last, points: VecDeque::new() }
    }

    /// Notes what a record at `place` changed.
    pub fn apply(&mut self, change: IndexChange, place: Place) {
        match change {
            IndexChange::None => {}
            IndexChange::Append { first, end } => {
                let replaces = first <= self.last;
                self.cut(first);
                self.last = end;
                if replaces || !self.extend(first, end, place) {
                    self.points.push_back(new_point(first, end, place));
                }
            }
            IndexChange::Moved { first, end } => self.replace(first, end, place),
            IndexChange::Restart { prefix } => {
                self.points.clear();
                self.prefix = prefix;
                self.last = prefix;
            }
            IndexChange::Compact { prefix } => {
                self.prefix = self.prefix.max(prefix);
                while self.points.front().is_some_and(|point| point.end <= prefix) {
                    self.points.pop_front();
                }
                if let Some(point) = self.points.front_mut() {
                    point.first = point.first.max(prefix + 1);
                }
            }
        }
    }

    /// Forgets every entry from `first` on.
    fn cut(&mut self, first: u64) {
        while let Some(point) = self.points.back_mut() {
            if point.first >= first {
                self.points.pop_back();
            } else {
                point.end = point.end.min(first - 1);
                return;
            }
        }
    }

    /// Lets the last run grow, if the new entries continue it and are near enough.
    fn extend(&mut self, first: u64, end: u64, place: Place) -> bool {
        let Some(point) = self.points.back_mut() else { return false };
        let continues = point.end + 1 == first && point.epoch == place.epoch;
        if !continues || place.offset - u64::from(point.offset) >= POINT_DISTANCE {
            return false;
        }
        point.end = end;
        point.bytes = point.bytes.saturating_add(saturating_u32(place.bytes));
        true
    }

    /// Points the entries `first..=end` to a copy of them.
    fn replace(&mut self, first: u64, end: u64, place: Place) {
        let old = std::mem::take(&mut self.points);
        for point in old.iter().filter(|point| point.first < first) {
            self.points.push_back(Point { end: point.end.min(first - 1), ..*point });
        }
        self.points.push_back(new_point(first, end, place));
        for point in old.iter().filter(|point| point.end > end) {
            self.points.push_back(Point { first: point.first.max(end + 1), ..*point });
        }
    }

    /// The points that hold `from..=to`, in order.
    pub fn covering(&self, from: u64, to: u64) -> impl Iterator<Item = &Point> {
        let start = self.points.partition_point(|point| point.end < from);
        self.points.range(start..).take_while(move |point| point.first <= to)
    }

    /// The points that lie in the segment `epoch`.
    pub fn in_segment(&self, epoch: u64) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.epoch == epoch)
    }

    /// The first index after the prefix that no point covers, if there is one.
    pub fn first_missing(&self) -> Option<u64> {
        let mut next = self.prefix + 1;
        for point in &self.points {
            if point.first > next {
                return Some(next);
            }
            next = next.max(point.end + 1);
        }
        (next <= self.last).then_some(next)
    }
}

fn new_point(first: u64, end: u64, place: Place) -> Point {
    let offset = u32::try_from(place.offset).expect("segments stay below 4 GiB");
    Point { first, end, epoch: place.epoch, offset, bytes: saturating_u32(place.bytes) }
}

fn saturating_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The indexes of all groups.
pub(crate) type Indexes = BTreeMap<GroupId, GroupIndex>;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, offset: u64) -> Place {
        Place { epoch, offset, bytes: 100 }
    }

    fn runs(index: &GroupIndex) -> Vec<(u64, u64, u64, u32)> {
        index.points.iter().map(|p| (p.first, p.end, p.epoch, p.offset)).collect()
    }

    #[test]
    fn neighbours_share_a_point_until_the_distance_or_the_segment_ends() {
        let mut index = GroupIndex::default();
        index.apply(IndexChange::Append { first: 1, end: 3 }, at(1, 64));
        index.apply(IndexChange::Append { first: 4, end: 4 }, at(1, 640));
        index.apply(IndexChange::Append { first: 5, end: 5 }, at(1, 64 + POINT_DISTANCE));
        index.apply(IndexChange::Append { first: 6, end: 9 }, at(2, 64));
        let far = 64 + POINT_DISTANCE as u32;
        assert_eq!(runs(&index), [(1, 4, 1, 64), (5, 5, 1, far), (6, 9, 2, 64)]);
        assert_eq!(index.first_missing(), None);
    }

    #[test]
    fn truncation_cuts_and_starts_a_run_of_its_own() {
        let mut index = GroupIndex::default();
        index.apply(IndexChange::Append { first: 1, end: 9 }, at(1, 64));
        index.apply(IndexChange::Append { first: 5, end: 6 }, at(1, 128));
        // The second run does not continue the first one's batch: replaced entries lie between.
        assert_eq!(runs(&index), [(1, 4, 1, 64), (5, 6, 1, 128)]);
        assert_eq!(index.last, 6);
    }

    #[test]
    fn moved_entries_split_the_runs_they_leave() {
        let mut index = GroupIndex::default();
        index.apply(IndexChange::Append { first: 1, end: 9 }, at(1, 64));
        index.apply(IndexChange::Append { first: 10, end: 12 }, at(2, 64));
        index.apply(IndexChange::Moved { first: 3, end: 10 }, at(3, 64));
        let want = [(1, 2, 1, 64), (3, 10, 3, 64), (11, 12, 2, 64)];
        assert_eq!(runs(&index), want);
        assert_eq!(index.first_missing(), None);
        index.apply(IndexChange::Compact { prefix: 2 }, at(3, 128));
        assert_eq!(index.in_segment(1).count(), 0);
    }

    #[test]
    fn a_hole_is_noticed() {
        let mut index = GroupIndex::bare(4, 9);
        assert_eq!(index.first_missing(), Some(5));
        index.apply(IndexChange::Append { first: 10, end: 10 }, at(2, 64));
        assert_eq!(index.first_missing(), Some(5));
        index.apply(IndexChange::Compact { prefix: 9 }, at(2, 128));
        assert_eq!(index.first_missing(), None);
    }
}
