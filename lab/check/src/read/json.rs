//! JSON (RFC 8259), into [`Value`].

use super::cursor::Cursor;
use crate::history::Value;
use crate::verdict::HistoryError;

/// Skips white space, and commas between the elements of an outer array.
pub fn skip(cursor: &mut Cursor) -> Result<(), HistoryError> {
    space(cursor);
    Ok(())
}

fn space(cursor: &mut Cursor) {
    cursor.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
}

/// Reads one value.
pub fn value(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    match cursor.peek() {
        Some(b'{') => map(cursor),
        Some(b'[') => list(cursor),
        Some(b'"') => Ok(Value::Str(string(cursor)?.into())),
        Some(b'-' | b'0'..=b'9') => number(cursor),
        Some(_) | None => word(cursor),
    }
}

fn word(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let words = [("null", Value::Nil), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
    for (word, value) in words {
        if cursor.eat(word) {
            return Ok(value);
        }
    }
    Err(cursor.unexpected("a JSON value"))
}

fn number(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let rest = cursor.rest().as_bytes();
    let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(rest[0] == b'-');
    let whole = digits(end);
    if whole == 0 || whole > 1 && rest[end] == b'0' {
        return Err(
            cursor.error("a number begins with a digit, and with 0 only if it is the only one")
        );
    }
    end += whole;
    let mut is_integer = true;
    if rest.get(end) == Some(&b'.') {
        (is_integer, end) = (false, end + 1 + digits(end + 1));
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        (is_integer, end) = (false, end + 1 + sign + digits(end + 1 + sign));
    }
    let text = &cursor.rest()[..end];
    if !text.ends_with(|c: char| c.is_ascii_digit()) {
        return Err(cursor.error(format!("the number {text} ends without a digit")));
    }
    let integer = if is_integer { text.parse().ok() } else { None };
    cursor.advance(end);
    Ok(integer.map_or_else(|| Value::Number(text.into()), Value::Int))
}

/// Reads a string, the cursor being at its quotation mark.
pub fn string(cursor: &mut Cursor) -> Result<String, HistoryError> {
    cursor.advance(1);
    let mut text = String::new();
    loop {
        text.push_str(cursor.take_while(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\'));
        match cursor.peek() {
            Some(b'"') => {
                cursor.advance(1);
                return Ok(text);
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
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(cursor),
        Some(_) | None => return Err(cursor.error("this escape is not one of JSON's")),
    };
    cursor.advance(2);
    Ok(plain)
}

/// Reads `\u` with its four digits, or two of them where the first is a high surrogate.
pub fn unicode(cursor: &mut Cursor) -> Result<char, HistoryError> {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u").and_then(|digits| digits.get(..4));
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let rest = cursor.rest();
    let Some(first) = unit(rest) else {
        return Err(cursor.error("\\u is followed by four hexadecimal digits"));
    };
    if let Some(c) = char::from_u32(first) {
        cursor.advance(6);
        return Ok(c);
    }
    let second = unit(&rest[6..]).filter(|unit| (0xdc00..0xe000).contains(unit));
    let pair = second.filter(|_| first < 0xdc00);
    let c =
        pair.and_then(|low| char::from_u32(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00)));
    let c = c.ok_or_else(|| cursor.error(format!("\\u{first:04x} is half of a surrogate pair")))?;
    cursor.advance(12);
    Ok(c)
}

fn list(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let mut items = Vec::new();
    members(cursor, b']', |cursor| {
        items.push(value(cursor)?);
        Ok(())
    })?;
    Ok(Value::List(items))
}

fn map(cursor: &mut Cursor) -> Result<Value, HistoryError> {
    let mut entries = super::event::Entries::default();
    members(cursor, b'}', |cursor| {
        let at = cursor.position();
        if cursor.peek() != Some(b'"') {
            return Err(cursor.unexpected("a name in quotation marks"));
        }
        let name = Value::Str(string(cursor)?.into());
        space(cursor);
        if !cursor.eat(":") {
            return Err(cursor.unexpected("':'"));
        }
        space(cursor);
        let value = value(cursor)?;
        entries.add(at, name, value)
    })?;
    Ok(Value::Map(entries.finish()))
}

/// Reads members separated by commas up to the closing bracket, the cursor being at the opening one.
fn members<'a>(
    cursor: &mut Cursor<'a>,
    close: u8,
    mut member: impl FnMut(&mut Cursor<'a>) -> Result<(), HistoryError>,
) -> Result<(), HistoryError> {
    cursor.enter()?;
    cursor.advance(1);
    space(cursor);
    if cursor.peek() == Some(close) {
        cursor.advance(1);
        cursor.leave();
        return Ok(());
    }
    loop {
        member(cursor)?;
        space(cursor);
        let next = cursor.peek();
        if next != Some(b',') && next != Some(close) {
            return Err(cursor.unexpected(&format!("',' or {:?}", char::from(close))));
        }
        cursor.advance(1);
        if next == Some(close) {
            cursor.leave();
            return Ok(());
        }
        space(cursor);
    }
}
