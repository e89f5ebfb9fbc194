//! A counter, one or many (by key).
//!
//! | `f` | invoked with | `ok` with |
//! |---|---|---|
//! | `read` | nil | the number; 0 before the first change |
//! | `add` | the change | anything |
//! | `increment`, `inc` | nil, or the change | anything |
//! | `decrement`, `dec` | nil, or the change | anything |
//! | `add-and-get` | the change | the number afterwards |
//!
//! Changes of the same size are alike, so the search needs no luck where all are one. Where every change has its own
//! size and many overlap, the question is as hard as subset sum.

use super::keyed::{Keyed, keyed};
use super::spec::{Object, Part, Spec};
use crate::history::{History, Operation, Outcome, Value};
use crate::verdict::HistoryError;

/// An operation on a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Answered this number.
    Read(i128),
    /// Changes the number; answered the number afterwards, if it was asked for and somebody knows.
    #[allow(missing_docs)]
    Add { change: i64, afterwards: Option<i128> },
}

/// A counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

impl Spec for Counter {
    type Op = Op;
    /// Wide enough for as many changes as memory holds.
    type State = i128;

    fn initial(&self) -> i128 {
        0
    }

    fn step(&self, state: &i128, op: &Op) -> Option<i128> {
        match *op {
            Op::Read(number) => (number == *state).then_some(*state),
            Op::Add { change, afterwards } => {
                let sum = state + i128::from(change);
                afterwards.is_none_or(|afterwards| afterwards == sum).then_some(sum)
            }
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        match op {
            Op::Read(_) | Op::Add { change: 0, .. } => true,
            Op::Add { .. } => false,
        }
    }

    fn show(&self, state: &i128) -> String {
        state.to_string()
    }
}

impl Object for Counter {
    fn read(
        history: &History,
        operations: &[Operation],
    ) -> Result<Vec<Part<Counter>>, HistoryError> {
        keyed(history, operations, &["read"], |_: &mut Counter, operation| read_one(operation))
    }
}

fn read_one(operation: &Keyed) -> Result<Option<Op>, HistoryError> {
    let change = |sign: i64| match operation.argument {
        Value::Nil if operation.f() != "add" => Ok(sign),
        Value::Int(change) if *change != i64::MIN => Ok(sign * change),
        other => Err(operation.error(format!("{} takes an integer, not {other}", operation.f()))),
    };
    let number = |answer: &Value| {
        let number = answer.as_int().map(i128::from);
        number.ok_or_else(|| operation.answer_error(format!("a counter is a number, not {answer}")))
    };
    let op = match operation.f() {
        "read" => match (operation.outcome, operation.answer) {
            (Outcome::Ok, Some(answer)) => Some(Op::Read(number(answer)?)),
            (Outcome::Ok | Outcome::Fail | Outcome::Unknown, _) => None,
        },
        "add" | "increment" | "inc" => Some(Op::Add { change: change(1)?, afterwards: None }),
        "decrement" | "dec" => Some(Op::Add { change: change(-1)?, afterwards: None }),
        "add-and-get" => {
            let afterwards = operation.answer.map(number).transpose()?;
            Some(Op::Add { change: change(1)?, afterwards })
        }
        f => {
            let known = "read, add, increment, decrement and add-and-get";
            return Err(operation.error(format!("a counter has {known}, not {f}")));
        }
    };
    Ok(op.filter(|_| operation.outcome != Outcome::Fail))
}
