//! Random schedules: the judges must find nothing wrong with a good host, and find out a broken
//! one.

use quorate_script::Chaos;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

const GOOD: Chaos = Chaos { nodes: 5, steps: 1500, broken_host: false, tracing: false };

/// Runs seeds and counts what happened in all of them. A bad seed is told in full.
fn run(chaos: &Chaos, seeds: std::ops::Range<u64>) -> BTreeMap<&'static str, u64> {
    let mut total = BTreeMap::new();
    for seed in seeds {
        let outcome = chaos.run(seed);
        if !outcome.violations.is_empty() {
            let told = Chaos { tracing: true, ..chaos.clone() }.run(seed).trace;
            let tail = told.len().saturating_sub(80);
            panic!("seed {seed}: {:?}\n{}", outcome.violations, told[tail..].join("\n"));
        }
        *total.entry("entries").or_default() += outcome.committed as u64;
        for (kind, count) in outcome.counts {
            *total.entry(kind).or_default() += count;
        }
    }
    total
}

#[test]
fn five_members_survive_every_schedule() {
    let seeds = seeds(300);
    let total = run(&GOOD, 0..seeds);
    // A schedule in which nothing happens would pass too: in 300 seeds each of these must have
    // happened so often.
    let least = [
        ("entries", 20_000_u64),
        ("leads", 1_000),
        ("crashed", 1_000),
        ("read answered", 3_000),
        ("read dropped", 300),
        ("refused", 300),
        ("log read", 100),
        ("chunk stored", 500),
        ("write Snapshot", 100),
        ("write Compact", 300),
        ("AppendRefused", 300),
        ("TimeoutNow", 50),
    ];
    for (kind, least) in least {
        let seen = total.get(kind).copied().unwrap_or(0);
        let least = least * seeds / 300;
        assert!(seen >= least, "{kind}: {seen} times, not {least}; in all {total:?}");
    }
}

#[test]
fn groups_of_other_sizes_survive_too() {
    for nodes in [1, 2, 3, 4] {
        run(&Chaos { nodes, steps: 800, ..GOOD }, 1000..1000 + seeds(60));
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let chaos = Chaos { steps: 800, tracing: true, ..GOOD };
    assert_eq!(chaos.run(7).trace, chaos.run(7).trace);
    assert_ne!(chaos.run(7).trace, chaos.run(8).trace);
}

/// A host that lets promises leave before their writes are durable must be caught, or the judges
/// are asleep. The protocol's own assertions may stop it too; only the judges' verdicts count here.
#[test]
fn judges_catch_a_host_that_promises_before_the_disk() {
    let chaos = Chaos { broken_host: true, ..GOOD };
    let verdict = |seed| catch_unwind(AssertUnwindSafe(|| chaos.run(seed).violations));
    let caught = (0..40).filter_map(|seed| verdict(seed).ok()).filter(|found| !found.is_empty());
    let caught = caught.count();
    assert!(caught >= 10, "caught in {caught} of 40 seeds");
}

/// More seeds for a longer hunt: `RAFT_SEEDS=5000 cargo test --release …`.
fn seeds(usual: u64) -> u64 {
    std::env::var("RAFT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
