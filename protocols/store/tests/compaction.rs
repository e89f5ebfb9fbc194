//! Forgetting: at once for readers, in pieces for the engine, and never more than it should.

mod common;

use common::dice::Maker;
use common::*;
use quorate_base::Dice;
use quorate_store::*;

fn sweep(store: &mut Store, budget: usize) {
    while !store.compact_step(budget).unwrap() {}
}

#[test]
fn item_32_what_can_be_compacted() {
    let mut store = fresh();
    let compact = |store: &mut Store, revision| apply(store, Action::Compact { revision }).result;
    assert_eq!(view(&mut store).compacted(), -1);
    let compacted = |asked, compacted| Err(StoreError::Compacted { asked, compacted });
    let future = |asked, current| Err(StoreError::FutureRevision { asked, current });
    assert_eq!(compact(&mut store, 2), future(2, 1));
    assert_eq!(compact(&mut store, i64::MAX), future(i64::MAX, 1));
    assert_eq!(compact(&mut store, -1), compacted(-1, -1));
    assert_eq!(compact(&mut store, 0), Ok(Answer::Compact));
    assert_eq!(compact(&mut store, 1), Ok(Answer::Compact));
    assert_eq!(compact(&mut store, 1), compacted(1, 1));
    done(&mut store, put("a", "1"));
    assert_eq!(compact(&mut store, 2), Ok(Answer::Compact));
    assert_eq!(compact(&mut store, 1), compacted(1, 2));
}

#[test]
fn item_32_a_physical_compaction_can_wait_until_everything_is_gone() {
    let mut store = fresh();
    for value in 0..10 {
        done(&mut store, put("a", &value.to_string()));
    }
    done(&mut store, Action::Compact { revision: 8 });
    assert_eq!(view(&mut store).swept(), -1);
    assert!(!store.compact_step(3).unwrap());
    assert_eq!(view(&mut store).swept(), -1);
    sweep(&mut store, 3);
    assert_eq!(view(&mut store).swept(), 8);
    done(&mut store, Action::Compact { revision: 11 });
    assert_eq!(view(&mut store).swept(), 8);
    sweep(&mut store, 1);
    let view = view(&mut store);
    assert_eq!(view.swept(), 11);
    let size = view.size();
    assert_eq!(size.live, 1 + 1 + 36);
    assert_eq!(size.total - size.live, 17 + 1, "the log entry at the compacted revision");
}

#[test]
fn item_33_it_keeps_the_newest_version_at_or_below_of_each_key_that_lives() {
    let mut store = fresh();
    done(&mut store, put("a", "2"));
    done(&mut store, put("b", "3"));
    done(&mut store, delete("b"));
    done(&mut store, put("a", "5"));
    done(&mut store, put("c", "6"));
    done(&mut store, put("a", "7"));
    done(&mut store, Action::Compact { revision: 5 });
    for budget in [1, 100] {
        let view = view(&mut store);
        let at = |revision| shown(&view.range(&Range { revision, ..everything() }).unwrap());
        assert_eq!((at(5), at(6), at(7)), ("a=5".into(), "a=5 c=6".into(), "a=7 c=6".into()));
        sweep(&mut store, budget);
    }
    let before = view(&mut store).size();
    done(&mut store, Action::Compact { revision: 7 });
    sweep(&mut store, 1);
    let after = view(&mut store).size();
    assert!(after.total < before.total && after.live == before.live);
}

#[test]
fn hashes_agree_at_every_revision_however_far_the_sweep_got() {
    let mut maker = Maker::new(3);
    maker.alarms = false;
    // One never sweeps, one does at once, one now and then and dies in between.
    let (mut never, mut eager, mut torn) = (fresh(), fresh(), fresh());
    let mut dice = Dice::new(8);
    let mut log = Vec::new();
    for index in 1..=400u64 {
        let command = maker.command(never.revision(), 1);
        never.apply(index, 1, Some(&command)).unwrap();
        eager.apply(index, 1, Some(&command)).unwrap();
        sweep(&mut eager, 50);
        log.push(command);
        while torn.applied().0 < index {
            let next = torn.applied().0 + 1;
            torn.apply(next, 1, Some(&log[next as usize - 1])).unwrap();
            torn.compact_step(dice.below(4) as usize).unwrap();
            if dice.chance(200_000) {
                torn.publish().unwrap();
            }
            if dice.chance(50_000) {
                let engine = torn.into_engine().crash(&mut dice);
                torn = Applier::open(engine, Options::default()).unwrap();
            }
        }
        if index % 40 == 0 {
            let views = [&mut never, &mut eager, &mut torn].map(view);
            for revision in views[0].compacted().max(1)..=views[0].revision() {
                let [a, b, c] = views.each_ref().map(|view| view.hash_kv(revision).unwrap());
                assert_eq!((a, a), (b, c), "at {revision}");
                assert_eq!((a.hash_revision, a.compact_revision), (revision, views[0].compacted()));
            }
        }
    }
    assert!(view(&mut never).compacted() > 50, "too tame");
    let [a, b] = [&mut never, &mut eager].map(|store| view(store).size());
    assert!(a.live == b.live && a.total > b.total);
    sweep(&mut never, 1_000);
    sweep(&mut torn, 1);
    let sizes = [&mut never, &mut eager, &mut torn].map(|store| view(store).size());
    assert_eq!((sizes[0], sizes[0]), (sizes[1], sizes[2]), "all is gone, and counted once");
}

#[test]
fn a_hash_tells_states_apart() {
    let hash = |actions: &[Action]| {
        let mut store = fresh();
        actions.iter().for_each(|action| {
            done(&mut store, action.clone());
        });
        view(&mut store).hash_kv(0).unwrap().hash
    };
    let base = hash(&[put("a", "1"), put("b", "2")]);
    assert_eq!(base, hash(&[put("a", "1"), put("b", "2")]));
    assert_ne!(base, hash(&[put("a", "1"), put("b", "3")]));
    assert_ne!(base, hash(&[put("b", "2"), put("a", "1")]));
    assert_ne!(base, hash(&[put("a", "1"), put("b", "2"), delete("a")]));
    // At an older revision a later change does not show.
    let mut store = fresh();
    for action in [put("a", "1"), put("b", "2"), put("a", "9"), delete("b")] {
        done(&mut store, action);
    }
    let view = view(&mut store);
    assert_eq!(view.hash_kv(3).unwrap().hash, base);
    let future = StoreError::FutureRevision { asked: 9, current: 5 };
    assert_eq!(view.hash_kv(9), Err(future.into()));
}
