//! A film in lines: time, node, what. For people as text, for programs as JSON.

use crate::film::Film;
use quorate_base::NodeId;
use quorate_sim::trace::{Event, What};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Kinds of events, by the names that filters and legends use.
pub const KINDS: [&str; 23] = [
    "send",
    "duplicate",
    "deliver",
    "lose",
    "crash",
    "restart",
    "pause",
    "resume",
    "slow",
    "cut",
    "mend",
    "clog",
    "role",
    "commit",
    "apply",
    "install",
    "call",
    "return",
    "disk",
    "clock",
    "peace",
    "violation",
    "note",
];

/// What of a film is told. Empty lists let everything through.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Not before.
    pub from: Option<Duration>,
    /// Not after.
    pub to: Option<Duration>,
    /// At these nodes, or about what goes between them and others.
    pub nodes: Vec<u64>,
    /// Of these kinds.
    pub kinds: Vec<String>,
}

impl Filter {
    /// True for an event that is told.
    pub fn lets(&self, event: &Event) -> bool {
        let at = Duration::from_nanos(event.at.0);
        let at_node =
            |node: &u64| event.node == Some(NodeId(*node)) || peer(event) == Some(NodeId(*node));
        self.from.is_none_or(|from| at >= from)
            && self.to.is_none_or(|to| at <= to)
            && (self.nodes.is_empty() || self.nodes.iter().any(at_node))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == event.what.kind()))
    }
}

/// The other end of the wire that an event is about.
pub fn peer(event: &Event) -> Option<NodeId> {
    match event.what {
        What::Send { to, .. } | What::Duplicate { to, .. } => Some(to),
        What::Deliver { from, .. } | What::Lose { from, .. } => Some(from),
        What::Cut { from, to } | What::Mend { from, to } | What::Clog { from, to, .. } => {
            Some(if event.node == Some(from) { to } else { from })
        }
        What::Role { leader, .. } => leader,
        What::Crash { .. }
        | What::Restart
        | What::Pause
        | What::Resume
        | What::Slow { .. }
        | What::Commit { .. }
        | What::Apply { .. }
        | What::Install { .. }
        | What::Call { .. }
        | What::Return { .. }
        | What::Disk(_)
        | What::Clock(_)
        | What::Peace
        | What::Violation
        | What::Note => None,
    }
}

/// An event in words, without its time.
pub fn tell(event: &Event) -> String {
    let line = event.to_string();
    let line = line.trim_start();
    line.split_once("us ").map_or(line, |(_, words)| words).to_owned()
}

/// One line: seconds, node, what.
pub fn line(event: &Event) -> String {
    let node = event.node.map_or("-".to_owned(), |node| node.to_string());
    format!("{:>12}  {node:<3} {}", seconds(Duration::from_nanos(event.at.0)), tell(event))
}

/// Seconds with microseconds.
pub fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

/// The event as one JSON object.
pub fn object(event: &Event) -> Value {
    json!({
        "at_us": event.at.0 / 1_000,
        "node": event.node.map(|node| node.0),
        "kind": event.what.kind(),
        "message": event.message(),
        "peer": peer(event).map(|node| node.0),
        "text": tell(event),
    })
}

/// The last lines of a film, up to and with its end.
pub fn tail(film: &Film, most: usize) -> String {
    let mut text = String::new();
    for event in &film.events[film.events.len().saturating_sub(most)..] {
        let _ = writeln!(text, "{}", line(event));
    }
    text
}

/// How the film ended, and the hash of all of it.
pub fn end(film: &Film) -> String {
    let ending = &film.ending;
    let verdict = match &ending.violation {
        Some(violation) => format!("broken: {violation}"),
        None => "every promise was kept".to_owned(),
    };
    format!(
        "{verdict}\n{} events in {} virtual seconds, {} entries committed, trace {:016x}",
        film.events.len(),
        seconds(ending.virtual_time),
        ending.committed,
        ending.trace
    )
}
