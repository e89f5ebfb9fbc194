//! Behaviours 46 to 49 and 53: what a watcher is sent, whole, in order and once.

use std::collections::BTreeMap;

use crate::floods::gauge;
use crate::harness::api::event::EventType;
use crate::harness::api::watch_create_request::FilterType;
use crate::harness::api::*;
use crate::harness::watching::shown;
use crate::harness::*;

/// How many revisions one response of a watcher that catches up may carry.
const BATCH_REVISIONS: usize = 1000;

fn mod_revision(event: &Event) -> i64 {
    event.kv.as_ref().expect("an event has a pair").mod_revision
}

#[tokio::test]
async fn c46_a_watcher_that_catches_up_gets_whole_revisions_in_batches() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    // Each transaction makes one revision with three events.
    let transactions = 1200;
    for i in 0..transactions {
        let ops = ["a", "b", "c"].map(|key| put(key, i.to_string()).op());
        client.txn(always(ops)).await.unwrap();
    }
    let newest = client.revision().await;
    let all = WatchCreateRequest { start_revision: 2, range_end: "\0".into(), ..watch_key("") };
    let (mut watching, _) = Watching::open(&client, all).await;

    let mut per_revision = BTreeMap::new();
    let mut batches = 0;
    while per_revision.len() < transactions {
        let response = watching.next().await;
        assert!(!response.fragment);
        assert_eq!(revision(&response.header), newest, "the header names the current revision");
        let mut here = BTreeMap::new();
        for event in &response.events {
            *here.entry(mod_revision(event)).or_insert(0) += 1;
        }
        assert!(here.len() <= BATCH_REVISIONS, "{} revisions in one response", here.len());
        for (revision, events) in here {
            assert_eq!(events, 3, "revision {revision} is split over responses");
            assert_eq!(
                per_revision.insert(revision, events),
                None,
                "revision {revision} came twice"
            );
        }
        batches += 1;
    }
    assert!(batches >= 2, "1,200 revisions do not fit into one response");
    assert_eq!(per_revision.into_keys().collect::<Vec<_>>(), (2..=newest).collect::<Vec<_>>());
}

#[tokio::test]
async fn c46_a_live_transaction_is_one_response() {
    // One of its own: the header has the newest revision, whoever made it.
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    let (mut watching, created) = Watching::open(&client, watch_prefix("c46l/", 0)).await;
    for round in 0..20 {
        let ops = (0..50).map(|i| put(format!("c46l/{i}"), "v").op()).collect::<Vec<_>>();
        let made = revision(&client.txn(always(ops)).await.unwrap().header);
        let response = watching.next().await;
        assert_eq!(response.watch_id, created.watch_id);
        assert_eq!(response.events.len(), 50, "round {round}");
        assert!(response.events.iter().all(|event| mod_revision(event) == made));
        assert_eq!(revision(&response.header), made);
    }
}

/// A server with three values of one mebibyte each, more than two mebibytes to catch up with.
async fn three_large_values() -> (Cluster, Client) {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for key in ["a", "b", "c"] {
        client.put(put(key, vec![b'x'; 1 << 20])).await.unwrap();
    }
    (cluster, client)
}

/// A watcher to whom the three deletes of one revision come with three mebibytes of previous values.
fn large_deletes() -> WatchCreateRequest {
    WatchCreateRequest { range_end: "\0".into(), prev_kv: true, ..watch_key("a") }
}

#[tokio::test]
async fn c47_fragments_share_the_header_and_only_the_last_is_unmarked() {
    let (_cluster, client) = three_large_values().await;
    let create = WatchCreateRequest { fragment: true, ..large_deletes() };
    let (mut watching, created) = Watching::open(&client, create).await;
    client.delete(DeleteRangeRequest { range_end: "d".into(), ..delete("a") }).await.unwrap();
    let mut parts = vec![watching.next().await];
    while parts.last().unwrap().fragment {
        parts.push(watching.next().await);
    }
    assert!(parts.len() >= 2, "three mebibytes do not fit into one response");
    assert!(parts.iter().all(|part| part.header == parts[0].header));
    assert!(parts.iter().all(|part| part.watch_id == created.watch_id));
    let seen =
        parts.iter().flat_map(|part| part.events.iter().map(mod_revision)).collect::<Vec<_>>();
    assert_eq!(seen, [5, 5, 5]);

    // A small response of the same watcher is whole.
    client.write("a", "small").await;
    let response = watching.next().await;
    assert!(!response.fragment);
    assert_eq!(response.events.len(), 1);
}

