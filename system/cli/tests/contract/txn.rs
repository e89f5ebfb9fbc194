//! Behaviours 24, 25 and 27 to 31: what a transaction decides, writes, sees and reports.

use std::time::Duration;

use crate::harness::api::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::harness::api::*;
use crate::harness::*;

#[tokio::test]
async fn c24_all_compares_are_decided_before_any_operation_runs() {
    let client = shared().await;
    client.write("c24", "old").await;
    // The inner transaction asks about a key that the outer one has just changed: it sees the old
    // value.
    let inner =
        txn([value_is("c24", "old")], [put("c24/saw", "old").op()], [put("c24/saw", "new").op()]);
    let answer = client.txn(always([put("c24", "new").op(), inner.op()])).await.unwrap();
    assert!(txn_at(&answer, 1).succeeded);
    assert_eq!(text(&client.read("c24/saw").await.unwrap().value), "old");
    assert_eq!(text(&client.read("c24").await.unwrap().value), "new");
}

/// Whether a compare holds, asked of the server.
async fn holds(client: &Client, condition: Compare) -> bool {
    client.txn(txn([condition], [get("x").op()], [get("x").op()])).await.unwrap().succeeded
}

const RESULTS: [CompareResult; 4] =
    [CompareResult::Equal, CompareResult::NotEqual, CompareResult::Less, CompareResult::Greater];

#[tokio::test]
async fn c25_a_value_compare_on_a_missing_key_never_holds() {
    let client = shared().await;
    for operand in ["", "v"] {
        for result in RESULTS {
            let operand = TargetUnion::Value(operand.as_bytes().to_vec().into());
            let condition = compare("c25/none", CompareTarget::Value, result, operand);
            assert!(!holds(&client, condition).await, "{result:?}");
        }
    }
}

#[tokio::test]
async fn c25_every_other_target_of_a_missing_key_is_zero() {
    let client = shared().await;
    let targets: [(CompareTarget, fn(i64) -> TargetUnion); 4] = [
        (CompareTarget::Version, TargetUnion::Version),
        (CompareTarget::Create, TargetUnion::CreateRevision),
        (CompareTarget::Mod, TargetUnion::ModRevision),
        (CompareTarget::Lease, TargetUnion::Lease),
    ];
    for (target, operand) in targets {
        let expected = [(0, [true, false, false, false]), (1, [false, true, true, false])];
        for (number, expected) in expected {
            for (result, expected) in RESULTS.into_iter().zip(expected) {
                let condition = compare("c25/none", target, result, operand(number));
                assert_eq!(
                    holds(&client, condition).await,
                    expected,
                    "{target:?} {result:?} {number}"
                );
            }
        }
    }
}

#[tokio::test]
async fn c25_each_target_compares_its_own_number() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let born = client.write("c25t", "m").await;
    let changed =
        revision(&client.put(PutRequest { lease, ..put("c25t", "m") }).await.unwrap().header);
    let value = |text: &str| TargetUnion::Value(text.as_bytes().to_vec().into());
    // For each target an operand below, at and above what the key has.
    let operands = [
        (CompareTarget::Version, [1, 2, 3].map(TargetUnion::Version)),
        (CompareTarget::Create, [born - 1, born, born + 1].map(TargetUnion::CreateRevision)),
        (CompareTarget::Mod, [changed - 1, changed, changed + 1].map(TargetUnion::ModRevision)),
        (CompareTarget::Lease, [lease - 1, lease, lease + 1].map(TargetUnion::Lease)),
        (CompareTarget::Value, [value("l"), value("m"), value("ma")]),
    ];
    for (target, [below, at, above]) in operands {
        for (operand, expected) in [
            (below, [false, true, false, true]),
            (at, [true, false, false, false]),
            (above, [false, true, true, false]),
        ] {
            for (result, expected) in RESULTS.into_iter().zip(expected) {
                let condition = compare("c25t", target, result, operand.clone());
                assert_eq!(
                    holds(&client, condition).await,
                    expected,
                    "{target:?} {result:?} {operand:?}"
                );
            }
        }
    }
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c25_a_compare_over_a_range_must_hold_for_every_key() {
    let client = shared().await;
    client.write("c25r/a", "1").await;
    client.write("c25r/b", "2").await;
    let over = |condition: Compare, base: &str| {
        let range_end = after_prefix(base).into();
        Compare { range_end, key: base.to_owned().into(), ..condition }
    };
    let above = |operand: &str| {
        let operand = TargetUnion::Value(operand.as_bytes().to_vec().into());
        compare("", CompareTarget::Value, CompareResult::Greater, operand)
    };
    assert!(holds(&client, over(above("0"), "c25r/")).await);
    assert!(!holds(&client, over(above("1"), "c25r/")).await);
    // A range without keys counts as one missing key.
    assert!(!holds(&client, over(above("0"), "c25r/none/")).await);
    assert!(holds(&client, over(mod_revision_is("", 0), "c25r/none/")).await);
    assert!(!holds(&client, over(mod_revision_is("", 0), "c25r/")).await);
}

