//! What every engine is asked for: atomic batches in one ordered space, reads, and a rare sync.
//!
//! The space holds what a strong keyspace holds, told apart by the first byte of a key: `c` the
//! newest version of each key, `h` the older ones, `r` the revision index, `m` the applied mark.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// One step of a batch.
pub enum Op {
    Get(Vec<u8>),
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

/// An engine under trial. One thread calls it; background work is its own affair.
pub trait Candidate {
    /// Applies the operations as one atomic step that carries the mark.
    fn batch(&mut self, ops: &[Op], mark: u64);
    /// Makes everything applied so far durable, and waits for it.
    fn sync(&mut self);
    /// The value at a key, copied out as the wire would.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// Walks at most `limit` pairs of `from..to`; returns how many it saw.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> usize;
    /// Every pair of `from..to`, to compare with the model.
    fn dump(&self, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)>;
    /// The mark of the state it holds.
    fn mark(&self) -> u64;
    /// Waits until background work is done, so that runs can be compared.
    fn settle(&mut self);
    /// What must be noted at a sync so that a crash image can be cut back to it.
    fn sync_note(&self, _dir: &Path) -> Vec<(PathBuf, u64)> {
        Vec::new()
    }
}

pub const NAMES: &[&str] = &[
    "lsm-tree",
    "fjall",
    "redb",
    #[cfg(feature = "ours")]
    "ours",
];

/// Opens an engine by name.
pub fn open(name: &str, dir: &Path) -> Result<Box<dyn Candidate>, String> {
    match name {
        "lsm-tree" => crate::lsm::Lsm::open(dir).map(|e| Box::new(e) as _),
        "fjall" => crate::fjall_engine::Fjall::open(dir).map(|e| Box::new(e) as _),
        "redb" => crate::redb_engine::Redb::open(dir).map(|e| Box::new(e) as _),
        #[cfg(feature = "ours")]
        "ours" => crate::ours::Ours::open(dir).map(|e| Box::new(e) as _),
        other => Err(format!("no engine named {other}; there are {NAMES:?}")),
    }
}

/// What is done to a crash image before opening: fjall's journal is cut at the noted length.
pub fn prepare(name: &str, dir: &Path, note: &[(PathBuf, u64)]) {
    if name != "fjall" {
        return;
    }
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let file = PathBuf::from(entry.file_name());
        if file.extension().is_none_or(|e| e != "jnl") {
            continue;
        }
        match note.iter().find(|(path, _)| *path == file) {
            Some((_, len)) => {
                let open = std::fs::OpenOptions::new().write(true).open(entry.path()).unwrap();
                if open.metadata().unwrap().len() > *len {
                    open.set_len(*len).unwrap();
                }
            }
            None => std::fs::remove_file(entry.path()).unwrap(),
        }
    }
}

/// The memtable and cache sizes every engine is given, so that memory can be compared.
pub const MEMTABLE_BYTES: u64 = 16 << 20;
pub const CACHE_BYTES: u64 = 32 << 20;
pub const SETTLE_POLL: Duration = Duration::from_millis(20);

/// A mark as bytes.
pub fn mark_of(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().expect("a mark is eight bytes"))
}
