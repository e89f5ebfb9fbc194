//! Ranges, puts, deletes and alarms by the items of the contract, quirks included.

mod common;

use common::*;
use quorate_store::*;

fn shelf() -> Store {
    let mut store = fresh();
    // Revisions 2 to 6; the values go against the order of the keys.
    for (key, value) in [("a", "9"), ("b", "5"), ("b", "4"), ("b", "3"), ("c", "1")] {
        done(&mut store, put(key, value));
    }
    store
}

fn ask(view: &View<MemView>, range: Range) -> (String, bool, i64) {
    let answer = view.range(&range).unwrap();
    (shown(&answer), answer.more, answer.count)
}

#[test]
fn item_2_what_a_range_end_means() {
    let view = view(&mut shelf());
    let keys = |key: &str, end: &str| shown(&view.range(&range(key, end)).unwrap());
    assert_eq!(keys("b", ""), "b=3");
    assert_eq!(keys("b", "\0"), "b=3 c=1");
    assert_eq!(keys("\0", "\0"), "a=9 b=3 c=1");
    assert_eq!(keys("a", "c"), "a=9 b=3");
    assert_eq!(keys("c", "a"), "");
}

#[test]
fn item_4_without_an_order_the_limit_cuts_before_the_sort() {
    let view = view(&mut shelf());
    let by_value = Range { target: SortTarget::Value, ..everything() };
    assert_eq!(ask(&view, by_value.clone()).0, "c=1 b=3 a=9");
    // Fetches a and b (limit + 1), sorts them, cuts to one: c, the smallest, never shows.
    let limited = Range { limit: 1, ..by_value.clone() };
    assert_eq!(ask(&view, limited.clone()), ("b=3".into(), true, 3));
    // With an order, or with a filter, everything is sorted first.
    let ordered = Range { order: SortOrder::Ascend, ..limited.clone() };
    assert_eq!(ask(&view, ordered), ("c=1".into(), true, 3));
    let filtered = Range { min_mod_revision: 1, ..limited };
    assert_eq!(ask(&view, filtered), ("c=1".into(), true, 3));
}

#[test]
fn items_5_6_and_8_limit_more_count_and_filters() {
    let view = view(&mut shelf());
    let limit = |limit| Range { limit, ..everything() };
    assert_eq!(ask(&view, limit(2)), ("a=9 b=3".into(), true, 3));
    assert_eq!(ask(&view, limit(3)), ("a=9 b=3 c=1".into(), false, 3));
    assert_eq!(ask(&view, limit(-1)), ("a=9 b=3 c=1".into(), false, 3));
    // Filters come before the limit, `more` is about what passed, `count` about all.
    let recent = Range { min_mod_revision: 5, ..limit(1) };
    assert_eq!(ask(&view, recent.clone()), ("b=3".into(), true, 3));
    let between = Range { max_mod_revision: 5, ..recent.clone() };
    assert_eq!(ask(&view, between), ("b=3".into(), false, 3));
    let young = Range { min_create_revision: 6, ..recent };
    assert_eq!(ask(&view, young), ("c=1".into(), false, 3));
    let old = Range { max_create_revision: 2, ..limit(0) };
    assert_eq!(ask(&view, old), ("a=9".into(), false, 3));
}

#[test]
fn item_7_count_only_and_keys_only() {
    let mut store = shelf();
    done(&mut store, Action::LeaseGrant { id: 5, ttl: 9 });
    done(&mut store, put_leased("c", "7", 5));
    let view = view(&mut store);
    let counted = Range { count_only: true, limit: 1, ..everything() };
    assert_eq!(ask(&view, counted), (String::new(), false, 3));
    let keys = Range { keys_only: true, ..range("c", "") };
    let answer = view.range(&keys).unwrap();
    assert_eq!((&answer.kvs[0].value[..], answer.kvs[0].lease), (&b""[..], 0));
    assert_eq!((answer.kvs[0].mod_revision, answer.kvs[0].version), (7, 2));
    let sorted = Range { target: SortTarget::Value, ..keys };
    assert_eq!(view.range(&sorted).unwrap().kvs[0].lease, 5);
    assert_eq!(view.range(&range("c", "")).unwrap().kvs[0].lease, 5);
}

