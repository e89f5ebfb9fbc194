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
//!   knowing. Tokens still grow, and the resource takes no write of an older holder once there is a newer one, nor after
//!   it has refused one of the same token. (A resource that knows tokens only from the writes that it was sent may take an
//!   older holder's write until the newer one has written: that is less than what is judged here.)

use std::collections::BTreeSet;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The process that holds it.
    pub holder: Option<i64>,
    /// The last token. After an acquisition with an unknown token: the least that it can be.
    pub token: i64,
    /// Whether the token is known.
    pub is_exact: bool,
    /// While it is not known: tokens of which the resource has refused a write, so that it is none of these.
    pub refused: BTreeSet<i64>,
}

impl State {
    const FREE: State =
        State { holder: None, token: i64::MIN, is_exact: true, refused: BTreeSet::new() };

    fn acquired(&self, process: i64, token: Option<i64>) -> Option<State> {
        let least = self.token.saturating_add(1);
        let token_or_least = token.unwrap_or(least);
        let state = State {
            holder: Some(process),
            token: token_or_least,
            is_exact: token.is_some(),
            refused: BTreeSet::new(),
        };
        (token_or_least >= least).then_some(state)
    }

    /// The state when nobody holds it any more.
    fn free(&self) -> State {
        State { holder: None, refused: BTreeSet::new(), ..*self }
    }

    /// Whether the present holder may have this token.
    fn may_have(&self, token: i64) -> bool {
        let can_be = if self.is_exact { token == self.token } else { token >= self.token };
        self.holder.is_some() && can_be && !self.refused.contains(&token)
    }

    /// The state in which the present holder has this token, if that can be.
    fn held_with(&self, token: i64) -> Option<State> {
        let state = State { token, is_exact: true, refused: BTreeSet::new(), ..*self };
        self.may_have(token).then_some(state)
    }

    /// The state after a write with a token that may be the holder's, but is not known to be, was refused.
    fn doubted(&self, token: i64) -> State {
        let mut state = self.clone();
        state.refused.insert(token);
        state
    }

    fn show(&self) -> String {
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
            Op::Release { process } => (state.holder == Some(process)).then(|| state.free()),
            Op::Write { token, accepted: true } => state.held_with(token),
            Op::Write { token, accepted: false } if !state.may_have(token) => Some(state.clone()),
            Op::Write { accepted: false, .. } if state.is_exact => None,
            Op::Write { token, accepted: false } => {
                // The holder has another one, for certain, and so the least that it can be may be more.
                let mut state = state.doubted(token);
                while state.refused.remove(&state.token) {
                    state.token = state.token.saturating_add(1);
                }
                Some(state)
            }
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        match op {
            // Where a token is unknown, a write tells what it is, or is not.
            Op::Write { .. } => !self.has_unknown_token,
            Op::Acquire { .. } | Op::Release { .. } => false,
        }
    }

    fn heap_bytes(&self, state: &State) -> usize {
        state.refused.len() * size_of::<i64>() * 2
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
            Op::Release { process } if state.holder == Some(process) => Some(state.free()),
            Op::Release { .. } => Some(state.clone()),
            Op::Write { token, accepted: true } => state.held_with(token),
            // Either the token is old, or its holder has lost the lock.
            Op::Write { token, accepted: false } if !state.may_have(token) => Some(state.clone()),
            // The one or the other: whichever it is, no write with this token is taken before the next holder's.
            Op::Write { token, accepted: false } if !state.is_exact => Some(state.doubted(token)),
            Op::Write { token: _, accepted: false } => Some(state.free()),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        match op {
            Op::Write { accepted, .. } => *accepted && !self.has_unknown_token,
            Op::Acquire { .. } | Op::Release { .. } => false,
        }
    }

    fn heap_bytes(&self, state: &State) -> usize {
        state.refused.len() * size_of::<i64>() * 2
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
