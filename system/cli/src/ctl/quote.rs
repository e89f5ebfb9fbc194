//! Quoting as Go does it, because etcdctl's output (`-w fields`) and input (`txn`, `watch -i`) are quoted so.
//!
//! Keys and values are bytes, not text: what is not UTF-8 or not printable is written as an escape, and read back from it.

/// The bytes in double quotes, with everything unprintable as an escape.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_escaped(&mut out, character));
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if is_printable(character) => out.push(character),
        _ if (character as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", character as u32)),
        _ if (character as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", character as u32)),
        _ => out.push_str(&format!("\\U{:08x}", character as u32)),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_printable(character: char) -> bool {
    if character.is_whitespace() {
        return character == ' ';
    }
    // What `escape_debug` leaves alone is printable; it also escapes quotes and combining marks, which are.
    let mut escaped = character.escape_debug();
    matches!(character, '\'' | '"' | '\\')
        || escaped.len() == 1 && escaped.next() == Some(character)
        || !character.is_control() && character.is_alphanumeric()
}

/// `\x61\x62` for `ab`: what `--hex` prints.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// Splits a line into words as etcdctl does: words, `'literal'` and `"with \x41 escapes"`. A quote that is never closed
/// is skipped.
///
/// # Errors
/// A double-quoted word with an escape that does not exist.
pub fn split_words(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => closing_quote(rest),
            '\'' => rest[1..].find('\'').map(|end| end + 2),
            _ if first.is_whitespace() => None,
            _ => Some(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        let Some(end) = end else {
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let word = &rest[..end];
        words.push(match first {
            '"' => unquote(word)?,
            '\'' => word.as_bytes()[1..end - 1].to_vec(),
            _ => word.as_bytes().to_vec(),
        });
        rest = &rest[end..];
    }
    Ok(words)
}

/// The length of the double-quoted word at the start of `text`, if it is closed.
pub fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// The bytes that a double-quoted word stands for.
///
/// # Errors
/// No quotes around it, or an escape that does not exist.
pub fn unquote(word: &str) -> Result<Vec<u8>, String> {
    let inner = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    let inner = inner.ok_or_else(|| format!("{word}: not a quoted string"))?;
    let mut out = Vec::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = characters.next().ok_or_else(|| format!("{word}: ends in a backslash"))?;
        match escape {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' | '"' | '\'' => out.push(escape as u8),
            'x' => out.push(digits(&mut characters, 2, 16, word)? as u8),
            'u' => push_character(&mut out, digits(&mut characters, 4, 16, word)?, word)?,
            'U' => push_character(&mut out, digits(&mut characters, 8, 16, word)?, word)?,
            '0'..='7' => {
                let first = escape.to_digit(8).expect("an octal digit");
                let value = first * 64 + digits(&mut characters, 2, 8, word)?;
                out.push(
                    u8::try_from(value).map_err(|_| format!("{word}: \\{value:o} is no byte"))?,
                );
            }
            other => return Err(format!("{word}: there is no escape \\{other}")),
        }
    }
    Ok(out)
}

fn digits(
    characters: &mut std::str::Chars<'_>,
    count: usize,
    radix: u32,
    word: &str,
) -> Result<u32, String> {
    let mut value = 0;
    for _ in 0..count {
        let digit = characters.next().and_then(|character| character.to_digit(radix));
        value = value * radix + digit.ok_or_else(|| format!("{word}: an escape is too short"))?;
    }
    Ok(value)
}

fn push_character(out: &mut Vec<u8>, value: u32, word: &str) -> Result<(), String> {
    let character =
        char::from_u32(value).ok_or_else(|| format!("{word}: {value:x} is no character"))?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_gos() {
        assert_eq!(quote(b"a\"b\\"), r#""a\"b\\""#);
        assert_eq!(quote(b"x\ny\x01\xff \xc3\xa9"), r#""x\ny\x01\xff é""#);
        assert_eq!(quote("\u{a0}\u{7f}\u{200b}'".as_bytes()), r#""\u00a0\x7f\u200b'""#);
        assert_eq!(quote(b""), r#""""#);
        assert_eq!(hex(b"a2"), r"\x61\x32");
    }

    #[test]
    fn what_is_quoted_can_be_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unquote(&quote(&all)), Ok(all));
        assert_eq!(unquote(r#""\101\u00e9\U0001F600""#), Ok("Aé😀".as_bytes().to_vec()));
        for bad in [r#""\q""#, r#""\x4""#, r#"a"#, r#""\""#, r#""\777""#, r#""\ud800""#] {
            assert!(unquote(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_split_as_etcdctl_splits_them() {
        let words = |line| -> Vec<String> {
            let words = split_words(line).expect(line);
            words.into_iter().map(|word| String::from_utf8(word).expect("text")).collect()
        };
        assert_eq!(
            words(r#"put  "k\x41" 'single "q'  plain"#),
            ["put", "kA", "single \"q", "plain"]
        );
        assert_eq!(words(r#"a"b c"#), ["a\"b", "c"], "a quote inside a word is part of it");
        assert_eq!(words(r#"x "unclosed y"#), ["x", "unclosed", "y"]);
        assert!(words("  \t ").is_empty());
        assert!(split_words(r#"put "\q""#).is_err());
    }
}
