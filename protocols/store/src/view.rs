//! The state as readers see it: one published moment, shared and never changing.
//!
//! A view is a reference count and an engine snapshot. Any thread may read it while the applier
//! goes on. Every answer of one view is of the same revision.

use crate::count::CountIndex;
use crate::engine::{EngineError, EngineRead};
use crate::hash::Checksum;
use crate::layout::{self, CURRENT, HISTORY, Header, Meta};
use crate::lease::{self, Lease};
use crate::reader::{self, Measure, ReadError, Reader, UpTo};
use crate::weight::Sum;
use crate::{
    Alarm, Answer, Auth, GuardTable, KeyRange, Members, Range, RangeAnswer, StoreError, Txn, txn,
    validate,
};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A published state.
#[derive(Debug)]
pub struct View<V> {
    inner: Arc<Inner<V>>,
}

impl<V> Clone for View<V> {
    fn clone(&self) -> View<V> {
        View { inner: self.inner.clone() }
    }
}

#[derive(Debug)]
struct Inner<V> {
    engine: V,
    meta: Meta,
    counts: CountIndex,
    alarms: Arc<BTreeSet<Alarm>>,
    members: Arc<Members>,
    config: Option<Bytes>,
    auth: Arc<Auth>,
    guards: Arc<GuardTable>,
}

/// How much the state holds, in bytes of keys, values and their headers; what the engine makes of
/// it on disk is the engine's to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// All versions and the log of changes, whatever compaction has not removed yet included.
    pub total: u64,
    /// The newest versions alone: what a compaction at the newest revision would leave.
    pub live: u64,
}

/// A fingerprint of the state at a revision: the same on all members whose states are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvHash {
    /// The fingerprint.
    pub hash: u32,
    /// The compacted revision that it depends on; -1 before any compaction.
    pub compact_revision: i64,
    /// The revision that it is of.
    pub hash_revision: i64,
}

impl<V: EngineRead> View<V> {
    #[expect(clippy::too_many_arguments, reason = "the parts of one moment, each named once")]
    pub(crate) fn new(
        engine: V,
        meta: Meta,
        counts: CountIndex,
        alarms: Arc<BTreeSet<Alarm>>,
        members: Arc<Members>,
        config: Option<Bytes>,
        auth: Arc<Auth>,
        guards: Arc<GuardTable>,
    ) -> View<V> {
        View {
            inner: Arc::new(Inner { engine, meta, counts, alarms, members, config, auth, guards }),
        }
    }

    /// Who belongs to the cluster.
    pub fn members(&self) -> &Arc<Members> {
        &self.inner.members
    }

    /// The newest configuration of consensus that was applied, as it wrote it; `None` when the one
    /// that the group began with still holds.
    pub fn config(&self) -> &Option<Bytes> {
        &self.inner.config
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.inner.meta
    }

    pub(crate) fn engine(&self) -> &V {
        &self.inner.engine
    }

