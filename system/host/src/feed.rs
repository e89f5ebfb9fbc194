//! Recent events for watchers, and the wake-up when there are new ones.
//!
//! An event is encoded by the first watcher that sends it and shared by all others; a member that
//! nobody watches encodes nothing.

use crate::View;
use crate::ears::Ears;
use crate::past::SharedPast;
use crate::stats::Counter;
use bytes::{Bytes, BytesMut};
use quorate_store::{Cursor, EngineError, Event, KeyValue, Polled, Ring, Unlisted};
use quorate_wire::etcd::mvccpb::event::EventType;
use quorate_wire::raw::{KeyValueRef, append_watch_event};
use std::sync::{Arc, OnceLock, RwLock};

/// Bytes of recent events that watchers are served from without touching the engine.
const RING_BYTES: usize = 4 << 20;

/// How the appliers of a member work: what the ring would not hold is not listed for it.
pub(crate) const STORE: quorate_store::Options =
    quorate_store::Options { events: Some(RING_BYTES) };

/// Keys of a revision that are looked up among what is watched before somebody else may come in between.
const KEYS_AT_ONCE: usize = 1_000;

/// An event with its two encodings as elements of `WatchResponse.events`.
pub struct EncodedEvent {
    event: Event,
    plain: OnceLock<Bytes>,
    with_prev: OnceLock<Bytes>,
}

fn borrow(pair: &KeyValue) -> KeyValueRef<'_> {
    KeyValueRef {
        key: &pair.key,
        create_revision: pair.create_revision,
        mod_revision: pair.mod_revision,
        version: pair.version,
        value: &pair.value,
        lease: pair.lease,
    }
}

impl EncodedEvent {
    fn new(event: &Event) -> Arc<EncodedEvent> {
        Arc::new(EncodedEvent {
            event: event.clone(),
            plain: OnceLock::new(),
            with_prev: OnceLock::new(),
        })
    }

    /// A copy that keeps nothing in memory but itself: what an engine reads are parts of blocks.
    pub(crate) fn detached(&self) -> Arc<EncodedEvent> {
        let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let pair = |pair: &KeyValue| KeyValue {
            key: own(&pair.key),
            value: own(&pair.value),
            ..pair.clone()
        };
        let Event { delete, kv, prev } = &self.event;
        EncodedEvent::new(&Event { delete: *delete, kv: pair(kv), prev: prev.as_ref().map(pair) })
    }

    /// The change itself.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The encoding, with the pair before the change or without.
    pub fn bytes(&self, prev: bool) -> Bytes {
        let before = self.event.prev.as_ref().filter(|_| prev);
        let slot = if before.is_some() { &self.with_prev } else { &self.plain };
        let encode = || {
            let kind = if self.event.delete { EventType::Delete } else { EventType::Put };
            let mut out = BytesMut::new();
            append_watch_event(kind, borrow(&self.event.kv), before.map(borrow), &mut out);
            out.freeze()
        };
        slot.get_or_init(encode).clone()
    }
}

/// Events on their way to the watchers of this member.
pub struct Feed {
    ring: RwLock<Ring<Arc<EncodedEvent>>>,
    ears: Arc<Ears>,
    past: SharedPast,
}

impl Feed {
    /// A feed of what comes after `revision`.
    pub fn new(revision: i64) -> Feed {
        Feed {
            ring: RwLock::new(Ring::after(revision, RING_BYTES)),
            ears: Arc::new(Ears::after(revision)),
            past: SharedPast::default(),
        }
    }

    /// Adds the changes of a batch. Watchers are told by [`Feed::wake`], when the view is there too.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn push(
        &self,
        events: &[Event],
        unlisted: &[Unlisted],
        view: &View,
    ) -> Result<(), EngineError> {
        if events.is_empty() && unlisted.is_empty() {
            return Ok(());
        }
        let mut ring = self.ring.write().expect("no holder of this lock panics");
        ring.push(events, unlisted, EncodedEvent::new);
        drop(ring);
        self.ears.announce(events);
        for named in unlisted.iter().filter(|named| self.ears.announce_unlisted(named)) {
            // Its keys are read once here, or everybody who watches between them would read them all to
            // learn that none of them is theirs.
            let mut keys = view.keys_changed(named.revision).peekable();
            while keys.peek().is_some() {
                let some: Result<Vec<_>, _> = keys.by_ref().take(KEYS_AT_ONCE).collect();
                self.ears.announce_keys(named.revision, &some?);
            }
        }
        Ok(())
    }

    /// The state is being replaced: what the ring holds does not lead to it. When the view shows it,
    /// [`Ears::reset`] tells the watchers.
    pub fn reset(&self, revision: i64) {
        let mut ring = self.ring.write().expect("no holder of this lock panics");
        *ring = Ring::after(revision, RING_BYTES);
        drop(ring);
        self.past.clear();
    }

    /// How often the log of changes was read for watchers.
    pub fn log_reads(&self) -> &Counter {
        &self.past.reads
    }

    /// Those who are told of keys.
    pub fn ears(&self) -> &Arc<Ears> {
        &self.ears
    }

    /// Wakes the watchers that the pushed events concern: the view shows them now.
    pub fn wake(&self) {
        self.ears.call();
    }

    /// Takes a cursor forward over the view and the recent events.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn poll(
        &self,
        cursor: &mut Cursor<Arc<EncodedEvent>>,
        view: &View,
        budget: usize,
    ) -> Result<Polled<Arc<EncodedEvent>>, EngineError> {
        let ring = self.ring.read().expect("no holder of this lock panics");
        if cursor.next() < ring.first() {
            // It is served from the engine, which takes a while: nobody must wait for it.
            drop(ring);
            let nothing = Ring::after(view.revision(), 0);
            return cursor.poll_with(view, &nothing, &self.past, &EncodedEvent::new, budget);
        }
        cursor.poll_with(view, &ring, &self.past, &EncodedEvent::new, budget)
    }
}
