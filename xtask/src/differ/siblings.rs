//! Whether two transactions nested side by side put and delete the same key.
//!
//! Etcd refuses that in one order of the two and not in the other, we in both (docs/etcd-differences.md), so no such
//! transaction is sent. Nor is one that puts a key into the tail that it deletes.

use bytes::Bytes;
use quorate_wire::etcd::etcdserverpb::request_op::Request;
use quorate_wire::etcd::etcdserverpb::{RequestOp, TxnRequest};

/// Whether a transaction puts a key and deletes the tail that it lies in. Etcd's check passes over such a delete, and so
/// does ours; what comes of it is not the same. A put that keeps a value or a lease that is gone by then ends etcd, and ends
/// it again at every start (`index out of range` in `txn.put`, 3.7.3); and a watcher is told the pair before the
/// transaction, by ours the one before the operation.
pub fn puts_into_tail(txn: &TxnRequest) -> bool {
    let mut touched = Touched::default();
    touched.add(&txn.success);
    touched.add(&txn.failure);
    touched.deletes.retain(|(_, to)| to == "\0");
    touched.meets(&touched)
}

/// Keys put and intervals deleted by everything that a list of operations may do.
#[derive(Default)]
struct Touched {
    puts: Vec<Bytes>,
    deletes: Vec<(Bytes, Bytes)>,
}

impl Touched {
    fn add(&mut self, operations: &[RequestOp]) {
        for RequestOp { request } in operations {
            match request {
                Some(Request::RequestPut(put)) => self.puts.push(put.key.clone()),
                Some(Request::RequestDeleteRange(delete)) => {
                    self.deletes.push((delete.key.clone(), delete.range_end.clone()));
                }
                Some(Request::RequestTxn(txn)) => {
                    self.add(&txn.success);
                    self.add(&txn.failure);
                }
                Some(Request::RequestRange(_)) | None => {}
            }
        }
    }

    fn meets(&self, other: &Touched) -> bool {
        self.puts.iter().any(|key| other.deletes.iter().any(|(from, to)| covers(from, to, key)))
    }
}

fn covers(from: &Bytes, to: &Bytes, key: &Bytes) -> bool {
    match to.as_ref() {
        b"" => key == from,
        b"\0" => key >= from,
        _ => key >= from && key < to,
    }
}

/// Whether one transaction puts what another one beside it deletes, at any depth: etcd refuses that in one order only.
/// The two branches of one transaction count as beside each other, because etcd's check walks them in turn as well.
pub fn siblings_meet(txn: &TxnRequest) -> bool {
    [&txn.success, &txn.failure].into_iter().any(|branch| {
        let mut parts: Vec<Touched> = Vec::new();
        for RequestOp { request } in branch {
            let Some(Request::RequestTxn(inner)) = request else { continue };
            if siblings_meet(inner) {
                return true;
            }
            for branch in [&inner.success, &inner.failure] {
                let mut touched = Touched::default();
                touched.add(branch);
                parts.push(touched);
            }
        }
        parts.iter().enumerate().any(|(index, part)| {
            parts.iter().enumerate().any(|(other, beside)| index != other && part.meets(beside))
        })
    })
}
