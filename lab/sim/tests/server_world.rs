//! Three whole members with clients in front, in two hundred worlds that fail in their own ways.

use quorate_node::Node;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::{Plan, Sabotage};

/// What must happen in at least half of the worlds ...
const OFTEN: [&str; 5] =
    ["compactions", "snapshots", "transfers done", "expired leases", "watches resumed"];
/// ... and in at least one of a hundred or more.
const SOMETIMES: [&str; 12] = [
    "crashes between effects",
    "crashes in recovery",
    "torn tails",
    "clock faults",
    "corrupt frames refused",
    "empty disks refused",
    "pauses",
    "slow nodes",
    "rotten bytes",
    "misdirected writes",
    "watches compacted",
    "writes given up",
];

#[test]
fn two_hundred_worlds_of_three_servers_keep_every_promise() {
    let summaries = runner::run_all::<Replica<Node>>(0..200, 3);
    let total = runner::total(&summaries);
    println!("{} worlds: {total:?}", summaries.len());
    assert!(summaries.iter().all(|summary| summary.committed > 1), "each world got work done");
    let marks = runner::marks(&summaries);
    if summaries.len() >= 100 {
        for mark in OFTEN {
            let reached = marks.get(mark).copied().unwrap_or(0);
            assert!(reached > 0, "no world has {mark}");
            assert!(reached * 2 >= summaries.len() as u64, "{mark} in {reached} worlds only");
        }
        for mark in SOMETIMES {
            assert!(marks.contains_key(mark), "no world has {mark}");
        }
    }
}

/// Worlds whose clients take, lose and forget a lock that guards some of their keys.
#[test]
fn sixty_worlds_with_guarded_keys_keep_every_promise() {
    let mut fenced = 0;
    for seed in 0..60 {
        let plan = Plan { guards: true, ..Plan::draw(seed, 3, Sabotage::None) };
        let summary =
            runner::run::<Replica<Node>>(plan).unwrap_or_else(|failure| panic!("{failure}"));
        fenced += u32::from(summary.counts.contains_key("fenced writes"));
    }
    assert!(fenced > 30, "a write is refused in {fenced} worlds only");
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
fn an_apply_that_differs_on_one_member_is_caught_by_the_fingerprints() {
    assert_eq!(caught(Sabotage::Misapply), "fingerprints-agree");
}

#[test]
fn a_read_that_skips_the_read_index_is_caught_by_acknowledged_writes_are_seen() {
    assert_eq!(caught(Sabotage::SkipReadIndex), "acknowledged-writes-are-seen");
}

#[test]
fn a_host_that_releases_promises_early_is_caught_by_committed_on_quorum() {
    assert_eq!(caught(Sabotage::ReleaseEarly), "committed-on-quorum");
}

/// Whichever comes first: a crash that tells, or a commit that rests on nothing.
const LOST: [&str; 2] = ["committed-on-quorum", "synced-writes-survive"];

#[test]
fn a_disk_that_ignores_syncs_is_caught_by_what_it_loses() {
    assert!(LOST.contains(&caught(Sabotage::IgnoreSyncs)));
}
