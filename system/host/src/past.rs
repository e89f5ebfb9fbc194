//! What watchers that come back share: the reading of what they missed.
//!
//! After a restart of its clients, or of a member that they were on, a thousand watchers stand at about
//! the same place far behind the newest events. The log of changes is read for the first of them, in
//! stretches, and the newest few stretches are kept for the others; so are the events that somebody
//! has had made of them, up to a bound of bytes. A watcher that keeps to the pace of the others reads
//! nothing but what nobody else was told of.
//!
//! Stretches begin at round revisions, so that watchers that stand some revisions apart want the same
//! ones. Nobody waits for somebody else's reading: two that come at the same moment both read.

use crate::View;
use crate::feed::EncodedEvent;
use crate::stats::Counter;
use quorate_storage::engine;
use quorate_store::{EngineError, Entry, Past, Stretch};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Stretches that are kept.
const KEPT: usize = 4;

/// Bytes of events that are kept with each.
const EVENT_BYTES: usize = 2 << 20;

/// What an event costs besides its bytes.
const OVERHEAD: usize = 320;

/// Stretches begin at multiples of this.
const ROUND: i64 = 1_024;

type Event = Entry<Arc<EncodedEvent>>;

/// The events that somebody had made, by place and by whether they have the pair before.
#[derive(Default)]
struct Made {
    events: BTreeMap<(usize, bool), Event>,
    bytes: usize,
}

/// A stretch with what was made of it.
pub struct Shared {
    stretch: Stretch,
    made: Mutex<Made>,
}

/// The stretches that were read last.
#[derive(Default)]
pub struct SharedPast {
    stretches: Mutex<VecDeque<Arc<Shared>>>,
    /// How often the log of changes was read.
    pub reads: Counter,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedPast {
    /// Forgets everything: the state is being replaced.
    pub fn clear(&self) {
        lock(&self.stretches).clear();
    }

    fn known(&self, from: i64) -> Option<Arc<Shared>> {
        let mut stretches = lock(&self.stretches);
        let at = stretches.iter().position(|shared| shared.stretch.covers(from))?;
        let found = stretches.remove(at)?;
        stretches.push_front(found.clone());
        Some(found)
    }

    fn read(&self, view: &View, from: i64) -> Result<Option<Stretch>, EngineError> {
        self.reads.count();
        view.stretch(from)
    }
}

impl Past<engine::View, Arc<EncodedEvent>> for SharedPast {
    type Held = Arc<Shared>;

    fn stretch<'a>(&self, held: &'a Arc<Shared>) -> &'a Stretch {
        &held.stretch
    }

    fn hold(&self, view: &View, from: i64) -> Result<Option<Arc<Shared>>, EngineError> {
        if let Some(known) = self.known(from) {
            return Ok(Some(known));
        }
        let round = (from / ROUND * ROUND).max(view.compacted()).min(from);
        let mut stretch = self.read(view, round)?.filter(|stretch| stretch.covers(from));
        if stretch.is_none() && round < from {
            // Revisions with many changes lie before it.
            stretch = self.read(view, from)?;
        }
        let Some(stretch) = stretch else { return Ok(None) };
        let shared = Arc::new(Shared { stretch, made: Mutex::default() });
        let mut stretches = lock(&self.stretches);
        stretches.push_front(shared.clone());
        stretches.truncate(KEPT);
        Ok(Some(shared))
    }

    fn entry(
        &self,
        held: &Arc<Shared>,
        at: usize,
        prev: bool,
        make: impl FnOnce() -> Result<Option<Event>, EngineError>,
    ) -> Result<Option<Event>, EngineError> {
        if let Some(made) = lock(&held.made).events.get(&(at, prev)) {
            return Ok(Some(made.clone()));
        }
        let Some(event) = make()? else { return Ok(None) };
        // With its encoding its bytes are there twice.
        let size = 2 * event.size + OVERHEAD;
        let mut made = lock(&held.made);
        if made.bytes + size > EVENT_BYTES || made.events.contains_key(&(at, prev)) {
            return Ok(Some(event));
        }
        let event = Entry { encoded: event.encoded.detached(), ..event };
        made.bytes += size;
        made.events.insert((at, prev), event.clone());
        Ok(Some(event))
    }
}
