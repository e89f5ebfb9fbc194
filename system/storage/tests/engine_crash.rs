//! A crash loses and tears what was not synced; the engine opens exactly at a published state, at or
//! after the last sync it told of, and goes on from there.
//!
//! The writer is this test binary, started again as a child that aborts at a random moment, in the
//! middle of whatever its threads do. Then the disk is made to lie: files written after the newest
//! manifest switch, which therefore nobody synced, are torn, cut or dropped.

use quorate_storage::engine::{LsmEngine, Options};
use quorate_store::{Engine, EngineRead};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SMALL: Options =
    Options { memtable_bytes: 256 << 10, cache_bytes: 4 << 20, table_bytes: 256 << 10 };

/// Tells the child from the test: the directory to write in and the seed.
const CHILD: &str = "QUORATE_ENGINE_CRASH_CHILD";

/// A small seeded generator (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.below(2);
        dice
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        let block: Vec<u8> = (0..8).flat_map(|_| self.below(u64::MAX).to_le_bytes()).collect();
        let mut bytes = block.repeat(len.div_ceil(64) as usize);
        bytes.truncate(len as usize);
        bytes
    }
}

type Write = (Vec<u8>, Option<Vec<u8>>);

/// The batch of a mark, the same in the child, in the judge and after a replay.
fn batch(seed: u64, mark: u64) -> Vec<Write> {
    let mut dice = Dice::new(seed ^ mark.wrapping_mul(0x1000_0001));
    let mut writes = vec![(b"mark".to_vec(), Some(mark.to_be_bytes().to_vec()))];
    for _ in 0..dice.below(20) {
        let key = format!("c{:04}", dice.below(1500)).into_bytes();
        let value = match dice.below(200) {
            0..30 => None,
            30 => Some(1 + dice.below(1_572_864)),
            31..40 => Some(65_536),
            40.. => Some(dice.below(300)),
        };
        writes.push((key, value.map(|len| dice.bytes(len))));
    }
    writes
}

fn model(seed: u64, mark: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for (key, value) in (1..=mark).flat_map(|mark| batch(seed, mark)) {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
    state
}

/// Runs only as a child: writes from where the directory stands, tells each synced mark, aborts.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let mut words = task.splitn(3, ' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (seed, round) = (number(), number());
    let dir = PathBuf::from(words.next().unwrap());
    let mut dice = Dice::new(seed * 131 + round);
    let mut engine = LsmEngine::open(&dir.join("state"), SMALL).unwrap();
    let last = engine.mark() + 20 + dice.below(250);
    for mark in engine.mark() + 1..=last {
        for (key, value) in batch(seed, mark) {
            match value {
                Some(value) => engine.put(&key, &value),
                None => engine.delete(&key),
            }
        }
        engine.publish(mark).unwrap();
        if dice.below(40) == 0 {
            engine.request_sync();
        }
        std::fs::write(dir.join("synced"), engine.synced().to_string()).unwrap();
    }
    // Half of a batch that is never published.
    engine.put(b"c0000", b"nobody may ever see this");
    std::process::abort();
}

fn run_child(dir: &Path, seed: u64, round: u64) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--test-threads", "1"])
        .env(CHILD, format!("{seed} {round} {}", dir.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success(), "the child dies by its own hand");
}

/// Opens what the crash left and compares it with the model of the mark it opened at.
fn judge(state: &Path, seed: u64, synced: u64) -> u64 {
    let engine = LsmEngine::open(state, SMALL).unwrap();
    let mark = engine.mark();
    assert!(mark >= synced, "opened at {mark}, before the sync at {synced}");
    assert_eq!(engine.synced(), mark);
    let expected = model(seed, mark);
    let found = engine.range(b"", None).map(Result::unwrap);
    let found: Vec<_> = found.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert_eq!(found.len(), expected.len(), "at mark {mark}");
    assert!(found.iter().zip(&expected).all(|(a, b)| a.0 == *b.0 && a.1 == *b.1), "at {mark}");
    mark
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn tear(path: &Path, dice: &mut Dice) {
    let mut bytes = std::fs::read(path).unwrap();
    match dice.below(5) {
        0 => return std::fs::remove_file(path).unwrap(),
        1 => bytes.truncate(dice.below(bytes.len() as u64 + 1) as usize),
        2 => bytes.fill(0),
        3 => {
            let from = dice.below(bytes.len() as u64 + 1) as usize;
            bytes[from..].fill(0);
        }
        4.. => {
            for page in bytes.chunks_mut(4096) {
                if dice.below(2) == 0 {
                    page.fill(dice.below(256) as u8);
                }
            }
        }
    }
    std::fs::write(path, bytes).unwrap();
}

/// Everything synced is older than the newest switch of the manifest; the rest is fair game.
fn tear_unsynced(state: &Path, dice: &mut Dice) {
    let written = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
    let switch = written(&state.join("current"));
    for path in files(state) {
        if written(&path) > switch {
            tear(&path, dice);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}

#[test]
fn opens_at_a_published_state_after_every_crash() {
    if std::env::var(CHILD).is_ok() {
        return;
    }
    let mut opened_later_than_told = 0;
    for seed in 1..=12 {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut dice = Dice::new(seed * 7);
        let mut last = 0;
        for round in 0..4 {
            let before = dir.path().join(format!("before-{round}"));
            if round > 0 {
                copy(&state, &before);
            }
            run_child(dir.path(), seed, round);
            let synced = std::fs::read_to_string(dir.path().join("synced")).unwrap();
            let synced: u64 = synced.parse().unwrap();
            tear_unsynced(&state, &mut dice);
            if round > 0 {
                switch_was_lost(&before, &state, seed, last, &mut dice);
            }
            last = judge(&state, seed, synced);
            opened_later_than_told += u64::from(last > synced);
        }
        assert!(last > 0, "something was synced on the way");
    }
    println!("{opened_later_than_told} of 48 crashes opened later than the last sync told of");
}

/// The same crash, had the disk lost the manifest switch itself and all that came with it: the old
/// files are there, new ones lie about in pieces, and the state is the one before.
fn switch_was_lost(before: &Path, live: &Path, seed: u64, mark: u64, dice: &mut Dice) {
    for path in files(live) {
        let target = before.join(path.strip_prefix(live).unwrap());
        if !target.exists() {
            std::fs::copy(&path, &target).unwrap();
            tear(&target, dice);
        }
    }
    std::fs::write(before.join(".tmpA1b2C3"), b"half of a manifest pointer").unwrap();
    assert_eq!(judge(before, seed, mark), mark);
    assert!(!before.join(".tmpA1b2C3").exists(), "leftovers are removed");
    let named: Vec<PathBuf> = files(&before.join("tables"));
    let kept = LsmEngine::open(before, SMALL).unwrap();
    drop(kept);
    assert!(files(&before.join("tables")).len() <= named.len(), "orphans do not pile up");
}
