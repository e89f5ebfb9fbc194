//! The whole state as chunks: how a follower that is too far behind gets it, and what a backup is.
//!
//! A chunk holds the raw, ordered pairs of a view after a cursor, which is the last key sent: so a
//! broken transfer goes on from the last chunk that arrived, as long as the sender still has the
//! view. Installing fills a fresh engine; the host switches to it when the last chunk is in.
//!
//! A chunk is: the format version (1 byte), 1 if it is the last or 0, the number of pairs (4
//! bytes), the checksum of the cursor that it begins after (8 bytes, so that a chunk that was left
//! out is noticed); then for each pair the lengths of key and value (4 bytes each), the key, the
//! value; then the [checksum](crate::checksum) of all before (8 bytes). Numbers are big endian.

use crate::applier::{Applier, Options};
use crate::engine::{Engine, EngineError, EngineRead};
use crate::hash::checksum;
use crate::layout::{self, CURRENT, LEASE, META, Meta, SPACES};
use crate::view::View;
use bytes::{BufMut, Bytes};
use std::fmt;

const FORMAT: u8 = 1;
const HEAD: usize = 14;
const SUM: usize = 8;

/// A piece of the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// What to send.
    pub data: Bytes,
    /// Where the next chunk begins: the last key in this one.
    pub cursor: Bytes,
    /// True when there is no next chunk.
    pub done: bool,
}

/// Why a chunk was refused. The engine being filled is worth nothing any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InstallError {
    /// The bytes are no chunk of a format that this build reads, or were changed on the way.
    Malformed(&'static str),
    /// The pairs do not follow the ones before: a chunk was lost, repeated or reordered.
    OutOfOrder,
    /// A chunk came after the last one, or the last one did not come.
    Incomplete,
    /// The engine failed, or what was installed is no state.
    Engine(EngineError),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstallError::Malformed(what) => write!(f, "snapshot chunk: {what}"),
            InstallError::OutOfOrder => write!(f, "snapshot chunk out of order"),
            InstallError::Incomplete => write!(f, "snapshot incomplete, or longer than its end"),
            InstallError::Engine(error) => write!(f, "snapshot: {error}"),
        }
    }
}

impl std::error::Error for InstallError {}

impl From<EngineError> for InstallError {
    fn from(error: EngineError) -> InstallError {
        InstallError::Engine(error)
    }
}

impl<V: EngineRead> View<V> {
    /// The pairs after `after` (a chunk's cursor; `None` at the beginning), up to about `max_bytes`
    /// but at least one.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn chunk(&self, after: Option<&[u8]>, max_bytes: usize) -> Result<Chunk, EngineError> {
        let mut from = after.unwrap_or_default().to_vec();
        if after.is_some() {
            from.push(0); // The smallest key above the cursor.
        }
        let mut data = vec![0; HEAD];
        let (mut pairs, mut done) = (0u32, true);
        let mut cursor = Bytes::copy_from_slice(after.unwrap_or_default());
        for pair in self.engine().range(&from, None) {
            let (key, value) = pair?;
            if key[0] == META && key.len() > 1 {
                continue; // The member's own: the fingerprint, and what count buckets weigh.
            }
            if pairs > 0 && data.len() + key.len() + value.len() + 8 > max_bytes {
                done = false;
                break;
            }
            data.put_u32(key.len() as u32);
            data.put_u32(value.len() as u32);
            data.extend_from_slice(&key);
            data.extend_from_slice(&value);
            pairs += 1;
            cursor = key;
        }
        (data[0], data[1]) = (FORMAT, u8::from(done));
        data[2..6].copy_from_slice(&pairs.to_be_bytes());
        data[6..HEAD].copy_from_slice(&checksum(after.unwrap_or_default()).to_be_bytes());
        data.put_u64(checksum(&data));
        Ok(Chunk { data: data.into(), cursor, done })
    }
}

/// What has arrived so far, and therefore what must come next.
#[derive(Debug, Default)]
struct Sequence {
    last: Option<Bytes>,
    done: bool,
}

impl Sequence {
    /// The pairs of the next chunk. On an error nothing has changed.
    fn accept(&mut self, data: &Bytes) -> Result<Pairs, InstallError> {
        if self.done {
            return Err(InstallError::Incomplete);
        }
        let (pairs, link, done) = parse(data)?;
        let mut last = self.last.as_ref();
        if link != checksum(last.map_or(&[], |last| last)) {
            return Err(InstallError::OutOfOrder);
        }
        for (key, _) in &pairs {
            if last.is_some_and(|last| last >= key) {
                return Err(InstallError::OutOfOrder);
            }
            if key.is_empty() || !SPACES.contains(&key[0]) {
                return Err(InstallError::Malformed("a key of no space"));
            }
            last = Some(key);
        }
        if let Some((key, _)) = pairs.last() {
            self.last = Some(Bytes::copy_from_slice(key));
        }
        self.done = done;
        Ok(pairs)
    }
}

