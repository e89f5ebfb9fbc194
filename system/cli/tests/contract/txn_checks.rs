//! Behaviours 21 to 23 and 26: transactions that are refused, and that a refused one changes
//! nothing.

use crate::harness::api::*;
use crate::harness::*;

const TOO_MANY: &str = "etcdserver: too many operations in txn request";
const DUPLICATE: &str = "etcdserver: duplicate key given in txn request";

fn gets(count: usize) -> Vec<RequestOp> {
    vec![get("c21").op(); count]
}

#[tokio::test]
async fn c21_each_list_of_a_transaction_takes_128_operations() {
    let client = shared().await;
    let compares = |count| vec![mod_revision_is("c21", 0); count];
    client.txn(txn(compares(128), gets(128), gets(128))).await.unwrap();
    for request in [txn(compares(129), [], []), txn([], gets(129), []), txn([], [], gets(129))] {
        refused(client.txn(request).await, Code::InvalidArgument, TOO_MANY);
    }
}

#[tokio::test]
async fn c21_a_nested_transaction_has_what_its_parent_left_over() {
    let client = shared().await;
    // The parent counts its longest list, here 100 ranges and the inner transaction: 27 remain.
    let outer = |inner: TxnRequest| {
        let mut ops = gets(100);
        ops.push(inner.op());
        always(ops)
    };
    client.txn(outer(always(gets(27)))).await.unwrap();
    refused(client.txn(outer(always(gets(28)))).await, Code::InvalidArgument, TOO_MANY);
    // And so on inwards: one for the innermost transaction leaves 26.
    client.txn(outer(always([always(gets(26)).op()]))).await.unwrap();
    let deeper = always([always(gets(27)).op()]);
    refused(client.txn(outer(deeper)).await, Code::InvalidArgument, TOO_MANY);
}

#[tokio::test]
async fn c21_the_limit_is_a_setting() {
    let cluster = Cluster::single(&["--max-txn-ops", "3"]).await;
    let client = cluster.client().await;
    client.txn(always(gets(3))).await.unwrap();
    refused(client.txn(always(gets(4))).await, Code::InvalidArgument, TOO_MANY);
}

#[tokio::test]
async fn c22_a_branch_may_put_a_key_once_and_not_where_it_deletes() {
    let client = shared().await;
    let a = || put("c22/a", "v").op();
    let inner_put = |key: &str| always([put(key, "v").op()]).op();
    for ops in [
        vec![a(), a()],
        vec![a(), delete("c22/a").op()],
        vec![delete("c22/a").op(), a()],
        vec![delete_prefix("c22/").op(), a()],
        vec![a(), inner_put("c22/a")],
        vec![inner_put("c22/a"), inner_put("c22/a")],
        vec![delete_prefix("c22/").op(), inner_put("c22/a")],
        vec![always([delete_prefix("c22/").op()]).op(), a()],
        vec![txn([], [], [a()]).op(), a()],
    ] {
        // Either branch is checked, whichever is taken.
        let (success, failure) = (always(ops.clone()), txn([], [], ops));
        refused(client.txn(success).await, Code::InvalidArgument, DUPLICATE);
        refused(client.txn(failure).await, Code::InvalidArgument, DUPLICATE);
    }
    assert_eq!(client.read("c22/a").await, None);
}

#[tokio::test]
async fn c22_exclusive_branches_may_touch_one_key_and_deletes_may_overlap() {
    let client = shared().await;
    let a = |value| put("c22ok/a", value).op();
    // The two branches of a transaction, at the top and nested: only one of them runs.
    let branches = || txn([mod_revision_is("c22ok/none", 0)], [a("then")], [a("else")]);
    client.txn(branches()).await.unwrap();
    client.txn(always([branches().op()])).await.unwrap();
    let answer =
        client.txn(always([delete_prefix("c22ok/").op(), delete("c22ok/a").op()])).await.unwrap();
    assert_eq!(delete_at(&answer, 0).deleted, 1);
    assert_eq!(delete_at(&answer, 1).deleted, 0);
    // A read of what the same branch writes is no conflict either.
    client.txn(always([a("again"), get("c22ok/a").op()])).await.unwrap();
}

