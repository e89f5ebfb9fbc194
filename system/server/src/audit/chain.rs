//! The format of an audit log, and how one is verified.
//!
//! A log is lines of JSON. Each has a number `seq` that counts up from 1 over the life of the
//! member, and ends in `"hash"`: SHA-256 of the hash of the line before and of this line up to
//! there. So a line that was changed, left out, put in or moved breaks the chain at its place. What
//! a chain cannot show is that its end is missing: for that there are checkpoints. Now and then a
//! member tells all members through the log of consensus how far it has come and with which hash,
//! and each writes that into *its* audit log. A log is therefore verified against the logs of the
//! others.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use thiserror::Error;

/// The hash of a line.
pub type Hash = [u8; 32];

/// What stands before a line's hash; its hex digits, `"}` and a newline follow.
const SEAL: &str = ",\"hash\":\"";
/// Bytes of a line from the seal on, without the newline.
const SEALED: usize = SEAL.len() + 64 + 2;

/// A hash in hexadecimal.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn link(before: &Hash, body: &str) -> Hash {
    let mut sum = Sha256::new();
    sum.update(before);
    sum.update(body.as_bytes());
    sum.finalize().into()
}

/// Closes a line whose body is an object without its last brace; returns the line and its hash.
pub fn seal(before: &Hash, body: &str) -> (String, Hash) {
    let hash = link(before, body);
    (format!("{body}{SEAL}{}\"}}\n", hex(&hash)), hash)
}

/// A checkpoint of a member: its log had so many records, and the last had this hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Whose log.
    pub member: u64,
    /// The number of its last record.
    pub records: u64,
    /// The hash of that.
    pub hash: Vec<u8>,
}

/// What is wrong with a log.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Broken {
    /// The line is none of ours.
    #[error("line {line}: this is no audit record")]
    Malformed { line: usize },
    /// The line was changed, or the one before it is missing, new or another.
    #[error(
        "line {line} (record {seq}): it was changed, or a record before it was changed, dropped, inserted or moved"
    )]
    Chain { line: usize, seq: u64 },
    /// Numbers do not count up.
    #[error("line {line}: record {seq} stands where {expected} belongs")]
    Number { line: usize, seq: u64, expected: u64 },
    /// The log ends before a record that a checkpoint knows.
    #[error(
        "the end is missing: the log ends at record {last}, but a checkpoint knows record {records}"
    )]
    Truncated { last: u64, records: u64 },
    /// The record is another than the checkpoint knows: the whole log was written anew.
    #[error(
        "record {records} is another than the one that a checkpoint knows: the log was rewritten"
    )]
    Rewritten { records: u64 },
    /// A line after the last newline: a record that was cut off while it was written.
    #[error("line {line} is cut off")]
    Torn { line: usize },
    /// The first line is not the first of any file: what came before it is missing.
    #[error("line {line}: the log begins at record {seq}, and records before it are missing")]
    Headless { line: usize, seq: u64 },
    /// Logs of several members cannot be one.
    #[error("line {line} is of member {found:x}, the log is of member {expected:x}")]
    Member { line: usize, found: u64, expected: u64 },
}

/// What was read of a log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// Whose it is; 0 when it is empty.
    pub member: u64,
    /// The number of its first record; more than 1 when older files were removed.
    pub first: u64,
    /// The number and the hash of its last record.
    pub last: (u64, Hash),
    /// Checkpoints of any member that are written in it.
    pub checkpoints: Vec<Checkpoint>,
    hashes: BTreeMap<u64, Hash>,
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

/// The bytes of which this is the one way to write them: another would be a change that goes unnoticed.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect::<Option<Vec<u8>>>().filter(|bytes| hex(bytes) == text)
}

