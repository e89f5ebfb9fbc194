//! The comparisons, object by object.

use quorate_base::Dice;
use quorate_check::limits::{Meter, Options};
use quorate_check::linear::search::{Bounds, Outcome, Search};
use quorate_check::linear::shrink::shrink;
use quorate_check::linear::spec::{Item, NEVER, Object, Spec};
use quorate_check::linear::{counter, etcd, key_value, lock, register};

use crate::random::{self, Op, State, Workload};
use crate::{brute, plain};

/// How many histories each object is judged on.
const HISTORIES: u64 = 100_000;
/// From this many operations on, brute force is left out.
const TINY: usize = 6;

#[derive(Default, Debug)]
struct Tally {
    linearizable: u64,
    shortcuts: u64,
    brute: u64,
    shrunk: u64,
}

fn search<S: Spec>(spec: &S, items: &[Item<S::Op>]) -> bool {
    let options = Options { time: None, memory: None, ..Options::default() };
    let meter = Meter::start(&options);
    let bounds = Bounds { meter: &meter, share: 1, steps: 1_000_000, gauge: None };
    match Search::new(spec, items, bounds).run() {
        Outcome::Impossible => false,
        Outcome::Linearizable(order) => {
            assert!(brute::is_linearization(spec, items, &order), "a wrong order {order:?}");
            let is_whole =
                (0..items.len()).all(|place| !items[place].is_known() || order.contains(&place));
            assert!(is_whole, "completed operations are missing in {order:?}");
            true
        }
        Outcome::Stopped(stop) => panic!("a small history stopped the search: {stop:?}"),
    }
}

/// Shrinks a refused history. What is left must be refused on its own, which is decided without any of the judge's
/// machinery. Whether something was left out.
fn is_shrunk<S: Object>(naive: &S, spec: &S, items: &[Item<S::Op>]) -> bool {
    let (core, cut) = shrink(spec, items, &Meter::start(&Options::default()));
    let open = |item: &Item<S::Op>| if item.end < cut { item.end } else { NEVER };
    let core: Vec<Item<S::Op>> = core
        .iter()
        .map(|place| Item { end: open(&items[*place]), ..items[*place].clone() })
        .collect();
    assert!(!plain::is_linearizable(naive, &core), "{core:#?} of {items:#?}");
    core.len() < items.len()
}

/// Judges histories of a workload in all ways.
fn compare<W: Workload>(workload: &W, seed: u64, length: u64) -> Tally
where
    W::S: Object,
{
    let mut tally = Tally::default();
    for number in 0..HISTORIES {
        let mut dice = Dice::new(seed << 32 | number);
        let items = random::history(workload, &mut dice, length);
        let naive = workload.spec(&items);
        let mut spec = naive.clone();
        spec.learn(&items);
        let expected = plain::is_linearizable(&naive, &items);
        assert_eq!(search(&spec, &items), expected, "search, history {number}: {items:#?}");
        if let Some(shortcut) = spec.shortcut(&items) {
            assert_eq!(shortcut, expected, "shortcut, history {number}: {items:#?}");
            tally.shortcuts += 1;
        }
        // Brute force is slow also on tiny histories; every tenth of them is enough.
        if items.len() <= TINY && number % 10 == 0 {
            let by_force = brute::is_linearizable(&naive, &items);
            assert_eq!(by_force, expected, "brute force, history {number}: {items:#?}");
            tally.brute += 1;
        }
        // Shrinking is many searches; a part of the refusals is enough.
        if !expected && number % 20 == 0 {
            tally.shrunk += u64::from(is_shrunk(&naive, &spec, &items));
        }
        tally.linearizable += u64::from(expected);
    }
    // Comparisons that only ever see one verdict compare nothing.
    assert!(tally.linearizable > HISTORIES / 10, "{tally:?}");
    assert!(tally.linearizable < HISTORIES * 9 / 10, "{tally:?}");
    assert!(tally.brute > HISTORIES / 100, "{tally:?}");
    assert!(tally.shrunk > 100, "{tally:?}");
    tally
}

/// A register; values are unique or of a few.
struct Registers {
    is_unique: bool,
    has_cas: bool,
}

impl Registers {
    fn value(&self, dice: &mut Dice, fresh: u32) -> u32 {
        if self.is_unique { fresh + 1 } else { dice.below(3) as u32 }
    }
}

impl Workload for Registers {
    type S = register::Register;

    fn spec(&self, _: &[Item<register::Op>]) -> register::Register {
        register::Register::default()
    }

