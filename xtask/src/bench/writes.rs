//! Puts, and the book in which every acknowledged one is kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::request_op::Request;
use quorate_wire::etcd::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use quorate_wire::etcd::mvccpb::KeyValue;
use tonic::Status;

use super::connection::Connection;
use super::dataset::{Dice, Keys, PREFIX, PREFIX_END, Values, serial_of};
use super::failure::{Failure, Result, rpc_failure};
use super::load::{Client, Step};

/// Puts per transaction while preloading; etcd accepts at most 128.
const PRELOAD_BATCH: usize = 100;

/// Keys per page while reading everything back.
const PAGE: i64 = 1000;

/// What has been acknowledged for one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// How many puts.
    acknowledged: i64,
    /// Revision of the newest of them.
    revision: i64,
    /// Serial of the value that this one wrote.
    serial: u64,
}

/// Every acknowledged put, by key.
#[derive(Clone)]
pub struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Ledger {
    /// An empty book for so many keys.
    pub fn new(keys: usize) -> Self {
        Self { entries: Arc::new(Mutex::new(vec![Entry::default(); keys])) }
    }

    /// Notes an acknowledged put. Acknowledgements arrive in any order; the revision tells which put was the later one.
    pub fn acknowledge(&self, key: usize, revision: i64, serial: u64) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = &mut entries[key];
        entry.acknowledged += 1;
        if revision > entry.revision {
            entry.revision = revision;
            entry.serial = serial;
        }
    }

    /// Puts acknowledged so far.
    pub fn acknowledged(&self) -> i64 {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|entry| entry.acknowledged).sum()
    }

    /// Compares what is stored with the book; an error names the first key that has lost something.
    ///
    /// A put whose answer was cut off may have happened: newer revisions and more versions than in the book are right.
    pub fn check(&self, stored: &[KeyValue]) -> std::result::Result<(), String> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = vec![false; entries.len()];
        for pair in stored {
            let Some(number) = Keys::number_of(&pair.key) else { continue };
            let Some(entry) = entries.get(number) else { continue };
            found[number] = true;
            compare(entry, pair).map_err(|loss| format!("key {number}: {loss}"))?;
        }
        let missing =
            entries.iter().zip(&found).position(|(entry, &found)| entry.acknowledged > 0 && !found);
        match missing {
            Some(number) => Err(format!("key {number} is gone: {:?}", entries[number])),
            None => Ok(()),
        }
    }
}

/// The version counts every put of a key since it was created, so a put lost in the middle of its history shows there.
fn compare(entry: &Entry, pair: &KeyValue) -> std::result::Result<(), String> {
    if pair.mod_revision < entry.revision {
        return Err(format!(
            "acknowledged at revision {}, found at {}",
            entry.revision, pair.mod_revision
        ));
    }
    if pair.mod_revision == entry.revision && serial_of(&pair.value) != Some(entry.serial) {
        return Err(format!("revision {} holds another value than acknowledged", entry.revision));
    }
    if pair.version < entry.acknowledged {
        return Err(format!(
            "{} puts acknowledged, version is {}",
            entry.acknowledged, pair.version
        ));
    }
    Ok(())
}

/// Puts uniformly chosen keys.
pub struct Putter {
    /// Where to.
    pub kv: KvClient<Connection>,
    /// Which keys.
    pub keys: Keys,
    /// How many of them.
    pub count: usize,
    /// Which values.
    pub values: Arc<Values>,
    /// Where acknowledged puts are noted.
    pub ledger: Ledger,
    /// What chooses.
    pub dice: Dice,
}

impl Client for Putter {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let number = self.dice.below(self.count);
        let (value, serial) = self.values.next();
        let request = PutRequest { key: self.keys.get(number), value, ..PutRequest::default() };
        let answer = self.kv.put(request).await?.into_inner();
        self.ledger.acknowledge(number, revision_of(answer.header)?, serial);
        Ok(Step::Done)
    }
}

