//! How long the applier takes for a put, a delete and a transaction over the engine that ships, on one thread and
//! without consensus: `cargo run --release -p quorate-storage --example apply_rate [KEYS] [PUTS]`.

use bytes::Bytes;
use quorate_base::Dice;
use quorate_storage::engine::{LsmEngine, Options};
use quorate_store::{Action, Applier, Command, Delete, KeyRange, OpId, Put};
use std::time::Instant;

const BATCH: u64 = 20;

struct Bench {
    applier: Applier<LsmEngine>,
    index: u64,
}

impl Bench {
    fn run(&mut self, what: &str, count: u64, mut action: impl FnMut(u64) -> Action) {
        let before = cpu();
        let started = Instant::now();
        for n in 0..count {
            self.index += 1;
            let id = OpId { origin: 1, seq: self.index, floor: self.index.saturating_sub(64) };
            let command = Command::new(id, action(n));
            self.applier.apply(self.index, 1, Some(&command)).expect("the engine works");
            if n % BATCH == BATCH - 1 {
                self.applier.publish().expect("the engine works");
            }
        }
        self.applier.publish().expect("the engine works");
        let wall = started.elapsed().as_secs_f64() / count as f64 * 1e6;
        let cpu = (cpu() - before) / count as f64 * 1e6;
        println!(
            "{what:<32} {wall:>7.2} us each, {cpu:>7.2} us of processor time with flushes and merges"
        );
    }
}

/// Seconds of processor time that this process used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn key(n: u64) -> Bytes {
    Bytes::from(format!("bench/put64/{n:010}"))
}

fn put(n: u64) -> Action {
    let value = Bytes::from(vec![b'x'; 128]);
    Action::Put(Put { key: key(n), value, ..Put::default() })
}

fn delete(n: u64) -> Action {
    Action::Delete(Delete { range: KeyRange::single(key(n)), prev_kv: false })
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>().expect("a number"));
    let keys = arguments.next().unwrap_or(10_000);
    let puts = arguments.next().unwrap_or(300_000);
    let dir = tempfile::tempdir().expect("a directory");
    let engine = LsmEngine::open(dir.path(), Options::small()).expect("an engine");
    let applier = Applier::open(engine, Default::default()).expect("an applier");
    let mut bench = Bench { applier, index: 0 };
    let mut dice = Dice::new(7);
    bench.run("put of a new key, in order", keys, put);
    bench.run("put of a known key, at random", puts, |_| put(dice.below(keys)));
    let mut doomed: Vec<u64> = (0..keys).collect();
    for at in (1..doomed.len()).rev() {
        doomed.swap(at, dice.below(at as u64 + 1) as usize);
    }
    bench.run("delete of a known key, at random", keys, |n| delete(doomed[n as usize]));
}
