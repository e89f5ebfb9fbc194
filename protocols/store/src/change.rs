//! Puts and deletes: one read and at most three writes for a key.
//!
//! | change | writes |
//! |---|---|
//! | birth | current, log |
//! | update | history (the old record as it was read), current, log |
//! | death | history, remove current, log |
//!
//! Leases and count buckets add their own.

use crate::applier::{Applier, Revision};
use crate::engine::{Engine, EngineError};
use crate::layout::{self, CURRENT, Change, HEADER, HISTORY, Header, Kind, LOG, Stamp};
use crate::reader::bounds;
use crate::weight;
use crate::{Answer, Delete, Event, KeyRange, KeyValue, Put, StoreError};
use bytes::Bytes;
use quorate_base::mutant;

/// Bytes that a log entry takes besides its key.
pub(crate) const LOG_ENTRY: u64 = 17;

/// Keys of a range that are gathered before they are removed: a range of any size is deleted with
/// the memory for so many.
const DELETES_AT_ONCE: usize = 512;

impl Revision {
    fn stamp(&mut self) -> Stamp {
        let stamp = Stamp { revision: self.main, sub: self.next_sub };
        self.next_sub += 1;
        stamp
    }
}

fn pair_of(key: &Bytes, header: &Header, record: &Bytes) -> KeyValue {
    KeyValue {
        key: key.clone(),
        value: record.slice(HEADER..),
        create_revision: header.create,
        mod_revision: header.begun.revision,
        version: header.version,
        lease: header.lease,
    }
}

impl<E: Engine> Applier<E> {
    /// What must hold before a put changes anything (contract items 14 and 15), in
    /// the order that etcd looks in.
    pub(crate) fn check_put(&self, put: &Put, there: bool) -> Result<(), StoreError> {
        if put.lease != 0 && !self.leases.contains(put.lease) {
            return Err(StoreError::LeaseNotFound);
        }
        if (put.ignore_value || put.ignore_lease) && !there {
            return Err(StoreError::KeyNotFound);
        }
        Ok(())
    }

    /// Sets a key whose current record is `old`; returns the pair before.
    pub(crate) fn put(
        &mut self,
        revision: &mut Revision,
        put: &Put,
        old: Option<Bytes>,
    ) -> Result<Option<KeyValue>, EngineError> {
        let at = revision.stamp();
        let prev = match &old {
            Some(record) => {
                let header = Header::read(record)?;
                self.move_to_history(at, &put.key, record);
                Some(pair_of(&put.key, &header, record))
            }
            None => None,
        };
        // What is ignored stays; a transaction may have removed the key after it was checked.
        let kept = prev.as_ref();
        let value = match put.ignore_value {
            true => kept.map_or_else(Bytes::new, |kv| kv.value.clone()),
            false => put.value.clone(),
        };
        let old_lease = kept.map_or(0, |kv| kv.lease);
        let lease = if put.ignore_lease { old_lease } else { put.lease };
        let header = Header {
            begun: at,
            create: kept.map_or(at.revision, |kv| kv.create_revision),
            version: kept.map_or(1, |kv| kv.version + 1),
            lease,
        };
        layout::begin(&mut self.key, CURRENT);
        self.key.extend_from_slice(&put.key);
        self.value.clear();
        header.write(&mut self.value);
        self.value.extend_from_slice(&value);
        self.engine.put(&self.key, &self.value);
        self.recount_current(old.as_deref(), true);
        self.meta.live_bytes += (put.key.len() + self.value.len()) as u64;
        let weight = weight::of_record(&put.key, &self.value)?;

        let kind = if old.is_some() { Kind::Update } else { Kind::Birth };
        self.log(at, kind, &put.key, old.as_ref());
        if old_lease != lease {
            self.attach(&put.key, old_lease, lease);
        }
        match &old {
            None => {
                self.counter.birth(&self.engine, &put.key, weight)?;
                self.guards.born(&put.key, header.create);
            }
            Some(old) => {
                let before = weight::of_record(&put.key, old)?;
                self.counter.update(&self.engine, &put.key, before, weight)?;
            }
        }
        if let Some(limit) = self.options.events {
            let event = || {
                let kv = KeyValue {
                    key: put.key.clone(),
                    value: value.clone(),
                    create_revision: header.create,
                    mod_revision: at.revision,
                    version: header.version,
                    lease,
                };
                Event { delete: false, kv, prev: prev.clone() }
            };
            if at.sub == 1 && mutant!(STORE_316_EVENT_TWICE) {
                self.recent.add(at.revision, &put.key, limit, event);
            }
            self.recent.add(at.revision, &put.key, limit, event);
        }
        Ok(prev)
    }

