//! Between etcd's messages and the store's types, with the checks that need the message itself.

use crate::errors;
use bytes::Bytes;
use quorate_store::{
    Alarm, AlarmKind, Answer, Compare, CompareResult, CompareTarget, Delete, KeyRange, KeyValue,
    MAX_KEY_BYTES, Put, Range, RangeAnswer, SortOrder, SortTarget, Txn, TxnOp,
};
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::mvccpb;
use quorate_wire::raw::KeyValueRef;
use tonic::Status;

/// What a check lets through, or the status that the client gets.
pub type Checked<T> = Result<T, Status>;

fn key_range(key: Bytes, end: Bytes) -> Checked<KeyRange> {
    if key.is_empty() {
        return Err(errors::empty_key());
    }
    Ok(KeyRange { key, end })
}

/// A range request, checked as contract items 1 and 3 say.
pub fn range(request: pb::RangeRequest) -> Checked<Range> {
    let range = key_range(request.key, request.range_end)?;
    let order = match request.sort_order {
        0 => SortOrder::None,
        1 => SortOrder::Ascend,
        2 => SortOrder::Descend,
        _ => return Err(errors::invalid_sort_option()),
    };
    let target = match request.sort_target {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::Create,
        3 => SortTarget::Mod,
        4 => SortTarget::Value,
        _ => return Err(errors::invalid_sort_option()),
    };
    Ok(Range {
        range,
        limit: request.limit,
        revision: request.revision,
        order,
        target,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    })
}

/// A put request, checked as items 1 and 14 say.
pub fn put(request: pb::PutRequest) -> Checked<Put> {
    if request.key.is_empty() {
        return Err(errors::empty_key());
    }
    // Before the log: an entry that no engine can take would stop every member at the same place.
    if request.key.len() > MAX_KEY_BYTES {
        return Err(errors::key_too_long(request.key.len(), MAX_KEY_BYTES));
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(errors::value_provided());
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(errors::lease_provided());
    }
    Ok(Put {
        key: request.key,
        value: request.value,
        lease: request.lease,
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    })
}

/// A delete request, checked as item 1 says.
pub fn delete(request: pb::DeleteRangeRequest) -> Checked<Delete> {
    let range = key_range(request.key, request.range_end)?;
    Ok(Delete { range, prev_kv: request.prev_kv })
}

/// Whether a transaction is all of reads that may be stale, which the message alone says.
pub fn all_serializable(request: &pb::TxnRequest) -> bool {
    let branches = request.success.iter().chain(&request.failure);
    let mut ranges = 0;
    for op in branches {
        match &op.request {
            Some(pb::request_op::Request::RequestRange(range)) if range.serializable => ranges += 1,
            Some(_) | None => return false,
        }
    }
    // Without any range there is nothing that asked for a stale answer (differs from etcd: see
    // docs/etcd-differences.md).
    ranges > 0
}

/// A transaction, checked as items 1, 3, 14, 21 and 23 say. `budget` is how many operations each
/// list may have; a nested transaction has what its parent left over.
pub fn txn(request: pb::TxnRequest, budget: usize) -> Checked<Txn> {
    let most = request.compare.len().max(request.success.len()).max(request.failure.len());
    let Some(left) = budget.checked_sub(most) else { return Err(errors::too_many_ops()) };
    let ops = |ops: Vec<pb::RequestOp>| {
        ops.into_iter().map(|op| txn_op(op, left)).collect::<Checked<Vec<TxnOp>>>()
    };
    Ok(Txn {
        compares: request.compare.into_iter().map(compare).collect::<Checked<_>>()?,
        success: ops(request.success)?,
        failure: ops(request.failure)?,
    })
}

fn txn_op(op: pb::RequestOp, budget: usize) -> Checked<TxnOp> {
    use pb::request_op::Request;
    match op.request {
        Some(Request::RequestRange(request)) => Ok(TxnOp::Range(range(request)?)),
        Some(Request::RequestPut(request)) => Ok(TxnOp::Put(put(request)?)),
        Some(Request::RequestDeleteRange(request)) => Ok(TxnOp::Delete(delete(request)?)),
        Some(Request::RequestTxn(request)) => Ok(TxnOp::Txn(txn(request, budget)?)),
        None => Err(errors::key_not_found()),
    }
}

fn compare(compare: pb::Compare) -> Checked<Compare> {
    use pb::compare::TargetUnion as U;
    let range = key_range(compare.key, compare.range_end)?;
    let result = match compare.result {
        0 => CompareResult::Equal,
        1 => CompareResult::Greater,
        2 => CompareResult::Less,
        3 => CompareResult::NotEqual,
        _ => return Err(errors::invalid_compare()),
    };
    // An operand of another kind than the target counts as unset: zero, or empty (item 25).
    let union = compare.target_union;
    let target = match compare.target {
        0 => CompareTarget::Version(match union {
            Some(U::Version(version)) => version,
            _ => 0,
        }),
        1 => CompareTarget::Create(match union {
            Some(U::CreateRevision(revision)) => revision,
            _ => 0,
        }),
        2 => CompareTarget::Mod(match union {
            Some(U::ModRevision(revision)) => revision,
            _ => 0,
        }),
        3 => CompareTarget::Value(match union {
            Some(U::Value(value)) => value,
            _ => Bytes::new(),
        }),
        4 => CompareTarget::Lease(match union {
            Some(U::Lease(lease)) => lease,
            _ => 0,
        }),
        _ => return Err(errors::invalid_compare()),
    };
    Ok(Compare { range, result, target })
}

