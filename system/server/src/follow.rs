//! Following keys from inside the server, as a watcher would: cursors that are woken when something
//! happened to their keys ([`Ear`]), and by nothing else. Nothing here polls a clock.

use crate::service::Service;
use quorate_host::{Ear, EncodedEvent};
use quorate_store::{Cursor, Delivery, KeyRange, Polled, Watch};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use tonic::Status;

/// Bytes of events that are looked at between two chances for others.
const BUDGET: usize = 1 << 20;

/// What came.
pub enum News {
    /// Changes of one of the ranges, whole revisions in order, and the revision of the state that they
    /// were read from.
    #[allow(missing_docs)]
    Events { events: Vec<Delivery<Arc<EncodedEvent>>>, revision: i64 },
    /// A part of what came was compacted before it was read: look at the state again.
    Compacted,
}

/// A place in the history of some keys.
pub struct Follow {
    service: Arc<Service>,
    ear: Ear,
    cursors: BTreeMap<i64, Cursor<Arc<EncodedEvent>>>,
    /// Those that have something to look at, and up to which revision.
    behind: BTreeMap<i64, i64>,
    /// Nothing up to this revision concerns those that are not behind.
    seen: i64,
}

impl Follow {
    /// Follows ranges from what comes after `revision`, each for itself: between changes of two of
    /// them there is no order.
    pub fn after(
        service: &Arc<Service>,
        ranges: impl IntoIterator<Item = KeyRange>,
        revision: i64,
    ) -> Follow {
        let mut ear = Ear::new(service.host.feed().ears());
        let mut cursors = BTreeMap::new();
        for (id, range) in (0..).zip(ranges) {
            ear.listen(id, &range, revision + 1);
            let watch = Watch { range, no_put: false, no_delete: false, prev_kv: false };
            cursors.insert(id, Cursor::new(watch, revision + 1, revision));
        }
        Follow { service: service.clone(), ear, cursors, behind: BTreeMap::new(), seen: revision }
    }

    /// Takes note of what happened up to a revision.
    fn hear(&mut self, revision: i64) {
        let heard = self.ear.take(revision);
        for (id, (first, last)) in heard.touched {
            self.fall_behind(id, first - 1, last);
        }
        if heard.all {
            let all: Vec<i64> = self.cursors.keys().copied().collect();
            all.into_iter().for_each(|id| self.fall_behind(id, self.seen, revision));
        }
        self.seen = revision.max(self.seen);
    }

    /// One has something to look at up to a revision, and nothing up to `idle` unless it is behind
    /// already.
    fn fall_behind(&mut self, id: i64, idle: i64, until: i64) {
        let cursor = self.cursors.get_mut(&id).expect("it listens");
        if !self.behind.contains_key(&id) && cursor.next() <= idle {
            cursor.skip(cursor.next() - 1, idle);
        }
        let end = self.behind.entry(id).or_insert(until);
        *end = until.max(*end);
    }

    /// Waits for the next changes. May be dropped and called again.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn next(&mut self) -> Result<News, Status> {
        loop {
            let view = self.service.view();
            self.hear(view.revision());
            let Some((&id, &until)) = self.behind.first_key_value() else {
                poll_fn(|context| self.ear.poll_called(context)).await;
                self.service.line_wakes.count();
                continue;
            };
            let cursor = self.cursors.get_mut(&id).expect("it is behind");
            let polled = self.service.host.feed().poll(cursor, &view, BUDGET);
            match polled.map_err(|error| Status::internal(error.to_string()))? {
                Polled::Compacted { .. } => return Ok(News::Compacted),
                Polled::Batch(batch) => {
                    if batch.next > until {
                        self.behind.remove(&id);
                    }
                    if !batch.events.is_empty() {
                        return Ok(News::Events {
                            events: batch.events,
                            revision: view.revision(),
                        });
                    }
                    // A long way through changes of other keys: others get their turn.
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
