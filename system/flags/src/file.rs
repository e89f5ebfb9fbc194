//! Configuration files.
//!
//! Three notations, told apart by their look: TOML when the name ends in `.toml`, JSON when the text begins with a
//! brace, else the YAML of etcd's own sample file: one `key: value` per line, values plain or quoted, lists as
//! `[a, b]` or as lines that begin with a dash, and one level of indentation for the two sections about TLS. That is a
//! small part of YAML, read strictly: what is not understood is an error with its line, never skipped.

use crate::FlagError;
use crate::table::{Flag, Kind};
use crate::{arguments, value};

/// A setting of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The flag that it sets.
    pub flag: &'static Flag,
    /// The value, as it would be written for the flag.
    pub value: String,
}

/// A key, its value and where it stands: `None` for the line where the notation does not tell.
type Raw = (String, String, Option<usize>);

/// Reads a configuration file.
pub fn read(path: &str, warnings: &mut Vec<String>) -> Result<Vec<Entry>, FlagError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| FlagError(format!("--config-file {path}: {error}")))?;
    parse(path, &text, warnings)
}

/// Reads the text of a configuration file; its name tells TOML, and stands in errors.
///
/// # Errors
/// What was not understood, with its place.
pub fn parse(path: &str, text: &str, warnings: &mut Vec<String>) -> Result<Vec<Entry>, FlagError> {
    let fail = |text: String| FlagError(format!("{path}: {text}"));
    let raw = if path.ends_with(".toml") {
        let table = text.parse::<toml::Table>();
        let table = table.map_err(|error| fail(error.to_string().replace('\n', " ")))?;
        let tree = serde_json::to_value(table).map_err(|error| fail(error.to_string()))?;
        flatten(&tree).map_err(fail)?
    } else if text.trim_start().starts_with('{') {
        let tree = serde_json::from_str(text).map_err(|error| fail(error.to_string()))?;
        flatten(&tree).map_err(fail)?
    } else {
        yaml(text).map_err(fail)?
    };
    let mut entries = Vec::new();
    for (key, value, line) in raw {
        let place = line.map_or(String::new(), |line| format!("line {line}: "));
        let flag = arguments::lookup(&key.replace('_', "-"), warnings).map_err(|_| {
            fail(format!("{place}unknown key {key:?}: `quorate serve --help` lists all"))
        })?;
        entries.push(Entry { flag, value: as_written(flag.kind, value) });
    }
    Ok(entries)
}

/// In files a plain number for a duration counts nanoseconds, as in etcd's.
fn as_written(kind: Kind, text: String) -> String {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if kind == Kind::Duration && is_number { format!("{text}ns") } else { text }
}

/// The name of a flag inside one of the sections about TLS.
fn in_section(section: &str, key: &str) -> Result<String, String> {
    let prefix = match section {
        "client-transport-security" => "client-",
        "peer-transport-security" => "peer-",
        _ => return Err(format!("unknown section {section:?}")),
    };
    Ok(match (key, prefix) {
        ("cert-file" | "key-file" | "trusted-ca-file" | "auto-tls", "client-") => key.to_owned(),
        ("client-cert-auth" | "client-cert-file" | "client-key-file", "client-") => key.to_owned(),
        ("allowed-cn", _) => format!("{prefix}cert-allowed-cn"),
        ("allowed-hostname", _) => format!("{prefix}cert-allowed-hostname"),
        _ => format!("{prefix}{key}"),
    })
}

/// The settings of a JSON or TOML tree.
fn flatten(tree: &serde_json::Value) -> Result<Vec<Raw>, String> {
    let Some(map) = tree.as_object() else {
        return Err("expected a map of settings".to_owned());
    };
    let mut raw = Vec::new();
    for (key, value) in map {
        if let Some(section) = value.as_object() {
            for (inner, value) in section {
                let name = in_section(key, inner)?;
                raw.extend(scalar(inner, value)?.map(|value| (name, value, None)));
            }
        } else {
            raw.extend(scalar(key, value)?.map(|value| (key.clone(), value, None)));
        }
    }
    Ok(raw)
}

/// A value of the tree as a text; `None` for null, which sets nothing.
fn scalar(key: &str, value: &serde_json::Value) -> Result<Option<String>, String> {
    use serde_json::Value;
    Ok(match value {
        Value::Null => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items = items.iter().map(|item| scalar(key, item));
            let items: Vec<Option<String>> = items.collect::<Result<_, _>>()?;
            Some(items.into_iter().flatten().collect::<Vec<_>>().join(","))
        }
        Value::Object(_) => {
            return Err(format!("key {key:?} holds a map; expected a value or a list"));
        }
    })
}

