//! What a watcher is promised: ordered, unique, reliable, atomic, resumable, filtered right, with
//! the right pair before, whatever it is served from and however it is interrupted.

mod common;

use bytes::Bytes;
use common::dice::Maker;
use common::model::Model;
use common::*;
use quorate_base::Dice;
use quorate_store::*;

fn encode(event: &Event) -> Event {
    event.clone()
}

type Polling = Polled<Event>;

fn poll(
    cursor: &mut Cursor<Event>,
    view: &View<MemView>,
    ring: &Ring<Event>,
    budget: usize,
) -> Polling {
    cursor.poll(view, ring, &encode, budget).unwrap()
}

/// Everything up to the view, at once.
fn drain(cursor: &mut Cursor<Event>, view: &View<MemView>, ring: &Ring<Event>) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        match poll(cursor, view, ring, usize::MAX) {
            Polled::Compacted { revision } => panic!("compacted at {revision}"),
            Polled::Batch(batch) => {
                events.extend(batch.events.into_iter().map(|delivery| delivery.encoded));
                if batch.next > view.revision() {
                    return events;
                }
            }
        }
    }
}

fn publish(store: &mut Store, ring: &mut Ring<Event>) -> View<MemView> {
    let published = store.publish().unwrap();
    ring.push(&published.events, &published.unlisted, encode);
    published.view
}

fn watching(range: KeyRange) -> Watch {
    Watch { range, prev_kv: true, ..Watch::default() }
}

/// A ring that holds nothing but the newest revision: everything else comes from the engine.
fn tiny() -> Ring<Event> {
    Ring::after(1, 0)
}

