//! Large values, emptied spaces, a disk that falls behind, and one that fails.

use quorate_storage::engine::{LsmEngine, MAX_KEY_BYTES, Options, StateError};
use quorate_store::{Engine, EngineRead};
use std::time::{Duration, Instant};

const SMALL: Options =
    Options { memtable_bytes: 256 << 10, cache_bytes: 2 << 20, table_bytes: 512 << 10 };

/// Bytes that do not compress, told apart by their stamp.
fn bytes(stamp: u64, len: usize) -> Vec<u8> {
    let mut state = stamp.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn key(id: u64) -> Vec<u8> {
    format!("key-{id:06}").into_bytes()
}

#[test]
fn large_values_and_keys_come_back_whole() {
    const LARGEST: usize = 1_572_864;
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    let longest = vec![b'z'; MAX_KEY_BYTES];
    for round in 1..=3 {
        for id in 0..8 {
            engine.put(&key(id), &bytes(id * round, LARGEST - id as usize));
        }
        engine.put(&longest, &bytes(round, 10));
        engine.put(b"empty", b"");
        engine.publish(round).unwrap();
    }
    engine.sync().unwrap();
    assert!(engine.wait_quiet(Duration::from_secs(60)));
    drop(engine);
    let engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    for id in 0..8 {
        let value = engine.get(&key(id)).unwrap().unwrap();
        assert!(value == bytes(id * 3, LARGEST - id as usize), "value {id}");
    }
    assert_eq!(engine.get(&longest).unwrap().unwrap(), bytes(3, 10));
    assert_eq!(engine.get(b"empty").unwrap().unwrap(), "");
    let lengths: Vec<usize> =
        engine.range(b"key-", Some(b"key.")).map(|p| p.unwrap().1.len()).collect();
    assert_eq!(lengths, (0..8).map(|id| LARGEST - id).collect::<Vec<_>>());
}

#[test]
#[should_panic(expected = "a key has at most")]
fn a_longer_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    engine.put(&vec![b'z'; MAX_KEY_BYTES + 1], b"");
}

#[test]
fn an_emptied_space_is_empty_and_its_deletes_are_forgotten() {
    const KEYS: u64 = 30_000;
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    let mut mark = 0;
    let mut publish = |engine: &mut LsmEngine| {
        mark += 1;
        engine.publish(mark).unwrap()
    };
    for id in 0..KEYS {
        engine.put(&key(id), &bytes(id, 100));
        if id % 100 == 99 {
            publish(&mut engine);
        }
    }
    let full = publish(&mut engine);
    engine.sync().unwrap();
    for id in 0..KEYS {
        engine.delete(&key(id));
        if id % 100 == 99 {
            publish(&mut engine);
        }
    }
    assert_eq!(engine.range(b"", None).count(), 0);
    assert_eq!(engine.range(b"", None).rev().count(), 0);
    let empty = publish(&mut engine);
    engine.sync().unwrap();
    assert!(engine.wait_quiet(Duration::from_secs(60)));
    let stats = engine.stats();
    assert!(stats.tombstones < 10_000, "{stats:?}");
    assert!(stats.disk_bytes < 1 << 20, "{stats:?}");
    // The view from before the deletes still reads all of it, from tables that are gone by name.
    assert_eq!(full.range(b"", None).count() as u64, KEYS);
    assert_eq!(full.get(&key(77)).unwrap().unwrap(), bytes(77, 100));
    assert_eq!(empty.range(b"", None).count(), 0);
    // When the last view goes, so do its files.
    drop((full, empty));
    let deadline = Instant::now() + Duration::from_secs(30);
    while on_disk(dir.path()) > 1 << 20 {
        assert!(Instant::now() < deadline, "{} bytes stay on disk", on_disk(dir.path()));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(engine);
    let engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    assert_eq!(engine.range(b"", None).count(), 0);
}

/// Deletes take so little room that a table of them reaches over hundreds of tables of what they delete,
/// which is more than any step of a merge takes at once.
#[test]
fn deletes_of_large_values_give_the_disk_back() {
    const KEYS: u64 = 12_000;
    let options = Options { memtable_bytes: 2 << 20, cache_bytes: 1 << 20, table_bytes: 64 << 10 };
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), options).unwrap();
    for id in 0..KEYS {
        engine.put(&key(id), &bytes(id, 1_500));
        if id % 100 == 99 {
            engine.publish(1 + id).unwrap();
        }
    }
    engine.sync().unwrap();
    assert!(engine.wait_quiet(Duration::from_secs(60)));
    let full = engine.stats().disk_bytes;
    for id in 0..KEYS {
        engine.delete(&key(id));
    }
    engine.publish(1 + KEYS).unwrap();
    engine.sync().unwrap();
    assert!(engine.wait_quiet(Duration::from_secs(60)));
    let stats = engine.stats();
    assert!(full > KEYS * 1_500 && stats.disk_bytes < full / 20, "{full} bytes became {stats:?}");
}

