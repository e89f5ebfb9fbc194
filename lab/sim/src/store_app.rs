//! The store as a state machine of a world: the shipped applier over an engine that crashes.
//!
//! What the product spreads over an apply thread and a bulk thread is here in one place: batches,
//! views, the ring for watchers, the sweep behind a compaction, pieces of a pinned view for a peer,
//! and the state from a leader that fills an engine of its own and is switched to when it is whole.

use crate::replica::machine::{App, Piece, Stored};
use crate::trace::hash;
use bytes::Bytes;
use quorate_base::{Dice, NodeId};
use quorate_node::LeaseChange;
use quorate_raft::{Entry, LogId, Membership, SnapshotMeta};
use quorate_store::{
    Action, Applier, Command, Engine, Event, Fingerprint, Installer, MemEngine, MemView, OpId,
    Options, Outcome, Published, Ring, View,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes of events that a member keeps for its watchers: few, so that many are behind it.
const RING_BYTES: usize = 2_000;

/// Some transactions and deletes are not listed, and read from the log of changes.
const OPTIONS: Options = Options { events: Some(RING_BYTES / 2) };
/// Entries that one step of a compaction's sweep removes.
const SWEEP: usize = 5;

/// All commands of a world. An entry's payload is a command's number, so that entries stay opaque
/// without a codec, which is tested elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Commands(Rc<RefCell<Vec<Command>>>);

impl Commands {
    /// The payload that stands for a command; padding makes entries of all sizes.
    pub fn encode(&self, command: Command, padding: usize) -> Bytes {
        let mut all = self.0.borrow_mut();
        let mut bytes = (all.len() as u64).to_be_bytes().to_vec();
        bytes.resize(8 + padding, 0x55);
        all.push(command);
        bytes.into()
    }

    /// A command in a few words.
    pub fn describe(&self, payload: &Bytes) -> String {
        self.decode(payload).map_or(String::new(), |command| format!("{:?}", command.action))
    }

    fn decode(&self, payload: &Bytes) -> Option<Command> {
        let number = payload.get(..8)?.try_into().expect("eight bytes");
        Some(self.0.borrow()[u64::from_be_bytes(number) as usize].clone())
    }
}

/// An entry that was applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its index and term.
    pub at: LogId,
    /// What it held; nothing for a leader's first.
    pub command: Option<Command>,
    /// What it did; nothing for a copy.
    pub outcome: Option<Outcome>,
}

/// What a batch leaves.
#[derive(Default)]
pub struct News {
    /// Every entry of it.
    pub applied: Vec<Applied>,
    /// What it did to leases.
    pub leases: Vec<LeaseChange>,
}

struct Incoming {
    meta: SnapshotMeta,
    installer: Installer<MemEngine>,
}

/// The store of one member.
pub struct Store {
    applier: Applier<MemEngine>,
    /// The newest published state.
    pub view: View<MemView>,
    /// The newest changes.
    pub ring: Ring<Event>,
    commands: Commands,
    /// A bug on purpose: copies are applied again.
    skip_dedup: bool,
    fingerprints: Vec<Fingerprint>,
    pins: BTreeMap<NodeId, View<MemView>>,
    incoming: Option<Incoming>,
    ready: Option<(SnapshotMeta, MemEngine)>,
}

impl Store {
    /// The store that an engine holds.
    pub fn open(engine: MemEngine, commands: Commands, skip_dedup: bool) -> Store {
        let mut applier = Applier::open(engine, OPTIONS).expect("a published state");
        let Published { view, fingerprints, .. } = applier.publish().expect("memory does not fail");
        let ring = Ring::after(view.revision(), RING_BYTES);
        let (pins, incoming, ready) = (BTreeMap::new(), None, None);
        Store { applier, view, ring, commands, skip_dedup, fingerprints, pins, incoming, ready }
    }

    /// An empty store.
    pub fn empty(commands: Commands, skip_dedup: bool) -> Store {
        Store::open(MemEngine::with_manual_sync(), commands, skip_dedup)
    }

    /// What a core must hear to have the table of leases from the beginning.
    pub fn all_leases(&self) -> Vec<LeaseChange> {
        vec![LeaseChange::Reset { leases: self.view.leases().expect("memory does not fail") }]
    }

    /// Applies an entry: what it is given is what it holds, unless something goes wrong on purpose.
    fn perform(
        &mut self,
        entry: &Entry,
        mut given: Option<Command>,
        command: Option<Command>,
        news: &mut News,
    ) {
        if self.skip_dedup
            && let Some(command) = &mut given
        {
            command.id = OpId::default();
        }
        let outcome = self.applier.apply(entry.index, entry.term, given.as_ref());
        let outcome = outcome.expect("memory does not fail");
        if let (Some(command), Some(outcome)) = (&command, &outcome)
            && outcome.result.is_ok()
        {
            LeaseChange::note(&command.action, entry.term, &mut news.leases);
        }
        let at = LogId { term: entry.term, index: entry.index };
        news.applied.push(Applied { at, command, outcome });
    }
}

