//! Requests in one line each. A function makes the plain request; a test adds what it is about with
//! `RangeRequest { limit: 2, ..prefix("c04/") }`.

use super::api::compare::{CompareResult, CompareTarget, TargetUnion};
use super::api::request_op::Request;
use super::api::*;

/// Reads one key.
pub fn get(key: impl AsRef<[u8]>) -> RangeRequest {
    RangeRequest { key: key.as_ref().to_vec().into(), ..Default::default() }
}

/// Reads the keys from `key` up to and without `end`.
pub fn range(key: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> RangeRequest {
    RangeRequest { range_end: end.as_ref().to_vec().into(), ..get(key) }
}

/// Reads all keys that start with `prefix`.
pub fn prefix(prefix: &str) -> RangeRequest {
    range(prefix, after_prefix(prefix))
}

/// The end of the interval of all keys that start with `prefix`: its last byte plus one.
pub fn after_prefix(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    let last = end.last_mut().expect("a prefix has at least one byte");
    *last = last.checked_add(1).expect("the prefixes of the tests end in ASCII");
    end
}

/// Writes one pair.
pub fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> PutRequest {
    PutRequest {
        key: key.as_ref().to_vec().into(),
        value: value.as_ref().to_vec().into(),
        ..Default::default()
    }
}

/// Deletes one key.
pub fn delete(key: impl AsRef<[u8]>) -> DeleteRangeRequest {
    DeleteRangeRequest { key: key.as_ref().to_vec().into(), ..Default::default() }
}

/// Deletes all keys that start with `prefix`.
pub fn delete_prefix(prefix: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { range_end: after_prefix(prefix).into(), ..delete(prefix) }
}

/// A transaction: if all of `compare` hold then `success`, else `failure`.
pub fn txn(
    compare: impl Into<Vec<Compare>>,
    success: impl Into<Vec<RequestOp>>,
    failure: impl Into<Vec<RequestOp>>,
) -> TxnRequest {
    TxnRequest { compare: compare.into(), success: success.into(), failure: failure.into() }
}

/// A transaction that does `ops` whatever the state is.
pub fn always(ops: impl Into<Vec<RequestOp>>) -> TxnRequest {
    txn([], ops, [])
}

/// A condition on one key.
pub fn compare(
    key: impl AsRef<[u8]>,
    target: CompareTarget,
    result: CompareResult,
    operand: impl Into<Option<TargetUnion>>,
) -> Compare {
    Compare {
        result: result as i32,
        target: target as i32,
        key: key.as_ref().to_vec().into(),
        range_end: Default::default(),
        target_union: operand.into(),
    }
}

/// The condition that `key` was last changed at `revision`; 0 says that it does not exist.
pub fn mod_revision_is(key: impl AsRef<[u8]>, revision: i64) -> Compare {
    compare(key, CompareTarget::Mod, CompareResult::Equal, TargetUnion::ModRevision(revision))
}

/// The condition that `key` has this value.
pub fn value_is(key: impl AsRef<[u8]>, value: &str) -> Compare {
    let operand = TargetUnion::Value(value.as_bytes().to_vec().into());
    compare(key, CompareTarget::Value, CompareResult::Equal, operand)
}

/// A request as one operation of a transaction.
pub trait IntoOp {
    fn op(self) -> RequestOp;
}

impl IntoOp for RangeRequest {
    fn op(self) -> RequestOp {
        RequestOp { request: Some(Request::RequestRange(self)) }
    }
}

impl IntoOp for PutRequest {
    fn op(self) -> RequestOp {
        RequestOp { request: Some(Request::RequestPut(self)) }
    }
}

impl IntoOp for DeleteRangeRequest {
    fn op(self) -> RequestOp {
        RequestOp { request: Some(Request::RequestDeleteRange(self)) }
    }
}

impl IntoOp for TxnRequest {
    fn op(self) -> RequestOp {
        RequestOp { request: Some(Request::RequestTxn(self)) }
    }
}

/// A watch of one key from now on.
pub fn watch_key(key: impl AsRef<[u8]>) -> WatchCreateRequest {
    WatchCreateRequest { key: key.as_ref().to_vec().into(), ..Default::default() }
}

/// A watch of all keys that start with `prefix`, from `revision` on; 0 means from now on.
pub fn watch_prefix(prefix: &str, revision: i64) -> WatchCreateRequest {
    WatchCreateRequest {
        range_end: after_prefix(prefix).into(),
        start_revision: revision,
        ..watch_key(prefix)
    }
}
