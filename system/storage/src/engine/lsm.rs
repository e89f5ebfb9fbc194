//! The writer's side: put, delete, publish, sync.

use super::memtable::{Copier, Memtable};
use super::state::{State, View};
use super::worker::{End, Shared};
use super::{MARK_KEY, MAX_KEY_BYTES, Options, StateError};
use bytes::Bytes;
use lsm_tree::{AbstractTree, Cache, Config, SequenceNumberCounter};
use quorate_store::{Engine, EngineError, EngineRead, Pair};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Full memtables at which a publish waits until one is on disk.
const SEALED_LIMIT: usize = 4;

/// Pins above which those that nobody holds are looked for beyond the oldest.
const PINS_BEFORE_SWEEP: usize = 512;

/// How long a publish waits for the disk before it gives up, as the disk has.
const DISK_GIVES_UP: Duration = Duration::from_secs(120);

/// What an engine has been through since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// The longest time that a publish was held back because the disk was behind.
    pub longest_pause: Duration,
    /// How often publishes were held back, and for how long in all.
    pub pauses: u64,
    /// The sum of those pauses.
    pub paused: Duration,
    /// Bytes of tables on disk that the newest state reads.
    pub disk_bytes: u64,
    /// Entries in tables, deletes included.
    pub items: u64,
    /// Deletes in tables that no merge has forgotten yet.
    pub tombstones: u64,
}

/// The engine that ships. See the [module](super) for its promise.
pub struct LsmEngine {
    state: Arc<State>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    copier: Copier,
    options: Options,
    /// The number of the batch being written. What was published has smaller ones.
    seq: u64,
    /// The mark of the last publish.
    mark: u64,
    /// The greatest mark handed to the flusher.
    sealed_mark: u64,
    /// Whether something was written since the last publish.
    dirty: bool,
    /// What of the active memtable was published.
    published_bytes: usize,
    /// The state before the first memtable of the present batch was spilled.
    before_spill: Option<Arc<State>>,
    /// Why a spill could not go on; told at the next publish.
    stuck: Option<EngineError>,
    sync_wanted: bool,
    installs_seen: u64,
    /// One for each publish whose views may still be held, oldest first, with its number: a view
    /// sees what has a smaller one. Never empty, so that the last published state stays readable.
    pins: VecDeque<Arc<u64>>,
    /// No view is older than this number.
    oldest_view: u64,
    stats: Stats,
}

