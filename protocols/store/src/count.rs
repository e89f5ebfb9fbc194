//! How many keys a range holds, without walking it.
//!
//! The keys that exist are cut into contiguous buckets of a few hundred, each with its exact
//! number. A count walks the two buckets where the range begins and ends and adds up the ones
//! between. A birth or death changes one number; a bucket that grows beyond a limit is split at
//! its median (half a walk of the bucket, once in that many births), one that runs sparse joins a
//! neighbour.
//!
//! The buckets lie in chunks behind shared pointers: publishing an index copies one pointer, and
//! the first change after that copies the list of chunks and the numbers (not the keys) of one
//! chunk. Buckets are stored in the engine in the batch that changes them.

use crate::engine::{Engine, EngineError, EngineRead};
use crate::layout::{self, BUCKET, CURRENT};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// When buckets and chunks split and join. One set of numbers ships; tests use smaller ones.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// A bucket with more keys than this is split.
    full: u32,
    /// A bucket with fewer keys than this joins a neighbour, if both together have at most
    /// `joined`.
    sparse: u32,
    joined: u32,
    /// A chunk with more buckets than this is split.
    wide: usize,
    /// A chunk with fewer buckets than this joins a neighbour, if both together are at most half
    /// of `wide`.
    narrow: usize,
}

const SHIPPED: Limits = Limits { full: 256, sparse: 32, joined: 160, wide: 128, narrow: 16 };

#[derive(Clone, Debug)]
struct Chunk {
    /// The first key of each bucket. The bucket ends where the next begins.
    starts: Arc<Vec<Bytes>>,
    counts: Vec<u32>,
    total: u64,
}

impl Chunk {
    fn new(starts: Vec<Bytes>, counts: Vec<u32>) -> Chunk {
        let total = counts.iter().map(|count| u64::from(*count)).sum();
        Chunk { starts: Arc::new(starts), counts, total }
    }
}

/// An immutable copy of the counts: cheap to clone, shared with readers.
///
/// Invariants: there is at least one chunk, no chunk is empty, starts ascend strictly over all
/// chunks, and the very first start is the empty key, so every key has exactly one bucket.
#[derive(Clone, Debug)]
pub(crate) struct CountIndex {
    chunks: Arc<Vec<Arc<Chunk>>>,
}

/// The place of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    chunk: usize,
    bucket: usize,
}

impl CountIndex {
    fn of(buckets: Vec<(Bytes, u32)>, limits: Limits) -> CountIndex {
        let half = limits.wide / 2;
        let chunks = buckets
            .chunks(half)
            .map(|part| {
                Arc::new(Chunk::new(
                    part.iter().map(|(start, _)| start.clone()).collect(),
                    part.iter().map(|(_, count)| *count).collect(),
                ))
            })
            .collect();
        CountIndex { chunks: Arc::new(chunks) }
    }

    fn find(&self, key: &[u8]) -> Place {
        let chunk = self.chunks[1..].partition_point(|chunk| chunk.starts[0][..] <= *key);
        let starts = &self.chunks[chunk].starts;
        Place { chunk, bucket: starts[1..].partition_point(|start| start[..] <= *key) }
    }

    fn start(&self, place: Place) -> &Bytes {
        &self.chunks[place.chunk].starts[place.bucket]
    }

    fn next(&self, place: Place) -> Option<Place> {
        if place.bucket + 1 < self.chunks[place.chunk].counts.len() {
            Some(Place { bucket: place.bucket + 1, ..place })
        } else if place.chunk + 1 < self.chunks.len() {
            Some(Place { chunk: place.chunk + 1, bucket: 0 })
        } else {
            None
        }
    }

    fn previous(&self, place: Place) -> Option<Place> {
        if place.bucket > 0 {
            Some(Place { bucket: place.bucket - 1, ..place })
        } else if place.chunk > 0 {
            let chunk = place.chunk - 1;
            Some(Place { chunk, bucket: self.chunks[chunk].counts.len() - 1 })
        } else {
            None
        }
    }

