//! Following keys from inside the server, as a watcher would: a cursor that wakes when there is
//! something new. Nothing here polls a clock.

use crate::service::Service;
use quorate_host::EncodedEvent;
use quorate_store::{Cursor, Delivery, KeyRange, Polled, Watch};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::Status;

/// Bytes of events that are looked at between two chances for others.
const BUDGET: usize = 1 << 20;

/// What came.
pub enum News {
    /// Changes, whole revisions in order, and the revision of the state that they were read from.
    #[allow(missing_docs)]
    Events { events: Vec<Delivery<Arc<EncodedEvent>>>, revision: i64 },
    /// A part of what came was compacted before it was read: look at the state again.
    Compacted,
}

/// A place in the history of some keys.
pub struct Follow {
    service: Arc<Service>,
    cursor: Cursor,
    revisions: watch::Receiver<i64>,
}

impl Follow {
    /// Follows a range from what comes after `revision`.
    pub fn after(service: &Arc<Service>, range: KeyRange, revision: i64) -> Follow {
        let watch = Watch { range, no_put: false, no_delete: false, prev_kv: false };
        Follow {
            cursor: Cursor::new(watch, revision + 1, revision),
            revisions: service.host.feed().revisions(),
            service: service.clone(),
        }
    }

    /// Waits for the next changes. May be dropped and called again.
    ///
    /// # Errors
    /// When the engine fails, or the member stops.
    pub async fn next(&mut self) -> Result<News, Status> {
        loop {
            // Marked as seen before the view is taken: what comes later wakes.
            self.revisions.borrow_and_update();
            let view = self.service.view();
            let polled = self.service.host.feed().poll(&mut self.cursor, &view, BUDGET);
            match polled.map_err(|error| Status::internal(error.to_string()))? {
                Polled::Compacted { .. } => return Ok(News::Compacted),
                Polled::Batch(batch) if !batch.events.is_empty() => {
                    return Ok(News::Events { events: batch.events, revision: view.revision() });
                }
                // A long way through changes of other keys: others get their turn.
                Polled::Batch(batch) if !batch.synced => tokio::task::yield_now().await,
                Polled::Batch(_) => {
                    self.revisions.changed().await.map_err(|_| crate::errors::stopped())?;
                }
            }
        }
    }
}
