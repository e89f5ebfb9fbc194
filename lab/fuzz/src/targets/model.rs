//! Transactions against a model that fits on two pages: a sorted map, and etcd's rules word for word.
//!
//! The model has no history, no leases and no engine. It knows what a compare sees, in which order operations happen,
//! what a refusal leaves behind, and how a range is limited and sorted; every answer must be equal to the store's.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_store::validate::{self, MAX_TXN_OPS};
use quorate_store::{
    Action, Answer, Command, Compare, CompareResult, CompareTarget, Delete, KeyRange, KeyValue,
    OpId, Put, Range, RangeAnswer, SortOrder, SortTarget, StoreError, Txn, TxnOp,
};

use super::store::applier;
use crate::Target;
use crate::source::Source;

/// Transactions, one after the other, drawn from the input.
pub const TXN_MODEL: Target = Target {
    name: "txn_model",
    reads: "transactions, against a simple model of their answers",
    words: &[],
    seeds: || {
        let spread = |step: usize| (0..400).map(|i| (i * step % 251) as u8).collect();
        vec![spread(7), spread(31), spread(97), spread(101), spread(211)]
    },
    run: |input| {
        let (mut applier, mut model) = (applier(), Model { pairs: Pairs::new(), revision: 1 });
        let (mut source, mut index) = (Source::new(input), 0);
        while !source.is_empty() {
            let txn = txn(&mut source, 3);
            if validate::check(&Action::Txn(txn.clone()), MAX_TXN_OPS).is_err() {
                continue;
            }
            index += 1;
            let command = Command::new(OpId::default(), Action::Txn(txn.clone()));
            let outcome = applier.apply(index, 1, Some(&command)).expect("memory does not fail");
            let outcome = outcome.expect("nobody sent it twice");
            assert_eq!(outcome.result, model.apply(&txn), "{txn:?}");
            assert_eq!(outcome.revision, model.revision, "{txn:?}");
        }
        let view = applier.publish().expect("memory does not fail").view;
        let all = Range { range: KeyRange::all(), ..Range::default() };
        let found = view.range(&all).expect("the newest revision").kvs;
        assert_eq!(found, model.pairs.into_values().collect::<Vec<_>>());
    },
};

type Pairs = BTreeMap<Bytes, KeyValue>;

struct Model {
    pairs: Pairs,
    revision: i64,
}

impl Model {
    fn apply(&mut self, txn: &Txn) -> Result<Answer, StoreError> {
        let before = self.pairs.clone();
        check(&before, self.revision, txn)?;
        let mut changed = false;
        let answer = self.branch(&before, txn, &mut changed);
        self.revision += i64::from(changed);
        Ok(answer)
    }

    fn branch(&mut self, before: &Pairs, txn: &Txn, changed: &mut bool) -> Answer {
        let succeeded = holds(before, txn);
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let answers = ops.iter().map(|op| self.op(before, op, changed)).collect();
        Answer::Txn { succeeded, answers }
    }

    fn op(&mut self, before: &Pairs, op: &TxnOp, changed: &mut bool) -> Answer {
        match op {
            TxnOp::Range(ask) => Answer::Range(range(&self.pairs, ask)),
            TxnOp::Txn(nested) => self.branch(before, nested, changed),
            TxnOp::Put(put) => {
                *changed = true;
                let prev = self.pairs.get(&put.key).cloned();
                let revision = self.revision + 1;
                let value = match &prev {
                    Some(prev) if put.ignore_value => prev.value.clone(),
                    Some(_) | None => put.value.clone(),
                };
                let pair = KeyValue {
                    key: put.key.clone(),
                    value,
                    create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
                    mod_revision: revision,
                    version: prev.as_ref().map_or(1, |prev| prev.version + 1),
                    lease: 0,
                };
                self.pairs.insert(put.key.clone(), pair);
                Answer::Put { prev: prev.filter(|_| put.prev_kv) }
            }
            TxnOp::Delete(delete) => {
                let gone = within(&self.pairs, &delete.range);
                *changed |= !gone.is_empty();
                gone.iter().for_each(|pair| drop(self.pairs.remove(&pair.key)));
                let deleted = gone.len() as i64;
                Answer::Delete { deleted, prev: if delete.prev_kv { gone } else { Vec::new() } }
            }
        }
    }
}

/// What must be true of the chosen path before anything of it happens.
fn check(before: &Pairs, current: i64, txn: &Txn) -> Result<(), StoreError> {
    let ops = if holds(before, txn) { &txn.success } else { &txn.failure };
    for op in ops {
        match op {
            TxnOp::Put(put) if put.ignore_value && !before.contains_key(&put.key) => {
                return Err(StoreError::KeyNotFound);
            }
            TxnOp::Range(ask) if ask.revision > current => {
                return Err(StoreError::FutureRevision { asked: ask.revision, current });
            }
            TxnOp::Txn(nested) => check(before, current, nested)?,
            TxnOp::Put(_) | TxnOp::Range(_) | TxnOp::Delete(_) => {}
        }
    }
    Ok(())
}

fn holds(before: &Pairs, txn: &Txn) -> bool {
    txn.compares.iter().all(|compare| {
        let found = within(before, &compare.range);
        if !found.is_empty() {
            return found.iter().all(|pair| relation(pair, compare));
        }
        // A value that is not there is like nothing; everything else of it is zero.
        let nobody = KeyValue::default();
        !matches!(compare.target, CompareTarget::Value(_)) && relation(&nobody, compare)
    })
}

