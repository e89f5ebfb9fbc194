//! Deciding a key with appends in n log n where written texts are unique, or nearly so.
//!
//! If no text begins with another (a prefix-free code), each value that is read splits in one way into the texts that
//! made it: the one of a put (or of an append to nothing) and those of appends. So it tells which operation made each
//! version and on top of which other, and an append that somebody saw is a compare-and-set from the one version to the
//! other. One that nobody saw has come between the last version that was seen of a value and the next put, where it is
//! in nobody's way: it is as good as a put. What results is a register with unique values, for [`zones`].
//!
//! Where several operations wrote the same text, time may still tell them apart. In a value that is read by a get,
//!
//! - nothing was written by an operation that was invoked after the get completed;
//! - nothing was appended by an operation that completed before what precedes it in the value was invoked;
//! - the value does not begin with a put that completed before another put was invoked which completed before the get
//!   was invoked, and with an append only if no put completed before the get was invoked.
//!
//! If several operations remain, the search decides.

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

/// A text with the operations that wrote it.
struct Text<'a> {
    text: &'a str,
    puts: Vec<Version>,
    appends: Vec<Version>,
}

/// The texts that were written, sorted.
struct Texts<'a> {
    items: &'a [Item<Op>],
    sorted: Vec<Text<'a>>,
    /// Completed puts by their ends: the end, and the latest start of a put up to here.
    puts: Vec<(u32, u32)>,
}

impl<'a> Texts<'a> {
    fn new(items: &'a [Item<Op>]) -> Option<Texts<'a>> {
        let mut all = Vec::new();
        let mut puts = Vec::new();
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
            if is_put && item.is_known() {
                puts.push((item.end, item.start));
            }
            all.push((text, is_put, place as u32 + 1));
        }
        all.sort_unstable();
        puts.sort_unstable();
        let mut latest = 0;
        for (_, start) in &mut puts {
            latest = latest.max(*start);
            *start = latest;
        }
        let mut sorted: Vec<Text> = Vec::with_capacity(all.len());
        for (text, is_put, version) in all {
            // In sorted order a text stands directly before those that begin with it.
            let same = match sorted.last_mut() {
                Some(last) if last.text == text => last,
                Some(last) if text.starts_with(last.text) => return None,
                Some(_) | None => {
                    sorted.push(Text { text, puts: Vec::new(), appends: Vec::new() });
                    sorted.last_mut()?
                }
            };
            if is_put { same.puts.push(version) } else { same.appends.push(version) }
        }
        Some(Texts { items, sorted, puts })
    }

    fn item(&self, version: Version) -> &Item<Op> {
        &self.items[version as usize - 1]
    }

    /// When the last put began of those that completed before the get began.
    fn last_put(&self, get: &Item<Op>) -> Option<u32> {
        let after = self.puts.partition_point(|(end, _)| *end < get.start);
        Some(self.puts[after.checked_sub(1)?].1)
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
                Value::Str(value) => versions.split(texts, item, value)?,
                _ => return Err(Trouble::Contradiction),
            };
            versions.read.insert(place as u32 + 1, version);
        }
        Ok(versions)
    }

    /// Splits a value that a get read, and returns the version that it is.
    fn split(&mut self, texts: &Texts, get: &Item<Op>, value: &str) -> Result<Version, Trouble> {
        let (mut version, mut rest) = (NIL, value);
        let last_put = texts.last_put(get);
        let mut latest_start = 0;
        while !rest.is_empty() {
            let text = texts.first(rest).ok_or(Trouble::Contradiction)?;
            let is_in_time = |version: &Version| texts.item(*version).start < get.end;
            let puts = text.puts.iter().filter(|put| {
                let is_replaced = last_put.is_some_and(|last| texts.item(**put).end < last);
                version == NIL && is_in_time(put) && !is_replaced
            });
            let appends = text.appends.iter().filter(|append| {
                let is_begun = version != NIL || last_put.is_none();
                is_begun && is_in_time(append) && texts.item(**append).end > latest_start
            });
            let mut writers = puts.chain(appends);
            let next = *writers.next().ok_or(Trouble::Contradiction)?;
            if writers.next().is_some() {
                return Err(Trouble::Ambiguity);
            }
            if matches!(texts.item(next).op, Op::Append(_)) {
                let parent = *self.parent.entry(next).or_insert(version);
                if parent != version {
                    return Err(Trouble::Contradiction);
                }
            }
            latest_start = latest_start.max(texts.item(next).start);
            (version, rest) = (next, &rest[text.text.len()..]);
        }
        Ok(version)
    }
}