/// A key of the YAML notation whose value stands on the lines below it.
struct Open {
    key: String,
    line: usize,
    items: Vec<String>,
    /// It is a section; then its entries are settings of their own.
    is_section: bool,
}

impl Open {
    /// The setting that a list became; a key without a value sets nothing.
    fn close(self) -> Option<Raw> {
        let is_list = !self.items.is_empty();
        is_list.then(|| (self.key, self.items.join(","), Some(self.line)))
    }
}

/// Reads the YAML notation.
fn yaml(text: &str) -> Result<Vec<Raw>, String> {
    let mut raw = Vec::new();
    let mut open: Option<Open> = None;
    for (number, line) in whole_lines(text)? {
        let line = line.as_str();
        let fail = |text: &str| format!("line {number}: {text}: {:?}", line.trim());
        let content = line.trim_start();
        let indented = content.len() < line.len();
        if let Some(item) = content.strip_prefix("- ") {
            let list = open.as_mut().filter(|open| !open.is_section);
            list.ok_or_else(|| fail("a list without a key"))?
                .items
                .push(plain(item).map_err(|e| fail(&e))?);
            continue;
        }
        let Some((key, rest)) = split_key(content) else {
            return Err(fail("expected `key: value`"));
        };
        let rest = rest.trim();
        let key = match (&mut open, indented) {
            (Some(open), true) if open.items.is_empty() => {
                open.is_section = true;
                in_section(&open.key, key).map_err(|text| fail(&text))?
            }
            (Some(_) | None, true) => return Err(fail("unexpected indentation")),
            (Some(_) | None, false) => {
                raw.extend(open.take().and_then(Open::close));
                key.to_owned()
            }
        };
        if !rest.is_empty() {
            raw.push((key, list_or_plain(rest).map_err(|text| fail(&text))?, Some(number)));
        } else if !indented {
            open = Some(Open { key, line: number, items: Vec::new(), is_section: false });
        }
    }
    raw.extend(open.and_then(Open::close));
    Ok(raw)
}

/// The lines with something in them, without comments, by the number of their first; a list in brackets that goes on
/// over several lines is one.
fn whole_lines(text: &str) -> Result<Vec<(usize, String)>, String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut in_brackets = false;
    for (index, full) in text.lines().enumerate() {
        let line = without_comment(full).trim_end();
        if line.is_empty() || line == "---" {
            continue;
        }
        match lines.last_mut().filter(|_| in_brackets) {
            Some((_, whole)) => whole.push_str(line.trim_start()),
            None => {
                lines.push((index + 1, line.to_owned()));
                in_brackets = split_key(line.trim_start())
                    .is_some_and(|(_, rest)| rest.trim().starts_with('['));
            }
        }
        in_brackets &= !line.ends_with(']');
    }
    match lines.last().filter(|_| in_brackets) {
        Some((number, _)) => Err(format!("line {number}: a bracket is not closed")),
        None => Ok(lines),
    }
}

/// The line without its comment: `#` at the start or after a space, outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut previous = ' ';
    let mut is_escaped = false;
    for (index, character) in line.char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some('"') if character == '\\' => is_escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '#' && previous.is_whitespace() => return &line[..index],
            None if "'\"".contains(character) && " [,:".contains(previous) => {
                quote = Some(character)
            }
            // Two in a row stand for one, inside of what has only seemed to end.
            None if character == '\'' && previous == '\'' => quote = Some(character),
            None => {}
        }
        previous = character;
    }
    line
}

/// `key: rest` or `key:`; the colon of a URL has no space after it.
fn split_key(content: &str) -> Option<(&str, &str)> {
    let (key, rest) = match content.split_once(": ") {
        Some(parts) => parts,
        None => (content.strip_suffix(':')?, ""),
    };
    let key = key.trim().trim_matches(['"', '\'']);
    let good =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    good.then_some((key, rest))
}

fn list_or_plain(text: &str) -> Result<String, String> {
    let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return plain(text);
    };
    let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty()).map(plain);
    Ok(items.collect::<Result<Vec<_>, _>>()?.join(","))
}