    pub(crate) fn reader(&self) -> Reader<'_, V> {
        let Inner { engine, meta, counts, .. } = &*self.inner;
        Reader { engine, counts, revision: meta.revision, compacted: meta.compacted }
    }

    /// The newest revision; 1 in a store that nobody wrote to.
    pub fn revision(&self) -> i64 {
        self.inner.meta.revision
    }

    /// The revision of the last compaction, itself still readable; -1 before any.
    pub fn compacted(&self) -> i64 {
        self.inner.meta.compacted
    }

    /// The compaction up to which everything that can be forgotten is gone from the engine; a
    /// physical compaction waits for it (contract item 32). -1 before any.
    pub fn swept(&self) -> i64 {
        self.inner.meta.swept()
    }

    /// The index and term of the last entry in it.
    pub fn applied(&self) -> (u64, u64) {
        (self.inner.meta.applied_index, self.inner.meta.applied_term)
    }

    /// The number of keys that exist.
    pub fn keys(&self) -> u64 {
        self.inner.counts.total()
    }

    /// At least what the range holds now, without reading any of it: some hundred keys more at most,
    /// which weigh no more than a few of the heaviest.
    pub fn at_most(&self, range: &KeyRange) -> Sum {
        let (from, to) = reader::bounds(range);
        match range.is_single() {
            true => self.inner.counts.at_most(from, Some(&[from, &[0]].concat())),
            false => self.inner.counts.at_most(from, to),
        }
    }

    /// The keys that a revision changed, in the order of its changes; one that it changed twice comes twice.
    pub fn keys_changed(
        &self,
        revision: i64,
    ) -> impl Iterator<Item = Result<Bytes, EngineError>> + use<'_, V> {
        self.reader().changes(revision, revision).map(|change| Ok(change?.key))
    }

    /// At most what the range holds now, as little less as [`View::at_most`] says more.
    pub fn at_least(&self, range: &KeyRange) -> Sum {
        match range.is_single() {
            true => Sum::default(),
            false => {
                let (from, to) = reader::bounds(range);
                self.inner.counts.at_least(from, to)
            }
        }
    }

    /// What the answer to a range comes to, when that can be told without reading more of it than
    /// where it begins and ends: when it is [plain](Range::is_plain), with values, and of the newest
    /// revision.
    ///
    /// # Errors
    /// As [`View::range`].
    pub fn measure(&self, ask: &Range) -> Result<Option<Measure>, ReadError> {
        self.reader().measure(ask)
    }

    /// About how many bytes are read to count a range, at an older revision perhaps: 0 when that does
    /// not depend on the range.
    pub fn cost_of_count(&self, range: &KeyRange, revision: i64) -> u64 {
        self.reader().cost_of_count(range, revision)
    }

    /// Answers a range (contract items 1 to 11).
    ///
    /// # Errors
    /// When the revision is compacted or in the future, or the engine fails.
    pub fn range(&self, ask: &Range) -> Result<RangeAnswer, ReadError> {
        self.reader().range(ask)
    }

    /// Answers a range if its pairs have at most `max_bytes`, and are found among some times as many.
    /// To learn that they are not costs no more than to read those.
    ///
    /// # Errors
    /// As [`View::range`].
    pub fn range_up_to(&self, ask: &Range, max_bytes: u64) -> Result<UpTo, ReadError> {
        self.reader().range_up_to(ask, max_bytes)
    }

    /// Answers a transaction of which [`validate::is_read_only`] is true.
    ///
    /// # Errors
    /// As [`View::range`].
    ///
    /// # Panics
    /// When the transaction could write: it must go through the log.
    pub fn read_txn(&self, ask: &Txn) -> Result<Answer, ReadError> {
        assert!(validate::is_read_only(ask), "a transaction that writes goes through the log");
        txn::read(&self.reader(), ask)
    }

    /// All leases, by id.
    pub fn leases(&self) -> Result<Vec<Lease>, EngineError> {
        lease::load(self.engine())
    }

    /// One lease, if it exists.
    pub fn lease(&self, id: i64) -> Result<Option<Lease>, EngineError> {
        lease::load_one(self.engine(), id)
    }

    /// The keys attached to a lease, ascending; none when it does not exist.
    pub fn lease_keys(&self, id: i64) -> Result<Vec<Bytes>, EngineError> {
        lease::load_keys(self.engine(), id)
    }

    /// The alarms that are on.
    pub fn alarms(&self) -> &BTreeSet<Alarm> {
        &self.inner.alarms
    }

    /// Users and roles.
    pub fn auth(&self) -> &Arc<Auth> {
        &self.inner.auth
    }

    /// What is guarded: prefixes with the names of their locks.
    pub fn guards(&self) -> &GuardTable {
        &self.inner.guards
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        let Meta { live_bytes, past_bytes, .. } = self.inner.meta;
        Size { total: live_bytes + past_bytes, live: live_bytes }
    }

    /// A fingerprint of every version that began by `revision` (0 is the newest) and that
    /// compaction keeps.
    ///
    /// Each version is summed on its own (key, header, value, and the revision that ended it, when
    /// that lies within) and the sums are added up, so it does not matter in which space a version
    /// lies or how far a sweep got. It walks everything: a large store takes seconds.
    ///
    /// # Errors
    /// When the revision is compacted or in the future, or the engine fails.
    pub fn hash_kv(&self, revision: i64) -> Result<KvHash, ReadError> {
        let reader = self.reader();
        if revision > 0 {
            reader.check_revision(revision)?;
        }
        let at = if revision > 0 { revision } else { self.revision() };
        let mut sum = 0u64;
        for pair in self.engine().range(&[CURRENT], Some(&[CURRENT + 1])) {
            let (key, record) = pair?;
            if Header::read(&record).map_err(EngineError::from)?.begun.revision <= at {
                sum = sum.wrapping_add(version_sum(&key[1..], &record, 0));
            }
        }
        for pair in self.engine().range(&[HISTORY], Some(&[HISTORY + 1])) {
            let (key, record) = pair?;
            let (key, end) = layout::read_history_key(&key).map_err(EngineError::from)?;
            let header = Header::read(&record).map_err(EngineError::from)?;
            if end.revision > self.compacted() && header.begun.revision <= at {
                let end = if end.revision <= at { end.revision } else { 0 };
                sum = sum.wrapping_add(version_sum(&key, &record, end));
            }
        }
        Ok(KvHash {
            hash: (sum ^ (sum >> 32)) as u32,
            compact_revision: self.compacted(),
            hash_revision: at,
        })
    }

    /// A fingerprint of everything at the newest revision: keys, leases, alarms, users and
    /// roles.
    pub fn hash(&self) -> Result<u32, ReadError> {
        let mut sum = Checksum::new(3);
        sum.number(u64::from(self.hash_kv(0)?.hash));
        for lease in self.leases()? {
            sum.number(lease.id as u64);
            sum.number(lease.ttl as u64);
            sum.number(lease.remaining as u64);
            for key in self.lease_keys(lease.id)? {
                sum.bytes(&key);
            }
        }
        for alarm in self.alarms() {
            sum.bytes(&crate::alarm::key(*alarm));
        }
        for (key, record) in self.auth().records() {
            sum.bytes(&key);
            sum.bytes(&record);
        }
        for (prefix, lock) in self.guards() {
            sum.bytes(prefix);
            sum.bytes(lock);
        }
        let sum = sum.finish();
        Ok((sum ^ (sum >> 32)) as u32)
    }

    /// Refuses a revision that cannot be read here.
    pub fn check_revision(&self, revision: i64) -> Result<(), StoreError> {
        self.reader().check_revision(revision)
    }
}

fn version_sum(key: &[u8], record: &[u8], end: i64) -> u64 {
    let mut sum = Checksum::new(2);
    sum.bytes(key);
    sum.bytes(record);
    sum.number(end as u64);
    sum.finish()
}
