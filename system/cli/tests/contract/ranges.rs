//! Behaviours 1 to 13: what a range returns, and in which order limit, filters and sort apply.

use crate::harness::api::range_request::{SortOrder, SortTarget};
use crate::harness::api::*;
use crate::harness::*;

const NO_KEY: &str = "etcdserver: key is not provided";

#[tokio::test]
async fn c01_an_empty_key_is_refused_in_range_put_and_delete() {
    let client = shared().await;
    refused(client.range(get("")).await, Code::InvalidArgument, NO_KEY);
    refused(client.put(put("", "v")).await, Code::InvalidArgument, NO_KEY);
    refused(client.delete(delete("")).await, Code::InvalidArgument, NO_KEY);
}

#[tokio::test]
async fn c01_an_empty_key_is_refused_anywhere_in_a_transaction() {
    let client = shared().await;
    let holds = || mod_revision_is("c01/none", 0);
    let inner = txn([value_is("", "x")], [], []);
    for request in [
        txn([value_is("", "x")], [], []),
        txn([holds()], [get("").op()], []),
        txn([holds()], [put("", "v").op()], []),
        txn([holds()], [delete("").op()], []),
        // The branch that is not taken is checked as well.
        txn([holds()], [], [put("", "v").op()]),
        txn([holds()], [inner.op()], []),
        always([always([put("", "v").op()]).op()]),
    ] {
        refused(client.txn(request).await, Code::InvalidArgument, NO_KEY);
    }
}

#[tokio::test]
async fn c02_range_end_names_one_key_an_interval_a_tail_or_everything() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for key in ["a", "b", "ba", "bb", "c"] {
        client.write(key, "v").await;
    }
    // A zero byte is a key like any other, and the first of all.
    client.write("\0", "v").await;
    let found = async |request| keys(&client.range(request).await.unwrap().kvs);

    assert_eq!(found(get("b")).await, ["b"]);
    assert_eq!(found(range("b", "bb")).await, ["b", "ba"]);
    assert_eq!(found(range("ba", "\0")).await, ["ba", "bb", "c"]);
    assert_eq!(found(range("\0", "\0")).await, ["\0", "a", "b", "ba", "bb", "c"]);
    assert_eq!(found(prefix("b")).await, ["b", "ba", "bb"]);
    assert_eq!(found(range("c", "b")).await, [""; 0]);
}

#[tokio::test]
async fn c02_a_prefix_that_ends_in_ff_carries_into_the_byte_before() {
    let client = shared().await;
    let base = b"c02carry/".to_vec();
    let key = |tail: &[u8]| [base.as_slice(), tail].concat();
    for tail in [&b"a\xff"[..], b"a\xff\x00", b"a\xff\xff\xff", b"b"] {
        client.put(put(key(tail), "v")).await.unwrap();
    }
    // The prefix a,ff ends where b begins.
    let answer = client.range(range(key(b"a\xff"), key(b"b"))).await.unwrap();
    assert_eq!(answer.kvs.len(), 3);
    assert_eq!(answer.kvs[2].key, key(b"a\xff\xff\xff"));
}

#[tokio::test]
async fn c03_an_unknown_sort_order_or_target_is_refused() {
    let client = shared().await;
    let text = "etcdserver: invalid sort option";
    for request in [
        RangeRequest { sort_order: 3, ..prefix("c03/") },
        RangeRequest { sort_order: -1, ..prefix("c03/") },
        RangeRequest { sort_target: 5, ..prefix("c03/") },
        RangeRequest { sort_target: -1, ..prefix("c03/") },
    ] {
        refused(client.range(request.clone()).await, Code::InvalidArgument, text);
        refused(client.txn(always([request.op()])).await, Code::InvalidArgument, text);
    }
}

/// Four keys whose order by version, value and modification is the opposite of their order by key.
async fn opposed(client: &Client, base: &str) {
    for (i, name) in ["d", "c", "b", "a"].iter().enumerate() {
        for _ in 0..=i {
            client.write(&format!("{base}{name}"), &format!("{}", i)).await;
        }
    }
}

fn sorted(base: &str, order: SortOrder, target: SortTarget, limit: i64) -> RangeRequest {
    RangeRequest { sort_order: order as i32, sort_target: target as i32, limit, ..prefix(base) }
}

#[tokio::test]
async fn c04_sort_target_with_order_none_cuts_before_sorting() {
    let client = shared().await;
    opposed(&client, "c04n/").await;
    for target in [SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value] {
        // Limit + 1 keys are fetched in key order (a, b, c), sorted by the target, and then cut.
        let answer = client.range(sorted("c04n/", SortOrder::None, target, 2)).await.unwrap();
        assert_eq!(keys(&answer.kvs), ["c04n/c", "c04n/b"], "{target:?}");
        assert!(answer.more);
        assert_eq!(answer.count, 4);
        // Without a limit the same request sorts everything, ascending.
        let answer = client.range(sorted("c04n/", SortOrder::None, target, 0)).await.unwrap();
        assert_eq!(keys(&answer.kvs), ["c04n/d", "c04n/c", "c04n/b", "c04n/a"], "{target:?}");
    }
}