/// A pair as etcd's message.
pub fn key_value(pair: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: pair.key,
        create_revision: pair.create_revision,
        mod_revision: pair.mod_revision,
        version: pair.version,
        value: pair.value,
        lease: pair.lease,
    }
}

/// A pair to be encoded where it lies.
pub fn key_value_ref(pair: &KeyValue) -> KeyValueRef<'_> {
    KeyValueRef {
        key: &pair.key,
        create_revision: pair.create_revision,
        mod_revision: pair.mod_revision,
        version: pair.version,
        value: &pair.value,
        lease: pair.lease,
    }
}

/// A range's answer as etcd's message.
pub fn range_response(
    answer: RangeAnswer,
    header: Option<pb::ResponseHeader>,
) -> pb::RangeResponse {
    pb::RangeResponse {
        header,
        kvs: answer.kvs.into_iter().map(key_value).collect(),
        more: answer.more,
        count: answer.count,
    }
}

/// Which revision the headers inside of a transaction's answer carry: etcd's is the one that the next operation would
/// have read at, so what stands before the first change still has the revision before the transaction.
struct Within {
    revision: i64,
    changed: bool,
    changes: bool,
}

impl Within {
    fn header(&self) -> Option<pb::ResponseHeader> {
        let before = self.changes && !self.changed;
        let revision = if before { self.revision - 1 } else { self.revision };
        Some(pb::ResponseHeader { revision, ..Default::default() })
    }

    /// The answer to an operation; inside, headers carry the revision only, and a transaction's nothing (item 27).
    fn op(&mut self, answer: Answer) -> pb::ResponseOp {
        use pb::response_op::Response as R;
        self.changed |= !matches!(answer, Answer::Txn { .. }) && changes(&answer);
        let header = self.header();
        let response = match answer {
            Answer::Range(answer) => R::ResponseRange(range_response(answer, header)),
            Answer::Put { prev } => {
                R::ResponsePut(pb::PutResponse { header, prev_kv: prev.map(key_value) })
            }
            Answer::Delete { deleted, prev } => R::ResponseDeleteRange(pb::DeleteRangeResponse {
                header,
                deleted,
                prev_kvs: prev.into_iter().map(key_value).collect(),
            }),
            Answer::Txn { succeeded, answers } => {
                let responses = answers.into_iter().map(|answer| self.op(answer)).collect();
                let header = Some(pb::ResponseHeader::default());
                R::ResponseTxn(pb::TxnResponse { header, succeeded, responses })
            }
            Answer::Compact
            | Answer::LeaseGrant { .. }
            | Answer::LeaseRevoke
            | Answer::LeaseCheckpoint
            | Answer::Alarm { .. }
            | Answer::Guard
            | Answer::Members(_)
            | Answer::Auth
            | Answer::Authenticate { .. }
            | Answer::Downgrade
            | Answer::AuditCheckpoint => unreachable!("a transaction holds no such operation"),
        };
        pb::ResponseOp { response: Some(response) }
    }
}

/// Whether an operation of a transaction changed something.
fn changes(answer: &Answer) -> bool {
    match answer {
        Answer::Put { .. } => true,
        Answer::Delete { deleted, .. } => *deleted > 0,
        Answer::Txn { answers, .. } => answers.iter().any(changes),
        Answer::Range(_)
        | Answer::Compact
        | Answer::LeaseGrant { .. }
        | Answer::LeaseRevoke
        | Answer::LeaseCheckpoint
        | Answer::Alarm { .. }
        | Answer::Guard
        | Answer::Members(_)
        | Answer::Auth
        | Answer::Authenticate { .. }
        | Answer::Downgrade
        | Answer::AuditCheckpoint => false,
    }
}

/// A transaction's answer as etcd's message; `revision` is the one after it.
pub fn txn_response(
    succeeded: bool,
    answers: Vec<Answer>,
    revision: i64,
    header: Option<pb::ResponseHeader>,
) -> pb::TxnResponse {
    let changes = answers.iter().any(changes);
    let mut within = Within { revision, changed: false, changes };
    let responses = answers.into_iter().map(|answer| within.op(answer)).collect();
    pb::TxnResponse { header, succeeded, responses }
}

/// An alarm as etcd's message.
pub fn alarm(alarm: Alarm) -> pb::AlarmMember {
    let kind = match alarm.kind {
        AlarmKind::NoSpace => pb::AlarmType::Nospace,
        AlarmKind::Corrupt => pb::AlarmType::Corrupt,
    };
    pb::AlarmMember { member_id: alarm.member, alarm: kind.into() }
}
