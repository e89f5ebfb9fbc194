//! Splitting a history by key: what all objects that are judged key by key share.

use std::collections::BTreeMap;

use super::spec::{Item, NEVER, Part, Spec};
use crate::history::{Event, History, Operation, Outcome, Value};
use crate::pairs::{has_pairs, pair};
use crate::verdict::HistoryError;

/// An operation of one object.
pub struct Keyed<'a> {
    /// The invocation.
    pub invoke: &'a Event,
    /// The completion, if there is one.
    pub completion: Option<&'a Event>,
    /// What became of it.
    pub outcome: Outcome,
    /// The argument, without the key.
    pub argument: &'a Value,
    /// The answer of an operation that is `ok`, without the key.
    pub answer: Option<&'a Value>,
}

impl Keyed<'_> {
    /// The function.
    pub fn f(&self) -> &str {
        &self.invoke.f
    }

    /// Whether its completion carries an error.
    pub fn has_error(&self) -> bool {
        self.completion.is_some_and(|event| !event.error.is_nil())
    }

    /// An error about the invocation.
    pub fn error(&self, message: impl Into<String>) -> HistoryError {
        HistoryError::at(self.invoke, message)
    }

    /// An error about the answer.
    pub fn answer_error(&self, message: impl Into<String>) -> HistoryError {
        HistoryError::at(self.completion.unwrap_or(self.invoke), message)
    }
}

/// Splits a history into one part per key and reads each operation with `read`, which returns `None` for operations
/// that say nothing. `readers` are the functions whose invocations carry no value, by which pairs `[key value]` are
/// recognised.
///
/// # Errors
///
/// Those of `read`, and a value that is no pair where the others are.
pub fn keyed<S: Spec + Default>(
    history: &History,
    operations: &[Operation],
    readers: &[&str],
    mut read: impl FnMut(&mut S, &Keyed) -> Result<Option<S::Op>, HistoryError>,
) -> Result<Vec<Part<S>>, HistoryError> {
    let has_pairs = has_pairs(history, operations, readers);
    let mut parts: Vec<Part<S>> = Vec::new();
    let mut places: BTreeMap<&Value, usize> = BTreeMap::new();
    for (number, operation) in operations.iter().enumerate() {
        let invoke = &history.events[operation.start];
        let completion = operation.end.map(|end| &history.events[end]);
        let (key, argument) = if has_pairs { pair(invoke)? } else { (&invoke.key, &invoke.value) };
        let answer = match completion.filter(|_| operation.outcome == Outcome::Ok) {
            Some(event) if has_pairs => Some(pair(event)?.1),
            Some(event) => Some(&event.value),
            None => None,
        };
        let place = *places.entry(key).or_insert_with(|| {
            parts.push(Part { key: key.clone(), spec: S::default(), items: Vec::new() });
            parts.len() - 1
        });
        let outcome = operation.outcome;
        let one = Keyed { invoke, completion, outcome, argument, answer };
        let part = &mut parts[place];
        if let Some(op) = read(&mut part.spec, &one)? {
            part.items.push(item(op, number, operation));
        }
    }
    Ok(parts)
}

/// An item of an operation. An operation that failed and still says something (a refused compare-and-set) has an
/// interval like any other.
pub fn item<Op>(op: Op, number: usize, operation: &Operation) -> Item<Op> {
    let place = |place: usize| u32::try_from(place).expect("events are counted in 32 bits");
    let end = operation.end.filter(|_| operation.outcome != Outcome::Unknown);
    let end = end.map_or(NEVER, place);
    Item { op, start: place(operation.start), end, operation: number }
}
