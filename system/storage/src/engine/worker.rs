//! The engine's two threads: one carries full memtables to disk, one merges tables.
//!
//! They are apart because a merge may take seconds and a flush must not wait for it: the writer's
//! memory is bounded by the flushes. A flush writes one table, syncs it and its directory, and then
//! switches the manifest with a synced rename; until that rename the table is an orphan, removed at
//! the next open. So the directory always opens at the end of some flush, and a flush ends where a
//! publish ended.
//!
//! A batch that alone is larger than memtables may be is *spilled*: its memtables become tables that no
//! manifest names, read by the one writer (and by views from after the batch), and when the batch is
//! published all of them are merged into the one table that the manifest switches to. So a batch of any
//! size takes the memory of a few memtables, and a crash still opens before or after it. A spilled
//! table's file is removed with its last reader, or at the next open.
//!
//! Any error or panic here is kept and handed to the writer at its next publish: the member stops
//! and recovers from its log. Nothing is retried, because after a failed fsync nobody knows what
//! the disk holds.

use super::memtable::Memtable;
use super::merge::{Merge, Origin};
use super::tables::Tables;
use super::{Options, StateError};
use bytes::Bytes;
use lsm_tree::{AbstractTree, AnyTree, InternalValue, SeqNo, Table, ValueType};
use quorate_store::EngineError;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Without a flush for so long the tables are brought into shape for readers.
pub(super) const CALM: Duration = Duration::from_secs(3);

/// How often dropped memtables and tables are looked for while readers may still hold some.
pub(super) const RETIRE_EVERY: Duration = Duration::from_millis(200);

/// What the writer takes over from the threads.
pub(crate) struct Installed {
    pub tables: Arc<Tables>,
    /// Memtables up to this id are in the tables.
    pub flushed: u64,
}

/// What a thread does until the engine goes.
type Work = Box<dyn FnOnce(&Shared) + Send>;

/// Where a sealed memtable ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// At a publish with this mark, whose batch has this number.
    Published { mark: u64, seq: SeqNo },
    /// Inside a batch, which a later memtable will end.
    Spilled,
}

pub(super) struct Queue {
    sealed: VecDeque<(Arc<Memtable>, End)>,
    pub(super) merge_wanted: bool,
    /// The last merge left for later what it would have done at a calmer time.
    pub(super) put_off: bool,
    last_flush: Option<Instant>,
    pub(super) busy_until: Option<Instant>,
    /// Whether each thread is at work, so that a test or a benchmark can wait for quiet.
    flushing: bool,
    pub(super) merging: bool,
}

/// What the writer and the two threads share.
pub(crate) struct Shared {
    pub(super) tree: AnyTree,
    pub(super) dir: Arc<Path>,
    pub(super) queue: Mutex<Queue>,
    pub(super) changed: Condvar,
    /// Held for a few pointer copies only, so that the writer never waits on it.
    installed: Mutex<Installed>,
    /// Runs of tables of a batch that was not published when they were written, newest first.
    pub(super) spilled: Mutex<Vec<Vec<Table>>>,
    /// Counts installations; lets the writer look without locking.
    pub installs: AtomicU64,
    /// One thread at a time turns the tree's state into an installed one, in order.
    install_order: Mutex<()>,
    /// Everything ever shared with readers, kept until no reader has it: freeing a memtable of a
    /// hundred thousand nodes, or unlinking a table, is no work for a reader or for the writer.
    retired: Mutex<Vec<Arc<dyn Send + Sync>>>,
    pub synced: AtomicU64,
    pub young_runs: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<EngineError>>,
    stop: AtomicBool,
    /// What all entries together come to at most, as the caller last said: what one merge of all would write.
    pub held_bytes: AtomicU64,
    /// Entries that were written, to tell a slow disk from one that does nothing.
    written: AtomicU64,
    /// How long the flushes took that nobody has asked about yet.
    flush_times: Mutex<Vec<Duration>>,
}

impl Queue {
    /// Notes a flush, and whether it follows closely on the one before.
    fn flushed(&mut self) {
        let now = Instant::now();
        if self.last_flush.is_some_and(|last| now.duration_since(last) < CALM) {
            self.busy_until = Some(now + CALM);
        }
        self.last_flush = Some(now);
        self.merge_wanted = true;
    }

