//! Ordered bytes: what the store asks of the place where its state lies.
//!
//! The log is the truth and is kept until an engine sync covers it. So an engine may lose whatever
//! came after its last sync, but must open exactly at a published state: all of a batch or nothing
//! of it, and the applied index is in the same batch as the data it describes.

use bytes::Bytes;
use std::fmt;

/// A read or write that the engine could not do. The member cannot go on: it stops and recovers
/// from its log, or is replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EngineError(pub String);

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state engine: {}", self.0)
    }
}

impl std::error::Error for EngineError {}

/// One pair, or why there is none.
pub type Pair = Result<(Bytes, Bytes), EngineError>;

/// Reading ordered bytes.
pub trait EngineRead {
    /// The value at exactly this key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Pairs with `from <= key < to`, ascending; it can be walked from both ends. `to` of `None` is
    /// the end of everything.
    fn range<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a>;
}

/// One writer's ordered bytes. Its own reads see everything written so far, published or not.
pub trait Engine: EngineRead + Send + 'static {
    /// A state as it was published: unchanged for as long as it is held. Cheap to clone and shared
    /// between threads; holding one for long costs disk space, not correctness.
    type View: EngineRead + Clone + Send + Sync + 'static;

    /// Sets a key.
    fn put(&mut self, key: &[u8], value: &[u8]);

    /// Removes a key; removing what is not there changes nothing.
    fn delete(&mut self, key: &[u8]);

    /// Publishes everything written so far as one atomic step and returns it as a view. `mark` is
    /// the applied index that the step describes, and never goes back.
    fn publish(&mut self, mark: u64) -> Result<Self::View, EngineError>;

    /// The last published state once more, if it takes less memory by now: an engine that writes in the
    /// background learns only here, when nobody publishes, that what it wrote need not be held. Nothing may
    /// have been written since the last publish.
    fn refresh(&mut self) -> Option<Self::View> {
        None
    }

    /// Asks that everything published so far becomes durable soon, without waiting for it.
    fn request_sync(&mut self);

    /// The greatest mark known durable: a crash now opens at this mark or a later one.
    fn synced(&self) -> u64;
}