fn relation(pair: &KeyValue, compare: &Compare) -> bool {
    let order = match &compare.target {
        CompareTarget::Version(version) => pair.version.cmp(version),
        CompareTarget::Create(revision) => pair.create_revision.cmp(revision),
        CompareTarget::Mod(revision) => pair.mod_revision.cmp(revision),
        CompareTarget::Value(value) => pair.value.cmp(value),
        CompareTarget::Lease(lease) => pair.lease.cmp(lease),
    };
    match compare.result {
        CompareResult::Equal => order.is_eq(),
        CompareResult::Greater => order.is_gt(),
        CompareResult::Less => order.is_lt(),
        CompareResult::NotEqual => order.is_ne(),
    }
}

fn within(pairs: &Pairs, range: &KeyRange) -> Vec<KeyValue> {
    pairs.values().filter(|pair| range.contains(&pair.key)).cloned().collect()
}

fn range(pairs: &Pairs, ask: &Range) -> RangeAnswer {
    let mut kvs = within(pairs, &ask.range);
    let count = kvs.len() as i64;
    if ask.count_only {
        return RangeAnswer { count, ..RangeAnswer::default() };
    }
    let fits = |bound: i64, holds: bool| bound == 0 || holds;
    kvs.retain(|pair| {
        fits(ask.min_mod_revision, pair.mod_revision >= ask.min_mod_revision)
            && fits(ask.max_mod_revision, pair.mod_revision <= ask.max_mod_revision)
    });
    let limit = usize::try_from(ask.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let more = kvs.len() > limit;
    let filtered = ask.min_mod_revision != 0 || ask.max_mod_revision != 0;
    match ask.order {
        SortOrder::None => {
            // Etcd reads one pair more than the limit, to know whether there are more, and sorts what it
            // has read; filters make it read everything.
            if !filtered {
                kvs.truncate(limit.saturating_add(1));
            }
            sort(&mut kvs, ask.target);
        }
        SortOrder::Ascend => sort(&mut kvs, ask.target),
        SortOrder::Descend => {
            // Ties stay in the order of the keys.
            kvs.reverse();
            sort(&mut kvs, ask.target);
            kvs.reverse();
        }
    }
    kvs.truncate(limit);
    if ask.keys_only {
        kvs.iter_mut().for_each(|pair| pair.value = Bytes::new());
    }
    RangeAnswer { kvs, more, count }
}

fn sort(kvs: &mut [KeyValue], target: SortTarget) {
    match target {
        SortTarget::Key => kvs.sort_by(|a, b| a.key.cmp(&b.key)),
        SortTarget::Version => kvs.sort_by_key(|pair| pair.version),
        SortTarget::Create => kvs.sort_by_key(|pair| pair.create_revision),
        SortTarget::Mod => kvs.sort_by_key(|pair| pair.mod_revision),
        SortTarget::Value => kvs.sort_by(|a, b| a.value.cmp(&b.value)),
    }
}

fn txn(source: &mut Source<'_>, depth: usize) -> Txn {
    let compares = source.below(3);
    let compares = (0..compares).map(|_| compare(source)).collect();
    let mut branch = || {
        let count = source.below(4);
        (0..count).map(|_| op(source, depth)).collect::<Vec<_>>()
    };
    let (success, failure) = (branch(), branch());
    Txn { compares, success, failure }
}

fn op(source: &mut Source<'_>, depth: usize) -> TxnOp {
    match source.below(8) {
        0..3 => TxnOp::Put(Put {
            key: source.key(),
            value: value(source),
            prev_kv: source.coin(),
            ..Put::default()
        }),
        3 => TxnOp::Put(Put { key: source.key(), ignore_value: true, ..Put::default() }),
        4 => TxnOp::Delete(Delete { range: key_range(source), prev_kv: source.coin() }),
        5 if depth > 1 => TxnOp::Txn(txn(source, depth - 1)),
        _ => TxnOp::Range(ask(source)),
    }
}

pub fn ask(source: &mut Source<'_>) -> Range {
    let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
    let targets = [
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::Create,
        SortTarget::Mod,
        SortTarget::Value,
    ];
    Range {
        range: key_range(source),
        limit: source.below(5) as i64 - 1,
        revision: if source.below(16) == 0 { 1_000_000 } else { 0 },
        order: orders[source.below(3)],
        target: targets[source.below(5)],
        keys_only: source.below(4) == 0,
        count_only: source.below(8) == 0,
        min_mod_revision: source.below(6).saturating_sub(2) as i64,
        max_mod_revision: source.below(12).saturating_sub(4) as i64,
        ..Range::default()
    }
}

pub fn key_range(source: &mut Source<'_>) -> KeyRange {
    KeyRange { key: source.key(), end: source.end() }
}

pub fn value(source: &mut Source<'_>) -> Bytes {
    vec![b'v'; source.below(4)].into()
}

pub fn compare(source: &mut Source<'_>) -> Compare {
    let results = [
        CompareResult::Equal,
        CompareResult::Greater,
        CompareResult::Less,
        CompareResult::NotEqual,
    ];
    let range = key_range(source);
    let result = results[source.below(4)];
    let number = source.below(6) as i64;
    let target = match source.below(5) {
        0 => CompareTarget::Version(number),
        1 => CompareTarget::Create(number),
        2 => CompareTarget::Mod(number),
        3 => CompareTarget::Value(value(source)),
        _ => CompareTarget::Lease(number % 2),
    };
    Compare { range, result, target }
}
