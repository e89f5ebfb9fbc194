//! What the keys were at an older revision: two ordered walks merged into one.
//!
//! A key's version at revision `r` is either its newest one, when that began by `r`, or the first
//! of its history that ended after `r`, when that began by `r`. Never both: the history of a key
//! ends where its newest version begins or earlier.

use crate::engine::{EngineError, EngineRead, Pair};
use crate::layout::{self, CURRENT, HISTORY, Header};
use bytes::Bytes;
use std::cmp::Ordering;

/// A key with the record of one of its versions.
pub(crate) struct Version {
    pub key: Bytes,
    pub header: Header,
    pub record: Bytes,
}

impl Version {
    pub fn value(&self) -> Bytes {
        self.record.slice(layout::HEADER..)
    }
}

type Pairs<'a> = Box<dyn DoubleEndedIterator<Item = Pair> + 'a>;
pub(crate) type Versions<'a> =
    Box<dyn DoubleEndedIterator<Item = Result<Version, EngineError>> + 'a>;

fn current_version(pair: Pair) -> Result<Version, EngineError> {
    let (key, record) = pair?;
    Ok(Version { key: key.slice(1..), header: Header::read(&record)?, record })
}

/// Engine keys of `space` that bound the user keys `[from, to)`.
fn bounds(from: &[u8], to: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let high = to.map_or_else(|| vec![CURRENT + 1], |to| layout::plain(CURRENT, to));
    (layout::plain(CURRENT, from), high)
}

/// The newest versions of `[from, to)`, by key.
pub(crate) fn newest<'a, R: EngineRead>(
    engine: &'a R,
    from: &[u8],
    to: Option<&[u8]>,
) -> Versions<'a> {
    let (low, high) = bounds(from, to);
    Box::new(engine.range(&low, Some(&high)).map(current_version))
}

/// After so many useless steps through one key's history, a new descent is cheaper.
const STEPS_BEFORE_SEEK: u32 = 16;

/// The versions of `[from, to)` as they were at `revision`, by key.
pub(crate) struct AsOf<'a, R: EngineRead> {
    engine: &'a R,
    revision: i64,
    current: Versions<'a>,
    history: Pairs<'a>,
    history_end: Vec<u8>,
    next_current: Option<Version>,
    next_history: Option<Version>,
    /// The key whose history has been decided.
    decided: Option<Bytes>,
    primed: bool,
}

impl<'a, R: EngineRead> AsOf<'a, R> {
    pub fn new(engine: &'a R, from: &[u8], to: Option<&[u8]>, revision: i64) -> AsOf<'a, R> {
        let mut low = vec![HISTORY];
        // The start of a key's history is its escaped form; keys below `from` sort below it.
        layout::escape(from, &mut low);
        let high = match to {
            None => vec![HISTORY + 1],
            Some(to) => {
                let mut high = vec![HISTORY];
                layout::escape(to, &mut high);
                high
            }
        };
        AsOf {
            engine,
            revision,
            current: newest(engine, from, to),
            history: engine.range(&low, Some(&high)),
            history_end: high,
            next_current: None,
            next_history: None,
            decided: None,
            primed: false,
        }
    }

    fn advance_current(&mut self) -> Result<(), EngineError> {
        self.next_current = None;
        for version in self.current.by_ref() {
            let version = version?;
            if version.header.begun.revision <= self.revision {
                self.next_current = Some(version);
                break;
            }
        }
        Ok(())
    }

    fn advance_history(&mut self) -> Result<(), EngineError> {
        self.next_history = None;
        let mut steps = 0;
        while let Some(pair) = self.history.next() {
            let (raw, record) = pair?;
            let (key, end) = layout::read_history_key(&raw)?;
            let decided = self.decided.as_ref() == Some(&key);
            if decided || end.revision <= self.revision {
                steps += 1;
                if steps >= STEPS_BEFORE_SEEK {
                    self.seek(&key, decided);
                    steps = 0;
                }
                continue;
            }
            steps = 0;
            let header = Header::read(&record)?;
            self.decided = Some(key.clone());
            if header.begun.revision <= self.revision {
                self.next_history = Some(Version { key, header, record });
                break;
            }
        }
        Ok(())
    }

    /// Jumps over the rest of a key's history when it is decided, else to what ended after the
    /// revision.
    fn seek(&mut self, key: &[u8], decided: bool) {
        let mut low = vec![HISTORY];
        layout::escape(key, &mut low);
        let end = if decided { i64::MAX } else { self.revision.saturating_add(1) };
        low.extend_from_slice(&end.to_be_bytes());
        self.history = self.engine.range(&low, Some(&self.history_end));
    }

    fn advance(&mut self) -> Result<Option<Version>, EngineError> {
        if !self.primed {
            self.primed = true;
            self.advance_current()?;
            self.advance_history()?;
        }
        let order = match (&self.next_current, &self.next_history) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(current), Some(history)) => current.key.cmp(&history.key),
        };
        if order == Ordering::Equal {
            return Err(EngineError("a key has two versions at one revision".into()));
        }
        if order == Ordering::Less {
            let version = self.next_current.take();
            self.advance_current()?;
            Ok(version)
        } else {
            let version = self.next_history.take();
            self.advance_history()?;
            Ok(version)
        }
    }
}

impl<R: EngineRead> Iterator for AsOf<'_, R> {
    type Item = Result<Version, EngineError>;

    fn next(&mut self) -> Option<Result<Version, EngineError>> {
        self.advance().transpose()
    }
}

/// What one key was at `revision`.
pub(crate) fn one_as_of<R: EngineRead>(
    engine: &R,
    key: &[u8],
    revision: i64,
) -> Result<Option<Version>, EngineError> {
    if let Some(version) = one_newest(engine, key)?
        && version.header.begun.revision <= revision
    {
        return Ok(Some(version));
    }
    let mut prefix = vec![HISTORY];
    layout::escape(key, &mut prefix);
    let (mut low, mut high) = (prefix.clone(), prefix);
    low.extend_from_slice(&revision.saturating_add(1).to_be_bytes());
    high.extend_from_slice(&[0xff; 12]);
    let Some(pair) = engine.range(&low, Some(&high)).next() else { return Ok(None) };
    let record = pair?.1;
    let header = Header::read(&record)?;
    if header.begun.revision > revision {
        return Ok(None);
    }
    Ok(Some(Version { key: Bytes::copy_from_slice(key), header, record }))
}

/// The newest version of one key, if it exists.
pub(crate) fn one_newest<R: EngineRead>(
    engine: &R,
    key: &[u8],
) -> Result<Option<Version>, EngineError> {
    let Some(record) = engine.get(&layout::plain(CURRENT, key))? else { return Ok(None) };
    let header = Header::read(&record)?;
    Ok(Some(Version { key: Bytes::copy_from_slice(key), header, record }))
}
