//! Answers ranges and compares over any engine: a published view, or the writer's own state in the
//! middle of a transaction (which must see its own earlier writes, contract item 28).

use crate::count::CountIndex;
use crate::engine::{EngineError, EngineRead};
use crate::history::{self, AsOf, Version};
use crate::layout::{self, Change, Kind, LOG, Stamp};
use crate::weight::Sum;
use crate::{
    Compare, CompareResult, CompareTarget, KeyRange, KeyValue, Range, RangeAnswer, SortOrder,
    SortTarget, StoreError,
};
use bytes::Bytes;
use std::cmp::Ordering;
use std::fmt;

/// Why a read has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// The request cannot be answered; the state is fine.
    Store(StoreError),
    /// The engine failed; the member cannot go on.
    Engine(EngineError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Store(error) => write!(f, "{error}"),
            ReadError::Engine(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(error)
    }
}

impl From<EngineError> for ReadError {
    fn from(error: EngineError) -> ReadError {
        ReadError::Engine(error)
    }
}

/// An engine with what one needs to know to read it.
pub(crate) struct Reader<'a, R: EngineRead> {
    pub engine: &'a R,
    pub counts: &'a CountIndex,
    /// The newest revision that is visible in the engine.
    pub revision: i64,
    pub compacted: i64,
}

/// The user keys of a range: first, and end if there is one.
pub(crate) fn bounds(range: &KeyRange) -> (&[u8], Option<&[u8]>) {
    (&range.key, if range.is_unbounded() { None } else { Some(&range.end) })
}

/// A range whose size was not known before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UpTo {
    /// It was small enough: this is the answer.
    Whole(RangeAnswer),
    /// It is larger than wanted. Its first pairs have so many bytes, and the rest was not read.
    More {
        /// How many were read.
        pairs: u64,
        /// The bytes of their keys and values.
        bytes: u64,
    },
}

/// What the answer to a range comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measure {
    /// Its pairs.
    pub pairs: Sum,
    /// How many keys the range holds, those beyond the limit included.
    pub count: u64,
}

/// Read and not kept: so much more than may be kept is read before that is given up too.
const READ_IN_VAIN: u64 = 4;

/// About what an entry of the log of changes weighs against a pair.
const CHANGE_BYTES: u64 = 64;

pub(crate) fn key_value(version: &Version) -> KeyValue {
    let header = version.header;
    KeyValue {
        key: version.key.clone(),
        value: version.value(),
        create_revision: header.create,
        mod_revision: header.begun.revision,
        version: header.version,
        lease: header.lease,
    }
}

impl Range {
    /// Takes out of the pairs what was not asked for: with `keys_only` their values.
    pub fn leave_out(&self, kvs: &mut [KeyValue]) {
        if !self.keys_only {
            return;
        }
        for kv in kvs {
            kv.value = Bytes::new();
            // etcd 3.7 answers these from its index, which knows no leases, unless it needed the
            // values for sorting (contract item 7).
            if self.target != SortTarget::Value {
                kv.lease = 0;
            }
        }
    }

    /// True when the answer is the first pairs of the range as they come, so that it can be given
    /// in [pages](crate::View::page): not one key or a count alone, by key upwards, no filter.
    pub fn is_plain(&self) -> bool {
        let upwards = match self.order {
            SortOrder::None | SortOrder::Ascend => self.target == SortTarget::Key,
            SortOrder::Descend => false,
        };
        upwards && !self.count_only && !self.range.is_single() && !is_filtered(self)
    }
}

impl<'a, R: EngineRead> Reader<'a, R> {
    /// Refuses revisions that do not exist yet, or any more; the compacted one itself is readable
    /// (contract item 9).
    pub fn check_revision(&self, asked: i64) -> Result<(), StoreError> {
        if asked > self.revision {
            return Err(StoreError::FutureRevision { asked, current: self.revision });
        }
        if asked > 0 && asked < self.compacted {
            return Err(StoreError::Compacted { asked, compacted: self.compacted });
        }
        Ok(())
    }

