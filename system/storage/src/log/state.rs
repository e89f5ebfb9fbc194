//! What the log knows of one group besides where its entries lie, and the rules that records obey.
//!
//! The writer and the recovery run the same `apply`. The writer treats a broken rule as a bug of
//! the caller and panics before a byte is written; the recovery treats it as corruption, because
//! a record with a good checksum that breaks a rule was never written by a healthy log.

use crate::log::record::{Entries, RecordRef};
use bytes::Bytes;
use quorate_base::mutant;

/// An index together with the term of the entry there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct EntryId {
    /// The entry's index; zero is before the first entry.
    pub index: u64,
    /// The entry's term.
    pub term: u64,
}

/// The durable facts about one group. Also what each segment's opening batch repeats.
///
/// Invariants: `prefix.index <= commit <= last.index`; the term never falls; within a term a vote
/// once cast stays; nothing committed is ever replaced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct GroupState {
    pub term: u64,
    pub vote: Option<u64>,
    pub commit: u64,
    /// The entry just before the first one that the log keeps.
    pub prefix: EntryId,
    pub last: EntryId,
    /// The membership at the prefix, empty when it was never told.
    pub config: Bytes,
}

/// A rule of the log that a record breaks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("term {new} after term {old}: terms never fall")]
    TermFell { old: u64, new: u64 },
    #[error("vote {new:?} after {old:?} in term {term}: a vote is never taken back")]
    VoteChanged { term: u64, old: Option<u64>, new: Option<u64> },
    #[error("no entries: an append has at least one")]
    NoEntries,
    #[error("entries start at {first}, but the log ends at {last}: a gap")]
    Gap { first: u64, last: u64 },
    #[error("entries start at {first}, but everything up to {commit} is committed")]
    ReplacesCommitted { first: u64, commit: u64 },
    #[error("entry {index} has term {term} after term {before}: terms never fall along a log")]
    TermsDescend { index: u64, term: u64, before: u64 },
    #[error("index {index} is beyond the last entry {last}")]
    Beyond { index: u64, last: u64 },
    #[error("a snapshot at {index} after {commit} was committed: the log would go back")]
    SnapshotGoesBack { index: u64, commit: u64 },
    #[error("term {term} at index {index}, where the log has term {known}")]
    TermMismatch { index: u64, term: u64, known: u64 },
    #[error("moved entries {first}..={end} are not within {low}..={last}")]
    MovedOutside { first: u64, end: u64, low: u64, last: u64 },
    #[error("a segment's opening record in the middle of a segment")]
    Misplaced,
}

impl GroupState {
    /// Absorbs one record of this group, or says which rule it breaks and changes nothing.
    pub fn apply(&mut self, record: &RecordRef<'_>) -> Result<(), Violation> {
        match record {
            RecordRef::Vote { term, vote, .. } => self.apply_vote(*term, *vote)?,
            RecordRef::Entries { first, entries, .. } => self.apply_entries(*first, entries)?,
            RecordRef::Commit { index, .. } => {
                if *index > self.last.index {
                    return Err(Violation::Beyond { index: *index, last: self.last.index });
                }
                // Hosts repeat themselves; an old bound adds nothing.
                self.commit = self.commit.max(*index);
            }
            RecordRef::Snapshot { at, config, .. } => {
                if at.index < self.commit {
                    let commit = self.commit;
                    return Err(Violation::SnapshotGoesBack { index: at.index, commit });
                }
                self.prefix = *at;
                self.last = *at;
                self.commit = at.index;
                self.config = Bytes::copy_from_slice(config);
            }
            RecordRef::Compact { at, config, .. } => self.apply_compact(*at, *config)?,
            RecordRef::Moved { first, entries, .. } => {
                let end = first + entries.count() - 1;
                let (low, last) = (self.prefix.index + 1, self.last.index);
                if *first < low || end > last {
                    return Err(Violation::MovedOutside { first: *first, end, low, last });
                }
            }
            RecordRef::Segment(_) | RecordRef::Group { .. } => return Err(Violation::Misplaced),
        }
        if mutant::guards_sleep() {
            return Ok(());
        }
        assert!(self.prefix.index <= self.commit, "what is compacted was committed");
        assert!(self.commit <= self.last.index, "what is committed is in the log");
        Ok(())
    }

    fn apply_vote(&mut self, term: u64, vote: Option<u64>) -> Result<(), Violation> {
        if term < self.term {
            return Err(Violation::TermFell { old: self.term, new: term });
        }
        let changed = term == self.term && self.vote.is_some() && vote != self.vote;
        if changed && !mutant::guards_sleep() {
            return Err(Violation::VoteChanged { term, old: self.vote, new: vote });
        }
        self.term = term;
        self.vote = vote;
        Ok(())
    }

    fn apply_entries(&mut self, first: u64, entries: &Entries<'_>) -> Result<(), Violation> {
        if entries.count() == 0 {
            return Err(Violation::NoEntries);
        }
        if first > self.last.index + 1 {
            return Err(Violation::Gap { first, last: self.last.index });
        }
        // The prefix is committed, so this also keeps entries out of what was compacted.
        if first <= self.commit && !mutant::guards_sleep() {
            return Err(Violation::ReplacesCommitted { first, commit: self.commit });
        }
        let before = if first == self.last.index + 1 { self.last.term } else { self.prefix.term };
        if entries.first_term() < before {
            let term = entries.first_term();
            return Err(Violation::TermsDescend { index: first, term, before });
        }
        if !entries.terms_ascend() {
            let (term, before) = (entries.last_term(), entries.first_term());
            return Err(Violation::TermsDescend { index: first, term, before });
        }
        self.last = EntryId { index: first + entries.count() - 1, term: entries.last_term() };
        Ok(())
    }

    fn apply_compact(&mut self, at: EntryId, config: Option<&[u8]>) -> Result<(), Violation> {
        if at.index > self.last.index {
            return Err(Violation::Beyond { index: at.index, last: self.last.index });
        }
        // An older compaction that comes late has nothing left to do.
        if at.index <= self.prefix.index {
            return Ok(());
        }
        if at.index == self.last.index && at.term != self.last.term {
            let (index, term, known) = (at.index, at.term, self.last.term);
            return Err(Violation::TermMismatch { index, term, known });
        }
        self.prefix = at;
        self.commit = self.commit.max(at.index);
        if let Some(config) = config {
            self.config = Bytes::copy_from_slice(config);
        }
        Ok(())
    }
}
