//! Behaviours 14 to 20: puts and deletes, the numbers they leave on a key, and the pairs they
//! return.

use crate::harness::api::*;
use crate::harness::*;

#[tokio::test]
async fn c14_ignore_value_keeps_the_value_and_takes_none() {
    let client = shared().await;
    let lease = client.grant(600).await;
    client.write("c14v", "kept").await;
    let keep = PutRequest { ignore_value: true, ..put("c14v", "") };
    refused(
        client.put(PutRequest { ignore_value: true, ..put("c14v", "new") }).await,
        Code::InvalidArgument,
        "etcdserver: value is provided",
    );
    client.put(PutRequest { lease, ..keep }).await.unwrap();
    let kv = client.read("c14v").await.unwrap();
    assert_eq!((text(&kv.value), kv.lease, kv.version), ("kept".to_owned(), lease, 2));
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c14_ignore_lease_keeps_the_lease_and_takes_none() {
    let client = shared().await;
    let lease = client.grant(600).await;
    client.put(PutRequest { lease, ..put("c14l", "old") }).await.unwrap();
    refused(
        client.put(PutRequest { ignore_lease: true, lease, ..put("c14l", "new") }).await,
        Code::InvalidArgument,
        "etcdserver: lease is provided",
    );
    client.put(PutRequest { ignore_lease: true, ..put("c14l", "new") }).await.unwrap();
    let kv = client.read("c14l").await.unwrap();
    assert_eq!((text(&kv.value), kv.lease), ("new".to_owned(), lease));
    client.revoke(lease).await.unwrap();
    assert_eq!(client.read("c14l").await, None, "the key was still attached");
}

#[tokio::test]
async fn c14_ignoring_what_a_missing_key_does_not_have_is_an_invalid_argument() {
    let client = shared().await;
    for request in [
        PutRequest { ignore_value: true, ..put("c14/none", "") },
        PutRequest { ignore_lease: true, ..put("c14/none", "v") },
    ] {
        let text = "etcdserver: key not found";
        refused(client.put(request.clone()).await, Code::InvalidArgument, text);
        refused(client.txn(always([request.op()])).await, Code::InvalidArgument, text);
    }
    assert_eq!(client.read("c14/none").await, None);
}

#[tokio::test]
async fn c15_a_put_with_an_unknown_lease_is_not_found() {
    let client = shared().await;
    let request = PutRequest { lease: 123_456_789, ..put("c15", "v") };
    let text = "etcdserver: requested lease not found";
    refused(client.put(request.clone()).await, Code::NotFound, text);
    refused(client.txn(always([request.op()])).await, Code::NotFound, text);
    assert_eq!(client.read("c15").await, None);
}

#[tokio::test]
async fn c16_a_put_without_a_lease_detaches_and_one_with_another_moves() {
    let client = shared().await;
    let (first, second) = (client.grant(600).await, client.grant(600).await);
    for key in ["c16/detached", "c16/moved"] {
        client.put(PutRequest { lease: first, ..put(key, "1") }).await.unwrap();
    }
    client.write("c16/detached", "2").await;
    client.put(PutRequest { lease: second, ..put("c16/moved", "2") }).await.unwrap();

    assert_eq!(client.read("c16/detached").await.unwrap().lease, 0);
    assert_eq!(client.time_to_live(first).await.unwrap().keys, [""; 0]);
    assert_eq!(client.time_to_live(second).await.unwrap().keys, ["c16/moved"]);
    client.revoke(first).await.unwrap();
    assert_eq!(
        keys(&client.range(prefix("c16/")).await.unwrap().kvs),
        ["c16/detached", "c16/moved"]
    );
    client.revoke(second).await.unwrap();
    assert_eq!(keys(&client.range(prefix("c16/")).await.unwrap().kvs), ["c16/detached"]);
}

#[tokio::test]
async fn c17_version_and_create_revision_start_anew_after_a_delete() {
    let client = shared().await;
    let numbers = async || {
        let kv = client.read("c17").await.unwrap();
        (kv.create_revision, kv.mod_revision, kv.version)
    };
    let born = client.write("c17", "1").await;
    assert_eq!(numbers().await, (born, born, 1));
    let changed = client.write("c17", "2").await;
    assert_eq!(numbers().await, (born, changed, 2));
    client.delete(delete("c17")).await.unwrap();
    let reborn = client.write("c17", "3").await;
    assert_eq!(numbers().await, (reborn, reborn, 1));
}

#[tokio::test]
async fn c18_a_delete_that_finds_nothing_makes_no_revision() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let before = client.write("k", "v").await;
    let answer = client.delete(delete("other")).await.unwrap();
    assert_eq!((answer.deleted, revision(&answer.header)), (0, before));
    let answer = client.txn(always([delete("other").op()])).await.unwrap();
    assert_eq!(revision(&answer.header), before);

    let answer = client.delete(delete("k")).await.unwrap();
    assert_eq!((answer.deleted, revision(&answer.header)), (1, before + 1));
    let answer = client.delete(delete("k")).await.unwrap();
    assert_eq!((answer.deleted, revision(&answer.header)), (0, before + 1));
}

