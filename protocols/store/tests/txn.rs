//! Transactions, by the items of the contract.

mod common;

use common::*;
use quorate_store::validate::{MAX_TXN_OPS, check_txn, is_read_only, is_serializable};
use quorate_store::*;

fn compare(key: &str, result: CompareResult, target: CompareTarget) -> Compare {
    Compare { range: KeyRange::single(key.to_owned()), result, target }
}

fn txn(compares: Vec<Compare>, success: Vec<TxnOp>, failure: Vec<TxnOp>) -> Txn {
    Txn { compares, success, failure }
}

fn put_op(key: &str, value: &str) -> TxnOp {
    TxnOp::Put(put_of(key, value))
}

fn delete_op(key: &str, end: &str) -> TxnOp {
    TxnOp::Delete(delete_of(key, end))
}

fn get_op(key: &str) -> TxnOp {
    TxnOp::Range(range(key, ""))
}

fn then(success: Vec<TxnOp>) -> Txn {
    txn(vec![], success, vec![])
}

fn state(store: &mut Store) -> String {
    shown(&view(store).range(&everything()).unwrap())
}

fn answers(answer: Answer) -> (bool, Vec<Answer>) {
    match answer {
        Answer::Txn { succeeded, answers } => (succeeded, answers),
        other => panic!("no transaction: {other:?}"),
    }
}

#[test]
fn item_21_the_budget_of_operations_shrinks_with_nesting() {
    let gets = |count: usize| vec![get_op("a"); count];
    assert_eq!(check_txn(&then(gets(128)), MAX_TXN_OPS), Ok(()));
    let refused = |ops, limit| Err(ValidationError::TooManyOps { ops, limit });
    assert_eq!(check_txn(&then(gets(129)), MAX_TXN_OPS), refused(129, 128));
    let compares = vec![compare("a", CompareResult::Equal, CompareTarget::Mod(0)); 129];
    assert_eq!(check_txn(&txn(compares, vec![], vec![]), MAX_TXN_OPS), refused(129, 128));
    // Success, failure and compares are not added up: the greatest counts.
    assert_eq!(check_txn(&txn(vec![], gets(128), gets(128)), MAX_TXN_OPS), Ok(()));
    let nested = |outer: usize, inner: usize| {
        let mut ops = gets(outer - 1);
        ops.push(TxnOp::Txn(then(gets(inner))));
        then(ops)
    };
    assert_eq!(check_txn(&nested(100, 28), MAX_TXN_OPS), Ok(()));
    assert_eq!(check_txn(&nested(100, 29), MAX_TXN_OPS), refused(29, 28));
    assert_eq!(check_txn(&nested(128, 1), MAX_TXN_OPS), refused(1, 0));
}

#[test]
fn item_22_a_key_is_changed_once_on_every_path() {
    let dup = |key: &str| Err(ValidationError::DuplicateKey { key: b(key) });
    let check = |ops: Vec<TxnOp>| check_txn(&then(ops), MAX_TXN_OPS);
    let nest = |success: Vec<TxnOp>, failure: Vec<TxnOp>| TxnOp::Txn(txn(vec![], success, failure));
    assert_eq!(check(vec![put_op("a", "1"), put_op("a", "2")]), dup("a"));
    assert_eq!(check(vec![put_op("a", "1"), delete_op("a", "")]), dup("a"));
    assert_eq!(check(vec![delete_op("a", "c"), put_op("b", "1")]), dup("b"));
    assert_eq!(check(vec![delete_op("a", "c"), put_op("c", "1")]), Ok(()));
    // A quirk: a delete without an end is passed over. The later operation wins.
    assert_eq!(check(vec![delete_op("a", "\0"), put_op("z", "1")]), Ok(()));
    assert_eq!(check(vec![delete_op("a", "c"), delete_op("b", "d")]), Ok(()));
    // Nested ones count, but the two branches of one exclude each other.
    let both = nest(vec![put_op("a", "1")], vec![put_op("a", "2")]);
    assert_eq!(check(vec![both.clone()]), Ok(()));
    assert_eq!(check(vec![both.clone(), put_op("a", "3")]), dup("a"));
    assert_eq!(check(vec![delete_op("a", ""), both.clone()]), dup("a"));
    assert_eq!(check(vec![both.clone(), both.clone()]), dup("a"));
    let nested_delete = nest(vec![delete_op("a", "")], vec![]);
    assert_eq!(check(vec![put_op("a", "1"), nested_delete.clone()]), dup("a"));
    assert_eq!(check(vec![both.clone(), nested_delete]), dup("a"));
    let put_or_delete = nest(vec![put_op("a", "1")], vec![delete_op("a", "")]);
    assert_eq!(check(vec![put_or_delete]), Ok(()));
    assert_eq!(check(vec![nest(vec![both.clone(), put_op("a", "3")], vec![])]), dup("a"));
    // The branches of the outer one exclude each other as well.
    let outer = txn(vec![], vec![put_op("a", "1")], vec![put_op("a", "2")]);
    assert_eq!(check_txn(&outer, MAX_TXN_OPS), Ok(()));
}

