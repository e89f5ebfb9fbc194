//! Lines about a log of changes and about what watchers were told.

use std::collections::BTreeMap;

use crate::history::{Event, History, Value};
use crate::verdict::HistoryError;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put,
    Delete,
}

/// An event of the log, with what the log says of the key before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub revision: i64,
    pub change: Change,
    pub key: String,
    pub value: Value,
    /// The revision that created the key; of a deletion 0.
    pub created: i64,
    /// The value and the revision of the key before, if it existed.
    pub before: Option<(Value, i64)>,
}

/// The log, complete from the first revision.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub events: Vec<Logged>,
    /// Places of the events of each key.
    pub keys: BTreeMap<String, Vec<usize>>,
    /// The highest revision that was compacted.
    pub compacted: i64,
}

/// What a watcher asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub key: String,
    /// `None`: only the key itself. An empty string: all keys from `key` on.
    pub range_end: Option<String>,
    /// The first revision that it is to be told of.
    pub start: i64,
    pub prev: bool,
    pub no_put: bool,
    pub no_delete: bool,
}

impl Asked {
    /// Whether an event is for this watcher.
    pub(crate) fn wants(&self, key: &str, change: Change) -> bool {
        let in_range = match self.range_end.as_deref() {
            None => key == self.key,
            Some("") => key >= self.key.as_str(),
            Some(end) => key >= self.key.as_str() && key < end,
        };
        let filtered = match change {
            Change::Put => self.no_put,
            Change::Delete => self.no_delete,
        };
        in_range && !filtered
    }
}

/// An event as a watcher was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub revision: i64,
    pub change: Change,
    pub key: String,
    pub value: Value,
    /// The create revision, where the line says it.
    pub created: Option<i64>,
    /// Value and revision before, where the line says them.
    pub before: Option<(Value, Option<i64>)>,
}

/// What a line says to or of a watcher, and where it is in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Events {
        events: Vec<Told>,
        fragment: bool,
    },
    Progress(i64),
    Cancelled,
    /// The client waited until nothing more came, and all up to this revision should have.
    Drained(i64),
}

/// A watcher and its lines.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub process: i64,
    pub asked: Asked,
    /// The place of the line that opened it.
    pub opened: usize,
    pub lines: Vec<(usize, Line)>,
}

/// Reads the log and the watchers.
///
/// # Errors
///
/// At the line: an unknown function, a missing or wrong field, revisions of the log that do not go up, a line of a watcher that was not opened.
pub(crate) fn read(history: &History) -> Result<(Log, Vec<Watcher>), HistoryError> {
    let mut log = Log::default();
    let mut state: BTreeMap<String, (Value, i64, i64)> = BTreeMap::new();
    let mut watchers: Vec<Watcher> = Vec::new();
    let mut open: BTreeMap<i64, usize> = BTreeMap::new();
    for (place, event) in history.events.iter().enumerate() {
        match &*event.f {
            "log" => log.add(event, &mut state)?,
            "compact" => log.compacted = log.compacted.max(integer(event, "rev")?),
            "watch" => {
                open.insert(event.process, watchers.len());
                let asked = asked(event)?;
                let process = event.process;
                watchers.push(Watcher { process, asked, opened: place, lines: Vec::new() });
            }
            f @ ("events" | "progress" | "cancel" | "drained") => {
                let Some(watcher) = open.get(&event.process) else {
                    let message = format!("process {} has no watch open", event.process);
                    return Err(HistoryError::at(event, message));
                };
                let line = match f {
                    "events" => events(event)?,
                    "progress" => Line::Progress(integer(event, "rev")?),
                    "drained" => Line::Drained(integer(event, "rev")?),
                    _ => Line::Cancelled,
                };
                watchers[*watcher].lines.push((place, line));
            }
            f => {
                let message = format!(
                    "a history of watches has log, compact, watch, events, progress, cancel and drained, not {f}"
                );
                return Err(HistoryError::at(event, message));
            }
        }
    }
    Ok((log, watchers))
}

