//! Behaviours 50 to 52 and 54: how far a stream is, and streams that insist on a leader.

use std::time::{Duration, Instant};

use crate::harness::api::*;
use crate::harness::cluster::ELECTION_MS;
use crate::harness::*;

/// A response that only says how far a watcher is.
fn is_progress(response: &WatchResponse) -> bool {
    response.events.is_empty() && !response.created && !response.canceled
}

#[tokio::test]
async fn c50_progress_comes_by_itself_to_the_watchers_that_asked_for_it() {
    let cluster = Cluster::single(&["--watch-progress-notify-interval", "200ms"]).await;
    let client = cluster.client().await;
    let newest = client.write("k", "v").await;
    let (mut watching, _) = Watching::open(&client, watch_key("k")).await;
    let asking = WatchCreateRequest { progress_notify: true, ..watch_key("k") };
    let asking = watching.created(asking).await.watch_id;
    for _ in 0..3 {
        let response = watching.next().await;
        assert!(is_progress(&response), "{response:?}");
        assert_eq!((response.watch_id, revision(&response.header)), (asking, newest));
    }
}

#[tokio::test]
async fn c50_an_interval_below_100_ms_is_raised_to_it() {
    let cluster = Cluster::single(&["--watch-progress-notify-interval", "1ms"]).await;
    let client = cluster.client().await;
    let asking = WatchCreateRequest { progress_notify: true, ..watch_key("k") };
    let begun = Instant::now();
    let (mut watching, _) = Watching::open(&client, asking).await;
    for _ in 0..6 {
        assert!(is_progress(&watching.next().await));
    }
    // Those that come late make the next look closer together; before its time none comes.
    assert!(begun.elapsed() >= Duration::from_millis(590), "{:?} for six", begun.elapsed());
}

#[tokio::test]
async fn c50_no_progress_in_a_period_with_events_and_none_before_the_start() {
    let cluster = Cluster::single(&["--watch-progress-notify-interval", "1s"]).await;
    let client = cluster.client().await;
    let asking = WatchCreateRequest { progress_notify: true, ..watch_key("k") };
    let (mut watching, busy) = Watching::open(&client, asking.clone()).await;
    let future = WatchCreateRequest { start_revision: 1_000_000, ..asking };
    let future = watching.created(future).await.watch_id;

    // Events far more often than the interval, for more than two of them: no progress in between.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2300) {
        let before = Instant::now();
        client.write("k", "v").await;
        let mut response = watching.next().await;
        if is_progress(&response) && before.elapsed() >= Duration::from_secs(1) {
            // This machine was busy with something else: a period without events has passed.
            response = watching.next().await;
        }
        assert_eq!((response.watch_id, response.events.len()), (busy.watch_id, 1), "{response:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // And when the events cease it comes, for this watcher but not for the one still in the future.
    for _ in 0..2 {
        let response = watching.next().await;
        assert!(is_progress(&response), "{response:?}");
        assert_eq!(response.watch_id, busy.watch_id, "watcher {future} has not begun");
    }
}

#[tokio::test]
async fn c51_requested_progress_is_one_response_for_the_whole_stream() {
    let client = shared().await;
    let (mut watching, _) = Watching::open(&client, watch_key("c51")).await;
    for _ in 0..3 {
        watching.created(watch_key("c51")).await;
    }
    let newest = client.write("c51/other", "v").await;
    watching.request_progress().await;
    let response = watching.next().await;
    assert!(is_progress(&response), "{response:?}");
    assert_eq!(response.watch_id, -1);
    assert!(revision(&response.header) >= newest);
    // One for all four: the next thing to come answers the next request.
    assert!(watching.created(watch_key("c51")).await.created);
}

#[tokio::test]
async fn c51_requested_progress_is_dropped_while_a_watcher_has_not_begun() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let (mut watching, _) = Watching::open(&client, watch_key("other")).await;
    watching.created(watch_prefix("k", 3)).await;
    watching.request_progress().await;
    assert!(watching.created(watch_key("other")).await.created, "the request was dropped");
    client.write("k", "2").await;
    watching.request_progress().await;
    assert!(watching.created(watch_key("other")).await.created, "the request was dropped");
    client.write("k", "3").await;
    assert_eq!(watching.events(1, 1).await.len(), 1);
    watching.request_progress().await;
    let response = watching.next().await;
    assert!(is_progress(&response), "{response:?}");
    assert_eq!((response.watch_id, revision(&response.header)), (-1, 3));
}

