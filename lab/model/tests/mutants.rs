//! What the exploration is able to find: bugs of others, put back one at a time.
//!
//! Compiled in builds that carry mutants only: `cargo xtask mutants`.
#![cfg(quorate_mutants)]

use quorate_base::mutant;
use quorate_model::{Bounds, Report, explore};

const WORLD: Bounds = Bounds { terms: 1, proposals: 0, crashes: 1, ..Bounds::SMALL };

fn find(id: u32, bounds: Bounds, property: &str, steps: usize) -> Report {
    let report = mutant::with(id, || explore(&bounds, |_, _, _| {}));
    println!("mutant {id}: {report}");
    let found = report.found.as_ref().unwrap_or_else(|| panic!("mutant {id} goes unseen"));
    assert_eq!(found.broken.property, property, "mutant {id}");
    assert_eq!(found.acts.len(), steps, "a shortest way: {report}");
    report
}

#[test]
fn two_writes_of_term_and_vote_let_a_member_vote_twice() {
    find(1, WORLD, "one-vote-per-term", 3);
}

#[test]
fn an_answer_before_the_disk_lets_a_member_vote_twice() {
    find(2, WORLD, "one-vote-per-term", 3);
}

#[test]
fn a_candidate_that_forgets_its_own_vote_votes_twice() {
    find(4, WORLD, "one-vote-per-term", 4);
}

#[test]
fn counting_copies_of_an_older_term_commits_what_can_be_lost() {
    let figure_8 = Bounds { terms: 3, crashes: 0, entries_at_once: false, ..WORLD };
    find(21, figure_8, "leader-completeness", 14);
}

#[test]
fn a_late_append_that_truncates_takes_a_committed_entry_away() {
    find(22, Bounds { proposals: 1, crashes: 0, ..WORLD }, "leader-completeness", 9);
}

#[test]
fn a_joint_configuration_that_needs_one_half_only_is_seen_at_once() {
    let replaces = Bounds { proposals: 0, crashes: 0, changes: 1, learners: 1, ..WORLD };
    let report = mutant::with(149, || explore(&replaces, |_, _, _| {}));
    println!("mutant 149: {report}");
    let found = report.found.expect("mutant 149 goes unseen");
    let lost = ["configuration-safety", "committed-on-quorum", "leader-completeness"];
    assert!(lost.contains(&found.broken.property), "{}", found.broken);
}