    pub(super) fn is_calm(&self) -> bool {
        self.busy_until.is_none_or(|until| Instant::now() >= until)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks, except through a broken invariant, after which
    // the failure has been recorded and the data is only read.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(tree: AnyTree, dir: Arc<Path>, synced: u64) -> Shared {
        let tables = Arc::new(Tables::of(&tree, &[]));
        Shared {
            tree,
            dir,
            queue: Mutex::new(Queue {
                sealed: VecDeque::new(),
                merge_wanted: tables.young_runs > 1,
                put_off: false,
                last_flush: None,
                busy_until: None,
                flushing: false,
                merging: false,
            }),
            changed: Condvar::new(),
            spilled: Mutex::default(),
            installs: AtomicU64::new(0),
            install_order: Mutex::new(()),
            retired: Mutex::new(vec![tables.clone()]),
            synced: AtomicU64::new(synced),
            young_runs: AtomicU64::new(tables.young_runs as u64),
            installed: Mutex::new(Installed { tables, flushed: 0 }),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            stop: AtomicBool::new(false),
            held_bytes: AtomicU64::new(u64::MAX),
            written: AtomicU64::new(0),
            flush_times: Mutex::default(),
        }
    }

    /// Starts the two threads.
    pub fn start(self: &Arc<Shared>, options: &Options) -> Vec<std::thread::JoinHandle<()>> {
        let table_bytes = options.table_bytes;
        let work: [(&str, Work); 2] = [
            ("state-flush", Box::new(Shared::flush_loop)),
            ("state-merge", Box::new(move |shared| shared.merge_loop(table_bytes))),
        ];
        let spawn = |(name, run): (&str, Work)| {
            let shared = self.clone();
            let thread = std::thread::Builder::new().name(name.into());
            thread.spawn(move || {
                let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| run(&shared)));
                if outcome.is_err() {
                    let why = format!("a background thread panicked in {}", shared.dir.display());
                    shared.fail(EngineError(why));
                }
            })
        };
        work.into_iter().map(spawn).map(|t| t.expect("the system has threads left")).collect()
    }

    /// Hands a full memtable to the flusher.
    pub fn seal(&self, memtable: Arc<Memtable>, end: End) {
        lock(&self.retired).push(memtable.clone());
        lock(&self.queue).sealed.push_back((memtable, end));
        self.changed.notify_all();
    }

    /// The newest tables and which memtables they replace.
    pub fn take_over(&self) -> (Arc<Tables>, u64) {
        let installed = lock(&self.installed);
        (installed.tables.clone(), installed.flushed)
    }

    /// What went wrong in the background, if anything did.
    pub fn check(&self) -> Result<(), EngineError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let failure = lock(&self.failure).clone();
        Err(failure.unwrap_or_else(|| EngineError("it failed before".into())))
    }

    pub(super) fn fail(&self, error: EngineError) {
        lock(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// The same, but the time counts only while nothing is written.
    pub fn wait_while_stuck(&self, limit: Duration, done: impl Fn(&Shared) -> bool) -> bool {
        let mut written = self.written.load(Ordering::Relaxed);
        loop {
            if self.wait(limit, &done) {
                return true;
            }
            let now = self.written.load(Ordering::Relaxed);
            if now == std::mem::replace(&mut written, now) || self.failed.load(Ordering::Acquire) {
                return false;
            }
        }
    }

    /// Waits until `done` holds, an error is known, or the time is over; says whether it holds.
    pub fn wait(&self, limit: Duration, done: impl Fn(&Shared) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if done(self) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.failed.load(Ordering::Acquire) {
                return false;
            }
            // Woken at each change; the bound covers a change between the check and the wait.
            let slice = left.min(Duration::from_millis(5));
            drop(self.changed.wait_timeout(lock(&self.queue), slice));
        }
    }

    /// Whether both threads have nothing to do. Asking means that nobody wants to wait for calm.
    pub fn is_quiet(&self) -> bool {
        let mut queue = lock(&self.queue);
        queue.busy_until = None;
        let merges = queue.merge_wanted || queue.put_off || queue.merging;
        queue.sealed.is_empty() && !queue.flushing && !merges
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.failed.load(Ordering::Acquire)
    }

    /// Makes the tree's present tables, and those that were spilled, the ones that the writer takes over.
    /// `change` says what else is new: which memtable lies in tables now, and what is spilled.
    pub(super) fn install(&self, change: impl FnOnce(&mut Vec<Vec<Table>>) -> Option<u64>) {
        let _order = lock(&self.install_order);
        let mut spilled = lock(&self.spilled);
        let flushed = change(&mut spilled);
        let tables = Arc::new(Tables::of(&self.tree, &spilled));
        drop(spilled);
        self.young_runs.store(tables.young_runs as u64, Ordering::Relaxed);
        lock(&self.retired).push(tables.clone());
        let mut installed = lock(&self.installed);
        installed.tables = tables;
        if let Some(flushed) = flushed {
            installed.flushed = flushed;
        }
        drop(installed);
        self.installs.fetch_add(1, Ordering::Release);
    }

    /// Frees what no reader holds any more.
    fn free_retired(&self) {
        let mut freed = Vec::new();
        lock(&self.retired).retain(|part| {
            let last = Arc::strong_count(part) == 1;
            if last {
                freed.push(part.clone());
            }
            !last
        });
        // Dropped here, after the lock.
        drop(freed);
    }

    fn flush_loop(&self) {
        while !self.stopped() {
            let next = {
                let mut queue = lock(&self.queue);
                let was_busy = std::mem::take(&mut queue.flushing);
                if queue.sealed.is_empty() {
                    // Only a change is told: two idle threads must not keep each other awake.
                    if was_busy {
                        self.changed.notify_all();
                    }
                    let waited = self.changed.wait_timeout(queue, RETIRE_EVERY);
                    queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                let next = queue.sealed.pop_front();
                queue.flushing = next.is_some();
                next
            };
            let done = match next {
                Some((memtable, End::Published { mark, seq })) => self.flush(&memtable, mark, seq),
                Some((memtable, End::Spilled)) => self.spill(&memtable),
                None => Ok(()),
            };
            if let Err(error) = done {
                let error = StateError::tables("write tables in", &self.dir, error);
                self.fail(error.into());
                return;
            }
            self.free_retired();
        }
    }

    /// How long the flushes took since the last question.
    pub fn take_flush_times(&self) -> Vec<Duration> {
        std::mem::take(&mut lock(&self.flush_times))
    }

    fn flush(&self, memtable: &Memtable, mark: u64, seq: SeqNo) -> lsm_tree::Result<()> {
        let begun = Instant::now();
        let spilled = lock(&self.spilled).clone();
        let tables = match spilled.is_empty() {
            true => self.write(memtable)?,
            false => self.write_whole(memtable, spilled, seq)?,
        };
        if !tables.is_empty() {
            // The tree keeps no older version of itself: readers hold the tables they need.
            self.tree.register_tables(&tables, None, None, &[], SeqNo::MAX)?;
        }
        lock(&self.flush_times).push(begun.elapsed());
        self.install(|spilled| {
            spilled.clear();
            Some(memtable.id)
        });
        self.synced.fetch_max(mark, Ordering::AcqRel);
        lock(&self.queue).flushed();
        self.changed.notify_all();
        Ok(())
    }

    /// Carries a piece of a batch to disk, where no manifest names it.
    fn spill(&self, memtable: &Memtable) -> lsm_tree::Result<()> {
        let tables = self.write(memtable)?;
        for table in &tables {
            // Its file goes with its last reader.
            table.is_deleted.store(true, Ordering::Release);
        }
        self.install(|spilled| {
            spilled.insert(0, tables);
            Some(memtable.id)
        });
        self.changed.notify_all();
        Ok(())
    }

    /// Writes a memtable to tables that nothing names yet.
    fn write(&self, memtable: &Memtable) -> lsm_tree::Result<Vec<Table>> {
        let written = memtable.with_newest(|newest| {
            let entries =
                newest.map(|(key, value, seq)| Ok(self.entry(key.clone(), value.cloned(), seq)));
            self.tree.flush_to_tables(entries)
        });
        Ok(written?.map_or_else(Vec::new, |(tables, _)| tables))
    }

    /// The same for the last memtable of a batch together with what was spilled of it, as one run: the
    /// manifest takes one run at a time, and a batch is one step. What is written has the batch's number.
    fn write_whole(
        &self,
        memtable: &Memtable,
        spilled: Vec<Vec<Table>>,
        seq: SeqNo,
    ) -> lsm_tree::Result<Vec<Table>> {
        let spilled = Tables::spilled(spilled);
        let memory = Origin::Memory(memtable.range(&[], None, SeqNo::MAX));
        let disk = spilled.ranges(&[], None).into_iter().map(Origin::Disk);
        let merged = Merge::new(std::iter::once(memory).chain(disk), &self.dir);
        let entries =
            merged.slots().map(|slot| slot.map(|(key, value)| self.entry(key, value, seq)));
        let written = self.tree.flush_to_tables(entries)?;
        Ok(written.map_or_else(Vec::new, |(tables, _)| tables))
    }

    fn entry(&self, key: Bytes, value: Option<Bytes>, seq: SeqNo) -> InternalValue {
        self.written.fetch_add(1, Ordering::Relaxed);
        let kind = if value.is_some() { ValueType::Value } else { ValueType::Tombstone };
        InternalValue::from_components(key, value.unwrap_or_default(), seq, kind)
    }
}