#[test]
fn items_1_and_14_hold_inside_transactions() {
    let check = |ops: Vec<TxnOp>| check_txn(&then(ops), MAX_TXN_OPS);
    assert_eq!(check(vec![put_op("", "1")]), Err(ValidationError::EmptyKey));
    assert_eq!(check(vec![get_op("")]), Err(ValidationError::EmptyKey));
    assert_eq!(check(vec![delete_op("", "")]), Err(ValidationError::EmptyKey));
    let empty = compare("", CompareResult::Equal, CompareTarget::Mod(0));
    let nested = TxnOp::Txn(txn(vec![empty], vec![], vec![]));
    assert_eq!(check(vec![nested]), Err(ValidationError::EmptyKey));
    let value = Put { ignore_value: true, ..put_of("a", "1") };
    assert_eq!(check(vec![TxnOp::Put(value)]), Err(ValidationError::ValueProvided));
    let lease = Put { ignore_lease: true, lease: 1, ..put_of("a", "1") };
    assert_eq!(check(vec![TxnOp::Put(lease)]), Err(ValidationError::LeaseProvided));
}

#[test]
fn item_24_all_compares_are_evaluated_before_any_operation() {
    let mut store = fresh();
    // The nested compare looks at what the outer put writes first: it must not see it.
    let exists = compare("a", CompareResult::Greater, CompareTarget::Create(0));
    let nested = txn(vec![exists], vec![put_op("saw", "it")], vec![put_op("blind", "yes")]);
    done(&mut store, Action::Txn(then(vec![put_op("a", "1"), TxnOp::Txn(nested)])));
    assert_eq!(state(&mut store), "a=1 blind=yes");
}

#[test]
fn item_25_compares_of_missing_keys_and_of_ranges() {
    use CompareResult::{Equal, Greater, Less, NotEqual};
    let mut store = fresh();
    done(&mut store, put("k1", "x"));
    done(&mut store, put("k2", "x"));
    done(&mut store, put("k2", "y"));
    let view = view(&mut store);
    let holds =
        |compare: Compare| answers(view.read_txn(&txn(vec![compare], vec![], vec![])).unwrap()).0;
    for result in [Equal, Greater, Less, NotEqual] {
        assert!(!holds(compare("no", result, CompareTarget::Value(b("")))), "{result:?}");
    }
    assert!(holds(compare("no", Equal, CompareTarget::Version(0))));
    assert!(holds(compare("no", Equal, CompareTarget::Mod(0))));
    assert!(holds(compare("no", Less, CompareTarget::Create(1))));
    assert!(holds(compare("no", NotEqual, CompareTarget::Lease(1))));
    let all = |result, target| Compare { range: KeyRange::prefix("k"), result, target };
    assert!(holds(all(Greater, CompareTarget::Version(0))));
    assert!(!holds(all(Equal, CompareTarget::Version(1))));
    assert!(!holds(all(Equal, CompareTarget::Value(b("x")))));
    assert!(holds(all(Greater, CompareTarget::Value(b("w")))));
    // A range without keys compares as one missing key.
    let none = |target| Compare { range: KeyRange::prefix("q"), result: Equal, target };
    assert!(holds(none(CompareTarget::Mod(0))) && !holds(none(CompareTarget::Value(b("")))));
}

