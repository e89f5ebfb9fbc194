//! Random schedules of five members: the judges must find nothing, and find a broken host.

use quorate_script::Chaos;

const SEEDS: u64 = 300;

#[test]
fn five_members_survive_every_schedule() {
    let chaos = Chaos { nodes: 5, steps: 1500, broken_host: false };
    let (mut committed, mut reads) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = chaos.run(seed);
        let tail = outcome.trace.len().saturating_sub(60);
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}: {:?}\n{}",
            outcome.violations,
            outcome.trace[tail..].join("\n")
        );
        committed += outcome.committed;
        reads += outcome.reads;
    }
    // A schedule that never does anything would pass too.
    assert!(committed > 20_000 && reads > 3_000, "{committed} committed, {reads} reads");
}
