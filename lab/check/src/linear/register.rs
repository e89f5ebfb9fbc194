//! A register with compare-and-set, one or many (by key).
//!
//! | `f` | invoked with | `ok` with |
//! |---|---|---|
//! | `read` | nil | the value, nil before the first write |
//! | `write` | the value | anything |
//! | `cas` | `[expected new]` | anything |
//!
//! A `cas` that is answered `fail` without an error found another value than expected, which is an answer like any
//! other; with an error it did not happen. Values are anything. Several registers are told apart by the event's `key`,
//! or by values that are all pairs `[key value]` (Jepsen's independent keys).

use std::collections::BTreeSet;

use super::interner::Interner;
use super::keyed::{Keyed, keyed};
use super::spec::{Item, Object, Part, Spec};
use super::zones;
use crate::history::{History, Operation, Outcome, Value};
use crate::verdict::HistoryError;

/// The number of nil among the values of every register.
pub const NIL: u32 = 0;

/// An operation on a register; values by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Answered this value.
    Read(u32),
    /// Writes this value.
    Write(u32),
    /// Writes `new` if the value is `expected`; `succeeded` is `None` if nobody knows the answer.
    #[allow(missing_docs)]
    Cas { expected: u32, new: u32, succeeded: Option<bool> },
}

/// A register.
#[derive(Clone, Debug, Default)]
pub struct Register {
    values: Interner,
    /// The values that some operation reads or expects, once they are known; not if a compare-and-set failed, for
    /// which any other value will do.
    wanted: Option<BTreeSet<u32>>,
}

impl Spec for Register {
    type Op = Op;
    type State = u32;

    fn initial(&self) -> u32 {
        NIL
    }

    fn step(&self, state: &u32, op: &Op) -> Option<u32> {
        match *op {
            Op::Read(value) => (value == *state).then_some(*state),
            Op::Write(value) => Some(value),
            Op::Cas { expected, new, succeeded } => {
                let does_succeed = expected == *state;
                let is_possible = succeeded.is_none_or(|succeeded| succeeded == does_succeed);
                is_possible.then_some(if does_succeed { new } else { *state })
            }
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        match op {
            Op::Read(_) | Op::Cas { succeeded: Some(false), .. } => true,
            Op::Write(_) | Op::Cas { .. } => false,
        }
    }

    fn learn(&mut self, items: &[Item<Op>]) {
        let wants = |item: &Item<Op>| match item.op {
            Op::Read(value) => Some(Some(value)),
            Op::Write(_) => Some(None),
            Op::Cas { expected, succeeded: Some(true) | None, .. } => Some(Some(expected)),
            Op::Cas { succeeded: Some(false), .. } => None,
        };
        let wanted: Option<Vec<Option<u32>>> = items.iter().map(wants).collect();
        self.wanted = wanted.map(|wanted| wanted.into_iter().flatten().collect());
    }

    fn is_worth_reaching(&self, state: &u32) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(state))
    }

    fn show(&self, state: &u32) -> String {
        self.values.value(*state).to_string()
    }
}

impl Object for Register {
    fn read(
        history: &History,
        operations: &[Operation],
    ) -> Result<Vec<Part<Register>>, HistoryError> {
        keyed(history, operations, &["read"], |register: &mut Register, operation| {
            register.values.number(&Value::Nil);
            read_one(register, operation)
        })
    }

    fn shortcut(&self, items: &[Item<Op>]) -> Option<bool> {
        zones::decide(items)
    }
}

fn read_one(register: &mut Register, operation: &Keyed) -> Result<Option<Op>, HistoryError> {
    let did_fail = operation.outcome == Outcome::Fail;
    let op = match operation.f() {
        "read" => match (operation.outcome, operation.answer) {
            (Outcome::Ok, Some(answer)) => Some(Op::Read(register.values.number(answer))),
            (Outcome::Ok | Outcome::Fail | Outcome::Unknown, _) => None,
        },
        "write" if did_fail => None,
        "write" => Some(Op::Write(register.values.number(operation.argument))),
        "cas" => {
            let Some([expected, new]) = operation.argument.as_list() else {
                return Err(operation.error("cas is invoked with [expected new]"));
            };
            if did_fail && operation.has_error() {
                return Ok(None);
            }
            let (expected, new) = (register.values.number(expected), register.values.number(new));
            let succeeded = match operation.outcome {
                Outcome::Ok => Some(true),
                Outcome::Fail => Some(false),
                Outcome::Unknown => None,
            };
            Some(Op::Cas { expected, new, succeeded })
        }
        f => return Err(operation.error(format!("a register has read, write and cas, not {f}"))),
    };
    Ok(op)
}
