//! Serializability by trying every order: slow, plain, and right.

use std::collections::BTreeMap;

use quorate_check::history::{History, Operation, Outcome, Value};

/// Which order a serial order has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Free,
    Session,
    Realtime,
}

/// Whether some order of the committed transactions, and of any of the unknown ones, explains every read.
pub fn serializable(history: &History, order: Order) -> bool {
    let operations = history.operations().expect("a well-formed history");
    let mut left: Vec<&Operation> =
        operations.iter().filter(|operation| operation.outcome != Outcome::Fail).collect();
    place(history, order, &mut left, &BTreeMap::new())
}

type State = BTreeMap<Value, Value>;

fn place(history: &History, order: Order, left: &mut Vec<&Operation>, state: &State) -> bool {
    if left.iter().all(|operation| operation.outcome == Outcome::Unknown) {
        return true;
    }
    for index in 0..left.len() {
        let next = left[index];
        if left.iter().any(|other| must_precede(history, order, other, next)) {
            continue;
        }
        let Some(state) = run(history, next, state) else { continue };
        left.remove(index);
        let fits = place(history, order, left, &state);
        left.insert(index, next);
        if fits {
            return true;
        }
    }
    false
}

fn must_precede(history: &History, order: Order, one: &Operation, other: &Operation) -> bool {
    match order {
        Order::Free => false,
        Order::Session => {
            let process = |operation: &Operation| history.events[operation.start].process;
            process(one) == process(other) && one.start < other.start
        }
        Order::Realtime => one.precedes(other),
    }
}

/// The state after a transaction, if its reads agree with the state before it.
fn run(history: &History, operation: &Operation, state: &State) -> Option<State> {
    let ok = operation.outcome == Outcome::Ok;
    let place = if ok { operation.end.expect("completed") } else { operation.start };
    let mut state = state.clone();
    for micro in history.events[place].value.as_list().expect("a list of micro-operations") {
        let [name, key, value] = micro.as_list().expect("a micro-operation") else {
            panic!("a micro-operation has three parts")
        };
        let now = state.entry(key.clone()).or_default();
        match name.as_name().expect("a name") {
            "append" => match now {
                Value::List(items) => items.push(value.clone()),
                _ => *now = Value::List(vec![value.clone()]),
            },
            "w" => *now = value.clone(),
            "r" if ok && now != value && !(now.is_nil() && value.as_list() == Some(&[])) => {
                return None;
            }
            "r" => {}
            other => panic!("no micro-operation {other}"),
        }
    }
    Some(state)
}