    pub fn is_old(&self, revision: i64) -> bool {
        revision > 0 && revision < self.revision
    }

    pub fn one(&self, key: &[u8], revision: i64) -> Result<Option<Version>, EngineError> {
        if self.is_old(revision) {
            history::one_as_of(self.engine, key, revision)
        } else {
            history::one_newest(self.engine, key)
        }
    }

    /// Answers a range (contract items 1 to 11).
    pub fn range(&self, ask: &Range) -> Result<RangeAnswer, ReadError> {
        match self.range_up_to(ask, u64::MAX)? {
            UpTo::Whole(answer) => Ok(answer),
            UpTo::More { .. } => unreachable!("nothing is larger than memory"),
        }
    }

    /// As [`Reader::range`], unless its pairs have more than `max_bytes`, or several times as many have
    /// to be read to find them.
    pub fn range_up_to(&self, ask: &Range, max_bytes: u64) -> Result<UpTo, ReadError> {
        self.check_revision(ask.revision)?;
        if ask.count_only {
            let count = self.count(&ask.range, ask.revision)?;
            return Ok(UpTo::Whole(RangeAnswer { count, ..RangeAnswer::default() }));
        }
        let mut answer = if ask.range.is_single() {
            let found = self.one(&ask.range.key, ask.revision)?;
            let count = i64::from(found.is_some());
            let kvs = found.iter().map(key_value).filter(|kv| passes(ask, kv)).collect();
            RangeAnswer { kvs, more: false, count }
        } else {
            match self.collect(ask, max_bytes)? {
                UpTo::Whole(answer) => answer,
                more @ UpTo::More { .. } => return Ok(more),
            }
        };
        sort(&mut answer.kvs, ask);
        if ask.limit > 0 && answer.kvs.len() as i64 > ask.limit {
            answer.kvs.truncate(ask.limit as usize);
            answer.more = true;
        }
        ask.leave_out(&mut answer.kvs);
        Ok(UpTo::Whole(answer))
    }

    /// Gathers what a range needs before sorting and cutting: everything, or one more than the
    /// limit when what comes first is all that can be asked for. Gives up beyond `max_bytes`.
    fn collect(&self, ask: &Range, max_bytes: u64) -> Result<UpTo, ReadError> {
        if ask.range.is_empty() {
            return Ok(UpTo::Whole(RangeAnswer::default()));
        }
        let by_key = ask.target == SortTarget::Key;
        // The limit cuts before the sort when the order is NONE, whatever the target, but not when
        // a filter is set (etcd looks at the order first: contract item 4).
        let enough = match ask.order {
            SortOrder::None if by_key || !is_filtered(ask) => ask.limit,
            SortOrder::Ascend | SortOrder::Descend if by_key => ask.limit,
            SortOrder::None | SortOrder::Ascend | SortOrder::Descend => 0,
        };
        let enough = if enough > 0 { (enough as usize).saturating_add(1) } else { usize::MAX };
        let (from, to) = bounds(&ask.range);
        let backwards = by_key && ask.order == SortOrder::Descend;
        let old = self.is_old(ask.revision);
        let as_of = || AsOf::new(self.engine, from, to, ask.revision);
        let newest = || history::newest(self.engine, from, to);
        let versions: Box<dyn Iterator<Item = Result<Version, EngineError>>> =
            match (old, backwards) {
                // The past is merged forwards only; going back through it costs gathering it.
                (true, true) => Box::new(as_of().collect::<Vec<_>>().into_iter().rev()),
                (true, false) => Box::new(as_of()),
                (false, true) => Box::new(newest().rev()),
                (false, false) => newest(),
            };
        // Values that nobody will see are not gathered either.
        let without_values = ask.keys_only && ask.target != SortTarget::Value;
        let (mut kvs, mut seen, mut bytes, mut read) = (Vec::new(), 0, 0, 0u64);
        let mut all_seen = true;
        for version in versions {
            let version = version?;
            seen += 1;
            read += version.record.len() as u64;
            if read / READ_IN_VAIN > max_bytes {
                return Ok(UpTo::More { pairs: kvs.len() as u64, bytes });
            }
            let mut kv = key_value(&version);
            if passes(ask, &kv) {
                if without_values {
                    kv.value = Bytes::new();
                }
                bytes += (kv.key.len() + kv.value.len()) as u64;
                kvs.push(kv);
                if bytes > max_bytes {
                    return Ok(UpTo::More { pairs: kvs.len() as u64, bytes });
                }
                if kvs.len() >= enough {
                    all_seen = false;
                    break;
                }
            }
        }
        let count = if all_seen { seen } else { self.count(&ask.range, ask.revision)? };
        Ok(UpTo::Whole(RangeAnswer { kvs, more: false, count }))
    }

