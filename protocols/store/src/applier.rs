//! Takes committed entries in order and turns them into state.
//!
//! Every member applies the same entries and must come to the same state and the same answers, so
//! nothing here depends on which member took a request, on how entries were batched, on the time,
//! or on how far the sweep behind a compaction got. The applied index is published in the same
//! engine batch as what it describes (trap: etcd#13766), so after a crash the log is applied again
//! from exactly where the state stands.
//!
//! The changes themselves are in `change.rs`, leases in `lease.rs`, compaction in `compact.rs`.

use crate::counter::Counter;
use crate::engine::{Engine, EngineError};
use crate::fingerprint::{self, Fingerprint};
use crate::guard::Guards;
use crate::history;
use crate::layout::{self, CONFIG, MEMBER, META, Meta};
use crate::lease::Leases;
use crate::reader::{ReadError, Reader};
use crate::recent::Recent;
use crate::session::Sessions;
use crate::txn::{self, Path};
use crate::view::View;
use crate::{
    Action, Alarm, AlarmKind, Answer, Auth, Command, Event, Fence, MemberAction, Members,
    StoreError, TokenChange, Txn, TxnOp, Unlisted, touch,
};
use bytes::Bytes;
use quorate_base::mutant;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How an applier works; nothing here changes what it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes that the events of one revision may take to be listed in [`Published::events`]; `None` for a
    /// state that nobody watches.
    pub events: Option<usize>,
}

impl Default for Options {
    fn default() -> Options {
        Options { events: Some(usize::MAX) }
    }
}

/// What one command did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The store's revision after it: the one for the answer's header.
    pub revision: i64,
    /// The answer, or why the state refused; then nothing was changed.
    pub result: Result<Answer, StoreError>,
}

/// What a batch came to.
#[derive(Clone, Debug)]
pub struct Published<V> {
    /// The state after the batch, for readers.
    pub view: View<V>,
    /// Every change of the batch in order, whole revisions only.
    pub events: Vec<Event>,
    /// The revisions whose changes are not among them, ascending: they take more than
    /// [`Options::events`].
    pub unlisted: Vec<Unlisted>,
    /// What the batch did to tokens, in order.
    pub tokens: Vec<TokenChange>,
    /// The fingerprints of all indices of the batch, ascending.
    pub fingerprints: Vec<Fingerprint>,
}

/// The replicated state, from the side that writes it.
///
/// After an [`EngineError`] it must not be used any more: the member stops and recovers from its
/// engine and its log.
#[derive(Debug)]
pub struct Applier<E: Engine> {
    pub(crate) engine: E,
    pub(crate) meta: Meta,
    pub(crate) counter: Counter,
    pub(crate) leases: Leases,
    pub(crate) recent: Recent,
    pub(crate) options: Options,
    /// Keys and values are built here, so that a write allocates nothing of its own.
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) guards: Guards,
    sessions: Sessions,
    alarms: Arc<BTreeSet<Alarm>>,
    members: Arc<Members>,
    config: Option<Bytes>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) tokens: Vec<TokenChange>,
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// The index of the newest of them, also of those given out.
    pub(crate) fingerprinted: u64,
}

/// The changes of one command: they share a revision and are numbered in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Revision {
    pub main: i64,
    pub next_sub: u32,
}

impl<E: Engine> Applier<E> {
    /// Opens the state that lies in an engine; an empty engine is a store nobody wrote to.
    ///
    /// # Errors
    /// When the engine fails, or holds something that this layout version cannot have written.
    pub fn open(engine: E, options: Options) -> Result<Applier<E>, EngineError> {
        let mut meta = match engine.get(&[META])? {
            Some(record) => Meta::read(&record)?,
            None => match engine.range(&[], None).next() {
                None => Meta::new(),
                Some(_) => return Err(EngineError("there is data but no meta record".into())),
            },
        };
        if mutant!(STORE_314_REVISION_FROM_KEYS) {
            meta.revision = 1;
            for version in history::newest(&engine, &[], None) {
                meta.revision = meta.revision.max(version?.header.begun.revision);
            }
        }
        let (rolling, counter) = fingerprint::open(&engine, &meta)?;
        meta.rolling = rolling;
        let leases = Leases::open(&engine)?;
        let guards = Guards::open(&engine)?;
        let sessions = Sessions::open(&engine)?;
        let alarms = Arc::new(crate::alarm::load(&engine)?);
        let members = Arc::new(Members::load(&engine)?);
        let config = engine.get(&[CONFIG])?;
        let auth = Arc::new(Auth::load(&engine)?);
        Ok(Applier {
            engine,
            meta,
            counter,
            leases,
            recent: Recent::default(),
            options,
            key: Vec::new(),
            value: Vec::new(),
            guards,
            sessions,
            alarms,
            members,
            config,
            auth,
            tokens: Vec::new(),
            fingerprints: Vec::new(),
            fingerprinted: meta.applied_index.saturating_sub(1),
        })
    }

