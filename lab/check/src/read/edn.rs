//! EDN, as far as Jepsen and its friends write it, into [`Value`].
//!
//! Vectors, lists and sets become lists, those of sets in order. Tags are dropped (`#jepsen.history.Op{…}` is its map, `#inst "…"` its string);
//! metadata is read and dropped; namespaces stay part of the name (`:jepsen/op`). Characters become one-letter strings.

use super::cursor::Cursor;
use super::event::Entries;
use super::json;
use crate::history::Value;
use crate::verdict::HistoryError;

/// Skips white space, commas, comments and discarded forms (`#_ form`).
pub fn skip(cursor: &mut Cursor) -> Result<(), HistoryError> {
    loop {
        cursor.take_while(|byte| byte.is_ascii_whitespace() || byte == b',' || byte == 0x0b);
        if cursor.peek() == Some(b';') {
            cursor.take_while(|byte| byte != b'\n');
        } else if cursor.eat("#_") {
            inner(cursor)?;
        } else {
            return Ok(());
        }
    }
}

/// Reads one value; the cursor is past what [`skip`] skips.
pub fn value(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    match cursor.peek() {
        Some(b'{') => map(cursor),
        Some(b'[') => list(cursor, 1, b']'),
        Some(b'(') => list(cursor, 1, b')'),
        Some(b'"') => string(cursor),
        Some(b':') => keyword(cursor),
        Some(b'\\') => character(cursor),
        Some(b'#') => dispatch(cursor),
        Some(b'^') => {
            cursor.advance(1);
            inner(cursor)?;
            inner(cursor)
        }
        Some(byte) if is_symbol(byte) => atom(cursor),
        Some(_) | None => Err(cursor.unexpected("a value")),
    }
}

/// A value after something that belongs to it (a tag, metadata, a discard), one level deeper.
fn inner(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    cursor.enter()?;
    skip(cursor)?;
    let value = value(cursor)?;
    cursor.leave();
    Ok(value)
}

fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".*+!-_?$%&=<>/'#:|".contains(&byte) || byte >= 0x80
}

fn dispatch(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let rest = cursor.rest();
    if rest.starts_with("#{") {
        return set(cursor);
    }
    cursor.advance(1);
    let is_special_number = cursor.eat("#");
    let tag = cursor.take_while(is_symbol);
    if is_special_number {
        // ##Inf, ##-Inf, ##NaN
        return Ok(Value::Number(format!("##{tag}").into()));
    }
    if tag.is_empty() {
        return Err(cursor.unexpected("a tag, '{' or '_' after '#'"));
    }
    inner(cursor)
}

fn list(cursor: &mut Cursor, open: usize, close: u8) -> Result<Value, HistoryError> {
    cursor.enter()?;
    cursor.advance(open);
    let mut items = Vec::new();
    loop {
        skip(cursor)?;
        if cursor.peek() == Some(close) {
            cursor.advance(1);
            cursor.leave();
            return Ok(Value::List(items));
        }
        if cursor.peek().is_none() {
            return Err(cursor.unexpected(&format!("{:?}", char::from(close))));
        }
        items.push(value(cursor)?);
    }
}

/// A set has no order: it is a list in order.
fn set(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let mut value = list(cursor, 2, b'}')?;
    value.put_in_order();
    if let Value::List(items) = &mut value {
        items.sort();
    }
    Ok(value)
}

fn map(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    cursor.enter()?;
    cursor.advance(1);
    let mut entries = Entries::default();
    loop {
        skip(cursor)?;
        if cursor.peek() == Some(b'}') {
            cursor.advance(1);
            cursor.leave();
            return Ok(Value::Map(entries.finish()));
        }
        if cursor.peek().is_none() {
            return Err(cursor.unexpected("'}'"));
        }
        let at = cursor.position();
        let key = value(cursor)?;
        skip(cursor)?;
        if cursor.peek() == Some(b'}') {
            return Err(cursor.error(format!("the key {key} has no value")));
        }
        let value = value(cursor)?;
        entries.add(at, key, value)?;
    }
}

fn keyword(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    cursor.advance(1);
    let name = cursor.take_while(is_symbol);
    if name.is_empty() {
        return Err(cursor.unexpected("a name after ':'"));
    }
    Ok(Value::Keyword(name.into()))
}

fn character(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    cursor.advance(1);
    let names = [("newline", "\n"), ("return", "\r"), ("space", " "), ("tab", "\t")];
    for (name, text) in names {
        if cursor.eat(name) {
            return Ok(Value::Str(text.into()));
        }
    }
    let Some(c) = cursor.rest().chars().next() else {
        return Err(cursor.unexpected("a character after '\\'"));
    };
    cursor.advance(c.len_utf8());
    Ok(Value::Str(c.to_string().into()))
}

fn string(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    cursor.advance(1);
    let mut text = String::new();
    loop {
        text.push_str(cursor.take_while(|byte| byte != b'"' && byte != b'\\'));
        match cursor.peek() {
            Some(b'"') => {
                cursor.advance(1);
                return Ok(Value::Str(text.into()));
            }
            Some(b'\\') => text.push(escape(cursor)?),
            Some(_) | None => return Err(cursor.unexpected("the end of the string")),
        }
    }
}

fn escape(cursor: &mut Cursor) -> Result<char, HistoryError> {
    let plain = match cursor.rest().as_bytes().get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return json::unicode(cursor),
        Some(_) | None => return Err(cursor.error("this escape is not one of EDN's")),
    };
    cursor.advance(2);
    Ok(plain)
}

/// A number, `nil`, `true`, `false`, or another symbol.
fn atom(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let rest = cursor.rest();
    let length = rest.bytes().position(|byte| !is_symbol(byte)).unwrap_or(rest.len());
    let text = &rest[..length];
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value = if digits.starts_with(|c: char| c.is_ascii_digit()) {
        let is_number =
            digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-NM/".contains(&byte));
        if !is_number {
            return Err(cursor.error(format!("{text} is not a number")));
        }
        let integer = text.strip_suffix('N').unwrap_or(text).parse();
        integer.map_or_else(|_| Value::Number(text.into()), Value::Int)
    } else {
        match text {
            "nil" => Value::Nil,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Keyword(text.into()),
        }
    };
    cursor.advance(length);
    Ok(value)
}