    /// How many keys the range holds at the revision.
    pub fn count(&self, range: &KeyRange, revision: i64) -> Result<i64, EngineError> {
        if range.is_single() {
            return Ok(i64::from(self.one(&range.key, revision)?.is_some()));
        }
        if range.is_empty() {
            return Ok(0);
        }
        let (from, to) = bounds(range);
        if !self.is_old(revision) {
            return Ok(self.counts.measure(self.engine, from, to)?.keys as i64);
        }
        // Either walk the keys, or start from now and take back what happened since.
        if self.changes_since(revision) > self.counts.at_most(from, to).bytes {
            let mut count = 0;
            for version in AsOf::new(self.engine, from, to, revision) {
                version?;
                count += 1;
            }
            return Ok(count);
        }
        let mut count = self.counts.measure(self.engine, from, to)?.keys as i64;
        for change in self.changes(revision + 1, self.revision) {
            let change = change?;
            if range.contains(&change.key) {
                match change.kind {
                    Kind::Birth => count -= 1,
                    Kind::Update => {}
                    Kind::Death => count += 1,
                }
            }
        }
        Ok(count)
    }

    /// About the bytes of the log of changes since a revision.
    fn changes_since(&self, revision: i64) -> u64 {
        ((self.revision - revision) as u64).saturating_mul(CHANGE_BYTES)
    }

    /// About how many bytes are read to count a range; 0 when that does not depend on the range.
    pub fn cost_of_count(&self, range: &KeyRange, revision: i64) -> u64 {
        if range.is_single() || !self.is_old(revision) {
            return 0;
        }
        let (from, to) = bounds(range);
        self.changes_since(revision).min(self.counts.at_most(from, to).bytes)
    }

    /// What the answer to a range comes to, when that can be told without reading it.
    pub fn measure(&self, ask: &Range) -> Result<Option<Measure>, ReadError> {
        self.check_revision(ask.revision)?;
        if !ask.is_plain() || ask.keys_only || self.is_old(ask.revision) {
            return Ok(None);
        }
        let (from, to) = bounds(&ask.range);
        let all = self.counts.measure(self.engine, from, to)?;
        let limit = u64::try_from(ask.limit).ok().filter(|limit| (1..all.keys).contains(limit));
        let pairs = match limit {
            None => all,
            Some(limit) => self.counts.measure_first(self.engine, from, to, limit)?,
        };
        Ok(Some(Measure { pairs, count: all.keys }))
    }

    /// Every change of the revisions `first..=last`, in order.
    pub fn changes(
        &self,
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = Result<Change, EngineError>> + use<'a, R> {
        self.changes_from(Stamp { revision: first, sub: 0 }, last)
    }

