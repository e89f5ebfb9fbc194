//! Members come and go, grow, shrink and are replaced, during partitions and crashes, and every promise
//! is kept.

use quorate_raft::Raft;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::{Plan, Sabotage};

/// More for a longer hunt: `MEMBER_SEEDS=2000 cargo test --release …`.
fn seeds() -> u64 {
    std::env::var("MEMBER_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

#[test]
fn five_machines_change_their_group_in_a_hundred_bad_worlds() {
    let mut total = std::collections::BTreeMap::new();
    for seed in 0..seeds() {
        let plan = Plan::draw(seed, 5, Sabotage::None).changing();
        match runner::run::<Replica<Raft>>(plan) {
            Ok(summary) => {
                for (what, count) in runner::total(&[summary]) {
                    *total.entry(what).or_insert(0) += count;
                }
            }
            Err(failure) => panic!("seed {seed}: {}", failure.violation),
        }
    }
    println!("{total:?}");
    let floors = [("changes", 5), ("learner changes", 5), ("elections", 3), ("snapshots", 1)];
    for (what, floor) in floors {
        let reached = total.get(what).copied().unwrap_or(0);
        assert!(reached >= floor * seeds() / 2, "too tame: {reached} {what} in {total:?}");
    }
}
