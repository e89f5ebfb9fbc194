//! Keys with values that can be read, replaced and appended to.
//!
//! | `f` | invoked with | `ok` with |
//! |---|---|---|
//! | `get`, `read` | nil | the value; nil and `""` if there is none |
//! | `put`, `write` | the value | anything |
//! | `append` | a string | anything |
//!
//! Keys are the event's `key`, or the first of values that are all pairs `[key value]`. Appending to a key without a
//! value begins one.

use std::collections::BTreeSet;

use super::appends;
use super::interner::Interner;
use super::keyed::{Keyed, keyed};
use super::register::{self, NIL};
use super::spec::{Item, Object, Part, Spec};
use super::zones;
use crate::history::{History, Operation, Outcome, Value};
use crate::verdict::HistoryError;

/// An operation on a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Answered this value.
    Get(Value),
    /// Replaces the value.
    Put(Value),
    /// Appends to the value.
    Append(Box<str>),
}

/// One key.
#[derive(Clone, Debug, Default)]
pub struct KeyValue {
    /// The values that are read, once they are known.
    wanted: Option<BTreeSet<Value>>,
}

/// What is read before anything is written.
fn nothing() -> Value {
    Value::Str("".into())
}

fn normal(value: &Value) -> Value {
    if value.is_nil() { nothing() } else { value.clone() }
}

impl Spec for KeyValue {
    type Op = Op;
    type State = Value;

    fn initial(&self) -> Value {
        nothing()
    }

    fn step(&self, state: &Value, op: &Op) -> Option<Value> {
        match op {
            Op::Get(value) => (value == state).then(|| state.clone()),
            Op::Put(value) => Some(value.clone()),
            // Nothing can be appended to what is no string.
            Op::Append(more) => {
                let Value::Str(text) = state else { return None };
                let mut longer = String::with_capacity(text.len() + more.len());
                longer.push_str(text);
                longer.push_str(more);
                Some(Value::Str(longer.into()))
            }
        }
    }

    fn allows(&self, state: &Value, op: &Op) -> bool {
        match op {
            Op::Get(value) => value == state,
            Op::Put(_) => true,
            Op::Append(_) => matches!(state, Value::Str(_)),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        match op {
            Op::Get(_) => true,
            Op::Put(_) | Op::Append(_) => false,
        }
    }

    fn learn(&mut self, items: &[Item<Op>]) {
        let reads = items.iter().filter_map(|item| match &item.op {
            Op::Get(value) => Some(value.clone()),
            Op::Put(_) | Op::Append(_) => None,
        });
        self.wanted = Some(reads.collect());
    }

    /// A value that no value read begins with is seen by nobody before the next put.
    fn is_worth_reaching(&self, state: &Value) -> bool {
        let Some(wanted) = &self.wanted else { return true };
        let next = wanted.range(state..).next();
        next.is_some_and(|next| match (next, state) {
            (Value::Str(next), Value::Str(state)) => next.starts_with(&**state),
            (next, state) => next == state,
        })
    }

    fn heap_bytes(&self, state: &Value) -> usize {
        if let Value::Str(text) = state { text.len() } else { size_of::<Value>() }
    }

    fn show(&self, state: &Value) -> String {
        state.to_string()
    }
}

impl Object for KeyValue {
    fn read(
        history: &History,
        operations: &[Operation],
    ) -> Result<Vec<Part<KeyValue>>, HistoryError> {
        keyed(history, operations, &["get", "read"], |_: &mut KeyValue, operation| {
            read_one(operation)
        })
    }

    /// Without appends a key is a register; with unique texts it is like one.
    fn shortcut(&self, items: &[Item<Op>]) -> Option<bool> {
        let mut values = Interner::default();
        assert_eq!(values.number(&nothing()), NIL);
        let mut as_register = Vec::with_capacity(items.len());
        for item in items {
            let op = match &item.op {
                Op::Get(value) => register::Op::Read(values.number(value)),
                Op::Put(value) => register::Op::Write(values.number(value)),
                Op::Append(_) => return appends::decide(items),
            };
            let Item { start, end, operation, .. } = *item;
            as_register.push(Item { op, start, end, operation });
        }
        zones::decide(&as_register)
    }
}

fn read_one(operation: &Keyed) -> Result<Option<Op>, HistoryError> {
    let op = match operation.f() {
        "get" | "read" => match (operation.outcome, operation.answer) {
            (Outcome::Ok, Some(answer)) => Some(Op::Get(normal(answer))),
            (Outcome::Ok | Outcome::Fail | Outcome::Unknown, _) => None,
        },
        "put" | "write" => Some(Op::Put(normal(operation.argument))),
        "append" => match operation.argument {
            Value::Str(text) => Some(Op::Append(text.clone())),
            other => return Err(operation.error(format!("append takes a string, not {other}"))),
        },
        f => return Err(operation.error(format!("a key has get, put and append, not {f}"))),
    };
    Ok(op.filter(|_| operation.outcome != Outcome::Fail))
}
