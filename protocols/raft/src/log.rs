//! The log as consensus sees it: a tail in memory, terms for all of it, and what is on disk.
//!
//! Five marks divide it, always in this order:
//!
//! ```text
//!   base ......... cached from ......... stable ......... unwritten from ......... last
//!        on disk            both                  given to          not yet said
//!                                                 the disk
//! ```
//!
//! - `base` names the entry before the first one that is still kept.
//! - The cache holds the newest entries; older ones are on disk only and the host reads them.
//! - Up to `stable` everything is durable here. It may be below `base` only while the write of an
//!   installed snapshot is in flight.
//! - The term of every kept entry is known without the disk: a log has few terms, and each is a
//!   run.
//!
//! # Tickets
//!
//! Each append write remembers the index that it makes durable. Truncation *clamps* those
//! indexes: when the write of `(5, term 2)` completes after entry 5 was replaced, its ticket has
//! been lowered to 4, and the new entry waits for its own write (the ABA case, trap 9). Completions
//! may skip tickets but never go back, and `stable` takes the greatest (trap 8).

use crate::quorum::Quorum;
use crate::roster::Roster;
use crate::{Canon, Entry, LogId, Membership, SnapshotMeta};
use quorate_base::{NodeId, Ticket, mutant};
use std::collections::VecDeque;

/// What an entry costs in memory beside its payload, about.
const ENTRY_OVERHEAD: usize = 48;

/// The memory that an entry takes.
pub(crate) fn cost(entry: &Entry) -> usize {
    entry.payload.len() + ENTRY_OVERHEAD
}

/// See the module's essay for its marks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Log {
    base: LogId,
    last: LogId,
    /// `(first index, term)` of each run of equal terms after `base`; both ascend.
    runs: VecDeque<(u64, u64)>,
    /// The newest entries, contiguous, the newest of them being `last`.
    cache: VecDeque<Entry>,
    cached_bytes: usize,
    /// What the state machine has applied; entries after it must stay in memory.
    applied: u64,
    /// Cost of the entries after `applied`.
    unapplied_bytes: usize,
    /// The configurations that the entries above hold.
    roster: Roster,
    stable: u64,
    /// The first entry that no write carries yet.
    unwritten: u64,
    /// Append writes under way and the index that each makes durable; both ascend.
    in_flight: VecDeque<(Ticket, u64)>,
}

impl Log {
    /// The log as found on disk; all of it is durable.
    pub(crate) fn restore(
        base: LogId,
        roster: Roster,
        term_starts: Vec<(u64, u64)>,
        last_index: u64,
        entries: Vec<Entry>,
        applied: u64,
    ) -> Log {
        assert!(last_index >= base.index, "a log cannot end at {last_index} before its {base:?}");
        let runs: VecDeque<(u64, u64)> = term_starts.into();
        let last_term = runs.back().map_or(base.term, |(_, term)| *term);
        assert_eq!(runs.is_empty(), last_index == base.index, "terms must cover the entries");
        if let Some((first, _)) = runs.front() {
            assert_eq!(*first, base.index + 1, "the first term must begin after the base");
        }
        let mut log = Log {
            base,
            last: LogId { term: last_term, index: last_index },
            runs,
            cached_bytes: entries.iter().map(cost).sum(),
            unapplied_bytes: entries.iter().filter(|e| e.index > applied).map(cost).sum(),
            cache: entries.into(),
            applied,
            roster,
            stable: last_index,
            unwritten: last_index + 1,
            in_flight: VecDeque::new(),
        };
        assert!(
            log.cached_from() <= applied.max(base.index) + 1,
            "entries after {applied} must be given, the first is {}",
            log.cached_from()
        );
        log.check_deep();
        log.trim(applied, 0);
        log
    }

    /// Who takes part, according to this log.
    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The configuration in force: how many is enough.
    pub(crate) fn quorum(&self) -> &Quorum {
        self.roster.quorum()
    }

    pub(crate) fn base(&self) -> LogId {
        self.base
    }

    pub(crate) fn last(&self) -> LogId {
        self.last
    }

