//! The apply thread: committed entries become state, answers, watch events.
//!
//! It takes whatever is committed, applies it as one batch, publishes one view, and only then
//! answers: whoever reads its own write's answer finds the write. Between batches it does the small
//! steps of a compaction and tells the core what the engine holds durably.

use crate::Failure;
use crate::View;
use crate::fatal::Fatal;
use crate::feed::Feed;
use crate::gate::Gate;
use crate::inbox::Inbox;
use crate::pending::Pending;
use crate::slow::SlowLog;
use crate::stats::Stats;
use arc_swap::ArcSwap;
use quorate_node::{LeaseChange, Request, seats};
use quorate_raft::{self as raft, Entry, Membership, SnapshotMeta};
use quorate_storage::engine::{Generations, LsmEngine, OpenGeneration};
use quorate_store::{
    Action, Applier, Command, Engine, EngineError, Fingerprints, Members, Outcome,
};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Entries applied before a view is published, so that readers and answers never wait long.
const MAX_BATCH: usize = 2_048;

/// A state that has not changed for so long is made durable, so that a restart replays little.
const QUIET_SYNC: Duration = Duration::from_secs(10);

/// How long the thread sleeps when nothing is committed.
const IDLE: Duration = Duration::from_millis(100);

/// A state from the leader that is complete and takes the place of ours.
pub struct Replacement {
    /// What it covers.
    pub meta: SnapshotMeta,
    /// Where it lies.
    pub generation: OpenGeneration,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Entry>,
    replacement: Option<Replacement>,
    stop: bool,
}

/// Committed entries on their way to the state. Bounded by what consensus gives out before it
/// hears that its entries were applied.
#[derive(Default)]
pub struct ApplyQueue {
    queue: Mutex<Queue>,
    more: Condvar,
}

impl ApplyQueue {
    /// Adds committed entries.
    pub fn push(&self, mut entries: Vec<Entry>) {
        let mut queue = self.lock();
        if queue.entries.is_empty() {
            queue.entries = entries;
        } else {
            queue.entries.append(&mut entries);
        }
        drop(queue);
        self.more.notify_one();
    }

    /// Hands over a whole state. Consensus gives out nothing until it hears that it is installed.
    pub fn replace(&self, replacement: Replacement) {
        self.lock().replacement = Some(replacement);
        self.more.notify_one();
    }

    /// Asks the thread to end when everything is applied.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.more.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }

    fn take(&self, patience: Duration) -> Queue {
        let idle = |queue: &mut Queue| {
            queue.entries.is_empty() && queue.replacement.is_none() && !queue.stop
        };
        let wait = self.more.wait_timeout_while(self.lock(), patience, idle);
        let (mut queue, _) = wait.expect("no holder of this lock panics");
        let stop = queue.stop;
        Queue { stop, ..std::mem::take(&mut *queue) }
    }
}

/// What the apply thread shares with the others.
pub struct Outlets {
    /// The newest view.
    pub view: Arc<ArcSwap<View>>,
    /// Local commands that wait for their answers.
    pub pending: Arc<Pending>,
    /// Readers that wait for an index.
    pub gate: Arc<Gate>,
    /// Recent events, encoded for watchers.
    pub feed: Arc<Feed>,
    /// The newest fingerprints, for comparison with other members.
    pub fingerprints: Arc<Mutex<Fingerprints>>,
    /// Tells how far the sweep behind a compaction got.
    pub swept: watch::Sender<i64>,
    /// The core.
    pub inbox: Arc<Inbox>,
    /// Where it counts.
    pub stats: Arc<Stats>,
    /// Who showed a password lately.
    pub tokens: Arc<crate::Tokens>,
    /// What members say of their audit logs.
    pub checkpoints: Arc<crate::audit::Checkpoints>,
    /// Which batches took long.
    pub slow: SlowLog,
    /// Where it ends.
    pub fatal: Fatal,
}

/// The thread's state.
pub struct ApplyThread {
    applier: Applier<LsmEngine>,
    generations: Arc<Mutex<Generations>>,
    outlets: Outlets,
    told_synced: u64,
    told_members: Option<Arc<Members>>,
    changed_at: Instant,
    sync_asked: u64,
    /// A sweep is done and was not asked to be synced yet: no entry of the log tells of it.
    swept: bool,
    sweep_budget: usize,
    /// Replaced states are still on the disk.
    leftovers: bool,
}

impl ApplyThread {
    /// A thread around the state that was found on the disk. Publishes its first view.
    pub fn new(
        applier: Applier<LsmEngine>,
        generations: Arc<Mutex<Generations>>,
        sweep_budget: usize,
        outlets: Outlets,
    ) -> ApplyThread {
        ApplyThread {
            applier,
            generations,
            outlets,
            told_synced: 0,
            told_members: None,
            changed_at: Instant::now(),
            sync_asked: 0,
            swept: false,
            sweep_budget,
            leftovers: false,
        }
    }