/// Asks again and again until the stream says how far it is; returns the events before that and the
/// revision.
async fn progress(watching: &mut Watching) -> (Vec<Event>, i64) {
    let begun = Instant::now();
    let mut events = vec![];
    loop {
        assert!(begun.elapsed() < Duration::from_secs(20), "no progress");
        watching.request_progress().await;
        let patience = tokio::time::timeout(Duration::from_millis(50), watching.next());
        // A request is dropped while a watcher is behind, so silence means: ask again.
        let Ok(response) = patience.await else { continue };
        if is_progress(&response) {
            assert_eq!(response.watch_id, -1);
            return (events, revision(&response.header));
        }
        events.extend(response.events);
    }
}

#[tokio::test]
async fn c51_requested_progress_waits_until_history_is_delivered() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for i in 0..1500 {
        client.write("k", &i.to_string()).await;
    }
    let newest = client.revision().await;
    let (mut watching, _) = Watching::open(&client, watch_prefix("k", 2)).await;
    let (events, at) = progress(&mut watching).await;
    assert_eq!(at, newest);
    assert_eq!(events.len(), 1500, "progress at {at} before the events up to it");
}

#[tokio::test]
async fn c52_no_event_at_or_below_a_progress_revision_follows_it() {
    let client = shared().await;
    let (mut watching, _) = Watching::open(&client, watch_prefix("c52/", 0)).await;
    let writer = tokio::spawn({
        let client = client.clone();
        async move {
            for i in 0..400 {
                client.write(&format!("c52/{}", i % 3), &i.to_string()).await;
            }
        }
    });
    let (mut events, mut floor, mut rounds) = (0, 0, 0);
    while events < 400 {
        watching.request_progress().await;
        let response = watching.next().await;
        let header = response.header.unwrap();
        assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term != 0);
        for event in &response.events {
            let at = event.kv.as_ref().unwrap().mod_revision;
            assert!(at > floor, "an event at {at} after progress at {floor}");
        }
        events += response.events.len();
        if is_progress(&response) {
            assert!(header.revision >= floor, "progress went back");
            floor = header.revision;
            rounds += 1;
        }
    }
    writer.await.unwrap();
    assert!(rounds > 0, "no progress was ever reported");
}

const INSIST: (&str, &str) = ("hasleader", "true");

#[tokio::test]
async fn c54_insisting_on_a_leader_ends_streams_and_refuses_calls_without_one() {
    let mut cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    let mut opened = None;
    eventually("no election is on", Duration::from_secs(30), async || {
        match Watching::open_raw(&client, watch_key("c54"), &[INSIST]).await {
            Ok(watching) => opened = Some(watching),
            Err(status) => assert_eq!(status.message(), "etcdserver: no leader"),
        }
        opened.is_some()
    })
    .await;
    let mut insisting = opened.expect("it is open");
    assert!(insisting.next().await.created);
    let (mut patient, _) = Watching::open(&client, watch_key("c54")).await;
    cluster.kill(1);
    cluster.kill(2);
    let killed = Instant::now();

    // The open stream is cancelled, after three election timeouts without a leader.
    let status = insisting.next_or_error().await.expect_err("the stream must end");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: no leader"));
    assert!(
        killed.elapsed() >= Duration::from_millis(2 * ELECTION_MS),
        "too early: {:?}",
        killed.elapsed()
    );

    // New calls that insist fail at once, streams and unary calls alike.
    let status = match Watching::open_raw(&client, watch_key("c54"), &[INSIST]).await {
        Err(status) => status,
        Ok(mut watching) => watching.next_or_error().await.expect_err("there is no leader"),
    };
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: no leader"));
    let mut request = tonic::Request::new(RangeRequest { serializable: true, ..get("c54") });
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    let answer = client.kv().range(request).await.map(tonic::Response::into_inner);
    refused(answer, Code::Unavailable, "etcdserver: no leader");

    // Who does not insist is served: a serializable read, and a stream that waits for better times.
    client.range(RangeRequest { serializable: true, ..get("c54") }).await.unwrap();
    assert!(patient.created(watch_key("c54")).await.created);
    let status = client.status().await.unwrap();
    assert_eq!(status.leader, 0);
    assert!(
        status.errors.iter().any(|error| error == "etcdserver: no leader"),
        "{:?}",
        status.errors
    );
}