    pub(crate) fn stable(&self) -> u64 {
        self.stable
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// Memory held by entries that the state machine has not applied yet.
    pub(crate) fn unapplied_bytes(&self) -> usize {
        self.unapplied_bytes
    }

    /// Memory held by entries.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }

    /// Index of the oldest cached entry; one past the last when the cache is empty.
    pub(crate) fn cached_from(&self) -> u64 {
        self.last.index + 1 - self.cache.len() as u64
    }

    /// The term of an entry, `None` before the base and after the end.
    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last.index {
            return None;
        }
        let after = self.runs.partition_point(|(first, _)| *first <= index);
        assert!(after > 0, "no term covers entry {index} after {:?}", self.base);
        Some(self.runs[after - 1].1)
    }

    /// True when this log holds exactly this entry, or rests on it.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The newest entry at or before `index` whose term is not above `term`; `None` when all such
    /// entries lie before the base.
    pub(crate) fn newest_not_above(&self, index: u64, term: u64) -> Option<LogId> {
        let after = self.runs.partition_point(|(first, t)| *first <= index && *t <= term);
        if after == 0 {
            let reaches = self.base.index <= index && self.base.term <= term;
            return reaches.then_some(self.base);
        }
        let run_end = self.runs.get(after).map_or(self.last.index, |(next, _)| next - 1);
        Some(LogId { term: self.runs[after - 1].1, index: index.min(run_end) })
    }

