//! The count index against counting and weighing one by one.

use super::*;
use crate::layout::{CURRENT, Header, Stamp};
use crate::{EngineRead, MemEngine, Pair};
use quorate_base::Dice;
use std::cell::Cell;

const TINY: Limits = Limits { full: 8, heavy: 800, sparse: 3, joined: 6, wide: 8, narrow: 3 };

/// Keys that exist, with their weights.
type Model = BTreeMap<Bytes, u64>;

fn assert_invariants(index: &CountIndex) {
    let mut starts = Vec::new();
    for chunk in index.chunks.iter() {
        assert!(!chunk.sums.is_empty() && chunk.sums.len() == chunk.starts.len());
        assert!(chunk.sums.len() <= TINY.wide);
        assert_eq!(chunk.total, chunk.sums.iter().copied().sum());
        for Sum { keys, bytes } in &chunk.sums {
            assert!(*keys <= TINY.full && (*keys <= 1 || *bytes <= TINY.heavy));
        }
        starts.extend(chunk.starts.iter().cloned());
    }
    assert!(starts[0].is_empty());
    assert!(starts.is_sorted_by(|a, b| a < b));
}

fn assert_counts(index: &CountIndex, engine: &MemEngine, keys: &Model, dice: &mut Dice) {
    assert_invariants(index);
    assert_eq!(index.total(), keys.len() as u64);
    let key = |dice: &mut Dice| format!("{:03}", dice.below(1_100));
    for _ in 0..5 {
        let (from, to) = (key(dice), key(dice));
        let from = if dice.chance(100_000) { String::new() } else { from };
        let from = from.as_bytes();
        for to in [Some(to.as_bytes()), None] {
            let inside = |k: &Bytes| k[..] >= *from && to.is_none_or(|to| k[..] < *to);
            let inside = keys.iter().filter(|(key, _)| inside(key));
            let inside: Vec<Sum> = inside.map(|(_, w)| Sum { keys: 1, bytes: *w }).collect();
            let want = inside.iter().copied().sum();
            assert_eq!(index.measure(engine, from, to).unwrap(), want);
            let (least, most) = (index.at_least(from, to), index.at_most(from, to));
            assert!(least.keys <= want.keys && want.keys <= most.keys);
            assert!(least.bytes <= want.bytes && want.bytes <= most.bytes);
            let limit = dice.below(want.keys + 1);
            let first = inside.iter().copied().take(limit as usize).sum();
            assert_eq!(index.measure_first(engine, from, to, limit).unwrap(), first);
        }
    }
}

/// Writes a record with a value of this size; returns its weight.
fn write(engine: &mut MemEngine, key: &[u8], value: u64) -> u64 {
    let begun = Stamp { revision: 1 + value as i64, sub: 0 };
    let mut record = Vec::new();
    Header { begun, create: 1, version: 1, lease: 0 }.write(&mut record);
    record.resize(record.len() + value as usize, 7);
    engine.put(&layout::plain(CURRENT, key), &record);
    weight::of_record(key, &record).unwrap()
}

fn size(dice: &mut Dice) -> u64 {
    match dice.below(20) {
        0 => dice.below(2_000),
        1..=4 => dice.below(300),
        _most => dice.below(40),
    }
}

