//! How many keys a range holds, and what they weigh, without walking it.
//!
//! The keys that exist are cut into contiguous buckets of a few hundred, each with its exact
//! number of keys and the sum of their [weights](crate::weight). Whoever counts or weighs a range
//! walks the two buckets where it begins and ends and adds up the ones between. To walk a bucket is
//! to read its values, so one that holds more than a key has a bounded weight: what a count reads
//! does not grow with the values. The writer's side is in `counter.rs`.
//!
//! The buckets lie in chunks behind shared pointers: publishing an index copies one pointer, and
//! the first change after that copies the list of chunks and the numbers (not the keys) of one
//! chunk.

use crate::engine::{EngineError, EngineRead};
use crate::layout::{self, CURRENT};
use crate::weight::{self, Sum};
use bytes::Bytes;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// The first key of each bucket. The bucket ends where the next begins.
    pub starts: Arc<Vec<Bytes>>,
    pub sums: Vec<Sum>,
    pub total: Sum,
}

impl Chunk {
    pub fn new(starts: Vec<Bytes>, sums: Vec<Sum>) -> Chunk {
        let total = sums.iter().copied().sum();
        Chunk { starts: Arc::new(starts), sums, total }
    }
}

/// An immutable copy of the counts: cheap to clone, shared with readers.
///
/// Invariants: there is at least one chunk, no chunk is empty, starts ascend strictly over all
/// chunks, and the very first start is the empty key, so every key has exactly one bucket.
#[derive(Clone, Debug)]
pub(crate) struct CountIndex {
    pub chunks: Arc<Vec<Arc<Chunk>>>,
}

/// The place of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    pub chunk: usize,
    pub bucket: usize,
}

/// A range as buckets see it.
struct Parts<'a> {
    /// A part of the first bucket, up to this key, is walked.
    head: Option<Option<&'a [u8]>>,
    /// Buckets that are in it as a whole, up to not including the second.
    whole: Option<(Place, Option<Place>)>,
    /// A part of the last bucket, from this key on, is walked.
    tail: Option<&'a [u8]>,
}

impl CountIndex {
    /// An index of these buckets in chunks of `wide`.
    pub fn of(buckets: Vec<(Bytes, Sum)>, wide: usize) -> CountIndex {
        let chunk = |part: &[(Bytes, Sum)]| {
            Arc::new(Chunk::new(
                part.iter().map(|(start, _)| start.clone()).collect(),
                part.iter().map(|(_, sum)| *sum).collect(),
            ))
        };
        CountIndex { chunks: Arc::new(buckets.chunks(wide).map(chunk).collect()) }
    }

    /// The bucket of a key.
    pub fn find(&self, key: &[u8]) -> Place {
        let chunk = self.chunks[1..].partition_point(|chunk| chunk.starts[0][..] <= *key);
        let starts = &self.chunks[chunk].starts;
        Place { chunk, bucket: starts[1..].partition_point(|start| start[..] <= *key) }
    }

    /// Where a bucket begins.
    pub fn start(&self, place: Place) -> &Bytes {
        &self.chunks[place.chunk].starts[place.bucket]
    }

    /// What is in a bucket.
    pub fn bucket(&self, place: Place) -> Sum {
        self.chunks[place.chunk].sums[place.bucket]
    }

    /// The bucket after one.
    pub fn next(&self, place: Place) -> Option<Place> {
        if place.bucket + 1 < self.chunks[place.chunk].sums.len() {
            Some(Place { bucket: place.bucket + 1, ..place })
        } else if place.chunk + 1 < self.chunks.len() {
            Some(Place { chunk: place.chunk + 1, bucket: 0 })
        } else {
            None
        }
    }

    /// The bucket before one.
    pub fn previous(&self, place: Place) -> Option<Place> {
        if place.bucket > 0 {
            Some(Place { bucket: place.bucket - 1, ..place })
        } else if place.chunk > 0 {
            let chunk = place.chunk - 1;
            Some(Place { chunk, bucket: self.chunks[chunk].sums.len() - 1 })
        } else {
            None
        }
    }

    fn end(&self, end: Option<Place>) -> Place {
        end.unwrap_or(Place { chunk: self.chunks.len(), bucket: 0 })
    }

    /// What is in all buckets from `first` up to, not including, `end`.
    fn sum(&self, first: Place, end: Option<Place>) -> Sum {
        let end = self.end(end);
        let part = |chunk: usize, from: usize, to: usize| -> Sum {
            self.chunks[chunk].sums[from..to].iter().copied().sum()
        };
        if first.chunk == end.chunk {
            return part(first.chunk, first.bucket, end.bucket);
        }
        let mut sum = part(first.chunk, first.bucket, self.chunks[first.chunk].sums.len());
        sum += self.chunks[first.chunk + 1..end.chunk].iter().map(|chunk| chunk.total).sum();
        if end.chunk < self.chunks.len() {
            sum += part(end.chunk, 0, end.bucket);
        }
        sum
    }

