//! Who wants to hear of which keys.
//!
//! A member may have a hundred thousand watchers of which one change concerns three. So a change is not
//! cried out to all of them: its keys are looked up among what is watched ([`Interests`]), and only the
//! streams of those who are found are woken, each with the numbers of its watchers and the revisions that
//! concern them. A revision that concerns nobody costs its look-up and wakes nobody.
//!
//! *Nothing is missed between a look at the state and the first word.* Changes are announced under the
//! lock that [`Ear::listen`] takes, which says from where on a watcher wants to hear: what was announced
//! by then concerns it, whatever it is. Changes are announced before the state shows them and told
//! ([`Ears::call`]) after.

use bytes::Bytes;
use quorate_store::{Event, Interests, KeyRange, Unlisted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

/// The first and the last revision that concern a watcher since it was told last.
pub type Span = (i64, i64);

/// What a stream has not been told yet.
#[derive(Default)]
struct News {
    touched: BTreeMap<i64, Span>,
    /// The state was replaced: everybody must look for itself.
    all: bool,
    /// The state shows it, or the stream has another reason to look.
    called: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Mailbox(Mutex<News>);

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) {
        let waker = {
            let mut news = self.lock();
            news.called = true;
            news.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[derive(Default)]
struct Index {
    /// By stream and watcher.
    interests: Interests<(u64, i64)>,
    streams: BTreeMap<u64, Arc<Mailbox>>,
    next: u64,
    /// The newest revision that was announced.
    announced: i64,
    /// Streams that were found and not called yet.
    found: BTreeMap<u64, Arc<Mailbox>>,
}

impl Index {
    /// Notes that a revision concerns these, and empties the list.
    fn note(&mut self, revision: i64, concerned: &mut Vec<(u64, i64)>) {
        let Index { streams, announced, found, .. } = self;
        *announced = revision.max(*announced);
        for group in concerned.chunk_by(|a, b| a.0 == b.0) {
            let stream = group[0].0;
            let mailbox = streams.get(&stream).expect("it has interests");
            found.entry(stream).or_insert_with(|| mailbox.clone());
            let mut news = mailbox.lock();
            for (_, watcher) in group {
                let span = news.touched.entry(*watcher).or_insert((revision, revision));
                *span = (revision.min(span.0), revision.max(span.1));
            }
        }
        concerned.clear();
    }
}

/// All watchers of a member, by what they watch.
pub struct Ears(RwLock<Index>);

impl Ears {
    /// Nobody listens yet; what is announced comes after `revision`.
    pub fn after(revision: i64) -> Ears {
        Ears(RwLock::new(Index { announced: revision, ..Index::default() }))
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whom these changes concern.
    pub fn announce(&self, events: &[Event]) {
        let mut index = self.write();
        let mut concerned: Vec<(u64, i64)> = Vec::new();
        for event in events {
            index.interests.each(&event.kv.key, |who| concerned.push(who));
            index.note(event.kv.mod_revision, &mut concerned);
        }
    }

    /// Notes that there is a revision whose changes are not listed; true when somebody listens to keys
    /// between its first and its last, and [`Ears::announce_keys`] has to be told of each.
    pub fn announce_unlisted(&self, named: &Unlisted) -> bool {
        let mut index = self.write();
        index.announced = named.revision.max(index.announced);
        let mut is_heard = false;
        index.interests.each_between(&named.first, &named.last, |_| is_heard = true);
        is_heard
    }

    /// Notes whom changes of these keys in a revision concern.
    pub fn announce_keys(&self, revision: i64, keys: &[Bytes]) {
        let mut index = self.write();
        let mut concerned = BTreeSet::new();
        for key in keys {
            index.interests.each(key, |who| _ = concerned.insert(who));
        }
        index.note(revision, &mut concerned.into_iter().collect());
    }

    /// Wakes those whom the announced changes concern: the state shows them now.
    pub fn call(&self) {
        let found = {
            let read = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if read.found.is_empty() {
                return;
            }
            drop(read);
            std::mem::take(&mut self.write().found)
        };
        found.values().for_each(|mailbox| mailbox.call());
    }

    /// Wakes every stream: what its watchers may see is another.
    pub fn call_all(&self) {
        let streams: Vec<_> = self.write().streams.values().cloned().collect();
        streams.iter().for_each(|mailbox| mailbox.call());
    }

    /// The state was replaced by one of this revision, and shows it: nobody was told what lies between.
    pub fn reset(&self, revision: i64) {
        let mut index = self.write();
        index.announced = revision;
        let streams: Vec<_> = index.streams.values().cloned().collect();
        drop(index);
        for mailbox in streams {
            mailbox.lock().all = true;
            mailbox.call();
        }
    }
}

/// What a stream is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    /// Watchers, and what concerns them.
    pub touched: Vec<(i64, Span)>,
    /// Everybody must look for itself.
    pub all: bool,
}

/// The watchers of one stream. Dropped, it hears nothing any more.
pub struct Ear {
    ears: Arc<Ears>,
    stream: u64,
    mailbox: Arc<Mailbox>,
    watched: BTreeMap<i64, KeyRange>,
}

impl Ear {
    /// A stream without watchers.
    pub fn new(ears: &Arc<Ears>) -> Ear {
        let mailbox = Arc::new(Mailbox::default());
        let mut index = ears.write();
        let stream = index.next;
        index.next += 1;
        index.streams.insert(stream, mailbox.clone());
        drop(index);
        Ear { ears: ears.clone(), stream, mailbox, watched: BTreeMap::new() }
    }

    /// Hears of this range, under a number that is not in use, from a revision on.
    pub fn listen(&mut self, watcher: i64, range: &KeyRange, from: i64) {
        self.watched.insert(watcher, range.clone());
        let mut index = self.ears.write();
        index.interests.add(range, (self.stream, watcher));
        let announced = index.announced;
        if announced >= from {
            // The state may not show it yet: then it is called once more.
            index.found.insert(self.stream, self.mailbox.clone());
            drop(index);
            self.mailbox.lock().touched.insert(watcher, (from, announced));
        }
    }

    /// Hears of this watcher's range no more.
    pub fn forget(&mut self, watcher: i64) {
        if let Some(range) = self.watched.remove(&watcher) {
            self.ears.write().interests.remove(&range, (self.stream, watcher));
            self.mailbox.lock().touched.remove(&watcher);
        }
    }

    /// Resolves when there is something to hear, or another reason to look.
    pub fn poll_called(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut news = self.mailbox.lock();
        if std::mem::take(&mut news.called) {
            return Poll::Ready(());
        }
        news.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// What concerns its watchers up to a revision, which the state shows. What comes after it is kept.
    pub fn take(&self, revision: i64) -> Heard {
        let mut news = self.mailbox.lock();
        let mut touched = Vec::new();
        news.touched.retain(|watcher, (first, last)| {
            if *first > revision {
                return true;
            }
            touched.push((*watcher, (*first, revision.min(*last))));
            *first = revision + 1;
            *last >= *first
        });
        Heard { touched, all: std::mem::take(&mut news.all) }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut index = self.ears.write();
        for (watcher, range) in &self.watched {
            index.interests.remove(range, (self.stream, *watcher));
        }
        index.streams.remove(&self.stream);
        index.found.remove(&self.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_store::KeyValue;

    fn put(key: &'static str, revision: i64) -> Event {
        let kv = KeyValue { key: key.into(), mod_revision: revision, ..KeyValue::default() };
        Event { delete: false, kv, prev: None }
    }

    fn is_called(ear: &Ear) -> bool {
        ear.poll_called(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn only_those_who_are_concerned_are_woken_and_told_what_concerns_them() {
        let ears = Arc::new(Ears::after(1));
        let (mut one, mut other) = (Ear::new(&ears), Ear::new(&ears));
        one.listen(1, &KeyRange::single("a"), 2);
        one.listen(2, &KeyRange::prefix("a"), 2);
        other.listen(1, &KeyRange::single("b"), 2);
        ears.announce(&[put("a", 2), put("ab", 3), put("a", 4)]);
        // The state does not show it yet.
        assert!(!is_called(&one));
        ears.call();
        assert!(is_called(&one) && !is_called(&one) && !is_called(&other));
        // A look at an older state leaves what it does not show.
        assert_eq!(one.take(1), Heard::default());
        assert_eq!(one.take(3).touched, [(1, (2, 3)), (2, (2, 3))]);
        assert_eq!(one.take(9).touched, [(1, (4, 4)), (2, (4, 4))]);
        assert_eq!(one.take(9), Heard::default());
        // Who comes now, having looked at the state before all of this, must look again.
        other.listen(2, &KeyRange::single("x"), 2);
        other.listen(3, &KeyRange::single("a"), 5);
        assert_eq!(other.take(4).touched, [(2, (2, 4))]);
        one.forget(1);
        ears.announce(&[put("a", 5)]);
        assert_eq!(one.take(5).touched, [(2, (5, 5))]);
        drop(one);
        ears.call();
        assert!(is_called(&other));
        assert_eq!(other.take(5).touched, [(3, (5, 5))]);
    }

    #[test]
    fn a_revision_that_is_not_listed_is_told_key_by_key_to_those_whom_it_may_concern() {
        let ears = Arc::new(Ears::after(1));
        let mut ear = Ear::new(&ears);
        ear.listen(1, &KeyRange::single("b5"), 2);
        ear.listen(2, &KeyRange::prefix("b"), 2);
        ear.listen(3, &KeyRange::prefix("d"), 2);
        ear.listen(4, &KeyRange::prefix("b7"), 2);
        let named = |first: &'static str, last: &'static str| Unlisted {
            revision: 3,
            first: first.into(),
            last: last.into(),
        };
        ears.announce(&[put("d", 2), put("b5", 4)]);
        assert!(!ears.announce_unlisted(&named("x", "z")));
        assert!(ears.announce_unlisted(&named("a", "c")));
        ears.announce_keys(3, &["a".into(), "b5".into()]);
        ears.announce_keys(3, &["b6".into(), "c".into()]);
        ears.call();
        assert_eq!(ear.take(9).touched, [(1, (3, 4)), (2, (3, 4)), (3, (2, 2))]);
    }

    #[test]
    fn a_replaced_state_is_looked_at_by_all() {
        let ears = Arc::new(Ears::after(1));
        let mut ear = Ear::new(&ears);
        ear.listen(7, &KeyRange::single("a"), 2);
        ears.reset(90);
        assert!(is_called(&ear) && ear.take(90).all && !ear.take(90).all);
        ears.call_all();
        assert!(is_called(&ear));
        assert_eq!(ear.take(90), Heard::default());
    }
}
