//! Records: what the consensus groups say to the log, and how it looks in bytes.
//!
//! One record is one atomic fact about one group. On disk (all numbers little-endian):
//!
//! ```text
//! length u32 | crc32c u32 | kind u8 | body
//! ```
//!
//! `length` counts kind and body, and the checksum covers both. Bodies are fixed fields followed
//! by at most one variable part:
//!
//! | kind | name | body |
//! |---|---|---|
//! | 1 | vote | group u64, term u64, has-vote u8, vote u64 |
//! | 2 | entries | group u64, first index u64, count u32, then per entry: term u64, length u32, payload |
//! | 3 | commit | group u64, index u64 |
//! | 4 | snapshot | group u64, index u64, term u64, configuration |
//! | 5 | compact | group u64, index u64, term u64, has-configuration u8, configuration |
//! | 6 | moved | as entries: a copy, further up in the log, of entries that exist |
//! | 7 | segment | capacity u64, previous epoch u64, previous end u64 |
//! | 8 | group | group u64, term u64, has-vote u8, vote u64, commit u64, prefix index u64, prefix term u64, last index u64, last term u64, configuration |
//!
//! Kinds 7 and 8 appear only in the batch that opens a segment. Term and vote are one record, so
//! that no crash can separate them (a second vote in a term would follow).

use crate::log::state::{EntryId, GroupState};
use bytes::Bytes;

/// Names one consensus group. Group 0 is the catalogue.
pub type GroupId = u64;

/// What a consensus group wants to survive a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// The group's term, and whom this member votes for in it.
    Vote {
        /// Whose term.
        group: GroupId,
        /// The current term; it never goes back.
        term: u64,
        /// The candidate voted for; within a term it is never taken back.
        vote: Option<u64>,
    },
    /// Entries at consecutive indices. Those from `first_index` on that exist are replaced.
    Entries {
        /// Whose entries.
        group: GroupId,
        /// The index of the first entry: above the committed index, at most one past the last.
        first_index: u64,
        /// Term and payload of each entry; at least one.
        entries: Vec<(u64, Bytes)>,
    },
    /// A lower bound of the committed index. Needs no sync of its own.
    Commit {
        /// Whose index.
        group: GroupId,
        /// Every entry up to here is committed.
        index: u64,
    },
    /// A snapshot was installed: the log is empty and starts after `index`.
    Snapshot {
        /// Whose log.
        group: GroupId,
        /// The last index that the snapshot covers.
        index: u64,
        /// The term of the entry at `index`.
        term: u64,
        /// The group's membership at `index`, opaque here.
        config: Bytes,
    },
    /// The prefix up to `index` is not needed any more: the synced state covers it.
    Compact {
        /// Whose log.
        group: GroupId,
        /// The last index that is not needed.
        index: u64,
        /// The term of the entry at `index`.
        term: u64,
        /// The membership at `index`, when it differs from the last one told.
        config: Option<Bytes>,
    },
}

/// The longest payload of one entry, and the longest configuration, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// Bytes in front of a record's kind: length and checksum.
pub(crate) const RECORD_PREFIX: usize = 8;
/// Bytes in front of an entry's payload: term and length.
pub(crate) const ENTRY_PREFIX: usize = 12;

const KIND_VOTE: u8 = 1;
const KIND_ENTRIES: u8 = 2;
const KIND_COMMIT: u8 = 3;
const KIND_SNAPSHOT: u8 = 4;
const KIND_COMPACT: u8 = 5;
const KIND_MOVED: u8 = 6;
const KIND_SEGMENT: u8 = 7;
const KIND_GROUP: u8 = 8;

