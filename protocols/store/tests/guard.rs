//! Guards against an evaluator that is slow and obvious, on random commands.

mod common;

use common::*;
use quorate_base::Dice;
use quorate_store::*;
use std::collections::BTreeMap;

/// What a guard is held against, from nothing but the pairs and the list of guards.
struct Naive {
    pairs: Vec<KeyValue>,
    guards: BTreeMap<bytes::Bytes, bytes::Bytes>,
    attached: BTreeMap<i64, Vec<bytes::Bytes>>,
}

impl Naive {
    fn of(view: &View<MemView>) -> Naive {
        let leases = view.leases().unwrap();
        let keys = |lease: Lease| (lease.id, view.lease_keys(lease.id).unwrap());
        Naive {
            pairs: view.range(&everything()).unwrap().kvs,
            guards: view.guards().clone(),
            attached: leases.into_iter().map(keys).collect(),
        }
    }

    fn created(&self, key: &[u8]) -> i64 {
        self.pairs.iter().find(|kv| kv.key == key).map_or(0, |kv| kv.create_revision)
    }

    fn token(&self, lock: &[u8]) -> Option<i64> {
        let line = [lock, b"/"].concat();
        let line = self.pairs.iter().filter(|kv| kv.key.starts_with(&line));
        line.map(|kv| kv.create_revision).min()
    }

    /// The ranges that the command would write, following the paths of its transactions.
    fn writes(&self, action: &Action) -> Vec<KeyRange> {
        match action {
            Action::Put(put) => vec![KeyRange::single(put.key.clone())],
            Action::Delete(delete) => vec![delete.range.clone()],
            Action::Txn(txn) => self.writes_of(txn),
            Action::LeaseRevoke { id, term: None } => {
                let keys = self.attached.get(id).cloned().unwrap_or_default();
                keys.into_iter().map(KeyRange::single).collect()
            }
            _ => Vec::new(),
        }
    }

    fn writes_of(&self, txn: &Txn) -> Vec<KeyRange> {
        let holds = txn.compares.iter().all(|compare| match compare.target {
            CompareTarget::Create(created) => self.created(&compare.range.key) == created,
            _ => panic!("the dice compare create revisions only"),
        });
        let ops = if holds { &txn.success } else { &txn.failure };
        let writes = ops.iter().map(|op| match op {
            TxnOp::Range(_) => Vec::new(),
            TxnOp::Put(put) => self.writes(&Action::Put(put.clone())),
            TxnOp::Delete(delete) => self.writes(&Action::Delete(delete.clone())),
            TxnOp::Txn(nested) => self.writes_of(nested),
        });
        writes.flatten().collect()
    }

    fn is_fenced(&self, command: &Command) -> bool {
        let writes = self.writes(&command.action);
        self.guards.iter().any(|(prefix, lock)| {
            let carries = command
                .caller
                .fences
                .iter()
                .any(|fence| fence.lock == *lock && Some(fence.token) == self.token(lock));
            let line = [&lock[..], b"/"].concat();
            !carries && writes.iter().any(|range| touches(range, prefix) && !inside(range, &line))
        })
    }
}

/// The smallest key that could be in both is in both.
fn touches(range: &KeyRange, prefix: &[u8]) -> bool {
    let both = if range.key[..] > *prefix { &range.key[..] } else { prefix };
    range.contains(both) && both.starts_with(prefix)
}

/// Every key of the range starts with the prefix.
fn inside(range: &KeyRange, prefix: &[u8]) -> bool {
    if range.is_empty() {
        return true;
    }
    let mut end = prefix.to_vec();
    *end.last_mut().unwrap() += 1;
    let ends = range.is_single() || (!range.is_unbounded() && range.end[..] <= end[..]);
    range.key.starts_with(prefix) && ends
}

const KEYS: [&str; 11] =
    ["a", "a/1", "a/2", "a/l", "a/l/1", "a/l/2", "b", "b/1", "l/1", "l/2", "m/1"];
const ENDS: [&str; 8] = ["", "", "\0", "a/2", "a0", "a/l0", "b/2", "z"];
const PREFIXES: [&str; 6] = ["a/", "a", "b/", "", "l/", "a/l"];
const LOCKS: [&str; 3] = ["l", "m", "a/l"];

fn any<'a>(dice: &mut Dice, words: &[&'a str]) -> &'a str {
    words[dice.below(words.len() as u64) as usize]
}

fn any_put(dice: &mut Dice) -> Put {
    Put { lease: dice.below(3) as i64, ..put_of(any(dice, &KEYS), "v") }
}

fn any_delete(dice: &mut Dice) -> Delete {
    delete_of(any(dice, &KEYS), any(dice, &ENDS))
}

fn any_txn(dice: &mut Dice, depth: u64) -> Txn {
    let compare = |dice: &mut Dice| Compare {
        range: KeyRange::single(b(any(dice, &KEYS))),
        result: CompareResult::Equal,
        target: CompareTarget::Create(if dice.chance(600_000) { 0 } else { dice.below(9) as i64 }),
    };
    let op = |dice: &mut Dice| match dice.below(if depth == 0 { 3 } else { 5 }) {
        0 => TxnOp::Put(any_put(dice)),
        1 => TxnOp::Delete(any_delete(dice)),
        2 => TxnOp::Range(everything()),
        _ => TxnOp::Txn(any_txn(dice, depth - 1)),
    };
    Txn {
        compares: (0..dice.below(2)).map(|_| compare(dice)).collect(),
        success: (0..dice.below(3)).map(|_| op(dice)).collect(),
        failure: (0..dice.below(3)).map(|_| op(dice)).collect(),
    }
}