    /// Keys in all buckets from `first` up to, not including, `end`.
    fn sum(&self, first: Place, end: Option<Place>) -> u64 {
        let end = end.unwrap_or(Place { chunk: self.chunks.len(), bucket: 0 });
        let part = |chunk: usize, from: usize, to: usize| -> u64 {
            self.chunks[chunk].counts[from..to].iter().map(|count| u64::from(*count)).sum()
        };
        if first.chunk == end.chunk {
            return part(first.chunk, first.bucket, end.bucket);
        }
        let mut sum = part(first.chunk, first.bucket, self.chunks[first.chunk].counts.len());
        sum += self.chunks[first.chunk + 1..end.chunk].iter().map(|c| c.total).sum::<u64>();
        if end.chunk < self.chunks.len() {
            sum += part(end.chunk, 0, end.bucket);
        }
        sum
    }

    /// All keys there are.
    pub fn total(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.total).sum()
    }

    /// At least as many as `[from, to)` holds: the sum of all buckets that it touches.
    pub fn at_most(&self, from: &[u8], to: Option<&[u8]>) -> u64 {
        if to.is_some_and(|to| to <= from) {
            return 0;
        }
        let last = to.map(|to| self.find(to)).and_then(|place| self.next(place));
        self.sum(self.find(from), last)
    }

    /// Exactly how many keys `[from, to)` holds; `engine` must be of the same moment.
    pub fn count<R: EngineRead>(
        &self,
        engine: &R,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<u64, EngineError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(0);
        }
        let first = self.find(from);
        let last = to.map(|to| self.find(to));
        if last == Some(first) {
            return walk(engine, from, to);
        }
        // The bucket of `from` is whole when the range begins where the bucket does.
        let (mut sum, whole) = match (self.start(first)[..] == *from, self.next(first)) {
            (true, _) => (0, first),
            (false, Some(edge)) => (walk(engine, from, Some(self.start(edge)))?, edge),
            (false, None) => return walk(engine, from, to),
        };
        sum += self.sum(whole, last);
        if let Some(last) = last {
            sum += walk(engine, self.start(last), to)?;
        }
        Ok(sum)
    }

    fn chunk_mut(&mut self, chunk: usize) -> &mut Chunk {
        Arc::make_mut(&mut Arc::make_mut(&mut self.chunks)[chunk])
    }
}

/// Keys in `[from, to)`, one by one.
fn walk<R: EngineRead>(engine: &R, from: &[u8], to: Option<&[u8]>) -> Result<u64, EngineError> {
    let (low, high) = current_bounds(from, to);
    let mut count = 0;
    for pair in engine.range(&low, Some(&high)) {
        pair?;
        count += 1;
    }
    Ok(count)
}

fn current_bounds(from: &[u8], to: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let high = to.map_or_else(|| vec![CURRENT + 1], |to| layout::plain(CURRENT, to));
    (layout::plain(CURRENT, from), high)
}

/// The writer's side of the index.
#[derive(Debug)]
pub(crate) struct Counter {
    index: CountIndex,
    /// First keys of buckets that must be written, or removed if they are no bucket any more.
    dirty: BTreeSet<Bytes>,
    limits: Limits,
}

impl Counter {
    /// Loads the buckets of an engine.
    pub fn open<R: EngineRead>(engine: &R) -> Result<Counter, EngineError> {
        Counter::with(engine, SHIPPED)
    }

    fn with<R: EngineRead>(engine: &R, limits: Limits) -> Result<Counter, EngineError> {
        let mut buckets = Vec::new();
        for pair in engine.range(&[BUCKET], Some(&[BUCKET + 1])) {
            let (key, value) = pair?;
            let number = <[u8; 4]>::try_from(&value[..])
                .map_err(|_| EngineError("a count bucket is not a number".into()))?;
            buckets.push((key.slice(1..), u32::from_be_bytes(number)));
        }
        match buckets.first() {
            None => buckets.push((Bytes::new(), 0)),
            Some((first, _)) if first.is_empty() => {}
            Some(_) => return Err(EngineError("the first count bucket is missing".into())),
        }
        Ok(Counter { index: CountIndex::of(buckets, limits), dirty: BTreeSet::new(), limits })
    }