/// What a whole state says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The newest revision.
    pub revision: i64,
    /// The revision of the last compaction; -1 before any.
    pub compacted: i64,
    /// The index and term of the last entry in it.
    pub applied: (u64, u64),
    /// The number of keys that exist.
    pub keys: u64,
    /// The number of leases.
    pub leases: u64,
}

/// Reads chunks for what they tell about the state, and keeps none of it: any state fits.
#[derive(Debug, Default)]
pub struct Survey {
    sequence: Sequence,
    meta: Option<Meta>,
    keys: u64,
    leases: u64,
}

impl Survey {
    /// Takes the next chunk. True when it was the last.
    ///
    /// # Errors
    /// See [`InstallError`]; what [`Installer::push`] would refuse, this refuses.
    pub fn push(&mut self, data: &Bytes) -> Result<bool, InstallError> {
        for (key, value) in self.sequence.accept(data)? {
            match key[0] {
                META => self.meta = Some(Meta::read(&value).map_err(EngineError::from)?),
                CURRENT => self.keys += 1,
                LEASE => self.leases += 1,
                _other => {}
            }
        }
        Ok(self.sequence.done)
    }

    /// What the state says, once all of it has passed.
    ///
    /// # Errors
    /// When the last chunk is missing, or what came is no state.
    pub fn finish(self) -> Result<Summary, InstallError> {
        if !self.sequence.done {
            return Err(InstallError::Incomplete);
        }
        let Some(meta) = self.meta else {
            return Err(InstallError::Malformed("there is no meta record"));
        };
        Ok(Summary {
            revision: meta.revision,
            compacted: meta.compacted,
            applied: (meta.applied_index, meta.applied_term),
            keys: self.keys,
            leases: self.leases,
        })
    }
}

/// Fills a fresh engine with chunks.
#[derive(Debug)]
pub struct Installer<E: Engine> {
    engine: E,
    sequence: Sequence,
}

impl<E: Engine> Installer<E> {
    /// Begins with an engine that holds nothing.
    ///
    /// # Errors
    /// When the engine holds something, or fails.
    pub fn new(engine: E) -> Result<Installer<E>, InstallError> {
        if let Some(pair) = engine.range(&[], None).next() {
            pair?;
            return Err(EngineError("a snapshot is installed into an empty engine".into()).into());
        }
        Ok(Installer { engine, sequence: Sequence::default() })
    }

    /// Takes the next chunk, all of it or, on an error, none. True when it was the last.
    ///
    /// # Errors
    /// See [`InstallError`].
    pub fn push(&mut self, data: &Bytes) -> Result<bool, InstallError> {
        for (key, value) in &self.sequence.accept(data)? {
            self.engine.put(key, value);
        }
        // An unfinished installation is marked as applied up to nothing.
        self.engine.publish(0)?;
        Ok(self.sequence.done)
    }

    /// The last key that is in: where a sender goes on after a broken transfer.
    pub fn cursor(&self) -> Option<&Bytes> {
        self.sequence.last.as_ref()
    }

    /// Opens what was installed and publishes it under its applied index.
    ///
    /// # Errors
    /// When the last chunk is missing, or what came is no state.
    pub fn finish(self, options: Options) -> Result<Applier<E>, InstallError> {
        if !self.sequence.done {
            return Err(InstallError::Incomplete);
        }
        if self.engine.get(&[META])?.is_none() {
            return Err(InstallError::Malformed("there is no meta record"));
        }
        let mut applier = Applier::open(self.engine, options)?;
        applier.publish()?;
        Ok(applier)
    }
}

type Pairs = Vec<(Bytes, Bytes)>;

/// The pairs, the checksum of the cursor before them, and whether they are the last.
fn parse(data: &Bytes) -> Result<(Pairs, u64, bool), InstallError> {
    if data.len() < HEAD + SUM {
        return Err(InstallError::Malformed("too short"));
    }
    let body = data.slice(..data.len() - SUM);
    if layout::read_u64(data, body.len()) != checksum(&body) {
        return Err(InstallError::Malformed("the checksum does not match"));
    }
    if body[0] != FORMAT || body[1] > 1 {
        return Err(InstallError::Malformed("an unknown format"));
    }
    let count = layout::read_u32(&body, 2);
    let mut at = HEAD;
    let mut pairs = Vec::new();
    for _ in 0..count {
        let cut = InstallError::Malformed("a pair is cut off");
        if body.len() - at < 8 {
            return Err(cut);
        }
        let key_end = at + 8 + layout::read_u32(&body, at) as usize;
        let end = key_end + layout::read_u32(&body, at + 4) as usize;
        if end > body.len() {
            return Err(cut);
        }
        pairs.push((body.slice(at + 8..key_end), body.slice(key_end..end)));
        at = end;
    }
    if at != body.len() {
        return Err(InstallError::Malformed("there is more than the pairs"));
    }
    Ok((pairs, layout::read_u64(&body, 6), body[1] == 1))
}
