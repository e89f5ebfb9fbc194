//! The writer's side of the [count index](crate::count).
//!
//! A birth or death changes one number, and so does an update that makes a pair heavier or lighter.
//! A bucket that grows beyond a limit is cut in parts (a walk of the bucket, once in that many
//! births), one that runs sparse joins a neighbour.
//!
//! Buckets are stored in the engine in the batch that changes them: the number of keys in a record of
//! the space of buckets, the weight in one behind the [meta record](crate::fingerprint), since builds
//! before know no weights. They leave those records as they are, so weights are believed only with the
//! fingerprint that was written with them; otherwise, and where a state came as a snapshot, which leaves
//! them out, everything is weighed in the walk that counts the fingerprint.

use crate::count::{Chunk, CountIndex, Place, current_bounds};
use crate::engine::{Engine, EngineError, EngineRead};
use crate::layout::{self, BUCKET, META, read_u64};
use crate::weight::{self, Sum};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When buckets and chunks split and join. One set of numbers ships; tests use smaller ones.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// A bucket with more keys than this is cut.
    full: u64,
    /// One with more than a key that weighs more than this is cut.
    heavy: u64,
    /// A bucket with fewer keys than this joins a neighbour, if both together have at most
    /// `joined` and weigh no more than five eighths of `heavy`. An empty one joins anyway.
    sparse: u64,
    joined: u64,
    /// A chunk with more buckets than this is split.
    wide: usize,
    /// A chunk with fewer buckets than this joins a neighbour, if both together are at most half
    /// of `wide`.
    narrow: usize,
}

/// `heavy` is what a small answer has, which is read without much ado too.
const SHIPPED: Limits =
    Limits { full: 256, heavy: 256 << 10, sparse: 32, joined: 160, wide: 128, narrow: 16 };

/// Where weights lie: behind the meta record and the fingerprint, by the first key of the bucket.
const WEIGHT: [u8; 2] = [META, 2];

fn weight_key(key: &mut Vec<u8>, start: &[u8]) {
    key.clear();
    key.extend_from_slice(&WEIGHT);
    key.extend_from_slice(start);
}