#[test]
fn items_9_and_13_revisions() {
    assert_eq!(fresh().revision(), 1);
    let mut store = shelf();
    done(&mut store, Action::Compact { revision: 4 });
    let view = view(&mut store);
    let at = |revision| view.range(&Range { revision, ..everything() });
    assert_eq!(shown(&at(4).unwrap()), "a=9 b=4");
    assert_eq!(shown(&at(-3).unwrap()), "a=9 b=3 c=1");
    assert_eq!(at(3), Err(StoreError::Compacted { asked: 3, compacted: 4 }.into()));
    assert_eq!(at(7), Err(StoreError::FutureRevision { asked: 7, current: 6 }.into()));
    let far = StoreError::FutureRevision { asked: i64::MAX, current: 6 };
    assert_eq!(at(i64::MAX), Err(far.into()));
}

#[test]
fn items_14_to_17_puts() {
    let mut store = fresh();
    let refused = |store: &mut Store, put: Put| apply(store, Action::Put(put)).result.unwrap_err();
    let keep_value = |key| Put { ignore_value: true, ..put_of(key, "") };
    let keep_lease = |key| Put { ignore_lease: true, ..put_of(key, "new") };
    assert_eq!(refused(&mut store, keep_value("a")), StoreError::KeyNotFound);
    assert_eq!(refused(&mut store, keep_lease("a")), StoreError::KeyNotFound);
    assert_eq!(refused(&mut store, Put { lease: 3, ..put_of("a", "") }), StoreError::LeaseNotFound);
    done(&mut store, Action::LeaseGrant { id: 3, ttl: 9 });
    done(&mut store, Action::LeaseGrant { id: 4, ttl: 9 });
    done(&mut store, put_leased("a", "1", 3));
    done(&mut store, Action::Put(keep_lease("a")));
    let first = view(&mut store);
    assert_eq!((first.lease_keys(3).unwrap().len(), first.lease_keys(4).unwrap().len()), (1, 0));
    done(&mut store, Action::Put(Put { lease: 4, ..keep_value("a") }));
    let moved = view(&mut store);
    assert_eq!((moved.lease_keys(3).unwrap().len(), moved.lease_keys(4).unwrap().len()), (0, 1));
    let kv = moved.range(&range("a", "")).unwrap().kvs.remove(0);
    let want = KeyValue {
        key: b("a"),
        value: b("new"),
        create_revision: 2,
        mod_revision: 4,
        version: 3,
        lease: 4,
    };
    assert_eq!(kv, want);
    done(&mut store, put("a", "free"));
    assert!(view(&mut store).lease_keys(4).unwrap().is_empty());
    done(&mut store, delete("a"));
    done(&mut store, put("a", "again"));
    let kv = view(&mut store).range(&range("a", "")).unwrap().kvs.remove(0);
    assert_eq!((kv.create_revision, kv.version), (7, 1));
}

#[test]
fn items_36_and_37_alarms() {
    let mut store = fresh();
    done(&mut store, Action::LeaseGrant { id: 1, ttl: 9 });
    done(&mut store, put_leased("a", "1", 1));
    let alarm = |raise, kind| Action::Alarm { raise, member: 8, kind };
    let raised = Answer::Alarm { alarms: vec![Alarm { member: 8, kind: AlarmKind::NoSpace }] };
    assert_eq!(done(&mut store, alarm(true, AlarmKind::NoSpace)), raised);
    let nested = TxnOp::Txn(Txn { failure: vec![TxnOp::Put(put_of("b", ""))], ..Txn::default() });
    let txn = |ops| Action::Txn(Txn { success: ops, ..Txn::default() });
    for action in [put("b", ""), Action::LeaseGrant { id: 2, ttl: 9 }, txn(vec![nested])] {
        assert_eq!(apply(&mut store, action).result, Err(StoreError::NoSpace));
    }
    done(&mut store, txn(vec![TxnOp::Delete(delete_of("q", ""))]));
    done(&mut store, Action::Compact { revision: 2 });
    done(&mut store, Action::LeaseRevoke { id: 1, term: None });
    // It survives opening again.
    view(&mut store);
    let mut store = Applier::open(store.into_engine(), Options::default()).unwrap();
    assert_eq!(apply(&mut store, put("b", "")).result, Err(StoreError::NoSpace));
    done(&mut store, alarm(true, AlarmKind::Corrupt));
    let compact = Action::Compact { revision: 3 };
    let revoke = Action::LeaseRevoke { id: 1, term: None };
    for action in [put("b", ""), delete("a"), compact, revoke, txn(vec![])] {
        assert_eq!(apply(&mut store, action).result, Err(StoreError::Corrupt));
    }
    let readable = view(&mut store);
    assert_eq!((readable.alarms().len(), readable.range(&everything()).unwrap().count), (2, 0));
    done(&mut store, alarm(false, AlarmKind::Corrupt));
    assert_eq!(done(&mut store, alarm(false, AlarmKind::NoSpace)), raised);
    let nothing = Answer::Alarm { alarms: vec![] };
    assert_eq!(done(&mut store, alarm(false, AlarmKind::NoSpace)), nothing);
    done(&mut store, put("b", ""));
}