impl Log {
    /// Reads the text of a log: its files, oldest first, one behind the other.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(text: &str) -> Result<Log, Broken> {
        let mut log = Log::default();
        let mut lines = text.split_inclusive('\n').enumerate();
        lines.try_for_each(|(at, line)| log.take(at + 1, line))?;
        Ok(log)
    }

    fn take(&mut self, line: usize, text: &str) -> Result<(), Broken> {
        let text = text.strip_suffix('\n').ok_or(Broken::Torn { line })?;
        let malformed = Broken::Malformed { line };
        let Some(split) = text.len().checked_sub(SEALED).filter(|at| text.is_char_boundary(*at))
        else {
            return Err(malformed);
        };
        let (body, seal) = text.split_at(split);
        let value: Value = serde_json::from_str(text).map_err(|_| malformed.clone())?;
        let read = || Some((number(&value, "seq")?, number(&value, "member")?));
        let (seq, member) = read().ok_or(malformed.clone())?;
        let hash = seal.strip_prefix(SEAL).and_then(|rest| unhex(rest.strip_suffix("\"}")?));
        let hash: Hash = hash.and_then(|hash| hash.try_into().ok()).ok_or(malformed.clone())?;
        let before = match self.first {
            // The first record says which hash came before it, for the file may not be the first.
            0 => {
                self.first = seq;
                self.member = member;
                let before = value.get("before").and_then(Value::as_str).and_then(unhex);
                let before = before.and_then(|before| before.try_into().ok());
                before.ok_or(Broken::Headless { line, seq })?
            }
            _ => self.last.1,
        };
        if self.member != member {
            return Err(Broken::Member { line, found: member, expected: self.member });
        }
        if link(&before, body) != hash {
            return Err(Broken::Chain { line, seq });
        }
        let expected = if self.hashes.is_empty() { seq } else { self.last.0 + 1 };
        if seq != expected || self.hashes.is_empty() && (seq == 1) != (before == [0; 32]) {
            return Err(Broken::Number { line, seq, expected });
        }
        self.last = (seq, hash);
        self.hashes.insert(seq, hash);
        if let Some(told) = value.get("checkpoint") {
            let read = || {
                let hash = unhex(told.get("hash")?.as_str()?)?;
                let (member, records) = (number(told, "member")?, number(told, "records")?);
                Some(Checkpoint { member, records, hash })
            };
            self.checkpoints.push(read().ok_or(Broken::Malformed { line })?);
        }
        Ok(())
    }

    /// Compares the log with checkpoints from anywhere; those of other members are passed over.
    /// Returns the greatest record that a checkpoint vouches for.
    ///
    /// # Errors
    /// The first checkpoint that does not fit.
    pub fn check(&self, checkpoints: &[Checkpoint]) -> Result<u64, Broken> {
        let mut vouched = 0;
        for told in checkpoints.iter().filter(|told| told.member == self.member) {
            let records = told.records;
            if records > self.last.0 {
                return Err(Broken::Truncated { last: self.last.0, records });
            }
            // What is older than the log's first file cannot be compared any more.
            let Some(hash) = self.hashes.get(&records) else { continue };
            if hash[..] != told.hash[..] {
                return Err(Broken::Rewritten { records });
            }
            vouched = vouched.max(records);
        }
        Ok(vouched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64) -> Vec<String> {
        let mut before = [0; 32];
        let mut all = Vec::new();
        for seq in 1..=count {
            let first =
                if seq == 1 { format!(",\"before\":\"{}\"", hex(&before)) } else { String::new() };
            let body = format!("{{\"seq\":{seq},\"member\":7,\"user\":\"u{seq}\"{first}");
            let (line, hash) = seal(&before, &body);
            all.push(line);
            before = hash;
        }
        all
    }

    #[test]
    fn every_change_of_a_log_is_found() {
        let good = lines(12);
        let log = Log::read(&good.concat()).unwrap();
        assert_eq!((log.member, log.first, log.last.0), (7, 1, 12));
        // A flipped bit, anywhere.
        let text = good.concat().into_bytes();
        for at in 0..text.len() {
            let mut flipped = text.clone();
            for bit in 0..8 {
                flipped[at] = text[at] ^ (1 << bit);
                let found = std::str::from_utf8(&flipped).map(Log::read);
                assert!(!matches!(found, Ok(Ok(_))), "a flip at {at} is not found");
            }
        }
        let headless = Log::read(&good[1..].concat()).expect_err("no first record");
        assert_eq!(headless, Broken::Headless { line: 1, seq: 2 });
        for at in 0..good.len() {
            let mut dropped = good.clone();
            dropped.remove(at);
            let found = Log::read(&dropped.concat());
            assert_eq!(found.is_ok(), at == good.len() - 1, "a dropped record {at}");
            let mut doubled = good.clone();
            doubled.insert(at, good[at].clone());
            assert!(Log::read(&doubled.concat()).is_err(), "an inserted record {at}");
            if at > 0 {
                let mut moved = good.clone();
                moved.swap(at - 1, at);
                assert!(Log::read(&moved.concat()).is_err(), "a moved record {at}");
            }
        }
    }

    #[test]
    fn a_missing_end_and_a_rewritten_log_are_found_by_checkpoints() {
        let good = lines(12);
        let whole = Log::read(&good.concat()).unwrap();
        let told = Checkpoint { member: 7, records: 12, hash: whole.last.1.to_vec() };
        assert_eq!(whole.check(std::slice::from_ref(&told)), Ok(12));
        let cut = Log::read(&good[..10].concat()).unwrap();
        let expected = Broken::Truncated { last: 10, records: 12 };
        assert_eq!(cut.check(std::slice::from_ref(&told)), Err(expected));
        let other = Checkpoint { hash: vec![0; 32], ..told.clone() };
        assert_eq!(whole.check(&[other]), Err(Broken::Rewritten { records: 12 }));
        let stranger = Checkpoint { member: 8, records: 99, hash: Vec::new() };
        assert_eq!(whole.check(&[stranger]), Ok(0));
        assert_eq!(Log::read(&good.concat()[..200]), Err(Broken::Torn { line: 2 }));
    }
}
