//! The `lsm-tree` crate as it comes: its own memtable and sequence numbers, one thread that flushes
//! and compacts. A sync is a rotation and a flush.

use crate::candidate::{CACHE_BYTES, Candidate, MEMTABLE_BYTES, Op, SETTLE_POLL, mark_of};
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, Guard, SequenceNumberCounter};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

pub struct Lsm {
    tree: AnyTree,
    seqno: SequenceNumberCounter,
    visible: Arc<AtomicU64>,
    wake: Option<Sender<()>>,
    worker: Option<std::thread::JoinHandle<()>>,
    busy: Arc<AtomicBool>,
}

impl Lsm {
    pub fn open(dir: &Path) -> Result<Lsm, String> {
        let seqno = SequenceNumberCounter::default();
        let tree = Config::new(dir, seqno.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::new(Cache::with_capacity_bytes(CACHE_BYTES)))
            .open()
            .map_err(|e| format!("{e:?}"))?;
        seqno.set(tree.get_highest_persisted_seqno().map_or(1, |s| s + 1));
        let visible = Arc::new(AtomicU64::new(seqno.get()));
        let busy = Arc::new(AtomicBool::new(false));
        let (wake, asleep) = channel::<()>();
        let worker = std::thread::spawn({
            let (tree, visible, busy) = (tree.clone(), visible.clone(), busy.clone());
            move || {
                let strategy = Arc::new(
                    lsm_tree::compaction::Leveled::default().with_table_target_size(16 << 20),
                );
                while asleep.recv().is_ok() {
                    let watermark = visible.load(Ordering::SeqCst);
                    {
                        let lock = tree.get_flush_lock();
                        tree.flush(&lock, watermark).expect("flush");
                    }
                    for _ in 0..8 {
                        let before = tree.current_version().id();
                        tree.compact(strategy.clone(), watermark).expect("compact");
                        if tree.current_version().id() == before {
                            break;
                        }
                    }
                    busy.store(false, Ordering::SeqCst);
                }
            }
        });
        Ok(Lsm { tree, seqno, visible, wake: Some(wake), worker: Some(worker), busy })
    }

    fn now(&self) -> u64 {
        self.visible.load(Ordering::SeqCst)
    }
}

impl Candidate for Lsm {
    fn batch(&mut self, ops: &[Op], mark: u64) {
        let seqno = self.seqno.next();
        let mut size = 0;
        for op in ops {
            match op {
                Op::Get(key) => {
                    std::hint::black_box(self.tree.get(key, u64::MAX).unwrap());
                }
                Op::Put(key, value) => {
                    size = self.tree.insert(key.as_slice(), value.as_slice(), seqno).1
                }
                Op::Delete(key) => size = self.tree.remove(key.as_slice(), seqno).1,
            }
        }
        self.tree.insert("m", mark.to_be_bytes(), seqno);
        self.visible.store(seqno + 1, Ordering::SeqCst);
        if size > MEMTABLE_BYTES {
            self.tree.rotate_memtable();
            self.busy.store(true, Ordering::SeqCst);
            self.wake.as_ref().unwrap().send(()).unwrap();
            while self.tree.sealed_memtable_count() > 3 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }

    fn sync(&mut self) {
        self.tree.rotate_memtable();
        let lock = self.tree.get_flush_lock();
        self.tree.flush(&lock, self.now()).unwrap();
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.tree.get(key, self.now()).unwrap().map(|v| v.to_vec())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> usize {
        let pairs = self.tree.range(from..to, self.now(), None).take(limit);
        pairs.map(|pair| std::hint::black_box(pair.into_inner().unwrap())).count()
    }

    fn dump(&self, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pairs = self.tree.range(from..to, self.now(), None);
        let pairs = pairs.map(|pair| pair.into_inner().unwrap());
        pairs.map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
    }

    fn mark(&self) -> u64 {
        self.get(b"m").map_or(0, |v| mark_of(&v))
    }

    fn settle(&mut self) {
        self.sync();
        self.busy.store(true, Ordering::SeqCst);
        self.wake.as_ref().unwrap().send(()).unwrap();
        while self.busy.load(Ordering::SeqCst) {
            std::thread::sleep(SETTLE_POLL);
        }
    }
}

impl Drop for Lsm {
    fn drop(&mut self) {
        self.wake.take();
        self.worker.take().unwrap().join().unwrap();
    }
}