#[tokio::test]
async fn c25_a_compare_without_an_operand_means_zero_or_empty() {
    let client = shared().await;
    client.write("c25u", "").await;
    let unset = |key, target, result| compare(key, target, result, None);
    assert!(holds(&client, unset("c25u/none", CompareTarget::Mod, CompareResult::Equal)).await);
    assert!(holds(&client, unset("c25u", CompareTarget::Mod, CompareResult::Greater)).await);
    assert!(holds(&client, unset("c25u", CompareTarget::Value, CompareResult::Equal)).await);
    assert!(holds(&client, unset("c25u", CompareTarget::Lease, CompareResult::Equal)).await);
}

#[tokio::test]
async fn c27_a_transaction_makes_one_revision_or_none() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let base = client.write("d", "v").await;

    let inner = always([put("c", "3").op(), get("c").op()]);
    let ops = [put("a", "1").op(), delete("d").op(), put("b", "2").op(), inner.op()];
    let answer = client.txn(always(ops)).await.unwrap();
    assert_eq!(revision(&answer.header), base + 1);
    let found = client.range(prefix_all()).await.unwrap().kvs;
    assert_eq!(keys(&found), ["a", "b", "c"]);
    for kv in &found {
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (base + 1, base + 1, 1));
    }

    // Nothing changed: reads, and a delete that finds nothing.
    let answer = client.txn(always([get("a").op(), delete("none").op()])).await.unwrap();
    assert_eq!(revision(&answer.header), base + 1);
    assert_eq!(client.revision().await, base + 1);
}

fn prefix_all() -> RangeRequest {
    range("\0", "\0")
}

#[tokio::test]
async fn c27_events_of_a_transaction_come_in_the_order_of_its_operations() {
    let client = shared().await;
    client.write("c27e/d", "v").await;
    let (mut watching, created) = Watching::open(&client, watch_prefix("c27e/", 0)).await;
    let inner = always([put("c27e/a", "3").op()]);
    let ops = [put("c27e/z", "1").op(), delete("c27e/d").op(), inner.op(), put("c27e/b", "4").op()];
    let made = revision(&client.txn(always(ops)).await.unwrap().header);
    let response = watching.next().await;
    assert_eq!(response.watch_id, created.watch_id);
    let seen =
        response.events.iter().map(|e| text(&e.kv.as_ref().unwrap().key)).collect::<Vec<_>>();
    assert_eq!(seen, ["c27e/z", "c27e/d", "c27e/a", "c27e/b"]);
    assert!(response.events.iter().all(|e| e.kv.as_ref().unwrap().mod_revision == made));
}