fn brief(events: &[Event]) -> String {
    let one = |event: &Event| {
        let sign = if event.delete { '-' } else { '+' };
        format!("{sign}{}@{}", String::from_utf8_lossy(&event.kv.key), event.kv.mod_revision)
    };
    events.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[derive(Debug)]
struct Watcher {
    cursor: Cursor<Event>,
    watch: Watch,
    start: i64,
    got: Vec<Event>,
    cancelled: bool,
}

impl Watcher {
    /// What the log says it must have got by `next`.
    fn expected<'a>(&'a self, log: &'a [Event], next: i64) -> impl Iterator<Item = &'a Event> {
        log.iter().filter(move |event| {
            let filtered = if event.delete { self.watch.no_delete } else { self.watch.no_put };
            event.kv.mod_revision >= self.start
                && event.kv.mod_revision < next
                && !filtered
                && self.watch.range.contains(&event.kv.key)
        })
    }

    fn check(&self, log: &[Event]) {
        let want: Vec<&Event> = self.expected(log, self.cursor.next()).collect();
        assert_eq!(self.got.len(), want.len(), "{self:?}");
        for (got, want) in self.got.iter().zip(want) {
            assert_eq!((got.delete, &got.kv), (want.delete, &want.kv));
            // The pair before is right, or missing since the engine no longer has it.
            assert!(got.prev == want.prev || got.prev.is_none(), "{got:?} {want:?}");
        }
    }
}

#[test]
fn watchers_get_exactly_what_the_log_says_through_compactions_and_slow_reading() {
    let (mut cancelled, mut delivered) = (0, 0);
    for seed in 0..40 {
        let mut maker = Maker::new(seed);
        let mut dice = Dice::new(seed + 77);
        let (mut store, mut model) = (fresh(), Model::new());
        let limit = [0, 1_000, 5_000, 1 << 20][seed as usize % 4];
        let mut ring = Ring::after(1, limit);
        let mut watchers: Vec<Watcher> = Vec::new();
        let mut view = publish(&mut store, &mut ring);
        for index in 1..=500 {
            let command = maker.command(model.revision(), 1);
            store.apply(index, 1, Some(&command)).unwrap();
            model.apply(1, &command);
            if dice.chance(300_000) {
                store.compact_step(6).unwrap();
            }
            if dice.chance(400_000) {
                view = publish(&mut store, &mut ring);
            }
            if dice.chance(100_000) {
                let watch = Watch {
                    range: maker.key_range(),
                    no_put: dice.chance(200_000),
                    no_delete: dice.chance(200_000),
                    prev_kv: true,
                };
                let start = dice.below(view.revision() as u64 + 20) as i64;
                let cursor = Cursor::new(watch.clone(), start, view.revision());
                let start = if start == 0 { view.revision() + 1 } else { start };
                watchers.push(Watcher { cursor, watch, start, got: vec![], cancelled: false });
            }
            for watcher in watchers.iter_mut().filter(|watcher| !watcher.cancelled) {
                if dice.chance(700_000) {
                    continue;
                }
                let before = watcher.cursor.next();
                match poll(&mut watcher.cursor, &view, &ring, dice.below(300) as usize + 1) {
                    Polled::Compacted { revision } => {
                        assert_eq!(revision, view.compacted());
                        assert!(before < revision);
                        watcher.cancelled = true;
                        cancelled += 1;
                    }
                    Polled::Batch(batch) => {
                        assert_eq!(batch.next, watcher.cursor.next());
                        assert!(batch.next >= before);
                        assert_eq!(batch.synced, batch.next == view.revision() + 1);
                        let revisions: Vec<_> = batch.events.iter().map(|d| d.revision).collect();
                        assert!(revisions.is_sorted());
                        assert!(revisions.iter().all(|r| (before..batch.next).contains(r)));
                        watcher.got.extend(batch.events.into_iter().map(|d| d.encoded));
                    }
                }
                watcher.check(&model.events);
                if dice.chance(100_000) && watcher.cursor.next() > view.compacted() {
                    // The client reconnects and resumes at the next revision.
                    let next = watcher.cursor.next();
                    watcher.cursor = Cursor::new(watcher.watch.clone(), next, view.revision());
                }
            }
        }
        let view = publish(&mut store, &mut ring);
        for watcher in watchers.iter_mut().filter(|watcher| !watcher.cancelled) {
            if let Polled::Compacted { .. } = poll(&mut watcher.cursor, &view, &ring, 1) {
                continue;
            }
            let next = watcher.cursor.next();
            let start = Cursor::<Event>::new(watcher.watch.clone(), watcher.start, 0).next();
            assert_eq!(start, watcher.start);
            let rest = drain(&mut watcher.cursor, &view, &ring);
            assert!(rest.iter().all(|event| event.kv.mod_revision >= next));
        }
        delivered += watchers.iter().map(|watcher| watcher.got.len()).sum::<usize>();
    }
    assert!(cancelled > 100 && delivered > 10_000, "too tame: {cancelled} {delivered}");
}

/// A watcher of one key reads that key's own history, one of everything the log of changes: with compactions between,
/// half swept or whole, from every start that is left.
#[test]
fn the_history_of_a_key_and_the_log_tell_the_same_story() {
    let (mut told, mut deletes, mut with_prev) = (0, 0, 0);
    for seed in 0..12 {
        let mut maker = Maker::new(seed);
        maker.alarms = false;
        let (mut store, none) = (fresh(), tiny());
        for index in 1..=400 {
            let command = maker.command(store.revision(), 1);
            store.apply(index, 1, Some(&command)).unwrap();
            if index % 7 == 0 {
                store.compact_step(3).unwrap();
            }
        }
        let view = store.publish().unwrap().view;
        let current = view.revision();
        let all = KeyRange { key: Bytes::from_static(&[0]), end: Bytes::from_static(&[0]) };
        for start in view.compacted().max(1)..=current {
            let mut cursor = Cursor::new(watching(all.clone()), start, current);
            let log = drain(&mut cursor, &view, &none);
            let mut keys: Vec<Bytes> = log.iter().map(|event| event.kv.key.clone()).collect();
            keys.sort();
            keys.dedup();
            keys.push(Bytes::from_static(b"a key that never was"));
            for key in keys {
                let mut cursor =
                    Cursor::new(watching(KeyRange::single(key.clone())), start, current);
                let own = drain(&mut cursor, &view, &none);
                let expected: Vec<_> =
                    log.iter().filter(|event| event.kv.key == key).cloned().collect();
                assert_eq!(own, expected, "seed {seed}, {key:?} from {start}");
                told += own.len();
                deletes += own.iter().filter(|event| event.delete).count();
                with_prev += own.iter().filter(|event| event.prev.is_some()).count();
            }
        }
    }
    assert!(told > 10_000 && deletes > 1_000 && with_prev > 1_000, "{told} {deletes} {with_prev}");
}

#[test]
fn the_ring_and_the_engine_tell_the_same_story() {
    let mut maker = Maker::new(4);
    maker.alarms = false;
    let mut store = fresh();
    let (mut large, mut none) = (Ring::after(1, 1 << 30), tiny());
    for index in 1..=500 {
        let command = maker.command(store.revision(), 1);
        if !matches!(command.action, Action::Compact { .. }) {
            store.apply(index, 1, Some(&command)).unwrap();
        } else {
            store.apply(index, 1, None).unwrap();
        }
    }
    let published = store.publish().unwrap();
    large.push(&published.events, &published.unlisted, encode);
    none.push(&published.events, &published.unlisted, encode);
    let view = published.view;
    assert!(none.first() == view.revision() + 1 && large.first() == 2);
    for _ in 0..50 {
        let watch = watching(maker.key_range());
        let start = maker.dice.between(1, view.revision() as u64) as i64;
        let mut cursor = Cursor::new(watch, start, view.revision());
        let mut other = cursor.clone();
        assert_eq!(drain(&mut cursor, &view, &large), drain(&mut other, &view, &none));
    }
}

#[test]
fn what_is_not_listed_is_read_from_the_engine() {
    let mut maker = Maker::new(11);
    maker.alarms = false;
    let mut listing = fresh();
    let options = Options { events: Some(450) };
    let mut naming = Applier::open(MemEngine::new(), options).unwrap();
    let (mut whole, mut ring) = (Ring::after(1, 1 << 30), Ring::after(1, 1 << 30));
    let (mut index, mut named) = (0, 0);
    for _ in 0..300 {
        for _ in 0..maker.dice.below(4) {
            index += 1;
            let command = maker.command(listing.revision(), 1);
            let command = (!matches!(command.action, Action::Compact { .. })).then_some(command);
            listing.apply(index, 1, command.as_ref()).unwrap();
            naming.apply(index, 1, command.as_ref()).unwrap();
        }
        let all = listing.publish().unwrap();
        let some = naming.publish().unwrap();
        let mut rest = all.events.iter().filter(|event| {
            let revision = event.kv.mod_revision;
            let named = some.unlisted.iter().find(|named| named.revision == revision);
            named.is_none_or(|named| {
                assert!(named.first <= event.kv.key && event.kv.key <= named.last);
                false
            })
        });
        assert!(some.events.iter().eq(rest.by_ref()) && rest.next().is_none());
        named += some.unlisted.len();
        whole.push(&all.events, &all.unlisted, encode);
        ring.push(&some.events, &some.unlisted, encode);
        assert_eq!(whole.last(), ring.last());
    }
    assert!(named >= 5, "{named}");
    let view = naming.publish().unwrap().view;
    for _ in 0..50 {
        let watch = watching(maker.key_range());
        let start = maker.dice.between(1, view.revision() as u64) as i64;
        let mut cursor = Cursor::new(watch, start, view.revision());
        let mut other = cursor.clone();
        assert_eq!(drain(&mut cursor, &view, &whole), drain(&mut other, &view, &ring));
    }
}

#[test]
fn item_42_a_start_in_the_future_is_silent_until_reached() {
    let (mut store, mut ring) = (fresh(), tiny());
    let mut view = publish(&mut store, &mut ring);
    let mut cursor = Cursor::new(watching(KeyRange::all()), 5, view.revision());
    for value in 2..=4 {
        done(&mut store, put("a", &value.to_string()));
        view = publish(&mut store, &mut ring);
        let Polled::Batch(batch) = poll(&mut cursor, &view, &ring, 100) else { panic!() };
        assert!(batch.events.is_empty() && batch.next == 5);
        assert_eq!(batch.synced, value == 4, "no progress before the start is reached");
    }
    done(&mut store, put("a", "5"));
    view = publish(&mut store, &mut ring);
    assert_eq!(brief(&drain(&mut cursor, &view, &ring)), "+a@5");
}

#[test]
fn item_42_start_0_is_after_the_current_revision() {
    let (mut store, mut ring) = (fresh(), tiny());
    done(&mut store, put("a", "1"));
    let view = publish(&mut store, &mut ring);
    let mut cursor = Cursor::new(watching(KeyRange::all()), 0, view.revision());
    assert!(cursor.is_synced(view.revision()));
    done(&mut store, put("a", "2"));
    let view = publish(&mut store, &mut ring);
    assert_eq!(brief(&drain(&mut cursor, &view, &ring)), "+a@3");
}

#[test]
fn item_43_a_start_before_the_compaction_is_cancelled_and_at_it_gets_the_delete() {
    // etcd#18089, etcd#19179: a delete exactly at the compacted revision must still be told.
    for swept in [false, true] {
        for limit in [0, 1 << 20] {
            let (mut store, mut ring) = (fresh(), Ring::after(1, limit));
            done(&mut store, put("a", "1"));
            done(&mut store, delete("a"));
            done(&mut store, put("b", "1"));
            done(&mut store, Action::Compact { revision: 3 });
            while swept && !store.compact_step(1).unwrap() {}
            let view = publish(&mut store, &mut ring);
            let mut early = Cursor::new(watching(KeyRange::all()), 2, view.revision());
            assert_eq!(poll(&mut early, &view, &ring, 9), Polled::Compacted { revision: 3 });
            let mut exact = Cursor::new(watching(KeyRange::all()), 3, view.revision());
            let events = drain(&mut exact, &view, &ring);
            assert_eq!(brief(&events), "-a@3 +b@4");
            if limit == 0 {
                assert_eq!(events[0].prev, None, "compacted: silently missing");
            }
        }
    }
}

#[test]
fn a_delete_at_the_compacted_revision_survives_the_next_crash_but_not_the_next_compaction() {
    let (mut store, mut ring) = (fresh(), tiny());
    done(&mut store, put("a", "1"));
    done(&mut store, delete("a"));
    done(&mut store, put("b", "1"));
    done(&mut store, Action::Compact { revision: 3 });
    while !store.compact_step(1).unwrap() {}
    store.publish().unwrap();
    let engine = store.into_engine().crash(&mut Dice::new(1));
    let mut store = Applier::open(engine, Options::default()).unwrap();
    if store.applied().0 == 4 {
        let view = publish(&mut store, &mut ring);
        let mut cursor = Cursor::new(watching(KeyRange::all()), 3, view.revision());
        assert_eq!(brief(&drain(&mut cursor, &view, &ring)), "-a@3 +b@4");
        done(&mut store, Action::Compact { revision: 4 });
        while !store.compact_step(1).unwrap() {}
        let view = publish(&mut store, &mut ring);
        let mut cursor = Cursor::new(watching(KeyRange::all()), 4, view.revision());
        assert_eq!(brief(&drain(&mut cursor, &view, &ring)), "+b@4");
    }
}

#[test]
fn item_46_a_revision_is_never_split_however_small_the_budget() {
    let (mut store, mut ring) = (fresh(), tiny());
    let ops = |from: u32| -> Vec<TxnOp> {
        (from..from + 50).map(|n| TxnOp::Put(put_of(&format!("k{n}"), "v"))).collect()
    };
    done(&mut store, Action::Txn(Txn { success: ops(0), ..Txn::default() }));
    done(&mut store, Action::Txn(Txn { success: ops(10), ..Txn::default() }));
    done(&mut store, delete_range("k", "l"));
    let view = publish(&mut store, &mut ring);
    for (ring, from) in [(&ring, 2), (&Ring::after(view.revision(), 0), 2)] {
        let mut cursor = Cursor::new(watching(KeyRange::all()), from, view.revision());
        for (revision, events) in [(2, 50), (3, 50), (4, 60)] {
            let Polled::Batch(batch) = poll(&mut cursor, &view, ring, 1) else { panic!() };
            assert_eq!(batch.events.len(), events);
            assert!(batch.events.iter().all(|delivery| delivery.revision == revision));
            assert_eq!(batch.next, revision + 1);
        }
    }
}

#[test]
fn item_46_an_unsynced_cursor_reads_a_thousand_revisions_at_a_time() {
    let (mut store, mut ring) = (fresh(), tiny());
    for number in 0..2_500 {
        done(&mut store, put(&format!("k{}", number % 7), "v"));
    }
    let view = publish(&mut store, &mut ring);
    let mut cursor = Cursor::new(watching(KeyRange::all()), 2, view.revision());
    let mut sizes = Vec::new();
    loop {
        let Polled::Batch(batch) = poll(&mut cursor, &view, &ring, usize::MAX) else { panic!() };
        sizes.push(batch.events.len());
        if batch.synced {
            break;
        }
    }
    assert!(sizes.iter().all(|size| *size <= 1_000) && sizes.len() == 3, "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), 2_500);
}

#[test]
fn items_48_and_49_the_pair_before_and_the_filters() {
    let (mut store, mut ring) = (fresh(), tiny());
    done(&mut store, put("a", "1"));
    done(&mut store, put("a", "2"));
    done(&mut store, delete("a"));
    done(&mut store, put("a", "3"));
    let view = publish(&mut store, &mut ring);
    let all = |watch: Watch| {
        let mut cursor = Cursor::new(watch, 2, view.revision());
        drain(&mut cursor, &view, &ring)
    };
    let events = all(watching(KeyRange::single("a")));
    let prev: Vec<Option<&[u8]>> =
        events.iter().map(|event| event.prev.as_ref().map(|kv| &kv.value[..])).collect();
    assert_eq!(prev, [None, Some(&b"1"[..]), Some(b"2"), None]);
    assert_eq!(events[2].kv, KeyValue { key: b("a"), mod_revision: 4, ..KeyValue::default() });
    let no_put = Watch { no_put: true, ..watching(KeyRange::single("a")) };
    assert_eq!(brief(&all(no_put)), "-a@4");
    let no_delete = Watch { no_delete: true, ..watching(KeyRange::single("a")) };
    assert_eq!(brief(&all(no_delete)), "+a@2 +a@3 +a@5");
    let nothing = Watch { no_put: true, no_delete: true, ..watching(KeyRange::all()) };
    assert_eq!(brief(&all(nothing)), "");
}

#[test]
fn a_view_older_than_the_ring_bounds_what_is_told() {
    // A progress at the view's revision must never be followed by an event of that revision, and
    // none above it may come before (item 52, etcd#15220).
    let (mut store, mut ring) = (fresh(), Ring::after(1, 1 << 20));
    done(&mut store, put("a", "1"));
    let old = publish(&mut store, &mut ring);
    done(&mut store, put("a", "2"));
    let new = publish(&mut store, &mut ring);
    let mut cursor = Cursor::new(watching(KeyRange::all()), 2, 1);
    assert_eq!(brief(&drain(&mut cursor, &old, &ring)), "+a@2");
    assert!(cursor.is_synced(old.revision()));
    assert_eq!(brief(&drain(&mut cursor, &new, &ring)), "+a@3");
    // And a ring that lags behind the view leaves no gap.
    let empty = Ring::after(2, 1 << 20);
    let mut cursor = Cursor::new(watching(KeyRange::all()), 3, 2);
    assert_eq!(brief(&drain(&mut cursor, &new, &empty)), "+a@3");
}

#[test]
fn a_skipped_cursor_goes_on_behind_what_it_skipped() {
    let (mut store, mut ring) = (fresh(), tiny());
    let view = publish(&mut store, &mut ring);
    let mut cursor = Cursor::new(watching(KeyRange::single("b")), 0, view.revision());
    let mut late = Cursor::<Event>::new(watching(KeyRange::single("b")), 9, view.revision());
    done(&mut store, put("a", "1"));
    let next = publish(&mut store, &mut ring);
    cursor.skip(view.revision(), next.revision());
    late.skip(view.revision(), next.revision());
    assert_eq!((cursor.next(), late.next()), (3, 9), "only a synced one skips");
    done(&mut store, put("b", "1"));
    let last = publish(&mut store, &mut ring);
    assert_eq!(brief(&drain(&mut cursor, &last, &ring)), "+b@3");
}

#[test]
#[should_panic(expected = "revisions come one after the other")]
fn a_ring_refuses_a_gap() {
    let mut store = fresh();
    done(&mut store, put("a", "1"));
    done(&mut store, put("a", "2"));
    let events = store.publish().unwrap().events;
    Ring::after(1, 100).push(&events[1..], &[], encode);
}
