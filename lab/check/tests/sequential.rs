//! Sequential consistency: the judge against every interleaving tried, on many small histories.

#[path = "causal/random.rs"]
mod random;

use std::collections::BTreeMap;

use quorate_base::Dice;
use quorate_check::history::{Event, History, Kind, Operation, Outcome, Value};
use quorate_check::limits::Options;
use quorate_check::sequential::sequential;
use quorate_check::verdict::Verdict;
use random::Store;

const STORES: [Store; 6] =
    [Store::Atomic, Store::Convergent, Store::Memory, Store::Eventual, Store::Roaming, Store::Dice];

fn verdict(history: &History) -> Verdict {
    sequential(history, &Options::default()).expect("a history of registers").verdict
}

/// Every interleaving of the processes, without any cleverness.
fn plain(history: &History) -> bool {
    let operations = history.operations().expect("well-formed");
    let mut processes: BTreeMap<i64, Vec<&Operation>> = BTreeMap::new();
    for operation in operations.iter().rev() {
        let invoke = &history.events[operation.start];
        let refused = &*invoke.f == "cas" && operation.outcome == Outcome::Fail;
        if refused || operation.outcome != Outcome::Fail {
            processes.entry(invoke.process).or_default().push(operation);
        }
    }
    interleave(history, &mut processes, &BTreeMap::new())
}

type State = BTreeMap<Value, Value>;

fn interleave(
    history: &History,
    processes: &mut BTreeMap<i64, Vec<&Operation>>,
    state: &State,
) -> bool {
    let unknown = |operation: &&Operation| operation.outcome == Outcome::Unknown;
    if processes.values().all(|left| left.iter().all(unknown)) {
        return true;
    }
    let names: Vec<i64> = processes.keys().copied().collect();
    for name in names {
        let left = processes.get_mut(&name).expect("it is there");
        let Some(operation) = left.pop() else { continue };
        let after = run(history, operation, state);
        let fits = after.is_some_and(|after| interleave(history, processes, &after));
        processes.get_mut(&name).expect("it is there").push(operation);
        if fits {
            return true;
        }
    }
    false
}

fn run(history: &History, operation: &Operation, state: &State) -> Option<State> {
    let invoke = &history.events[operation.start];
    let now = state.get(&invoke.key).cloned().unwrap_or_default();
    let mut write = None;
    match (&*invoke.f, operation.outcome) {
        ("read", Outcome::Ok) => {
            let answer = &history.events[operation.end.expect("completed")].value;
            if *answer != now {
                return None;
            }
        }
        ("read", Outcome::Fail | Outcome::Unknown) => {}
        ("write", _) => write = Some(invoke.value.clone()),
        ("cas", outcome) => {
            let [expected, new] = invoke.value.as_list().expect("a pair") else { panic!("a pair") };
            match outcome {
                Outcome::Ok if now != *expected => return None,
                Outcome::Fail if now == *expected => return None,
                Outcome::Unknown if now != *expected => {}
                Outcome::Ok | Outcome::Unknown => write = Some(new.clone()),
                Outcome::Fail => {}
            }
        }
        (other, _) => panic!("no operation {other}"),
    }
    let mut state = state.clone();
    if let Some(value) = write {
        state.insert(invoke.key.clone(), value);
    }
    Some(state)
}

/// Few values, written again and again, and compare-and-sets, with answers that are mostly right.
fn repeated(dice: &mut Dice, count: usize) -> History {
    let keys = 1 + dice.below(2);
    let mut names: Vec<i64> = (0..1 + dice.below(3) as i64).collect();
    let mut state: BTreeMap<i64, i64> = BTreeMap::new();
    let mut events = Vec::new();
    let unique = dice.below(2) == 0;
    for number in 0..count {
        let slot = dice.below(names.len() as u64) as usize;
        let key = dice.below(keys) as i64;
        let number = number as i64 + 4;
        let value = |dice: &mut Dice| if unique { number } else { 1 + dice.below(3) as i64 };
        let lie = dice.below(12) == 0;
        let now = state.get(&key).copied();
        let (f, asked, answer, kind) = match dice.below(3) {
            0 => {
                let seen = if lie { Some(1 + dice.below(8) as i64) } else { now };
                ("read", Value::Nil, seen.map_or(Value::Nil, Value::Int), Kind::Ok)
            }
            1 => {
                let value = value(dice);
                state.insert(key, value);
                ("write", Value::Int(value), Value::Int(value), Kind::Ok)
            }
            _ => {
                let expected = now.filter(|_| dice.below(2) == 0).unwrap_or(2);
                let new = value(dice);
                let does = now == Some(expected);
                if does {
                    state.insert(key, new);
                }
                let pair = Value::List(vec![Value::Int(expected), Value::Int(new)]);
                ("cas", pair.clone(), pair, if does != lie { Kind::Ok } else { Kind::Fail })
            }
        };
        let kind = if dice.below(10) == 0 { Kind::Info } else { kind };
        for (kind, value) in [(Kind::Invoke, asked), (kind, answer)] {
            let mut event = Event::new(names[slot], kind, f, value);
            event.key = Value::Int(key);
            events.push(event);
        }
        if kind == Kind::Info {
            names[slot] += 10;
        }
    }
    History::new(events)
}

fn agree(seed: u64, history: &History) -> bool {
    let verdict = verdict(history);
    let expected = plain(history);
    assert_eq!(verdict == Verdict::Yes, expected, "seed {seed}: {verdict:#?}");
    assert!(!matches!(verdict, Verdict::Unknown(_)), "seed {seed}: {verdict:#?}");
    expected
}

#[test]
fn agrees_with_every_interleaving_of_unique_values() {
    let mut refused = [0; STORES.len()];
    for seed in 0..100_000u64 {
        let mut dice = Dice::new(seed);
        let chosen = (seed % STORES.len() as u64) as usize;
        let count = 3 + dice.below(8) as usize;
        let history = random::history(&mut dice, STORES[chosen], count);
        refused[chosen] += usize::from(!agree(seed, &history));
    }
    assert_eq!(refused[0], 0, "one copy is sequentially consistent");
    assert!(refused[4] > 500 && refused[5] > 5_000, "{refused:?}");
}

#[test]
fn agrees_with_every_interleaving_of_repeated_values() {
    let mut refused = 0;
    for seed in 0..50_000u64 {
        let mut dice = Dice::new(seed);
        let count = 3 + dice.below(7) as usize;
        refused += usize::from(!agree(seed, &repeated(&mut dice, count)));
    }
    assert!((3_000..40_000).contains(&refused), "{refused}");
}
