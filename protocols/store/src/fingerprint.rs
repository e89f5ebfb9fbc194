//! A fingerprint of the state at every applied index, kept up while commands are applied, so that
//! members can be compared for the price of a few numbers.
//!
//! # What it is
//!
//! Every record of what is *now* (the newest version of each key, leases, alarms, users and roles,
//! members, guards, the configuration of consensus) is summed on its own, and the sums are added
//! up. A write takes the sum of the record that it replaces away and adds the sum of the new one, so
//! the total is a function of the state, never of the way that led to it: it does not matter when a
//! member began to keep it, whether it took the state as a snapshot, how entries were batched, or
//! how far a sweep got. With the revision and the compacted one it makes the fingerprint of an index.
//!
//! # What it finds, and what it does not
//!
//! Apply that does something else on one member (traps.md B14) shows at the very next index that
//! members compare. A record that was changed on the disk below its checksums shows in the total only
//! when it is overwritten; but since the total can be counted again from what lies there
//! ([`View::is_sound`]), a member finds that out alone, without asking anybody. Old versions are no part
//! of it: [`View::hash_kv`] covers them, by reading everything.
//!
//! # Where it lies
//!
//! In a record of its own, with the index that it is of. The place in the meta record stays empty: a
//! build that knows of no fingerprint carries what it finds there along without keeping it up. When
//! the index is not the one that the state is at, or there is no record, the total is counted anew.
//! Snapshots leave the record out, since builds before refuse keys that they do not know: whoever
//! takes a state counts what it got.
//!
//! The record also says that the [weights](crate::weight) of the [count buckets](crate::counter) behind
//! it were kept up to the same index, and in which version. A build that knows of no weights writes a
//! shorter record; then they are made anew in the same walk.
//!
//! Whoever changes how one of these records is written raises [`FINGERPRINT`]: members compare only
//! fingerprints of one version.

use crate::applier::Applier;
use crate::counter::{Counter, Weigher};
use crate::engine::{Engine, EngineError, EngineRead};
use crate::hash::Checksum;
use crate::layout::{
    ALARM, AUTH, CONFIG, CURRENT, DOWNGRADE, GUARD, LEASE, MEMBER, META, Meta, read_u32, read_u64,
};
use crate::view::View;
use crate::weight::WEIGHTS;
use bytes::BufMut;
use std::collections::{BTreeMap, VecDeque};

/// The version of everything described here.
pub const FINGERPRINT: u32 = 1;

/// Where the total lies: behind the meta record, in its space.
pub(crate) const KEY: [u8; 2] = [META, 1];

/// The spaces that count.
const COUNTED: [u8; 8] = [CURRENT, LEASE, ALARM, AUTH, MEMBER, CONFIG, GUARD, DOWNGRADE];

/// So many of the newest fingerprints are kept, and as many of every so-manieth index.
const KEPT: usize = 1_024;

/// The state after an entry, as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint {
    /// The applied index.
    pub index: u64,
    /// The same on all members, and very likely different where anything else is.
    pub value: u64,
}

/// The sum of one record.
fn sum_of(key: &[u8], value: &[u8]) -> u64 {
    let mut sum = Checksum::new(4);
    sum.bytes(key);
    sum.bytes(value);
    sum.finish()
}

/// Counts the total anew, from everything that lies in an engine: seconds for a large state. `see` is
/// shown the newest version of each key, in order.
fn count<R: EngineRead>(
    engine: &R,
    see: &mut impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
) -> Result<u64, EngineError> {
    let mut total = 0u64;
    for space in COUNTED {
        for pair in engine.range(&[space], Some(&[space + 1])) {
            let (key, value) = pair?;
            total = total.wrapping_add(sum_of(&key, &value));
            if space == CURRENT {
                see(&key[1..], &value)?;
            }
        }
    }
    Ok(total)
}