/// Writes the initial keys, a batch per transaction.
pub struct Preloader {
    /// Where to.
    pub kv: KvClient<Connection>,
    /// Which keys.
    pub keys: Keys,
    /// How many of them.
    pub count: usize,
    /// Which values.
    pub values: Arc<Values>,
    /// Where acknowledged puts are noted.
    pub ledger: Ledger,
    /// Next key to write; shared by all preloaders.
    pub next: Arc<AtomicUsize>,
}

impl Client for Preloader {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let first = self.next.fetch_add(PRELOAD_BATCH, Ordering::Relaxed);
        if first >= self.count {
            return Ok(Step::Exhausted);
        }
        let batch = first..self.count.min(first + PRELOAD_BATCH);
        let mut serials = Vec::with_capacity(PRELOAD_BATCH);
        let mut success = Vec::with_capacity(PRELOAD_BATCH);
        for number in batch.clone() {
            let (value, serial) = self.values.next();
            serials.push(serial);
            success.push(put_operation(PutRequest {
                key: self.keys.get(number),
                value,
                ..PutRequest::default()
            }));
        }
        let request = TxnRequest { success, ..TxnRequest::default() };
        let revision = revision_of(self.kv.txn(request).await?.into_inner().header)?;
        for (number, serial) in batch.zip(serials) {
            self.ledger.acknowledge(number, revision, serial);
        }
        Ok(Step::Done)
    }
}

/// A put as a step of a transaction.
pub fn put_operation(put: PutRequest) -> RequestOp {
    RequestOp { request: Some(Request::RequestPut(put)) }
}

/// The revision in an answer's header.
pub fn revision_of(
    header: Option<quorate_wire::etcd::etcdserverpb::ResponseHeader>,
) -> std::result::Result<i64, Status> {
    let header = header.ok_or_else(|| Status::internal("an answer without a header"))?;
    Ok(header.revision)
}

/// Reads every key of the bench, page by page, each page linearizable.
pub async fn read_everything(connection: &Connection) -> Result<Vec<KeyValue>> {
    let mut kv = connection.kv();
    let mut found: Vec<KeyValue> = Vec::new();
    let mut key: Vec<u8> = PREFIX.into();
    loop {
        let request = RangeRequest {
            key: key.clone().into(),
            range_end: PREFIX_END.into(),
            limit: PAGE,
            ..RangeRequest::default()
        };
        let page = kv.range(request).await.map_err(rpc_failure("read back a page"))?.into_inner();
        let more = page.more;
        found.extend(page.kvs);
        if !more {
            return Ok(found);
        }
        let last = found
            .last()
            .ok_or_else(|| Failure::Wrong("an empty page says that more keys follow".into()))?;
        // The least key above another is that key with a zero byte behind it.
        key.clear();
        key.extend_from_slice(&last.key);
        key.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::dataset::Shape;

    fn stored(number: usize, revision: i64, version: i64, serial: u64) -> KeyValue {
        let keys = Keys::new(Shape { keys: 10, key_bytes: 16, value_bytes: 16 });
        KeyValue {
            key: keys.get(number),
            mod_revision: revision,
            version,
            value: serial.to_le_bytes().to_vec().into(),
            ..KeyValue::default()
        }
    }

    fn ledger() -> Ledger {
        let ledger = Ledger::new(10);
        ledger.acknowledge(3, 8, 101);
        ledger.acknowledge(3, 7, 100);
        ledger
    }

    #[test]
    fn what_was_acknowledged_or_newer_passes() {
        assert_eq!(ledger().acknowledged(), 2);
        assert_eq!(ledger().check(&[stored(3, 8, 2, 101)]), Ok(()));
        assert_eq!(ledger().check(&[stored(3, 9, 3, 55)]), Ok(()));
    }

    #[test]
    fn every_kind_of_loss_is_seen() {
        let cases = [
            (vec![], "is gone"),
            (vec![stored(3, 7, 2, 100)], "found at 7"),
            (vec![stored(3, 8, 2, 100)], "another value"),
            (vec![stored(3, 8, 1, 101)], "version is 1"),
        ];
        for (found, complaint) in cases {
            let loss = ledger().check(&found).expect_err(complaint);
            assert!(loss.contains(complaint), "{loss}");
        }
    }
}