    /// The index and term of the last entry applied; (0, 0) when there is none.
    pub fn applied(&self) -> (u64, u64) {
        (self.meta.applied_index, self.meta.applied_term)
    }

    /// The newest revision.
    pub fn revision(&self) -> i64 {
        self.meta.revision
    }

    /// The engine, to ask what it has synced.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The engine, to ask it for a sync. Writing to it would bypass the log.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// Gives the engine back; what was not published is in it but described by nothing.
    pub fn into_engine(self) -> E {
        self.engine
    }

    /// Applies the entry after the last one. `None` for an entry without a command (a new leader's
    /// first) and for a copy of an operation that was applied before: there is nothing to answer.
    ///
    /// # Panics
    /// When the index is not the next one, or the term goes back: the log is broken, and going on
    /// would make it a broken state.
    pub fn apply(
        &mut self,
        index: u64,
        term: u64,
        command: Option<&Command>,
    ) -> Result<Option<Outcome>, EngineError> {
        self.advance_to(index, term);
        let Some(command) = command else { return Ok(None) };
        if !self.sessions.admit(command.id, index) {
            return Ok(None);
        }
        let result = match self.perform(term, command) {
            Ok(answer) => Ok(answer),
            Err(ReadError::Store(error)) => Err(error),
            Err(ReadError::Engine(error)) => return Err(error),
        };
        Ok(Some(Outcome { revision: self.meta.revision, result }))
    }

    /// Applies an entry in which consensus keeps its configuration: the state remembers it, so that
    /// whoever takes the state as a whole knows who takes part.
    ///
    /// # Panics
    /// As [`Applier::apply`].
    pub fn configure(&mut self, index: u64, term: u64, config: &[u8]) -> Result<(), EngineError> {
        self.advance_to(index, term);
        self.set(&[CONFIG], Some(config))?;
        self.config = Some(Bytes::copy_from_slice(config));
        Ok(())
    }

    /// Forgets who belonged to the cluster: for a state that begins a new one (etcd#20967: members of
    /// the old cluster must not come back with its data).
    pub fn forget_members(&mut self) -> Result<(), EngineError> {
        let mut keys = Vec::new();
        for pair in self.engine.range(&[MEMBER], Some(&[CONFIG + 1])) {
            keys.push(pair?.0);
        }
        for key in &keys {
            self.set(key, None)?;
        }
        (self.members, self.config) = (Arc::default(), None);
        Ok(())
    }

    fn advance_to(&mut self, index: u64, term: u64) {
        self.take_fingerprint();
        let (last_index, last_term) = self.applied();
        assert_eq!(index, last_index + 1, "entries are applied in order, without gaps");
        assert!(term >= last_term, "term {term} after {last_term} at index {index}");
        self.meta.applied_index = index;
        self.meta.applied_term = term;
    }

    /// Who belongs to the cluster.
    pub fn members(&self) -> &Arc<Members> {
        &self.members
    }

    /// See [`View::config`].
    pub fn config(&self) -> &Option<Bytes> {
        &self.config
    }

    fn member(&mut self, action: &MemberAction) -> Result<Answer, ReadError> {
        let rows = Arc::make_mut(&mut self.members).change(action)?;
        for (key, value) in &rows {
            self.set(key, Some(value))?;
        }
        Ok(Answer::Members(self.members.present().cloned().collect()))
    }

