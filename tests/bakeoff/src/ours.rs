//! The engine that ships: a memtable and views of our own over lsm-tree's tables.

use crate::candidate::{CACHE_BYTES, Candidate, MEMTABLE_BYTES, Op};
use quorate_storage::engine::{LsmEngine, Options};
use quorate_store::{Engine, EngineRead};
use std::path::Path;
use std::time::Duration;

pub struct Ours {
    engine: LsmEngine,
}

impl Ours {
    pub fn open(dir: &Path) -> Result<Ours, String> {
        let options = Options {
            memtable_bytes: MEMTABLE_BYTES as usize,
            cache_bytes: CACHE_BYTES,
            ..Options::small()
        };
        let engine = LsmEngine::open(dir, options).map_err(|e| e.to_string())?;
        Ok(Ours { engine })
    }
}

impl Candidate for Ours {
    fn batch(&mut self, ops: &[Op], mark: u64) {
        for op in ops {
            match op {
                Op::Get(key) => {
                    std::hint::black_box(self.engine.get(key).unwrap());
                }
                Op::Put(key, value) => self.engine.put(key, value),
                Op::Delete(key) => self.engine.delete(key),
            }
        }
        std::hint::black_box(self.engine.publish(mark).unwrap());
    }

    fn sync(&mut self) {
        self.engine.sync().unwrap();
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.engine.view().get(key).unwrap().map(|v| v.to_vec())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> usize {
        let view = self.engine.view();
        let pairs = view.range(from, Some(to)).take(limit);
        pairs.map(|pair| std::hint::black_box(pair.unwrap())).count()
    }

    fn dump(&self, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pairs = self.engine.range(from, Some(to)).map(|pair| pair.unwrap());
        pairs.map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
    }

    fn mark(&self) -> u64 {
        self.engine.mark()
    }

    fn settle(&mut self) {
        self.engine.sync().unwrap();
        assert!(self.engine.wait_quiet(Duration::from_secs(120)));
        // The files that a merge replaced are unlinked a moment after nobody reads them.
        std::thread::sleep(Duration::from_millis(500));
    }
}