#[tokio::test]
async fn c19_a_delete_event_carries_the_key_and_its_revision_alone() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let (mut watching, created) = Watching::open(&client, watch_key("c19")).await;
    client.put(PutRequest { lease, ..put("c19", "v") }).await.unwrap();
    let deleted = revision(&client.delete(delete("c19")).await.unwrap().header);
    let events = watching.events(created.watch_id, 2).await;
    let expected = KeyValue { key: "c19".into(), mod_revision: deleted, ..Default::default() };
    assert_eq!(events[1].r#type(), event::EventType::Delete);
    assert_eq!(events[1].kv, Some(expected));
    assert_eq!(events[1].prev_kv, None);
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c20_prev_kv_is_the_pair_before_the_operation() {
    let client = shared().await;
    let with_previous = |value| PutRequest { prev_kv: true, ..put("c20/a", value) };
    assert_eq!(client.put(with_previous("1")).await.unwrap().prev_kv, None);
    let first = client.read("c20/a").await;
    assert_eq!(client.put(with_previous("2")).await.unwrap().prev_kv, first);
    assert_eq!(client.put(put("c20/a", "3")).await.unwrap().prev_kv, None, "nobody asked");
    client.write("c20/b", "b").await;

    let request = delete_prefix("c20/");
    let answer =
        client.delete(DeleteRangeRequest { prev_kv: true, ..request.clone() }).await.unwrap();
    assert_eq!(answer.deleted, 2);
    assert_eq!(pairs(&answer.prev_kvs), ["c20/a=3", "c20/b=b"]);
    client.write("c20/a", "4").await;
    assert_eq!(client.delete(request).await.unwrap().prev_kvs, [], "nobody asked");
}

#[tokio::test]
async fn c20_prev_kv_inside_a_transaction_sees_its_earlier_operations() {
    let client = shared().await;
    client.write("c20t/a", "before").await;
    let answer = client
        .txn(always([
            PutRequest { prev_kv: true, ..put("c20t/a", "within") }.op(),
            PutRequest { prev_kv: true, ..put("c20t/b", "new") }.op(),
        ]))
        .await
        .unwrap();
    assert_eq!(text(&put_at(&answer, 0).prev_kv.as_ref().unwrap().value), "before");
    assert_eq!(put_at(&answer, 1).prev_kv, None);

    // A delete in one inner transaction and a put in the next: the put finds nothing before it.
    let answer = client
        .txn(always([
            DeleteRangeRequest { prev_kv: true, ..delete_prefix("c20t/") }.op(),
            DeleteRangeRequest { prev_kv: true, ..delete_prefix("c20t/") }.op(),
        ]))
        .await
        .unwrap();
    assert_eq!(pairs(&delete_at(&answer, 0).prev_kvs), ["c20t/a=within", "c20t/b=new"]);
    assert_eq!(delete_at(&answer, 1).deleted, 0);
}