/// A plain or quoted value.
fn plain(text: &str) -> Result<String, String> {
    let text = text.trim();
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let inner = rest.strip_suffix(quote).ok_or("a quote is not closed")?;
            return match quote {
                '\'' => Ok(inner.replace("''", "'")),
                _ => serde_json::from_str(text).map_err(|_| "an unknown escape".to_owned()),
            };
        }
    }
    match text {
        "null" | "~" => Ok(String::new()),
        _ if text.starts_with(['{', '[', '&', '*', '|', '>', '!', '%', '@', '`'])
            && text != "*" =>
        {
            Err("this part of YAML is not understood; put the value in quotes".to_owned())
        }
        _ => Ok(value::boolean(text)
            .filter(|_| text.len() > 1)
            .map_or(text.to_owned(), |b| b.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str) -> Result<Vec<(String, String)>, String> {
        let entries = parse(path, text, &mut Vec::new()).map_err(|error| error.0)?;
        Ok(entries.into_iter().map(|entry| (entry.flag.name.to_owned(), entry.value)).collect())
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_comment_does_not_begin_inside_of_quotes() {
        let one = |text: &str| read("x", text).map(|read| read[0].1.clone());
        assert_eq!(one("name: \"a \\\" #b\" # c\n").unwrap(), "a \" #b");
        assert_eq!(one("name: \"a \\\\\" # c\n").unwrap(), "a \\");
        assert_eq!(one("name: 'it''s #1' # c\n").unwrap(), "it's #1");
        assert_eq!(one("name: '' # c\n").unwrap(), "");
    }

    #[test]
    fn the_yaml_of_a_sample_is_read() {
        let text = "# A comment.\n---\nname: 'n 1' # another\ndata-dir:\nheartbeat-interval: 50\n\
                    listen-client-urls: http://a:1,http://b:2\npre-vote: True\n\
                    watch-progress-notify-interval: 600000000000\n\
                    log-outputs: [stderr, \"x y\"]\ncipher-suites: [\n  A, # one\n  B\n]\ninitial-cluster:\n  - a=http://a:1\n  - b=http://b:1\n\
                    client-transport-security:\n  cert-file:\n  client-cert-auth: false\n\
                    peer-transport-security:\n  auto-tls: true\nmetrics: basic\n";
        let expected = pairs(&[
            ("name", "n 1"),
            ("heartbeat-interval", "50"),
            ("listen-client-urls", "http://a:1,http://b:2"),
            ("pre-vote", "true"),
            ("watch-progress-notify-interval", "600000000000ns"),
            ("log-outputs", "stderr,x y"),
            ("cipher-suites", "A,B"),
            ("initial-cluster", "a=http://a:1,b=http://b:1"),
            ("client-cert-auth", "false"),
            ("peer-auto-tls", "true"),
            ("metrics", "basic"),
        ]);
        assert_eq!(read("etcd.conf.yml", text).unwrap(), expected);
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = "name = 'a'\nheartbeat_interval = 50\nlog-outputs = ['stderr', 'x']\n\
                    [client-transport-security]\ncert-file = 'c'\n";
        let json = r#"{"name":"a","heartbeat-interval":50,"log-outputs":["stderr","x"],"wal-dir":null,
                     "client-transport-security":{"cert-file":"c"}}"#;
        let mut expected = pairs(&[
            ("name", "a"),
            ("heartbeat-interval", "50"),
            ("log-outputs", "stderr,x"),
            ("cert-file", "c"),
        ]);
        expected.sort();
        for (path, text) in [("a.toml", toml), ("a.json", json)] {
            let mut read = read(path, text).unwrap();
            read.sort();
            assert_eq!(read, expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let cases = [
            ("name: a\nno such: b\n", "x: line 2: expected `key: value`: \"no such: b\""),
            (
                "name: a\n\nnmae: b\n",
                "x: line 3: unknown key \"nmae\": `quorate serve --help` lists all",
            ),
            ("name: {a: b}\n", "x: line 1: this part of YAML is not understood"),
            ("  name: a\n", "x: line 1: unexpected indentation"),
            ("other:\n  name: a\n", "x: line 2: unknown section \"other\""),
            ("- a\n", "x: line 1: a list without a key"),
            ("name: 'a\n", "x: line 1: a quote is not closed"),
            ("name: a\nlog-outputs: [a,\nname: b\n", "x: line 2: a bracket is not closed"),
        ];
        for (text, expected) in cases {
            let error = read("x", text).unwrap_err();
            assert!(error.starts_with(expected), "{error:?} does not start with {expected:?}");
        }
        assert!(read("x.toml", "name = ").is_err());
        assert!(read("x", "{\"name\": {\"a\": 1}}").is_err());
    }
}
