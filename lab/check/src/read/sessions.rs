//! Formats of other judges: sessions of transactions on registers, without time.
//!
//! - **awdit**: sessions separated by `=====`, transactions by `-----`, lines `w key value` and `r key value`.
//! - **plume**: lines `w(key,value,session,transaction)` and `r(…)`; transaction -1 is an aborted one, value 0 the initial value.
//! - **dbcop**: JSON, a list of sessions (or an object that holds it as `sessions` or `data`); a session is a list of
//!   transactions `{"events":[{"Write":{"variable":0,"version":1}}],"committed":true}`; version 0 or null is the initial value.
//!
//! # Caveats
//!
//! These formats say nothing of real time. The sessions are laid side by side, so that the n-th transactions of all overlap;
//! what follows from that about later ones is not in the file. Judge such histories by promises that know sessions only
//! (causal ones, `sequential`, levels up to `strong-session-serializable`).

use std::collections::{BTreeMap, BTreeSet};

use super::cursor::Cursor;
use super::json;
use crate::history::{Event, Kind, Position, Value};
use crate::verdict::HistoryError;

/// The longest dashes: what separates sessions and transactions in AWDIT's format.
const SESSION: &str = "=====";
const TRANSACTION: &str = "-----";

/// An access of a register.
struct Access {
    is_write: bool,
    key: Value,
    value: Value,
}

/// A transaction.
struct Transaction {
    accesses: Vec<Access>,
    committed: bool,
    position: Position,
}

type Session = Vec<Transaction>;

/// Reads AWDIT's text.
pub fn awdit(cursor: &mut Cursor) -> Result<Vec<Event>, HistoryError> {
    let mut sessions: Vec<Session> = vec![Vec::new()];
    let mut is_open = false;
    loop {
        cursor.take_while(|byte| byte.is_ascii_whitespace());
        if cursor.peek().is_none() {
            break;
        }
        if cursor.eat(SESSION) {
            sessions.push(Vec::new());
            is_open = false;
        } else if cursor.eat(TRANSACTION) {
            is_open = false;
        } else {
            let position = cursor.position();
            let access = awdit_access(cursor)?;
            let session = sessions.last_mut().expect("there is always one");
            if !is_open {
                session.push(Transaction { accesses: Vec::new(), committed: true, position });
                is_open = true;
            }
            session.last_mut().expect("it is open").accesses.push(access);
        }
    }
    Ok(side_by_side(sessions))
}

fn awdit_access(cursor: &mut Cursor) -> Result<Access, HistoryError> {
    let is_write = operation(cursor)?;
    blanks(cursor);
    let key = number(cursor)?;
    blanks(cursor);
    let value = number(cursor)?;
    blanks(cursor);
    if !matches!(cursor.peek(), None | Some(b'\n')) {
        return Err(cursor.unexpected("the end of the line"));
    }
    Ok(Access { is_write, key, value })
}

/// Reads Plume's text.
pub fn plume(cursor: &mut Cursor) -> Result<Vec<Event>, HistoryError> {
    let mut sessions: BTreeMap<Value, BTreeMap<Value, usize>> = BTreeMap::new();
    let mut found: BTreeMap<Value, Session> = BTreeMap::new();
    loop {
        cursor.take_while(|byte| byte.is_ascii_whitespace());
        if cursor.peek().is_none() {
            break;
        }
        let position = cursor.position();
        let is_write = operation(cursor)?;
        let mut fields = [Value::Nil, Value::Nil, Value::Nil, Value::Nil];
        for (place, field) in fields.iter_mut().enumerate() {
            let before = if place == 0 { "(" } else { "," };
            if !cursor.eat(before) {
                return Err(cursor.unexpected(before));
            }
            blanks(cursor);
            *field = number(cursor)?;
            blanks(cursor);
        }
        if !cursor.eat(")") {
            return Err(cursor.unexpected(")"));
        }
        let [key, value, session, name] = fields;
        let committed = name != Value::Int(-1);
        let value = if is_write { value } else { without_zero(value) };
        let list = found.entry(session.clone()).or_default();
        let place = if committed {
            *sessions.entry(session).or_default().entry(name).or_insert(list.len())
        } else {
            list.len()
        };
        if place == list.len() {
            list.push(Transaction { accesses: Vec::new(), committed, position });
        }
        list[place].accesses.push(Access { is_write, key, value });
    }
    Ok(side_by_side(found.into_values().collect()))
}

