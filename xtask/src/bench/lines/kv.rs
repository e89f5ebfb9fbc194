//! Gets, transactions, pages and deletes.
//!
//! Every client checks its answer: a system that answers fast and wrong is an error, not a winner.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use quorate_wire::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_wire::etcd::etcdserverpb::kv_client::KvClient;
use quorate_wire::etcd::etcdserverpb::request_op::Request;
use quorate_wire::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use tonic::Status;

use crate::bench::connection::Connection;
use crate::bench::dataset::{Dice, Keys, PREFIX_END, Values};
use crate::bench::failure::Result;
use crate::bench::load::{Client, Step};
use crate::bench::testbed::Testbed;
use crate::bench::writes::put_operation;

/// Keys per page.
const PAGE: usize = 100;

/// A client's connection, keys and dice, which all of the clients here need.
struct Reach {
    kv: KvClient<Connection>,
    keys: Keys,
    count: usize,
    dice: Dice,
}

/// One [`Reach`] per client, spread over the connections.
async fn reaches(testbed: &Testbed, clients: usize) -> Result<Vec<Reach>> {
    let connections = testbed.connect().await?;
    let reach = |client: usize| Reach {
        kv: connections[client % connections.len()].kv(),
        keys: testbed.keys.clone(),
        count: testbed.shape.keys,
        dice: Dice::new(client as u64),
    };
    Ok((0..clients).map(reach).collect())
}

/// Gets one key at a time.
pub struct Getter {
    reach: Reach,
    serializable: bool,
    value_bytes: usize,
}

/// Clients of the get lines.
pub async fn getters(testbed: &Testbed, clients: usize, serializable: bool) -> Result<Vec<Getter>> {
    let value_bytes = testbed.shape.value_bytes;
    let getter = |reach| Getter { reach, serializable, value_bytes };
    Ok(reaches(testbed, clients).await?.into_iter().map(getter).collect())
}

impl Client for Getter {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let number = self.reach.dice.below(self.reach.count);
        let request = RangeRequest {
            key: self.reach.keys.get(number),
            serializable: self.serializable,
            ..RangeRequest::default()
        };
        let answer = self.reach.kv.range(request).await?.into_inner();
        match answer.kvs.as_slice() {
            [pair] if pair.value.len() == self.value_bytes => Ok(Step::Done),
            found => Err(wrong(format!("a get of key {number} found {} keys", found.len()))),
        }
    }
}

/// Compares, puts and gets one key in one transaction.
pub struct Transactor {
    reach: Reach,
    values: Arc<Values>,
}

/// Clients of the transaction line.
pub async fn transactors(testbed: &Testbed, clients: usize) -> Result<Vec<Transactor>> {
    let transactor = |reach| Transactor { reach, values: Arc::clone(&testbed.values) };
    Ok(reaches(testbed, clients).await?.into_iter().map(transactor).collect())
}

impl Client for Transactor {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let key = self.reach.keys.get(self.reach.dice.below(self.reach.count));
        let (value, _) = self.values.next();
        let answer = self.reach.kv.txn(transaction(key, value)).await?.into_inner();
        if answer.succeeded && answer.responses.len() == 2 {
            return Ok(Step::Done);
        }
        Err(wrong(format!("a transaction on an existing key: {answer:?}")))
    }
}

/// If the key exists, put it and get it; if not, get it.
fn transaction(key: Bytes, value: Bytes) -> TxnRequest {
    let exists = Compare {
        result: CompareResult::Greater.into(),
        target: CompareTarget::Create.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::CreateRevision(0)),
        ..Compare::default()
    };
    let get = || RequestOp {
        request: Some(Request::RequestRange(RangeRequest {
            key: key.clone(),
            ..RangeRequest::default()
        })),
    };
    let put = PutRequest { key: key.clone(), value, ..PutRequest::default() };
    TxnRequest {
        compare: vec![exists],
        success: vec![put_operation(put), get()],
        failure: vec![get()],
    }
}

/// Reads pages: a hundred keys from somewhere, of an interval that ends with the last key, and the count of them all.
pub struct Pager {
    reach: Reach,
}

/// Clients of the range line.
pub async fn pagers(testbed: &Testbed, clients: usize) -> Result<Vec<Pager>> {
    let reaches = reaches(testbed, clients).await?;
    Ok(reaches.into_iter().map(|reach| Pager { reach }).collect())
}

impl Client for Pager {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let first = self.reach.dice.below(self.reach.count - PAGE);
        let request = RangeRequest {
            key: self.reach.keys.get(first),
            range_end: Bytes::from_static(PREFIX_END.as_bytes()),
            limit: PAGE as i64,
            ..RangeRequest::default()
        };
        let answer = self.reach.kv.range(request).await?.into_inner();
        let counted = usize::try_from(answer.count).unwrap_or_default();
        if answer.kvs.len() == PAGE && answer.more && counted == self.reach.count - first {
            return Ok(Step::Done);
        }
        Err(wrong(format!(
            "a page from key {first} has {} keys, says more: {}, counts {counted}",
            answer.kvs.len(),
            answer.more
        )))
    }
}

/// Deletes the keys one after another, in a scattered order, each once.
pub struct Deleter {
    reach: Reach,
    deleted: Arc<AtomicUsize>,
}

/// Clients of the delete line.
pub async fn deleters(testbed: &Testbed, clients: usize) -> Result<Vec<Deleter>> {
    let deleter = |reach| Deleter { reach, deleted: Arc::clone(&testbed.deleted) };
    Ok(reaches(testbed, clients).await?.into_iter().map(deleter).collect())
}

impl Client for Deleter {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let turn = self.deleted.fetch_add(1, Ordering::Relaxed);
        if turn >= self.reach.count {
            return Ok(Step::Exhausted);
        }
        let number = scatter(turn, self.reach.count);
        let request = DeleteRangeRequest {
            key: self.reach.keys.get(number),
            ..DeleteRangeRequest::default()
        };
        let answer = self.reach.kv.delete_range(request).await?.into_inner();
        if answer.deleted == 1 {
            return Ok(Step::Done);
        }
        Err(wrong(format!("the delete of key {number} deleted {} keys", answer.deleted)))
    }
}

/// Visits every number below `count` once while `turn` counts up: a step that shares no divisor with `count` (a prime
/// above every count of the bench) does not come back before all have been visited.
fn scatter(turn: usize, count: usize) -> usize {
    const STEP: usize = 7_368_787;
    turn * STEP % count
}

fn wrong(message: String) -> Status {
    Status::data_loss(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattering_visits_every_key_once() {
        for count in [1, 7, 10_000, 100_000] {
            let mut visited = vec![false; count];
            for turn in 0..count {
                let number = scatter(turn, count);
                assert!(!visited[number], "{number} twice of {count}");
                visited[number] = true;
            }
        }
    }
}
