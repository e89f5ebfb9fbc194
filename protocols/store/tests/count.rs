//! Counts without a walk against counting one by one: with enough keys that buckets and chunks
//! split and join, now and in the past, and after opening again.

mod common;

use bytes::Bytes;
use common::*;
use quorate_base::Dice;
use quorate_store::*;
use std::collections::BTreeSet;

const KEYS: u64 = 30_000;

fn key(number: u64) -> Bytes {
    // Uneven on purpose: some prefixes hold most keys.
    format!("{:02}/{number:06}", (number * number) % 17).into()
}

fn count(view: &View<MemView>, range: KeyRange, revision: i64) -> i64 {
    let ask = Range { range, revision, count_only: true, ..Range::default() };
    view.range(&ask).unwrap().count
}

fn any_range(dice: &mut Dice, keys: u64) -> KeyRange {
    let at = key(dice.below(keys));
    match dice.below(4) {
        0 => KeyRange { key: at, end: key(dice.below(keys)) },
        1 => KeyRange::prefix(at.slice(..3)),
        2 => KeyRange { key: at, end: Bytes::from_static(b"\0") },
        _rest => KeyRange { key: Bytes::from_static(b"\0"), end: at },
    }
}

fn assert_counts(view: &View<MemView>, model: &BTreeSet<Bytes>, revision: i64, dice: &mut Dice) {
    assert_eq!(count(view, KeyRange::all(), revision), model.len() as i64);
    for _ in 0..6 {
        let range = any_range(dice, KEYS);
        let want = model.iter().filter(|key| range.contains(key)).count() as i64;
        assert_eq!(count(view, range.clone(), revision), want, "{range:?} at {revision}");
        // The same number comes with a limited answer, which does not see all keys.
        let ask = Range { range, revision, limit: 3, ..Range::default() };
        let answer = view.range(&ask).unwrap();
        assert_eq!((answer.count, answer.more), (want, want > 3));
    }
}

#[test]
fn counts_stay_exact_while_keys_come_and_go() {
    let mut dice = Dice::new(9);
    let (mut store, mut model) = (fresh(), BTreeSet::new());
    let mut past = Vec::new();
    // Enough in order that chunks of buckets split.
    for number in 0..KEYS {
        model.insert(key(number));
        done(&mut store, Action::Put(Put { key: key(number), ..Put::default() }));
    }
    // Filled, thinned out, filled again, then removed by large ranges.
    for (phase, births) in [(0, 950_000), (1, 50_000), (2, 700_000)] {
        for step in 0..12_000u64 {
            let key = key(dice.below(KEYS));
            if dice.chance(births) {
                model.insert(key.clone());
                done(&mut store, Action::Put(Put { key, ..Put::default() }));
            } else {
                model.remove(&key);
                let delete = Delete { range: KeyRange::single(key), prev_kv: false };
                done(&mut store, Action::Delete(delete));
            }
            if step % 6_000 == 5_999 {
                let view = view(&mut store);
                assert_counts(&view, &model, 0, &mut dice);
                past.push((view.revision(), model.clone()));
            }
        }
        if phase == 1 {
            view(&mut store);
            store = Applier::open(store.into_engine(), Options::default()).unwrap();
        }
    }
    let last = view(&mut store);
    for (revision, model) in &past {
        assert_counts(&last, model, *revision, &mut dice);
    }
    while !model.is_empty() {
        let range = any_range(&mut dice, KEYS);
        let before = model.len();
        model.retain(|key| !range.contains(key));
        let delete = Delete { range, prev_kv: false };
        let deleted = (before - model.len()) as i64;
        let answer = done(&mut store, Action::Delete(delete));
        assert_eq!(answer, Answer::Delete { deleted, prev: vec![] });
        let view = view(&mut store);
        assert_counts(&view, &model, 0, &mut dice);
    }
    // An engine opened after all this has forgotten nothing either, and grows again.
    view(&mut store);
    let mut store = Applier::open(store.into_engine(), Options::default()).unwrap();
    for number in 0..2_000 {
        model.insert(key(number));
        done(&mut store, Action::Put(Put { key: key(number), ..Put::default() }));
    }
    assert_counts(&view(&mut store), &model, 0, &mut dice);
}
