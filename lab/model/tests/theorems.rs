//! The theorems, each run against the shipped protocol.

use quorate_model::theorems::{cap, detector, flp};
use std::time::Duration;

#[test]
fn a_scheduler_keeps_raft_without_a_leader_for_as_long_as_it_likes() {
    for (members, steps) in [(3, 300), (3, 20_000), (5, 20_000)] {
        let report = flp::adversary(members, steps);
        println!("{members} members: {report:?}");
        assert!(report.steps >= steps);
        assert_eq!(report.leader, None);
        assert_eq!(report.under_way, 0, "every message arrived");
        assert!(report.term > steps / (8 * members * members), "they went on trying");
        assert!(report.longest_wait <= 4 * members * members, "and none waited for ever");
    }
}

#[test]
fn the_same_members_elect_a_leader_when_messages_keep_their_order() {
    let report = flp::fair(3, 10_000);
    println!("{report:?}");
    assert!(report.leader.is_some_and(|(_, step)| step < 100), "{report:?}");
}

#[test]
fn whatever_the_timeout_a_detector_that_finds_crashes_suspects_the_living() {
    for timeout in [1, 30, 1_000, 3_600_000].map(Duration::from_millis) {
        let report = detector::dilemma(timeout);
        println!("{report:?}");
        assert!(report.suspects_crashed_after >= timeout, "it waits");
        assert!(report.suspects_crashed_after < timeout * 2, "and not for ever");
        assert_eq!(report.suspects_living_after, report.suspects_crashed_after);
        assert!(report.indistinguishable, "the follower cannot tell");
        assert!(report.late_messages > 0, "the leader spoke all the time");
        assert!(report.patient_missed, "more patience finds the crash later");
    }
}

#[test]
fn a_minority_refuses_and_a_majority_answers_after_an_election() {
    for members in [3, 5, 7] {
        let report = cap::partition(members, Duration::from_secs(10));
        println!("{report:?}");
        let (few, many) = (&report.minority, &report.majority);
        assert_eq!((few.writes_after, few.reads_after), (None, None), "never both");
        let second = Duration::from_secs(1);
        assert!(few.refuses_after.is_some_and(|after| after <= 2 * second), "{few:?}");
        let led = many.leads_after.expect("a majority elects a leader");
        assert!(led >= second / 2 && led <= 10 * second, "not before the timers allow: {led:?}");
        assert!(many.writes_after.is_some() && many.reads_after.is_some(), "{many:?}");
        assert!(report.agrees_after.is_some_and(|after| after <= 5 * second));
        assert!(report.unacknowledged_is_gone);
    }
}
