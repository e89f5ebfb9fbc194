//! The watchers of one stream, and which of them have something to look at.
//!
//! Official clients put all their watchers on one stream, and most changes concern a few of them. So nobody is asked
//! whether it wants a change: the host says whom it concerns ([`Ear`]). Those are *behind* and will be polled; everybody
//! else has seen everything up to the same revision without being touched, and takes the step when it is named next.

use crate::watch::watcher::Watcher;
use quorate_host::{Ear, Ears};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

/// See the module's essay.
pub struct Crowd {
    watchers: BTreeMap<i64, Watcher>,
    ear: Ear,
    /// Those who may have something to look at, and up to which revision.
    behind: BTreeMap<i64, i64>,
    /// Nothing up to this revision concerns those who are not behind.
    seen: i64,
    /// Where the next turn begins, so that each gets its own.
    resume: i64,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(ears: &Arc<Ears>) -> Crowd {
        let (watchers, behind) = (BTreeMap::new(), BTreeMap::new());
        Crowd { watchers, ear: Ear::new(ears), behind, seen: 0, resume: i64::MIN }
    }

    /// Resolves when somebody may have something to look at.
    pub fn poll_called(&self, context: &mut Context<'_>) -> Poll<()> {
        self.ear.poll_called(context)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Whether an id is one of theirs.
    pub fn contains(&self, id: i64) -> bool {
        self.watchers.contains_key(&id)
    }

    /// The watcher with an id.
    pub fn get_mut(&mut self, id: i64) -> Option<&mut Watcher> {
        self.watchers.get_mut(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Watcher> {
        self.watchers.values()
    }

    /// Adds one that was created when `current` was the newest revision.
    pub fn insert(&mut self, mut watcher: Watcher, current: i64) {
        let id = watcher.id;
        // What begins with the next change has begun: a compaction before its first event does not end it.
        watcher.cursor.skip(current, current);
        self.ear.listen(id, &watcher.cursor.watch().range, watcher.cursor.next());
        self.watchers.insert(id, watcher);
    }

    /// Removes one; false if there is none with this id.
    pub fn remove(&mut self, id: i64) -> bool {
        self.ear.forget(id);
        self.behind.remove(&id);
        self.watchers.remove(&id).is_some()
    }

    /// Takes note of everything up to a revision, which the view shows that they will be polled with.
    pub fn follow(&mut self, revision: i64) {
        let heard = self.ear.take(revision);
        let seen = self.seen;
        for (id, (first, last)) in heard.touched {
            self.fall_behind(id, first - 1, last);
        }
        if heard.all {
            let all: Vec<i64> = self.watchers.keys().copied().collect();
            all.into_iter().for_each(|id| self.fall_behind(id, seen, revision));
        }
        self.seen = revision.max(seen);
    }

    /// One has something to look at up to a revision, and nothing before `idle` unless it is behind already.
    fn fall_behind(&mut self, id: i64, idle: i64, until: i64) {
        let cursor = &mut self.watchers.get_mut(&id).expect("it listens").cursor;
        let known = self.behind.contains_key(&id);
        if !known && cursor.next() <= idle {
            cursor.skip(cursor.next() - 1, idle);
        }
        let end = self.behind.entry(id).or_insert(until);
        *end = until.max(*end);
    }

    /// How many may have something to look at.
    pub fn behind(&self) -> usize {
        self.behind.len()
    }

    /// The next one whose turn it is to look.
    pub fn turn(&mut self) -> Option<i64> {
        let from = self.behind.range(self.resume..).next();
        let (&id, _) = from.or_else(|| self.behind.first_key_value())?;
        self.resume = id.saturating_add(1);
        Some(id)
    }

    /// One has seen everything before a revision.
    pub fn polled(&mut self, id: i64, next: i64) {
        if self.behind.get(&id).is_some_and(|until| next > *until) {
            self.behind.remove(&id);
        }
    }

    /// Whether one has seen everything up to the revision that was followed last, and has begun by then: of one that waits
    /// for the future, no progress is told (items 42 and 51).
    pub fn is_synced(&self, watcher: &Watcher) -> bool {
        watcher.start <= self.seen && !self.behind.contains_key(&watcher.id)
    }

    /// The ids of those who want to hear of progress, have nothing to look at, and were sent nothing since the last time.
    pub fn take_idle(&mut self) -> Vec<i64> {
        let is_idle = |watcher: &&Watcher| {
            watcher.progress_notify && !watcher.active && self.is_synced(watcher)
        };
        let idle = self.iter().filter(is_idle).map(|watcher| watcher.id).collect();
        self.watchers.values_mut().for_each(|watcher| watcher.active = false);
        idle
    }
}
