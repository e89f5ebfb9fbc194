//! Watchers that share what is read for them get what they would have read for themselves.

mod common;

use bytes::Bytes;
use common::dice::Maker;
use common::*;
use quorate_base::Dice;
use quorate_store::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

type Made = RefCell<BTreeMap<(usize, bool), Entry<Event>>>;

/// Keeps every stretch and every event for ever, whatever is compacted meanwhile.
#[derive(Default)]
struct Hoarder {
    stretches: RefCell<Vec<Rc<(Stretch, Made)>>>,
    reads: Cell<usize>,
    made: Cell<usize>,
}

impl Past<MemView, Event> for Hoarder {
    type Held = Rc<(Stretch, Made)>;

    fn stretch<'a>(&self, held: &'a Self::Held) -> &'a Stretch {
        &held.0
    }

    fn hold(&self, view: &View<MemView>, from: i64) -> Result<Option<Self::Held>, EngineError> {
        let known = self.stretches.borrow().iter().find(|held| held.0.covers(from)).cloned();
        if known.is_some() {
            return Ok(known);
        }
        self.reads.set(self.reads.get() + 1);
        // A little before it, as far as that is there.
        let round = (from - 5).max(view.compacted()).max(1).min(from);
        let Some(stretch) = view.stretch(round)?.filter(|stretch| stretch.covers(from)) else {
            return Ok(None);
        };
        let held = Rc::new((stretch, Made::default()));
        self.stretches.borrow_mut().push(held.clone());
        Ok(Some(held))
    }

    fn entry(
        &self,
        held: &Self::Held,
        at: usize,
        prev: bool,
        make: impl FnOnce() -> Result<Option<Entry<Event>>, EngineError>,
    ) -> Result<Option<Entry<Event>>, EngineError> {
        if let Some(entry) = held.1.borrow().get(&(at, prev)) {
            return Ok(Some(entry.clone()));
        }
        let Some(entry) = make()? else { return Ok(None) };
        self.made.set(self.made.get() + 1);
        held.1.borrow_mut().insert((at, prev), entry.clone());
        Ok(Some(entry))
    }
}

/// Everything up to the view, with pairs before that nobody may ask for any more left out; `None`
/// if it is compacted.
fn all<P: Past<MemView, Event>>(
    watch: &Watch,
    start: i64,
    view: &View<MemView>,
    past: &P,
    budget: usize,
) -> Option<Vec<Event>> {
    let mut cursor = Cursor::new(watch.clone(), start, view.revision());
    let ring = Ring::after(view.revision(), 0);
    let mut events = Vec::new();
    loop {
        let polled = cursor.poll_with(view, &ring, past, &|event: &Event| event.clone(), budget);
        let Polled::Batch(batch) = polled.unwrap() else { return None };
        assert!(batch.next <= view.revision() + 1);
        for Delivery { revision, encoded, .. } in batch.events {
            let prev = encoded.prev.filter(|_| revision > view.compacted());
            events.push(Event { prev, ..encoded });
        }
        if batch.synced {
            return Some(events);
        }
    }
}

#[test]
fn what_is_shared_tells_the_same_as_what_is_read_alone() {
    let mut compared = 0;
    for seed in 0..30 {
        let (mut maker, mut dice) = (Maker::new(seed), Dice::new(seed + 5));
        let mut store = fresh();
        let past = Hoarder::default();
        let mut views = vec![view(&mut store)];
        for index in 1..=400 {
            let command = maker.command(store.revision(), 1);
            store.apply(index, 1, Some(&command)).unwrap();
            if dice.chance(300_000) {
                store.compact_step(6).unwrap();
            }
            if dice.chance(100_000) {
                views.push(view(&mut store));
            }
            // Some watchers are served from a view that is not the newest.
            let last = views.len() - 1;
            let view = &views[last - (dice.below(2) as usize).min(last)];
            let start = 1 + dice.below(view.revision() as u64) as i64;
            let watch = Watch {
                range: maker.key_range(),
                prev_kv: dice.chance(500_000),
                no_delete: dice.chance(200_000),
                no_put: false,
            };
            let budget = 1 + dice.below(400) as usize;
            let alone = all(&watch, start, view, &Unshared, usize::MAX);
            let shared = all(&watch, start, view, &past, budget);
            assert_eq!(shared, alone, "seed {seed} index {index} from {start} {watch:?}");
            compared += shared.map_or(0, |events| events.len());
        }
    }
    assert!(compared > 10_000, "too tame: {compared}");
}

