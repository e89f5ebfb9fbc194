//! The Rust crate `etcd-client`: keys, ranges, transactions, compaction, maintenance.

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, Error, GetOptions, PutOptions, SortOrder,
    SortTarget, Txn, TxnOp, TxnOpResponse,
};

use crate::harness::{Cluster, eventually};

/// The code and text of a gRPC error, as the crate hands it on.
fn grpc(error: Error) -> String {
    match error {
        Error::GRpcStatus(status) => format!("{:?}: {}", status.code(), status.message()),
        other => panic!("not a gRPC status: {other:?}"),
    }
}

async fn values(client: &mut Client, key: &str, options: GetOptions) -> Vec<String> {
    let answer = client.get(key, Some(options)).await.unwrap();
    answer.kvs().iter().map(|kv| kv.value_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn crate_puts_gets_and_deletes() {
    let mut client = Cluster::shared().client().await;
    let put = client.put("crate/kv", "1", None).await.unwrap();
    let first = put.header().unwrap().revision();
    let put = client.put("crate/kv", "2", Some(PutOptions::new().with_prev_key())).await.unwrap();
    assert_eq!(put.prev_key().unwrap().value(), b"1");

    let got = client.get("crate/kv", None).await.unwrap();
    let kv = &got.kvs()[0];
    assert_eq!((kv.value_str().unwrap(), kv.version(), kv.create_revision()), ("2", 2, first));
    let old = GetOptions::new().with_revision(first);
    assert_eq!(values(&mut client, "crate/kv", old).await, ["1"]);

    let deleted =
        client.delete("crate/kv", Some(DeleteOptions::new().with_prev_key())).await.unwrap();
    assert_eq!((deleted.deleted(), deleted.prev_kvs()[0].value()), (1, &b"2"[..]));
    assert!(client.get("crate/kv", None).await.unwrap().kvs().is_empty());
}

#[tokio::test]
async fn crate_ranges_with_every_option() {
    let mut client = Cluster::shared().client().await;
    for (i, name) in ["a", "b", "c", "d"].iter().enumerate() {
        client.put(format!("crate/range/{name}"), format!("{}", 9 - i), None).await.unwrap();
    }
    let prefix = "crate/range/";
    let all = || GetOptions::new().with_prefix();
    assert_eq!(values(&mut client, prefix, all()).await, ["9", "8", "7", "6"]);
    let sorted = all().with_sort(SortTarget::Value, SortOrder::Ascend).with_limit(2);
    assert_eq!(values(&mut client, prefix, sorted).await, ["6", "7"]);
    let descending = all().with_sort(SortTarget::Key, SortOrder::Descend).with_serializable();
    eventually("a serializable read has all four", async || {
        values(&mut client, prefix, descending.clone()).await == ["6", "7", "8", "9"]
    })
    .await;
    let interval = GetOptions::new().with_range("crate/range/c");
    assert_eq!(values(&mut client, "crate/range/a", interval).await, ["9", "8"]);

    let page = client.get(prefix, Some(all().with_limit(3))).await.unwrap();
    assert_eq!((page.kvs().len(), page.more(), page.count()), (3, true, 4));
    let count = client.get(prefix, Some(all().with_count_only())).await.unwrap();
    assert_eq!((count.kvs().len(), count.count()), (0, 4));
    let keys = client.get(prefix, Some(all().with_keys_only())).await.unwrap();
    assert!(keys.kvs().iter().all(|kv| kv.value().is_empty()));
    let gone = client.delete(prefix, Some(DeleteOptions::new().with_prefix())).await.unwrap();
    assert_eq!(gone.deleted(), 4);
}

#[tokio::test]
async fn crate_transactions_choose_a_branch() {
    let mut client = Cluster::shared().client().await;
    let created = |value: &str| {
        Txn::new()
            .when([Compare::create_revision("crate/txn", CompareOp::Equal, 0)])
            .and_then([TxnOp::put("crate/txn", value, None)])
            .or_else([TxnOp::get("crate/txn", None)])
    };
    let first = client.txn(created("mine")).await.unwrap();
    assert!(first.succeeded());
    let second = client.txn(created("yours")).await.unwrap();
    assert!(!second.succeeded());
    let answers = second.op_responses();
    let [TxnOpResponse::Get(got)] = answers.as_slice() else { panic!("expected one get") };
    assert_eq!(got.kvs()[0].value(), b"mine");

    // Nested, with all kinds of operations and a compare over a prefix.
    let inner = Txn::new()
        .when([Compare::value("crate/txn", CompareOp::Equal, "mine")])
        .and_then([TxnOp::put("crate/txn/inner", "1", None), TxnOp::get("crate/txn/inner", None)]);
    let outer = Txn::new()
        .when([Compare::version("crate/txn", CompareOp::Greater, 0).with_prefix()])
        .and_then([TxnOp::delete("crate/txn", None), TxnOp::txn(inner)]);
    let answer = client.txn(outer).await.unwrap();
    assert!(answer.succeeded());
    let answers = answer.op_responses();
    let [TxnOpResponse::Delete(deleted), TxnOpResponse::Txn(inner)] = answers.as_slice() else {
        panic!("expected a delete and a transaction")
    };
    assert_eq!(deleted.deleted(), 1);
    assert!(inner.succeeded(), "compares see the state before the transaction");
}

#[tokio::test]
async fn crate_errors_arrive_with_their_code_and_text() {
    let mut client = Cluster::shared().client().await;
    let error = client.put("", "v", None).await.unwrap_err();
    assert_eq!(grpc(error), "InvalidArgument: etcdserver: key is not provided");
    let twice = [TxnOp::put("crate/twice", "1", None), TxnOp::put("crate/twice", "2", None)];
    let error = client.txn(Txn::new().and_then(twice)).await.unwrap_err();
    assert_eq!(grpc(error), "InvalidArgument: etcdserver: duplicate key given in txn request");
    let error = client.lease_revoke(4_444).await.unwrap_err();
    assert_eq!(grpc(error), "NotFound: etcdserver: requested lease not found");
    let future = GetOptions::new().with_revision(1 << 40);
    let error = client.get("crate/future", Some(future)).await.unwrap_err();
    assert_eq!(grpc(error), "OutOfRange: etcdserver: mvcc: required revision is a future revision");
}

#[tokio::test]
async fn crate_maintains() {
    let mut client = Cluster::shared().client().await;
    client.put("crate/maintain", "v", None).await.unwrap();
    let status = client.status().await.unwrap();
    assert!(status.version().starts_with("3.7."), "{}", status.version());
    assert!(status.leader() != 0 && status.db_size() > 0 && status.raft_applied_index() > 0);
    assert!(client.hash_kv(0).await.unwrap().hash_revision() > 1);
    client.hash().await.unwrap();
    client.defragment().await.unwrap();
    let mut names = vec![];
    for member in client.member_list().await.unwrap().members() {
        names.push(member.name().to_owned());
        assert!(!member.is_learner() && member.client_urls().len() == 1);
    }
    names.sort();
    assert_eq!(names, ["n1", "n2", "n3"]);

    let mut snapshot = client.snapshot().await.unwrap();
    let (mut bytes, mut last) = (0, None);
    while let Some(message) = snapshot.message().await.unwrap() {
        bytes += message.blob().len();
        last = Some(message);
    }
    assert_eq!(last.unwrap().remaining_bytes(), 0);
    assert_eq!(bytes % 512, 32, "the data, and a digest of 32 bytes");
}