/// The total and the buckets of the state that lies in an engine, as they were kept up, or counted
/// where they were not.
pub(crate) fn open<R: EngineRead>(engine: &R, meta: &Meta) -> Result<(u64, Counter), EngineError> {
    if let Some(record) = engine.get(&KEY)?
        && record.len() == 24
        && read_u32(&record, 0) == FINGERPRINT
        && read_u64(&record, 4) == meta.applied_index
        && read_u32(&record, 20) == WEIGHTS
    {
        return Ok((read_u64(&record, 12), Counter::open(engine)?));
    }
    let mut weigher = Weigher::new(engine)?;
    let total = count(engine, &mut |key, record| weigher.see(key, record))?;
    Ok((total, weigher.finish()))
}

/// The fingerprint of a state with this meta record.
pub(crate) fn of(meta: &Meta) -> Fingerprint {
    let mut sum = Checksum::new(5);
    sum.number(meta.rolling);
    sum.number(meta.revision as u64);
    sum.number(meta.compacted as u64);
    Fingerprint { index: meta.applied_index, value: sum.finish() }
}

impl<E: Engine> Applier<E> {
    /// A record that counts is replaced: `old` is what the engine held, `new` what it holds now.
    pub(crate) fn recount(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let sum = |value: Option<&[u8]>| value.map_or(0, |value| sum_of(key, value));
        let total = self.meta.rolling;
        self.meta.rolling = total.wrapping_sub(sum(old)).wrapping_add(sum(new));
    }

    /// The record of the key that stands in the buffers was `old`; now it is what stands in the
    /// buffers, or gone.
    pub(crate) fn recount_current(&mut self, old: Option<&[u8]>, is_there: bool) {
        let (key, value) = (std::mem::take(&mut self.key), std::mem::take(&mut self.value));
        self.recount(&key, old, Some(&value[..]).filter(|_| is_there));
        (self.key, self.value) = (key, value);
    }

    /// Writes or removes a record that counts and is rarely written, and finds out itself what was
    /// there.
    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), EngineError> {
        let old = self.engine.get(key)?;
        self.recount(key, old.as_deref(), value);
        match value {
            Some(value) => self.engine.put(key, value),
            None => self.engine.delete(key),
        }
        Ok(())
    }

    /// Takes the fingerprint of the last entry, once.
    pub(crate) fn take_fingerprint(&mut self) {
        if self.fingerprinted < self.meta.applied_index {
            self.fingerprinted = self.meta.applied_index;
            self.fingerprints.push(of(&self.meta));
        }
    }

    /// Writes the total down, in the batch that it is of.
    pub(crate) fn store_total(&mut self) {
        self.value.clear();
        self.value.put_u32(FINGERPRINT);
        self.value.put_u64(self.meta.applied_index);
        self.value.put_u64(self.meta.rolling);
        self.value.put_u32(WEIGHTS);
        self.engine.put(&KEY, &self.value);
    }
}

impl<V: EngineRead> View<V> {
    /// The fingerprint of this state.
    pub fn fingerprint(&self) -> Fingerprint {
        of(self.meta())
    }

    /// True when what lies in the engine is what was written to it: counting everything gives the
    /// total that was kept up. False is certain proof that this member's state was damaged. It
    /// reads the newest version of everything: seconds for a large state.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn is_sound(&self) -> Result<bool, EngineError> {
        Ok(count(self.engine(), &mut |_, _| Ok(()))? == self.meta().rolling)
    }
}

/// A member's fingerprints: all of the newest indices, and now and then one of older ones, so that
/// members that are some way apart have indices in common.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fingerprints {
    newest: VecDeque<Fingerprint>,
    older: VecDeque<Fingerprint>,
}

impl Fingerprints {
    /// Takes more of them, ascending.
    pub fn note(&mut self, more: impl IntoIterator<Item = Fingerprint>) {
        let push = |kept: &mut VecDeque<Fingerprint>, fingerprint| {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(fingerprint);
        };
        for fingerprint in more {
            push(&mut self.newest, fingerprint);
            if fingerprint.index.is_multiple_of(KEPT as u64) {
                push(&mut self.older, fingerprint);
            }
        }
    }

    /// Forgets all: the state was replaced.
    pub fn clear(&mut self) {
        *self = Fingerprints::default();
    }

    /// All of them, by index.
    pub fn all(&self) -> BTreeMap<u64, u64> {
        let both = self.older.iter().chain(&self.newest);
        both.map(|fingerprint| (fingerprint.index, fingerprint.value)).collect()
    }
}
