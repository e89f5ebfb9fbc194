//! Fingerprints: the same on members that applied the same entries, whatever way they came there,
//! and different as soon as anything is.

mod common;

use common::dice::Maker;
use common::*;
use quorate_base::Dice;
use quorate_store::*;

/// Where the total lies.
const TOTAL: [u8; 2] = [1, 1];

fn taken(store: &mut Store) -> Vec<Fingerprint> {
    store.publish().unwrap().fingerprints
}

fn is_sound(store: &mut Store) -> bool {
    view(store).is_sound().unwrap()
}

/// What happens to a member between two entries, and leaves no trace in its state.
fn befall(store: Store, dice: &mut Dice) -> Store {
    let mut store = store;
    match dice.below(13) {
        0..5 => store.compact_step(dice.below(9) as usize).map(drop).unwrap(),
        5..8 => drop(view(&mut store)),
        8 => {
            drop(view(&mut store));
            return Applier::open(store.into_engine(), Options::default()).unwrap();
        }
        9 => {
            let view = view(&mut store);
            let mut installer = Installer::new(MemEngine::new()).unwrap();
            let mut after: Option<bytes::Bytes> = None;
            loop {
                let chunk = view.chunk(after.as_deref(), 300).unwrap();
                if installer.push(&chunk.data).unwrap() {
                    return installer.finish(Options::default()).unwrap();
                }
                after = Some(chunk.cursor);
            }
        }
        10 => {
            // It ran an older build for a while, which knows of no total.
            drop(view(&mut store));
            let mut engine = store.into_engine();
            engine.delete(&TOTAL);
            return Applier::open(engine, Options::default()).unwrap();
        }
        11 => {
            // Or one which knows of no weights, and left those that it found as they were.
            drop(view(&mut store));
            let mut engine = store.into_engine();
            let total = engine.get(&TOTAL).unwrap().expect("it is kept up");
            engine.put(&TOTAL, &total[..20]);
            let weights = engine.range(&[1, 2], Some(&[1, 3])).map(|pair| pair.unwrap().0);
            let weights: Vec<_> = weights.filter(|_| dice.chance(700_000)).collect();
            weights.iter().for_each(|key| engine.put(key, &99u64.to_be_bytes()));
            engine.put(&[1, 2, b'x'], &7u64.to_be_bytes());
            return Applier::open(engine, Options::default()).unwrap();
        }
        _nothing => {}
    }
    store
}

#[test]
fn every_way_to_a_state_gives_its_fingerprint() {
    for seed in 0..30 {
        let (mut maker, mut dice) = (Maker::new(seed), Dice::new(seed));
        let (mut straight, mut other) = (fresh(), fresh());
        let mut told = Vec::new();
        for index in 1..=250 {
            let command = maker.command(straight.revision(), 1);
            straight.apply(index, 1, Some(&command)).unwrap();
            other.apply(index, 1, Some(&command)).unwrap();
            let published = other.publish().unwrap();
            told.extend(published.fingerprints);
            assert!(published.view.is_sound().unwrap(), "seed {seed} index {index}");
            other = befall(other, &mut dice);
            let view = view(&mut other);
            let answer = view.range(&everything()).unwrap();
            let bytes = answer.kvs.iter().map(KeyValue::weight).sum();
            let pairs = Sum { keys: answer.kvs.len() as u64, bytes };
            let measure = Measure { pairs, count: answer.count as u64 };
            assert_eq!(view.measure(&everything()), Ok(Some(measure)), "seed {seed} index {index}");
        }
        told.extend(taken(&mut other));
        let straight = taken(&mut straight);
        assert_eq!(straight.len() as u64, straight.last().unwrap().index, "one for each entry");
        told.dedup();
        assert_eq!(told, straight, "seed {seed}");
    }
}

