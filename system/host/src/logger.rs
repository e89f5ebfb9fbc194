//! The log thread: it writes and syncs whatever gathered while it was writing and syncing.
//!
//! At most one sync is under way, and its batch is whatever arrived during the one before: nothing
//! waits to make a batch larger, and the busier the member, the more writes share a sync.

use crate::fatal::Fatal;
use crate::inbox::Inbox;
use crate::stats::Stats;
use quorate_base::{Input, Ticket};
use quorate_node::Tagged;
use quorate_raft as raft;
use quorate_storage::{Disk, Log, LogError, Record, needs_sync, to_record};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What the core wants on disk, in ticket order.
pub type Writes = Vec<(Ticket, Tagged<raft::Write>)>;

/// Above so many bytes in flight the core takes no more input until the disk has caught up.
const MAX_QUEUED_BYTES: usize = 64 << 20;

/// Housekeeping comes after so many bytes even when there is no idle moment: the next segment must
/// be ready when this one is full, or an append waits until all of it is allocated.
const MAINTAIN_EVERY: usize = 512 << 10;

/// How long a log thread with nothing to write waits before it looks after its segments.
const IDLE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    writes: Writes,
    bytes: usize,
    stop: bool,
}

/// Writes on their way to the log thread.
#[derive(Default)]
pub struct LogQueue {
    state: Mutex<State>,
    more: Condvar,
    space: Notify,
}

impl LogQueue {
    /// Adds writes.
    pub fn push(&self, mut writes: Writes) {
        let bytes: usize = writes.iter().map(|(_, write)| size(&write.body)).sum();
        let mut state = self.lock();
        state.bytes += bytes;
        if state.writes.is_empty() {
            state.writes = writes;
        } else {
            state.writes.append(&mut writes);
        }
        drop(state);
        self.more.notify_one();
    }

    /// Returns at once unless too much is in flight.
    pub async fn wait_for_space(&self) {
        loop {
            let space = self.space.notified();
            if self.lock().bytes < MAX_QUEUED_BYTES {
                return;
            }
            space.await;
        }
    }

    /// Asks the log thread to end when everything is written.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.more.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Waits for writes. Empty after an idle while; `None` when it is time to end.
    fn take(&self) -> Option<(Writes, usize)> {
        let state = self.lock();
        let (mut state, _) = self
            .more
            .wait_timeout_while(state, IDLE, |state| state.writes.is_empty() && !state.stop)
            .expect("no holder of this lock panics");
        if state.writes.is_empty() && state.stop {
            return None;
        }
        Some((std::mem::take(&mut state.writes), state.bytes))
    }

    /// Nothing will be written any more: the core must not wait for space.
    fn abandon(&self) {
        self.lock().bytes = 0;
        self.space.notify_one();
    }

    fn done(&self, bytes: usize) {
        let mut state = self.lock();
        let was_full = state.bytes >= MAX_QUEUED_BYTES;
        state.bytes -= bytes;
        drop(state);
        if was_full {
            self.space.notify_one();
        }
    }
}

fn size(write: &raft::Write) -> usize {
    match write {
        raft::Write::Append(entries) => entries.iter().map(|entry| entry.payload.len() + 16).sum(),
        raft::Write::Vote { .. }
        | raft::Write::Commit(_)
        | raft::Write::Snapshot(_)
        | raft::Write::Compact(_) => 32,
    }
}

/// Runs the log thread until the queue ends. Any error of the log is the end of the process.
pub fn run<D: Disk>(
    mut log: Log<D>,
    queue: Arc<LogQueue>,
    inbox: Arc<Inbox>,
    fatal: Fatal,
    stats: &Stats,
) {
    let mut rested = false;
    let mut written = 0;
    while let Some((writes, _)) = queue.take() {
        let outcome = if writes.is_empty() {
            // The first idle moment marks the end of what is synced; after that only the spare
            // segment needs looking after, and a log at rest needs nothing.
            if rested { Ok(()) } else { look_after(&mut log, &mut rested) }
        } else {
            rested = false;
            let bytes: usize = writes.iter().map(|(_, write)| size(&write.body)).sum();
            let mut outcome = persist(&mut log, writes, &inbox, stats);
            stats.log_bytes.add(bytes as u64);
            queue.done(bytes);
            written += bytes;
            if outcome.is_ok() && written >= MAINTAIN_EVERY {
                written = 0;
                outcome = look_after(&mut log, &mut rested);
            }
            outcome
        };
        if let Err(error) = outcome {
            fatal.stop(error.to_string());
            queue.abandon();
            return;
        }
    }
    if let Err(error) = log.sync() {
        fatal.stop(error.to_string());
    }
}

fn look_after<D: Disk>(log: &mut Log<D>, rested: &mut bool) -> Result<(), LogError> {
    let done = log.maintain()?;
    if done.space_short {
        tracing::warn!("no space to prepare a log segment: free some, or the member will stop");
    }
    *rested = !done.more;
    Ok(())
}

fn persist<D: Disk>(
    log: &mut Log<D>,
    writes: Writes,
    inbox: &Inbox,
    stats: &Stats,
) -> Result<(), LogError> {
    let last = writes.last().expect("there are writes").0;
    let sync = writes.iter().any(|(_, write)| needs_sync(&write.body));
    let records: Vec<Record> =
        writes.into_iter().map(|(_, write)| to_record(write.group.0, write.body)).collect();
    let begun = Instant::now();
    log.append(&records)?;
    stats.log_write.observe(begun.elapsed());
    if sync {
        let begun = Instant::now();
        log.sync()?;
        stats.log_sync.observe(begun.elapsed());
        inbox.push(Input::Durable(last));
    }
    Ok(())
}