/// A record as it is written or was read, borrowing whatever is long.
#[derive(Clone, Debug)]
pub(crate) enum RecordRef<'a> {
    Vote { group: GroupId, term: u64, vote: Option<u64> },
    Entries { group: GroupId, first: u64, entries: Entries<'a> },
    Commit { group: GroupId, index: u64 },
    Snapshot { group: GroupId, at: EntryId, config: &'a [u8] },
    Compact { group: GroupId, at: EntryId, config: Option<&'a [u8]> },
    Moved { group: GroupId, first: u64, entries: Entries<'a> },
    Segment(SegmentHead),
    Group { group: GroupId, state: GroupState },
}

/// What a segment says about itself and about the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHead {
    /// The length of this segment's file in bytes.
    pub capacity: u64,
    /// The epoch of the segment before, zero for the first.
    pub previous_epoch: u64,
    /// Where the segment before ends: all of it was synced when this one began.
    pub previous_end: u64,
}

/// Entries of one record, in memory or still encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entries<'a> {
    Shared(&'a [(u64, Bytes)]),
    Encoded { count: u32, first_term: u64, last_term: u64, body: &'a [u8] },
}

impl<'a> Entries<'a> {
    pub fn count(&self) -> u64 {
        match self {
            Entries::Shared(entries) => entries.len() as u64,
            Entries::Encoded { count, .. } => u64::from(*count),
        }
    }

    pub fn first_term(&self) -> u64 {
        match self {
            Entries::Shared(entries) => entries.first().map_or(0, |(term, _)| *term),
            Entries::Encoded { first_term, .. } => *first_term,
        }
    }

    pub fn last_term(&self) -> u64 {
        match self {
            Entries::Shared(entries) => entries.last().map_or(0, |(term, _)| *term),
            Entries::Encoded { last_term, .. } => *last_term,
        }
    }

    /// True when no term is smaller than the one before it.
    pub fn terms_ascend(&self) -> bool {
        match self {
            Entries::Shared(entries) => entries.is_sorted_by_key(|(term, _)| *term),
            Entries::Encoded { body, .. } => encoded_entries(body).is_sorted_by_key(|(t, _)| t),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Entries::Shared(list) => list.iter().map(|(_, b)| ENTRY_PREFIX + b.len()).sum(),
            Entries::Encoded { body, .. } => body.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Entries::Shared(entries) => {
                for (term, payload) in *entries {
                    put_u64(out, *term);
                    put_u32(out, length_u32(payload.len()));
                    out.extend_from_slice(payload);
                }
            }
            Entries::Encoded { body, .. } => out.extend_from_slice(body),
        }
    }

    /// Term and payload of each entry, in order.
    pub fn for_each(&self, mut visit: impl FnMut(u64, &[u8])) {
        match self {
            Entries::Shared(entries) => {
                for (term, payload) in *entries {
                    visit(*term, payload);
                }
            }
            Entries::Encoded { body, .. } => {
                for (term, payload) in encoded_entries(body) {
                    visit(term, payload);
                }
            }
        }
    }
}

/// Walks a body that [`decode_entries`] accepted; stops at the first thing that does not fit.
fn encoded_entries(mut body: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let mut cursor = Cursor { rest: body };
        let term = cursor.u64()?;
        let length = cursor.u32()? as usize;
        let payload = cursor.take(length)?;
        body = cursor.rest;
        Some((term, payload))
    })
}

impl<'a> RecordRef<'a> {
    /// The number of bytes that [`RecordRef::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        let body = match self {
            RecordRef::Vote { .. } => 25,
            RecordRef::Entries { entries, .. } | RecordRef::Moved { entries, .. } => {
                20 + entries.encoded_len()
            }
            RecordRef::Commit { .. } => 16,
            RecordRef::Snapshot { config, .. } => 24 + config.len(),
            RecordRef::Compact { config, .. } => 25 + config.map_or(0, <[u8]>::len),
            RecordRef::Segment(_) => 24,
            RecordRef::Group { state, .. } => 65 + state.config.len(),
        };
        RECORD_PREFIX + 1 + body
    }

    /// Appends the record, with its length and checksum, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; RECORD_PREFIX]);
        self.encode_body(out);
        assert_eq!(out.len() - start, self.encoded_len(), "a record's stated length is its length");
        let length = length_u32(out.len() - start - RECORD_PREFIX);
        let crc = crc32c::crc32c(&out[start + RECORD_PREFIX..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            RecordRef::Vote { group, term, vote } => {
                out.push(KIND_VOTE);
                put_u64(out, *group);
                put_u64(out, *term);
                put_vote(out, *vote);
            }
            RecordRef::Entries { group, first, entries }
            | RecordRef::Moved { group, first, entries } => {
                let moved = matches!(self, RecordRef::Moved { .. });
                out.push(if moved { KIND_MOVED } else { KIND_ENTRIES });
                put_u64(out, *group);
                put_u64(out, *first);
                put_u32(out, length_u32(entries.count() as usize));
                entries.encode(out);
            }
            RecordRef::Commit { group, index } => {
                out.push(KIND_COMMIT);
                put_u64(out, *group);
                put_u64(out, *index);
            }
            RecordRef::Snapshot { group, at, config } => {
                out.push(KIND_SNAPSHOT);
                put_u64(out, *group);
                put_id(out, *at);
                out.extend_from_slice(config);
            }
            RecordRef::Compact { group, at, config } => {
                out.push(KIND_COMPACT);
                put_u64(out, *group);
                put_id(out, *at);
                out.push(u8::from(config.is_some()));
                out.extend_from_slice(config.unwrap_or_default());
            }
            RecordRef::Segment(head) => {
                out.push(KIND_SEGMENT);
                put_u64(out, head.capacity);
                put_u64(out, head.previous_epoch);
                put_u64(out, head.previous_end);
            }
            RecordRef::Group { group, state } => {
                out.push(KIND_GROUP);
                put_u64(out, *group);
                put_u64(out, state.term);
                put_vote(out, state.vote);
                put_u64(out, state.commit);
                put_id(out, state.prefix);
                put_id(out, state.last);
                out.extend_from_slice(&state.config);
            }
        }
    }

    /// Reads kind and body of a record whose checksum held. `None` when this build cannot have
    /// written it.
    pub fn decode(bytes: &'a [u8]) -> Option<RecordRef<'a>> {
        let mut cursor = Cursor { rest: bytes };
        let kind = cursor.u8()?;
        if kind == KIND_SEGMENT {
            let (capacity, previous_epoch) = (cursor.u64()?, cursor.u64()?);
            let previous_end = cursor.u64()?;
            cursor.end()?;
            let head = SegmentHead { capacity, previous_epoch, previous_end };
            return Some(RecordRef::Segment(head));
        }
        let group = cursor.u64()?;
        let record = match kind {
            KIND_VOTE => RecordRef::Vote { group, term: cursor.u64()?, vote: cursor.vote()? },
            KIND_ENTRIES => {
                let (first, entries) = decode_entries(&mut cursor)?;
                RecordRef::Entries { group, first, entries }
            }
            KIND_MOVED => {
                let (first, entries) = decode_entries(&mut cursor)?;
                RecordRef::Moved { group, first, entries }
            }
            KIND_COMMIT => RecordRef::Commit { group, index: cursor.u64()? },
            KIND_SNAPSHOT => {
                RecordRef::Snapshot { group, at: cursor.id()?, config: cursor.remaining() }
            }
            KIND_COMPACT => {
                let at = cursor.id()?;
                let told = cursor.flag()?;
                let config = cursor.remaining();
                if !told && !config.is_empty() {
                    return None;
                }
                RecordRef::Compact { group, at, config: told.then_some(config) }
            }
            KIND_GROUP => RecordRef::Group { group, state: decode_state(&mut cursor)? },
            _ => return None,
        };
        cursor.end()?;
        Some(record)
    }
}