#[test]
fn everything_that_is_now_counts() {
    let mut seen = std::collections::BTreeSet::new();
    let mut store = fresh();
    let steps = [
        put("k", "v"),
        put("k", "v"),
        put("k", "w"),
        Action::LeaseGrant { id: 7, ttl: 10 },
        put_leased("k", "w", 7),
        Action::LeaseCheckpoint { term: 1, remaining: vec![(7, 3)] },
        Action::Alarm { raise: true, member: 1, kind: AlarmKind::NoSpace },
        Action::Alarm { raise: true, member: 2, kind: AlarmKind::NoSpace },
        Action::Guard(GuardChange::Set { prefix: b("p"), lock: b("l") }),
        Action::Compact { revision: 3 },
        Action::LeaseRevoke { id: 7, term: None },
    ];
    for action in steps {
        done(&mut store, action.clone());
        let fingerprint = view(&mut store).fingerprint();
        assert!(seen.insert(fingerprint.value), "{action:?} changes nothing");
        assert!(is_sound(&mut store), "{action:?}");
    }
}

/// The engine's key of a user key's newest version.
fn current(key: &str) -> Vec<u8> {
    [&[0x10], key.as_bytes()].concat()
}

#[test]
fn a_record_that_changes_below_the_store_is_found_at_once_by_counting_and_later_by_comparing() {
    let (mut well, mut damaged) = (fresh(), fresh());
    for store in [&mut well, &mut damaged] {
        done(store, put("a", "1"));
        done(store, put("b", "2"));
    }
    let key = current("a");
    let mut record = damaged.engine().get(&key).unwrap().unwrap().to_vec();
    *record.last_mut().unwrap() ^= 1;
    damaged.engine_mut().put(&key, &record);
    assert!(!is_sound(&mut damaged));
    let fingerprints = |well: &mut Store, damaged: &mut Store| {
        (view(well).fingerprint(), view(damaged).fingerprint())
    };
    let (a, b) = fingerprints(&mut well, &mut damaged);
    assert_eq!(a, b, "what was written is known, not what lies there");
    for store in [&mut well, &mut damaged] {
        done(store, put("b", "3"));
    }
    let (a, b) = fingerprints(&mut well, &mut damaged);
    assert_eq!(a, b);
    for store in [&mut well, &mut damaged] {
        done(store, put("a", "4"));
    }
    let (a, b) = fingerprints(&mut well, &mut damaged);
    assert_ne!(a, b, "the damage is gone, but somebody may have read it");
}

#[test]
fn a_total_of_another_index_is_counted_anew() {
    let mut store = fresh();
    done(&mut store, put("a", "1"));
    let old = {
        drop(view(&mut store));
        store.engine().get(&TOTAL).unwrap().unwrap()
    };
    done(&mut store, put("a", "2"));
    let want = view(&mut store).fingerprint();
    let mut engine = store.into_engine();
    // A build that knows of no total went on for an entry and carried it along.
    engine.put(&TOTAL, &old);
    let mut store = Applier::open(engine, Options::default()).unwrap();
    assert_eq!(view(&mut store).fingerprint(), want);
}

#[test]
fn few_are_kept_and_members_that_are_apart_have_some_in_common() {
    let of = |range: std::ops::RangeInclusive<u64>| {
        let mut kept = Fingerprints::default();
        kept.note(range.map(|index| Fingerprint { index, value: index }));
        kept.all()
    };
    let (far, near) = (of(1..=90_000), of(1..=200_000));
    assert!(near.len() <= 2_048 && near.contains_key(&200_000));
    let (index, values) = in_common(&[(1, far), (2, near)].into()).unwrap();
    assert_eq!(index, 89_088, "a multiple of 1,024");
    assert_eq!(values, [(1, index), (2, index)].into());
}

#[test]
fn a_downgrade_is_remembered_until_it_is_ended() {
    let mut store = fresh();
    let downgrade = Downgrade { level: 3, version: b("0.1.0+3") };
    let change = |store: &mut Store, change: Option<&Downgrade>| {
        apply(store, Action::Downgrade(change.cloned())).result
    };
    assert_eq!(change(&mut store, None), Err(StoreError::NoDowngrade));
    assert_eq!(view(&mut store).downgrade(), Ok(None));
    assert_eq!(change(&mut store, Some(&downgrade)), Ok(Answer::Downgrade));
    assert_eq!(change(&mut store, Some(&downgrade)), Err(StoreError::DowngradeInProcess));
    assert!(is_sound(&mut store));
    let mut store = Applier::open(store.into_engine(), Options::default()).unwrap();
    assert_eq!(view(&mut store).downgrade(), Ok(Some(downgrade)));
    assert_eq!(change(&mut store, None), Ok(Answer::Downgrade));
    assert_eq!(view(&mut store).downgrade(), Ok(None));
}
