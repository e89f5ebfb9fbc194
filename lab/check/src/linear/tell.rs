//! Operations in words.

use crate::history::{History, Operation, Outcome, Value};

/// What was asked and answered, in one line: `cas [1 2] -> fail`.
pub fn operation(history: &History, operation: &Operation) -> String {
    let invoke = &history.events[operation.start];
    let mut text = invoke.f.to_string();
    for part in [&invoke.key, &invoke.value] {
        if !part.is_nil() {
            text.push(' ');
            text.push_str(&part.to_string());
        }
    }
    let completion = operation.end.map(|end| &history.events[end]);
    text.push_str(" -> ");
    match (operation.outcome, completion) {
        (Outcome::Ok, Some(event)) if event.value == invoke.value && !event.value.is_nil() => {
            text.push_str("ok");
        }
        (Outcome::Ok, Some(event)) => text.push_str(&event.value.to_string()),
        (Outcome::Ok, None) => unreachable!("what is ok has completed"),
        (Outcome::Fail, _) => text.push_str("fail"),
        (Outcome::Unknown, _) => text.push_str("unknown"),
    }
    if let Some(event) = completion.filter(|event| event.error != Value::Nil) {
        text.push_str(&format!(" ({})", event.error));
    }
    text
}

/// Where it is written: `lines 12 to 15`.
pub fn lines(history: &History, operation: &Operation) -> String {
    let first = history.events[operation.start].position.line;
    match operation.end.map(|end| history.events[end].position.line) {
        Some(last) if last != first => format!("lines {first} to {last}"),
        Some(_) => format!("line {first}"),
        None => format!("from line {first}"),
    }
}

/// Who did what, and where that is written: `process 3, lines 12 to 15: …`.
pub fn line(history: &History, operation: &Operation) -> String {
    let process = history.events[operation.start].process;
    let (lines, what) = (lines(history, operation), self::operation(history, operation));
    format!("process {process}, {lines}: {what}")
}
