//! Jepsen's text logs: `INFO  jepsen.util - 3<TAB>:invoke<TAB>:cas<TAB>[1 2]`.
//!
//! Lines without the mark `jepsen.util` are other people's; a line with it is an event and must be readable.

use super::cursor::Cursor;
use super::{edn, event};
use crate::history::{Event, Kind, Value};
use crate::verdict::HistoryError;

/// What marks a line with an event.
pub const MARK: &str = "jepsen.util";

/// Reads all events.
pub fn events(cursor: &mut Cursor) -> Result<Vec<Event>, HistoryError> {
    let mut events = Vec::new();
    let mut names = event::Names::default();
    let is_blank = cursor.rest().trim_ascii().is_empty();
    while cursor.peek().is_some() {
        let line = cursor.rest().split('\n').next().unwrap_or_default();
        let line_length = line.len();
        if let Some(mark) = line.find(MARK) {
            let end = cursor.rest().len() - line_length;
            cursor.advance(mark + MARK.len());
            events.push(line_event(cursor, end, &mut names)?);
            assert!(cursor.rest().len() >= end, "a line's event ends with the line");
            cursor.advance(cursor.rest().len() - end);
        } else {
            cursor.advance(line_length);
        }
        cursor.eat("\n");
    }
    // Said to be a log and without any event, a text is most likely something else, and must not be found in order.
    if events.is_empty() && !is_blank {
        return Err(cursor.error(format!("no line has {MARK}: this is not such a log")));
    }
    Ok(events)
}

/// Reads the rest of a line, which ends when this many bytes are left of the file.
fn line_event(
    cursor: &mut Cursor,
    end: usize,
    names: &mut event::Names,
) -> Result<Event, HistoryError> {
    blanks(cursor);
    if cursor.eat("-") {
        blanks(cursor);
    }
    let position = cursor.position();
    let process = event::process(&field(cursor, end, "a process")?);
    let process = process.map_err(|message| HistoryError { position, message })?;
    let kind = field(cursor, end, "a type")?;
    let kind = event::kind(kind.as_name()).ok_or_else(|| HistoryError {
        position,
        message: format!("the type {kind} is not one of :invoke, :ok, :fail and :info"),
    })?;
    let f = field(cursor, end, "a function")?;
    let name = f.as_name().ok_or_else(|| HistoryError {
        position,
        message: format!("the function is a name, not {f}"),
    })?;
    blanks(cursor);
    let mut value =
        if left(cursor, end) == 0 { Value::Nil } else { field(cursor, end, "a value")? };
    let mut error = Value::Nil;
    let is_uncertain = kind == Kind::Fail || kind == Kind::Info;
    if is_uncertain && matches!(value, Value::Keyword(_)) {
        error = std::mem::take(&mut value);
    }
    blanks(cursor);
    if left(cursor, end) > 0 && error.is_nil() {
        // What follows the value is a message in any words.
        error = Value::Str(cursor.rest()[..left(cursor, end)].into());
    }
    value.put_in_order();
    let f = names.share(name);
    Ok(Event { f, value, error, position, ..Event::new(process, kind, "", Value::Nil) })
}

/// How many bytes of the line are left, a carriage return at its end apart.
fn left(cursor: &Cursor, end: usize) -> usize {
    let rest = cursor.rest();
    rest[..rest.len() - end].trim_end_matches('\r').len()
}

/// Reads a field and the blanks before it; it must end with the line.
fn field(cursor: &mut Cursor, end: usize, what: &str) -> Result<Value, HistoryError> {
    blanks(cursor);
    if left(cursor, end) == 0 {
        return Err(cursor.error(format!("expected {what}, found the end of the line")));
    }
    let position = cursor.position();
    let value = edn::value(cursor)?;
    if cursor.rest().len() < end {
        let message = format!("expected {what}, which must end with the line");
        return Err(HistoryError { position, message });
    }
    Ok(value)
}

fn blanks(cursor: &mut Cursor) {
    cursor.take_while(|byte| byte == b' ' || byte == b'\t');
}