impl Log {
    fn add(
        &mut self,
        line: &Event,
        state: &mut BTreeMap<String, (Value, i64, i64)>,
    ) -> Result<(), HistoryError> {
        let revision = integer(line, "rev")?;
        let last = self.events.last().map_or(0, |event| event.revision);
        if revision <= last {
            let message = format!("revision {revision} of the log comes after {last}");
            return Err(HistoryError::at(line, message));
        }
        for event in list(line, "events")? {
            let (change, key) = (change(line, event)?, name(line, event, "key")?);
            let value = event.get("value").cloned().unwrap_or_default();
            let before = state.get(&key).map(|(value, _, modified)| (value.clone(), *modified));
            let created = match change {
                Change::Delete => 0,
                Change::Put => state.get(&key).map_or(revision, |(_, created, _)| *created),
            };
            match change {
                Change::Put => drop(state.insert(key.clone(), (value.clone(), created, revision))),
                Change::Delete => drop(state.remove(&key)),
            }
            self.keys.entry(key.clone()).or_default().push(self.events.len());
            self.events.push(Logged { revision, change, key, value, created, before });
        }
        Ok(())
    }
}

fn asked(line: &Event) -> Result<Asked, HistoryError> {
    let value = &line.value;
    let range_end = match value.get("range_end") {
        None | Some(Value::Nil) => None,
        Some(_) => Some(name(line, value, "range_end")?).filter(|end| !end.is_empty()),
    };
    let start = match integer(line, "start")? {
        0 => integer(line, "rev")? + 1,
        start => start,
    };
    let filters = match value.get("filters") {
        Some(filters) => filters.as_list().unwrap_or(&[]),
        None => &[],
    };
    let has = |wanted: &str| filters.iter().any(|filter| filter.as_name() == Some(wanted));
    let prev = value.get("prev_kv") == Some(&Value::Bool(true));
    Ok(Asked {
        key: name(line, value, "key")?,
        // etcd writes "all keys from here on" as a zero byte.
        range_end: range_end.map(|end| if end == "\0" { String::new() } else { end }),
        start,
        prev,
        no_put: has("noput"),
        no_delete: has("nodelete"),
    })
}

fn events(line: &Event) -> Result<Line, HistoryError> {
    let mut told = Vec::new();
    for event in list(line, "events")? {
        let before = match event.get("prev") {
            None | Some(Value::Nil) => None,
            Some(prev) => {
                let value = prev.get("value").cloned().unwrap_or_default();
                Some((value, prev.get("mod").and_then(Value::as_int)))
            }
        };
        let Some(revision) = event.get("mod").and_then(Value::as_int) else {
            return Err(HistoryError::at(line, format!("an event without mod: {event}")));
        };
        told.push(Told {
            revision,
            change: change(line, event)?,
            key: name(line, event, "key")?,
            value: event.get("value").cloned().unwrap_or_default(),
            created: event.get("create").and_then(Value::as_int),
            before,
        });
    }
    let fragment = line.value.get("fragment") == Some(&Value::Bool(true));
    Ok(Line::Events { events: told, fragment })
}

fn integer(line: &Event, field: &str) -> Result<i64, HistoryError> {
    line.value.get(field).and_then(Value::as_int).ok_or_else(|| {
        HistoryError::at(line, format!("{} needs {field}, a number: {}", line.f, line.value))
    })
}

fn list<'a>(line: &'a Event, field: &str) -> Result<&'a [Value], HistoryError> {
    line.value.get(field).and_then(Value::as_list).ok_or_else(|| {
        HistoryError::at(line, format!("{} needs {field}, a list: {}", line.f, line.value))
    })
}

fn name(line: &Event, value: &Value, field: &str) -> Result<String, HistoryError> {
    value.get(field).and_then(Value::as_name).map(str::to_string).ok_or_else(|| {
        HistoryError::at(line, format!("{} needs {field}, a string: {value}", line.f))
    })
}

fn change(line: &Event, event: &Value) -> Result<Change, HistoryError> {
    match event.get("type").and_then(Value::as_name) {
        Some("put") => Ok(Change::Put),
        Some("delete") => Ok(Change::Delete),
        Some(_) | None => {
            Err(HistoryError::at(line, format!("the type of an event is put or delete: {event}")))
        }
    }
}
