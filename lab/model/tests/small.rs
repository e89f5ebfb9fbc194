//! Small worlds, visited to the end with every test.

use quorate_model::{Bounds, explore};

/// One term: elections, crashes of each member at any place.
const ELECTION: Bounds = Bounds { terms: 1, proposals: 0, ..Bounds::SMALL };

/// One term and a value: a log that grows, without crashes.
const GROWTH: Bounds = Bounds { terms: 1, proposals: 1, crashes: 0, ..Bounds::SMALL };

#[test]
fn every_state_of_small_worlds_keeps_every_promise() {
    for (name, bounds, least) in [("election", ELECTION, 900), ("growth", GROWTH, 1_500)] {
        let report = explore(&bounds, |_, _, _| {});
        println!("{name}: {report}");
        assert!(report.found.is_none(), "{name}: {report}");
        assert!(report.complete, "{name}: {report}");
        assert!(report.states >= least, "{name}: too small a world: {report}");
    }
}

#[test]
fn the_first_states_of_two_terms_keep_every_promise() {
    let bounds = Bounds { terms: 2, proposals: 1, states: 20_000, ..Bounds::SMALL };
    let report = explore(&bounds, |_, _, _| {});
    assert!(report.found.is_none(), "{report}");
}

#[test]
fn a_bound_on_states_ends_the_exploration_and_says_so() {
    let report = explore(&Bounds { states: 100, ..GROWTH }, |_, _, _| {});
    assert!(!report.complete && report.states >= 100 && report.states < 200, "{report}");
}