#[test]
fn buckets_and_chunks_split_and_join_and_every_sum_stays_exact() {
    let mut dice = Dice::new(21);
    let mut engine = MemEngine::new();
    let mut counter = Counter::with(&engine, TINY).unwrap();
    let (mut keys, mut copies) = (Model::new(), Vec::new());
    let (mut most, mut least) = (0, usize::MAX);
    for step in 0..20_000u32 {
        let key = Bytes::from(format!("{:03}", dice.below(1_000)));
        // Up to nearly all keys, down to nearly none, and again.
        let births = if (step / 4_000).is_multiple_of(2) { 900_000 } else { 60_000 };
        if dice.chance(births) {
            let weight = write(&mut engine, &key, size(&mut dice));
            match keys.insert(key.clone(), weight) {
                None => counter.birth(&engine, &key, weight).unwrap(),
                Some(old) => counter.update(&engine, &key, old, weight).unwrap(),
            }
        } else if let Some(weight) = keys.remove(&key) {
            engine.delete(&layout::plain(CURRENT, &key));
            counter.death(&key, weight);
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
    assert!(most > 20 && least < 8, "too tame: {most} chunks at most, {least} at least");
}

#[test]
fn a_state_without_weights_is_weighed_and_cut() {
    let mut dice = Dice::new(5);
    let mut engine = MemEngine::new();
    // As a build left it that cut by numbers alone, and records that one that went back left behind.
    engine.put(&[BUCKET], &0u32.to_be_bytes());
    let mut keys = Model::new();
    for (at, start) in (0..1_000u32).step_by(7).enumerate() {
        let name = |number: u32| Bytes::from(format!("{number:03}"));
        engine.put(&layout::plain(BUCKET, &name(start)), &7u32.to_be_bytes());
        engine.put(&[&WEIGHT[..], &name(start + 1)].concat(), &99u64.to_be_bytes());
        // One in three buckets is empty, though it says that it is not.
        for number in (start..start + 7).filter(|_| at % 3 > 0) {
            let weight = write(&mut engine, &name(number), size(&mut dice));
            keys.insert(name(number), weight);
        }
    }
    let mut weigher = Weigher::with(&engine, TINY).unwrap();
    for pair in engine.range(&[CURRENT], Some(&[CURRENT + 1])) {
        let (key, record) = pair.unwrap();
        weigher.see(&key[1..], &record).unwrap();
    }
    let mut counter = weigher.finish();
    assert_counts(counter.index(), &engine, &keys, &mut dice);
    counter.store(&mut engine);
    let again = Counter::with(&engine, TINY).unwrap();
    assert_counts(again.index(), &engine, &keys, &mut dice);
    let records = |prefix: &[u8]| stored(&engine, prefix).unwrap().len();
    let buckets: usize = again.index().chunks.iter().map(|chunk| chunk.sums.len()).sum();
    assert_eq!((records(&[BUCKET]), records(&WEIGHT)), (buckets, buckets), "nothing is left over");
}

/// Counts the bytes that are read.
struct Watched<'a>(&'a MemEngine, Cell<usize>);

impl EngineRead for Watched<'_> {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>, EngineError> {
        unreachable!("counts walk")
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a> {
        Box::new(self.0.range(from, to).inspect(|pair| {
            let (key, value) = pair.as_ref().expect("memory does not fail");
            self.1.set(self.1.get() + key.len() + value.len());
        }))
    }
}

#[test]
fn what_a_count_reads_does_not_grow_with_the_values() {
    const LARGE: u64 = 1 << 20;
    let mut engine = MemEngine::new();
    let mut counter = Counter::open(&engine).unwrap();
    for number in 0..128 {
        let key = format!("{number:03}");
        let weight = write(&mut engine, key.as_bytes(), LARGE);
        counter.birth(&engine, key.as_bytes(), weight).unwrap();
    }
    for number in 200..900 {
        let key = format!("{number:03}");
        let weight = write(&mut engine, key.as_bytes(), 4 << 10);
        counter.birth(&engine, key.as_bytes(), weight).unwrap();
    }
    let engine = Watched(&engine, Cell::new(0));
    let index = counter.index();
    assert_eq!(index.measure(&engine, b"000\0", Some(b"064")).unwrap().keys, 63);
    assert!(engine.1.replace(0) < 3 << 20, "one value at either end");
    let first = index.measure_first(&engine, b"000\0", Some(b"128"), 100).unwrap();
    assert!(first.keys == 100 && first.bytes > 100 * LARGE);
    assert!(engine.1.replace(0) < 3 << 20);
    assert_eq!(index.measure(&engine, b"2005", Some(b"8005")).unwrap().keys, 600);
    assert!(engine.1.replace(0) <= 2 * SHIPPED.heavy as usize + (64 << 10));
}