    /// Applies until the queue ends. An engine error is the end of the process.
    pub fn run(mut self, queue: Arc<ApplyQueue>) {
        if let Err(error) = self.serve(&queue) {
            self.outlets.fatal.stop(error.to_string());
        }
    }

    fn serve(&mut self, queue: &ApplyQueue) -> Result<(), EngineError> {
        self.tell_all_leases()?;
        self.tell_members();
        loop {
            let sweeping = {
                let view = self.outlets.view.load();
                view.swept() < view.compacted()
            };
            let Queue { entries, replacement, stop } =
                queue.take(if sweeping { Duration::ZERO } else { IDLE });
            if entries.is_empty() {
                if let Some(view) = self.applier.refresh() {
                    self.outlets.view.store(Arc::new(view));
                }
            } else {
                let mut entries = entries.into_iter();
                loop {
                    let batch: Vec<Entry> = entries.by_ref().take(MAX_BATCH).collect();
                    if batch.is_empty() {
                        break;
                    }
                    self.apply(batch)?;
                }
            }
            // A little between any two batches: it must end however busy the member is.
            if sweeping {
                self.sweep()?;
            }
            if let Some(replacement) = replacement {
                self.replace(replacement)?;
            }
            self.tell_synced();
            if self.leftovers {
                self.remove_leftovers()?;
            }
            if stop {
                return Ok(());
            }
        }
    }

    fn apply(&mut self, batch: Vec<Entry>) -> Result<(), EngineError> {
        let begun = Instant::now();
        let last = batch.last().expect("a batch has entries").index;
        let entries = batch.len();
        let mut leases = Vec::new();
        let mut answers = Vec::with_capacity(entries);
        for entry in batch {
            self.apply_one(&entry, &mut leases, &mut answers)?;
            if self.applier.engine().wants_publish() {
                self.publish()?;
            }
        }
        self.publish()?;
        self.tell_members();
        // The core hears of it first: a question about a lease that follows its grant finds it.
        let answered = answers.iter().map(|(seq, _)| *seq).collect();
        let calm = leases.is_empty();
        let applied = Request::Applied { index: last, answered, leases };
        // The core needs this soon, not at once: a wake-up a batch is saved.
        if calm {
            self.outlets.inbox.request_quietly(applied);
        } else {
            self.outlets.inbox.request(applied);
        }
        for (seq, outcome) in answers {
            self.outlets.pending.answer(seq, Ok(outcome));
        }
        self.changed_at = Instant::now();
        let took = begun.elapsed();
        self.outlets.stats.apply.observe(took);
        if self.outlets.slow.is_slow(took) {
            self.outlets.stats.slow_applies.count();
            if let Some(unsaid) = self.outlets.slow.warns() {
                tracing::warn!(
                    ?took,
                    entries,
                    last_index = last,
                    unsaid,
                    "slow to apply log entries"
                );
            }
        }
        Ok(())
    }

    fn apply_one(
        &mut self,
        entry: &Entry,
        leases: &mut Vec<LeaseChange>,
        answers: &mut Vec<(u64, Outcome)>,
    ) -> Result<(), EngineError> {
        if let Some(membership) = Membership::of_payload(&entry.payload) {
            return self.applier.configure(entry.index, entry.term, &membership.encode());
        }
        let command = decode(entry)?;
        let outcome = self.applier.apply(entry.index, entry.term, command.as_ref())?;
        let (Some(command), Some(outcome)) = (command, outcome) else { return Ok(()) };
        if outcome.result.is_ok() {
            self.outlets.stats.applied(&command.action);
            if let Action::AuditCheckpoint { member, records, hash } = &command.action {
                let (member, records, hash) = (*member, *records, hash.clone());
                let told = crate::AuditCheckpoint { member, records, hash, index: entry.index };
                self.outlets.checkpoints.push(told);
            }
            LeaseChange::note(&command.action, entry.term, leases);
        }
        if command.id.origin == self.outlets.pending.origin() && command.id.seq != 0 {
            answers.push((command.id.seq, outcome));
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), EngineError> {
        let published = self.applier.publish()?;
        self.fingerprints().note(published.fingerprints);
        let view = published.view;
        let (applied, _) = view.applied();
        // Events before the view: a watcher that sees the revision finds its events in the ring.
        self.outlets.feed.push(&published.events, &published.unlisted, &view)?;
        // Tokens too: whoever waits for the place that a token names finds it.
        self.outlets.tokens.note(published.tokens);
        let swept = view.swept();
        let rights = |view: &View| (view.auth().enabled(), view.auth().revision());
        let rights_changed = rights(&self.outlets.view.load()) != rights(&view);
        self.outlets.view.store(Arc::new(view));
        self.outlets.gate.open(applied);
        self.outlets.feed.wake();
        if rights_changed {
            // Whoever may not read any more what it watches is told now.
            self.outlets.feed.ears().call_all();
        }
        self.outlets.swept.send_if_modified(|known| std::mem::replace(known, swept) != swept);
        Ok(())
    }

    fn fingerprints(&self) -> std::sync::MutexGuard<'_, Fingerprints> {
        self.outlets.fingerprints.lock().expect("no holder of this lock panics")
    }