    /// Ends a batch: writes where the state stands, publishes it all as one step, and returns it
    /// for readers. Called on a fresh applier it gives the first view.
    pub fn publish(&mut self) -> Result<Published<E::View>, EngineError> {
        self.counter.store(&mut self.engine);
        self.sessions.store(&mut self.engine);
        self.take_fingerprint();
        self.store_total();
        self.value.clear();
        self.meta.write(&mut self.value);
        let mut mark = self.meta.applied_index;
        let before = self.engine.get(&[META])?.filter(|_| mutant!(STORE_301_APPLIED_INDEX_APART));
        match &before {
            Some(record) => mark = Meta::read(record)?.applied_index,
            None => self.engine.put(&[META], &self.value),
        }
        let engine = self.engine.publish(mark)?;
        if before.is_some() {
            self.engine.put(&[META], &self.value);
        }
        let view = self.view_of(engine);
        let (events, unlisted) = self.recent.take();
        let tokens = std::mem::take(&mut self.tokens);
        let fingerprints = std::mem::take(&mut self.fingerprints);
        Ok(Published { view, events, unlisted, tokens, fingerprints })
    }

    /// The view of the last publish once more, if the engine can hold it in less memory by now. To be
    /// called when there is nothing to apply, never between an application and its publish.
    pub fn refresh(&mut self) -> Option<View<E::View>> {
        let engine = self.engine.refresh()?;
        Some(self.view_of(engine))
    }

    fn view_of(&self, engine: E::View) -> View<E::View> {
        let counts = self.counter.index().clone();
        let (members, config) = (self.members.clone(), self.config.clone());
        let (alarms, auth) = (self.alarms.clone(), self.auth.clone());
        let guards = self.guards.table().clone();
        View::new(engine, self.meta, counts, alarms, members, config, auth, guards)
    }

