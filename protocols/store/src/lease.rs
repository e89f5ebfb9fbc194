//! Leases as replicated state: who has how long, and which keys hang on whom.
//!
//! When a lease expires is not decided here: that takes a clock, and only the leader's
//! [`Lessor`](crate::Lessor) has one. What is here says what a revoke does when it comes through
//! the log, the same on every member.

use crate::applier::Applier;
use crate::engine::{Engine, EngineError, EngineRead};
use crate::layout::{self, ATTACHED, LEASE, read_i64};
use crate::reader::ReadError;
use crate::{Answer, StoreError};
use bytes::{BufMut, Bytes};
use quorate_base::mutant;
use std::collections::BTreeMap;

/// A lease as the state knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lease {
    /// Its id, never 0.
    pub id: i64,
    /// Seconds to live as granted.
    pub ttl: i64,
    /// Seconds that it had left at its last checkpoint; 0 when there was none since it was granted
    /// or renewed: then it has all of `ttl`.
    pub remaining: i64,
}

/// All leases, in memory as well: every put with a lease asks whether it exists.
#[derive(Debug)]
pub(crate) struct Leases(BTreeMap<i64, Lease>);

impl Leases {
    pub fn open<R: EngineRead>(engine: &R) -> Result<Leases, EngineError> {
        let all = load(engine)?;
        Ok(Leases(all.into_iter().map(|lease| (lease.id, lease)).collect()))
    }

    pub fn contains(&self, id: i64) -> bool {
        self.0.contains_key(&id)
    }
}

/// All leases of an engine, by id.
pub(crate) fn load<R: EngineRead>(engine: &R) -> Result<Vec<Lease>, EngineError> {
    let mut leases = Vec::new();
    for pair in engine.range(&[LEASE], Some(&[LEASE + 1])) {
        let (key, value) = pair?;
        if key.len() != 9 {
            return Err(EngineError("a lease key has the wrong length".into()));
        }
        leases.push(read(read_i64(&key, 1), &value)?);
    }
    Ok(leases)
}

/// One lease of an engine.
pub(crate) fn load_one<R: EngineRead>(engine: &R, id: i64) -> Result<Option<Lease>, EngineError> {
    let value = engine.get(&layout::plain(LEASE, &id.to_be_bytes()))?;
    value.map(|value| read(id, &value)).transpose()
}

fn read(id: i64, value: &[u8]) -> Result<Lease, EngineError> {
    if value.len() != 16 {
        return Err(EngineError("a lease has the wrong length".into()));
    }
    Ok(Lease { id, ttl: read_i64(value, 0), remaining: read_i64(value, 8) })
}

/// The keys attached to a lease, ascending.
pub(crate) fn load_keys<R: EngineRead>(engine: &R, id: i64) -> Result<Vec<Bytes>, EngineError> {
    let low = layout::plain(ATTACHED, &id.to_be_bytes());
    // Ids are positive and compared as unsigned bytes, so the next id ends this one's keys.
    let high = layout::plain(ATTACHED, &(id as u64).wrapping_add(1).to_be_bytes());
    let high = if id == -1 { vec![ATTACHED + 1] } else { high };
    engine.range(&low, Some(&high)).map(|pair| pair.map(|(key, _)| key.slice(9..))).collect()
}

impl<E: Engine> Applier<E> {
    /// Moves a key from one lease to another; 0 is none.
    pub(crate) fn attach(&mut self, key: &[u8], from: i64, to: i64) {
        if from != 0 && !mutant!(STORE_305_LEASE_KEEPS_KEY) {
            self.attached_key(from, key);
            self.engine.delete(&self.key);
        }
        if to != 0 {
            self.attached_key(to, key);
            self.engine.put(&self.key, &[]);
        }
    }

    fn attached_key(&mut self, id: i64, key: &[u8]) {
        layout::begin(&mut self.key, ATTACHED);
        self.key.put_i64(id);
        self.key.extend_from_slice(key);
    }

    pub(crate) fn grant(&mut self, id: i64, ttl: i64) -> Result<Answer, ReadError> {
        if self.leases.contains(id) {
            return Err(StoreError::LeaseExists.into());
        }
        self.store_lease(Lease { id, ttl, remaining: 0 })?;
        Ok(Answer::LeaseGrant { id, ttl })
    }

    /// Ends a lease: its keys die in one revision, in order (contract item 59).
    pub(crate) fn revoke(&mut self, id: i64) -> Result<(), ReadError> {
        if self.leases.0.remove(&id).is_none() {
            return Err(StoreError::LeaseNotFound.into());
        }
        let mut revision = self.next_revision();
        for key in load_keys(&self.engine, id)? {
            let record = self.current(&key)?.ok_or_else(|| {
                EngineError(format!("lease {id} holds a key that does not exist"))
            })?;
            self.remove(&mut revision, key, record)?;
        }
        self.advance(revision);
        self.set(&layout::plain(LEASE, &id.to_be_bytes()), None)?;
        Ok(())
    }

    /// Remembers how long leases have left; ones that are gone are passed over.
    pub(crate) fn checkpoint(&mut self, remaining: &[(i64, i64)]) -> Result<(), EngineError> {
        for (id, remaining) in remaining {
            if let Some(lease) = self.leases.0.get(id) {
                self.store_lease(Lease { remaining: *remaining, ..*lease })?;
            }
        }
        Ok(())
    }

    pub(crate) fn store_lease(&mut self, lease: Lease) -> Result<(), EngineError> {
        self.leases.0.insert(lease.id, lease);
        let mut value = Vec::with_capacity(16);
        value.put_i64(lease.ttl);
        value.put_i64(lease.remaining);
        self.set(&layout::plain(LEASE, &lease.id.to_be_bytes()), Some(&value))
    }
}
