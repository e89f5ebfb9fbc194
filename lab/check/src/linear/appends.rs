//! Deciding a key with appends in n log n where written texts are unique.
//!
//! If no text is put twice or appended twice, and none begins with another (a prefix-free code), each value that is read splits in one way
//! into the texts that made it: the one of a put (or of an append to nothing) and those of appends. So it tells which
//! operation made each version and on top of which other, and an append that somebody saw is a compare-and-set from the one version to
//! the other. One that nobody saw has come between the last version that was seen of a value and the next put, where it
//! is in nobody's way: it is as good as a put. What results is a register with unique values, for [`zones`].
//!
//! A text that was both put and appended begins a value as the put if a put completed before the get began, since from then on no value goes
//! back to the beginning. Otherwise the search decides.

use std::collections::HashMap;

use super::key_value::Op;
use super::register::{self, NIL};
use super::spec::Item;
use super::zones;
use crate::history::Value;

/// What precedes a version: `NIL` is the beginning, other numbers are operations from 1.
type Version = u32;

/// Decides, or returns `None` if the texts are not unique.
pub fn decide(items: &[Item<Op>]) -> Option<bool> {
    let texts = Texts::new(items)?;
    let versions = match Versions::new(items, &texts) {
        Ok(versions) => versions,
        Err(Trouble::Contradiction) => return Some(false),
        Err(Trouble::Ambiguity) => return None,
    };
    let as_register = items.iter().enumerate().map(|(place, item)| {
        let new = place as u32 + 1;
        let op = match &item.op {
            Op::Get(_) => register::Op::Read(versions.read[&new]),
            Op::Put(_) => register::Op::Write(new),
            Op::Append(_) => match versions.parent.get(&new) {
                None => register::Op::Write(new),
                Some(parent) => {
                    let succeeded = item.is_known().then_some(true);
                    register::Op::Cas { expected: *parent, new, succeeded }
                }
            },
        };
        Item { op, start: item.start, end: item.end, operation: item.operation }
    });
    zones::decide(&as_register.collect::<Vec<_>>())
}

/// Why versions cannot be told apart.
enum Trouble {
    /// No order of the writes explains the values.
    Contradiction,
    /// Two might.
    Ambiguity,
}

/// A text with the operations that wrote it: at most one put and one append.
struct Text<'a> {
    text: &'a str,
    put: Option<Version>,
    append: Option<Version>,
}

/// The texts that were written, sorted.
struct Texts<'a> {
    sorted: Vec<Text<'a>>,
    /// When the first put completed.
    first_put: u32,
}

impl<'a> Texts<'a> {
    fn new(items: &'a [Item<Op>]) -> Option<Texts<'a>> {
        let mut all = Vec::new();
        let mut first_put = u32::MAX;
        for (place, item) in items.iter().enumerate() {
            let (text, is_put): (&str, bool) = match &item.op {
                Op::Get(_) => continue,
                Op::Append(text) => (text, false),
                Op::Put(Value::Str(text)) => (text, true),
                // What is put is no text: such values are for the search.
                Op::Put(_) => return None,
            };
            if text.is_empty() {
                return None;
            }
            if is_put {
                first_put = first_put.min(item.end);
            }
            all.push((text, is_put, place as u32 + 1));
        }
        all.sort_unstable();
        let mut sorted: Vec<Text> = Vec::with_capacity(all.len());
        for (text, is_put, version) in all {
            // In sorted order a text stands directly before those that begin with it.
            let same = match sorted.last_mut() {
                Some(last) if last.text == text => last,
                Some(last) if text.starts_with(last.text) => return None,
                Some(_) | None => {
                    sorted.push(Text { text, put: None, append: None });
                    sorted.last_mut()?
                }
            };
            let writer = if is_put { &mut same.put } else { &mut same.append };
            if writer.replace(version).is_some() {
                return None;
            }
        }
        Some(Texts { sorted, first_put })
    }

    /// The text that begins what is left of a value. There is at most one, and nothing sorts between it and the rest.
    fn first(&self, rest: &str) -> Option<&Text<'a>> {
        let after = self.sorted.partition_point(|text| text.text <= rest);
        let text = self.sorted.get(after.checked_sub(1)?)?;
        rest.starts_with(text.text).then_some(text)
    }
}

/// What the values that were read tell.
struct Versions {
    /// For each append that somebody saw, the version that it was appended to.
    parent: HashMap<Version, Version>,
    /// For each get (numbered like the writes) the version that it read.
    read: HashMap<Version, Version>,
}

impl Versions {
    fn new(items: &[Item<Op>], texts: &Texts) -> Result<Versions, Trouble> {
        let mut versions = Versions { parent: HashMap::new(), read: HashMap::new() };
        for (place, item) in items.iter().enumerate() {
            let Op::Get(value) = &item.op else { continue };
            let version = match value {
                // Nobody saw what it read.
                _ if !item.is_known() => NIL,
                Value::Str(value) => versions.split(texts, value, texts.first_put < item.start)?,
                _ => return Err(Trouble::Contradiction),
            };
            versions.read.insert(place as u32 + 1, version);
        }
        Ok(versions)
    }

    /// Splits a value, and returns the version that it is.
    fn split(&mut self, texts: &Texts, value: &str, was_put: bool) -> Result<Version, Trouble> {
        let (mut version, mut rest) = (NIL, value);
        while !rest.is_empty() {
            let text = texts.first(rest).ok_or(Trouble::Contradiction)?;
            let next = match (version == NIL, text.put, text.append) {
                (true, Some(_), Some(_)) if !was_put => return Err(Trouble::Ambiguity),
                (true, Some(put), _) => put,
                (_, _, Some(append)) => {
                    let parent = *self.parent.entry(append).or_insert(version);
                    if parent != version {
                        return Err(Trouble::Contradiction);
                    }
                    append
                }
                (_, _, None) => return Err(Trouble::Contradiction),
            };
            (version, rest) = (next, &rest[text.text.len()..]);
        }
        Ok(version)
    }
}
