//! Switching from one whole state to another, with a crash at every point on the way.

use quorate_storage::engine::{Generations, LsmEngine, OpenGeneration, Options, StateError};
use quorate_store::{Engine, EngineRead};
use std::path::Path;

const SMALL: Options =
    Options { memtable_bytes: 64 << 10, cache_bytes: 1 << 20, table_bytes: 64 << 10 };

fn fill(engine: &mut LsmEngine, what: &[u8], mark: u64) {
    for id in 0..500u32 {
        engine.put(&id.to_be_bytes(), what);
    }
    engine.publish(mark).unwrap();
    engine.sync().unwrap();
}

/// Opens the directory as a new process would and says whose bytes are there.
fn reopened(dir: &Path) -> (u64, Vec<u8>, u64) {
    let generations = Generations::open(dir, SMALL).unwrap();
    let engine = generations.open_current().unwrap();
    let pairs: Vec<_> = engine.range(b"", None).map(Result::unwrap).collect();
    assert!(pairs.len() == 500 || pairs.is_empty(), "a whole state or none: {}", pairs.len());
    assert!(pairs.windows(2).all(|two| two[0].1 == two[1].1), "never a mixture of two");
    let value = pairs.first().map_or(Vec::new(), |pair| pair.1.to_vec());
    (generations.current(), value, engine.mark())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// An old state at mark 10, and a new one, filled as far as asked.
fn prepare(dir: &Path) -> (Generations, LsmEngine, OpenGeneration) {
    let mut generations = Generations::open(dir, SMALL).unwrap();
    let mut old = generations.open_current().unwrap();
    fill(&mut old, b"old", 10);
    let next = generations.create_next().unwrap();
    (generations, old, next)
}

#[test]
fn a_switch_replaces_the_whole_state() {
    let dir = tempfile::tempdir().unwrap();
    let (mut generations, old, mut next) = prepare(dir.path());
    let view = old.view();
    fill(&mut next.engine, b"new", 20);
    generations.switch(&next, &old).unwrap();
    assert_eq!(generations.current(), next.number);
    // Readers of the old state finish in peace, then it is removed.
    assert_eq!(view.get(&7u32.to_be_bytes()).unwrap().unwrap(), "old");
    drop(old);
    assert!(generations.remove_replaced().unwrap(), "it is still read");
    assert_eq!(view.get(&8u32.to_be_bytes()).unwrap().unwrap(), "old");
    drop(view);
    assert!(!generations.remove_replaced().unwrap(), "nobody reads it");
    assert_eq!(names(dir.path()), ["CURRENT", "LOCK", &format!("gen-{}", next.number)]);
    fill(&mut next.engine, b"newer", 30);
    drop((next, generations));
    assert_eq!(reopened(dir.path()), (2, b"newer".to_vec(), 30));
}

#[test]
fn a_crash_before_the_switch_opens_the_old_state() {
    for filled in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (generations, old, mut next) = prepare(dir.path());
        if filled {
            fill(&mut next.engine, b"new", 20);
        } else {
            next.engine.put(b"half", b"a snapshot");
        }
        drop((old, next, generations));
        assert_eq!(reopened(dir.path()), (1, b"old".to_vec(), 10));
        assert_eq!(names(dir.path()), ["CURRENT", "LOCK", "gen-1"], "the unfinished one is gone");
    }
}

#[test]
fn a_crash_within_the_switch_opens_one_of_the_two() {
    // The draft of the pointer was written, whole or in part, and not renamed.
    for draft in [&b""[..], b"quorate-sta", b"quorate-state 1 gen 2\n"] {
        let dir = tempfile::tempdir().unwrap();
        let (generations, old, mut next) = prepare(dir.path());
        fill(&mut next.engine, b"new", 20);
        drop((old, next, generations));
        std::fs::write(dir.path().join("CURRENT.new"), draft).unwrap();
        assert_eq!(reopened(dir.path()), (1, b"old".to_vec(), 10));
    }
}

#[test]
fn a_crash_after_the_switch_opens_the_new_state() {
    let dir = tempfile::tempdir().unwrap();
    let (mut generations, old, mut next) = prepare(dir.path());
    fill(&mut next.engine, b"new", 20);
    generations.switch(&next, &old).unwrap();
    drop((old, next, generations));
    assert_eq!(reopened(dir.path()), (2, b"new".to_vec(), 20));
    assert_eq!(names(dir.path()), ["CURRENT", "LOCK", "gen-2"], "the replaced one is gone");
}

#[test]
fn an_abandoned_generation_is_not_given_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut generations, _old, next) = prepare(dir.path());
    let abandoned = next.number;
    drop(next);
    assert!(generations.create_next().unwrap().number > abandoned);
}

#[test]
#[should_panic(expected = "a generation is synced before it is switched to")]
fn what_was_not_synced_is_not_switched_to() {
    let dir = tempfile::tempdir().unwrap();
    let (mut generations, old, mut next) = prepare(dir.path());
    next.engine.put(b"key", b"value");
    next.engine.publish(20).unwrap();
    let _ = generations.switch(&next, &old);
}

#[test]
fn a_directory_has_one_process_and_one_format() {
    let dir = tempfile::tempdir().unwrap();
    let first = Generations::open(dir.path(), SMALL).unwrap();
    let second = Generations::open(dir.path(), SMALL);
    assert!(matches!(second, Err(StateError::Locked { .. })));
    drop(first);
    std::fs::write(dir.path().join("CURRENT"), "quorate-state 2 gen 1\n").unwrap();
    let Err(error) = Generations::open(dir.path(), SMALL) else { panic!("it opened") };
    assert!(matches!(error, StateError::Format { .. }));
    assert!(error.to_string().contains("quorate-state 2 gen 1"), "{error}");
}