#[tokio::test]
async fn c47_a_fragment_weighs_what_a_request_may() {
    let cluster = Cluster::single(&["--max-request-bytes", "65536"]).await;
    let client = cluster.client().await;
    // Fourteen of them are less than 64 KiB and what gRPC may add, fifteen are more.
    for count in [14, 15] {
        for i in 0..count {
            client.write(&format!("{count}/{i}"), &"x".repeat(40_000)).await;
        }
        let all = watch_prefix(&format!("{count}/"), 0);
        let create = WatchCreateRequest { fragment: true, prev_kv: true, ..all };
        let range_end = create.range_end.clone();
        let (mut watching, _) = Watching::open(&client, create).await;
        client
            .delete(DeleteRangeRequest { range_end, ..delete(format!("{count}/")) })
            .await
            .unwrap();
        let mut parts = vec![watching.next().await];
        while parts.last().unwrap().fragment {
            parts.push(watching.next().await);
        }
        let sizes = parts.iter().map(|part| part.events.len()).collect::<Vec<_>>();
        assert_eq!(sizes, if count == 14 { vec![14] } else { vec![14, 1] });
    }
}

#[tokio::test]
async fn c47_without_fragment_a_response_is_whole_however_large() {
    let (_cluster, client) = three_large_values().await;
    let (mut watching, _) = Watching::open(&client, large_deletes()).await;
    client.delete(DeleteRangeRequest { range_end: "d".into(), ..delete("a") }).await.unwrap();
    let response = watching.next().await;
    assert!(!response.fragment);
    assert_eq!(response.events.iter().map(mod_revision).collect::<Vec<_>>(), [5, 5, 5]);
}

#[tokio::test]
async fn c48_prev_kv_comes_with_updates_and_deletes_alone() {
    let client = shared().await;
    let create = WatchCreateRequest { prev_kv: true, ..watch_key("c48") };
    let (mut watching, created) = Watching::open(&client, create).await;
    let plain = watching.created(watch_key("c48")).await;
    let one = client.write("c48", "1").await;
    let two = client.write("c48", "2").await;
    client.delete(delete("c48")).await.unwrap();
    client.write("c48", "3").await;

    let mut with_previous = vec![];
    let mut without = vec![];
    while with_previous.len() < 4 || without.len() < 4 {
        let response = watching.next().await;
        let to =
            if response.watch_id == plain.watch_id { &mut without } else { &mut with_previous };
        to.extend(response.events);
    }
    assert_eq!(created.watch_id, 0);
    assert!(without.iter().all(|event| event.prev_kv.is_none()));
    let previous = with_previous.iter().map(|event| event.prev_kv.clone()).collect::<Vec<_>>();
    assert_eq!(previous[0], None, "a creation has nothing before it");
    let before = |value: &str, mod_revision, version| {
        let kv =
            KeyValue { key: "c48".into(), value: value.to_owned().into(), ..Default::default() };
        Some(KeyValue { create_revision: one, mod_revision, version, ..kv })
    };
    assert_eq!(previous[1], before("1", one, 1));
    assert_eq!(previous[2], before("2", two, 2));
    assert_eq!(previous[3], None, "after a deletion the key is created anew");
}