/// The stored records behind a prefix, without it.
fn stored<R: EngineRead>(engine: &R, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, EngineError> {
    let mut end = prefix.to_vec();
    *end.last_mut().expect("it is not empty") += 1;
    let pairs = engine.range(prefix, Some(&end));
    pairs.map(|pair| pair.map(|(key, value)| (key.slice(prefix.len()..), value))).collect()
}

/// The first keys of the stored buckets with their numbers of keys; one bucket if there are none.
fn stored_buckets<R: EngineRead>(engine: &R) -> Result<Vec<(Bytes, u64)>, EngineError> {
    let mut buckets = Vec::new();
    for (start, value) in stored(engine, &[BUCKET])? {
        let number = <[u8; 4]>::try_from(&value[..])
            .map_err(|_| EngineError("a count bucket is not a number".into()))?;
        buckets.push((start, u64::from(u32::from_be_bytes(number))));
    }
    match buckets.first() {
        None => buckets.push((Bytes::new(), 0)),
        Some((first, _)) if first.is_empty() => {}
        Some(_) => return Err(EngineError("the first count bucket is missing".into())),
    }
    Ok(buckets)
}

/// The writer's side of the index.
#[derive(Debug)]
pub(crate) struct Counter {
    index: CountIndex,
    /// First keys of buckets that must be written, or removed if they are no bucket any more, with
    /// whether the number of keys is another too.
    dirty: BTreeMap<Bytes, bool>,
    limits: Limits,
}

impl Counter {
    /// Loads the buckets of an engine whose weights were kept up.
    pub fn open<R: EngineRead>(engine: &R) -> Result<Counter, EngineError> {
        Counter::with(engine, SHIPPED)
    }

    fn with<R: EngineRead>(engine: &R, limits: Limits) -> Result<Counter, EngineError> {
        let mut weights = stored(engine, &WEIGHT)?.into_iter();
        let mut buckets = Vec::new();
        for (start, keys) in stored_buckets(engine)? {
            let weight = weights.next().filter(|(of, value)| *of == start && value.len() == 8);
            let bytes = match weight {
                Some((_, value)) => read_u64(&value, 0),
                None if keys == 0 && start.is_empty() => 0,
                None => return Err(EngineError("a count bucket has no weight".into())),
            };
            buckets.push((start, Sum { keys, bytes }));
        }
        let index = CountIndex::of(buckets, limits.wide / 2);
        Ok(Counter { index, dirty: BTreeMap::new(), limits })
    }

    /// The counts as they stand, for readers.
    pub fn index(&self) -> &CountIndex {
        &self.index
    }

    fn mark(&mut self, place: Place, keys: bool) {
        let start = self.index.start(place);
        match self.dirty.get_mut(start) {
            Some(known) => *known |= keys,
            None => drop(self.dirty.insert(start.clone(), keys)),
        }
    }

    fn chunk_mut(&mut self, chunk: usize) -> &mut Chunk {
        Arc::make_mut(&mut Arc::make_mut(&mut self.index.chunks)[chunk])
    }

    /// `key` exists now, and is in the engine already.
    pub fn birth<R: EngineRead>(
        &mut self,
        engine: &R,
        key: &[u8],
        weight: u64,
    ) -> Result<(), EngineError> {
        let place = self.index.find(key);
        self.mark(place, true);
        let chunk = self.chunk_mut(place.chunk);
        let born = Sum { keys: 1, bytes: weight };
        chunk.sums[place.bucket] += born;
        chunk.total += born;
        self.cut_if_large(engine, place)
    }

    /// `key` weighs something else now, and is in the engine already.
    pub fn update<R: EngineRead>(
        &mut self,
        engine: &R,
        key: &[u8],
        old: u64,
        new: u64,
    ) -> Result<(), EngineError> {
        if old == new {
            return Ok(());
        }
        let place = self.index.find(key);
        self.mark(place, false);
        let chunk = self.chunk_mut(place.chunk);
        for sum in [&mut chunk.sums[place.bucket], &mut chunk.total] {
            let rest = sum.bytes.checked_sub(old).expect("a key weighs what it was weighed with");
            sum.bytes = rest + new;
        }
        if new > old {
            return self.cut_if_large(engine, place);
        }
        self.join_if_sparse(place);
        Ok(())
    }

    /// `key`, which weighed this, no longer exists.
    pub fn death(&mut self, key: &[u8], weight: u64) {
        let place = self.index.find(key);
        self.mark(place, true);
        let chunk = self.chunk_mut(place.chunk);
        for sum in [&mut chunk.sums[place.bucket], &mut chunk.total] {
            assert!(sum.keys > 0 && sum.bytes >= weight, "a key died that was never counted");
            sum.keys -= 1;
            sum.bytes -= weight;
        }
        self.join_if_sparse(place);
    }

    fn cut_if_large<R: EngineRead>(&mut self, engine: &R, place: Place) -> Result<(), EngineError> {
        let Sum { keys, bytes } = self.index.bucket(place);
        let (many, heavy) = (keys > self.limits.full, keys > 1 && bytes > self.limits.heavy);
        if !many && !heavy {
            return Ok(());
        }
        // Halves leave room for what comes; a key that is heavy by itself is left alone.
        let most = Sum {
            keys: if many { keys.div_ceil(2) } else { self.limits.full },
            bytes: if heavy { self.limits.heavy / 2 } else { self.limits.heavy },
        };
        let end = self.index.next(place).map(|next| self.index.start(next).clone());
        let (low, high) = current_bounds(self.index.start(place), end.as_deref());
        let mut parts = Parts::new(self.index.start(place).clone(), most);
        for pair in engine.range(&low, Some(&high)) {
            let (key, record) = pair?;
            parts.add(&key[1..], weight::of_record(&key[1..], &record)?);
        }
        let found: Sum = parts.done.iter().map(|(_, sum)| *sum).sum();
        if found != (Sum { keys, bytes }) {
            let text = format!("a bucket counts {keys} keys of {bytes} bytes but holds {found:?}");
            return Err(EngineError(text));
        }
        self.replace(place, parts.done);
        Ok(())
    }

    /// Puts parts in the place of the bucket whose they are.
    fn replace(&mut self, place: Place, parts: Vec<(Bytes, Sum)>) {
        self.dirty.extend(parts.iter().map(|(start, _)| (start.clone(), true)));
        let chunk = self.chunk_mut(place.chunk);
        let at = place.bucket..=place.bucket;
        chunk.sums.splice(at.clone(), parts.iter().map(|(_, sum)| *sum));
        let starts = parts.into_iter().map(|(start, _)| start);
        Arc::make_mut(&mut chunk.starts).splice(at, starts);
        let (wide, mut at) = (self.limits.wide, place.chunk);
        while self.index.chunks[at].sums.len() > wide {
            let chunk = self.chunk_mut(at);
            let sums = chunk.sums.split_off(wide / 2);
            let starts = Arc::make_mut(&mut chunk.starts).split_off(wide / 2);
            chunk.total = chunk.sums.iter().copied().sum();
            at += 1;
            let right = Arc::new(Chunk::new(starts, sums));
            Arc::make_mut(&mut self.index.chunks).insert(at, right);
        }
    }

    /// Joins a sparse bucket with the one after it, or the one before, if together they are small.
    fn join_if_sparse(&mut self, place: Place) {
        let own = self.index.bucket(place);
        if own.keys >= self.limits.sparse {
            return;
        }
        let small = |other: &Place| {
            let Sum { keys, bytes } = self.index.bucket(*other);
            let light = own.bytes + bytes <= self.limits.heavy / 8 * 5;
            own.keys == 0 || (own.keys + keys <= self.limits.joined && light)
        };
        let (left, right) = match self.index.next(place).filter(small) {
            Some(next) => (place, next),
            None => match self.index.previous(place).filter(small) {
                Some(previous) => (previous, place),
                None => return,
            },
        };
        self.mark(left, true);
        self.mark(right, true);
        let chunk = self.chunk_mut(right.chunk);
        let moved = chunk.sums.remove(right.bucket);
        Arc::make_mut(&mut chunk.starts).remove(right.bucket);
        chunk.total = chunk.sums.iter().copied().sum();
        let chunk = self.chunk_mut(left.chunk);
        chunk.sums[left.bucket] += moved;
        chunk.total = chunk.sums.iter().copied().sum();
        self.join_chunks(right.chunk);
    }

    fn join_chunks(&mut self, at: usize) {
        let len = |at: usize| self.index.chunks[at].sums.len();
        if len(at) >= self.limits.narrow || self.index.chunks.len() == 1 {
            return;
        }
        let left = if at == 0 { 0 } else { at - 1 };
        if len(left) + len(left + 1) > self.limits.wide / 2 && len(at) > 0 {
            return;
        }
        let right = Arc::make_mut(&mut self.index.chunks).remove(left + 1);
        let chunk = self.chunk_mut(left);
        Arc::make_mut(&mut chunk.starts).extend(right.starts.iter().cloned());
        chunk.sums.extend(&right.sums);
        chunk.total += right.total;
    }

    /// Writes what changed since the last time.
    pub fn store<E: Engine>(&mut self, engine: &mut E) {
        let mut key = Vec::new();
        for (start, keys) in std::mem::take(&mut self.dirty) {
            let place = self.index.find(&start);
            let sum = (*self.index.start(place) == start).then(|| self.index.bucket(place));
            weight_key(&mut key, &start);
            match sum {
                Some(sum) => engine.put(&key, &sum.bytes.to_be_bytes()),
                None => engine.delete(&key),
            }
            if !keys {
                continue;
            }
            layout::begin(&mut key, BUCKET);
            key.extend_from_slice(&start);
            match sum.map(|sum| u32::try_from(sum.keys).expect("a bucket has some hundred keys")) {
                Some(keys) => engine.put(&key, &keys.to_be_bytes()),
                None => engine.delete(&key),
            }
        }
    }
}

/// A bucket being cut: keys come in order, and a part ends before the key that would make it larger
/// than it may be.
struct Parts {
    most: Sum,
    done: Vec<(Bytes, Sum)>,
}

impl Parts {
    fn new(start: Bytes, most: Sum) -> Parts {
        Parts { most, done: vec![(start, Sum::default())] }
    }

    fn add(&mut self, key: &[u8], weight: u64) {
        let (_, last) = self.done.last_mut().expect("there is one");
        let full = last.keys >= self.most.keys || last.bytes + weight > self.most.bytes;
        let more = Sum { keys: 1, bytes: weight };
        if last.keys > 0 && full {
            self.done.push((Bytes::copy_from_slice(key), more));
        } else {
            *last += more;
        }
    }
}

/// Counts and weighs a state whose weights were not kept up, from its newest versions in order. What
/// is known of buckets is kept, but for those that are too heavy.
pub(crate) struct Weigher {
    /// First keys of buckets that were not reached yet, last one first.
    waiting: Vec<Bytes>,
    parts: Parts,
    dirty: BTreeMap<Bytes, bool>,
    limits: Limits,
}

impl Weigher {
    /// Nothing is weighed yet.
    pub fn new<R: EngineRead>(engine: &R) -> Result<Weigher, EngineError> {
        Weigher::with(engine, SHIPPED)
    }

    fn with<R: EngineRead>(engine: &R, limits: Limits) -> Result<Weigher, EngineError> {
        let mut waiting: Vec<Bytes> = Vec::new();
        waiting.extend(stored_buckets(engine)?.into_iter().map(|(start, _)| start));
        // Whatever lies there is written anew or goes.
        let mut dirty: BTreeMap<_, _> = waiting.iter().map(|start| (start.clone(), true)).collect();
        dirty.extend(stored(engine, &WEIGHT)?.into_iter().map(|(start, _)| (start, true)));
        waiting.reverse();
        let first = waiting.pop().expect("there is one");
        let most = Sum { keys: limits.full, bytes: limits.heavy };
        Ok(Weigher { waiting, parts: Parts::new(first, most), dirty, limits })
    }

    /// The next key and its record.
    pub fn see(&mut self, key: &[u8], record: &[u8]) -> Result<(), EngineError> {
        while let Some(start) = self.waiting.pop_if(|start| start[..] <= *key) {
            self.begin(start);
        }
        self.parts.add(key, weight::of_record(key, record)?);
        Ok(())
    }

    fn begin(&mut self, start: Bytes) {
        let (last, sum) = self.parts.done.last_mut().expect("there is one");
        match sum.keys {
            // The very first one stays, and one that begins where a part was cut is there.
            0 if !last.is_empty() => *last = start,
            _some => self.parts.done.push((start, Sum::default())),
        }
    }

    /// The counter, which writes all of it with the next batch.
    pub fn finish(mut self) -> Counter {
        self.dirty.extend(self.parts.done.iter().map(|(start, _)| (start.clone(), true)));
        let index = CountIndex::of(self.parts.done, self.limits.wide / 2);
        Counter { index, dirty: self.dirty, limits: self.limits }
    }
}

#[cfg(test)]
#[path = "counter_tests.rs"]
mod tests;
