//! A state made from the changes that another store recorded: how data of etcd's comes in.
//!
//! What etcd keeps is a list of changes, in order: each put with the pair as it was then, each
//! delete with its key. Played back here they come to the same keys, the same revisions and the
//! same history down to the last compaction, so that a client that reads at an older revision, or
//! a watcher that resumes, finds what it would have found there.
//!
//! Nothing is believed that does not fit. Above the compacted revision the pairs must follow from
//! each other (versions count up by one, a creation begins at version 1): a file that says otherwise
//! was damaged, and a state made of it would differ from the one that its users knew. At and below
//! the compacted revision the compaction may have been under way, so there only what remains counts.

use crate::applier::{Applier, Options, Revision};
use crate::engine::{Engine, EngineError};
use crate::layout::{self, CURRENT, Header, Kind, Stamp};
use crate::reader::ReadError;
use crate::weight;
use crate::{Auth, AuthImport, KeyValue, Lease, MAX_KEY_BYTES};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// Why a change cannot have come from a store with etcd's semantics. The engine being filled is
/// worth nothing any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImportError {
    /// A change does not come after the one before it.
    #[allow(missing_docs)]
    OutOfOrder { revision: i64, sub: u32 },
    /// A change contradicts what came before it.
    #[allow(missing_docs)]
    Contradiction { revision: i64, key: Bytes, what: &'static str },
    /// Users and roles that cannot be.
    #[allow(missing_docs)]
    Auth { name: Bytes, what: &'static str },
    /// A key that is longer than any that can be written here.
    #[allow(missing_docs)]
    KeyTooLong { revision: i64, key: Bytes },
    /// A revision that is no revision, or too large to count on from.
    #[allow(missing_docs)]
    Revision { revision: i64 },
    /// The engine failed.
    Engine(EngineError),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::OutOfOrder { revision, sub } => {
                write!(f, "the change at revision {revision}.{sub} does not follow the one before")
            }
            ImportError::Contradiction { revision, key, what } => {
                let key = String::from_utf8_lossy(key);
                write!(f, "the change of {key:?} at revision {revision} cannot be: {what}")
            }
            ImportError::Auth { name, what } => {
                write!(f, "user or role {:?}: {what}", String::from_utf8_lossy(name))
            }
            ImportError::KeyTooLong { revision, key } => {
                let (bytes, begin) = (key.len(), String::from_utf8_lossy(&key[..64]));
                write!(
                    f,
                    "the key at revision {revision} has {bytes} bytes, and keys have at most \
                     {MAX_KEY_BYTES} here (it begins with {begin:?}): delete it where it came from, \
                     compact, and save again"
                )
            }
            ImportError::Revision { revision } => {
                write!(f, "{revision} is no revision to go on from")
            }
            ImportError::Engine(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<EngineError> for ImportError {
    fn from(error: EngineError) -> ImportError {
        ImportError::Engine(error)
    }
}

impl From<ReadError> for ImportError {
    fn from(error: ReadError) -> ImportError {
        ImportError::Engine(EngineError(error.to_string()))
    }
}

/// Fills a fresh engine with changes, oldest first.
#[derive(Debug)]
pub struct Importer<E: Engine> {
    applier: Applier<E>,
    compacted: i64,
    last: Stamp,
    keys: u64,
}

impl<E: Engine> Importer<E> {
    /// Begins with an engine that holds nothing. `compacted` is the revision of the last
    /// compaction there, 0 or less when there was none.
    ///
    /// # Errors
    /// When the engine holds something, or fails.
    pub fn new(engine: E, compacted: i64) -> Result<Importer<E>, ImportError> {
        if let Some(pair) = engine.range(&[], None).next() {
            pair?;
            let text = "changes are imported into an empty engine";
            return Err(EngineError(text.into()).into());
        }
        let applier = Applier::open(engine, Options { events: None })?;
        let compacted = if compacted > 0 { compacted } else { -1 };
        Ok(Importer { applier, compacted, last: Stamp::default(), keys: 0 })
    }

    /// A lease; all of them come before the first change. One without an id is passed over.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn lease(&mut self, lease: Lease) -> Result<(), ImportError> {
        if lease.id != 0 {
            self.applier.store_lease(lease)?;
        }
        Ok(())
    }

    /// Users, roles, and whether they are in force; once.
    ///
    /// # Errors
    /// When they cannot have come from a store with these rules.
    pub fn auth(&mut self, import: AuthImport) -> Result<(), ImportError> {
        let auth = Auth::imported(import);
        let auth = auth.map_err(|(name, what)| ImportError::Auth { name, what })?;
        let applier = &mut self.applier;
        auth.records().iter().for_each(|(key, value)| applier.engine.put(key, value));
        applier.auth = Arc::new(auth);
        Ok(())
    }

    /// A put: the pair as it was after it, its revision in `mod_revision`. A pair that hangs on a
    /// lease that is gone is kept without it, as it would stay there for ever otherwise.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn put(&mut self, sub: u32, mut pair: KeyValue) -> Result<(), ImportError> {
        let at = self.step(pair.mod_revision, sub, &pair.key)?;
        let old = self.applier.current(&pair.key)?;
        let before = old.as_ref().map(|record| Header::read(record)).transpose();
        let before = before.map_err(EngineError::from)?;
        if at.revision > self.compacted {
            follows(&pair, before.as_ref())?;
        }
        if !self.applier.leases.contains(pair.lease) {
            pair.lease = 0;
        }
        let old_lease = before.as_ref().map_or(0, |header| header.lease);
        let kind = if old.is_some() { Kind::Update } else { Kind::Birth };
        self.end(at, &pair.key, kind, old.as_ref());
        let applier = &mut self.applier;
        let header = Header {
            begun: at,
            create: pair.create_revision,
            version: pair.version,
            lease: pair.lease,
        };
        layout::begin(&mut applier.key, CURRENT);
        applier.key.extend_from_slice(&pair.key);
        applier.value.clear();
        header.write(&mut applier.value);
        applier.value.extend_from_slice(&pair.value);
        applier.engine.put(&applier.key, &applier.value);
        applier.recount_current(old.as_deref(), true);
        applier.meta.live_bytes += (pair.key.len() + applier.value.len()) as u64;
        if old_lease != pair.lease {
            applier.attach(&pair.key, old_lease, pair.lease);
        }
        let weight = pair.weight();
        match &old {
            None => {
                applier.counter.birth(&applier.engine, &pair.key, weight)?;
                self.keys += 1;
            }
            Some(old) => {
                let before = weight::of_record(&pair.key, old).map_err(EngineError::from)?;
                applier.counter.update(&applier.engine, &pair.key, before, weight)?;
            }
        }
        Ok(())
    }

    /// A delete of a key.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn delete(&mut self, revision: i64, sub: u32, key: Bytes) -> Result<(), ImportError> {
        let at = self.step(revision, sub, &key)?;
        let Some(record) = self.applier.current(&key)? else {
            // A compaction takes what a delete ended and keeps the delete itself for watchers.
            if at.revision <= self.compacted {
                self.end(at, &key, Kind::Death, None);
                return Ok(());
            }
            let what = "a key is deleted that was not there";
            return Err(ImportError::Contradiction { revision, key, what });
        };
        let header = Header::read(&record).map_err(EngineError::from)?;
        self.end(at, &key, Kind::Death, Some(&record));
        let applier = &mut self.applier;
        layout::begin(&mut applier.key, CURRENT);
        applier.key.extend_from_slice(&key);
        applier.engine.delete(&applier.key);
        applier.recount_current(Some(&record), false);
        if header.lease != 0 {
            applier.attach(&key, header.lease, 0);
        }
        let weight = weight::of_record(&key, &record).map_err(EngineError::from)?;
        applier.counter.death(&key, weight);
        self.keys -= 1;
        Ok(())
    }

    /// Publishes what came in so far, so that an engine need not hold all of it in memory.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn publish(&mut self) -> Result<(), ImportError> {
        self.applier.publish()?;
        Ok(())
    }

    /// How many keys exist now.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// The state. It says that one entry, of term 1, was applied: members that are made from the
    /// same changes begin their logs there, and one that lacks it is sent the whole state.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn finish(mut self) -> Result<Applier<E>, ImportError> {
        let meta = &mut self.applier.meta;
        meta.revision = meta.revision.max(self.compacted);
        if self.compacted > 0 {
            meta.compacted = self.compacted;
            meta.sweep = Stamp { revision: self.compacted + 1, sub: 0 };
        }
        (meta.applied_index, meta.applied_term) = (1, 1);
        self.applier.publish()?;
        Ok(self.applier)
    }

    /// The stamp of the next change, which is one of this key.
    fn step(&mut self, revision: i64, sub: u32, key: &Bytes) -> Result<Stamp, ImportError> {
        let at = Stamp { revision, sub };
        if key.len() > MAX_KEY_BYTES {
            return Err(ImportError::KeyTooLong { revision, key: key.clone() });
        }
        if revision < 1 || revision == i64::MAX {
            return Err(ImportError::Revision { revision });
        }
        if at <= self.last {
            return Err(ImportError::OutOfOrder { revision, sub });
        }
        self.last = at;
        self.applier.meta.revision = self.applier.meta.revision.max(revision);
        Ok(at)
    }

    /// Ends the version `old` and records the change. Below the compacted revision nobody can ask
    /// for either; at it, a watcher may still ask for the change.
    fn end(&mut self, at: Stamp, key: &Bytes, kind: Kind, old: Option<&Bytes>) {
        let applier = &mut self.applier;
        if at.revision > self.compacted {
            if let Some(record) = old {
                applier.move_to_history(at, key, record);
            }
            applier.log(at, kind, key, old);
            return;
        }
        if let Some(record) = old {
            applier.meta.live_bytes -= (key.len() + record.len()) as u64;
        }
        if at.revision == self.compacted {
            applier.log(at, kind, key, None);
        }
    }
}