#[tokio::test]
async fn c48_a_compacted_previous_pair_is_silently_missing() {
    let cluster = Cluster::single(&[]).await;
    let client = cluster.client().await;
    for value in ["2", "3", "4"] {
        client.write("k", value).await;
    }
    client.compact(3, true).await.unwrap();
    let create = WatchCreateRequest { prev_kv: true, ..watch_prefix("k", 3) };
    let (mut watching, created) = Watching::open(&client, create).await;
    let events = watching.events(created.watch_id, 2).await;
    assert_eq!(shown(&events), ["PUT k=3@3", "PUT k=4@4"]);
    assert_eq!(events[0].prev_kv, None, "revision 2 is gone");
    assert_eq!(text(&events[1].prev_kv.as_ref().unwrap().value), "3");
}

#[tokio::test]
async fn c49_filters_leave_out_puts_or_deletes_and_an_empty_rest_is_not_sent() {
    let client = shared().await;
    let filtered = |filters: &[FilterType]| WatchCreateRequest {
        filters: filters.iter().map(|&filter| filter as i32).collect(),
        ..watch_prefix("c49/", 0)
    };
    let (mut deletes, deletes_id) = Watching::open(&client, filtered(&[FilterType::Noput])).await;
    let (mut puts, puts_id) = Watching::open(&client, filtered(&[FilterType::Nodelete])).await;
    let both = [FilterType::Noput, FilterType::Nodelete];
    let (mut nothing, _) = Watching::open(&client, filtered(&both)).await;

    client.write("c49/a", "1").await;
    let first = revision(&client.delete(delete("c49/a")).await.unwrap().header);
    let ops = [put("c49/a", "2").op(), put("c49/b", "2").op()];
    client.txn(always(ops)).await.unwrap();
    let ops = [put("c49/c", "3").op(), delete("c49/b").op()];
    let second = revision(&client.txn(always(ops)).await.unwrap().header);

    // `events` fails on a response without events, so nothing empty came in between.
    let seen = shown(&deletes.events(deletes_id.watch_id, 2).await);
    assert_eq!(seen, [format!("DELETE c49/a@{first}"), format!("DELETE c49/b@{second}")]);
    let seen = puts.events(puts_id.watch_id, 4).await;
    assert!(seen.iter().all(|event| event.r#type() == EventType::Put));
    // The watcher of nothing has been sent nothing: the next thing to come is what it asks for now.
    assert!(nothing.created(watch_key("c49/z")).await.created);
}

/// What a client knows of a key from the events alone.
#[derive(Clone, PartialEq, Debug)]
struct Known {
    value: String,
    create_revision: i64,
    version: i64,
}

/// Checks a full history of events against each other: order, atomicity, previous pairs and
/// creations.
fn check_history(events: &[Event]) -> BTreeMap<String, Known> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut last = 0;
    for event in events {
        let kv = event.kv.as_ref().unwrap();
        assert!(kv.mod_revision >= last, "revision {} after {last}", kv.mod_revision);
        last = kv.mod_revision;
        let key = text(&kv.key);
        let before = known.get(&key).map(|known| known.value.clone());
        let previous = event.prev_kv.as_ref().map(|kv| text(&kv.value));
        assert_eq!(previous, before, "the previous pair of {key} at {last}");
        match event.r#type() {
            EventType::Put => {
                let is_create = kv.create_revision == kv.mod_revision;
                assert_eq!(is_create, before.is_none(), "whether {key} is created at {last}");
                let (value, create_revision) = (text(&kv.value), kv.create_revision);
                known.insert(key, Known { value, create_revision, version: kv.version });
            }
            EventType::Delete => {
                known.remove(&key);
            }
        }
    }
    known
}

