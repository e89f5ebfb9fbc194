//! What everybody agrees on while the storm lasts: what was acknowledged, and what was seen.
//!
//! Writers raise the *floors* when an answer has come; readers look at the floors before they ask.
//! So whatever a linearizable read answers must be at or above the floor it started from. Watchers
//! put what they see into one common list of revisions: the first to come writes it down, the others
//! must have seen the very same.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::links::MEMBERS;

/// How many writers there are; each owns some keys.
pub const WRITERS: usize = 4;
/// How long the cluster may take to acknowledge something once a quorum of it is well.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);

/// What is shared between all that happens in the storm.
#[derive(Default)]
pub struct History {
    /// The greatest revision that an acknowledged write had.
    floor: AtomicI64,
    /// By writer: the revision of its last acknowledged pair.
    pairs: [AtomicI64; WRITERS],
    /// How many writes were acknowledged.
    acknowledged: AtomicU64,
    /// By member: twice how often it was killed, and one more while it is being killed.
    lives: [AtomicU64; MEMBERS],
    /// By revision: its changes, in order.
    changes: Mutex<BTreeMap<i64, Vec<String>>>,
    stopped: AtomicBool,
}

impl History {
    /// Remembers that a write was acknowledged, with its revision; of a pair also whose it was.
    pub fn acknowledge(&self, revision: i64, pair_of: Option<usize>) {
        self.floor.fetch_max(revision, Ordering::SeqCst);
        if let Some(writer) = pair_of {
            self.pairs[writer].fetch_max(revision, Ordering::SeqCst);
        }
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    /// No linearizable read that starts from now on may answer from before this revision.
    pub fn floor(&self) -> i64 {
        self.floor.load(Ordering::SeqCst)
    }

    /// No linearizable read that starts from now on may find a writer's register older than this.
    /// (Its number may be smaller: a pair whose answer did not come can happen late.)
    pub fn last_pair(&self, writer: usize) -> i64 {
        self.pairs[writer].load(Ordering::SeqCst)
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until `count` more writes are acknowledged than `before`.
    pub async fn until_acknowledged(&self, before: u64, count: u64, why: &str) {
        let begun = Instant::now();
        while self.acknowledged() < before + count {
            assert!(begun.elapsed() < PROGRESS_LIMIT, "no progress in {PROGRESS_LIMIT:?}: {why}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Remembers that a member is about to be killed: it may come back with less applied.
    pub fn dies(&self, member: usize) {
        let before = self.lives[member].fetch_add(1, Ordering::SeqCst);
        assert!(before.is_multiple_of(2), "n{} is being killed already", member + 1);
    }

    /// Remembers that a member is dead: what it answers from now on is of its next life.
    pub fn is_dead(&self, member: usize) {
        let before = self.lives[member].fetch_add(1, Ordering::SeqCst);
        assert!(!before.is_multiple_of(2), "n{} was not being killed", member + 1);
    }

    /// Which life of a member this is; nothing while it is being killed, when it may be either.
    pub fn life(&self, member: usize) -> Option<u64> {
        let life = self.lives[member].load(Ordering::SeqCst);
        life.is_multiple_of(2).then_some(life)
    }

    /// Remembers what a watcher saw at a revision, and fails if another saw something else.
    pub fn saw(&self, revision: i64, changes: Vec<String>, who: &str) {
        let mut all = self.changes.lock().expect("no holder of this lock panics");
        match all.get(&revision) {
            Some(known) if *known == changes => {}
            Some(known) => {
                let known = known.clone();
                drop(all);
                panic!("{who} saw {changes:?} at revision {revision}, another saw {known:?}");
            }
            None => drop(all.insert(revision, changes)),
        }
    }

    /// Everything that was seen, by revision.
    pub fn changes(&self) -> BTreeMap<i64, Vec<String>> {
        self.changes.lock().expect("no holder of this lock panics").clone()
    }

    /// Asks writers and readers to end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// True when writers and readers should end.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}