#[tokio::test]
async fn c27_inner_answers_carry_the_revision_and_nothing_else_in_their_header() {
    let client = shared().await;
    let inner = always([get("c27h").op()]);
    let ops = [put("c27h", "v").op(), get("c27h").op(), delete("c27h/none").op(), inner.op()];
    let answer = client.txn(always(ops)).await.unwrap();
    let outer = answer.header.unwrap();
    assert!(outer.cluster_id != 0 && outer.member_id != 0 && outer.raft_term != 0);
    let bare = ResponseHeader { revision: outer.revision, ..Default::default() };
    assert_eq!(put_at(&answer, 0).header, Some(bare));
    assert_eq!(range_at(&answer, 1).header, Some(bare));
    assert_eq!(delete_at(&answer, 2).header, Some(bare));
    assert_eq!(range_at(txn_at(&answer, 3), 0).header, Some(bare));
    assert_eq!(txn_at(&answer, 3).header, Some(ResponseHeader::default()));

    // What stands before the first change was read at the revision before.
    let ops = [get("c27h").op(), delete("c27h/none").op(), put("c27h", "w").op(), get("c27h").op()];
    let answer = client.txn(always(ops)).await.unwrap();
    let after = revision(&answer.header);
    assert_eq!(revision(&range_at(&answer, 0).header), after - 1);
    assert_eq!(revision(&delete_at(&answer, 1).header), after - 1);
    assert_eq!(revision(&put_at(&answer, 2).header), after);
    assert_eq!(revision(&range_at(&answer, 3).header), after);
}

#[tokio::test]
async fn c28_a_range_in_a_transaction_sees_the_writes_before_it_and_no_later_ones() {
    let client = shared().await;
    client.write("c28/a", "old").await;
    client.write("c28/x", "old").await;
    let answer = client
        .txn(always([
            prefix("c28/").op(),
            put("c28/a", "new").op(),
            put("c28/b", "new").op(),
            prefix("c28/").op(),
            delete("c28/x").op(),
            prefix("c28/").op(),
        ]))
        .await
        .unwrap();
    assert_eq!(pairs(&range_at(&answer, 0).kvs), ["c28/a=old", "c28/x=old"]);
    let within = range_at(&answer, 3);
    assert_eq!(pairs(&within.kvs), ["c28/a=new", "c28/b=new", "c28/x=old"]);
    let made = revision(&answer.header);
    assert_eq!(revision(&within.header), made);
    assert_eq!(within.kvs[1].mod_revision, made);
    assert_eq!(delete_at(&answer, 4).deleted, 1);
    assert_eq!(pairs(&range_at(&answer, 5).kvs), ["c28/a=new", "c28/b=new"]);
}

#[tokio::test]
async fn c29_a_read_only_transaction_is_serializable_only_if_every_range_is() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    client.write("c29", "v").await;
    let own = || RangeRequest { serializable: true, ..get("c29") };
    // Members say their names through the log when they have started: another moment has none of that.
    eventually(
        "a transaction that only reads goes past the log",
        Duration::from_secs(30),
        async || {
            let before = client.status().await.unwrap().raft_applied_index;
            client.txn(txn([value_is("c29", "v")], [own().op()], [get("c29").op()])).await.unwrap();
            client.status().await.unwrap().raft_applied_index == before
        },
    )
    .await;
    cluster.kill(1);
    cluster.kill(2);

    let answer = client.txn(txn([value_is("c29", "v")], [own().op()], [own().op()])).await.unwrap();
    assert!(answer.succeeded);
    assert_eq!(pairs(&range_at(&answer, 0).kvs), ["c29=v"]);
    // One range that is not serializable, even on the branch that is not taken, needs a quorum.
    let mixed = txn([value_is("c29", "v")], [own().op()], [get("c29").op()]);
    assert!(unanswered(&client, mixed).await);
    if Kind::current() == Kind::Quorate {
        // A transaction of compares alone may be stale in etcd; see docs/etcd-differences.md.
        assert!(unanswered(&client, txn([value_is("c29", "v")], [], [])).await);
    }
}

/// Whether a transaction gets no answer while the quorum is gone.
async fn unanswered(client: &Client, request: TxnRequest) -> bool {
    let mut request = tonic::Request::new(request);
    request.set_timeout(Duration::from_millis(1000));
    match client.kv().txn(request).await {
        Ok(_) => false,
        Err(status) => {
            let expected = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled];
            assert!(expected.contains(&status.code()), "{status:?}");
            true
        }
    }
}