    /// Every change from one on, to the end of the revision `last`, in order.
    pub fn changes_from(
        &self,
        first: Stamp,
        last: i64,
    ) -> impl Iterator<Item = Result<Change, EngineError>> + use<'a, R> {
        let mut low = vec![LOG];
        first.write(&mut low);
        let high = layout::plain(LOG, &last.saturating_add(1).to_be_bytes());
        self.engine.range(&low, Some(&high)).map(|pair| {
            let (key, value) = pair?;
            Ok(Change::read(&key, &value)?)
        })
    }

    /// Whether a compare holds (contract item 25).
    pub fn holds(&self, compare: &Compare) -> Result<bool, EngineError> {
        if compare.range.is_single() {
            let found = self.one(&compare.range.key, 0)?;
            return Ok(match found {
                Some(version) => matches(compare, &version),
                None => matches_missing(compare),
            });
        }
        if compare.range.is_empty() {
            return Ok(matches_missing(compare));
        }
        let (from, to) = bounds(&compare.range);
        let mut any = false;
        for version in history::newest(self.engine, from, to) {
            any = true;
            if !matches(compare, &version?) {
                return Ok(false);
            }
        }
        Ok(any || matches_missing(compare))
    }
}

fn is_filtered(ask: &Range) -> bool {
    let Range { min_mod_revision, max_mod_revision, .. } = ask;
    let Range { min_create_revision, max_create_revision, .. } = ask;
    [min_mod_revision, max_mod_revision, min_create_revision, max_create_revision]
        .into_iter()
        .any(|bound| *bound != 0)
}

fn passes(ask: &Range, kv: &KeyValue) -> bool {
    let within =
        |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(kv.mod_revision, ask.min_mod_revision, ask.max_mod_revision)
        && within(kv.create_revision, ask.min_create_revision, ask.max_create_revision)
}

/// Sorts stably, so equal ones stay ordered by key; a target without an order ascends.
fn sort(kvs: &mut [KeyValue], ask: &Range) {
    let descend = match ask.order {
        SortOrder::None | SortOrder::Ascend => false,
        SortOrder::Descend => true,
    };
    let directed = |order: Ordering| if descend { order.reverse() } else { order };
    match ask.target {
        SortTarget::Key => {} // They come in that order, or against it when it descends.
        SortTarget::Version => kvs.sort_by(|a, b| directed(a.version.cmp(&b.version))),
        SortTarget::Create => {
            kvs.sort_by(|a, b| directed(a.create_revision.cmp(&b.create_revision)));
        }
        SortTarget::Mod => kvs.sort_by(|a, b| directed(a.mod_revision.cmp(&b.mod_revision))),
        SortTarget::Value => kvs.sort_by(|a, b| directed(a.value.cmp(&b.value))),
    }
}

fn related(order: Ordering, relation: CompareResult) -> bool {
    match relation {
        CompareResult::Equal => order == Ordering::Equal,
        CompareResult::Greater => order == Ordering::Greater,
        CompareResult::Less => order == Ordering::Less,
        CompareResult::NotEqual => order != Ordering::Equal,
    }
}

fn matches(compare: &Compare, version: &Version) -> bool {
    let header = &version.header;
    let order = match &compare.target {
        CompareTarget::Version(operand) => header.version.cmp(operand),
        CompareTarget::Create(operand) => header.create.cmp(operand),
        CompareTarget::Mod(operand) => header.begun.revision.cmp(operand),
        CompareTarget::Value(operand) => version.record[layout::HEADER..].cmp(operand),
        CompareTarget::Lease(operand) => header.lease.cmp(operand),
    };
    related(order, compare.result)
}

/// A missing key compares as zero, but no relation holds for its value.
fn matches_missing(compare: &Compare) -> bool {
    match &compare.target {
        CompareTarget::Value(_) => false,
        CompareTarget::Version(operand)
        | CompareTarget::Create(operand)
        | CompareTarget::Mod(operand)
        | CompareTarget::Lease(operand) => related(0.cmp(operand), compare.result),
    }
}
