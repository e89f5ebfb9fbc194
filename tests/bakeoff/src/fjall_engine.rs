//! fjall: the same tree with a journal and workers of its own. A sync is a journal fsync; the noted
//! journal lengths are where a crash image is cut.

use crate::candidate::{CACHE_BYTES, Candidate, MEMTABLE_BYTES, Op, SETTLE_POLL, mark_of};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::path::{Path, PathBuf};

pub struct Fjall {
    db: Database,
    space: Keyspace,
}

impl Fjall {
    pub fn open(dir: &Path) -> Result<Fjall, String> {
        let open = || -> fjall::Result<Fjall> {
            let db = Database::builder(dir)
                .cache_size(CACHE_BYTES)
                .manual_journal_persist(true)
                .worker_threads(1)
                .open()?;
            let space = db.keyspace("data", || {
                KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
            })?;
            Ok(Fjall { db, space })
        };
        open().map_err(|e| format!("{e:?}"))
    }
}

impl Candidate for Fjall {
    fn batch(&mut self, ops: &[Op], mark: u64) {
        let mut batch = self.db.batch();
        for op in ops {
            match op {
                Op::Get(key) => {
                    std::hint::black_box(self.space.get(key).unwrap());
                }
                Op::Put(key, value) => batch.insert(&self.space, key.as_slice(), value.as_slice()),
                Op::Delete(key) => batch.remove(&self.space, key.as_slice()),
            }
        }
        batch.insert(&self.space, "m", mark.to_be_bytes());
        batch.commit().unwrap();
        std::hint::black_box(self.db.snapshot());
    }

    fn sync(&mut self) {
        self.db.persist(PersistMode::SyncAll).unwrap();
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.space.get(key).unwrap().map(|v| v.to_vec())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> usize {
        let pairs = self.space.range(from..to).take(limit);
        pairs.map(|pair| std::hint::black_box(pair.into_inner().unwrap())).count()
    }

    fn dump(&self, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let snapshot = self.db.snapshot();
        let pairs = snapshot.range(&self.space, from..to).map(|pair| pair.into_inner().unwrap());
        pairs.map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
    }

    fn mark(&self) -> u64 {
        self.get(b"m").map_or(0, |v| mark_of(&v))
    }

    fn settle(&mut self) {
        self.space.rotate_memtable().unwrap();
        // Bounded: with one worker its own wait did not end within five minutes.
        for _ in 0..500 {
            if self.space.sealed_memtable_count() == 0 && self.db.active_compactions() == 0 {
                return;
            }
            std::thread::sleep(SETTLE_POLL);
        }
        println!("  (background work did not end within ten seconds)");
    }

    fn sync_note(&self, dir: &Path) -> Vec<(PathBuf, u64)> {
        let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
        let journals = files.filter(|e| e.path().extension().is_some_and(|x| x == "jnl"));
        journals.map(|e| (e.file_name().into(), journal_len(&e.path()))).collect()
    }
}

/// Journals are preallocated with zeros: what was written ends at the last byte that is not zero,
/// found without reading the tail twice.
fn journal_len(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last as u64 + 1)
}