fn decode_state(cursor: &mut Cursor<'_>) -> Option<GroupState> {
    let state = GroupState {
        term: cursor.u64()?,
        vote: cursor.vote()?,
        commit: cursor.u64()?,
        prefix: cursor.id()?,
        last: cursor.id()?,
        config: Bytes::copy_from_slice(cursor.remaining()),
    };
    let ordered = state.prefix.index <= state.commit && state.commit <= state.last.index;
    ordered.then_some(state)
}

/// Checks the structure of every entry once, so that later walks cannot run out of bytes.
fn decode_entries<'a>(cursor: &mut Cursor<'a>) -> Option<(u64, Entries<'a>)> {
    let first = cursor.u64()?;
    let count = cursor.u32()?;
    let body = cursor.remaining();
    let mut walk = Cursor { rest: body };
    let (mut first_term, mut last_term) = (None, 0);
    for _ in 0..count {
        last_term = walk.u64()?;
        first_term.get_or_insert(last_term);
        let length = walk.u32()? as usize;
        walk.take(length)?;
    }
    walk.end()?;
    first.checked_add(u64::from(count))?;
    Some((first, Entries::Encoded { count, first_term: first_term?, last_term, body }))
}

/// Reads fields off the front of a slice; every method answers `None` when bytes are missing.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            2.. => None,
        }
    }

    fn vote(&mut self) -> Option<Option<u64>> {
        let cast = self.flag()?;
        let candidate = self.u64()?;
        Some(cast.then_some(candidate))
    }

    /// The largest index is refused, so that "the next index" always exists.
    fn id(&mut self) -> Option<EntryId> {
        let (index, term) = (self.u64()?, self.u64()?);
        (index < u64::MAX).then_some(EntryId { index, term })
    }

    fn remaining(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_vote(out: &mut Vec<u8>, vote: Option<u64>) {
    out.push(u8::from(vote.is_some()));
    put_u64(out, vote.unwrap_or(0));
}

fn put_id(out: &mut Vec<u8>, id: EntryId) {
    put_u64(out, id.index);
    put_u64(out, id.term);
}

/// Lengths were limited before encoding began, far below what 32 bits hold.
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("lengths in the log stay below 4 GiB")
}