impl App for Store {
    type News = News;

    fn applied(&self) -> (u64, u64) {
        self.applier.applied()
    }

    fn config(&self) -> Option<Membership> {
        let config = self.applier.config().clone();
        config.map(|config| Membership::decode(config).expect("as it was written"))
    }

    fn apply(&mut self, entry: &Entry, news: &mut News) {
        if let Some(config) = Membership::of_payload(&entry.payload) {
            let applied = self.applier.configure(entry.index, entry.term, &config.encode());
            applied.expect("memory does not fail");
            let at = LogId { term: entry.term, index: entry.index };
            return news.applied.push(Applied { at, command: None, outcome: None });
        }
        let command = self.commands.decode(&entry.payload);
        self.perform(entry, command.clone(), command, news);
    }

    fn misapply(&mut self, entry: &Entry, news: &mut News) {
        if Membership::of_payload(&entry.payload).is_some() {
            return self.apply(entry, news);
        }
        let command = self.commands.decode(&entry.payload);
        let mut given = command.clone();
        if let Some(Action::Put(put)) = given.as_mut().map(|command| &mut command.action) {
            put.value = [&put.value[..], b"?"].concat().into();
        }
        self.perform(entry, given, command, news);
    }

    fn publish(&mut self, _news: &mut News) {
        if self.view.swept() < self.view.compacted() {
            self.applier.compact_step(SWEEP).expect("memory does not fail");
        }
        let published = self.applier.publish().expect("memory does not fail");
        self.ring.push(&published.events, &published.unlisted, Event::clone);
        self.fingerprints.extend(published.fingerprints);
        self.view = published.view;
    }

    fn fingerprints(&mut self) -> Vec<(u64, u64)> {
        let taken = std::mem::take(&mut self.fingerprints).into_iter();
        taken.map(|fingerprint| (fingerprint.index, fingerprint.value)).collect()
    }

    fn is_sound(&self) -> bool {
        self.view.is_sound().expect("memory does not fail")
    }

    fn begin_sync(&mut self) {
        self.applier.engine_mut().request_sync();
    }

    fn finish_sync(&mut self) {
        self.applier.engine_mut().finish_sync();
    }

    fn synced(&self) -> u64 {
        self.applier.engine().synced()
    }

    fn crash(self, dice: &mut Dice) -> Store {
        let engine = self.applier.into_engine().crash(dice);
        Store::open(engine, self.commands, self.skip_dedup)
    }

    fn piece(&mut self, to: NodeId, after: &Bytes, bytes: usize) -> Piece {
        if after.is_empty() {
            self.pins.insert(to, self.view.clone());
        }
        let view = self.pins.entry(to).or_insert_with(|| self.view.clone());
        let from = Some(&after[..]).filter(|after| !after.is_empty());
        let chunk = view.chunk(from, bytes).expect("memory does not fail");
        let index = view.applied().0;
        Piece { index, next: chunk.cursor, data: chunk.data, done: chunk.done }
    }

    fn store(&mut self, meta: &SnapshotMeta, after: &Bytes, next: &Bytes, data: &Bytes) -> Stored {
        if after.is_empty() {
            let engine = MemEngine::with_manual_sync();
            let installer = Installer::new(engine).expect("an empty engine");
            self.incoming = Some(Incoming { meta: meta.clone(), installer });
        }
        let Some(state) = self.incoming.as_mut().filter(|state| state.meta == *meta) else {
            return Stored::Stray;
        };
        if !state.installer.push(data).expect("pieces come whole and in order") {
            return Stored::UpTo(next.clone());
        }
        let Incoming { meta, installer } = self.incoming.take().expect("looked at above");
        let applier = installer.finish(OPTIONS).expect("a whole state");
        let mut engine = applier.into_engine();
        engine.request_sync();
        engine.finish_sync();
        self.ready = Some((meta, engine));
        Stored::Whole
    }

    fn switch(&mut self, news: &mut News) -> LogId {
        let (meta, engine) = self.ready.take().expect("a whole state");
        *self = Store::open(engine, self.commands.clone(), self.skip_dedup);
        let (index, term) = self.applied();
        assert_eq!(meta.last, LogId { index, term }, "the state is what it says it is");
        news.leases = self.all_leases();
        meta.last
    }

    fn hash(&self) -> u64 {
        let state = self.view.hash().expect("memory does not fail");
        let numbers = [i64::from(state), self.view.revision(), self.view.compacted()];
        numbers.iter().fold(7, |sum, number| hash(sum, &number.to_be_bytes()))
    }
}