#[test]
#[should_panic(expected = "entries are applied in order")]
fn an_index_out_of_order_stops_the_member() {
    let _ = fresh().apply(2, 1, None);
}

#[test]
fn a_range_that_is_larger_than_wanted_says_so_after_so_many_bytes() {
    let mut store = fresh();
    for number in 0..50 {
        done(&mut store, put(&format!("k{number:02}"), &"v".repeat(97)));
    }
    let view = view(&mut store);
    // Each pair has a hundred bytes.
    let whole = view.range(&everything()).unwrap();
    assert_eq!(view.range_up_to(&everything(), 5_000).unwrap(), UpTo::Whole(whole));
    let more = UpTo::More { pairs: 11, bytes: 1_100 };
    assert_eq!(view.range_up_to(&everything(), 1_000).unwrap(), more);
    let limited = Range { limit: 9, ..everything() };
    let answer = view.range(&limited).unwrap();
    assert_eq!(view.range_up_to(&limited, 1_000).unwrap(), UpTo::Whole(answer));
    // What is sorted is gathered whole, however few pairs are wanted of it.
    let sorted = Range { order: SortOrder::Ascend, target: SortTarget::Value, ..limited };
    assert_eq!(view.range_up_to(&sorted, 1_000).unwrap(), more);
    // Values that are left out weigh nothing, though reading on and on for a few keys ends too.
    let keys = Range { keys_only: true, ..everything() };
    let answer = view.range(&keys).unwrap();
    assert_eq!(view.range_up_to(&keys, 2_000).unwrap(), UpTo::Whole(answer));
    let UpTo::More { pairs: 1..49, .. } = view.range_up_to(&keys, 150).unwrap() else {
        panic!("all of it was read")
    };
}

#[test]
fn what_a_range_comes_to_is_known_without_reading_it() {
    let mut store = fresh();
    let size = |number: usize| if number.is_multiple_of(50) { 400_000 } else { number * 7 % 3_000 };
    for number in 0..600 {
        done(&mut store, put(&format!("k{number:03}"), &"v".repeat(size(number))));
    }
    // Updates that make pairs lighter and heavier, and gaps.
    for number in (0..600).step_by(3) {
        done(&mut store, put(&format!("k{number:03}"), &"w".repeat(size(number + 1))));
    }
    done(&mut store, delete_range("k300", "k310"));
    let view = view(&mut store);
    let ranges =
        [("k", "l"), ("k", "\0"), ("k1", "k2"), ("k250", "k550"), ("k123", "k124"), ("x", "z")];
    for (key, end) in ranges {
        for limit in [0, 1, 10, 177, 10_000] {
            let range = KeyRange { key: key.to_owned().into(), end: end.to_owned().into() };
            let ask = Range { range: range.clone(), limit, ..Range::default() };
            let answer = view.range(&ask).unwrap();
            let bytes = answer.kvs.iter().map(KeyValue::weight).sum();
            let pairs = Sum { keys: answer.kvs.len() as u64, bytes };
            let measure = view.measure(&ask).unwrap().expect("it is plain");
            assert_eq!(measure, Measure { pairs, count: answer.count as u64 }, "{ask:?}");
            if limit == 0 {
                let (least, most) = (view.at_least(&range), view.at_most(&range));
                assert!(
                    least.bytes <= bytes && bytes <= most.bytes && most.bytes < bytes + 1_500_000
                );
            }
        }
    }
    for other in [
        Range { keys_only: true, ..everything() },
        Range { revision: 5, ..everything() },
        Range { order: SortOrder::Descend, ..everything() },
    ] {
        assert_eq!(view.measure(&other), Ok(None), "{other:?}");
    }
}