    fn truth(&self, dice: &mut Dice, _: i64, fresh: u32, state: &u32) -> register::Op {
        let value = self.value(dice, fresh);
        match dice.below(if self.has_cas { 4 } else { 2 }) {
            0 => register::Op::Read(*state),
            1 => register::Op::Write(value),
            2 => register::Op::Cas { expected: *state, new: value, succeeded: Some(true) },
            _ => {
                let expected = self.value(dice, fresh);
                // With unique values a failed one would take the shortcut away from most histories.
                if self.is_unique && dice.below(8) > 0 {
                    return register::Op::Read(*state);
                }
                register::Op::Cas { expected, new: value, succeeded: Some(expected == *state) }
            }
        }
    }

    fn lie(&self, dice: &mut Dice, op: &register::Op) -> Option<register::Op> {
        match *op {
            register::Op::Read(_) => Some(register::Op::Read(dice.below(8) as u32)),
            register::Op::Write(_) => None,
            register::Op::Cas { new, succeeded: Some(true), .. } => {
                let expected = dice.below(8) as u32;
                Some(register::Op::Cas { expected, new, succeeded: Some(true) })
            }
            register::Op::Cas { expected, new, succeeded } => {
                let succeeded = succeeded.map(|succeeded| !succeeded);
                Some(register::Op::Cas { expected, new, succeeded })
            }
        }
    }

    fn unknown(&self, op: &register::Op) -> Option<register::Op> {
        match *op {
            register::Op::Read(_) => None,
            register::Op::Write(value) => Some(register::Op::Write(value)),
            register::Op::Cas { expected, new, .. } => {
                Some(register::Op::Cas { expected, new, succeeded: None })
            }
        }
    }
}

#[test]
fn registers_with_few_values() {
    compare(&Registers { is_unique: false, has_cas: true }, 1, 9);
}

#[test]
fn registers_with_unique_values() {
    let tally = compare(&Registers { is_unique: true, has_cas: false }, 2, 10);
    assert!(tally.shortcuts == HISTORIES, "{tally:?}");
}

#[test]
fn registers_with_unique_values_and_cas() {
    let tally = compare(&Registers { is_unique: true, has_cas: true }, 3, 9);
    assert!(tally.shortcuts > HISTORIES / 2, "{tally:?}");
}

/// Keys with appends; texts are unique or of a few.
struct Keys {
    is_unique: bool,
    divisor: u8,
}

impl Workload for Keys {
    type S = key_value::KeyValue;

    fn spec(&self, _: &[Item<key_value::Op>]) -> key_value::KeyValue {
        key_value::KeyValue::default()
    }

    fn truth(&self, dice: &mut Dice, _: i64, fresh: u32, state: &State<Keys>) -> key_value::Op {
        let few = ["a", "b", "ab"][fresh as usize % 3];
        // With a divisor of two, a text is written at most twice.
        let unique = char::from(b'a' + fresh as u8 / self.divisor).to_string();
        let letter = if self.is_unique { &unique } else { few };
        match dice.below(4) {
            0 | 1 => key_value::Op::Get(state.clone()),
            2 => key_value::Op::Append(letter.into()),
            _ => key_value::Op::Put(quorate_check::history::Value::Str(letter.into())),
        }
    }

    fn lie(&self, dice: &mut Dice, op: &key_value::Op) -> Option<key_value::Op> {
        let key_value::Op::Get(value) = op else { return None };
        let mut letters: Vec<char> = value.as_name().unwrap_or_default().chars().collect();
        let letter = char::from(b'a' + dice.below(10) as u8);
        match dice.below(4) {
            0 => letters.push(letter),
            1 => letters.truncate(1),
            2 => drop(letters.pop()),
            _ => letters = vec![letter],
        }
        let lie: String = letters.into_iter().collect();
        Some(key_value::Op::Get(quorate_check::history::Value::Str(lie.into())))
    }

    fn unknown(&self, op: &key_value::Op) -> Option<key_value::Op> {
        match op {
            key_value::Op::Get(_) => None,
            key_value::Op::Put(_) | key_value::Op::Append(_) => Some(op.clone()),
        }
    }
}

#[test]
fn keys_with_appends() {
    compare(&Keys { is_unique: false, divisor: 1 }, 4, 9);
}

#[test]
fn keys_with_unique_appends() {
    let tally = compare(&Keys { is_unique: true, divisor: 1 }, 10, 9);
    assert!(tally.shortcuts == HISTORIES, "{tally:?}");
}

#[test]
fn keys_with_texts_put_and_appended() {
    let tally = compare(&Keys { is_unique: true, divisor: 2 }, 11, 9);
    assert!(tally.shortcuts > HISTORIES / 4, "{tally:?}");
}