    pub(crate) fn reader(&self, revision: i64) -> Reader<'_, E> {
        Reader {
            engine: &self.engine,
            counts: self.counter.index(),
            revision,
            compacted: self.meta.compacted,
        }
    }

    fn perform(&mut self, term: u64, command: &Command) -> Result<Answer, ReadError> {
        let Command { caller, action, .. } = command;
        self.check_alarms(action)?;
        let engine = &self.engine;
        self.auth.judge(caller, action, |lease| crate::lease::load_keys(engine, lease))?;
        self.check_guards(&caller.fences, action)?;
        match action {
            Action::Put(put) => {
                let old = self.current(&put.key)?;
                self.check_put(put, old.is_some())?;
                let mut revision = self.next_revision();
                let prev = self.put(&mut revision, put, old)?;
                self.advance(revision);
                Ok(Answer::Put { prev: prev.filter(|_| put.prev_kv) })
            }
            Action::Delete(delete) => {
                let mut revision = self.next_revision();
                let answer = self.delete(&mut revision, delete)?;
                self.advance(revision);
                Ok(answer)
            }
            Action::Txn(txn) => self.txn(&caller.fences, txn),
            Action::Compact { revision } => self.compact(*revision),
            Action::LeaseGrant { id, ttl } => self.grant(*id, *ttl),
            Action::LeaseRevoke { id, term: named } => {
                // A deposed leader's expiry has no effect: the entry carries the term of the
                // leader that put it into the log, the command the one that decided.
                let counts = named.is_none_or(|named| named == term);
                if counts || mutant!(LEASE_309_DEPOSED_LEADER_REVOKES) {
                    self.revoke(*id)?;
                }
                Ok(Answer::LeaseRevoke)
            }
            Action::LeaseCheckpoint { term: named, remaining } => {
                if *named == term {
                    self.checkpoint(remaining)?;
                }
                Ok(Answer::LeaseCheckpoint)
            }
            Action::Alarm { raise, member, kind } => {
                Ok(self.alarm(*raise, Alarm { member: *member, kind: *kind })?)
            }
            Action::Member(action) => self.member(action),
            Action::Auth(change) => self.change_auth(caller, change),
            Action::AuditCheckpoint { .. } => Ok(Answer::AuditCheckpoint),
            Action::Guard(change) => self.change_guard(change),
            Action::Downgrade(change) => self.change_downgrade(change.as_ref()),
        }
    }

    pub(crate) fn next_revision(&self) -> Revision {
        Revision { main: self.meta.revision + 1, next_sub: 0 }
    }

    /// The revision counts only if something changed in it (contract item 18).
    pub(crate) fn advance(&mut self, revision: Revision) {
        if revision.next_sub > 0 {
            self.meta.revision = revision.main;
        }
    }

    fn txn(&mut self, fences: &[Fence], txn: &Txn) -> Result<Answer, ReadError> {
        let reader = self.reader(self.meta.revision);
        let mut path = Path::default();
        txn::decide(&reader, txn, &mut path)?;
        self.check_guarded_path(fences, txn, &path)?;
        txn::check(&reader, txn, &mut path.clone(), &|put| {
            let there = (put.ignore_value || put.ignore_lease) && self.current(&put.key)?.is_some();
            Ok(self.check_put(put, there)?)
        })?;
        let mut revision = self.next_revision();
        let answer = self.run_branch(&mut revision, txn, &mut path)?;
        self.advance(revision);
        Ok(answer)
    }

    fn run_branch(
        &mut self,
        revision: &mut Revision,
        txn: &Txn,
        path: &mut Path,
    ) -> Result<Answer, ReadError> {
        let succeeded = path.next();
        let ops = txn::branch(txn, succeeded);
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            answers.push(match op {
                TxnOp::Range(range) => {
                    // Its own writes are visible at once, as the revision they will have.
                    let visible = self.meta.revision + i64::from(revision.next_sub > 0);
                    Answer::Range(self.reader(visible).range(range)?)
                }
                TxnOp::Put(put) => {
                    let old = self.current(&put.key)?;
                    let prev = self.put(revision, put, old)?;
                    Answer::Put { prev: prev.filter(|_| put.prev_kv) }
                }
                TxnOp::Delete(delete) => self.delete(revision, delete)?,
                TxnOp::Txn(nested) => self.run_branch(revision, nested, path)?,
            });
        }
        Ok(Answer::Txn { succeeded, answers })
    }

    /// Under NOSPACE nothing that takes space goes through; under CORRUPT nothing that touches keys
    /// or leases (contract items 36 and 37). As in etcd, this is looked at before any right.
    fn check_alarms(&self, action: &Action) -> Result<(), StoreError> {
        if self.alarms.is_empty() {
            return Ok(());
        }
        let (corrupt, takes_space) = match action {
            // Who has to repair a cluster must be able to log in.
            Action::Alarm { .. }
            | Action::Member(_)
            | Action::Auth(_)
            | Action::Downgrade(_)
            | Action::AuditCheckpoint { .. } => (false, false),
            Action::LeaseGrant { .. } => (true, true),
            Action::Put(_) | Action::Txn(_) => (true, touch::puts(action)),
            Action::Delete(_)
            | Action::Compact { .. }
            | Action::LeaseRevoke { .. }
            | Action::LeaseCheckpoint { .. }
            | Action::Guard(_) => (true, false),
        };
        let raised = |kind: AlarmKind| self.alarms.iter().any(|alarm| alarm.kind == kind);
        if corrupt && raised(AlarmKind::Corrupt) {
            return Err(StoreError::Corrupt);
        }
        if takes_space && raised(AlarmKind::NoSpace) {
            return Err(StoreError::NoSpace);
        }
        Ok(())
    }

    fn alarm(&mut self, raise: bool, alarm: Alarm) -> Result<Answer, EngineError> {
        self.set(&crate::alarm::key(alarm), Some(&[][..]).filter(|_| raise))?;
        let alarms = Arc::make_mut(&mut self.alarms);
        let known = if raise {
            alarms.insert(alarm);
            true
        } else {
            alarms.remove(&alarm)
        };
        Ok(Answer::Alarm { alarms: if known { vec![alarm] } else { Vec::new() } })
    }

    pub(crate) fn current(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, EngineError> {
        // A short key is looked up from the stack.
        let mut short = [0; 64];
        if key.len() < short.len() {
            short[0] = layout::CURRENT;
            short[1..=key.len()].copy_from_slice(key);
            return self.engine.get(&short[..=key.len()]);
        }
        self.engine.get(&layout::plain(layout::CURRENT, key))
    }
}
