//! Small worlds, visited to the end with every test.

use quorate_model::{Bounds, explore, explore_while};

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

/// One term and one change of members: any leader may be told at any moment to let any voter go.
const REMOVAL: Bounds = Bounds { terms: 1, proposals: 0, crashes: 0, changes: 1, ..Bounds::SMALL };

#[test]
fn every_state_of_a_change_of_members_keeps_every_promise() {
    let replacement = Bounds { learners: 1, ..REMOVAL };
    for (name, bounds, least) in [("removal", REMOVAL, 1_000), ("replacement", replacement, 1_000)]
    {
        let bounds = Bounds { states: 60_000, ..bounds };
        let report = explore(&bounds, |_, _, _| {});
        println!("{name}: {report}");
        assert!(report.found.is_none(), "{name}: {report}");
        assert!(report.states >= least, "{name}: too small a world: {report}");
    }
}

#[test]
fn an_exploration_that_is_stopped_tells_what_it_saw() {
    let asked = std::cell::Cell::new(0);
    let goes_on = || {
        asked.set(asked.get() + 1);
        asked.get() < 50
    };
    let report = explore_while(&Bounds::SMALL, goes_on, |_, _, _| {});
    assert!(!report.complete && report.found.is_none() && report.states > 50, "{report}");
}
