//! redb: a copy-on-write B-tree in one file. Commits are not durable; a sync is one that is.

use crate::candidate::{CACHE_BYTES, Candidate, Op, mark_of};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;

const DATA: TableDefinition<&[u8], &[u8]> = TableDefinition::new("data");

pub struct Redb {
    db: Database,
}

impl Redb {
    pub fn open(dir: &Path) -> Result<Redb, String> {
        std::fs::create_dir_all(dir).map_err(|e| e.to_string())?;
        let mut builder = Database::builder();
        builder.set_cache_size((CACHE_BYTES + 16 * 1024 * 1024) as usize);
        let db = builder.create(dir.join("db")).map_err(|e| format!("{e:?}"))?;
        let start = db.begin_write().map_err(|e| format!("{e:?}"))?;
        start.open_table(DATA).map_err(|e| format!("{e:?}"))?;
        start.commit().map_err(|e| format!("{e:?}"))?;
        Ok(Redb { db })
    }
}

impl Candidate for Redb {
    fn batch(&mut self, ops: &[Op], mark: u64) {
        let mut txn = self.db.begin_write().unwrap();
        txn.set_durability(Durability::None).unwrap();
        {
            let mut table = txn.open_table(DATA).unwrap();
            for op in ops {
                match op {
                    Op::Get(key) => {
                        let value = table.get(key.as_slice()).unwrap().map(|v| v.value().to_vec());
                        std::hint::black_box(value);
                    }
                    Op::Put(key, value) => {
                        table.insert(key.as_slice(), value.as_slice()).unwrap();
                    }
                    Op::Delete(key) => {
                        table.remove(key.as_slice()).unwrap();
                    }
                }
            }
            table.insert(b"m".as_slice(), mark.to_be_bytes().as_slice()).unwrap();
        }
        txn.commit().unwrap();
        std::hint::black_box(self.db.begin_read().unwrap());
    }

    fn sync(&mut self) {
        self.db.begin_write().unwrap().commit().unwrap();
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let table = self.db.begin_read().unwrap().open_table(DATA).unwrap();
        table.get(key).unwrap().map(|v| v.value().to_vec())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> usize {
        let table = self.db.begin_read().unwrap().open_table(DATA).unwrap();
        let pairs = table.range(from..to).unwrap().take(limit);
        pairs.map(|pair| std::hint::black_box(pair.unwrap().1.value().to_vec())).count()
    }

    fn dump(&self, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let table = self.db.begin_read().unwrap().open_table(DATA).unwrap();
        let pairs = table.range(from..to).unwrap().map(|pair| pair.unwrap());
        pairs.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())).collect()
    }

    fn mark(&self) -> u64 {
        self.get(b"m").map_or(0, |v| mark_of(&v))
    }

    fn settle(&mut self) {
        self.sync();
    }
}
