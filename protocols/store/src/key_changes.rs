//! What happened to one key, from its own history.
//!
//! The log of changes is in the order of revisions: whoever looks there for one key reads what happened to all others.
//! A key's versions, each with the stamps at which it began and ended, tell the same story: a version that
//! begins is a put, one that ends where no other begins is a delete. A client that comes back with a thousand watchers of
//! one key each costs a thousand look-ups and not a thousand times the log.
//!
//! This holds above the compacted revision only: at it, versions are gone whose ends the log still tells.

use crate::KeyValue;
use crate::engine::{EngineError, EngineRead, Pair};
use crate::history;
use crate::layout::{self, HISTORY, Header, Stamp};
use bytes::Bytes;

/// A version, and where it ended.
struct Lived {
    header: Header,
    record: Bytes,
    end: Option<Stamp>,
}

/// A change of the key.
pub(crate) struct KeyChange {
    pub at: Stamp,
    /// What was put; `None` for a delete.
    pub put: Option<KeyValue>,
    /// The pair before, if there was one.
    pub prev: Option<KeyValue>,
}

/// The changes of a key from a revision above the compacted one on, oldest first.
pub(crate) struct KeyChanges<'a, R: EngineRead> {
    engine: &'a R,
    key: Bytes,
    from: i64,
    /// Versions that ended at `from` or later, by their ends.
    ended: Box<dyn DoubleEndedIterator<Item = Pair> + 'a>,
    newest_taken: bool,
    before: Option<Lived>,
    /// The put that follows a delete that was told.
    waiting: Option<KeyChange>,
}

impl<'a, R: EngineRead> KeyChanges<'a, R> {
    pub fn new(engine: &'a R, key: &Bytes, from: i64) -> KeyChanges<'a, R> {
        let mut low = vec![HISTORY];
        layout::escape(key, &mut low);
        let mut high = low.clone();
        Stamp { revision: from, sub: 0 }.write(&mut low);
        high.extend_from_slice(&[0xff; 12]);
        KeyChanges {
            engine,
            key: key.clone(),
            from,
            ended: engine.range(&low, Some(&high)),
            newest_taken: false,
            before: None,
            waiting: None,
        }
    }

    fn version(&mut self) -> Result<Option<Lived>, EngineError> {
        if let Some(pair) = self.ended.next() {
            let (raw, record) = pair?;
            let (_, end) = layout::read_history_key(&raw)?;
            let header = Header::read(&record)?;
            return Ok(Some(Lived { header, record, end: Some(end) }));
        }
        if std::mem::replace(&mut self.newest_taken, true) {
            return Ok(None);
        }
        let newest = history::one_newest(self.engine, &self.key)?;
        Ok(newest.map(|version| {
            let (header, record) = (version.header, version.record);
            Lived { header, record, end: None }
        }))
    }

    fn pair(&self, lived: &Lived) -> KeyValue {
        KeyValue {
            key: self.key.clone(),
            value: lived.record.slice(layout::HEADER..),
            create_revision: lived.header.create,
            mod_revision: lived.header.begun.revision,
            version: lived.header.version,
            lease: lived.header.lease,
        }
    }

    /// The next change, if there is one.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn next(&mut self) -> Result<Option<KeyChange>, EngineError> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        loop {
            let before = self.before.take();
            let end = before.as_ref().and_then(|lived| lived.end);
            let version = self.version()?;
            let follows = version.as_ref().is_some_and(|next| Some(next.header.begun) == end);
            let prev = before.as_ref().map(|lived| self.pair(lived));
            let put = version.as_ref().filter(|next| next.header.begun.revision >= self.from);
            let put = put.map(|next| KeyChange {
                at: next.header.begun,
                put: Some(self.pair(next)),
                prev: prev.clone().filter(|_| follows),
            });
            let over = version.is_none();
            self.before = version;
            if let Some(at) = end.filter(|_| !follows) {
                self.waiting = put;
                return Ok(Some(KeyChange { at, put: None, prev }));
            }
            if put.is_some() || over {
                return Ok(put);
            }
        }
    }
}