    /// All keys there are.
    pub fn total(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.total.keys).sum()
    }

    /// At least what `[from, to)` holds: the sum of all buckets that it touches.
    pub fn at_most(&self, from: &[u8], to: Option<&[u8]>) -> Sum {
        if to.is_some_and(|to| to <= from) {
            return Sum::default();
        }
        let last = to.map(|to| self.find(to)).and_then(|place| self.next(place));
        self.sum(self.find(from), last)
    }

    /// At most what `[from, to)` holds: the sum of all buckets that lie within it.
    pub fn at_least(&self, from: &[u8], to: Option<&[u8]>) -> Sum {
        let whole = self.parts(from, to).whole;
        whole.map_or_else(Sum::default, |(first, end)| self.sum(first, end))
    }

    /// Cuts `[from, to)` where buckets end.
    fn parts<'a>(&'a self, from: &[u8], to: Option<&'a [u8]>) -> Parts<'a> {
        let mut parts = Parts { head: None, whole: None, tail: None };
        if to.is_some_and(|to| to <= from) {
            return parts;
        }
        let first = self.find(from);
        let last = to.map(|to| self.find(to));
        if last == Some(first) {
            parts.head = Some(to);
            return parts;
        }
        // The bucket of `from` is whole when the range begins where the bucket does.
        let whole = if self.start(first)[..] == *from {
            first
        } else {
            let Some(edge) = self.next(first) else {
                parts.head = Some(to);
                return parts;
            };
            parts.head = Some(Some(self.start(edge)));
            edge
        };
        parts.whole = Some((whole, last));
        parts.tail = last.map(|last| &self.start(last)[..]);
        parts
    }

    /// What `[from, to)`, which begins in one bucket and ends in it or where it does, holds; its
    /// first `limit` keys, that is.
    fn walk<R: EngineRead>(
        &self,
        engine: &R,
        from: &[u8],
        to: Option<&[u8]>,
        limit: u64,
    ) -> Result<Sum, EngineError> {
        match self.bucket(self.find(from)).keys {
            0 => Ok(Sum::default()),
            _some => walk(engine, from, to, limit),
        }
    }

    /// Exactly what `[from, to)` holds; `engine` must be of the same moment.
    pub fn measure<R: EngineRead>(
        &self,
        engine: &R,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Sum, EngineError> {
        let Parts { head, whole, tail } = self.parts(from, to);
        let mut sum = Sum::default();
        if let Some(head) = head {
            sum += self.walk(engine, from, head, u64::MAX)?;
        }
        if let Some((first, end)) = whole {
            sum += self.sum(first, end);
        }
        if let Some(tail) = tail {
            sum += self.walk(engine, tail, to, u64::MAX)?;
        }
        Ok(sum)
    }

    /// Exactly what the first `limit` keys of `[from, to)` weigh; it must hold more than that.
    pub fn measure_first<R: EngineRead>(
        &self,
        engine: &R,
        from: &[u8],
        to: Option<&[u8]>,
        limit: u64,
    ) -> Result<Sum, EngineError> {
        let Parts { head, whole, tail } = self.parts(from, to);
        let mut sum = Sum::default();
        if let Some(head) = head {
            sum += self.walk(engine, from, head, limit)?;
        }
        let left = |sum: &Sum| limit - sum.keys;
        if let Some((first, end)) = whole {
            let end = self.end(end);
            let mut place = first;
            // Whole chunks first, then whole buckets, then a part of one.
            while place < end && left(&sum) > 0 {
                let chunk = &self.chunks[place.chunk];
                if place.bucket == 0 && place.chunk < end.chunk && chunk.total.keys <= left(&sum) {
                    sum += chunk.total;
                    place.chunk += 1;
                    continue;
                }
                let bucket = self.bucket(place);
                let next = self.next(place);
                if bucket.keys <= left(&sum) {
                    sum += bucket;
                } else {
                    let edge = next.map(|next| &self.start(next)[..]);
                    sum += self.walk(engine, self.start(place), edge, left(&sum))?;
                }
                place = self.end(next);
            }
        }
        if let Some(tail) = tail.filter(|_| left(&sum) > 0) {
            sum += self.walk(engine, tail, to, left(&sum))?;
        }
        Ok(sum)
    }
}

/// The first `limit` keys of `[from, to)`, one by one.
fn walk<R: EngineRead>(
    engine: &R,
    from: &[u8],
    to: Option<&[u8]>,
    limit: u64,
) -> Result<Sum, EngineError> {
    let (low, high) = current_bounds(from, to);
    let mut sum = Sum::default();
    if limit > 0 {
        for pair in engine.range(&low, Some(&high)) {
            let (key, record) = pair?;
            sum += Sum { keys: 1, bytes: weight::of_record(&key[1..], &record)? };
            if sum.keys == limit {
                break;
            }
        }
    }
    Ok(sum)
}

/// Where the newest versions of `[from, to)` lie in an engine.
pub(crate) fn current_bounds(from: &[u8], to: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let high = to.map_or_else(|| vec![CURRENT + 1], |to| layout::plain(CURRENT, to));
    (layout::plain(CURRENT, from), high)
}