#[tokio::test]
async fn c04_an_explicit_order_sorts_everything_and_then_cuts() {
    let client = shared().await;
    opposed(&client, "c04e/").await;
    for target in [SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value] {
        let answer = client.range(sorted("c04e/", SortOrder::Ascend, target, 2)).await.unwrap();
        assert_eq!(keys(&answer.kvs), ["c04e/d", "c04e/c"], "{target:?}");
        assert!(answer.more);
        let answer = client.range(sorted("c04e/", SortOrder::Descend, target, 2)).await.unwrap();
        assert_eq!(keys(&answer.kvs), ["c04e/a", "c04e/b"], "{target:?}");
    }
    let answer =
        client.range(sorted("c04e/", SortOrder::Descend, SortTarget::Key, 3)).await.unwrap();
    assert_eq!(keys(&answer.kvs), ["c04e/d", "c04e/c", "c04e/b"]);
}

#[tokio::test]
async fn c05_more_says_whether_the_limit_left_something_out() {
    let client = shared().await;
    for name in ["a", "b", "c"] {
        client.write(&format!("c05/{name}"), "v").await;
    }
    for (limit, found, more) in
        [(1, 1, true), (2, 2, true), (3, 3, false), (4, 3, false), (0, 3, false)]
    {
        for sort_order in [SortOrder::None, SortOrder::Ascend, SortOrder::Descend] {
            let request = RangeRequest { limit, sort_order: sort_order as i32, ..prefix("c05/") };
            let answer = client.range(request).await.unwrap();
            assert_eq!(
                (answer.kvs.len(), answer.more),
                (found, more),
                "limit {limit}, {sort_order:?}"
            );
        }
    }
}

#[tokio::test]
async fn c05_more_counts_only_what_the_filters_let_through() {
    let client = shared().await;
    client.write("c05f/a", "v").await;
    client.write("c05f/b", "v").await;
    let last = client.write("c05f/c", "v").await;
    let request = RangeRequest { limit: 1, min_mod_revision: last, ..prefix("c05f/") };
    let answer = client.range(request).await.unwrap();
    // Three keys are in the range, one passes the filter: nothing was left out by the limit.
    assert_eq!(keys(&answer.kvs), ["c05f/c"]);
    assert!(!answer.more);
    assert_eq!(answer.count, 3);
}

#[tokio::test]
async fn c06_count_is_the_whole_range_at_the_revision_asked_for() {
    let client = shared().await;
    client.write("c06/a", "v").await;
    let two = client.write("c06/b", "v").await;
    client.write("c06/c", "v").await;
    client.delete(delete("c06/a")).await.unwrap();
    client.write("c06/d", "v").await;

    let count = async |request| client.range(request).await.unwrap().count;
    assert_eq!(count(prefix("c06/")).await, 3);
    assert_eq!(count(RangeRequest { limit: 1, ..prefix("c06/") }).await, 3);
    assert_eq!(count(RangeRequest { min_mod_revision: two + 3, ..prefix("c06/") }).await, 3);
    assert_eq!(count(RangeRequest { revision: two, ..prefix("c06/") }).await, 2);
    assert_eq!(count(RangeRequest { revision: two, limit: 1, ..prefix("c06/") }).await, 2);
    assert_eq!(count(get("c06/a")).await, 0);
    assert_eq!(count(get("c06/b")).await, 1);
}

#[tokio::test]
async fn c07_count_only_returns_no_pairs() {
    let client = shared().await;
    client.write("c07/a", "v").await;
    client.write("c07/b", "v").await;
    let request = RangeRequest { count_only: true, ..prefix("c07/") };
    let answer = client.range(request.clone()).await.unwrap();
    assert_eq!((answer.count, answer.kvs.len(), answer.more), (2, 0, false));
    // A limit changes nothing: there is nothing to cut.
    let answer = client.range(RangeRequest { limit: 1, ..request }).await.unwrap();
    assert_eq!((answer.count, answer.kvs.len(), answer.more), (2, 0, false));
}

