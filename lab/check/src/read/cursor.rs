//! A place in a text that knows its line and column.
//!
//! Positions are asked for at every event, and a history may be one line of a hundred megabytes, so the column is
//! counted on from the last question, never from the start of the line.

use crate::history::Position;
use crate::verdict::HistoryError;

/// How deep values may nest. Histories nest four or five deep; the bound keeps a hostile file from the end of the
/// stack.
pub const DEPTH_MAX: u32 = 64;

/// Reads a text from front to end.
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// A place at or before `at`, and its position.
    known: usize,
    position: Position,
    depth: u32,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Cursor<'a> {
        // Editors on some systems begin files with a byte order mark.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Cursor { text, at, known: at, position: Position { line: 1, column: 1 }, depth: 0 }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next byte. Every character with a meaning in the formats is ASCII.
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips bytes, which must end at a character's end.
    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        debug_assert!(self.text.is_char_boundary(self.at));
    }

    /// Skips this text if it is next.
    pub fn eat(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.advance(text.len());
        }
        is_next
    }

    /// Reads as long as bytes satisfy the test. A byte of 128 or more is part of a character and must be judged alike.
    pub fn take_while(&mut self, test: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !test(byte)).unwrap_or(rest.len());
        self.advance(length);
        &rest[..length]
    }

    /// Line and column of the next character.
    pub fn position(&mut self) -> Position {
        for c in self.text[self.known..self.at].chars() {
            if c == '\n' {
                self.position.line = self.position.line.saturating_add(1);
                self.position.column = 1;
            } else {
                self.position.column = self.position.column.saturating_add(1);
            }
        }
        self.known = self.at;
        self.position
    }

    /// An error here.
    pub fn error(&mut self, message: impl Into<String>) -> HistoryError {
        HistoryError { position: self.position(), message: message.into() }
    }

    /// An error that shows what is next.
    pub fn unexpected(&mut self, expected: &str) -> HistoryError {
        let found = self.rest().chars().next();
        let found = found.map_or("the end of the file".to_owned(), |c| format!("{c:?}"));
        self.error(format!("expected {expected}, found {found}"))
    }

    /// Goes one level deeper into a value.
    pub fn enter(&mut self) -> Result<(), HistoryError> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(format!("values nest deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        Ok(())
    }

    /// Comes back.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }
}