    fn sweep(&mut self) -> Result<(), EngineError> {
        self.swept |= self.applier.compact_step(self.sweep_budget)?;
        self.publish()
    }

    /// Switches to the leader's state: the pointer first, then everything that reads.
    fn replace(&mut self, replacement: Replacement) -> Result<(), EngineError> {
        let Replacement { meta, generation } = replacement;
        {
            let mut generations = self.generations.lock().expect("no holder panics");
            let switched = generations.switch(&generation, self.applier.engine());
            switched.map_err(|error| EngineError(error.to_string()))?;
        }
        self.applier = Applier::open(generation.engine, crate::feed::STORE)?;
        let (index, term) = self.applier.applied();
        if (index, term) != (meta.last.index, meta.last.term) {
            let why = format!("the leader's snapshot holds index {index}, not {:?}", meta.last);
            return Err(EngineError(why));
        }
        self.leftovers = true;
        self.fingerprints().clear();
        self.outlets.tokens.forget_all();
        self.outlets.feed.reset(self.applier.revision());
        self.publish()?;
        self.outlets.feed.ears().reset(self.applier.revision());
        self.outlets.inbox.request(Request::Raft(raft::Request::Installed { last: meta.last }));
        self.fail_pending();
        self.tell_members();
        self.tell_all_leases()
    }

    /// The core brings the group to what the table of members says.
    fn tell_members(&mut self) {
        let members = self.applier.members();
        let told = self.told_members.replace(members.clone());
        if told.is_some_and(|told| Arc::ptr_eq(&told, members)) {
            return;
        }
        if let Some(seats) = seats(members) {
            self.outlets.inbox.request(Request::Members(seats));
        }
    }

    /// A replaced state goes when its last reader has gone.
    fn remove_leftovers(&mut self) -> Result<(), EngineError> {
        let mut generations = self.generations.lock().expect("no holder panics");
        let left = generations.remove_replaced();
        self.leftovers = left.map_err(|error| EngineError(error.to_string()))?;
        Ok(())
    }

    /// What became of local commands may have come inside the snapshot, where no answer is: their
    /// callers learn at once that nobody knows.
    fn fail_pending(&self) {
        let unknown = Failure::Timeout;
        let overdue = self.outlets.pending.expire(Instant::now(), Duration::ZERO, &unknown);
        for seq in overdue {
            self.outlets.inbox.request(Request::Forget { seq });
        }
    }

    /// The core's table of leases is rebuilt from the state.
    fn tell_all_leases(&mut self) -> Result<(), EngineError> {
        let view = self.outlets.view.load();
        let leases = vec![LeaseChange::Reset { leases: view.leases()? }];
        let (index, _) = view.applied();
        self.outlets.inbox.request(Request::Applied { index, answered: Vec::new(), leases });
        Ok(())
    }

    fn tell_synced(&mut self) {
        let applied = self.applier.applied().0;
        let engine = self.applier.engine_mut();
        for took in engine.take_flush_times() {
            self.outlets.stats.state_flush.observe(took);
        }
        let synced = engine.synced();
        if synced > self.told_synced {
            self.told_synced = synced;
            engine.note_held(at_most_on_disk(&self.outlets.view.load()));
            self.outlets.inbox.request(Request::Synced { index: synced });
        }
        let quiet = self.changed_at.elapsed() >= QUIET_SYNC;
        let unsynced = applied > synced && applied > self.sync_asked;
        if quiet && (unsynced || self.swept) {
            self.sync_asked = applied;
            self.swept = false;
            engine.note_held(at_most_on_disk(&self.outlets.view.load()));
            engine.request_sync();
        }
    }
}

/// What the state takes in tables at most once nothing else is left in them.
fn at_most_on_disk(view: &View) -> u64 {
    const FOR_A_KEY: u64 = 256;
    const FOR_THE_REST: u64 = 64 << 20;
    2 * view.size().total + view.keys() * FOR_A_KEY + FOR_THE_REST
}

/// The command in a log entry; none in a leader's first one.
///
/// # Errors
/// A release that this one does not know wrote it.
pub fn decode(entry: &Entry) -> Result<Option<Command>, EngineError> {
    if entry.payload.is_empty() {
        return Ok(None);
    }
    let command = quorate_wire::command::decode(&entry.payload);
    // Every member would fail alike: it was written by a release that this one does not know.
    let why = |error| EngineError(format!("log entry {} cannot be read: {error}", entry.index));
    command.map(Some).map_err(why)
}