/// True to what etcd writes when a pair replaces another.
fn follows(pair: &KeyValue, before: Option<&Header>) -> Result<(), ImportError> {
    let what = match before {
        None if pair.create_revision != pair.mod_revision => {
            "it changes a key that was not there, and does not create it"
        }
        None if pair.version != 1 => "a new key does not begin at version 1",
        Some(old) if pair.create_revision != old.create => {
            "it names another creation than the version before it"
        }
        Some(old) if pair.version != old.version + 1 => {
            "its version does not follow the version before it"
        }
        None | Some(_) => return Ok(()),
    };
    let (revision, key) = (pair.mod_revision, pair.key.clone());
    Err(ImportError::Contradiction { revision, key, what })
}

impl<E: Engine> Applier<E> {
    /// Moves the revision up by `by` and forgets everything before: what a restored state does so
    /// that whoever remembers a revision of the lost future notices. A watch that resumes there is
    /// told that it was compacted, and a cache that compares revisions sees them only grow.
    ///
    /// # Errors
    /// When the sum is no revision, or the engine fails.
    pub fn skip_revisions(&mut self, by: i64) -> Result<(), ImportError> {
        let sum = self.meta.revision.checked_add(by).filter(|sum| by >= 0 && *sum < i64::MAX / 2);
        let revision = sum.ok_or(ImportError::Revision { revision: by })?;
        if by > 0 {
            self.advance(Revision { main: revision, next_sub: 1 });
            self.compact(revision)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::touch::Right;
    use crate::{Allows, Caller, Grant, KeyRange, MemEngine, Range, User, UserImport};

    fn pair(key: &str, value: &str, create: i64, at: i64, version: i64) -> KeyValue {
        KeyValue {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
            create_revision: create,
            mod_revision: at,
            version,
            lease: 0,
        }
    }

    fn all(at: i64) -> Range {
        let range =
            crate::KeyRange { key: Bytes::from_static(b"\0"), end: Bytes::from_static(b"\0") };
        Range { range, revision: at, ..Range::default() }
    }

    #[test]
    fn a_history_is_read_at_every_revision_that_it_kept() {
        let mut importer = Importer::new(MemEngine::default(), 3).expect("empty");
        importer.put(0, pair("b", "old", 2, 3, 2)).expect("fine");
        importer.put(0, pair("a", "1", 4, 4, 1)).expect("fine");
        importer.put(0, pair("b", "new", 2, 5, 3)).expect("fine");
        importer.delete(6, 0, Bytes::from_static(b"a")).expect("fine");
        assert_eq!(importer.keys(), 1);
        let mut applier = importer.finish().expect("fine");
        let view = applier.publish().expect("fine").view;
        assert_eq!((view.revision(), view.compacted(), view.keys()), (6, 3, 1));
        let at = |revision| view.range(&all(revision)).map(|answer| answer.kvs);
        assert_eq!(at(3), Ok(vec![pair("b", "old", 2, 3, 2)]));
        assert_eq!(at(4), Ok(vec![pair("a", "1", 4, 4, 1), pair("b", "old", 2, 3, 2)]));
        assert_eq!(at(5), Ok(vec![pair("a", "1", 4, 4, 1), pair("b", "new", 2, 5, 3)]));
        assert_eq!(at(6), Ok(vec![pair("b", "new", 2, 5, 3)]));
        assert!(at(2).is_err(), "compacted");
    }

    #[test]
    fn a_key_that_could_not_be_written_here_is_named() {
        let mut importer = Importer::new(MemEngine::default(), 0).expect("empty");
        let longest = "k".repeat(MAX_KEY_BYTES);
        importer.put(0, pair(&longest, "", 1, 1, 1)).expect("it is not too long");
        let longer = "\0".repeat(MAX_KEY_BYTES + 1);
        let refused = importer.put(0, pair(&longer, "", 2, 2, 1)).expect_err("too long");
        let told = refused.to_string();
        assert!(
            told.contains("at revision 2 has 32001 bytes") && told.contains("compact"),
            "{told}"
        );
        let refused = importer.delete(3, 0, longer.into()).expect_err("too long");
        assert!(matches!(refused, ImportError::KeyTooLong { revision: 3, .. }));
    }

    fn user(name: &'static str, roles: &[&'static str]) -> UserImport {
        let roles = roles.iter().map(|role| Bytes::from_static(role.as_bytes())).collect();
        UserImport { name: name.into(), password: Some("hash".into()), roles }
    }

    #[test]
    fn users_and_roles_come_as_they_were() {
        let mut importer = Importer::new(MemEngine::default(), 0).expect("empty");
        let range =
            |key: &'static str, end: &'static str| KeyRange { key: key.into(), end: end.into() };
        let grant = |range, allows| Grant { range, allows };
        let role = vec![
            grant(range("a", "c"), Allows::Read),
            grant(range("a", "c"), Allows::Write),
            grant(range("z", "b"), Allows::Read),
        ];
        let users = vec![user("root", &["root"]), user("u", &["gone", "r"])];
        let roles = vec![("r".into(), role)];
        let import = AuthImport { enabled: true, revision: 9, users, roles };
        importer.auth(import).expect("fine");
        let view = importer.finish().expect("fine").publish().expect("fine").view;
        let auth = view.auth();
        assert!(auth.enabled());
        assert_eq!(auth.revision(), 9);
        let caller =
            Caller { user: User::Named("u".into()), auth_revision: 9, ..Caller::default() };
        for right in [Right::Read, Right::Write] {
            let asked = range("a", "c");
            auth.check_range(&caller, (&asked).into(), right).expect("both grants are in force");
        }
        // What is loaded is what was written.
        assert_eq!(Auth::load(view.engine()).expect("readable"), **auth);
    }

    #[test]
    fn users_and_roles_that_cannot_be_are_refused() {
        let refused = |import: AuthImport| {
            let mut importer = Importer::new(MemEngine::default(), 0).expect("empty");
            importer.auth(import).expect_err("refused").to_string()
        };
        let enabled = |users| AuthImport { enabled: true, users, ..AuthImport::default() };
        for users in [vec![], vec![user("root", &["r"])], vec![user("u", &["root"])]] {
            let said = refused(enabled(users));
            assert!(said.contains("nobody could administer"), "{said}");
        }
        let users = vec![user("u", &[]), user("u", &[])];
        let said = refused(AuthImport { users, ..AuthImport::default() });
        assert!(said.contains("there twice"), "{said}");
        let roles = vec![(Bytes::new(), Vec::new())];
        let said = refused(AuthImport { roles, ..AuthImport::default() });
        assert!(said.contains("no name"), "{said}");
    }

    #[test]
    fn contradictions_are_refused_above_the_compaction_only() {
        let mut importer = Importer::new(MemEngine::default(), 5).expect("empty");
        importer.put(0, pair("k", "v", 2, 5, 9)).expect("what is left of a compacted history");
        let error = importer.put(0, pair("k", "v", 2, 6, 9)).expect_err("version 9 again");
        assert!(error.to_string().contains("version does not follow"), "{error}");
        let error = importer.put(0, pair("n", "v", 6, 7, 1)).expect_err("created at 6");
        assert!(error.to_string().contains("does not create it"), "{error}");
        let error = importer.delete(8, 0, Bytes::from_static(b"x")).expect_err("no such key");
        assert!(error.to_string().contains("was not there"), "{error}");
        let error = importer.put(0, pair("k", "v", 2, 7, 10)).expect_err("8 came before");
        assert_eq!(error, ImportError::OutOfOrder { revision: 7, sub: 0 });
    }

    #[test]
    fn skipped_revisions_are_compacted_ones() {
        let mut importer = Importer::new(MemEngine::default(), 0).expect("empty");
        importer.put(0, pair("k", "v", 2, 2, 1)).expect("fine");
        let mut applier = importer.finish().expect("fine");
        applier.skip_revisions(1_000).expect("fine");
        while !applier.compact_step(10).expect("fine") {}
        let view = applier.publish().expect("fine").view;
        assert_eq!((view.revision(), view.compacted()), (1_002, 1_002));
        assert!(view.range(&all(2)).is_err(), "compacted");
        assert_eq!(view.range(&all(0)).expect("fine").kvs, vec![pair("k", "v", 2, 2, 1)]);
        assert!(applier.skip_revisions(i64::MAX).is_err());
        assert!(applier.skip_revisions(-1).is_err());
    }
}