fn any_action(dice: &mut Dice) -> Action {
    let (prefix, lock) = (b(any(dice, &PREFIXES)), b(any(dice, &LOCKS)));
    match dice.below(20) {
        0..7 => Action::Put(any_put(dice)),
        7..9 => Action::Delete(any_delete(dice)),
        9..15 => Action::Txn(any_txn(dice, 3)),
        15 => Action::LeaseGrant { id: 1 + dice.below(2) as i64, ttl: 5 },
        16 => Action::LeaseRevoke { id: 1 + dice.below(2) as i64, term: None },
        17 => Action::LeaseRevoke { id: 1 + dice.below(2) as i64, term: Some(1) },
        18 => Action::Guard(GuardChange::Set { prefix, lock }),
        _ => Action::Guard(GuardChange::Remove { prefix }),
    }
}

/// Tokens that are right, old, or of another lock.
fn any_fences(dice: &mut Dice, naive: &Naive) -> Vec<Fence> {
    let mut fences = Vec::new();
    for lock in LOCKS {
        let current = naive.token(lock.as_bytes()).unwrap_or(0);
        match dice.below(5) {
            0 | 1 => fences.push(Fence { lock: b(lock), token: current }),
            2 => fences.push(Fence { lock: b(lock), token: current - 1 }),
            _ => {}
        }
    }
    fences
}

#[test]
fn random_commands_are_fenced_as_the_obvious_evaluator_says() {
    let (mut fenced, mut allowed) = (0, 0);
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut store = fresh();
        for step in 0..400 {
            let now = view(&mut store);
            let naive = Naive::of(&now);
            let action = any_action(&mut dice);
            if let Action::Txn(txn) = &action
                && validate::check_txn(txn, 128).is_err()
            {
                continue; // The API lets no such transaction through.
            }
            let fences = any_fences(&mut dice, &naive);
            let caller = Caller { fences, ..Caller::default() };
            let command = Command { id: OpId::default(), caller, action };
            let expected = naive.is_fenced(&command);
            let (index, _) = store.applied();
            let outcome = store.apply(index + 1, 1, Some(&command)).unwrap().unwrap();
            let found = matches!(outcome.result, Err(StoreError::Fenced(_)));
            // Other reasons to refuse may come first, never instead of going through.
            let agrees = found == expected || (expected && outcome.result.is_err());
            assert!(agrees, "seed {seed} step {step}: {command:?} came to {outcome:?}");
            if found {
                assert_eq!(outcome.revision, now.revision(), "a refused command changed something");
                let after = view(&mut store);
                assert_eq!(after.hash().unwrap(), now.hash().unwrap());
            }
            (fenced, allowed) = (fenced + u32::from(found), allowed + u32::from(!found));
            if step % 50 == 49 {
                // Rebuilt from the engine alone, the lines are the same.
                view(&mut store);
                let engine = store.into_engine();
                store = Applier::open(engine, Options::default()).unwrap();
            }
        }
    }
    assert!(
        fenced > 3_000 && allowed > 3_000,
        "{fenced} fenced, {allowed} allowed: the dice are dull"
    );
}

#[test]
fn guards_travel_in_snapshots() {
    let mut store = fresh();
    done(&mut store, put("l/1", ""));
    done(&mut store, Action::Guard(GuardChange::Set { prefix: b("a/"), lock: b("l") }));
    let now = view(&mut store);
    let mut installer = Installer::new(MemEngine::new()).unwrap();
    let mut cursor = None;
    loop {
        let chunk = now.chunk(cursor.as_deref(), 64).unwrap();
        if installer.push(&chunk.data).unwrap() {
            break;
        }
        cursor = Some(chunk.cursor);
    }
    let mut copy = installer.finish(Options::default()).unwrap();
    let refused = apply(&mut copy, put("a/1", "x")).result.unwrap_err();
    let StoreError::Fenced(refused) = refused else { panic!("{refused:?}") };
    let guard = Guard { prefix: b("a/"), lock: b("l") };
    assert_eq!(*refused, Fenced { guard, current: Some(2), given: None });
    assert_eq!(view(&mut copy).hash().unwrap(), now.hash().unwrap());
}

#[test]
fn a_prefix_has_one_guard_and_there_is_a_limit() {
    let mut store = fresh();
    let set = |prefix: &str, lock: &str| {
        Action::Guard(GuardChange::Set { prefix: b(prefix), lock: b(lock) })
    };
    let remove = |prefix: &str| Action::Guard(GuardChange::Remove { prefix: b(prefix) });
    done(&mut store, set("a/", "l"));
    done(&mut store, set("a/", "l"));
    let other = apply(&mut store, set("a/", "m")).result.unwrap_err();
    assert!(matches!(other, StoreError::GuardExists(_)), "{other:?}");
    done(&mut store, remove("a/"));
    let gone = apply(&mut store, remove("a/")).result.unwrap_err();
    assert_eq!(gone, StoreError::GuardNotFound { prefix: b("a/") });
    for number in 0..MAX_GUARDS {
        done(&mut store, set(&format!("p{number}/"), "l"));
    }
    let full = apply(&mut store, set("q/", "l")).result.unwrap_err();
    assert_eq!(full, StoreError::TooManyGuards { limit: MAX_GUARDS });
    assert_eq!(store.revision(), 1, "guards are no keys");
}
