//! Histories: events as the formats hold them, values, and operations.
//!
//! An [`Event`] is one line of a history: an invocation or a completion. The words are Jepsen's: `ok` means that the
//! operation happened, `fail` that it did not, `info` that nobody knows; after an `info` its process never returns,
//! and the operation may take effect at any later time, or never. [`History::operations`] makes operations out of
//! events by these rules. The order of events in the history *is* real time: an operation that completes before
//! another is invoked precedes it. Timestamps are kept for pictures only.

use std::fmt;
use std::sync::Arc;

use crate::verdict::HistoryError;

/// A name that repeats in thousands of events (`read`, `put`), shared instead of copied.
pub type Name = Arc<str>;

/// The process of events that no client caused (Jepsen's `:nemesis`). Judges ignore them, pages show them.
pub const NEMESIS: i64 = -1;

/// Where in its file an event begins. Both count from 1; columns count characters. 0 and 0 for events made in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What histories carry as arguments and answers: the common ground of EDN and JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// `nil`, `null`: also what a read is invoked with.
    #[default]
    Nil,
    /// `true`, `false`.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// Any other number (fractions, large integers), as it was written.
    Number(Box<str>),
    /// A string. JSON has no keywords: there, a name such as `"append"` is a string as well.
    Str(Box<str>),
    /// An EDN keyword without its colon, or a symbol. Compare names with
    /// [`Value::as_name`].
    Keyword(Box<str>),
    /// A vector or list, in the order written, or a set in order.
    List(Vec<Value>),
    /// A map. A key occurs once (the readers refuse repetitions), and in what an event carries the entries are in
    /// order (the readers [see to that](Value::put_in_order)), so that maps are equal if their entries are.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(value) = self { Some(*value) } else { None }
    }

    /// The text of a string or keyword: EDN writes `:append` where JSON writes `"append"`.
    pub fn as_name(&self) -> Option<&str> {
        match self {
            Value::Str(text) | Value::Keyword(text) => Some(text),
            Value::Nil
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Number(_)
            | Value::List(_)
            | Value::Map(_) => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// The entry of a map under a keyword or string of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let Value::Map(entries) = self else { return None };
        entries.iter().find(|(key, _)| key.as_name() == Some(name)).map(|(_, value)| value)
    }

    /// Sorts the entries of all maps in it by key. A client writes a map and reads it back with its entries in
    /// another order: it is the same value.
    pub fn put_in_order(&mut self) {
        match self {
            Value::List(items) => items.iter_mut().for_each(Value::put_in_order),
            Value::Map(entries) => {
                for (key, value) in entries.iter_mut() {
                    key.put_in_order();
                    value.put_in_order();
                }
                if !entries.is_sorted() {
                    entries.sort();
                }
            }
            Value::Nil
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Number(_)
            | Value::Str(_)
            | Value::Keyword(_) => {}
        }
    }

    /// Whether it is nil.
    pub fn is_nil(&self) -> bool {
        *self == Value::Nil
    }
}

impl fmt::Display for Value {
    /// Writes EDN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Number(text) => f.write_str(text),
            Value::Str(text) => write!(f, "{text:?}"),
            Value::Keyword(text) => write!(f, ":{text}"),
            Value::List(items) => {
                f.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    let space = if place == 0 { "" } else { " " };
                    write!(f, "{space}{item}")?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                for (place, (key, value)) in entries.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{key} {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// What an event says about its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The client asked.
    Invoke,
    /// It happened, and this is the answer.
    Ok,
    /// It did not happen and never will.
    Fail,
    /// Nobody knows whether it happened or will. The process never returns.
    Info,
}

/// One event of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The process (a client, one operation at a time), or [`NEMESIS`].
    pub process: i64,
    /// Invocation or kind of completion.
    pub kind: Kind,
    /// The function: `read`, `write`, `cas`, `txn`, `put`, …
    pub f: Name,
    /// The key of the object where the history keeps it apart from the value (Porcupine's `:key`), else nil.
    pub key: Value,
    /// The argument or the answer.
    pub value: Value,
    /// Nanoseconds since some start, if the history says.
    pub time: Option<u64>,
    /// Why it failed or is unknown, else nil.
    pub error: Value,
    /// Where it was written.
    pub position: Position,
}

impl Event {
    /// An event made in memory, without key, time, error and position.
    pub fn new(process: i64, kind: Kind, f: &str, value: Value) -> Event {
        let (key, time, error) = (Value::Nil, None, Value::Nil);
        Event { process, kind, f: f.into(), key, value, time, error, position: Position::default() }
    }
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It happened between invocation and completion.
    Ok,
    /// It did not happen.
    Fail,
    /// It may have happened, or may yet: an `info`, or no completion at all.
    Unknown,
}

/// An invocation with its completion. `start` and `end` are places in [`History::events`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The place of the invocation.
    pub start: usize,
    /// The place of the completion (`ok`, `fail` or `info`), if there is one.
    pub end: Option<usize>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Operation {
    /// Whether this one had completed before the other was invoked: real-time order. An unknown operation never
    /// completes.
    pub fn precedes(&self, other: &Operation) -> bool {
        self.outcome != Outcome::Unknown && self.end.is_some_and(|end| end < other.start)
    }
}

/// What clients observed, in the order of real time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The events in order.
    pub events: Vec<Event>,
    /// True when the order of events of different processes was made up, since the source knows none: then nothing
    /// can be said about real time.
    pub timeless: bool,
}