/// Reads dbcop's JSON.
pub fn dbcop(cursor: &mut Cursor) -> Result<Vec<Event>, HistoryError> {
    json::skip(cursor)?;
    let position = cursor.position();
    let value = json::value(cursor)?;
    json::skip(cursor)?;
    if cursor.peek().is_some() {
        return Err(cursor.unexpected("the end"));
    }
    let wrong = |what: String| HistoryError { position, message: what };
    let sessions = value.get("sessions").or(value.get("data")).unwrap_or(&value);
    let sessions =
        sessions.as_list().ok_or_else(|| wrong("expected a list of sessions".to_owned()))?;
    let mut read = Vec::with_capacity(sessions.len());
    for (number, session) in sessions.iter().enumerate() {
        let session = session
            .as_list()
            .ok_or_else(|| wrong(format!("session {number} is not a list of transactions")))?;
        let transaction = |(place, value): (usize, &Value)| {
            let tell = |what: &str| wrong(format!("session {number}, transaction {place}: {what}"));
            let events = value.get("events").and_then(Value::as_list);
            let events = events.ok_or_else(|| tell("expected events, a list"))?;
            let committed = !matches!(
                value.get("committed").or(value.get("success")),
                Some(Value::Bool(false))
            );
            let accesses: Option<Vec<Access>> = events.iter().map(dbcop_access).collect();
            let form = "an event is {\"Read\" or \"Write\": {\"variable\", \"version\"}}";
            let accesses = accesses.ok_or_else(|| tell(form))?;
            Ok(Transaction { accesses, committed, position })
        };
        let session: Result<Session, HistoryError> =
            session.iter().enumerate().map(transaction).collect();
        read.push(session?);
    }
    Ok(side_by_side(read))
}

fn dbcop_access(event: &Value) -> Option<Access> {
    let (is_write, inside) = match (event.get("Write"), event.get("Read")) {
        (Some(inside), None) => (true, inside),
        (None, Some(inside)) => (false, inside),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let key = inside.get("variable")?.clone();
    let value = inside.get("version")?.clone();
    if is_write && value.is_nil() {
        return None;
    }
    let value = if is_write { value } else { without_zero(value) };
    Some(Access { is_write, key, value })
}

/// The initial value is nil here.
fn without_zero(value: Value) -> Value {
    if value == Value::Int(0) { Value::Nil } else { value }
}

fn operation(cursor: &mut Cursor) -> Result<bool, HistoryError> {
    match cursor.peek() {
        Some(b'w') => {
            cursor.advance(1);
            Ok(true)
        }
        Some(b'r') => {
            cursor.advance(1);
            Ok(false)
        }
        Some(_) | None => Err(cursor.unexpected("r or w")),
    }
}

fn number(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let position = cursor.position();
    let digits = cursor.take_while(|byte| byte.is_ascii_digit() || byte == b'-');
    digits.parse().map(Value::Int).map_err(|_| HistoryError {
        position,
        message: format!("expected a number of 64 bits, found {digits:?}"),
    })
}

fn blanks(cursor: &mut Cursor) {
    cursor.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
}

/// Events of sessions that run at the same time, the n-th transaction of each overlapping those of the others.
fn side_by_side(mut sessions: Vec<Session>) -> Vec<Event> {
    // What an aborted transaction read is of no matter; that it wrote is.
    let written: BTreeSet<(Value, Value)> = sessions
        .iter()
        .flatten()
        .flat_map(|transaction| &transaction.accesses)
        .filter(|access| access.is_write)
        .map(|access| (access.key.clone(), access.value.clone()))
        .collect();
    // Somebody writes zeros after all: then they are values like others.
    for access in sessions.iter_mut().flatten().flat_map(|it| &mut it.accesses) {
        let zero = (access.key.clone(), Value::Int(0));
        if !access.is_write && access.value.is_nil() && written.contains(&zero) {
            access.value = Value::Int(0);
        }
    }
    let rounds = sessions.iter().map(Vec::len).max().unwrap_or(0);
    let mut events = Vec::new();
    for round in 0..=rounds {
        for (process, session) in sessions.iter().enumerate() {
            if let Some(before) = round.checked_sub(1).and_then(|round| session.get(round)) {
                let kind = if before.committed { Kind::Ok } else { Kind::Fail };
                events.push(event(process, kind, before));
            }
            if let Some(next) = session.get(round) {
                events.push(event(process, Kind::Invoke, next));
            }
        }
    }
    events
}

fn event(process: usize, kind: Kind, transaction: &Transaction) -> Event {
    let micros = transaction.accesses.iter().map(|access| {
        let name = Value::Keyword(if access.is_write { "w" } else { "r" }.into());
        let is_asked = kind != Kind::Ok && !access.is_write;
        let value = if is_asked { Value::Nil } else { access.value.clone() };
        Value::List(vec![name, access.key.clone(), value])
    });
    let mut event = Event::new(process as i64, kind, "txn", Value::List(micros.collect()));
    event.position = transaction.position;
    event
}