    /// Removes a range of keys, in order.
    pub(crate) fn delete(
        &mut self,
        revision: &mut Revision,
        delete: &Delete,
    ) -> Result<Answer, EngineError> {
        let (mut prev, mut deleted) = (Vec::new(), 0);
        let mut rest = delete.range.clone();
        loop {
            let doomed = self.doomed(&rest)?;
            let last = doomed.last().map(|(key, _)| key.clone());
            let full = doomed.len() == DELETES_AT_ONCE;
            deleted += doomed.len() as i64;
            for (key, record) in doomed {
                let pair = self.remove(revision, key, record)?;
                if delete.prev_kv {
                    prev.push(pair);
                }
            }
            match last {
                Some(last) if full && !rest.is_single() => {
                    rest.key = [&last[..], &[0]].concat().into();
                }
                Some(_) | None => return Ok(Answer::Delete { deleted, prev }),
            }
        }
    }

    /// The first keys of a range with their records.
    fn doomed(&self, range: &KeyRange) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
        if range.is_single() {
            let found = self.current(&range.key)?;
            return Ok(found.map(|record| (range.key.clone(), record)).into_iter().collect());
        }
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let (from, to) = bounds(range);
        let low = layout::plain(CURRENT, from);
        let high = to.map_or_else(|| vec![CURRENT + 1], |to| layout::plain(CURRENT, to));
        let pairs = self.engine.range(&low, Some(&high)).take(DELETES_AT_ONCE);
        pairs.map(|pair| pair.map(|(key, record)| (key.slice(1..), record))).collect()
    }

    /// Removes a key that exists; returns the pair that it was.
    pub(crate) fn remove(
        &mut self,
        revision: &mut Revision,
        key: Bytes,
        record: Bytes,
    ) -> Result<KeyValue, EngineError> {
        let at = revision.stamp();
        let header = Header::read(&record)?;
        let pair = pair_of(&key, &header, &record);
        self.move_to_history(at, &key, &record);
        layout::begin(&mut self.key, CURRENT);
        self.key.extend_from_slice(&key);
        self.engine.delete(&self.key);
        self.recount_current(Some(&record), false);
        self.log(at, Kind::Death, &key, Some(&record));
        if header.lease != 0 {
            self.attach(&key, header.lease, 0);
        }
        self.counter.death(&key, weight::of_record(&key, &record)?);
        self.guards.died(&key, header.create);
        if let Some(limit) = self.options.events {
            self.recent.add(at.revision, &key, limit, || {
                let kv =
                    KeyValue { key: key.clone(), mod_revision: at.revision, ..KeyValue::default() };
                Event { delete: true, kv, prev: Some(pair.clone()) }
            });
        }
        Ok(pair)
    }

    /// The current record of a key becomes a version that ended at `at`.
    pub(crate) fn move_to_history(&mut self, at: Stamp, key: &[u8], record: &Bytes) {
        layout::begin(&mut self.key, HISTORY);
        layout::escape(key, &mut self.key);
        at.write(&mut self.key);
        self.engine.put(&self.key, record);
        let size = (key.len() + record.len()) as u64;
        self.meta.live_bytes -= size;
        self.meta.past_bytes += size;
    }

    pub(crate) fn log(&mut self, at: Stamp, kind: Kind, key: &Bytes, ended: Option<&Bytes>) {
        layout::begin(&mut self.key, LOG);
        at.write(&mut self.key);
        self.value.clear();
        let ended = ended.map_or(0, |record| record.len() as u32);
        Change { at, kind, swept: false, ended, key: key.clone() }.write_value(&mut self.value);
        self.engine.put(&self.key, &self.value);
        self.meta.past_bytes += LOG_ENTRY + key.len() as u64;
    }
}
