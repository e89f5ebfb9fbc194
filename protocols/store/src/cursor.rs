//! A watcher: a place in the history of changes, owned by whoever reads it.
//!
//! A cursor says which revision it looks at next. Polling takes it through the ring of recent
//! changes, or through the engine when it is behind that; either way it gets every change of its
//! range once, in order, a revision never split over two batches (contract items 38 to 53). It
//! remembers nothing else, so a slow or lost client resumes from a revision. Only while it is within
//! a revision that changed very much, which takes it several polls, it keeps what it has found there.
//!
//! What it promises:
//! - Ordered, unique, reliable, atomic, resumable: from the next revision on, whatever it is served
//!   from. A batch says the next revision; a cursor made there goes on without gap or overlap.
//! - It never goes beyond the view's revision, so a header of that revision bounds what was sent.
//! - A start in the future is silent until it is reached: nothing older is given and it does not
//!   count as synced, so no progress is told about it (items 42 and 51, etcd#20221).
//! - A start at the compacted revision gets what happened there; one before it gets
//!   [`Polled::Compacted`] (item 43).

use crate::engine::{EngineError, EngineRead};
use crate::history;
use crate::key_changes::{KeyChange, KeyChanges};
use crate::layout::{self, Change, HEADER, HISTORY, Header, Kind, Stamp};
use crate::ring::{Entry, Ring};
use crate::stretch::{Past, Unshared};
use crate::view::View;
use crate::{Event, KeyRange, KeyValue};
use bytes::Bytes;
use quorate_base::mutant;

/// Revisions with events in one batch (contract item 46).
const REVISIONS_PER_BATCH: usize = 1_000;
/// Changes looked at in one poll of a key's history or of a large revision, so that a poll takes milliseconds.
const CHANGES_PER_POLL: usize = 5_000;
/// Events of a large revision put together in one poll: each takes up to three look-ups.
const EVENTS_PER_POLL: usize = 250;

/// What a watcher wants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// Which keys.
    pub range: KeyRange,
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletes out.
    pub no_delete: bool,
    /// Read the pair before each change when the engine is read; what comes from the ring has it
    /// anyway, and the host's encoding picks.
    pub prev_kv: bool,
}

/// One event for the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery<T> {
    /// Its revision.
    pub revision: i64,
    /// About its bytes on the wire.
    pub size: usize,
    /// The event as the host encoded it.
    pub encoded: T,
}

/// A batch of whole revisions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch<T> {
    /// The events in order; may be empty.
    pub events: Vec<Delivery<T>>,
    /// Everything below this revision was given or did not match. The same as before the poll, and no
    /// events, when more of a large revision is to be read first.
    pub next: i64,
    /// True when nothing that the view holds is left, and the start has been reached.
    pub synced: bool,
}

/// What a poll found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Polled<T> {
    /// Go on; poll again at once unless it is synced.
    Batch(Batch<T>),
    /// What comes next is gone: the watcher is cancelled with this revision.
    Compacted {
        /// The compacted revision.
        revision: i64,
    },
}

/// A watcher's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor<T> {
    watch: Watch,
    next: i64,
    /// How far it is within a large revision, the next one.
    part: Part<T>,
    /// False until the first poll, which checks the start against the compaction even when the
    /// ring still has it.
    started: bool,
}

/// What was read of a revision that takes several polls.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Part<T> {
    /// The first change that was not looked at; 0 when the revision was not begun.
    sub: u32,
    events: Vec<Delivery<T>>,
}

impl<T> Default for Part<T> {
    fn default() -> Part<T> {
        Part { sub: 0, events: Vec::new() }
    }
}

impl<T: Clone> Cursor<T> {
    /// A watcher from `start` on; 0 is what comes after `current`, the view's revision now.
    ///
    /// # Panics
    /// When `start` is negative: the API refuses that (contract item 42).
    pub fn new(watch: Watch, start: i64, current: i64) -> Cursor<T> {
        assert!(start >= 0, "a watch cannot start at {start}");
        let lowered = mutant!(WATCH_307_FUTURE_START_LOWERED) && start > current;
        let next = if start == 0 || lowered { current + 1 } else { start };
        Cursor { watch, next, part: Part::default(), started: false }
    }

    /// What it watches.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The revision that it looks at next.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// True when it has seen everything up to `revision` and its start lies no further ahead.
    pub fn is_synced(&self, revision: i64) -> bool {
        self.next == revision + 1
    }

    /// Passes over revisions up to `revision`, known (from [`Interests`](crate::Interests)) to hold
    /// nothing for it. Does nothing unless it was synced with the revision `from`.
    pub fn skip(&mut self, from: i64, revision: i64) {
        if self.is_synced(from) && revision >= from && self.part.sub == 0 {
            self.started = true;
            self.next = revision + 1;
        }
    }