    /// The counts as they stand, for readers.
    pub fn index(&self) -> &CountIndex {
        &self.index
    }

    fn mark(&mut self, place: Place) {
        let start = self.index.start(place);
        if !self.dirty.contains(start) {
            self.dirty.insert(start.clone());
        }
    }

    /// `key` exists now, and is in the engine already.
    pub fn birth<R: EngineRead>(&mut self, engine: &R, key: &[u8]) -> Result<(), EngineError> {
        let place = self.index.find(key);
        self.mark(place);
        let chunk = self.index.chunk_mut(place.chunk);
        chunk.counts[place.bucket] += 1;
        chunk.total += 1;
        if chunk.counts[place.bucket] > self.limits.full {
            self.split(engine, place)?;
        }
        Ok(())
    }

    /// `key` no longer exists.
    pub fn death(&mut self, key: &[u8]) {
        let place = self.index.find(key);
        self.mark(place);
        let chunk = self.index.chunk_mut(place.chunk);
        assert!(chunk.counts[place.bucket] > 0, "a key died that was never counted");
        chunk.counts[place.bucket] -= 1;
        chunk.total -= 1;
        if chunk.counts[place.bucket] < self.limits.sparse {
            self.join(place);
        }
    }

    fn split<R: EngineRead>(&mut self, engine: &R, place: Place) -> Result<(), EngineError> {
        let end = self.index.next(place).map(|next| self.index.start(next).clone());
        let (low, high) = current_bounds(self.index.start(place), end.as_deref());
        let count = self.index.chunks[place.chunk].counts[place.bucket];
        let left = count / 2;
        let Some(median) = engine.range(&low, Some(&high)).nth(left as usize) else {
            return Err(EngineError(format!("a bucket counts {count} keys but holds fewer")));
        };
        let start = Bytes::copy_from_slice(&median?.0[1..]);
        let chunk = self.index.chunk_mut(place.chunk);
        chunk.counts[place.bucket] = left;
        chunk.counts.insert(place.bucket + 1, count - left);
        Arc::make_mut(&mut chunk.starts).insert(place.bucket + 1, start.clone());
        self.dirty.insert(start);
        if chunk.counts.len() > self.limits.wide {
            let counts = chunk.counts.split_off(self.limits.wide / 2);
            let starts = Arc::make_mut(&mut chunk.starts).split_off(self.limits.wide / 2);
            let right = Chunk::new(starts, counts);
            chunk.total -= right.total;
            Arc::make_mut(&mut self.index.chunks).insert(place.chunk + 1, Arc::new(right));
        }
        Ok(())
    }

    /// Joins a sparse bucket with the one after it, or the one before, if together they are small.
    fn join(&mut self, place: Place) {
        let count = |place: Place| self.index.chunks[place.chunk].counts[place.bucket];
        let small = |other: &Place| count(*other) + count(place) <= self.limits.joined;
        let (left, right) = match self.index.next(place).filter(small) {
            Some(next) => (place, next),
            None => match self.index.previous(place).filter(small) {
                Some(previous) => (previous, place),
                None => return,
            },
        };
        self.mark(left);
        self.mark(right);
        let chunk = self.index.chunk_mut(right.chunk);
        let moved = chunk.counts.remove(right.bucket);
        Arc::make_mut(&mut chunk.starts).remove(right.bucket);
        chunk.total -= u64::from(moved);
        let chunk = self.index.chunk_mut(left.chunk);
        chunk.counts[left.bucket] += moved;
        chunk.total += u64::from(moved);
        self.join_chunks(right.chunk);
    }

    fn join_chunks(&mut self, at: usize) {
        let len = |at: usize| self.index.chunks[at].counts.len();
        if len(at) >= self.limits.narrow || self.index.chunks.len() == 1 {
            return;
        }
        let left = if at == 0 { 0 } else { at - 1 };
        if len(left) + len(left + 1) > self.limits.wide / 2 && len(at) > 0 {
            return;
        }
        let right = Arc::make_mut(&mut self.index.chunks).remove(left + 1);
        let chunk = self.index.chunk_mut(left);
        Arc::make_mut(&mut chunk.starts).extend(right.starts.iter().cloned());
        chunk.counts.extend(&right.counts);
        chunk.total += right.total;
    }

