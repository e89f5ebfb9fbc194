//! From values to events: which fields an event has, and what may be in them.

use std::collections::HashMap;

use super::cursor::Cursor;
use crate::history::{Event, Kind, NEMESIS, Name, Position, Value};
use crate::verdict::HistoryError;

/// From this many entries on, repeated keys are found by hashing.
const SMALL: usize = 16;

/// The entries of a map while it is read; a key that occurs twice is an error.
#[derive(Default)]
pub struct Entries {
    entries: Vec<(Value, Value)>,
    seen: std::collections::HashSet<Value>,
}

impl Entries {
    pub fn add(&mut self, at: Position, key: Value, value: Value) -> Result<(), HistoryError> {
        let is_repeated = if self.entries.len() < SMALL {
            self.entries.iter().any(|(other, _)| *other == key)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(self.entries.iter().map(|(key, _)| key.clone()));
            }
            !self.seen.insert(key.clone())
        };
        if is_repeated {
            let message = format!("the key {key} occurs twice in a map");
            return Err(HistoryError { position: at, message });
        }
        self.entries.push((key, value));
        Ok(())
    }

    pub fn finish(self) -> Vec<(Value, Value)> {
        self.entries
    }
}

/// Names of functions, each allocated once.
#[derive(Default)]
pub struct Names(HashMap<Box<str>, Name>);

impl Names {
    pub fn share(&mut self, name: &str) -> Name {
        if let Some(shared) = self.0.get(name) {
            return shared.clone();
        }
        let shared: Name = name.into();
        self.0.insert(name.into(), shared.clone());
        shared
    }
}

/// Reads one map after another, or one list of maps.
pub fn all<'a>(
    cursor: &mut Cursor<'a>,
    skip: impl Fn(&mut Cursor<'a>) -> Result<(), HistoryError>,
    value: impl Fn(&mut Cursor<'a>) -> Result<Value, HistoryError>,
) -> Result<Vec<Event>, HistoryError> {
    let mut events = Vec::new();
    let mut names = Names::default();
    skip(cursor)?;
    let close = match cursor.peek() {
        Some(b'[') => Some(b']'),
        Some(b'(') => Some(b')'),
        Some(_) | None => None,
    };
    if close.is_some() {
        cursor.advance(1);
    }
    let is_json_array = close.is_some() && Some(b']') == close;
    loop {
        skip(cursor)?;
        if cursor.peek().is_none() || cursor.peek() == close {
            break;
        }
        if is_json_array && !events.is_empty() && cursor.eat(",") {
            skip(cursor)?;
        }
        let position = cursor.position();
        let map = value(cursor)?;
        events.push(event(position, map, &mut names)?);
    }
    if let Some(close) = close {
        if cursor.peek() != Some(close) {
            return Err(cursor.unexpected(&format!("{:?}", char::from(close))));
        }
        cursor.advance(1);
        skip(cursor)?;
        if cursor.peek().is_some() {
            return Err(cursor.unexpected("the end of the file after the list of events"));
        }
    }
    Ok(events)
}

fn event(position: Position, map: Value, names: &mut Names) -> Result<Event, HistoryError> {
    let error = |message: String| HistoryError { position, message };
    let Value::Map(entries) = map else {
        return Err(error(format!("expected an event, which is a map, found {map}")));
    };
    let mut event = Event { position, ..Event::new(NEMESIS, Kind::Info, "", Value::Nil) };
    let (mut process, mut kind, mut f) = (None, None, None);
    for (key, value) in entries {
        match key.as_name() {
            Some("process") => process = Some(self::process(&value).map_err(error)?),
            Some("type") => {
                kind = Some(self::kind(value.as_name()).ok_or_else(|| {
                    error(format!("the type {value} is not one of invoke, ok, fail and info"))
                })?)
            }
            Some("f") => {
                let name = value.as_name();
                f = Some(
                    name.map(|name| names.share(name))
                        .ok_or_else(|| error(format!("the function f is a name, not {value}")))?,
                );
            }
            Some("key") => event.key = value,
            Some("value") => event.value = value,
            Some("error") => event.error = value,
            Some("time") => event.time = time(&value).map_err(error)?,
            Some(_) | None => {}
        }
    }
    event.key.put_in_order();
    event.value.put_in_order();
    event.process = process.ok_or_else(|| error("the event has no process".to_owned()))?;
    event.kind = kind.ok_or_else(|| error("the event has no type".to_owned()))?;
    event.f = f.ok_or_else(|| error("the event has no function f".to_owned()))?;
    Ok(event)
}

/// A process: a number from 0, or a name such as `nemesis` for what is no client.
pub fn process(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(process) if *process >= 0 => Ok(*process),
        Value::Str(_) | Value::Keyword(_) => Ok(NEMESIS),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Map(_) => Err(format!("the process is a number from 0 or a name, not {value}")),
    }
}

/// The kind of event by its name.
pub fn kind(name: Option<&str>) -> Option<Kind> {
    match name? {
        "invoke" => Some(Kind::Invoke),
        "ok" => Some(Kind::Ok),
        "fail" => Some(Kind::Fail),
        "info" => Some(Kind::Info),
        _ => None,
    }
}

fn time(value: &Value) -> Result<Option<u64>, String> {
    match value {
        Value::Nil => Ok(None),
        // Jepsen's clock may start a little before zero.
        Value::Int(time) => Ok(Some(u64::try_from(*time).unwrap_or(0))),
        Value::Bool(_)
        | Value::Number(_)
        | Value::Str(_)
        | Value::Keyword(_)
        | Value::List(_)
        | Value::Map(_) => Err(format!("the time is a number of nanoseconds, not {value}")),
    }
}