#[tokio::test]
async fn c30_a_transaction_with_a_compacted_range_fails_on_every_member_and_changes_none() {
    let cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    for value in ["2", "3", "4"] {
        client.write("k", value).await;
    }
    client.compact(4, true).await.unwrap();
    let request = always([
        put("other", "v").op(),
        RangeRequest { revision: 2, ..get("k") }.op(),
        put("last", "v").op(),
    ]);
    for i in 0..cluster.size() {
        let member = cluster.client_of(i).await;
        let text = "etcdserver: mvcc: required revision has been compacted";
        refused(member.txn(request.clone()).await, Code::OutOfRange, text);
    }
    assert_eq!(client.write("k", "5").await, 5, "the failed transactions made no revision");
    let mut hashes = vec![];
    for i in 0..cluster.size() {
        let member = cluster.client_of(i).await;
        assert_eq!(member.read("other").await, None);
        assert_eq!(member.read("k").await.unwrap().mod_revision, 5);
        hashes.push(member.hash_kv(5).await.unwrap().hash);
    }
    assert_eq!(hashes, [hashes[0]; 3], "the members hold the same state");
}

/// The requests of a Kubernetes API server: create, update and delete under a guard, list in pages
/// at one revision, and watch from there.
#[tokio::test]
async fn c31_the_requests_of_kubernetes_work_together() {
    let client = shared().await;
    let lease = client.grant(600).await;
    let key = |name: &str| format!("/registry/pods/c31/{name}");
    let base = "/registry/pods/c31/";
    let create = |name: &str| txn([mod_revision_is(key(name), 0)], [put(key(name), "1").op()], []);

    let mut made = 0;
    for name in ["a", "b", "c"] {
        let answer = client.txn(create(name)).await.unwrap();
        assert!(answer.succeeded);
        made = revision(&answer.header);
    }
    assert!(!client.txn(create("a")).await.unwrap().succeeded, "it exists already");

    let page = RangeRequest { limit: 2, ..prefix(base) };
    let first = client.range(page.clone()).await.unwrap();
    assert_eq!((keys(&first.kvs), first.more, first.count), (vec![key("a"), key("b")], true, 3));
    let at = first.kvs[1].mod_revision;
    let watch =
        WatchCreateRequest { prev_kv: true, progress_notify: true, ..watch_prefix(base, made + 1) };
    let (mut watching, created) = Watching::open(&client, watch).await;

    let guarded = |name: &str, known: i64, op: RequestOp| {
        txn([mod_revision_is(key(name), known)], [op], [get(key(name)).op()])
    };
    let update = PutRequest { lease, ..put(key("a"), "2") };
    let updated =
        client.txn(guarded("a", first.kvs[0].mod_revision, update.clone().op())).await.unwrap();
    assert!(updated.succeeded);
    let stale = client.txn(guarded("a", first.kvs[0].mod_revision, update.op())).await.unwrap();
    assert!(!stale.succeeded);
    assert_eq!(range_at(&stale, 0).kvs[0].mod_revision, revision(&updated.header));
    assert!(client.txn(guarded("b", at, delete(key("b")).op())).await.unwrap().succeeded);

    // The second page of the list is still that of the old revision.
    let rest = RangeRequest { limit: 2, revision: made, ..range(key("b\0"), after_prefix(base)) };
    let second = client.range(rest).await.unwrap();
    assert_eq!((keys(&second.kvs), second.more), (vec![key("c")], false));

    let events = watching.events(created.watch_id, 2).await;
    let previous = |event: &Event| text(&event.prev_kv.as_ref().unwrap().value);
    assert_eq!(
        (text(&events[0].kv.as_ref().unwrap().value), previous(&events[0])),
        ("2".into(), "1".into())
    );
    assert_eq!((events[1].r#type(), previous(&events[1])), (event::EventType::Delete, "1".into()));
    client.revoke(lease).await.unwrap();
    assert_eq!(client.read(&key("a")).await, None);
}