impl LsmEngine {
    /// Opens the engine in a directory, which it creates if it is not there, at the last state that
    /// was synced. One process at a time: see [`super::Generations`], which holds the lock.
    ///
    /// # Errors
    /// When the directory cannot be read or written, or what it holds is damaged.
    pub fn open(dir: &Path, options: Options) -> Result<LsmEngine, StateError> {
        std::fs::create_dir_all(dir).map_err(StateError::io("create", dir))?;
        remove_leftovers(dir)?;
        let counters = (SequenceNumberCounter::default(), SequenceNumberCounter::default());
        let tree = Config::new(dir, counters.0, counters.1)
            .use_cache(Arc::new(Cache::with_capacity_bytes(options.cache_bytes)))
            .open()
            .map_err(|e| StateError::tables("open tables in", dir, e))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent)?;
        }
        let seq = tree.get_highest_persisted_seqno().map_or(1, |highest| highest + 1);
        let dir: Arc<Path> = Arc::from(dir);
        let shared = Arc::new(Shared::new(tree, dir.clone(), 0));
        let (tables, _) = shared.take_over();
        let mark = read_mark(&tables, &dir)?;
        shared.synced.store(mark, Ordering::Release);
        let active = Arc::new(Memtable::new(1));
        let state = Arc::new(State { active, sealed: Vec::new(), tables, dir });
        let threads = shared.start(&options);
        let (copier, stats) = (Copier::new(), Stats::default());
        Ok(LsmEngine {
            state,
            shared,
            threads,
            copier,
            options,
            seq,
            mark,
            sealed_mark: mark,
            dirty: false,
            published_bytes: 0,
            before_spill: None,
            stuck: None,
            sync_wanted: false,
            installs_seen: 0,
            pins: VecDeque::from([Arc::new(seq)]),
            oldest_view: seq,
            stats,
        })
    }

    /// The mark of the last publish; right after opening, the mark of the state that was found.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// Says what all entries together come to at most, in bytes, so that a merge of all of them begins
    /// where there is room for that and not only where everything fits twice.
    pub fn note_held(&self, bytes: u64) {
        self.shared.held_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether it is time to publish before more is written, so that what are several batches to its caller does
    /// not become one that is spilled and written twice.
    pub fn wants_publish(&self) -> bool {
        let unpublished = self.state.active.bytes() - self.published_bytes;
        self.before_spill.is_some() || unpublished >= self.options.memtable_bytes / 2
    }

    /// The last published state. Writes since then are not in it.
    pub fn view(&self) -> View {
        let pin = self.pins.back().map_or_else(|| Arc::new(self.seq), Arc::clone);
        // What is spilled is not published and not told apart from what is.
        let state = self.before_spill.as_ref().unwrap_or(&self.state).clone();
        View { state, pin, mark: self.mark }
    }

    /// Upgrades for as long as this engine or a view of it is left: until then its files are read.
    pub fn users(&self) -> Weak<Path> {
        Arc::downgrade(&self.state.dir)
    }

    /// Whether everything written was published and is durable.
    pub fn is_settled(&self) -> bool {
        !self.dirty && self.synced() == self.mark
    }

    /// How long the flushes took since the last question.
    pub fn take_flush_times(&self) -> Vec<Duration> {
        self.shared.take_flush_times()
    }

    /// What the engine has been through.
    pub fn stats(&self) -> Stats {
        let tables = &self.state.tables;
        Stats {
            disk_bytes: tables.disk_bytes,
            items: tables.items,
            tombstones: tables.tombstones,
            ..self.stats
        }
    }

    /// Makes everything published durable and waits for it; returns the mark that is durable now.
    /// For shutting down and for filling a generation; the hot path asks and goes on.
    ///
    /// # Errors
    /// When the disk failed; the member must stop.
    pub fn sync(&mut self) -> Result<u64, EngineError> {
        assert!(!self.dirty, "publish before a sync: it covers what was published");
        self.request_sync();
        let target = self.sealed_mark;
        let done = |shared: &Shared| shared.synced.load(Ordering::Acquire) >= target;
        let reached = self.shared.wait_while_stuck(DISK_GIVES_UP, done);
        self.shared.check()?;
        if !reached {
            return Err(self.disk_is_stuck());
        }
        self.take_over();
        Ok(self.synced())
    }

    /// Waits until nothing is left to flush or to merge, or the time is over; says which. For tests,
    /// benchmarks and offline work.
    pub fn wait_quiet(&mut self, limit: Duration) -> bool {
        let quiet = self.shared.wait(limit, Shared::is_quiet);
        self.take_over();
        quiet
    }

    fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        assert!(!key.is_empty(), "a key has at least one byte");
        assert!(key.len() <= MAX_KEY_BYTES, "a key has at most {MAX_KEY_BYTES} bytes");
        assert!(key != MARK_KEY, "this key is the engine's own");
        let key = self.copier.copy(key);
        let value = value.map(|value| self.copier.copy(value));
        self.state.active.insert(key, self.seq, value, self.oldest_view);
        self.dirty = true;
        if self.state.active.bytes() - self.published_bytes >= self.options.memtable_bytes {
            self.spill();
        }
    }

    /// The batch being written is larger than a memtable may be: what there is of it goes to disk.
    fn spill(&mut self) {
        if self.before_spill.is_none() {
            self.before_spill = Some(self.state.clone());
        }
        let full = self.renew_active();
        self.shared.seal(full, End::Spilled);
        self.take_over();
        if self.stuck.is_none() && self.state.sealed.len() >= SEALED_LIMIT {
            self.stuck = self.wait_for_room().err();
        }
    }

    /// Puts an empty memtable in the place of the active one, which it returns.
    fn renew_active(&mut self) -> Arc<Memtable> {
        let full = self.state.active.clone();
        let mut state = State::clone(&self.state);
        state.active = Arc::new(Memtable::new(full.id + 1));
        state.sealed.insert(0, full.clone());
        self.state = Arc::new(state);
        self.published_bytes = 0;
        full
    }

    /// Takes over what the background threads installed. No more than pointers change hands.
    fn take_over(&mut self) {
        let installs = self.shared.installs.load(Ordering::Acquire);
        if installs == self.installs_seen {
            return;
        }
        self.installs_seen = installs;
        let (tables, flushed) = self.shared.take_over();
        let mut state = State::clone(&self.state);
        state.sealed.retain(|memtable| memtable.id > flushed);
        state.tables = tables;
        self.state = Arc::new(state);
    }

    /// Pins the state just published and forgets the pins that only the engine holds.
    fn pin(&mut self) {
        self.pins.push_back(Arc::new(self.seq));
        while self.pins.len() > 1 && Arc::strong_count(&self.pins[0]) == 1 {
            self.pins.pop_front();
        }
        if self.pins.len() > PINS_BEFORE_SWEEP && self.pins.len().is_power_of_two() {
            // One view held for long: the later ones need not wait for it.
            let newest = self.seq;
            self.pins.retain(|pin| Arc::strong_count(pin) > 1 || **pin == newest);
        }
        self.oldest_view = *self.pins[0];
    }

    /// Closes the active memtable at the present mark and hands it to the flusher.
    fn seal(&mut self) {
        assert!(!self.dirty, "a memtable is sealed where a publish ended");
        self.sync_wanted = false;
        let spilled = self.before_spill.take().is_some();
        if self.sealed_mark == self.mark && self.state.active.is_empty() && !spilled {
            return;
        }
        // The mark joins the last batch. Readers of that batch never see the engine's own key.
        let mark = Bytes::copy_from_slice(&self.mark.to_be_bytes());
        let key = Bytes::from_static(MARK_KEY);
        let seq = self.seq;
        self.state.active.insert(key, seq, Some(mark), self.oldest_view);
        self.seq += 1;
        self.sealed_mark = self.mark;
        let full = self.renew_active();
        self.shared.seal(full, End::Published { mark: self.mark, seq });
    }

    /// Slows the writer while the disk is behind: a little at each publish, and a wait only when
    /// memory is at its bound.
    fn hold_back(&mut self) -> Result<(), EngineError> {
        let young = self.shared.young_runs.load(Ordering::Relaxed);
        let delay = match (self.state.sealed.len(), young) {
            (SEALED_LIMIT.., _) => Duration::MAX,
            (3, _) => Duration::from_millis(4),
            (2, _) | (_, 24..) => Duration::from_millis(1),
            (_, 16..) => Duration::from_micros(200),
            (0 | 1, _) => return Ok(()),
        };
        let started = Instant::now();
        if delay == Duration::MAX {
            return self.wait_for_room();
        }
        std::thread::sleep(delay);
        self.note_pause(started);
        Ok(())
    }

    /// Waits until fewer memtables are full than there may be.
    fn wait_for_room(&mut self) -> Result<(), EngineError> {
        let started = Instant::now();
        // The flusher takes them in order, so this one going means that the older ones went.
        let awaited = self.state.sealed[SEALED_LIMIT - 1].id;
        let flushed = |shared: &Shared| shared.take_over().1 >= awaited;
        let flushed = self.shared.wait_while_stuck(DISK_GIVES_UP, flushed);
        self.shared.check()?;
        if !flushed {
            return Err(self.disk_is_stuck());
        }
        self.take_over();
        self.note_pause(started);
        Ok(())
    }

    fn note_pause(&mut self, started: Instant) {
        let pause = started.elapsed();
        self.stats.longest_pause = self.stats.longest_pause.max(pause);
        self.stats.pauses += 1;
        self.stats.paused += pause;
    }

    fn disk_is_stuck(&self) -> EngineError {
        let path = self.state.dir.display();
        let limit = DISK_GIVES_UP.as_secs();
        EngineError(format!("the disk under {path} wrote nothing for {limit} s; check it, restart"))
    }
}

