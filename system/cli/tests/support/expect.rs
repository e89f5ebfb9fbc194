//! Expectations that several tests share, and short views of answers to compare with.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use tonic::{Code, Status};

use super::api::response_op::Response;
use super::api::*;

/// Fails unless `result` is this error: clients match on the code and, word for word, on the text.
#[track_caller]
pub fn refused<T: Debug>(result: Result<T, Status>, code: Code, text: &str) {
    match result {
        Ok(answer) => panic!("expected {code:?} {text:?}, got the answer {answer:?}"),
        Err(status) => assert_eq!((status.code(), status.message()), (code, text)),
    }
}

/// The revision in the header of an answer.
#[track_caller]
pub fn revision(header: &Option<ResponseHeader>) -> i64 {
    header.as_ref().expect("a header").revision
}

/// The keys of some pairs, in their order.
pub fn keys(kvs: &[KeyValue]) -> Vec<String> {
    kvs.iter().map(|kv| text(&kv.key)).collect()
}

/// The pairs as `key=value`, in their order.
pub fn pairs(kvs: &[KeyValue]) -> Vec<String> {
    kvs.iter().map(|kv| format!("{}={}", text(&kv.key), text(&kv.value))).collect()
}

/// Bytes as text; the tests write only text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The range answer at place `i` of a transaction's answers.
#[track_caller]
pub fn range_at(answer: &TxnResponse, i: usize) -> &RangeResponse {
    match answer.responses.get(i).and_then(|op| op.response.as_ref()) {
        Some(Response::ResponseRange(range)) => range,
        other => panic!("expected a range at {i}, got {other:?}"),
    }
}

/// The put answer at place `i` of a transaction's answers.
#[track_caller]
pub fn put_at(answer: &TxnResponse, i: usize) -> &PutResponse {
    match answer.responses.get(i).and_then(|op| op.response.as_ref()) {
        Some(Response::ResponsePut(put)) => put,
        other => panic!("expected a put at {i}, got {other:?}"),
    }
}

/// The delete answer at place `i` of a transaction's answers.
#[track_caller]
pub fn delete_at(answer: &TxnResponse, i: usize) -> &DeleteRangeResponse {
    match answer.responses.get(i).and_then(|op| op.response.as_ref()) {
        Some(Response::ResponseDeleteRange(delete)) => delete,
        other => panic!("expected a delete at {i}, got {other:?}"),
    }
}

/// The inner transaction's answer at place `i` of a transaction's answers.
#[track_caller]
pub fn txn_at(answer: &TxnResponse, i: usize) -> &TxnResponse {
    match answer.responses.get(i).and_then(|op| op.response.as_ref()) {
        Some(Response::ResponseTxn(txn)) => txn,
        other => panic!("expected a transaction at {i}, got {other:?}"),
    }
}

/// Asks `probe` until it holds, and fails after `limit`, saying `what` never came true.
#[track_caller]
pub fn eventually(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let what = what.to_owned();
    async move {
        let begun = Instant::now();
        while !probe().await {
            assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
