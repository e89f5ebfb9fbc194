//! What a judge of linearizability must know about an object: its sequential behaviour.

use std::fmt;
use std::hash::Hash;

use crate::history::{History, Operation, Value};
use crate::verdict::HistoryError;

/// The end of an operation that never completed.
pub const NEVER: u32 = u32::MAX;

/// The sequential specification of an object. States and operations are plain data.
pub trait Spec: Clone + Sync {
    /// An operation: function, argument and answer (or that the answer is unknown).
    type Op: Clone + Eq + Hash + fmt::Debug + Send + Sync;
    /// The state of the object.
    type State: Clone + Eq + Hash + fmt::Debug + Send;

    /// The state before all operations.
    fn initial(&self) -> Self::State;

    /// The state after the operation, or `None` if its answer is impossible in this state.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// Whether [`Spec::step`] would give a state; cheaper where making one costs.
    fn allows(&self, state: &Self::State, op: &Self::Op) -> bool {
        self.step(state, op).is_some()
    }

    /// Whether the operation leaves *every* state in which it is possible as it was. The search takes such operations
    /// as soon as it can.
    fn is_pure(&self, op: &Self::Op) -> bool;

    /// Looks at all operations of the part at once, before a search: for what prunes it. Called again when they change.
    fn learn(&mut self, _items: &[Item<Self::Op>]) {}

    /// Whether an operation that need not happen should be tried when it leads to this state. False promises that
    /// every linearization with it here is also one without it.
    fn is_worth_reaching(&self, _state: &Self::State) -> bool {
        true
    }

    /// Whether any operation that need not happen may come next. False is a promise, true says nothing.
    fn may_be_unknown(&self, _state: &Self::State) -> bool {
        true
    }

    /// Bytes that a state owns besides its own size, for the memory limit.
    fn heap_bytes(&self, _state: &Self::State) -> usize {
        0
    }

    /// A state in words for people.
    fn show(&self, state: &Self::State) -> String;
}

/// An operation with its interval in real time. Completed ones lie in it; unknown ones ([`NEVER`]) may take effect at
/// any time after their start, or never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<Op> {
    /// What was asked and answered.
    pub op: Op,
    /// When it was invoked (a place in the history).
    pub start: u32,
    /// When it completed, or [`NEVER`].
    pub end: u32,
    /// Which of `History::operations` it is.
    pub operation: usize,
}

impl<Op> Item<Op> {
    /// Whether it completed.
    pub fn is_known(&self) -> bool {
        self.end != NEVER
    }
}

/// A part of a history that can be judged alone: linearizability is local (Herlihy and Wing 1990, theorem 1), so each
/// object is a part.
#[derive(Clone, Debug)]
pub struct Part<S: Spec> {
    /// The object, or nil if there is only one.
    pub key: Value,
    /// Its behaviour.
    pub spec: S,
    /// Its operations, in the order of their starts.
    pub items: Vec<Item<S::Op>>,
}

/// An object whose histories can be read and judged.
pub trait Object: Spec + Sized + Send {
    /// Reads the operations of a history, split into parts. The parts have not learnt anything yet ([`Spec::learn`]).
    ///
    /// # Errors
    ///
    /// At the event: an operation that the object does not have, an argument or answer that it cannot have.
    fn read(history: &History, operations: &[Operation]) -> Result<Vec<Part<Self>>, HistoryError>;

    /// Decides without a search where the history allows that; `None` if it does not.
    fn shortcut(&self, _items: &[Item<Self::Op>]) -> Option<bool> {
        None
    }
}