/// Counters.
struct Counters;

impl Workload for Counters {
    type S = counter::Counter;

    fn spec(&self, _: &[Item<counter::Op>]) -> counter::Counter {
        counter::Counter
    }

    fn truth(&self, dice: &mut Dice, _: i64, _: u32, state: &i128) -> counter::Op {
        let change = dice.below(4) as i64 - 1;
        match dice.below(3) {
            0 => counter::Op::Read(*state),
            1 => counter::Op::Add { change, afterwards: None },
            _ => counter::Op::Add { change, afterwards: Some(state + i128::from(change)) },
        }
    }

    fn lie(&self, dice: &mut Dice, op: &counter::Op) -> Option<counter::Op> {
        let off = if dice.chance(500_000) { 1 } else { -2 };
        match *op {
            counter::Op::Read(number) => Some(counter::Op::Read(number + off)),
            counter::Op::Add { afterwards: None, .. } => None,
            counter::Op::Add { change, afterwards: Some(number) } => {
                Some(counter::Op::Add { change, afterwards: Some(number + off) })
            }
        }
    }

    fn unknown(&self, op: &counter::Op) -> Option<counter::Op> {
        match *op {
            counter::Op::Read(_) => None,
            counter::Op::Add { change, .. } => Some(counter::Op::Add { change, afterwards: None }),
        }
    }
}

#[test]
fn counters() {
    compare(&Counters, 5, 9);
}

/// What both kinds of lock have in common.
fn lock_truth(dice: &mut Dice, process: i64, state: &lock::State, can_be_lost: bool) -> lock::Op {
    let token = state.token.max(0) + dice.below(2) as i64 + 1;
    let (current, guess) = (state.token, state.token.max(0) - dice.below(2) as i64);
    let is_held = state.holder.is_some() && state.is_exact;
    match dice.below(4) {
        0 if state.holder == Some(process) || can_be_lost => lock::Op::Release { process },
        1 if is_held => lock::Op::Write { token: current, accepted: true },
        2 if is_held && guess != current => lock::Op::Write { token: guess, accepted: false },
        _ if state.holder.is_none() || can_be_lost => {
            lock::Op::Acquire { process, token: Some(token) }
        }
        // Too small for any token that may be held.
        _ => lock::Op::Write { token: i64::MIN, accepted: false },
    }
}

fn lock_lie(dice: &mut Dice, op: &lock::Op) -> Option<lock::Op> {
    let off = dice.below(3) as i64 - 1;
    match *op {
        lock::Op::Acquire { process, token } => {
            Some(lock::Op::Acquire { process, token: token.map(|token| token + off) })
        }
        lock::Op::Release { process } => Some(lock::Op::Release { process: process + off }),
        lock::Op::Write { token, accepted } => {
            Some(lock::Op::Write { token: token.saturating_add(off), accepted: !accepted })
        }
    }
}

fn lock_unknown(op: &lock::Op) -> Option<lock::Op> {
    match *op {
        lock::Op::Acquire { process, .. } => Some(lock::Op::Acquire { process, token: None }),
        lock::Op::Release { .. } => Some(*op),
        lock::Op::Write { .. } => None,
    }
}

fn has_unknown_token(items: &[Item<lock::Op>]) -> bool {
    // Without items: the object that makes the history, which must be ready for everything.
    let is_unknown =
        |item: &Item<lock::Op>| matches!(item.op, lock::Op::Acquire { token: None, .. });
    items.is_empty() || items.iter().any(is_unknown)
}

struct Locks;

impl Workload for Locks {
    type S = lock::Lock;

    fn spec(&self, items: &[Item<lock::Op>]) -> lock::Lock {
        lock::Lock { has_unknown_token: has_unknown_token(items) }
    }

    fn truth(&self, dice: &mut Dice, process: i64, _: u32, state: &lock::State) -> lock::Op {
        lock_truth(dice, process, state, false)
    }

    fn lie(&self, dice: &mut Dice, op: &lock::Op) -> Option<lock::Op> {
        lock_lie(dice, op)
    }

    fn unknown(&self, op: &lock::Op) -> Option<lock::Op> {
        lock_unknown(op)
    }
}

#[test]
fn locks() {
    compare(&Locks, 6, 9);
}

struct FencedLocks;

impl Workload for FencedLocks {
    type S = lock::FencedLock;

    fn spec(&self, items: &[Item<lock::Op>]) -> lock::FencedLock {
        lock::FencedLock { has_unknown_token: has_unknown_token(items) }
    }

    fn truth(&self, dice: &mut Dice, process: i64, _: u32, state: &lock::State) -> lock::Op {
        lock_truth(dice, process, state, true)
    }

