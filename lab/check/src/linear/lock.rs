//! Locks whose holders get a fencing token, one or many (by key).
//!
//! | `f` | invoked with | `ok` | `fail` without error |
//! |---|---|---|---|
//! | `acquire` | nil | got it; the value is the token, or nil if this lock has none | did not get it |
//! | `release` | anything | gave it back | did not hold it; says nothing |
//! | `write` | the token | the guarded resource took a write with this token | the resource refused it |
//!
//! A token may also be written as a map with `token`. Any completion `fail` with an error means that nothing happened.
//!
//! Two promises can be judged:
//!
//! - [`Lock`] is mutual exclusion: a lock is acquired only while nobody holds it, released by its holder, tokens grow,
//!   and the resource takes writes exactly of the present holder.
//! - [`FencedLock`] is what a lock with leases can promise (Kleppmann 2016): a holder may lose it at any time without
//!   knowing. Tokens still grow, and once the resource has learnt of a loss or of a newer holder, it takes no write of
//!   the older one.

use super::keyed::{Keyed, keyed};
use super::spec::{Object, Part, Spec};
use crate::history::{History, Operation, Outcome, Value};
use crate::verdict::HistoryError;

/// An operation on a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Op {
    /// A process got the lock, with this token if it is known and there is one.
    Acquire { process: i64, token: Option<i64> },
    /// A process gave it back.
    Release { process: i64 },
    /// The resource took or refused a write.
    Write { token: i64, accepted: bool },
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The process that holds it.
    pub holder: Option<i64>,
    /// The last token. After an acquisition with an unknown token: the least that it can be.
    pub token: i64,
    /// Whether the token is known.
    pub is_exact: bool,
}

impl State {
    const FREE: State = State { holder: None, token: i64::MIN, is_exact: true };

    fn acquired(self, process: i64, token: Option<i64>) -> Option<State> {
        let least = self.token.saturating_add(1);
        let token_or_least = token.unwrap_or(least);
        let state =
            State { holder: Some(process), token: token_or_least, is_exact: token.is_some() };
        (token_or_least >= least).then_some(state)
    }

    /// The state in which the present holder has this token, if that can be.
    fn held_with(self, token: i64) -> Option<State> {
        self.holder?;
        let can_be = if self.is_exact { token == self.token } else { token >= self.token };
        can_be.then_some(State { token, is_exact: true, ..self })
    }

    fn show(self) -> String {
        match self.holder {
            None => "free".to_owned(),
            Some(holder) if self.is_exact && self.token != i64::MIN => {
                format!("held by process {holder} with token {}", self.token)
            }
            Some(holder) => format!("held by process {holder}"),
        }
    }
}

/// A lock that only its holder gives back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock {
    /// Whether a token may be unknown, so that a write may be the first to show it.
    pub has_unknown_token: bool,
}

/// A lock that its holder may lose.
#[derive(Clone, Copy, Debug, Default)]
pub struct FencedLock {
    /// Whether a token may be unknown, so that a write may be the first to show it.
    pub has_unknown_token: bool,
}

impl Spec for Lock {
    type Op = Op;
    type State = State;

    fn initial(&self) -> State {
        State::FREE
    }

    fn step(&self, state: &State, op: &Op) -> Option<State> {
        match *op {
            Op::Acquire { process, token } => {
                state.holder.is_none().then(|| state.acquired(process, token)).flatten()
            }
            Op::Release { process } => {
                (state.holder == Some(process)).then_some(State { holder: None, ..*state })
            }
            Op::Write { token, accepted: true } => state.held_with(token),
            Op::Write { token, accepted: false } => {
                let is_holders = state.is_exact && state.held_with(token).is_some();
                (!is_holders).then_some(*state)
            }
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        match op {
            Op::Write { accepted, .. } => !accepted || !self.has_unknown_token,
            Op::Acquire { .. } | Op::Release { .. } => false,
        }
    }

    fn show(&self, state: &State) -> String {
        state.show()
    }
}

impl Spec for FencedLock {
    type Op = Op;
    type State = State;

    fn initial(&self) -> State {
        State::FREE
    }

    fn step(&self, state: &State, op: &Op) -> Option<State> {
        match *op {
            // The holder before, if any, has lost it.
            Op::Acquire { process, token } => state.acquired(process, token),
            Op::Release { process } if state.holder == Some(process) => {
                Some(State { holder: None, ..*state })
            }
            Op::Release { .. } => Some(*state),
            Op::Write { token, accepted: true } => state.held_with(token),
            // Either the token is old, or its holder has lost the lock.
            Op::Write { token, accepted: false } if state.held_with(token).is_none() => {
                Some(*state)
            }
            Op::Write { token: _, accepted: false } if !state.is_exact => Some(*state),
            Op::Write { token: _, accepted: false } => Some(State { holder: None, ..*state }),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        match op {
            Op::Write { accepted, .. } => *accepted && !self.has_unknown_token,
            Op::Acquire { .. } | Op::Release { .. } => false,
        }
    }

    fn show(&self, state: &State) -> String {
        state.show()
    }
}

impl Object for Lock {
    fn read(history: &History, operations: &[Operation]) -> Result<Vec<Part<Lock>>, HistoryError> {
        keyed(history, operations, &[], |lock: &mut Lock, operation| {
            let op = read_one(operation)?;
            lock.has_unknown_token |= matches!(op, Some(Op::Acquire { token: None, .. }));
            Ok(op)
        })
    }
}

impl Object for FencedLock {
    fn read(
        history: &History,
        operations: &[Operation],
    ) -> Result<Vec<Part<FencedLock>>, HistoryError> {
        keyed(history, operations, &[], |lock: &mut FencedLock, operation| {
            let op = read_one(operation)?;
            lock.has_unknown_token |= matches!(op, Some(Op::Acquire { token: None, .. }));
            Ok(op)
        })
    }
}

fn read_one(operation: &Keyed) -> Result<Option<Op>, HistoryError> {
    let process = operation.invoke.process;
    let token = |value: &Value| value.get("token").unwrap_or(value).as_int();
    let op = match (operation.f(), operation.outcome) {
        ("acquire", Outcome::Ok) => {
            let answer = operation.answer.unwrap_or(&Value::Nil);
            let token = token(answer);
            if token.is_none() && !answer.is_nil() {
                return Err(operation.answer_error(format!("a token is an integer, not {answer}")));
            }
            Some(Op::Acquire { process, token })
        }
        ("acquire", Outcome::Unknown) => Some(Op::Acquire { process, token: None }),
        ("release", Outcome::Ok | Outcome::Unknown) => Some(Op::Release { process }),
        ("acquire" | "release", Outcome::Fail) => None,
        ("write", outcome) => {
            let Some(token) = token(operation.argument) else {
                return Err(operation.error("a guarded write is invoked with its token"));
            };
            match outcome {
                Outcome::Ok => Some(Op::Write { token, accepted: true }),
                Outcome::Fail if !operation.has_error() => {
                    Some(Op::Write { token, accepted: false })
                }
                Outcome::Fail | Outcome::Unknown => None,
            }
        }
        (f, Outcome::Ok | Outcome::Fail | Outcome::Unknown) => {
            return Err(operation.error(format!("a lock has acquire, release and write, not {f}")));
        }
    };
    Ok(op)
}