    /// Goes on, with about `budget` bytes of events at most (at least one revision).
    ///
    /// # Errors
    /// When the engine fails.
    pub fn poll<V: EngineRead>(
        &mut self,
        view: &View<V>,
        ring: &Ring<T>,
        encode: &impl Fn(&Event) -> T,
        budget: usize,
    ) -> Result<Polled<T>, EngineError> {
        self.poll_with(view, ring, &Unshared, encode, budget)
    }

    /// As [`Cursor::poll`]; what has to be read is shared with other watchers.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn poll_with<V: EngineRead, P: Past<V, T>>(
        &mut self,
        view: &View<V>,
        ring: &Ring<T>,
        past: &P,
        encode: &impl Fn(&Event) -> T,
        budget: usize,
    ) -> Result<Polled<T>, EngineError> {
        let current = view.revision();
        if self.next > current {
            let synced = self.is_synced(current);
            return Ok(Polled::Batch(Batch { events: Vec::new(), next: self.next, synced }));
        }
        let in_ring = ring.first() <= self.next && self.next <= ring.last();
        if self.next < view.compacted() && !(self.started && in_ring) {
            return Ok(Polled::Compacted { revision: view.compacted() });
        }
        self.started = true;
        if mutant!(WATCH_306_GAP_BEHIND_RING) {
            self.next = self.next.max(ring.first());
        }
        let events = if in_ring {
            self.part = Part::default();
            self.read_ring(ring, current.min(ring.last()), budget)
        } else if self.watch.range.is_single() && self.next > view.compacted() {
            self.read_key(view, encode, budget)?
        } else {
            self.read_past(view, past, encode, budget)?
        };
        let synced = self.is_synced(current) || mutant!(WATCH_312_PROGRESS_AHEAD);
        Ok(Polled::Batch(Batch { events, next: self.next, synced }))
    }

    fn wants(&self, key: &[u8], delete: bool) -> bool {
        let filtered = if delete { self.watch.no_delete } else { self.watch.no_put };
        !filtered && self.watch.range.contains(key)
    }

    fn read_ring(&mut self, ring: &Ring<T>, last: i64, budget: usize) -> Vec<Delivery<T>> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let last = last.min(self.next + REVISIONS_PER_BATCH as i64 - 1);
        while self.next <= last && bytes < budget {
            let revision = self.next;
            for entry in ring.get(revision).expect("checked to be in the ring") {
                let begun = |last: &Delivery<T>| last.revision == revision;
                let split = mutant!(WATCH_308_REVISION_SPLIT) && events.len() > 1;
                if split && events.last().is_some_and(begun) {
                    break;
                }
                if self.wants(&entry.key, entry.delete) {
                    bytes += entry.size;
                    let Entry { size, encoded, .. } = entry.clone();
                    events.push(Delivery { revision, size, encoded });
                }
            }
            self.next += 1;
        }
        events
    }

    /// What the log of changes tells, of which others may have read the same stretch.
    fn read_past<V: EngineRead, P: Past<V, T>>(
        &mut self,
        view: &View<V>,
        past: &P,
        encode: &impl Fn(&Event) -> T,
        budget: usize,
    ) -> Result<Vec<Delivery<T>>, EngineError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let (mut revision, mut with_events) = (self.next, 0);
        let mut last_with_events = 0;
        if self.part.sub > 0 {
            return self.read_large(view, encode);
        }
        let from = self.next - i64::from(mutant!(WATCH_313_GOES_BACK));
        let Some(held) = past.hold(view, from)? else {
            return self.read_large(view, encode);
        };
        let stretch = past.stretch(&held);
        for (at, change) in stretch.of(&self.watch.range, from) {
            if change.at.revision > view.revision() {
                break;
            }
            if change.at.revision != revision {
                // A whole revision is behind us: here it may stop.
                revision = change.at.revision;
                if bytes >= budget || with_events >= REVISIONS_PER_BATCH {
                    self.next = revision;
                    return Ok(events);
                }
            }
            if !self.wants(&change.key, change.kind == Kind::Death) {
                continue;
            }
            let make = || {
                let event = self.event(view, change.clone())?;
                Ok(event.map(|event| Entry::new(&event, encode)))
            };
            if let Some(entry) = past.entry(&held, at, self.watch.prev_kv, make)? {
                bytes += entry.size;
                with_events += usize::from(last_with_events != revision);
                last_with_events = revision;
                events.push(Delivery { revision, size: entry.size, encoded: entry.encoded });
            }
        }
        self.next = stretch.next().min(view.revision() + 1);
        Ok(events)
    }

    /// What the log of changes tells of one revision that changed very much, some of it at a time: only
    /// what is wanted of it is in memory.
    fn read_large<V: EngineRead>(
        &mut self,
        view: &View<V>,
        encode: &impl Fn(&Event) -> T,
    ) -> Result<Vec<Delivery<T>>, EngineError> {
        let (revision, mut looked, mut made) = (self.next, 0, 0);
        let from = Stamp { revision, sub: self.part.sub };
        for change in view.reader().changes_from(from, revision) {
            let change = change?;
            if looked == CHANGES_PER_POLL || made == EVENTS_PER_POLL {
                self.part.sub = change.at.sub;
                return Ok(Vec::new());
            }
            looked += 1;
            if self.wants(&change.key, change.kind == Kind::Death)
                && let Some(event) = self.event(view, change)?
            {
                made += 1;
                let Entry { size, encoded, .. } = Entry::new(&event, encode);
                self.part.events.push(Delivery { revision, size, encoded });
            }
        }
        self.next = revision + 1;
        Ok(std::mem::take(&mut self.part).events)
    }

    /// What the key's own history tells.
    fn read_key<V: EngineRead>(
        &mut self,
        view: &View<V>,
        encode: &impl Fn(&Event) -> T,
        budget: usize,
    ) -> Result<Vec<Delivery<T>>, EngineError> {
        let mut changes = KeyChanges::new(view.engine(), &self.watch.range.key, self.next);
        let (mut events, mut bytes, mut looked) = (Vec::new(), 0, 0);
        let mut revision = self.next;
        while let Some(KeyChange { at, put, prev }) = changes.next()? {
            if at.revision != revision {
                revision = at.revision;
                let full = bytes >= budget || events.len() >= REVISIONS_PER_BATCH;
                if full || looked >= CHANGES_PER_POLL {
                    self.next = revision;
                    return Ok(events);
                }
            }
            looked += 1;
            let (key, delete) = (&self.watch.range.key, put.is_none());
            if !self.wants(key, delete) {
                continue;
            }
            let gone =
                || KeyValue { key: key.clone(), mod_revision: revision, ..KeyValue::default() };
            let prev = prev.filter(|_| self.watch.prev_kv);
            let event = Event { delete, kv: put.unwrap_or_else(gone), prev };
            let entry = Entry::new(&event, encode);
            bytes += entry.size;
            events.push(Delivery { revision, size: entry.size, encoded: entry.encoded });
        }
        self.next = view.revision() + 1;
        Ok(events)
    }

    /// Puts together what the log of changes only names. `None` for a put whose version is gone:
    /// a later change of the same, compacted revision replaced it.
    fn event<V: EngineRead>(
        &self,
        view: &View<V>,
        change: Change,
    ) -> Result<Option<Event>, EngineError> {
        let Change { at, kind, key, .. } = change;
        let delete = kind == Kind::Death;
        let kv = if delete {
            KeyValue { key, mod_revision: at.revision, ..KeyValue::default() }
        } else {
            match version_begun_at(view.engine(), &key, at)? {
                Some(kv) => kv,
                None => return Ok(None),
            }
        };
        // The pair before a change at the compacted revision is gone, or about to be: it is left
        // out whether or not the sweep has passed (contract item 48).
        let wanted = self.watch.prev_kv && at.revision > view.compacted();
        let prev = match kind {
            Kind::Update | Kind::Death if wanted => version_ended_at(view.engine(), &kv.key, at)?,
            Kind::Birth | Kind::Update | Kind::Death => None,
        };
        Ok(Some(Event { delete, kv, prev }))
    }
}

