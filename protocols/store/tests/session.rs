//! Operations that come twice are done once: after a restart, in a snapshot, out of order, and
//! within the stated bounds.

mod common;

use common::*;
use quorate_store::*;

fn op(origin: u64, seq: u64, floor: u64) -> Command {
    Command::new(OpId { origin, seq, floor }, put("k", "v"))
}

/// True when it was done.
fn run(store: &mut Store, command: &Command) -> bool {
    let index = store.applied().0 + 1;
    store.apply(index, 1, Some(command)).unwrap().is_some()
}

fn reopen(mut store: Store) -> Store {
    store.publish().unwrap();
    Applier::open(store.into_engine(), Options::default()).unwrap()
}

#[test]
fn a_copy_is_refused_in_any_order_and_after_opening_again() {
    let mut store = fresh();
    for seq in [1, 3, 2, 7] {
        assert!(run(&mut store, &op(5, seq, 0)));
    }
    assert!(run(&mut store, &op(6, 1, 0)), "another origin counts for itself");
    let mut store = reopen(store);
    for seq in [1, 2, 3, 7] {
        assert!(!run(&mut store, &op(5, seq, 0)));
    }
    assert!(run(&mut store, &op(5, 5, 0)));
    assert_eq!(store.revision(), 7, "one revision for each that was done");
}

#[test]
fn below_the_floor_everything_is_refused() {
    let mut store = fresh();
    assert!(run(&mut store, &op(5, 9, 8)));
    assert!(!run(&mut store, &op(5, 7, 0)), "never seen, but its answer was given up");
    assert!(run(&mut store, &op(5, 8, 8)));
    let mut store = reopen(store);
    assert!(!run(&mut store, &op(5, 7, 0)));
    assert!(!run(&mut store, &op(5, 8, 0)) && !run(&mut store, &op(5, 9, 0)));
}

#[test]
fn a_refused_request_is_done_too_and_its_copy_is_not_done_later() {
    let mut store = fresh();
    let leased = Command::new(OpId { origin: 5, seq: 1, floor: 0 }, put_leased("k", "v", 3));
    assert!(run(&mut store, &leased));
    done(&mut store, Action::LeaseGrant { id: 3, ttl: 10 });
    assert!(!run(&mut store, &leased));
    assert_eq!(store.revision(), 1);
}

#[test]
fn a_copy_moves_the_applied_index_and_nothing_else() {
    let mut store = fresh();
    run(&mut store, &op(5, 1, 0));
    let before = view(&mut store);
    run(&mut store, &op(5, 1, 0));
    let published = store.publish().unwrap();
    assert_eq!(published.view.applied(), (2, 1));
    assert!(published.events.is_empty());
    assert_eq!(published.view.hash().unwrap(), before.hash().unwrap());
}

#[test]
fn operations_without_a_number_are_never_refused() {
    let mut store = fresh();
    assert!(run(&mut store, &op(5, 0, 0)) && run(&mut store, &op(5, 0, 0)));
}

#[test]
fn the_least_recently_used_origin_goes_first_whatever_the_batches() {
    let mut stores = [fresh(), fresh()];
    for (batches, store) in stores.iter_mut().enumerate() {
        for origin in 0..ORIGINS as u64 {
            assert!(run(store, &op(origin, 1, 0)));
            if batches == 1 && origin % 1_000 == 0 {
                store.publish().unwrap();
            }
        }
        assert!(!run(store, &op(0, 1, 0)), "used again: 1 is the oldest now");
        assert!(run(store, &op(u64::MAX, 1, 0)), "one too many");
    }
    for store in stores {
        let mut store = reopen(store);
        assert!(!run(&mut store, &op(0, 1, 0)));
        assert!(run(&mut store, &op(1, 1, 0)), "forgotten, within the stated bound");
        assert!(run(&mut store, &op(2, 1, 0)), "and with it the next oldest");
        assert!(!run(&mut store, &op(ORIGINS as u64 - 1, 1, 0)));
    }
}

#[test]
fn a_session_with_too_many_gaps_closes_the_lowest() {
    let mut store = fresh();
    for number in 0..=INTERVALS as u64 {
        assert!(run(&mut store, &op(5, 2 * number + 1, 0)));
    }
    assert!(!run(&mut store, &op(5, 2, 0)), "never done, refused all the same");
    assert!(run(&mut store, &op(5, 4, 0)), "the other gaps are open");
    let mut store = reopen(store);
    assert!(!run(&mut store, &op(5, 4, 0)) && !run(&mut store, &op(5, 2, 0)));
    assert!(run(&mut store, &op(5, 6, 0)));
}