#[tokio::test]
async fn c22_a_put_just_outside_a_deleted_interval_is_no_conflict() {
    let client = shared().await;
    client.write("c22edge/b", "v").await;
    let interval = |key: &str, end: &str| {
        DeleteRangeRequest { range_end: end.to_owned().into(), ..delete(key) }.op()
    };
    // The end of an interval is not in it.
    client
        .txn(always([interval("c22edge/a", "c22edge/c"), put("c22edge/c", "v").op()]))
        .await
        .unwrap();
    assert_eq!(keys(&client.range(prefix("c22edge/")).await.unwrap().kvs), ["c22edge/c"]);
}

/// A quirk: the check for conflicts does not understand that a zero byte as `range_end` means "to
/// the end".
#[tokio::test]
async fn c22_a_delete_of_the_tail_is_not_checked_for_conflicts() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for key in ["a", "b", "c"] {
        client.write(key, "old").await;
    }
    let tail = DeleteRangeRequest { range_end: "\0".into(), ..delete("b") };
    let answer = client.txn(always([tail.op(), put("c", "new").op()])).await.unwrap();
    assert_eq!(delete_at(&answer, 0).deleted, 2);
    let answer = client.range(range("\0", "\0")).await.unwrap();
    assert_eq!(pairs(&answer.kvs), ["a=old", "c=new"]);
}

#[tokio::test]
async fn c23_an_operation_without_a_request_is_refused() {
    let client = shared().await;
    let empty = RequestOp { request: None };
    let text = "etcdserver: key not found";
    for request in [
        always([empty]),
        txn([], [], [RequestOp { request: None }]),
        always([always([RequestOp { request: None }]).op()]),
    ] {
        refused(client.txn(request).await, Code::InvalidArgument, text);
    }
}

#[tokio::test]
async fn c26_a_transaction_that_fails_a_check_writes_nothing() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    client.write("k", "v").await;
    client.write("k", "w").await;
    client.compact(3, true).await.unwrap();
    let before = client.revision().await;

    let first = || put("written", "v").op();
    let checks = [
        (
            PutRequest { lease: 77, ..put("a", "v") }.op(),
            Code::NotFound,
            "etcdserver: requested lease not found",
        ),
        (
            PutRequest { ignore_value: true, ..put("a", "") }.op(),
            Code::InvalidArgument,
            "etcdserver: key not found",
        ),
        (
            PutRequest { ignore_lease: true, ..put("a", "v") }.op(),
            Code::InvalidArgument,
            "etcdserver: key not found",
        ),
        (
            RangeRequest { revision: 2, ..get("k") }.op(),
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            // One beyond the newest: the put before it has not happened when the check runs.
            RangeRequest { revision: before + 1, ..get("k") }.op(),
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
    ];
    for (last, code, text) in checks {
        refused(client.txn(always([first(), last.clone()])).await, code, text);
        let nested = always([first(), always([last.clone()]).op()]);
        refused(client.txn(nested).await, code, text);
        // The same operation on the branch that is not taken does no harm.
        let unused = txn([mod_revision_is("written", 0)], [get("k").op()], [last]);
        client.txn(unused).await.unwrap();
    }
    assert_eq!(client.read("written").await, None);
    assert_eq!(client.revision().await, before);
}

/// Alone, a negative revision asks for the newest; inside of a transaction it is a number like others. (Minus one is what an
/// etcd that was never compacted calls its compacted revision, and answers.)
#[tokio::test]
async fn c26_a_negative_revision_inside_of_a_transaction_is_compacted() {
    let client = shared().await;
    client.write("c26-negative", "v").await;
    let negative = RangeRequest { revision: -2, ..get("c26-negative") };
    let alone = client.range(negative.clone()).await.unwrap();
    assert_eq!(pairs(&alone.kvs), ["c26-negative=v"]);
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    refused(client.txn(always([negative.clone().op()])).await, Code::OutOfRange, compacted);
    let writes = always([put("c26-negative", "w").op(), negative.op()]);
    refused(client.txn(writes).await, Code::OutOfRange, compacted);
    assert_eq!(pairs(&client.range(get("c26-negative")).await.unwrap().kvs), ["c26-negative=v"]);
}
