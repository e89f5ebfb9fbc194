//! Behaviours 38 to 45: how a watcher begins and ends.

use crate::harness::api::*;
use crate::harness::watching::shown;
use crate::harness::*;

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

#[tokio::test]
async fn c38_created_comes_first_with_the_current_revision_and_events_after_it() {
    let client = shared().await;
    let first = client.write("c38/a", "1").await;
    let second = client.write("c38/a", "2").await;
    // `open` itself checks that the first response is `created` and carries no event.
    let (mut watching, created) = Watching::open(&client, watch_prefix("c38/", first)).await;
    assert!(revision(&created.header) >= second);
    let header = created.header.unwrap();
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term != 0);
    let events = watching.events(created.watch_id, 2).await;
    assert_eq!(shown(&events), [format!("PUT c38/a=1@{first}"), format!("PUT c38/a=2@{second}")]);
}

#[tokio::test]
async fn c38_a_stream_with_many_watchers_announces_each_before_its_events() {
    let client = shared().await;
    let first = client.write("c38m/a", "1").await;
    let (mut watching, _) = Watching::open(&client, watch_prefix("c38m/", first)).await;
    for _ in 0..20 {
        watching.create(watch_prefix("c38m/", first)).await;
    }
    let mut announced = vec![0];
    let mut served = vec![];
    while served.len() < 21 {
        let response = watching.next().await;
        if response.created {
            announced.push(response.watch_id);
        } else {
            assert!(announced.contains(&response.watch_id), "events before created: {response:?}");
            served.push(response.watch_id);
        }
    }
    served.sort();
    assert_eq!(served, (0..21).collect::<Vec<_>>());
}

#[tokio::test]
async fn c39_ids_count_from_zero_on_each_stream_and_skip_those_in_use() {
    let client = shared().await;
    let (mut watching, created) = Watching::open(&client, watch_key("c39")).await;
    assert_eq!(created.watch_id, 0);
    let chosen = WatchCreateRequest { watch_id: 2, ..watch_key("c39") };
    assert_eq!(watching.created(chosen).await.watch_id, 2);
    assert_eq!(watching.created(watch_key("c39")).await.watch_id, 1);
    assert_eq!(watching.created(watch_key("c39")).await.watch_id, 3);
    let (_, created) = Watching::open(&client, watch_key("c39")).await;
    assert_eq!(created.watch_id, 0, "another stream counts for itself");
}

/// A watcher that is refused is created and cancelled in one response, without an id.
fn assert_refused(response: &WatchResponse, reason: &str) {
    assert!(response.created && response.canceled, "{response:?}");
    assert_eq!(response.watch_id, -1);
    assert_eq!(response.cancel_reason, reason);
    assert_eq!(response.compact_revision, 0);
    assert!(revision(&response.header) > 0);
}

#[tokio::test]
async fn c39_a_duplicate_id_is_refused_and_the_stream_lives_on() {
    let client = shared().await;
    let mine = WatchCreateRequest { watch_id: 7, ..watch_key("c39d") };
    let (mut watching, created) = Watching::open(&client, mine.clone()).await;
    assert_eq!(created.watch_id, 7);
    let reason = "mvcc: duplicate watch ID provided on the WatchStream";
    assert_refused(&watching.created(mine.clone()).await, reason);

    let made = client.write("c39d", "v").await;
    assert_eq!(shown(&watching.events(7, 1).await), [format!("PUT c39d=v@{made}")]);
    // Once it is cancelled the id is free again.
    watching.cancel(7).await;
    assert!(watching.next().await.canceled);
    let again = watching.created(mine).await;
    assert!(again.created && !again.canceled);
}

#[tokio::test]
async fn c40_an_empty_interval_is_refused() {
    let client = shared().await;
    let (mut watching, _) = Watching::open(&client, watch_key("c40")).await;
    for (key, end) in [("c40/b", "c40/a"), ("c40/b", "c40/b")] {
        let create = WatchCreateRequest { range_end: end.into(), ..watch_key(key) };
        assert_refused(&watching.created(create).await, "mvcc: watcher range is empty");
    }
    let tail = WatchCreateRequest { range_end: "\0".into(), ..watch_key("c40/b") };
    assert!(!watching.created(tail).await.canceled, "a zero byte is the end of all keys");
}

#[tokio::test]
async fn c41_an_empty_key_is_the_first_key() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let all = WatchCreateRequest { range_end: "\0".into(), ..watch_key("") };
    let (mut everything, created) = Watching::open(&client, all).await;
    let (mut zero, created_zero) = Watching::open(&client, watch_key("")).await;
    client.write("a", "v").await;
    client.write("\0", "v").await;
    let events = everything.events(created.watch_id, 2).await;
    assert_eq!(shown(&events), ["PUT a=v@2", "PUT \0=v@3"]);
    // Without an end it is that one key alone.
    assert_eq!(shown(&zero.events(created_zero.watch_id, 1).await), ["PUT \0=v@3"]);
}

#[tokio::test]
async fn c42_a_start_in_the_future_is_silent_until_it_is_reached() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let (mut watching, created) = Watching::open(&client, watch_prefix("k", 5)).await;
    assert_eq!(revision(&created.header), 1);
    for value in ["2", "3", "4"] {
        client.write("k", value).await;
        // A progress request would be answered if the watcher counted as synced.
        watching.request_progress().await;
    }
    client.write("k", "5").await;
    client.write("k", "6").await;
    let events = watching.events(created.watch_id, 2).await;
    assert_eq!(shown(&events), ["PUT k=5@5", "PUT k=6@6"]);
}

