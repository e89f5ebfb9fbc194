//! Convergence of replicas: who applied the same has the same.
//!
//! Replicas of one log report a hash of their state at applied indices. Equal indices must come with equal hashes, whoever
//! reports them and whenever (a replica that diverged in apply is seen at its next report), and within one life of a replica the index
//! goes up. Replicas without a log report as `applied` whatever stands for "what I have heard": a version vector, or
//! nothing at all (nil, or no `applied`), with `settled` after they had time to talk.
//!
//! | `f` | `process` | `value` |
//! |---|---|---|
//! | `state` | the replica | `applied` (an index, any value, or nil), `hash` |
//! | `restart` | the replica | anything: from here its index may be lower |
//! | `settled` | 0 | anything: the last reports of all replicas must be the same in everything |

use std::collections::{BTreeMap, HashMap};

use crate::history::{Event, History, Value};
use crate::limits::Options;
use crate::verdict::{HistoryError, Refusal, Report, Verdict};

/// What a replica reported, and where.
#[derive(Clone, Copy)]
struct Said<'a> {
    applied: &'a Value,
    hash: &'a Value,
    place: usize,
}

/// Judges the reports of replicas.
///
/// # Errors
///
/// At a line that is not of the format above.
pub fn convergence(history: &History, _options: &Options) -> Result<Report, HistoryError> {
    let mut first: HashMap<&Value, Said> = HashMap::new();
    let mut last: BTreeMap<i64, Option<Said>> = BTreeMap::new();
    let mut broken = Vec::new();
    let mut reports = 0u64;
    for (place, event) in history.events.iter().enumerate() {
        match &*event.f {
            "state" => {
                reports += 1;
                let applied = event.value.get("applied").unwrap_or(&Value::Nil);
                let hash = field(event, "hash")?;
                let said = Said { applied, hash, place };
                if let Some(before) = last.insert(event.process, Some(said)).flatten() {
                    broken.extend(backwards(history, before, said));
                }
                // Who does not say what was applied says nothing of equal states.
                if !applied.is_nil() {
                    let other = first.entry(applied).or_insert(said);
                    broken.extend(differs(history, *other, said));
                }
            }
            "restart" => drop(last.insert(event.process, None)),
            "settled" => {
                let mut reported = last.values().flatten();
                let Some(one) = reported.next() else { continue };
                broken.extend(reported.find_map(|other| unsettled(history, *one, *other)));
            }
            f => {
                let message = format!("replicas report state, restart and settled, not {f}");
                return Err(HistoryError::at(event, message));
            }
        }
    }
    let mut report = Report::new(refusal(broken).map_or(Verdict::Yes, Verdict::No));
    report.figures.push(("reports", reports));
    report.figures.push(("replicas", last.len() as u64));
    report.figures.push(("applied indices", first.len() as u64));
    Ok(report)
}

/// A breach: property, sentence, places of the lines.
type Breach = (&'static str, String, Vec<usize>);

fn differs(history: &History, one: Said, other: Said) -> Option<Breach> {
    if one.hash == other.hash {
        return None;
    }
    let (first, second) = (&history.events[one.place], &history.events[other.place]);
    let sentence = format!(
        "replica {} at {} has hash {}{}, replica {} has {}{}",
        first.process,
        one.applied,
        one.hash,
        position(first),
        second.process,
        other.hash,
        position(second)
    );
    Some(("equal states", sentence, vec![one.place, other.place]))
}

fn backwards(history: &History, before: Said, after: Said) -> Option<Breach> {
    let (old, new) = (before.applied.as_int()?, after.applied.as_int()?);
    let event = &history.events[after.place];
    let sentence =
        format!("replica {} went from {old} back to {new}{}", event.process, position(event));
    (new < old).then_some(("applied index goes up", sentence, vec![before.place, after.place]))
}

fn unsettled(history: &History, one: Said, other: Said) -> Option<Breach> {
    if one.hash == other.hash && one.applied == other.applied {
        return None;
    }
    let (first, second) = (&history.events[one.place], &history.events[other.place]);
    let sentence = format!(
        "after settling, replica {} is at {} with hash {}, replica {} at {} with {}",
        first.process, one.applied, one.hash, second.process, other.applied, other.hash
    );
    Some(("convergence", sentence, vec![one.place, other.place]))
}

fn position(event: &Event) -> String {
    if event.position.line == 0 { String::new() } else { format!(" ({})", event.position) }
}

fn field<'a>(event: &'a Event, name: &str) -> Result<&'a Value, HistoryError> {
    event
        .value
        .get(name)
        .ok_or_else(|| HistoryError::at(event, format!("a state has {name}: {}", event.value)))
}

fn refusal(broken: Vec<Breach>) -> Option<Refusal> {
    let (property, summary, events) = broken.first()?.clone();
    let count = broken.len();
    let mut evidence: Vec<String> = broken
        .into_iter()
        .map(|(name, sentence, _)| format!("{name}: {sentence}"))
        .take(16)
        .collect();
    evidence.push(format!("{count} breaches in all"));
    Some(Refusal { property: property.to_string(), summary, evidence, events })
}
