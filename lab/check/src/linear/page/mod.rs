//! A page about a part of a history: a timeline per process, the operations that are the reason of a refusal, and the
//! longest partial linearizations, in the manner of Porcupine's. One file without any reference to another, readable
//! in light and dark.
//!
//! This module collects what is shown, as JSON; `page.js` draws it. The horizontal axis is the order of events, not
//! time: linearizability knows no durations, and an operation of a minute would squeeze all others.

mod json;

use std::collections::BTreeMap;
use std::time::Duration;

use super::search::{Bounds, Outcome, Search};
use super::spec::{Item, Object, Part};
use super::tell;
use crate::history::{History, Operation};
use crate::limits::{Meter, Options};
use json::{array, object, text};

/// Operations on a page, those around the reason. A browser draws so many without effort.
const OPERATIONS_MAX: usize = 2_000;
/// Partial linearizations on a page, the longest.
const SEQUENCES_MAX: usize = 12;
/// Characters of a state; values with many appends grow long.
const STATE_MAX: usize = 160;
/// Configurations and time to spend on partial linearizations.
const STEPS: u64 = 50_000;
const TIME: Duration = Duration::from_secs(3);

/// What a page is about.
pub struct Subject<'a, S: Object> {
    /// The history and its operations.
    pub history: &'a History,
    /// Its operations.
    pub operations: &'a [Operation],
    /// The part that is shown.
    pub part: &'a Part<S>,
    /// The places in the part's items that are the reason of a refusal; none if it was not refused.
    pub core: &'a [usize],
    /// The verdict in a word or two, and in a sentence.
    pub verdict: &'a str,
    /// One sentence.
    pub summary: &'a str,
}

/// Draws the page.
pub fn draw<S: Object>(subject: &Subject<S>) -> String {
    let shown = shown(subject);
    let places: BTreeMap<usize, usize> =
        shown.iter().enumerate().map(|(number, place)| (*place, number)).collect();
    let data = object(&[
        ("verdict", text(subject.verdict)),
        ("summary", text(subject.summary)),
        (
            "key",
            if subject.part.key.is_nil() { text("") } else { text(&subject.part.key.to_string()) },
        ),
        ("hidden", (subject.part.items.len() - shown.len()).to_string()),
        ("operations", array(shown.iter().map(|place| operation(subject, *place)))),
        (
            "sequences",
            array(
                sequences(subject)
                    .iter()
                    .map(|sequence| self::sequence(subject, sequence, &places)),
            ),
        ),
    ]);
    let page = include_str!("page.html");
    page.replace("/*STYLE*/", include_str!("page.css"))
        .replace("/*SCRIPT*/", include_str!("page.js"))
        // Last, so that nothing in the history is taken for one of the marks above.
        .replace("/*DATA*/", &data)
}

/// The places of the items on the page, in order: all, or those nearest before the end of the reason.
fn shown<S: Object>(subject: &Subject<S>) -> Vec<usize> {
    let count = subject.part.items.len();
    let last =
        subject.core.iter().max().map_or(count, |last| (last + OPERATIONS_MAX / 4).min(count));
    let first = last.saturating_sub(OPERATIONS_MAX);
    let is_shown = |place: &usize| (first..last).contains(place) || subject.core.contains(place);
    (0..count).filter(is_shown).collect()
}

fn operation<S: Object>(subject: &Subject<S>, place: usize) -> String {
    let item = &subject.part.items[place];
    let operation = &subject.operations[item.operation];
    let invoke = &subject.history.events[operation.start];
    let nanoseconds = |place: usize| subject.history.events[place].time;
    let duration = operation.end.and_then(nanoseconds).zip(invoke.time);
    let duration = duration.map(|(end, start)| end.saturating_sub(start));
    object(&[
        ("process", invoke.process.to_string()),
        ("start", item.start.to_string()),
        ("end", if item.is_known() { item.end.to_string() } else { "null".to_owned() }),
        ("label", text(&clip(&tell::operation(subject.history, operation), STATE_MAX))),
        ("line", text(&tell::lines(subject.history, operation))),
        ("took", duration.map_or("null".to_owned(), |nanoseconds| nanoseconds.to_string())),
        ("core", subject.core.contains(&place).to_string()),
    ])
}

/// A linearization, or the longest partial ones.
fn sequences<S: Object>(subject: &Subject<S>) -> Vec<Vec<usize>> {
    let Part { spec, items, .. } = subject.part;
    let meter = Meter::start(&Options { time: Some(TIME), ..Options::default() });
    let bounds = Bounds { meter: &meter, share: 1, steps: STEPS, gauge: None };
    let mut search = Search::new(spec, items, bounds).recording();
    if let Outcome::Linearizable(sequence) = search.run() {
        return vec![sequence];
    }
    let mut sequences = search.into_partials().sequences;
    sequences.sort_by_key(|sequence| std::cmp::Reverse(sequence.len()));
    sequences.truncate(SEQUENCES_MAX);
    sequences
}

/// A sequence with the states that it goes through; operations that are not on the page are passed over.
fn sequence<S: Object>(
    subject: &Subject<S>,
    sequence: &[usize],
    places: &BTreeMap<usize, usize>,
) -> String {
    let Part { spec, items, .. } = subject.part;
    let mut state = spec.initial();
    let mut steps = Vec::new();
    for place in sequence {
        let Some(next) = spec.step(&state, &items[*place].op) else { break };
        state = next;
        if let Some(number) = places.get(place) {
            let state = text(&clip(&spec.show(&state), STATE_MAX));
            steps.push(array([number.to_string(), state].into_iter()));
        }
    }
    let is_left = |item: &Item<S::Op>, place: usize| item.is_known() && !sequence.contains(&place);
    let left = places.iter().filter(|(place, _)| is_left(&items[**place], **place)).count();
    object(&[("steps", array(steps.into_iter())), ("left", left.to_string())])
}

fn clip(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
