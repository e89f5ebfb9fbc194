//! Random sequences of commands against the naive model: every answer, every revision, every
//! event, across compactions, crashes and snapshots.

mod common;

use common::dice::Maker;
use common::model::Model;
use common::*;
use quorate_base::Dice;
use quorate_store::*;

/// Everything that can be read must be the same.
fn assert_same_reads(view: &View<MemView>, model: &Model, maker: &mut Maker, reads: u32) {
    assert_eq!(view.revision(), model.revision());
    assert_eq!(view.compacted(), model.compacted);
    assert_eq!(view.alarms(), &model.alarms);
    assert_eq!(view.keys() as usize, model.states.last().unwrap().len());
    for _ in 0..reads {
        let ask = maker.range(model.revision());
        let want = model.range(&ask).map_err(ReadError::Store);
        assert_eq!(view.range(&ask), want, "{ask:?}");
        let ask = maker.read_txn(model.revision());
        let want = model.read_txn(&ask).map_err(ReadError::Store);
        assert_eq!(view.read_txn(&ask), want, "{ask:?}");
    }
    let leases: Vec<(i64, i64, i64)> =
        view.leases().unwrap().iter().map(|l| (l.id, l.ttl, l.remaining)).collect();
    let left = |id: &i64| model.remaining.get(id).copied().unwrap_or(0);
    let want: Vec<_> = model.leases.iter().map(|(id, ttl)| (*id, *ttl, left(id))).collect();
    assert_eq!(leases, want);
    for id in 1..=6 {
        assert_eq!(view.lease_keys(id).unwrap(), model.lease_keys(id), "lease {id}");
    }
}

/// All pairs at every revision that can still be read.
fn assert_same_history(view: &View<MemView>, model: &Model) {
    for revision in model.compacted.max(1)..=model.revision() {
        let ask = Range { revision, ..everything() };
        assert_eq!(view.range(&ask).unwrap(), model.range(&ask).unwrap(), "at {revision}");
        let ask = Range { count_only: true, ..ask };
        assert_eq!(view.range(&ask).unwrap(), model.range(&ask).unwrap(), "count at {revision}");
    }
}

#[test]
fn views_and_rings_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<View<MemView>>();
    shared::<Ring<bytes::Bytes>>();
    shared::<Cursor<Event>>();
}

#[test]
fn every_answer_event_and_revision_agrees_with_the_model() {
    for seed in 0..60 {
        let mut maker = Maker::new(seed);
        let (mut store, mut model) = (fresh(), Model::new());
        let mut events = Vec::new();
        let mut term = 1;
        for index in 1..=400 {
            term += u64::from(maker.dice.chance(20_000));
            let command = maker.command(model.revision(), term);
            let got = store.apply(index, term, Some(&command)).unwrap();
            assert_eq!(got, model.apply(term, &command), "seed {seed} index {index} {command:?}");
            if maker.dice.chance(200_000) {
                store.compact_step(maker.dice.below(12) as usize).unwrap();
            }
            if maker.dice.chance(300_000) {
                let published = store.publish().unwrap();
                events.extend(published.events);
                assert_same_reads(&published.view, &model, &mut maker, 5);
            }
        }
        let published = store.publish().unwrap();
        events.extend(published.events);
        assert_eq!(events, model.events, "seed {seed}");
        assert_same_history(&published.view, &model);
        while !store.compact_step(7).unwrap() {}
        let view = view(&mut store);
        assert_eq!(view.swept(), view.compacted());
        assert_same_history(&view, &model);
        assert_same_reads(&view, &model, &mut maker, 20);
        assert_eq!(view.hash_kv(0).unwrap(), published.view.hash_kv(0).unwrap());
    }
}

#[test]
fn after_a_crash_the_log_from_the_applied_index_gives_the_same_state() {
    for seed in 0..40 {
        let mut maker = Maker::new(1_000 + seed);
        let mut faults = Dice::new(seed);
        let engine = MemEngine::with_manual_sync();
        let mut store = Applier::open(engine, Options::default()).unwrap();
        let (mut straight, mut model) = (fresh(), Model::new());
        let mut log: Vec<Command> = Vec::new();
        for _ in 0..300 {
            let command = maker.command(model.revision(), 1);
            let want = model.apply(1, &command);
            log.push(command);
            let index = log.len() as u64;
            assert_eq!(straight.apply(index, 1, log.last()).unwrap(), want);
            // The victim sees the same log, at its own pace, and dies now and then.
            while store.applied().0 < index && !faults.chance(300_000) {
                let next = store.applied().0 + 1;
                store.apply(next, 1, Some(&log[next as usize - 1])).unwrap();
                if faults.chance(300_000) {
                    store.publish().unwrap();
                }
                if faults.chance(100_000) {
                    store.compact_step(5).unwrap();
                }
                if faults.chance(100_000) {
                    store.engine_mut().request_sync();
                }
                if faults.chance(100_000) {
                    store.engine_mut().finish_sync();
                }
                if faults.chance(50_000) {
                    let synced = store.engine().synced();
                    let engine = store.into_engine().crash(&mut faults);
                    store = Applier::open(engine, Options::default()).unwrap();
                    assert!(store.applied().0 >= synced, "a crash lost what was synced");
                }
            }
        }
        while store.applied().0 < log.len() as u64 {
            let next = store.applied().0 + 1;
            store.apply(next, 1, Some(&log[next as usize - 1])).unwrap();
        }
        let (view, want) = (view(&mut store), view(&mut straight));
        assert_same_history(&view, &model);
        assert_same_reads(&view, &model, &mut maker, 20);
        assert_eq!(view.hash_kv(0).unwrap(), want.hash_kv(0).unwrap(), "seed {seed}");
        assert_eq!(view.hash().unwrap(), want.hash().unwrap());
        // A retried operation is still known.
        for command in log.iter().rev().take(50).filter(|command| command.id.seq > 0) {
            let index = store.applied().0 + 1;
            assert_eq!(store.apply(index, 1, Some(command)).unwrap(), None, "{:?}", command.id);
        }
    }
}
