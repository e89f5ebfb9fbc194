//! Which operations were applied already, so that a retried one is applied once.
//!
//! A session is what is known of one origin (one life of a process that numbers operations): the
//! operations above its floor that were applied, as intervals. Sessions lie in the engine in the
//! same batch as what the operations did, so they survive restarts and travel with snapshots.
//!
//! Two bounds, both kept by rules that depend on the log alone, so that all members agree:
//! - At most [`ORIGINS`] sessions: a new one evicts the one least recently used in log order. An
//!   operation retried after [`ORIGINS`] other origins have spoken may be applied again.
//! - At most [`INTERVALS`] intervals per session: beyond that the lowest gap is closed, which
//!   refuses the operations in it. An origin gets there only with that many operations missing.

use crate::layout::{Malformed, read_u64};
use crate::{EngineError, EngineRead, OpId, layout};
use bytes::BufMut;
use quorate_base::mutant;
use std::collections::{BTreeMap, BTreeSet};

/// The greatest number of sessions remembered.
pub const ORIGINS: usize = 16_384;
/// The greatest number of intervals in one session.
pub const INTERVALS: usize = 1_024;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Session {
    /// Every operation below this one is refused.
    floor: u64,
    /// The log index of its newest operation.
    used: u64,
    /// Applied operations at or above the floor: first and last of each interval, ascending, with
    /// a gap between any two.
    applied: Vec<(u64, u64)>,
}

impl Session {
    fn contains(&self, seq: u64) -> bool {
        let after = self.applied.partition_point(|(first, _)| *first <= seq);
        after > 0 && self.applied[after - 1].1 >= seq
    }

    fn insert(&mut self, seq: u64) {
        let after = self.applied.partition_point(|(first, _)| *first <= seq);
        let joins_left = after > 0 && self.applied[after - 1].1 + 1 == seq;
        let joins_right = self.applied.get(after).is_some_and(|(first, _)| seq + 1 == *first);
        match (joins_left, joins_right) {
            (true, true) => {
                self.applied[after - 1].1 = self.applied[after].1;
                self.applied.remove(after);
            }
            (true, false) => self.applied[after - 1].1 = seq,
            (false, true) => self.applied[after].0 = seq,
            (false, false) => self.applied.insert(after, (seq, seq)),
        }
        if self.applied.len() > INTERVALS {
            self.applied[0].1 = self.applied[1].1;
            self.applied.remove(1);
        }
    }

    fn raise(&mut self, floor: u64) {
        if floor > self.floor {
            self.floor = floor;
            let forgotten = self.applied.partition_point(|(_, last)| *last < floor);
            self.applied.drain(..forgotten);
            if let Some((first, _)) = self.applied.first_mut() {
                *first = floor.max(*first);
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u64(self.floor);
        out.put_u64(self.used);
        for (first, last) in &self.applied {
            out.put_u64(*first);
            out.put_u64(*last);
        }
    }

    fn read(bytes: &[u8]) -> Result<Session, Malformed> {
        if bytes.len() < 16 || !bytes.len().is_multiple_of(16) {
            return Err(Malformed("a session has the wrong length"));
        }
        let applied =
            bytes[16..].chunks_exact(16).map(|pair| (read_u64(pair, 0), read_u64(pair, 8)));
        let (floor, used) = (read_u64(bytes, 0), read_u64(bytes, 8));
        Ok(Session { floor, used, applied: applied.collect() })
    }
}

/// All sessions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sessions {
    sessions: BTreeMap<u64, Session>,
    /// Last use and origin: the first is the next to go.
    by_use: BTreeSet<(u64, u64)>,
    /// Origins to write, or to remove if they are gone.
    dirty: BTreeSet<u64>,
}

impl Sessions {
    pub fn open<R: EngineRead>(engine: &R) -> Result<Sessions, EngineError> {
        let mut all = Sessions::default();
        if mutant!(STORE_302_SESSIONS_FORGOTTEN) {
            return Ok(all);
        }
        for pair in engine.range(&[layout::SESSION], Some(&[layout::SESSION + 1])) {
            let (key, value) = pair?;
            if key.len() != 9 {
                return Err(EngineError("a session key has the wrong length".into()));
            }
            let (origin, session) = (read_u64(&key, 1), Session::read(&value)?);
            all.by_use.insert((session.used, origin));
            all.sessions.insert(origin, session);
        }
        Ok(all)
    }

    /// Takes note of an operation at a log index; false when it was applied before, or is below
    /// what its origin has finished with.
    pub fn admit(&mut self, id: OpId, index: u64) -> bool {
        if id.seq == 0 {
            return true;
        }
        if !self.sessions.contains_key(&id.origin) {
            if self.sessions.len() >= ORIGINS {
                let (_, oldest) = self.by_use.pop_first().expect("as many as sessions");
                self.sessions.remove(&oldest);
                self.dirty.insert(oldest);
            }
            self.by_use.insert((0, id.origin));
        }
        let session = self.sessions.entry(id.origin).or_default();
        self.by_use.remove(&(session.used, id.origin));
        self.by_use.insert((index, id.origin));
        session.used = index;
        self.dirty.insert(id.origin);
        let fresh = id.seq >= session.floor && !session.contains(id.seq);
        session.raise(id.floor);
        // An operation may be its own origin's last word about itself: below its own floor it is
        // applied now and refused for ever after.
        if fresh && id.seq >= session.floor {
            session.insert(id.seq);
        }
        fresh
    }

    /// Writes what changed since the last time.
    pub fn store<E: crate::Engine>(&mut self, engine: &mut E) {
        let mut value = Vec::new();
        for origin in std::mem::take(&mut self.dirty) {
            let key = layout::plain(layout::SESSION, &origin.to_be_bytes());
            match self.sessions.get(&origin) {
                None => engine.delete(&key),
                Some(session) => {
                    value.clear();
                    session.write(&mut value);
                    engine.put(&key, &value);
                }
            }
        }
    }
}