#[tokio::test]
async fn c53_a_watcher_sees_every_event_once_in_order_and_can_resume() {
    let client = shared().await;
    let create = WatchCreateRequest { prev_kv: true, ..watch_prefix("c53/", 0) };
    let (mut live, live_id) = Watching::open(&client, create.clone()).await;

    // Four writers at once, so that revisions of different connections interleave.
    let mut writers = vec![];
    for writer in 0..4 {
        let client = client.clone();
        writers.push(tokio::spawn(async move {
            let mut made = vec![];
            for i in 0..60 {
                let key = format!("c53/{}", (i * 7 + writer) % 5);
                let value = put(&key, format!("{writer}.{i}"));
                let (header, deleted) = match i % 4 {
                    0 => {
                        let answer = client.delete(delete(&key)).await.unwrap();
                        (answer.header, answer.deleted)
                    }
                    1 => {
                        let ops = [value.op(), put("c53/both", i.to_string()).op()];
                        (client.txn(always(ops)).await.unwrap().header, 2)
                    }
                    _ => (client.put(value).await.unwrap().header, 1),
                };
                if deleted > 0 {
                    made.push((revision(&header), deleted));
                }
            }
            made
        }));
    }
    let mut made = BTreeMap::new();
    for writer in writers {
        made.extend(writer.await.unwrap());
    }
    let total = made.values().sum::<i64>() as usize;

    let events = live.events(live_id.watch_id, total).await;
    let mut seen = BTreeMap::new();
    for event in &events {
        *seen.entry(mod_revision(event)).or_insert(0) += 1;
    }
    assert_eq!(seen, made, "the events are those of the acknowledged writes, each once");
    let known = check_history(&events);
    let found = client.range(prefix("c53/")).await.unwrap().kvs.into_iter().map(|kv| {
        let (value, create_revision) = (text(&kv.value), kv.create_revision);
        (text(&kv.key), Known { value, create_revision, version: kv.version })
    });
    assert_eq!(known, found.collect(), "the events add up to the state");

    // Another watcher that starts in the middle sees exactly the rest.
    let middle = mod_revision(&events[events.len() / 2]);
    let resume = WatchCreateRequest { start_revision: middle, ..create };
    let (mut resumed, resumed_id) = Watching::open(&client, resume).await;
    let rest =
        events.iter().filter(|event| mod_revision(event) >= middle).cloned().collect::<Vec<_>>();
    assert_eq!(resumed.events(resumed_id.watch_id, rest.len()).await, rest);
}

#[tokio::test]
async fn watchers_that_come_back_share_what_is_read_for_them() {
    const PREFIXES: i64 = 30;
    let cluster = Cluster::single(&["--quota-backend-bytes", "-1"]).await;
    let client = cluster.client().await;
    let mut written = Vec::new();
    // More than is kept of recent events.
    for number in 0..180 {
        let key = format!("back/{:02}/{}", number % PREFIXES, number % 60);
        let revision = if number > 60 && number % 50 == 49 {
            let deleted = client.delete(delete(&key)).await.unwrap();
            revision(&deleted.header)
        } else {
            revision(&client.put(put(&key, vec![number as u8; 40_000])).await.unwrap().header)
        };
        written.push((key, revision));
    }
    let mut streams = Vec::new();
    for stream in 0..4 {
        let from = written[stream].1;
        let (mut watching, created) = Watching::open(&client, watch_prefix("back/00/", from)).await;
        let mut got = std::collections::BTreeMap::from([(created.watch_id, Vec::new())]);
        for prefix in 1..PREFIXES {
            let create = watch_prefix(&format!("back/{prefix:02}/"), from);
            watching.create(WatchCreateRequest { prev_kv: prefix % 2 == 0, ..create }).await;
        }
        let wanted = |key: &str, revision: i64| key.starts_with("back/") && revision >= from;
        let count = written.iter().filter(|(key, at)| wanted(key, *at)).count();
        while got.values().map(Vec::len).sum::<usize>() < count {
            let response = watching.next().await;
            let events = got.entry(response.watch_id).or_default();
            events.extend(response.events.into_iter().map(|event| event.kv.unwrap()));
        }
        for (watcher, events) in got {
            let prefix = format!("back/{watcher:02}/");
            let told = events.iter().map(|kv| (text(&kv.key), kv.mod_revision));
            let own = |(key, at): &&(String, i64)| key.starts_with(&prefix) && *at >= from;
            assert!(told.eq(written.iter().filter(own).cloned()), "watcher {watcher}");
        }
        streams.push(watching);
    }
    if Kind::current() != Kind::Etcd {
        let reads = gauge(cluster.endpoint(0), "quorate_watch_log_reads_total").await;
        assert!((1.0..=8.0).contains(&reads), "{reads} readings for 120 watchers");
    }
}
