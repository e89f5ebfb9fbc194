//! Five members of Raft on the shipped log, in two hundred worlds that fail in their own ways.

use quorate_raft::Raft;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::Sabotage;

#[test]
fn two_hundred_worlds_of_five_members_keep_every_promise() {
    let summaries = runner::run_all::<Replica<Raft>>(0..200, 5);
    let total = runner::total(&summaries);
    println!("{} worlds: {total:?}", summaries.len());
    assert!(summaries.iter().all(|summary| summary.committed > 1), "each world got work done");
    if summaries.len() >= 200 {
        let floors = [("elections", 300), ("crashes", 600), ("torn tails", 10), ("snapshots", 100)];
        for (what, floor) in floors {
            let reached = total.get(what).copied().unwrap_or(0);
            assert!(reached >= floor, "too tame: {reached} {what}");
        }
    }
}

/// Within how many seeds a bug on purpose must be caught.
const WITHIN: u64 = 10;

#[test]
fn a_host_that_releases_promises_early_is_caught_by_committed_on_quorum() {
    let failure = runner::hunt::<Replica<Raft>>(Sabotage::ReleaseEarly, 5, WITHIN).expect("caught");
    println!("seed {}: {}", failure.plan.seed, failure.violation);
    assert_eq!(failure.violation.property, "committed-on-quorum");
}

/// Whichever comes first: a crash that tells, or a commit that rests on nothing.
const LOST: [&str; 2] = ["committed-on-quorum", "synced-writes-survive"];

#[test]
fn a_disk_that_ignores_syncs_is_caught_by_what_it_loses() {
    let failure = runner::hunt::<Replica<Raft>>(Sabotage::IgnoreSyncs, 5, WITHIN).expect("caught");
    println!("seed {}: {}", failure.plan.seed, failure.violation);
    assert!(LOST.contains(&failure.violation.property));
}