#[tokio::test]
async fn c07_keys_only_leaves_out_the_value_and_the_lease() {
    let client = shared().await;
    let lease = client.grant(600).await;
    client.put(PutRequest { lease, ..put("c07k/a", "v") }).await.unwrap();
    let full = client.read("c07k/a").await.unwrap();

    let request = RangeRequest { keys_only: true, ..prefix("c07k/") };
    let answer = client.range(request.clone()).await.unwrap();
    let bare = KeyValue { value: Default::default(), lease: 0, ..full.clone() };
    assert_eq!(answer.kvs, std::slice::from_ref(&bare));

    // Sorting by value has to read the values, and then the lease is known.
    let by_value = RangeRequest { sort_target: SortTarget::Value as i32, ..request };
    let answer = client.range(by_value).await.unwrap();
    assert_eq!(answer.kvs, [KeyValue { lease, ..bare }]);
    client.revoke(lease).await.unwrap();
}

#[tokio::test]
async fn c08_revision_filters_apply_before_the_limit_and_zero_means_off() {
    let client = shared().await;
    let mut made = vec![];
    for name in ["a", "b", "c", "d"] {
        made.push(client.write(&format!("c08/{name}"), "v").await);
    }
    let changed = client.write("c08/a", "again").await;
    let found = async |request| keys(&client.range(request).await.unwrap().kvs);
    let all = || prefix("c08/");

    assert_eq!(
        found(RangeRequest { min_mod_revision: made[3], ..all() }).await,
        ["c08/a", "c08/d"]
    );
    assert_eq!(
        found(RangeRequest { max_mod_revision: made[2], ..all() }).await,
        ["c08/b", "c08/c"]
    );
    assert_eq!(
        found(RangeRequest { min_create_revision: made[2], ..all() }).await,
        ["c08/c", "c08/d"]
    );
    assert_eq!(
        found(RangeRequest { max_create_revision: made[1], ..all() }).await,
        ["c08/a", "c08/b"]
    );
    let between = RangeRequest { min_mod_revision: made[1], max_mod_revision: made[2], ..all() };
    assert_eq!(found(between.clone()).await, ["c08/b", "c08/c"]);
    // With a limit of one the filtered keys before it must not use it up.
    assert_eq!(
        found(RangeRequest { min_mod_revision: made[2], limit: 2, ..all() }).await,
        ["c08/a", "c08/c"]
    );
    assert_eq!(
        found(RangeRequest { max_mod_revision: made[2], limit: 1, ..all() }).await,
        ["c08/b"]
    );
    assert_eq!(found(RangeRequest { min_mod_revision: changed + 1, ..all() }).await, [""; 0]);
}

#[tokio::test]
async fn c09_a_range_reads_any_revision_from_the_compacted_one_to_the_newest() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for value in ["two", "three", "four", "five"] {
        client.write("k", value).await;
    }
    client.compact(3, false).await.unwrap();
    let at = async |revision| {
        let answer = client.range(RangeRequest { revision, ..get("k") }).await?;
        Ok::<_, tonic::Status>(pairs(&answer.kvs))
    };

    assert_eq!(at(0).await.unwrap(), ["k=five"]);
    assert_eq!(at(-1).await.unwrap(), ["k=five"]);
    assert_eq!(at(5).await.unwrap(), ["k=five"]);
    assert_eq!(at(4).await.unwrap(), ["k=four"]);
    assert_eq!(at(3).await.unwrap(), ["k=three"], "the compacted revision itself is readable");
    refused(
        at(2).await,
        Code::OutOfRange,
        "etcdserver: mvcc: required revision has been compacted",
    );
    refused(
        at(6).await,
        Code::OutOfRange,
        "etcdserver: mvcc: required revision is a future revision",
    );
}

#[tokio::test]
async fn c10_the_header_of_an_old_read_carries_the_current_revision() {
    let client = shared().await;
    let first = client.write("c10/a", "old").await;
    let second = client.write("c10/a", "new").await;
    let answer = client.range(RangeRequest { revision: first, ..get("c10/a") }).await.unwrap();
    assert_eq!(pairs(&answer.kvs), ["c10/a=old"]);
    assert!(revision(&answer.header) >= second);
}

#[tokio::test]
async fn c11_a_serializable_range_needs_no_leader_and_a_linearizable_one_does() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    client.write("c11", "v").await;
    cluster.kill(1);
    cluster.kill(2);

    let answer = client.range(RangeRequest { serializable: true, ..get("c11") }).await.unwrap();
    assert_eq!(pairs(&answer.kvs), ["c11=v"]);
    let mut request = tonic::Request::new(get("c11"));
    request.set_timeout(std::time::Duration::from_millis(1500));
    let status = client.kv().range(request).await.expect_err("two of three members are gone");
    assert!(
        matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled),
        "a read that may be stale must not pass for an answer: {status:?}"
    );
}

#[tokio::test]
async fn c13_a_new_store_is_at_revision_one_and_its_first_write_makes_two() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    assert_eq!(client.revision().await, 1);
    assert_eq!(client.write("k", "v").await, 2);
    assert_eq!(client.revision().await, 2);
    assert_eq!(client.write("k", "v").await, 3);
}