#[tokio::test]
async fn c42_a_start_at_zero_is_after_the_current_revision() {
    let client = shared().await;
    client.write("c42z", "before").await;
    let (mut watching, created) = Watching::open(&client, watch_key("c42z")).await;
    let made = client.write("c42z", "after").await;
    let events = watching.events(created.watch_id, 1).await;
    assert_eq!(shown(&events), [format!("PUT c42z=after@{made}")]);
}

#[tokio::test]
async fn c42_a_negative_start_is_refused() {
    let client = shared().await;
    let (mut watching, _) = Watching::open(&client, watch_key("c42n")).await;
    assert_refused(&watching.created(watch_prefix("c42n", -1)).await, COMPACTED);
}

/// A server at revision 7, compacted at 5, where revision 5 is the deletion of `k`.
async fn compacted_on_a_delete() -> (Cluster, Client) {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for value in ["2", "3", "4"] {
        client.write("k", value).await;
    }
    client.delete(delete("k")).await.unwrap();
    client.write("k", "6").await;
    client.write("k", "7").await;
    client.compact(5, true).await.unwrap();
    (cluster, client)
}

#[tokio::test]
async fn c43_a_start_before_the_compaction_is_created_and_then_cancelled() {
    let (_cluster, client) = compacted_on_a_delete().await;
    let (mut watching, created) = Watching::open(&client, watch_prefix("k", 4)).await;
    assert_eq!(revision(&created.header), 7);
    let response = watching.next().await;
    assert_eq!(response.watch_id, created.watch_id);
    assert!(response.canceled && !response.created, "{response:?}");
    assert_eq!((response.compact_revision, response.cancel_reason.as_str()), (5, ""));
    assert_eq!(revision(&response.header), 0);
    assert_eq!(response.events, []);

    // The stream lives on.
    let next = watching.created(watch_prefix("k", 7)).await;
    assert_eq!(shown(&watching.events(next.watch_id, 1).await), ["PUT k=7@7"]);
}

#[tokio::test]
async fn c43_the_id_of_a_watcher_that_starts_too_early_is_taken_until_it_is_cancelled() {
    let (_cluster, client) = compacted_on_a_delete().await;
    let chosen = |start| WatchCreateRequest { watch_id: 7, ..watch_prefix("k", start) };
    let (mut watching, created) = Watching::open(&client, chosen(4)).await;
    assert_eq!((created.watch_id, watching.next().await.compact_revision), (7, 5));
    let taken = "mvcc: duplicate watch ID provided on the WatchStream";
    assert_refused(&watching.created(chosen(7)).await, taken);
    // A cancel that crosses with the news is answered, as if it had come before; a second one is not.
    for _ in 0..2 {
        watching.cancel(7).await;
    }
    let response = watching.next().await;
    assert!(response.canceled && response.watch_id == 7, "{response:?}");
    assert_eq!((response.compact_revision, revision(&response.header)), (0, 7));
    let created = watching.created(chosen(7)).await;
    assert_eq!((created.watch_id, created.canceled), (7, false));
    assert_eq!(shown(&watching.events(7, 1).await), ["PUT k=7@7"]);
}

#[tokio::test]
async fn c43_a_start_at_the_compaction_delivers_a_delete_of_that_revision() {
    let (_cluster, client) = compacted_on_a_delete().await;
    let (mut watching, created) = Watching::open(&client, watch_prefix("k", 5)).await;
    let events = watching.events(created.watch_id, 3).await;
    assert_eq!(shown(&events), ["DELETE k@5", "PUT k=6@6", "PUT k=7@7"]);
}

#[tokio::test]
async fn c43_a_start_at_the_compaction_delivers_a_put_of_that_revision() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for value in ["2", "3", "4"] {
        client.write("k", value).await;
    }
    client.compact(3, true).await.unwrap();
    let (mut watching, created) = Watching::open(&client, watch_prefix("k", 3)).await;
    assert_eq!(shown(&watching.events(created.watch_id, 2).await), ["PUT k=3@3", "PUT k=4@4"]);
}

#[tokio::test]
async fn c45_cancelling_a_watcher_is_answered_and_ends_its_events() {
    let client = shared().await;
    let (mut watching, first) = Watching::open(&client, watch_key("c45")).await;
    let second = watching.created(watch_key("c45")).await;
    watching.cancel(first.watch_id).await;
    let response = watching.next().await;
    assert_eq!(response.watch_id, first.watch_id);
    assert!(response.canceled && !response.created);
    assert_eq!((response.compact_revision, response.cancel_reason.as_str()), (0, ""));
    assert!(revision(&response.header) > 0);
    assert_eq!(response.events, []);

    client.write("c45", "v").await;
    // `events` fails when another watcher speaks.
    watching.events(second.watch_id, 1).await;
    client.write("c45", "w").await;
    watching.events(second.watch_id, 1).await;
}

#[tokio::test]
async fn c45_cancelling_an_unknown_watcher_is_not_answered() {
    let client = shared().await;
    let (mut watching, created) = Watching::open(&client, watch_key("c45u")).await;
    watching.cancel(99).await;
    watching.cancel(-1).await;
    // The next thing to come is the answer to the next request.
    let next = watching.created(watch_key("c45u")).await;
    assert!(next.created && !next.canceled);
    assert_eq!(next.watch_id, 1);
    // A watcher that was cancelled is unknown the second time.
    watching.cancel(created.watch_id).await;
    watching.cancel(created.watch_id).await;
    assert!(watching.next().await.canceled);
    assert!(watching.created(watch_key("c45u")).await.created);
}