#[test]
fn item_26_a_transaction_that_fails_a_check_writes_nothing() {
    let mut store = fresh();
    done(&mut store, put("a", "1"));
    done(&mut store, put("a", "2"));
    done(&mut store, Action::Compact { revision: 3 });
    store.publish().unwrap();
    let old = Range { revision: 2, ..range("a", "") };
    let future = Range { revision: 9, ..range("a", "") };
    let keep_value = Put { ignore_value: true, ..put_of("c", "") };
    let keep_lease = Put { ignore_lease: true, ..put_of("c", "") };
    let cases = [
        (TxnOp::Put(Put { lease: 7, ..put_of("c", "") }), StoreError::LeaseNotFound),
        (TxnOp::Put(keep_value), StoreError::KeyNotFound),
        (TxnOp::Put(keep_lease), StoreError::KeyNotFound),
        (TxnOp::Range(old), StoreError::Compacted { asked: 2, compacted: 3 }),
        (TxnOp::Range(future), StoreError::FutureRevision { asked: 9, current: 3 }),
    ];
    for (bad, error) in cases {
        let nested = TxnOp::Txn(then(vec![bad.clone()]));
        for last in [bad.clone(), nested] {
            let action = Action::Txn(then(vec![put_op("b", "1"), delete_op("a", ""), last]));
            let outcome = apply(&mut store, action);
            assert_eq!(outcome, Outcome { revision: 3, result: Err(error.clone()) });
        }
        // On the branch that is not taken it does not matter.
        done(&mut store, Action::Txn(txn(vec![], vec![], vec![bad])));
    }
    assert!(store.publish().unwrap().events.is_empty());
    assert_eq!(state(&mut store), "a=2");
}

#[test]
fn item_27_one_main_revision_with_events_in_the_order_of_operations() {
    let mut store = fresh();
    for key in ["d1", "d2"] {
        done(&mut store, put(key, "x"));
    }
    store.publish().unwrap();
    let inner = TxnOp::Txn(then(vec![put_op("m", "1")]));
    let ops = vec![put_op("z", "1"), delete_op("d", "e"), inner, put_op("a", "1")];
    let outcome = apply(&mut store, Action::Txn(then(ops)));
    assert_eq!(outcome.revision, 4);
    let published = store.publish().unwrap();
    let order: Vec<_> = published.events.iter().map(|event| event.kv.key.clone()).collect();
    assert_eq!(order, ["z", "d1", "d2", "m", "a"]);
    assert!(published.events.iter().all(|event| event.kv.mod_revision == 4));
    // Nothing changed: the revision stays (also item 18).
    let outcome = apply(&mut store, Action::Txn(then(vec![delete_op("q", ""), get_op("a")])));
    assert_eq!(outcome.revision, 4);
    assert_eq!(apply(&mut store, delete("q")).revision, 4);
}

#[test]
fn items_20_and_28_operations_see_what_earlier_ones_wrote() {
    let mut store = fresh();
    done(&mut store, put("a", "old"));
    let remove = TxnOp::Delete(Delete { prev_kv: true, ..delete_of("a", "c") });
    // The API refuses a put under a delete, but the state takes it in its stride.
    let all = TxnOp::Range(everything());
    let ops = vec![put_op("b", "new"), get_op("b"), remove, get_op("b"), all];
    let (_, got) = answers(done(&mut store, Action::Txn(then(ops))));
    let Answer::Range(seen) = &got[1] else { panic!() };
    assert_eq!((shown(seen), seen.kvs[0].mod_revision), ("b=new".into(), 3));
    let Answer::Delete { deleted, prev } = &got[2] else { panic!() };
    assert_eq!((*deleted, prev.len()), (2, 2));
    assert_eq!((&prev[1].value, prev[1].mod_revision), (&b("new"), 3));
    assert_eq!(got[3], Answer::Range(RangeAnswer::default()));
    assert_eq!(got[4], Answer::Range(RangeAnswer::default()));
    // And the past is still right.
    let view = view(&mut store);
    assert_eq!(shown(&view.range(&Range { revision: 2, ..everything() }).unwrap()), "a=old");
    assert_eq!(view.range(&Range { revision: 3, ..everything() }).unwrap().count, 0);
}

