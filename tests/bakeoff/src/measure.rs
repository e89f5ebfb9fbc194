//! The numbers: writes, reads, ranges, removals, pauses, memory, restart and disk, one engine per
//! process so that memory can be told apart.

use crate::candidate::{self, Candidate, Op};
use crate::work::{Dice, current, put};
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs every measurement of one engine over a fresh directory.
pub fn run(name: &str, dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
    println!("== {name}");
    writes(name, &dir.join("10k"), 10_000, 10_000);
    writes(name, &dir.join("1m"), 1_000_000, 15_000);
    versions(name, &dir.join("versions"));
    million(name, &dir.join("million"));
    std::fs::remove_dir_all(dir).unwrap();
}

/// Batches of twenty etcd puts, synced every two seconds as the product would.
fn writes(name: &str, dir: &Path, keys: u64, batches: u64) {
    let mut engine = candidate::open(name, dir).unwrap();
    let mut dice = Dice::new(7);
    let mut times = Vec::new();
    let mut synced = Instant::now();
    let (mut syncs, mut worst_sync) = (0, Duration::ZERO);
    let (started, mut cpu) = (Instant::now(), Duration::ZERO);
    for mark in 1..=batches {
        let mut ops = Vec::new();
        for step in 0..20 {
            let value = dice.bytes(128);
            put(&mut ops, dice.below(keys), mark * 20 + step, value.clone(), value);
        }
        let (at, ran_before) = (Instant::now(), ran());
        engine.batch(&ops, mark);
        cpu += ran() - ran_before;
        times.push(at.elapsed());
        if synced.elapsed() > Duration::from_secs(2) {
            let at = Instant::now();
            engine.sync();
            worst_sync = worst_sync.max(at.elapsed());
            syncs += 1;
            synced = Instant::now();
        }
    }
    let wall = started.elapsed();
    times.sort();
    let all: Duration = times.iter().sum();
    println!(
        "write {keys} keys: per put of 4 ops {:.2} us on the core, {:.2} us in all (means), batch \
         p50 {:.0} us p99 {:.0} us max {:.1} ms; {syncs} syncs, worst {:.1} ms; wall {:.1} s",
        cpu.as_secs_f64() * 1e6 / (batches * 20) as f64,
        all.as_secs_f64() * 1e6 / (batches * 20) as f64,
        times[times.len() / 2].as_secs_f64() * 1e6,
        times[times.len() * 99 / 100].as_secs_f64() * 1e6,
        times[times.len() - 1].as_secs_f64() * 1e3,
        worst_sync.as_secs_f64() * 1e3,
        wall.as_secs_f64(),
    );
    reads(engine.as_ref(), keys, "after writes");
}

/// Point reads and ranges of a hundred.
fn reads(engine: &dyn Candidate, keys: u64, when: &str) {
    let mut dice = Dice::new(11);
    // Ten at a time: reading the clock takes as long as a hot read.
    let get = median(2_000, || {
        for _ in 0..10 {
            std::hint::black_box(engine.get(&current(dice.below(keys))));
        }
    }) / 10.0;
    let range = median(2_000, || {
        let from = current(dice.below(keys));
        std::hint::black_box(engine.scan(&from, b"d", 100));
    });
    println!("  {when}: get p50 {get:.2} us, range of 100 p50 {range:.1} us");
}

/// What this thread has run so far. Reads are timed by it: on a shared machine it leaves out the
/// time that other processes had the core.
fn ran() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn median(times: usize, mut act: impl FnMut()) -> f64 {
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let at = ran();
            act();
            ran() - at
        })
        .collect();
    took.sort();
    took[times / 2].as_secs_f64() * 1e6
}

/// A range of a hundred when each key was written 1, 10 and 50 times.
fn versions(name: &str, dir: &Path) {
    let mut engine = candidate::open(name, dir).unwrap();
    let mut dice = Dice::new(5);
    let mut mark = 0;
    for version in 1..=50u64 {
        for first in (0..20_000).step_by(20) {
            mark += 1;
            let mut ops = Vec::new();
            for id in first..first + 20 {
                let value = dice.bytes(128);
                put(&mut ops, id, mark * 20 + id % 20, value.clone(), value);
            }
            engine.batch(&ops, mark);
        }
        if [1, 10, 50].contains(&version) {
            reads(engine.as_ref(), 20_000, &format!("{version} versions per key, at once"));
            engine.settle();
            reads(engine.as_ref(), 20_000, &format!("{version} versions per key, settled"));
        }
    }
}

/// A million keys of 64 bytes with values of 256: memory, disk, restart, then everything removed.
fn million(name: &str, dir: &Path) {
    const KEYS: u64 = 1_000_000;
    let mut engine = candidate::open(name, dir).unwrap();
    let mut dice = Dice::new(3);
    let mut mark = 0;
    for first in (0..KEYS).step_by(100) {
        mark += 1;
        let id = |step: u64| (first + step).wrapping_mul(611_953) % KEYS;
        let ops: Vec<Op> =
            (0..100).map(|step| Op::Put(current(id(step)), dice.bytes(256))).collect();
        engine.batch(&ops, mark);
    }
    println!("1M keys written: RssAnon {} MB", rss_anon());
    engine.settle();
    reads(engine.as_ref(), KEYS, "1M keys, settled");
    let at = ran();
    let seen = engine.scan(b"c", b"d", usize::MAX);
    println!("  full scan of {seen} in {:.0} ms", (ran() - at).as_secs_f64() * 1e3);
    println!("  RssAnon {} MB, disk {} MB", rss_anon(), disk_mb(dir));
    drop(engine);

    let at = Instant::now();
    let mut engine = candidate::open(name, dir).unwrap();
    assert!(engine.get(&current(12)).is_some());
    println!("  restart to first read {:.1} ms", at.elapsed().as_secs_f64() * 1e3);
    remove_all(engine.as_mut(), KEYS, mark);
    println!("  disk {} MB, RssAnon {} MB", disk_mb(dir), rss_anon());
}

fn remove_all(engine: &mut dyn Candidate, keys: u64, mut mark: u64) {
    let at = Instant::now();
    let mut worst = Duration::ZERO;
    for first in (0..keys).step_by(100) {
        mark += 1;
        let ops: Vec<Op> = (first..first + 100).map(|id| Op::Delete(current(id))).collect();
        let batch = Instant::now();
        engine.batch(&ops, mark);
        worst = worst.max(batch.elapsed());
    }
    let took = at.elapsed().as_secs_f64();
    println!(
        "  removed {keys}: {:.2} us each, worst batch {:.1} ms",
        took * 1e6 / keys as f64,
        worst.as_secs_f64() * 1e3
    );
    for when in ["at once", "after a settle"] {
        let at = ran();
        let seen = engine.scan(b"c", b"d", 100);
        let took = (ran() - at).as_secs_f64() * 1e3;
        println!("  scan of what is left {when}: {seen} pairs in {took:.1} ms");
        engine.settle();
    }
}

/// Anonymous memory of this process, in MB.
fn rss_anon() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn disk_mb(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() { disk_mb(&entry.path()) << 20 } else { meta.len() }
    });
    sizes.sum::<u64>() >> 20
}