    /// Writes what changed since the last time.
    pub fn store<E: Engine>(&mut self, engine: &mut E) {
        let mut key = Vec::new();
        for start in std::mem::take(&mut self.dirty) {
            layout::begin(&mut key, BUCKET);
            key.extend_from_slice(&start);
            let place = self.index.find(&start);
            if *self.index.start(place) == start {
                let count = self.index.chunks[place.chunk].counts[place.bucket];
                engine.put(&key, &count.to_be_bytes());
            } else {
                engine.delete(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemEngine;
    use quorate_base::Dice;

    const TINY: Limits = Limits { full: 8, sparse: 3, joined: 6, wide: 8, narrow: 3 };

    fn assert_invariants(index: &CountIndex) {
        let mut starts = Vec::new();
        for chunk in index.chunks.iter() {
            assert!(!chunk.counts.is_empty() && chunk.counts.len() == chunk.starts.len());
            assert!(chunk.counts.len() <= TINY.wide);
            let sum: u64 = chunk.counts.iter().map(|count| u64::from(*count)).sum();
            assert_eq!(chunk.total, sum);
            assert!(chunk.counts.iter().all(|count| *count <= TINY.full));
            starts.extend(chunk.starts.iter().cloned());
        }
        assert!(starts[0].is_empty());
        assert!(starts.is_sorted_by(|a, b| a < b));
    }

    fn assert_counts(
        index: &CountIndex,
        engine: &MemEngine,
        keys: &BTreeSet<Bytes>,
        dice: &mut Dice,
    ) {
        assert_invariants(index);
        assert_eq!(index.total(), keys.len() as u64);
        let key = |dice: &mut Dice| format!("{:03}", dice.below(1_100));
        for _ in 0..5 {
            let (from, to) = (key(dice), key(dice));
            let from = if dice.chance(100_000) { String::new() } else { from };
            let from = from.as_bytes();
            for to in [Some(to.as_bytes()), None] {
                let inside = |k: &&Bytes| k[..] >= *from && to.is_none_or(|to| k[..] < *to);
                let want = keys.iter().filter(inside).count() as u64;
                assert_eq!(index.count(engine, from, to).unwrap(), want);
                assert!(index.at_most(from, to) >= want);
            }
        }
    }

    #[test]
    fn buckets_and_chunks_split_and_join_and_every_count_stays_exact() {
        let mut dice = Dice::new(21);
        let mut engine = MemEngine::new();
        let mut counter = Counter::with(&engine, TINY).unwrap();
        let (mut keys, mut copies) = (BTreeSet::new(), Vec::new());
        let (mut most, mut least) = (0, usize::MAX);
        for step in 0..20_000u32 {
            let key = Bytes::from(format!("{:03}", dice.below(1_000)));
            // Up to nearly all keys, down to nearly none, and again.
            let births = if (step / 4_000).is_multiple_of(2) { 900_000 } else { 60_000 };
            let raw = layout::plain(CURRENT, &key);
            if dice.chance(births) {
                if keys.insert(key.clone()) {
                    engine.put(&raw, b"");
                    counter.birth(&engine, &key).unwrap();
                }
            } else if keys.remove(&key) {
                engine.delete(&raw);
                counter.death(&key);
            }
            if step % 50 == 0 {
                counter.store(&mut engine);
                assert_counts(counter.index(), &engine, &keys, &mut dice);
            }
            if step % 1_000 == 999 {
                let chunks = counter.index().chunks.len();
                (most, least) = (most.max(chunks), least.min(chunks));
                copies.push((counter.index().clone(), engine.clone(), keys.clone()));
                counter.store(&mut engine);
                counter = Counter::with(&engine, TINY).unwrap();
                assert_counts(counter.index(), &engine, &keys, &mut dice);
            }
        }
        // What was published has not changed under its readers.
        for (index, engine, keys) in &copies {
            assert_counts(index, engine, keys, &mut dice);
        }
        assert!(most > 20 && least < 5, "too tame: {most} chunks at most, {least} at least");
    }
}
