//! Three whole members with clients in front, in two hundred worlds that fail in their own ways.

use quorate_node::Node;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::Sabotage;

#[test]
fn two_hundred_worlds_of_three_servers_keep_every_promise() {
    let summaries = runner::run_all::<Replica<Node>>(0..200, 3);
    let total = runner::total(&summaries);
    println!("{} worlds: {total:?}", summaries.len());
    assert!(summaries.iter().all(|summary| summary.committed > 1), "each world got work done");
    if summaries.len() >= 200 {
        let floors = [
            ("elections", 300),
            ("crashes", 300),
            ("snapshots", 100),
            ("retries", 300),
            ("answers", 10_000),
            ("expired leases", 100),
            ("watches opened", 1_000),
            ("watches compacted", 20),
        ];
        for (what, floor) in floors {
            let reached = total.get(what).copied().unwrap_or(0);
            assert!(reached >= floor, "too tame: {reached} {what}");
        }
    }
}

/// Within how many seeds a bug on purpose must be caught.
const WITHIN: u64 = 20;

fn caught(sabotage: Sabotage) -> &'static str {
    let failure = runner::hunt::<Replica<Node>>(sabotage, 3, WITHIN).expect("caught");
    println!("{sabotage:?}: seed {}: {}", failure.plan.seed, failure.violation);
    failure.violation.property
}

#[test]
fn an_applier_that_skips_deduplication_is_caught_by_operation_applied_once() {
    assert_eq!(caught(Sabotage::SkipDedup), "operation-applied-once");
}

#[test]
fn a_read_that_skips_the_read_index_is_caught_by_acknowledged_writes_are_seen() {
    assert_eq!(caught(Sabotage::SkipReadIndex), "acknowledged-writes-are-seen");
}

#[test]
fn a_host_that_releases_promises_early_is_caught_by_committed_on_quorum() {
    assert_eq!(caught(Sabotage::ReleaseEarly), "committed-on-quorum");
}

#[test]
fn a_disk_that_ignores_syncs_is_caught_by_committed_on_quorum() {
    assert_eq!(caught(Sabotage::IgnoreSyncs), "committed-on-quorum");
}