    /// Adds one entry at the end.
    pub(crate) fn append(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last.index + 1, "a log has no gaps");
        assert!(entry.term >= self.last.term, "terms never go back: {entry:?} on {:?}", self.last);
        if entry.term > self.last.term || self.runs.is_empty() {
            self.runs.push_back((entry.index, entry.term));
        }
        self.last = LogId { term: entry.term, index: entry.index };
        if let Some(membership) = Membership::of_payload(&entry.payload) {
            self.roster.append(entry.index, membership);
        }
        self.cached_bytes += cost(&entry);
        self.unapplied_bytes += cost(&entry);
        self.cache.push_back(entry);
    }

    /// Forgets `from` and everything after it, and no longer believes writes that carried it.
    ///
    /// Whoever truncates appends in the same turn: the next write replaces the old entries on disk.
    pub(crate) fn truncate(&mut self, from: u64) {
        assert!(from > self.applied, "entry {from} was applied (up to {})", self.applied);
        assert!(from > self.base.index && from <= self.last.index, "{from} is not in the log");
        while self.cache.back().is_some_and(|entry| entry.index >= from) {
            let entry = self.cache.pop_back().expect("back was just looked at");
            self.cached_bytes -= cost(&entry);
            if !mutant!(RAFT_32_COUNTER_LEAKS) {
                self.unapplied_bytes -= cost(&entry);
            }
        }
        while self.runs.back().is_some_and(|(first, _)| *first >= from) {
            self.runs.pop_back();
        }
        let term = self.runs.back().map_or(self.base.term, |(_, term)| *term);
        self.last = LogId { term, index: from - 1 };
        self.unwritten = self.unwritten.min(from);
        self.roster.truncate(from);
        self.clamp(from - 1);
    }

    /// Lowers what is durable, and what writes under way will make durable, to `index`.
    fn clamp(&mut self, index: u64) {
        self.stable = self.stable.min(index);
        let believed = if mutant!(RAFT_09_APPEND_ABA) { index + 1 } else { index };
        for (_, reaches) in &mut self.in_flight {
            *reaches = (*reaches).min(believed);
        }
    }

    /// The entries that no write carries yet; empty when there are none.
    pub(crate) fn take_unwritten(&mut self) -> Vec<Entry> {
        if self.unwritten > self.last.index {
            return Vec::new();
        }
        let skip = (self.unwritten - self.cached_from()) as usize;
        self.unwritten = self.last.index + 1;
        self.cache.range(skip..).cloned().collect()
    }

    /// The write with this ticket carries everything up to `index`.
    pub(crate) fn written(&mut self, ticket: Ticket, index: u64) {
        self.in_flight.push_back((ticket, index));
    }

    /// The oldest append that is not durable yet.
    pub(crate) fn oldest_write(&self) -> Option<Ticket> {
        self.in_flight.front().map(|(ticket, _)| *ticket)
    }

    /// Every write up to `ticket` is durable. Says whether `stable` advanced.
    pub(crate) fn durable(&mut self, ticket: Ticket) -> bool {
        let before = self.stable;
        let exact = mutant!(RAFT_08_SKIPPED_COMPLETION);
        let covered = |sent: Ticket| if exact { sent == ticket } else { sent <= ticket };
        while self.in_flight.front().is_some_and(|(sent, _)| covered(*sent)) {
            let (_, reaches) = self.in_flight.pop_front().expect("front was just looked at");
            self.stable = self.stable.max(reaches);
        }
        self.stable > before
    }

    /// The ticket whose durability makes everything up to `index` durable.
    pub(crate) fn gate(&self, index: u64) -> Ticket {
        if index <= self.stable {
            return Ticket(0);
        }
        let at = self.in_flight.partition_point(|(_, reaches)| *reaches < index);
        self.in_flight.get(at).expect("entries are written before they are promised").0
    }

    /// Entries `from..=to` from memory, at least one and then at most `max_bytes` of them;
    /// `None` when the first is not in memory.
    pub(crate) fn slice(&self, from: u64, to: u64, max_bytes: usize) -> Option<Vec<Entry>> {
        if from < self.cached_from() {
            return None;
        }
        let to = to.min(self.last.index);
        if from > to {
            return Some(Vec::new());
        }
        let skip = (from - self.cached_from()) as usize;
        let wanted = (to - from + 1) as usize;
        let mut bytes = 0;
        let mut count = 0;
        for entry in self.cache.range(skip..skip + wanted) {
            bytes += cost(entry);
            if count > 0 && bytes > max_bytes {
                break;
            }
            count += 1;
        }
        Some(self.cache.range(skip..skip + count).cloned().collect())
    }

    /// The state machine has applied everything up to `index`.
    pub(crate) fn set_applied(&mut self, index: u64) {
        let cached_from = self.cached_from();
        for at in (self.applied + 1).max(cached_from)..=index.min(self.last.index) {
            self.unapplied_bytes -= cost(&self.cache[(at - cached_from) as usize]);
        }
        self.applied = self.applied.max(index);
    }

    /// Drops cached entries up to `replicated`, and beyond it while more than `max_bytes` are
    /// cached; never one that is not applied or not written yet.
    pub(crate) fn trim(&mut self, replicated: u64, max_bytes: usize) {
        let may_go = self.applied.min(self.unwritten - 1);
        while let Some(entry) = self.cache.front() {
            let needed = entry.index > replicated && self.cached_bytes <= max_bytes;
            if entry.index > may_go || needed {
                break;
            }
            self.cached_bytes -= cost(entry);
            self.cache.pop_front();
        }
    }

    /// Forgets everything up to `index`, which must be applied. Says what the new base is, and who
    /// takes part there.
    pub(crate) fn compact(&mut self, index: u64) -> SnapshotMeta {
        assert!(index <= self.applied, "entry {index} is not applied (up to {})", self.applied);
        let term = self.term_at(index).expect("a base lies in the log");
        self.trim(index, 0);
        self.rebase(LogId { term, index });
        self.roster.compact(index);
        SnapshotMeta { last: self.base, membership: self.roster.at(index).1.clone() }
    }

    /// Restarts after a snapshot. Entries after it survive only when the log held its last entry.
    pub(crate) fn reset(&mut self, last: LogId, membership: Membership, ticket: Ticket) {
        assert!(last.index > self.applied, "a snapshot at {last:?} would undo {}", self.applied);
        let keeps_tail = self.holds(last);
        self.applied = last.index;
        self.roster.reset(last.index, membership, keeps_tail);
        if keeps_tail {
            self.rebase(last);
            while self.cache.front().is_some_and(|entry| entry.index <= last.index) {
                self.cached_bytes -= cost(&self.cache[0]);
                self.cache.pop_front();
            }
        } else {
            self.base = last;
            self.last = last;
            self.runs.clear();
            self.cache.clear();
            self.cached_bytes = 0;
            self.unwritten = last.index + 1;
            // Nothing at or after the snapshot is durable until the snapshot's own write is.
            self.clamp(last.index - 1);
        }
        self.unapplied_bytes = self.cached_bytes;
        let reaches = self.in_flight.back().map_or(last.index, |(_, back)| last.index.max(*back));
        self.in_flight.push_back((ticket, reaches));
    }

    /// Moves the base forward, keeping the terms of what follows.
    fn rebase(&mut self, base: LogId) {
        while self.runs.get(1).is_some_and(|(next, _)| *next <= base.index + 1) {
            self.runs.pop_front();
        }
        self.base = base;
        if base.index == self.last.index {
            self.runs.clear();
        } else if let Some(first) = self.runs.front_mut() {
            first.0 = base.index + 1;
        }
    }

    /// The part of a member's canonical bytes that is its log; see `canonical.rs`.
    pub(crate) fn canonical(
        &self,
        durable: Ticket,
        name: &impl Fn(NodeId) -> u64,
        out: &mut Canon,
    ) {
        out.number(self.base.index);
        out.number(self.base.term);
        out.number(self.last.index);
        for index in self.base.index + 1..=self.last.index {
            out.number(self.term_at(index).unwrap_or(0));
        }
        out.number(self.cache.len() as u64);
        for entry in &self.cache {
            // What a configuration says is below, in the names of whoever asks.
            let known = Membership::is_payload(&entry.payload);
            out.blob(if known { &[] } else { &entry.payload });
        }
        out.number(self.roster.all().len() as u64);
        for (index, membership) in self.roster.all() {
            out.number(index);
            let Membership { voters, outgoing, learners } = membership;
            for set in [voters, outgoing, learners] {
                let mut names: Vec<u64> = set.iter().map(|node| name(*node)).collect();
                names.sort_unstable();
                out.number(names.len() as u64);
                names.into_iter().for_each(|name| out.number(name));
            }
        }
        out.number(self.applied);
        out.number(self.stable);
        out.number(self.unwritten);
        out.number(self.in_flight.len() as u64);
        for (ticket, reaches) in &self.in_flight {
            out.number(ticket.0.saturating_sub(durable.0));
            out.number(*reaches);
        }
    }

    /// What must hold after every step and costs nothing to look at.
    pub(crate) fn check(&self) {
        assert!(self.base.index <= self.last.index);
        assert!(self.base.index <= self.applied, "the log forgot what is not applied");
        assert!(self.stable <= self.last.index, "durable beyond the end");
        assert!(self.unwritten <= self.last.index + 1);
        assert!(
            self.stable < self.unwritten || self.unwritten > self.last.index,
            "durable before it was written"
        );
        assert!(self.cached_from() <= self.applied + 1, "entries to apply left the memory");
        assert!(self.cached_from() <= self.unwritten, "entries to write left the memory");
        assert!(self.unapplied_bytes <= self.cached_bytes, "byte counters leak");
        self.roster.check(self.base.index, self.last.index);
    }

    /// What must hold after every step and costs a walk (trap 32: counters that leak).
    pub(crate) fn check_deep(&self) {
        for (at, entry) in self.cache.iter().enumerate() {
            assert_eq!(entry.index, self.cached_from() + at as u64, "the cache has a gap");
            assert_eq!(self.term_at(entry.index), Some(entry.term), "terms disagree");
        }
        let unapplied = self.cache.iter().filter(|entry| entry.index > self.applied).map(cost);
        assert_eq!(unapplied.sum::<usize>(), self.unapplied_bytes);
        assert_eq!(self.cache.iter().map(cost).sum::<usize>(), self.cached_bytes);
        let pairs = self.runs.iter().zip(self.runs.iter().skip(1));
        assert!(pairs.clone().all(|(a, b)| a.0 < b.0 && a.1 < b.1), "runs must ascend");
        let flights = self.in_flight.iter().zip(self.in_flight.iter().skip(1));
        assert!(flights.clone().all(|(a, b)| a.0 < b.0 && a.1 <= b.1), "tickets must ascend");
    }
}
