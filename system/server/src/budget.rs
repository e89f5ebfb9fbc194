//! How many bytes of large answers this member holds at once.
//!
//! A range may answer with as much as the keyspace holds, and it is in memory from the moment it is
//! read until its client has taken the last byte. Small answers are what the limits on requests and
//! connections already bound; large ones must also find room here before anything is read, and keep
//! it until they have left. Whoever finds none waits a while, and is then refused by etcd's name for
//! it, "too many requests".

use crate::errors;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Response, Status};

/// Answers of at most so many bytes need no room: they pass however full it is.
pub const SMALL_ANSWER: u64 = 256 << 10;

/// What is counted: large answers need no finer grain.
const UNIT: u64 = 4 << 10;

/// Room for large answers.
#[derive(Debug)]
pub struct Budget {
    room: Arc<Semaphore>,
    units: u32,
    patience: Duration,
}

/// Room that an answer holds until the last clone of this is dropped. Travels in the extensions of
/// the answer to where its body is sent.
#[derive(Clone, Debug)]
pub struct Permit {
    held: Vec<Arc<OwnedSemaphorePermit>>,
}

impl Budget {
    /// Room for `bytes` in all; a request waits for its share for `patience`.
    pub fn new(bytes: u64, patience: Duration) -> Budget {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let units = units.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Budget { room: Arc::new(Semaphore::new(units as usize)), units, patience }
    }

    /// Room for an answer of about so many bytes. One that is larger than all the room there is gets
    /// all of it, so that it can be given at all, alone.
    ///
    /// # Errors
    /// "too many requests" when there was no room in time.
    pub async fn reserve(&self, bytes: u64) -> Result<Option<Permit>, Status> {
        if bytes <= SMALL_ANSWER {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        let room = self.room.clone().acquire_many_owned(units);
        match tokio::time::timeout(self.patience, room).await {
            Ok(Ok(held)) => Ok(Some(Permit { held: vec![Arc::new(held)] })),
            Ok(Err(_)) | Err(_) => Err(errors::too_many_requests()),
        }
    }

    /// The answer is there and weighs `actual`, not the `guessed` bytes for which it has room. If it
    /// is more, it takes what is left of the missing room: it cannot be made smaller any more, but
    /// those who come after it shall wait.
    pub fn correct(&self, permit: Option<Permit>, guessed: u64, actual: u64) -> Option<Permit> {
        let missing = actual.saturating_sub(guessed);
        if actual <= SMALL_ANSWER || missing == 0 {
            return permit;
        }
        let units = u32::try_from(missing.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let left = u32::try_from(self.room.available_permits()).unwrap_or(u32::MAX);
        let late = self.room.clone().try_acquire_many_owned(units.min(left)).ok();
        let mut held = permit.map_or_else(Vec::new, |permit| permit.held);
        held.extend(late.map(Arc::new));
        Some(Permit { held })
    }

    /// Bytes that large answers hold now.
    pub fn held(&self) -> u64 {
        (u64::from(self.units) - self.room.available_permits() as u64) * UNIT
    }
}

/// An answer that keeps its room until its body has left.
pub fn until_sent<T>(mut answer: Response<T>, permit: Option<Permit>) -> Response<T> {
    if let Some(permit) = permit {
        answer.extensions_mut().insert(permit);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_answers_wait_for_each_other_and_small_ones_for_nobody() {
        let budget = Budget::new(1 << 20, Duration::from_millis(30));
        let first = budget.reserve(700 << 10).await.expect("room").expect("a permit");
        assert!(budget.reserve(SMALL_ANSWER).await.expect("small").is_none());
        let refused = budget.reserve(700 << 10).await.expect_err("no room");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(budget.held(), 700 << 10);
        drop(first);
        let grown = budget.reserve(300 << 10).await.expect("room");
        let grown = budget.correct(grown, 300 << 10, 500 << 10);
        assert_eq!(budget.held(), 500 << 10, "what was guessed too small is put right");
        drop(grown);
        let all = budget.reserve(u64::MAX).await.expect("all of it, alone");
        assert_eq!(budget.held(), 1 << 20);
        drop(all);
        assert_eq!(budget.held(), 0);
    }
}