    fn lie(&self, dice: &mut Dice, op: &lock::Op) -> Option<lock::Op> {
        lock_lie(dice, op)
    }

    fn unknown(&self, op: &lock::Op) -> Option<lock::Op> {
        lock_unknown(op)
    }
}

#[test]
fn fenced_locks() {
    compare(&FencedLocks, 7, 9);
}

/// A store of two keys. Some answers have no revision, so that the order is not always written in them.
struct Stores {
    has_revisions: bool,
}

impl Stores {
    fn answer(&self, dice: &mut Dice, revision: i64, reply: etcd::Reply) -> etcd::Answer {
        let is_said = self.has_revisions || dice.chance(500_000);
        etcd::Answer {
            revision: is_said.then_some(revision),
            succeeded: None,
            replies: vec![reply],
        }
    }
}

impl Workload for Stores {
    type S = etcd::Etcd;

    fn spec(&self, _: &[Item<etcd::Op>]) -> etcd::Etcd {
        etcd::Etcd::new(etcd::REVISION_EMPTY)
    }

    fn truth(&self, dice: &mut Dice, _: i64, fresh: u32, state: &etcd::State) -> etcd::Op {
        let key = dice.below(2) as u32;
        let entry = state.keys.get(&key);
        let put = etcd::Action::Put { key, value: fresh % 4 };
        let (request, revision, reply) = match dice.below(6) {
            0..=2 => {
                let reply = entry.map_or(etcd::Reply::Absent, |entry| etcd::Reply::Present {
                    value: Some(entry.value),
                    created: dice.chance(500_000).then_some(entry.created),
                    modified: dice.chance(700_000).then_some(entry.modified),
                    version: dice.chance(500_000).then_some(entry.version),
                });
                (etcd::Action::Get { key }, state.revision, reply)
            }
            3 | 4 => (put, state.revision + 1, etcd::Reply::Silent),
            _ => {
                let deleted = i64::from(entry.is_some());
                let reply = etcd::Reply::Deleted(deleted);
                (etcd::Action::Delete { key }, state.revision + deleted, reply)
            }
        };
        if dice.chance(850_000) {
            let answer = Some(self.answer(dice, revision, reply));
            return etcd::Op { request: etcd::Request::One(request), answer };
        }
        let modified = entry.map_or(0, |entry| entry.modified);
        let expected = if dice.chance(500_000) { modified } else { modified + 1 };
        let compare = vec![etcd::Compare {
            key,
            target: etcd::Target::Modified,
            relation: etcd::Relation::Equal,
            operand: etcd::Operand::Number(expected),
        }];
        let succeeded = expected == modified;
        let request = etcd::Request::Txn { compare, then: vec![put], otherwise: Vec::new() };
        let revision = state.revision + i64::from(succeeded);
        let mut answer = self.answer(dice, revision, etcd::Reply::Silent);
        answer.succeeded = Some(succeeded);
        answer.replies.truncate(usize::from(succeeded));
        etcd::Op { request, answer: Some(answer) }
    }

    fn lie(&self, dice: &mut Dice, op: &etcd::Op) -> Option<etcd::Op> {
        let mut lie = op.clone();
        let answer = lie.answer.as_mut()?;
        let off = if dice.chance(500_000) { 1 } else { -1 };
        match answer.replies.first_mut() {
            Some(etcd::Reply::Present { value, .. }) if dice.chance(500_000) => {
                *value = value.map(|value| (value + 1) % 4);
            }
            Some(etcd::Reply::Deleted(count)) if dice.chance(500_000) => *count = 1 - *count,
            Some(_) | None => answer.revision = Some((answer.revision? + off).max(1)),
        }
        Some(lie)
    }

    fn unknown(&self, op: &etcd::Op) -> Option<etcd::Op> {
        let is_read = matches!(op.request, etcd::Request::One(etcd::Action::Get { .. }));
        (!is_read).then(|| etcd::Op { request: op.request.clone(), answer: None })
    }
}

#[test]
fn stores_with_revisions() {
    let tally = compare(&Stores { has_revisions: true }, 8, 9);
    assert!(tally.shortcuts > HISTORIES / 2, "{tally:?}");
}

#[test]
fn stores_that_leave_revisions_out() {
    compare(&Stores { has_revisions: false }, 9, 8);
}

/// The type of operations is inferred from the workload in all of the above; this keeps the alias honest.
#[test]
fn a_workload_is_deterministic() {
    let history =
        |seed| -> Vec<Item<Op<Counters>>> { random::history(&Counters, &mut Dice::new(seed), 9) };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}
