//! An engine in memory that loses what a real one may lose.
//!
//! Everything published since the last completed sync is kept as its own state, so a crash can
//! open at any of them: that is exactly the freedom the [`Engine`] contract gives. What was written
//! but not published is always lost. The simulator and the tests run on it.

use crate::tree::{Tree, Walk};
use crate::{Engine, EngineError, EngineRead, Pair};
use bytes::Bytes;
use quorate_base::Dice;

/// One published state.
#[derive(Clone, Debug)]
pub struct MemView {
    tree: Tree,
}

/// The engine.
#[derive(Clone, Debug)]
pub struct MemEngine {
    working: Tree,
    /// The last synced state, then what was published after it, with their marks.
    published: Vec<(u64, Tree)>,
    /// How many of `published` the sync under way covers; 0 when there is none.
    syncing: usize,
    /// True when a sync is done as soon as it is asked for.
    instant_sync: bool,
}

impl Default for MemEngine {
    fn default() -> MemEngine {
        MemEngine::new()
    }
}

impl MemEngine {
    /// An empty engine whose syncs are done as soon as they are asked for.
    pub fn new() -> MemEngine {
        let tree = Tree::new();
        let published = vec![(0, tree.clone())];
        MemEngine { working: tree, published, syncing: 0, instant_sync: true }
    }

    /// An empty engine whose syncs are done when [`finish_sync`](MemEngine::finish_sync) says so.
    pub fn with_manual_sync() -> MemEngine {
        MemEngine { instant_sync: false, ..MemEngine::new() }
    }

    /// The sync that was asked for last is done; does nothing when there is none.
    pub fn finish_sync(&mut self) {
        if self.syncing > 0 {
            self.published.drain(..self.syncing - 1);
            self.syncing = 0;
        }
    }

    /// The power fails: the engine as it opens afterwards, at the last synced mark or at any state
    /// published after it, as the dice say. All it holds then is durable.
    pub fn crash(self, dice: &mut Dice) -> MemEngine {
        let pick = dice.below(self.published.len() as u64) as usize;
        let (mark, tree) = self.published.into_iter().nth(pick).expect("picked among them");
        let instant_sync = self.instant_sync;
        MemEngine { working: tree.clone(), published: vec![(mark, tree)], syncing: 0, instant_sync }
    }

    /// The last published mark.
    pub fn published(&self) -> u64 {
        self.published.last().expect("never empty").0
    }
}

fn walk<'a>(walk: Walk<'a>) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a> {
    Box::new(walk.map(Ok))
}

impl EngineRead for MemView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.tree.get(key).cloned())
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a> {
        walk(self.tree.range(from, to))
    }
}

impl EngineRead for MemEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.working.get(key).cloned())
    }

    fn range<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + 'a> {
        walk(self.working.range(from, to))
    }
}

impl Engine for MemEngine {
    type View = MemView;

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.working.insert(key, Bytes::copy_from_slice(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.working.remove(key);
    }

    fn publish(&mut self, mark: u64) -> Result<MemView, EngineError> {
        assert!(mark >= self.published(), "a mark goes back: {mark} < {}", self.published());
        self.published.push((mark, self.working.clone()));
        Ok(MemView { tree: self.working.clone() })
    }

    fn request_sync(&mut self) {
        self.syncing = self.published.len();
        if self.instant_sync {
            self.finish_sync();
        }
    }

    fn synced(&self) -> u64 {
        self.published[0].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_crash_opens_at_the_synced_state_or_any_later_published_one() {
        let mut engine = MemEngine::with_manual_sync();
        for mark in 1..=6u64 {
            engine.put(b"mark", &mark.to_be_bytes());
            engine.publish(mark).unwrap();
            match mark {
                2 => engine.request_sync(),
                // Done now, but it covers only what was published when it was asked for.
                4 => engine.finish_sync(),
                _other => {}
            }
        }
        engine.put(b"mark", b"never published");
        assert_eq!((engine.synced(), engine.published()), (2, 6));
        let mut opened = BTreeSet::new();
        for seed in 0..200 {
            let after = engine.clone().crash(&mut Dice::new(seed));
            let value = after.get(b"mark").unwrap().unwrap();
            assert_eq!(value[..], after.synced().to_be_bytes());
            assert_eq!(after.synced(), after.published());
            opened.insert(after.synced());
        }
        assert_eq!(opened, BTreeSet::from([2, 3, 4, 5, 6]));
    }

    #[test]
    fn an_instant_sync_leaves_a_crash_no_choice() {
        let mut engine = MemEngine::new();
        engine.put(b"a", b"1");
        engine.publish(1).unwrap();
        engine.request_sync();
        let after = engine.crash(&mut Dice::new(1));
        assert_eq!((after.synced(), after.get(b"a").unwrap()), (1, Some(Bytes::from_static(b"1"))));
    }
}
