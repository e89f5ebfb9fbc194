//! The events of a page as JSON: rows of plain values, since there are tens of thousands of them.

use crate::bands::{Sort, Split};
use crate::film::Film;
use crate::property;
use crate::story::{self, KINDS};
use quorate_sim::trace::{Event, What};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// What the script of a page reads. A row of `events` is, in order: time in microseconds, node (0 for the
/// world), place in `kinds`, place in `types` (-1 for what is no message), message (0 for none), the
/// other node (0 for none), when the message was sent (-1 for no message), words, vector clock (0 for none).
pub fn data(
    film: &Film,
    title: &str,
    shown: Range<usize>,
    focus: Option<(Duration, Duration)>,
    note: Option<&str>,
) -> Value {
    let mut types: Vec<String> = Vec::new();
    let sent = sent(film);
    let rows: Vec<Value> = shown.clone().map(|at| row(film, at, &sent, &mut types)).collect();
    let violation = film.ending.violation.as_ref().map(|violation| {
        json!({
            "property": violation.property,
            "detail": violation.detail,
            "promise": property::explain(violation.property),
            "at": film.ending.virtual_time.as_micros() as u64,
        })
    });
    let micros = |at: usize| film.events.get(at).map(|event| event.at.0 / 1_000);
    json!({
        "title": title,
        "world": film.kind.name(),
        "nodes": film.plan.nodes,
        "total": film.events.len(),
        "note": note,
        "trace": format!("{:016x}", film.ending.trace),
        "end": film.ending.virtual_time.as_micros() as u64,
        "from": micros(shown.start).unwrap_or(0),
        "to": shown.end.checked_sub(1).and_then(micros).unwrap_or(0),
        "focus": focus.map(|(from, to)| [from.as_micros() as u64, to.as_micros() as u64]),
        "violation": violation,
        "kinds": KINDS,
        "types": types,
        "sorts": Sort::ALL.map(Sort::name),
        "bands": bands(film),
        "splits": film.bands.splits.iter().map(split).collect::<Vec<_>>(),
        "events": rows,
    })
}

/// When each message was sent.
fn sent(film: &Film) -> BTreeMap<u64, u64> {
    let sends = film.events.iter().filter_map(|event| {
        let What::Send { message, .. } = event.what else { return None };
        Some((message, event.at.0 / 1_000))
    });
    sends.collect()
}

fn row(film: &Film, at: usize, sent: &BTreeMap<u64, u64>, types: &mut Vec<String>) -> Value {
    let event = &film.events[at];
    let kind = KINDS.iter().position(|kind| *kind == event.what.kind());
    let kind = kind.expect("every kind has a name in the list");
    let sort = message_type(event).map_or(-1, |name| {
        let known = types.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            types.push(name);
            types.len() - 1
        }) as i64
    });
    let message = event.message();
    let sent = message.map_or(-1, |message| sent.get(&message).map_or(-1, |at| *at as i64));
    let clock = film.clocks[at].as_ref().map_or(json!(0), |clock| json!(clock.as_ref()));
    json!([
        event.at.0 / 1_000,
        event.node.map_or(0, |node| node.0),
        kind,
        sort,
        message.unwrap_or(0),
        story::peer(event).map_or(0, |node| node.0),
        sent,
        story::tell(event),
        clock,
    ])
}

/// What a message is called: the first word of its label. Only sends and deliveries say one.
fn message_type(event: &Event) -> Option<String> {
    event.message()?;
    let word = event.label.split([' ', '{', '(']).next().filter(|word| !word.is_empty())?;
    Some(word.to_lowercase())
}

fn bands(film: &Film) -> Vec<Value> {
    let place = |sort: Sort| Sort::ALL.iter().position(|known| *known == sort);
    let bands = film.bands.bands.iter().map(|band| {
        json!([band.node.0, place(band.sort), band.from.0 / 1_000, band.to.0 / 1_000, band.label])
    });
    bands.collect()
}

fn split(split: &Split) -> Value {
    json!([split.from.0 / 1_000, split.to.0 / 1_000, split.label()])
}