fn on_disk(dir: &std::path::Path) -> u64 {
    let tables = std::fs::read_dir(dir.join("tables")).unwrap();
    // A file may be unlinked between the listing and the look at it.
    tables.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

#[test]
fn a_batch_larger_than_memory_is_one_step() {
    const KEYS: u64 = 40_000;
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    engine.put(&key(1), b"before");
    engine.put(b"other", b"stays");
    let before = engine.publish(1).unwrap();
    engine.sync().unwrap();
    let fill = |engine: &mut LsmEngine| {
        for id in 0..KEYS {
            engine.put(&key(id), &bytes(id, 250));
        }
        for id in 0..KEYS / 2 {
            engine.delete(&key(id * 2));
        }
    };
    fill(&mut engine);
    // The writer sees all of it, a view of what was published nothing, while it lies in several tables.
    assert_eq!(engine.range(b"key-", Some(b"key.")).count() as u64, KEYS / 2);
    assert_eq!(engine.get(&key(7)).unwrap().unwrap(), bytes(7, 250));
    assert_eq!(engine.get(&key(8)).unwrap(), None);
    for view in [&before, &engine.view()] {
        assert_eq!(view.range(b"", None).count(), 2);
        assert_eq!(view.get(&key(1)).unwrap().unwrap(), "before");
    }
    assert_eq!(engine.synced(), 1);
    // A crash now leaves nothing of it, and no file.
    drop(engine);
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    assert_eq!((engine.mark(), engine.range(b"", None).count()), (1, 2));
    assert!(on_disk(dir.path()) < 10_000, "{} bytes stay on disk", on_disk(dir.path()));

    fill(&mut engine);
    let after = engine.publish(2).unwrap();
    let whole = |read: &dyn EngineRead| {
        assert_eq!(read.range(b"key-", Some(b"key.")).count() as u64, KEYS / 2);
        assert_eq!(read.range(b"", None).rev().count() as u64, KEYS / 2 + 1);
        assert_eq!(read.get(&key(1)).unwrap().unwrap(), bytes(1, 250));
        assert_eq!(read.get(&key(8)).unwrap(), None);
    };
    whole(&after);
    assert_eq!(engine.sync(), Ok(2));
    whole(&engine.view());
    assert_eq!(before.range(b"", None).count(), 2);
    drop((before, after));
    drop(engine);
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    assert_eq!(engine.mark(), 2);
    whole(&engine);
    // What was spilled is not kept beside the table that it was merged into.
    assert!(engine.wait_quiet(Duration::from_secs(60)));
    let limit = KEYS / 2 * 400;
    assert!(on_disk(dir.path()) < limit, "{} bytes stay on disk", on_disk(dir.path()));
}

#[test]
fn a_refreshed_view_reads_tables_where_the_old_one_held_memtables() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    assert!(engine.refresh().is_none());
    for id in 0..1_000 {
        engine.put(&key(id), &bytes(id, 300));
    }
    let held = engine.publish(7).unwrap();
    // It was sealed by its size; nobody publishes any more.
    let deadline = Instant::now() + Duration::from_secs(30);
    let fresh = loop {
        if let Some(view) = engine.refresh() {
            break view;
        }
        assert!(Instant::now() < deadline, "nothing was flushed");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((fresh.mark(), engine.sync()), (7, Ok(7)));
    for view in [&held, &fresh] {
        assert_eq!(view.range(b"", None).count(), 1_000);
        assert_eq!(view.get(&key(9)).unwrap().unwrap(), bytes(9, 300));
    }
    assert!(engine.stats().items >= 1_000, "{:?}", engine.stats());
}

#[test]
fn a_key_written_over_and_over_is_one_pair_to_every_view() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { memtable_bytes: 64 << 20, ..SMALL };
    let mut engine = LsmEngine::open(dir.path(), options).unwrap();
    engine.put(b"counter", &1u64.to_be_bytes());
    let held = engine.publish(1).unwrap();
    let mut middle = None;
    for mark in 2..=20_000u64 {
        engine.put(b"counter", &mark.to_be_bytes());
        let view = engine.publish(mark).unwrap();
        if mark == 10_000 {
            middle = Some(view);
        }
    }
    let read = |view: &dyn EngineRead| {
        let pairs: Vec<_> = view.range(b"a", None).map(Result::unwrap).collect();
        assert_eq!(pairs.len(), 1);
        assert_eq!(view.get(b"counter").unwrap().as_ref(), Some(&pairs[0].1));
        u64::from_be_bytes(pairs[0].1[..].try_into().unwrap())
    };
    assert_eq!((read(&held), read(&middle.unwrap()), read(&engine)), (1, 10_000, 20_000));
}

#[test]
fn a_failing_disk_comes_out_of_the_next_publish() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    engine.put(b"key", b"value");
    engine.publish(1).unwrap();
    engine.sync().unwrap();
    // The tables' directory is gone: every flush fails from now on.
    std::fs::remove_dir_all(dir.path().join("tables")).unwrap();
    engine.put(b"key", b"other");
    engine.publish(2).unwrap();
    engine.request_sync();
    let deadline = Instant::now() + Duration::from_secs(30);
    let error = loop {
        assert!(Instant::now() < deadline, "the failure never came out");
        if let Err(error) = engine.publish(3) {
            break error;
        }
    };
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    assert!(engine.sync().is_err());
    assert_eq!(engine.synced(), 1, "what failed is not called durable");
}

#[test]
fn damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LsmEngine::open(dir.path(), SMALL).unwrap();
    engine.put(b"key", b"value");
    engine.publish(1).unwrap();
    engine.sync().unwrap();
    drop(engine);
    std::fs::write(dir.path().join("current"), b"nonsense that is long enough to be read").unwrap();
    let Err(error) = LsmEngine::open(dir.path(), SMALL) else { panic!("it opened") };
    assert!(matches!(error, StateError::Damaged { .. } | StateError::Io { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()));
}