#[test]
fn a_key_changed_many_times_in_one_revision_stays_readable_and_compactable() {
    let mut store = fresh();
    let once = |value: &str| TxnOp::Txn(then(vec![put_op("k", value)]));
    done(&mut store, Action::Txn(then(vec![once("1"), once("2"), delete_op("k", ""), once("3")])));
    done(&mut store, put("k", "4"));
    let before = view(&mut store);
    let at = |view: &View<MemView>, revision| {
        shown(&view.range(&Range { revision, ..everything() }).unwrap())
    };
    assert_eq!((at(&before, 2), at(&before, 3)), ("k=3".into(), "k=4".into()));
    done(&mut store, Action::Compact { revision: 2 });
    while !store.compact_step(1).unwrap() {}
    let after = view(&mut store);
    assert_eq!((at(&after, 2), at(&after, 3)), ("k=3".into(), "k=4".into()));
    done(&mut store, Action::Compact { revision: 3 });
    while !store.compact_step(1).unwrap() {}
    let after = view(&mut store);
    assert_eq!(at(&after, 3), "k=4");
    let size = after.size();
    assert_eq!(size.total - size.live, 18, "only the log entry at revision 3 is left");
}

#[test]
fn item_29_what_may_skip_the_log() {
    assert!(is_read_only(&txn(vec![], vec![get_op("a")], vec![get_op("b")])));
    assert!(is_read_only(&txn(vec![], vec![], vec![])));
    assert!(!is_read_only(&txn(vec![], vec![], vec![put_op("a", "")])));
    assert!(!is_read_only(&then(vec![delete_op("a", "")])));
    assert!(!is_read_only(&then(vec![TxnOp::Txn(then(vec![get_op("a")]))])));
    assert!(is_serializable([true, true]));
    assert!(!is_serializable([true, false]));
    assert!(!is_serializable([]), "without a range it is linearizable, unlike in etcd");
}

#[test]
fn item_30_a_compacted_range_fails_alike_on_members_that_swept_and_that_did_not() {
    // etcd#18667.
    let mut stores = [fresh(), fresh()];
    let old = Range { revision: 2, ..range("a", "") };
    let bad = Action::Txn(then(vec![put_op("b", "1"), TxnOp::Range(old)]));
    let compact = Action::Compact { revision: 3 };
    let actions = [put("a", "1"), put("a", "2"), compact, bad, put("c", "1")];
    let mut outcomes = [Vec::new(), Vec::new()];
    for (eager, store) in stores.iter_mut().enumerate() {
        for action in &actions {
            outcomes[eager].push(apply(store, action.clone()));
            while eager == 1 && !store.compact_step(1).unwrap() {}
        }
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let [lazy, eager] = stores.each_mut().map(view);
    assert_eq!(lazy.hash_kv(0), eager.hash_kv(0));
}

#[test]
fn item_36_the_cost_of_requests() {
    use quorate_store::validate::cost;
    assert_eq!(cost(&put("key", "value")), 256 + 8);
    assert_eq!(cost(&Action::LeaseGrant { id: 1, ttl: 1 }), 64);
    assert_eq!(cost(&delete("key")), 0);
    let nested = TxnOp::Txn(txn(vec![], vec![put_op("a", "1")], vec![put_op("a", "22")]));
    let ops = vec![put_op("b", ""), nested, get_op("c")];
    assert_eq!(cost(&Action::Txn(then(ops.clone()))), 257 + 259);
    assert_eq!(cost(&Action::Txn(txn(vec![], vec![], ops))), 257 + 259);
}