#[test]
fn a_thousand_watchers_at_about_the_same_place_read_the_log_once() {
    let mut store = fresh();
    for number in 0..3_000 {
        done(&mut store, put(&format!("p{:03}/{number}", number % 500), "value"));
    }
    let view = view(&mut store);
    let past = Hoarder::default();
    for watcher in 0..1_000 {
        let range = KeyRange::prefix(format!("p{:03}/", watcher % 500));
        let watch = Watch { range, ..Watch::default() };
        let events = all(&watch, 6 + watcher % 3, &view, &past, usize::MAX).unwrap();
        assert!((5..=6).contains(&events.len()), "{}", events.len());
    }
    assert_eq!(past.reads.get(), 1);
    assert!(past.made.get() <= 3_000, "each event is made once: {}", past.made.get());
}

#[test]
fn a_revision_that_changed_very_much_is_in_no_stretch() {
    let mut store = fresh();
    for first in (0..25_000).step_by(100) {
        let puts =
            (first..first + 100).map(|number| TxnOp::Put(put_of(&format!("k{number:05}"), "")));
        let txn = Txn { success: puts.collect(), ..Txn::default() };
        done(&mut store, Action::Txn(txn));
    }
    let before = store.revision();
    done(&mut store, delete_range("k", "l"));
    done(&mut store, put("k1", "after"));
    let view = view(&mut store);
    let stretch = |from: i64| view.stretch(from).unwrap();
    assert_eq!(stretch(before + 1), None);
    let ends_before = stretch(before - 10).expect("some changes");
    assert_eq!((ends_before.next(), ends_before.len()), (before + 1, 1_100));
    let past = Hoarder::default();
    let watch = Watch { range: KeyRange::prefix("k1"), prev_kv: true, ..Watch::default() };
    let shared = all(&watch, before - 10, &view, &past, usize::MAX).unwrap();
    let deletes = shared.iter().filter(|event| event.delete).count();
    assert_eq!((deletes, shared.last().unwrap().delete), (10_000, false));
    assert!(shared.iter().filter(|event| event.delete).all(|event| event.prev.is_some()));
}

/// Others may read and write between the parts; even a compaction may come, and before the end of it
/// nothing was told that would have to be taken back.
#[test]
fn a_revision_that_changed_very_much_is_read_in_parts_and_told_whole() {
    let mut store = fresh();
    for first in (0..6_000).step_by(100) {
        let puts =
            (first..first + 100).map(|number| TxnOp::Put(put_of(&format!("k{number:05}"), "")));
        done(&mut store, Action::Txn(Txn { success: puts.collect(), ..Txn::default() }));
    }
    done(&mut store, delete_range("k", "l"));
    let large = store.revision();
    let poll = |cursor: &mut Cursor<Event>, view: &View<MemView>| {
        let ring = Ring::after(view.revision(), 0);
        cursor.poll(view, &ring, &Event::clone, usize::MAX).unwrap()
    };
    let watch = Watch { range: KeyRange::prefix("k"), prev_kv: true, ..Watch::default() };
    let mut cursor = Cursor::new(watch.clone(), large, large);
    let (mut parts, mut whole) = (0, Vec::new());
    while whole.is_empty() {
        let Polled::Batch(batch) = poll(&mut cursor, &view(&mut store)) else {
            panic!("compacted")
        };
        let is_over = batch.next == large + 1;
        assert_eq!((batch.next, batch.events.is_empty()), (large + i64::from(is_over), !is_over));
        (parts, whole) = (parts + 1, batch.events);
        done(&mut store, put("k1", "meanwhile"));
    }
    assert_eq!((parts, whole.len()), (6_000 / 250, 6_000));
    assert!(whole.iter().all(|told| told.revision == large && told.encoded.prev.is_some()));
    let keys: Vec<&Bytes> = whole.iter().map(|told| &told.encoded.kv.key).collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]), "each once");

    let mut late = Cursor::new(watch, large, large);
    let begun = poll(&mut late, &view(&mut store));
    let nothing = Polled::Batch(Batch { events: Vec::new(), next: large, synced: false });
    assert_eq!(begun, nothing);
    done(&mut store, Action::Compact { revision: large + 1 });
    assert_eq!(poll(&mut late, &view(&mut store)), Polled::Compacted { revision: large + 1 });
}
