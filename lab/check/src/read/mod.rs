//! Readers: histories from text.
//!
//! | format | what | recognised by |
//! |---|---|---|
//! | `edn` | Jepsen's histories: one map per line, or one vector of maps; also Porcupine's key-value files | `{:`, `[{:`, `;`, `#` |
//! | `json` | our own: one JSON object per line (or one array of them) | `{"`, `[{"` |
//! | `log` | Jepsen's text logs, lines with `jepsen.util` | that word |
//! | `awdit`, `plume`, `dbcop` | those judges' sessions of transactions on registers, without real time | `w `, `r `; `w(`, `r(`; `[{"Write"`, `[{"Read"` |
//!
//! # Fields of an event (`edn` and `json`)
//!
//! | field | content |
//! |---|---|
//! | `process` | a number, from 0: who asked. `nemesis` (EDN: `:nemesis`) for events that no client caused |
//! | `type` | `invoke`, `ok`, `fail` or `info` |
//! | `f` | the function, as the model names it |
//! | `key` | optional: the object, where there are several |
//! | `value` | the argument (invoke) or the answer (ok) |
//! | `time` | optional: nanoseconds since any start, for pictures |
//! | `error` | optional: why it failed or is unknown |
//!
//! Other fields are ignored. The order of the events is real time: write an invocation before the request leaves, a
//! completion after the answer came. In our own format a register's history begins like this:
//!
//! ```json
//! {"process":0,"type":"invoke","f":"write","value":1,"time":1200}
//! {"process":1,"type":"invoke","f":"cas","value":[1,2],"time":1350}
//! {"process":0,"type":"ok","f":"write","value":1,"time":2100}
//! {"process":1,"type":"info","f":"cas","value":[1,2],"error":"timeout","time":5100}
//! ```
//!
//! # What the words mean
//!
//! `fail` did not happen and never will; `info` may have happened or may yet, and its process never returns: the
//! client goes on under a new number. An operation without a completion is like an `info`. A read is invoked with nil.
//! In text logs a completion that carries a keyword where the value would be (`:timed-out`) carries an error, not a
//! value.

mod cursor;
mod edn;
mod event;
mod json;
mod log;
mod sessions;

use crate::history::{History, Value};
use crate::verdict::HistoryError;

use cursor::Cursor;

/// A format of histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Jepsen's EDN, and Porcupine's key-value text, which is the same.
    Edn,
    /// Our own JSON lines.
    Json,
    /// Jepsen's text logs.
    Log,
    /// AWDIT's sessions of transactions.
    Awdit,
    /// Plume's.
    Plume,
    /// dbcop's, in JSON.
    Dbcop,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 6] =
        [Format::Edn, Format::Json, Format::Log, Format::Awdit, Format::Plume, Format::Dbcop];

    /// As given to `--format`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Edn => "edn",
            Format::Json => "json",
            Format::Log => "log",
            Format::Awdit => "awdit",
            Format::Plume => "plume",
            Format::Dbcop => "dbcop",
        }
    }

    /// Recognises the format of a text by its first significant characters. `None`: it is none of them.
    pub fn detect(text: &str) -> Option<Format> {
        let rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let after_bracket = rest.strip_prefix('[').unwrap_or(rest).trim_start();
        if rest.is_empty() {
            return Some(Format::Json);
        }
        let beginning = rest.get(..400).unwrap_or(rest);
        if rest.starts_with(['[', '{'])
            && (beginning.contains("[{\"Write\"") || beginning.contains("[{\"Read\""))
        {
            return Some(Format::Dbcop);
        }
        if let Some(inside) = after_bracket.strip_prefix('{') {
            let is_json = inside.trim_start().starts_with(['"', '}']);
            return Some(if is_json { Format::Json } else { Format::Edn });
        }
        if rest.starts_with("w(") || rest.starts_with("r(") {
            return Some(Format::Plume);
        }
        if rest.starts_with("w ") || rest.starts_with("r ") {
            return Some(Format::Awdit);
        }
        if rest.starts_with(['[', '(', ';', '#']) {
            return Some(Format::Edn);
        }
        text.contains(log::MARK).then_some(Format::Log)
    }
}

/// Reads a history; without a format it is recognised from the content.
///
/// # Errors
///
/// With line and column: what is not in the format, what is missing in an event, or that no format is recognised.
pub fn read(text: &str, format: Option<Format>) -> Result<History, HistoryError> {
    let mut cursor = Cursor::new(text);
    let Some(format) = format.or_else(|| Format::detect(text)) else {
        return Err(
            cursor.error("this is none of the formats edn, json, log, awdit, plume and dbcop")
        );
    };
    let events = match format {
        Format::Edn => event::all(&mut cursor, edn::skip, edn::value)?,
        Format::Json => event::all(&mut cursor, json::skip, json::value)?,
        Format::Log => log::events(&mut cursor)?,
        Format::Awdit => sessions::awdit(&mut cursor)?,
        Format::Plume => sessions::plume(&mut cursor)?,
        Format::Dbcop => sessions::dbcop(&mut cursor)?,
    };
    let timeless = match format {
        Format::Edn | Format::Json | Format::Log => false,
        Format::Awdit | Format::Plume | Format::Dbcop => true,
    };
    Ok(History { events, timeless })
}

/// Reads a history from bytes, which must be UTF-8.
///
/// # Errors
///
/// Those of [`read`], and where the first byte is that is not UTF-8.
pub fn read_bytes(bytes: &[u8], format: Option<Format>) -> Result<History, HistoryError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => read(text, format),
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            let mut cursor =
                Cursor::new(std::str::from_utf8(good).expect("it is valid up to here"));
            cursor.advance(cursor.rest().len());
            Err(cursor.error("this is not UTF-8"))
        }
    }
}

/// Reads one EDN value, for instance a literal in a test. Returns an error if something follows it.
///
/// # Errors
///
/// With line and column.
pub fn edn(text: &str) -> Result<Value, HistoryError> {
    let mut cursor = Cursor::new(text);
    edn::skip(&mut cursor)?;
    let value = edn::value(&mut cursor)?;
    edn::skip(&mut cursor)?;
    if cursor.peek().is_some() { Err(cursor.error("expected the end")) } else { Ok(value) }
}