impl EngineRead for LsmEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.state.get(key, u64::MAX)
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a> {
        Box::new(self.state.range(from, to, u64::MAX))
    }
}

impl Engine for LsmEngine {
    type View = View;

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.write(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.write(key, None);
    }

    fn publish(&mut self, mark: u64) -> Result<View, EngineError> {
        assert!(mark >= self.mark, "the mark went back from {} to {mark}", self.mark);
        self.shared.check()?;
        self.stuck.take().map_or(Ok(()), Err)?;
        self.mark = mark;
        self.seq += 1;
        self.dirty = false;
        if self.sync_wanted
            || self.before_spill.is_some()
            || self.state.active.bytes() >= self.options.memtable_bytes
        {
            self.seal();
        }
        self.published_bytes = self.state.active.bytes();
        self.take_over();
        self.pin();
        self.hold_back()?;
        Ok(self.view())
    }

    fn refresh(&mut self) -> Option<View> {
        assert!(!self.dirty, "what is written is published first");
        let seen = self.installs_seen;
        self.take_over();
        (self.installs_seen != seen).then(|| self.view())
    }

    fn request_sync(&mut self) {
        if self.dirty {
            // What is being written belongs to no published state yet.
            self.sync_wanted = true;
        } else {
            self.seal();
        }
    }

    fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }
}

impl Drop for LsmEngine {
    /// Stops the threads. What was not synced is not written: the log has it.
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has left its failure where the writer looks.
            let _ = thread.join();
        }
    }
}

fn read_mark(tables: &super::tables::Tables, dir: &Path) -> Result<u64, StateError> {
    let found = tables.get(MARK_KEY);
    let found = found.map_err(|e| StateError::tables("read the mark in", dir, e))?;
    let Some(bytes) = found.flatten() else { return Ok(0) };
    let bytes: [u8; 8] = bytes[..].try_into().map_err(|_| StateError::Damaged {
        path: dir.to_path_buf(),
        reason: format!("its mark has {} bytes instead of 8", bytes.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// Removes the temporary files of manifest switches that a crash interrupted. The tree itself
/// removes the tables and manifests that nothing names.
fn remove_leftovers(dir: &Path) -> Result<(), StateError> {
    for entry in std::fs::read_dir(dir).map_err(StateError::io("list", dir))? {
        let entry = entry.map_err(StateError::io("list", dir))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(StateError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StateError> {
    let open = std::fs::File::open(dir);
    open.and_then(|file| file.sync_all()).map_err(StateError::io("sync", dir))
}
