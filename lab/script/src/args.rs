//! The arguments of a command, by place and by name.

use crate::Fallible;
use goldenscript::{Argument, Command};
use quorate_base::NodeId;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// See the module's essay.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    /// The command that they are of.
    pub command: &'a Command,
}

impl<'a> Args<'a> {
    /// The arguments without a name.
    pub fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.command.args.iter().filter_map(|arg| match arg {
            Argument::Positional(word) => Some(word.as_str()),
            _ => None,
        })
    }

    /// The argument at a place.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn word(&self, at: usize) -> Fallible<&'a str> {
        self.words().nth(at).ok_or_else(|| format!("argument {at} is missing").into())
    }

    /// The number at a place.
    ///
    /// # Errors
    /// When it is missing or no number.
    pub fn number<T: FromStr<Err: Display>>(&self, at: usize) -> Fallible<T> {
        let word = self.word(at)?;
        word.parse().map_err(|error: T::Err| format!("`{word}`: {error}").into())
    }

    /// The numbers from a place on.
    ///
    /// # Errors
    /// When a word among them is no number.
    pub fn numbers(&self, from: usize) -> Fallible<Vec<u64>> {
        self.words().skip(from).map(|word| Ok(word.parse()?)).collect()
    }

    /// The member at a place.
    ///
    /// # Errors
    /// When it is missing or no number.
    pub fn node(&self, at: usize) -> Fallible<NodeId> {
        Ok(NodeId(self.number(at)?))
    }

    /// The words from a place on, then `count=` payloads of `size=` bytes.
    ///
    /// # Errors
    /// When one of the two is no number.
    pub fn payloads(&self, from: usize) -> Fallible<Vec<Vec<u8>>> {
        let count: usize = self.key("count")?.unwrap_or(0);
        let size: usize = self.key("size")?.unwrap_or(1);
        let words = self.words().skip(from).map(|word| word.as_bytes().to_vec());
        Ok(words.chain((0..count).map(|_| vec![b'x'; size])).collect())
    }

    /// The value of `name=value`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn key<T: FromStr<Err: Display>>(&self, name: &str) -> Fallible<Option<T>> {
        let value = self.command.args.iter().find_map(|arg| match arg {
            Argument::KeyValue(key, value) if key == name => Some(value),
            _ => None,
        });
        let parsed = value.map(|value| value.parse().map_err(|e: T::Err| format!("{name}: {e}")));
        Ok(parsed.transpose()?)
    }

    /// The time of `name=100ms`.
    ///
    /// # Errors
    /// When it is no time.
    pub fn time(&self, name: &str) -> Fallible<Option<Duration>> {
        self.key::<String>(name)?.map(|text| parse_time(&text)).transpose()
    }
}

/// A span as stories write it: `100ms` or `3s`.
///
/// # Errors
/// When it is neither.
pub fn parse_time(text: &str) -> Fallible<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0));
    let number = number.parse()?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(format!("`{text}` is no time: write 100ms or 3s").into()),
    }
}
