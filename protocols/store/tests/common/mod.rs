//! What the tests of the store share: a naive model, and dice that make up requests.
#![allow(dead_code)] // Each test binary uses its part.

pub mod dice;
pub mod model;

use bytes::Bytes;
use quorate_store::*;

pub type Store = Applier<MemEngine>;

/// A store on an empty engine.
pub fn fresh() -> Store {
    Applier::open(MemEngine::new(), Options::default()).expect("an empty engine opens")
}

pub fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A command that is not deduplicated.
pub fn command(action: Action) -> Command {
    Command::new(OpId::default(), action)
}

/// Applies an action as the next entry, in the term of the last one.
pub fn apply(store: &mut Store, action: Action) -> Outcome {
    let (index, term) = store.applied();
    store
        .apply(index + 1, term.max(1), Some(&command(action)))
        .expect("memory does not fail")
        .expect("not a duplicate")
}

/// Applies an action that must succeed.
pub fn done(store: &mut Store, action: Action) -> Answer {
    apply(store, action).result.expect("it succeeds")
}

pub fn put_of(key: &str, value: &str) -> Put {
    Put { key: b(key), value: b(value), ..Put::default() }
}

pub fn put(key: &str, value: &str) -> Action {
    Action::Put(put_of(key, value))
}

pub fn put_leased(key: &str, value: &str, lease: i64) -> Action {
    Action::Put(Put { lease, ..put_of(key, value) })
}

pub fn delete_of(key: &str, end: &str) -> Delete {
    Delete { range: KeyRange { key: b(key), end: b(end) }, prev_kv: false }
}

pub fn delete(key: &str) -> Action {
    Action::Delete(delete_of(key, ""))
}

pub fn delete_range(key: &str, end: &str) -> Action {
    Action::Delete(delete_of(key, end))
}

pub fn range(key: &str, end: &str) -> Range {
    Range { range: KeyRange { key: b(key), end: b(end) }, ..Range::default() }
}

pub fn everything() -> Range {
    Range { range: KeyRange::all(), ..Range::default() }
}

pub fn view(store: &mut Store) -> View<MemView> {
    store.publish().expect("memory does not fail").view
}

/// `key=value` of all pairs, in order.
pub fn shown(answer: &RangeAnswer) -> String {
    let pair = |kv: &KeyValue| {
        format!("{}={}", String::from_utf8_lossy(&kv.key), String::from_utf8_lossy(&kv.value))
    };
    answer.kvs.iter().map(pair).collect::<Vec<_>>().join(" ")
}