impl History {
    /// A history whose order is real time.
    pub fn new(events: Vec<Event>) -> History {
        History { events, timeless: false }
    }

    /// Pairs invocations with completions, in the order of the invocations; events of [`NEMESIS`] are left out.
    ///
    /// # Errors
    ///
    /// At the position of the event: a process invokes while its last operation is open or unknown; a completion
    /// without an invocation; a completion whose function or key differs from its invocation's.
    pub fn operations(&self) -> Result<Vec<Operation>, HistoryError> {
        let mut operations: Vec<Operation> = Vec::with_capacity(self.events.len() / 2 + 1);
        let mut last: std::collections::HashMap<i64, usize> = std::collections::HashMap::new();
        for (place, event) in self.events.iter().enumerate() {
            if event.process == NEMESIS {
                continue;
            }
            let open = last.get(&event.process).copied();
            if event.kind == Kind::Invoke {
                if let Some(open) = open {
                    return Err(self.invoked_twice(place, &operations[open]));
                }
                last.insert(event.process, operations.len());
                operations.push(Operation { start: place, end: None, outcome: Outcome::Unknown });
                continue;
            }
            let operation =
                open.map(|open| &mut operations[open]).filter(|operation| operation.end.is_none());
            let Some(operation) = operation else {
                return Err(HistoryError::at(
                    event,
                    format!("process {} completes what it did not invoke", event.process),
                ));
            };
            self.check_pair(operation.start, place)?;
            operation.end = Some(place);
            operation.outcome = match event.kind {
                Kind::Invoke => unreachable!("handled above"),
                Kind::Ok => Outcome::Ok,
                Kind::Fail => Outcome::Fail,
                Kind::Info => Outcome::Unknown,
            };
            if event.kind != Kind::Info {
                last.remove(&event.process);
            }
        }
        Ok(operations)
    }

    fn invoked_twice(&self, place: usize, open: &Operation) -> HistoryError {
        let event = &self.events[place];
        let earlier = self.events[open.end.unwrap_or(open.start)].position;
        let process = event.process;
        HistoryError::at(
            event,
            match open.end {
                Some(_) => format!(
                    "process {process} invokes after its outcome became unknown at {earlier}: it must go on under a new number"
                ),
                None => {
                    format!("process {process} invokes while its operation of {earlier} is open")
                }
            },
        )
    }

    fn check_pair(&self, start: usize, end: usize) -> Result<(), HistoryError> {
        let (invoke, completion) = (&self.events[start], &self.events[end]);
        if invoke.f != completion.f {
            let (asked, answered) = (&invoke.f, &completion.f);
            return Err(HistoryError::at(
                completion,
                format!(
                    "process {} completes {answered} but invoked {asked} at {}",
                    completion.process, invoke.position
                ),
            ));
        }
        if invoke.key != completion.key && !completion.key.is_nil() {
            return Err(HistoryError::at(
                completion,
                format!(
                    "completes key {} but invoked key {} at {}",
                    completion.key, invoke.key, invoke.position
                ),
            ));
        }
        Ok(())
    }
}
