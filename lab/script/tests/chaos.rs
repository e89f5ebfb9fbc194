//! Random schedules of five members: the judges must find nothing wrong with a good host, and find
//! out a broken one.

use quorate_script::{Chaos, Outcome};
use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS: u64 = 300;

#[test]
fn five_members_survive_every_schedule() {
    let chaos = Chaos { nodes: 5, steps: 1500, broken_host: false };
    let mut all = Vec::new();
    for seed in 0..SEEDS {
        let outcome = chaos.run(seed);
        let tail = outcome.trace.len().saturating_sub(60);
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}: {:?}\n{}",
            outcome.violations,
            outcome.trace[tail..].join("\n")
        );
        all.push(outcome);
    }
    // A schedule in which nothing happens would pass too: each of these must have happened often.
    let total = |of: fn(&Outcome) -> usize| all.iter().map(of).sum::<usize>();
    assert!(total(|outcome| outcome.committed) > 20_000);
    assert!(total(|outcome| outcome.reads) > 3_000);
    let least = [
        ("is leader", 1_000),
        ("crashed", 1_000),
        ("AppendRefused", 300),
        ("reads its log", 100),
        ("stores a chunk", 500),
        ("Snapshot last", 100),
        ("Compact base", 300),
        ("TimeoutNow", 50),
        ("drops reads", 300),
    ];
    for (word, least) in least {
        let seen: usize = all.iter().map(|outcome| outcome.count(word)).sum();
        assert!(seen >= least, "{word:?} happened {seen} times, not {least}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let chaos = Chaos { nodes: 5, steps: 800, broken_host: false };
    assert_eq!(chaos.run(7).trace, chaos.run(7).trace);
    assert_ne!(chaos.run(7).trace, chaos.run(8).trace);
}

/// A host that lets promises leave before their writes are durable must be caught, or the judges
/// are asleep. The protocol's own assertions may stop it too; only the judges' verdicts count here.
#[test]
fn judges_catch_a_host_that_promises_before_the_disk() {
    let chaos = Chaos { nodes: 5, steps: 1500, broken_host: true };
    let mut caught = 0;
    for seed in 0..40 {
        let verdict = catch_unwind(AssertUnwindSafe(|| chaos.run(seed).violations));
        let by_judge = verdict.is_ok_and(|violations| !violations.is_empty());
        caught += u64::from(by_judge);
    }
    assert!(caught >= 10, "caught in {caught} of 40 seeds");
}
