//! The engine against a BTreeMap: the same random operations, the same answers, from both ends,
//! while flushes and merges go on underneath; and views that stay as they were published.

use quorate_storage::engine::{LsmEngine, Options, View};
use quorate_store::{Engine, EngineRead};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Memtables so small that a few hundred operations pass through every layer.
const TINY: Options =
    Options { memtable_bytes: 24 << 10, cache_bytes: 1 << 20, table_bytes: 32 << 10 };

/// A small seeded generator (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }

    fn key(&mut self) -> Vec<u8> {
        format!("k{:03}", self.below(400)).into_bytes()
    }
}

fn pairs(model: &Model, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    if to.is_some_and(|to| to <= from) {
        return Vec::new();
    }
    let to = to.map_or(Bound::Unbounded, Bound::Excluded);
    let range = model.range::<[u8], _>((Bound::Included(from), to));
    range.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn collect(read: &dyn EngineRead, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = read.range(from, to).map(Result::unwrap);
    pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Compares a random range walked forwards, backwards, and from both ends in random turns.
fn compare_range(read: &dyn EngineRead, model: &Model, dice: &mut Dice) {
    let (from, to) = (dice.key(), dice.key());
    let from = if dice.below(5) == 0 { Vec::new() } else { from };
    let to = (dice.below(5) > 0).then_some(&to[..]);
    let expected = pairs(model, &from, to);
    assert_eq!(collect(read, &from, to), expected);

    let backwards: Vec<_> = read.range(&from, to).rev().map(|pair| pair.unwrap().0).collect();
    assert!(backwards.iter().rev().eq(expected.iter().map(|(key, _)| key)));

    let mut walk = read.range(&from, to);
    let (mut front, mut back) = (0, expected.len());
    while front < back {
        let (pair, at) = if dice.below(2) == 0 {
            front += 1;
            (walk.next(), front - 1)
        } else {
            back -= 1;
            (walk.next_back(), back)
        };
        let (key, value) = pair.expect("as many pairs as the model has").unwrap();
        assert_eq!((&key[..], &value[..]), (&expected[at].0[..], &expected[at].1[..]));
    }
    assert!(walk.next().is_none(), "a walk that met itself gives no pair twice");
    assert!(walk.next_back().is_none());
}

fn compare(read: &dyn EngineRead, model: &Model, dice: &mut Dice) {
    for _ in 0..20 {
        let key = dice.key();
        assert_eq!(read.get(&key).unwrap().as_deref(), model.get(&key).map(|v| &v[..]));
    }
    compare_range(read, model, dice);
}

/// One random write, to both.
fn write(engine: &mut LsmEngine, model: &mut Model, dice: &mut Dice, stamp: u64) {
    let key = dice.key();
    if dice.below(4) == 0 {
        engine.delete(&key);
        model.remove(&key);
    } else {
        let len = if dice.below(50) == 0 { 9_000 } else { dice.below(200) };
        let value = stamp.to_be_bytes().into_iter().cycle().take(len as usize).collect::<Vec<u8>>();
        engine.put(&key, &value);
        model.insert(key, value);
    }
}

#[test]
fn answers_like_an_ordered_map() {
    for seed in 1..=6 {
        let dir = tempfile::tempdir().unwrap();
        let mut dice = Dice::new(seed);
        let mut engine = LsmEngine::open(dir.path(), TINY).unwrap();
        let mut model = Model::new();
        let mut mark = 0;
        for step in 0..400 {
            // Some batches are larger than all memtables together.
            let writes = if dice.below(60) == 0 { 1_500 } else { dice.below(30) };
            for write_number in 0..writes {
                write(&mut engine, &mut model, &mut dice, step * 2_000 + write_number);
                if dice.below(writes.max(20)) == 0 {
                    compare(&engine, &model, &mut dice);
                }
            }
            mark += 1 + dice.below(3);
            let view = engine.publish(mark).unwrap();
            compare(&view, &model, &mut dice);
            assert!(engine.synced() <= mark);
            match dice.below(60) {
                0 => engine.request_sync(),
                1 => assert_eq!(engine.sync().unwrap(), mark),
                2 => {
                    // A clean restart after a sync loses nothing.
                    engine.sync().unwrap();
                    drop((view, engine));
                    engine = LsmEngine::open(dir.path(), TINY).unwrap();
                    assert_eq!((engine.mark(), engine.synced()), (mark, mark));
                    compare(&engine, &model, &mut dice);
                }
                3.. => {}
            }
        }
        assert!(engine.wait_quiet(Duration::from_secs(60)));
        assert_eq!(collect(&engine, b"", None), pairs(&model, b"", None));
    }
}

#[test]
fn views_stay_as_they_were_published() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice::new(99);
    let mut engine = LsmEngine::open(dir.path(), TINY).unwrap();
    let mut model = Model::new();
    let mut held: Vec<(View, Model)> = Vec::new();
    for mark in 1..=1500 {
        for write_number in 0..dice.below(20) {
            write(&mut engine, &mut model, &mut dice, mark * 100 + write_number);
        }
        let view = engine.publish(mark).unwrap();
        assert_eq!(view.mark(), mark);
        if dice.below(40) == 0 {
            held.push((view, model.clone()));
        }
        if held.len() > 12 {
            held.swap_remove(dice.below(12) as usize);
        }
        if mark % 100 == 0 {
            for (view, model) in &held {
                assert_eq!(collect(view, b"", None), pairs(model, b"", None), "{}", view.mark());
                compare(view, model, &mut dice);
            }
        }
    }
    assert!(engine.wait_quiet(Duration::from_secs(60)));
    assert!(engine.synced() > 0, "memtables were flushed on the way");
    // Views outlive their engine: their tables are unlinked only when they go.
    drop(engine);
    for (view, model) in &held {
        assert_eq!(collect(view, b"", None), pairs(model, b"", None));
    }
}

#[test]
fn readers_on_other_threads_see_whole_batches() {
    // Every batch writes its number under all keys: a reader must never see two numbers.
    const KEYS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), TINY).unwrap();
    let key = |id: u64| format!("key-{id:03}").into_bytes();
    let (send, receive) = std::sync::mpsc::sync_channel::<View>(4);
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        for view in receive {
            let walk = view.range(b"key-", None);
            let numbers: Vec<u64> = walk
                .map(|pair| u64::from_be_bytes(pair.unwrap().1[..8].try_into().unwrap()))
                .collect();
            assert_eq!(numbers, vec![view.mark(); KEYS as usize]);
            seen += 1;
        }
        seen
    });
    for mark in 1..=3000u64 {
        for id in 0..KEYS {
            engine.put(&key(id), &mark.to_be_bytes());
        }
        let view = engine.publish(mark).unwrap();
        // A reader that is busy with an older view skips this one.
        let _ = send.try_send(view);
    }
    drop(send);
    assert!(reader.join().unwrap() > 0);
}
