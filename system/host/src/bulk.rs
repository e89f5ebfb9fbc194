//! The bulk thread: slow reads for slow peers, and states on their way in.
//!
//! A follower whose entries are no longer in memory is served from the log on disk; one whose
//! entries are gone gets chunks of a pinned view. Both read megabytes, so neither happens on the
//! core's thread. Chunks that arrive fill a new generation of the state engine beside the old one.

use crate::View;
use crate::apply::{ApplyQueue, Replacement};
use crate::fatal::Fatal;
use crate::inbox::Inbox;
use arc_swap::ArcSwap;
use bytes::Bytes;
use quorate_base::NodeId;
use quorate_node::Request;
use quorate_raft::{self as raft, Entry, LogId, SnapshotMeta};
use quorate_storage::engine::{Generations, LsmEngine, OpenGeneration};
use quorate_storage::{Disk, LogReader};
use quorate_store::{EngineError, InstallError, Installer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::watch;

/// Bytes of state in one chunk: a tenth of a second on a slow link, thousands for a large state.
const CHUNK_BYTES: usize = 1 << 20;

/// What the core asks for.
pub enum Job {
    /// Entries from the log on disk.
    ReadLog { to: NodeId, from: u64, max_bytes: usize },
    /// The chunk after a position.
    Chunk { to: NodeId, after: Bytes },
    /// A peer needs no more chunks.
    ChunksDone { to: NodeId },
    /// A chunk that arrived.
    Install { meta: SnapshotMeta, after: Bytes, next: Bytes, data: Bytes, done: bool },
    /// End.
    Stop,
}

/// Jobs on their way to the bulk thread. Bounded by consensus: one read and one chunk a peer.
#[derive(Default)]
pub struct BulkQueue {
    jobs: Mutex<VecDeque<Job>>,
    more: Condvar,
}

impl BulkQueue {
    /// Adds a job.
    pub fn push(&self, job: Job) {
        self.jobs.lock().expect("no holder of this lock panics").push_back(job);
        self.more.notify_one();
    }

    fn take(&self) -> Job {
        let jobs = self.jobs.lock().expect("no holder of this lock panics");
        let wait = self.more.wait_while(jobs, |jobs| jobs.is_empty());
        let mut jobs = wait.expect("no holder of this lock panics");
        jobs.pop_front().expect("waited until there was one")
    }
}

struct Incoming {
    meta: SnapshotMeta,
    number: u64,
    installer: Installer<LsmEngine>,
}

/// The thread's state.
pub struct BulkThread<D: Disk> {
    /// The log, to read.
    pub reader: LogReader<D>,
    /// The newest state.
    pub view: Arc<ArcSwap<View>>,
    /// Where new states go.
    pub generations: Arc<Mutex<Generations>>,
    /// Who takes a complete state over.
    pub apply: Arc<ApplyQueue>,
    /// Who asked.
    pub inbox: Arc<Inbox>,
    /// True while this member's state is known to be wrong: nobody gets it.
    pub quarantine: watch::Receiver<bool>,
    /// Where it ends.
    pub fatal: Fatal,
}

impl<D: Disk> BulkThread<D> {
    /// Works until it is told to stop.
    pub fn run(self, queue: Arc<BulkQueue>) {
        let mut pins: BTreeMap<NodeId, Arc<View>> = BTreeMap::new();
        let mut incoming: Option<Incoming> = None;
        loop {
            let outcome = match queue.take() {
                Job::ReadLog { to, from, max_bytes } => {
                    self.read_log(to, from, max_bytes);
                    Ok(())
                }
                Job::Chunk { to, after } => self.chunk(&mut pins, to, after),
                Job::ChunksDone { to } => {
                    pins.remove(&to);
                    Ok(())
                }
                Job::Install { meta, after, next, data, done } => {
                    self.install(&mut incoming, meta, &after, next, &data, done)
                }
                Job::Stop => return,
            };
            if let Err(error) = outcome {
                self.fatal.stop(error.to_string());
                return;
            }
        }
    }

    fn reply(&self, request: raft::Request) {
        self.inbox.request(Request::Raft(request));
    }

    fn read_log(&self, to: NodeId, from: u64, max_bytes: usize) {
        // The end is looked up now: entries may have been truncated since the question.
        let end = self.reader.bounds(0).map_or(0, |(_, last)| last) + 1;
        let found = self.reader.read(0, from, end, max_bytes).unwrap_or_else(|error| {
            // Compacted meanwhile, or the disk fails: then the log thread will say so.
            tracing::debug!(%to, from, "cannot serve from the log: {error}");
            Vec::new()
        });
        let entries = found.into_iter().map(|entry| Entry {
            index: entry.index,
            term: entry.term,
            payload: entry.payload,
        });
        self.reply(raft::Request::LogRead { to, entries: entries.collect() });
    }

    fn chunk(
        &self,
        pins: &mut BTreeMap<NodeId, Arc<View>>,
        to: NodeId,
        after: Bytes,
    ) -> Result<(), EngineError> {
        if *self.quarantine.borrow() {
            // The stream stands still until another member leads.
            tracing::warn!(%to, "this member's state is wrong: it is not sent");
            return Ok(());
        }
        if after.is_empty() {
            pins.insert(to, self.view.load_full());
        }
        // A lost pin is told by an index that the stream does not know: it begins anew.
        let view = pins.entry(to).or_insert_with(|| self.view.load_full()).clone();
        let from = Some(&after[..]).filter(|after| !after.is_empty());
        let chunk = view.chunk(from, CHUNK_BYTES)?;
        let index = view.applied().0;
        let (next, data, done) = (chunk.cursor, chunk.data, chunk.done);
        self.reply(raft::Request::Chunk { to, index, after, next, data, done });
        Ok(())
    }

    fn install(
        &self,
        incoming: &mut Option<Incoming>,
        meta: SnapshotMeta,
        after: &Bytes,
        next: Bytes,
        data: &Bytes,
        done: bool,
    ) -> Result<(), EngineError> {
        let last: LogId = meta.last;
        if after.is_empty() {
            tracing::info!(index = last.index, term = last.term, "receiving the leader's state");
            // The one before was given up; its directory goes at the next start.
            drop(incoming.take());
            let mut generations = self.generations.lock().expect("no holder panics");
            let generation = generations.create_next();
            let OpenGeneration { number, engine } =
                generation.map_err(|error| EngineError(error.to_string()))?;
            let installer = Installer::new(engine).map_err(refused)?;
            *incoming = Some(Incoming { meta: meta.clone(), number, installer });
        }
        let Some(state) = incoming.as_mut().filter(|state| state.meta == meta) else {
            // A chunk of a stream whose beginning was not seen: asking again begins it anew.
            self.reply(raft::Request::ChunkStored { last, cursor: Bytes::new() });
            return Ok(());
        };
        let complete = state.installer.push(data).map_err(refused)?;
        if complete != done {
            return Err(EngineError("the leader's last chunk is not the last of its state".into()));
        }
        if !done {
            self.reply(raft::Request::ChunkStored { last, cursor: next });
            return Ok(());
        }
        let Incoming { meta, number, installer } = incoming.take().expect("looked at above");
        let applier = installer.finish(crate::feed::STORE).map_err(refused)?;
        let mut engine = applier.into_engine();
        engine.sync()?;
        tracing::info!(index = last.index, "the leader's state is complete");
        let generation = OpenGeneration { number, engine };
        self.apply.replace(Replacement { meta, generation });
        Ok(())
    }
}

/// Chunks arrive checked and in order: one that is refused is a broken peer or a broken disk, and
/// the member starts over from its log.
fn refused(error: InstallError) -> EngineError {
    EngineError(error.to_string())
}
