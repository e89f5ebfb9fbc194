//! Going back to an older build: until it is over, nothing is written that the older build cannot
//! read.
//!
//! What a cluster may write is bounded by the *level* of its builds (a number that grows with what
//! the log may hold). A downgrade lowers that bound to the level of the build to go back to before any
//! member runs it. The state only remembers that: who may begin one, and when it is over, is decided
//! by the members that know the builds.

use crate::applier::Applier;
use crate::engine::{Engine, EngineError, EngineRead};
use crate::layout::{DOWNGRADE, read_u32};
use crate::reader::ReadError;
use crate::view::View;
use crate::{Answer, StoreError};
use bytes::Bytes;

/// A downgrade under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Downgrade {
    /// The level of the build to go back to.
    pub level: u32,
    /// How that build was named.
    pub version: Bytes,
}

pub(crate) fn load<R: EngineRead>(engine: &R) -> Result<Option<Downgrade>, EngineError> {
    let Some(record) = engine.get(&[DOWNGRADE])? else { return Ok(None) };
    if record.len() < 4 {
        return Err(EngineError("the record of a downgrade is too short".into()));
    }
    Ok(Some(Downgrade { level: read_u32(&record, 0), version: record.slice(4..) }))
}

impl<E: Engine> Applier<E> {
    /// Begins a downgrade, or ends the one under way.
    pub(crate) fn change_downgrade(
        &mut self,
        change: Option<&Downgrade>,
    ) -> Result<Answer, ReadError> {
        match (change, load(&self.engine)?) {
            (Some(_), Some(_)) => return Err(StoreError::DowngradeInProcess.into()),
            (None, None) => return Err(StoreError::NoDowngrade.into()),
            (Some(Downgrade { level, version }), None) => {
                let record = [&level.to_be_bytes()[..], version].concat();
                self.set(&[DOWNGRADE], Some(&record))?;
            }
            (None, Some(_)) => self.set(&[DOWNGRADE], None)?,
        }
        Ok(Answer::Downgrade)
    }
}

impl<V: EngineRead> View<V> {
    /// The downgrade under way, if there is one.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn downgrade(&self) -> Result<Option<Downgrade>, EngineError> {
        load(self.engine())
    }
}