fn pair(key: &Bytes, record: &Bytes) -> Result<KeyValue, EngineError> {
    let header = Header::read(record)?;
    Ok(KeyValue {
        key: key.clone(),
        value: record.slice(HEADER..),
        create_revision: header.create,
        mod_revision: header.begun.revision,
        version: header.version,
        lease: header.lease,
    })
}

fn version_begun_at<V: EngineRead>(
    engine: &V,
    key: &Bytes,
    at: Stamp,
) -> Result<Option<KeyValue>, EngineError> {
    if let Some(version) = history::one_newest(engine, key)?
        && version.header.begun == at
    {
        return pair(key, &version.record).map(Some);
    }
    // It ended at a later stamp: the first of the key's history after its own.
    let mut low = vec![HISTORY];
    layout::escape(key, &mut low);
    let mut high = low.clone();
    Stamp { sub: at.sub + 1, ..at }.write(&mut low);
    high.extend_from_slice(&[0xff; 12]);
    match engine.range(&low, Some(&high)).next() {
        None => Ok(None),
        Some(found) => {
            let (_, record) = found?;
            Ok(Some(pair(key, &record)?).filter(|_| Header::read(&record).unwrap().begun == at))
        }
    }
}

fn version_ended_at<V: EngineRead>(
    engine: &V,
    key: &Bytes,
    at: Stamp,
) -> Result<Option<KeyValue>, EngineError> {
    let mut exact = vec![HISTORY];
    layout::escape(key, &mut exact);
    at.write(&mut exact);
    engine.get(&exact)?.map(|record| pair(key, &record)).transpose()
}
