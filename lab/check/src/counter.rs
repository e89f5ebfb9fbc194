//! Bounds of counters: could any order of the changes have given the number that was read?
//!
//! For a read, every change is one of three: it must be in (it was acknowledged before the read was invoked), it may be in
//! (it was invoked before the read completed, and did not fail), or it cannot be. The number must lie between the smallest
//! and the greatest sum. This is weaker than linearizability, and takes one pass.
//!
//! Two models share the code: `counter-bounds` for counters whose reads see what was acknowledged, and `counter-eventual` for
//! replicated counters, whose reads need not have heard of anything yet; there a `final-read`, made after the replicas had time
//! to talk, must have.
//!
//! | `f` | invoked with | `ok` with |
//! |---|---|---|
//! | `add` | the change | anything |
//! | `increment`, `inc`, `decrement`, `dec` | nil (one), or the change | anything |
//! | `read`, `final-read` | nil | the number |

use std::collections::HashMap;

use crate::history::{Event, History, Operation, Outcome, Value};
use crate::limits::Options;
use crate::verdict::{HistoryError, Refusal, Report, Verdict};

/// Counters whose reads see every acknowledged change.
///
/// # Errors
///
/// At an operation that no counter has.
pub fn counter_bounds(history: &History, _options: &Options) -> Result<Report, HistoryError> {
    judge(history, true)
}

/// Counters whose reads may be old; final reads are not.
///
/// # Errors
///
/// At an operation that no counter has.
pub fn counter_eventual(history: &History, _options: &Options) -> Result<Report, HistoryError> {
    judge(history, false)
}

/// Sums of changes: of those that raise a counter, and of those that lower it.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    up: i128,
    down: i128,
}

impl Sums {
    fn add(&mut self, change: i64) {
        let sum = if change > 0 { &mut self.up } else { &mut self.down };
        *sum += i128::from(change);
    }
}

/// One counter at a moment of the history.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    acknowledged: Sums,
    /// Invoked, and not failed (failures are known beforehand: the whole history is).
    possible: Sums,
}

/// What an operation does.
enum Deed {
    Change(i64),
    Read { last: bool },
}

fn judge(history: &History, strict: bool) -> Result<Report, HistoryError> {
    let operations = history.operations()?;
    let mut at = vec![None; history.events.len()];
    for (number, operation) in operations.iter().enumerate() {
        at[operation.start] = Some(number);
        if let Some(end) = operation.end {
            at[end] = Some(number);
        }
    }
    let mut counters: HashMap<&Value, Counter> = HashMap::new();
    let mut before: Vec<Sums> = vec![Sums::default(); operations.len()];
    let mut broken: Vec<(String, usize)> = Vec::new();
    let mut reads = 0;
    for (place, number) in at.iter().enumerate() {
        let Some(number) = *number else { continue };
        let operation = &operations[number];
        let invoke = &history.events[operation.start];
        let counter = counters.entry(&invoke.key).or_default();
        let starts = operation.start == place;
        match (deed(invoke)?, operation.outcome) {
            (Deed::Change(change), Outcome::Ok) if !starts => counter.acknowledged.add(change),
            (Deed::Change(change), Outcome::Ok | Outcome::Unknown) if starts => {
                counter.possible.add(change);
            }
            (Deed::Read { last }, Outcome::Ok) if starts => {
                let sees = strict || last;
                before[number] = if sees { counter.acknowledged } else { Sums::default() };
            }
            (Deed::Read { .. }, Outcome::Ok) => {
                reads += 1;
                let read = number_read(&history.events[place])?;
                broken.extend(outside(invoke, operation, read, before[number], counter.possible));
            }
            (
                Deed::Change(_) | Deed::Read { .. },
                Outcome::Ok | Outcome::Fail | Outcome::Unknown,
            ) => {}
        }
    }
    let mut report = Report::new(refusal(broken).map_or(Verdict::Yes, Verdict::No));
    report.figures.push(("operations", operations.len() as u64));
    report.figures.push(("reads", reads));
    report.figures.push(("counters", counters.len() as u64));
    Ok(report)
}

fn deed(invoke: &Event) -> Result<Deed, HistoryError> {
    let amount = || match &invoke.value {
        Value::Nil => Ok(1),
        Value::Int(change) if *change != i64::MIN => Ok(*change),
        other => Err(HistoryError::at(invoke, format!("a change is a number, not {other}"))),
    };
    Ok(match &*invoke.f {
        "add" if invoke.value.is_nil() => {
            return Err(HistoryError::at(invoke, "add is invoked with the change"));
        }
        "add" | "increment" | "inc" => Deed::Change(amount()?),
        "decrement" | "dec" => Deed::Change(-amount()?),
        "read" => Deed::Read { last: false },
        "final-read" => Deed::Read { last: true },
        f => {
            let message =
                format!("a counter has add, increment, decrement, read and final-read, not {f}");
            return Err(HistoryError::at(invoke, message));
        }
    })
}

fn number_read(event: &Event) -> Result<i128, HistoryError> {
    match event.value {
        Value::Nil => Ok(0),
        Value::Int(number) => Ok(i128::from(number)),
        ref other => {
            Err(HistoryError::at(event, format!("a counter is read as a number, not {other}")))
        }
    }
}

/// The complaint about a read outside its bounds.
fn outside(
    invoke: &Event,
    operation: &Operation,
    read: i128,
    must: Sums,
    may: Sums,
) -> Option<(String, usize)> {
    // What must be in counts in both bounds, the rest of what may be in counts where it helps.
    let (least, most) = (must.up + may.down, may.up + must.down);
    if (least..=most).contains(&read) {
        return None;
    }
    let key = if invoke.key.is_nil() { String::new() } else { format!(" of {}", invoke.key) };
    let place =
        if invoke.position.line == 0 { String::new() } else { format!(" ({})", invoke.position) };
    let process = invoke.process;
    let sentence =
        format!("process {process} read {read}{key}; only {least} to {most} was possible{place}");
    Some((sentence, operation.start))
}

fn refusal(broken: Vec<(String, usize)>) -> Option<Refusal> {
    let (summary, _) = broken.first()?.clone();
    let count = broken.len();
    let events = broken.iter().map(|(_, place)| *place).take(16).collect();
    let mut evidence: Vec<String> = broken.into_iter().map(|(line, _)| line).take(16).collect();
    evidence.push(format!("{count} reads out of bounds in all"));
    Some(Refusal { property: "counter bounds".to_string(), summary, evidence, events })
}
